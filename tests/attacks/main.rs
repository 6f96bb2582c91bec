//! Attacks that must fail: one file for each attacker, named by what must hold.
#![allow(clippy::disallowed_methods)]

#[allow(dead_code)] // each attack uses its part
#[path = "../support/city.rs"]
mod city;
#[allow(dead_code)]
#[path = "../support/hub.rs"]
mod rig;
#[path = "../support/mod.rs"]
mod support;
use support::wait;

mod a_broker_beyond_every_limit_ends_no_connection;
mod a_crowd_at_the_pages_keeps_no_clip_out;
mod a_flood_of_one_booth_leaves_the_others_their_speed;
mod flood;
mod no_page_grows_with_what_was_stored;
