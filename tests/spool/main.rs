//! The spool: the clips on the card, through power cuts, kills, faults and damage.

mod cost;
mod damage;
mod erased;
mod exhaustive;
mod faults;
mod junk;
mod kill;
mod life;
mod power_cuts;
mod quarantine;
mod sealed;
mod second_chance;
mod times;
mod versions;
