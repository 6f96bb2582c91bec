//! The pure core: what a citizen lives through, what is sent and kept, whether the booth is ready.
//!
//! Nothing here reads a clock, opens a file, touches a pin or a socket. Events carry their time in;
//! commands and the next deadline come out.

pub mod bell;
pub mod booth;
pub mod campaign;
pub mod commands;
pub mod counters;
pub mod delivery;
pub mod dial;
pub mod health;
pub mod hook;
pub mod inbox;
pub mod keypad;
pub mod liveness;
pub mod microphone;
pub mod orders;
pub mod panel;
pub mod partition;
pub mod power;
pub mod prompt;
pub mod quarantine;
pub mod retry;
pub mod rival;
pub mod session;
pub mod sign;
pub mod signed;
pub mod spoken;
pub mod stuck;
pub mod trace;
pub mod unreadable;
