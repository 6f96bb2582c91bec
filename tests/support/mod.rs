//! What the tests share: real components on free ports, and waiting for an event instead of sleeping.
#![allow(dead_code, clippy::disallowed_methods)]

pub mod wait;
