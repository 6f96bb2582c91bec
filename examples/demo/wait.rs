//! Waiting for the sound server, under the name that the tests' support has for it, with the demonstration's patience.
#![allow(clippy::disallowed_methods)]

use std::time::{Duration, Instant};

use crate::stage::{Patience, Turn};

/// Asks `probe` until it answers; says now and then what it waits for, and panics with that at the last limit.
pub fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let (start, mut patience) = (Instant::now(), Patience::default());
    loop {
        if let Some(found) = probe() {
            return found;
        }
        let waited = start.elapsed();
        match patience.turn(waited) {
            Turn::Wait => {}
            Turn::Remind => {
                booth_host::complain!("          waiting for {} s: {what}", waited.as_secs())
            }
            Turn::GiveUp => panic!("given up after {} minutes: {what}", waited.as_secs() / 60),
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
}
