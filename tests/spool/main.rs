//! The spool: the clips on the card, through power cuts, faults and damage. No test here may start a program (tests/world/main.rs).

mod cost;
mod damage;
mod exhaustive;
mod faults;
mod junk;
mod power_cuts;
mod quarantine;
mod sealed;
mod second_chance;
mod times;
mod versions;
