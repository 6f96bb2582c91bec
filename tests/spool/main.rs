//! The spool: the clips on the card, through power cuts, faults and damage. No test here may start a program (tests/world/main.rs).

mod centre;
mod cost;
mod damage;
mod exhaustive;
mod faults;
mod held;
mod junk;
mod orders;
mod power_cuts;
mod quarantine;
mod sealed;
mod second_chance;
mod taken_over;
mod times;
mod versions;
mod votes;
mod withdrawals;
