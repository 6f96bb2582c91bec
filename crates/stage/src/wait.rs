//! Waiting for something to become true, with a bound.
#![allow(clippy::disallowed_methods)] // it reads the clock

use std::time::{Duration, Instant};

use super::stage::{Patience, Turn};

/// How long anything in a test may take before the test gives up, also on a machine that is busy with other things. Never
/// asserted as a figure.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Asks `probe` until it answers, or panics with `what` after [`PATIENCE`].
pub fn until<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    wait_for(what, probe).unwrap_or_else(|why| panic!("{why}"))
}

/// The same, with a sentence instead of the panic.
pub fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> Result<T, String> {
    let start = Instant::now();
    loop {
        if let Some(found) = probe() {
            return Ok(found);
        }
        if start.elapsed() > PATIENCE {
            return Err(format!("never happened: {what}"));
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// The same for a person who watches: says on standard error what it waits for, and has the patience of [`Patience`].
pub fn patiently<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
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
