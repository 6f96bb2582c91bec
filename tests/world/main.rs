//! Whole booths in virtual time, and the contacts of their handsets.

mod simulation;
mod traces;
