//! Attacks that must fail: one file for each attacker, named by what must hold.
#![allow(clippy::disallowed_methods)]

mod a_gateway_that_was_broken_into_holds_up_nobody;
