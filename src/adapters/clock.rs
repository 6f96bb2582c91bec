//! Reads the clocks.
#![allow(clippy::disallowed_methods)] // the one place that reads clocks

use crate::gateway::time::Mono;

/// Boot-time clock.
pub fn mono() -> Mono {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let ms = i128::from(now.tv_sec) * 1000 + i128::from(now.tv_nsec) / 1_000_000;
    Mono(u64::try_from(ms).unwrap_or(0))
}

/// Wall clock.
pub fn wall() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
