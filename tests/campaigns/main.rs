//! A slice of each campaign of `make torture`.

mod crash_states;
mod torture;
