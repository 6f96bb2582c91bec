//! Attacks, one file per attacker, named by what must hold whatever that one does.
#![allow(clippy::disallowed_methods)]

#[allow(dead_code)] // each attack uses its part
#[path = "../support/hub.rs"]
mod rig;
#[path = "../support/mod.rs"]
mod support;
use support::wait;

mod nobody_speaks_for_another_booth;
mod the_store_does_not_forget;
