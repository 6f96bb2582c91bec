//! The only place that reads clocks and the boot id.
//!
//! Owns: CLOCK_BOOTTIME, the wall clock, whether it is synchronised, the kernel's boot id. Never
//! does: decide anything from them.
#![allow(clippy::disallowed_methods)] // this is the adapter the bans point to

use rustix::time::{ClockId, clock_gettime};

use booth_contract::time::Mono;

/// Milliseconds since boot, suspended time included (CLOCK_BOOTTIME, clock_gettime(2)).
pub fn mono() -> Mono {
    Mono(mono_us() / 1000)
}

/// The same in microseconds, for audio.
pub fn mono_us() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds * 1_000_000 + u64::try_from(now.tv_nsec / 1000).unwrap_or(0)
}

/// A kernel time stamp of CLOCK_MONOTONIC, as GPIO edges carry it, on the boot-time clock.
pub fn from_monotonic(stamp: std::time::Duration) -> Mono {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let now_ms = seconds * 1000 + u64::try_from(now.tv_nsec / 1_000_000).unwrap_or(0);
    let age = now_ms.saturating_sub(u64::try_from(stamp.as_millis()).unwrap_or(0));
    Mono(mono().0.saturating_sub(age))
}

/// The wall clock, right or wrong.
pub fn wall() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// Whether the wall clock is synchronised: systemd-timesyncd shows it by a file, and the kernel by `adjtimex` (which needs unsafe
/// code here, so the file is used; a machine with chrony has to create it too).
///
/// A machine without systemd-timesyncd is believed if it has a real-time clock: a Pi without one starts with the time of its last
/// write.
pub fn clock_synced() -> bool {
    if std::path::Path::new("/run/systemd/timesync/synchronized").exists() {
        return true;
    }
    // Where timesyncd does not run, another daemon or a real-time clock keeps the time.
    !std::path::Path::new("/run/systemd/timesync").exists()
        && std::path::Path::new("/dev/rtc0").exists()
}

/// The kernel's id of this boot; another one after every start of the machine.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_owned())
        .unwrap_or_else(|_| "00000000-0000-0000-0000-000000000000".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_milliseconds_and_a_zone() {
        let at: jiff::Timestamp = "2026-08-01T10:00:00.5Z".parse().expect("a time");
        assert_eq!(
            booth_contract::time::rfc3339(at),
            "2026-08-01T10:00:00.500Z"
        );
        assert!(mono() >= Mono(1));
        assert_eq!(boot_id().len(), 36);
    }
}
