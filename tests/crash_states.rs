//! Power cuts between any two writes of a real ext4.
#![allow(clippy::disallowed_methods)]

#[allow(dead_code)] // each test uses its part
mod support {
    pub mod blockdev;
    pub mod crash_image;
    pub mod flush_control;
}

use std::io::Write;

use support::blockdev;
use support::flush_control::{self, Store};

/// Says why there is nothing to see, past the test harness, which would keep it to itself.
fn can_run() -> bool {
    match blockdev::obstacle() {
        None => true,
        Some(why) => {
            let line = format!("!! crash states: NOT RUN, {why}\n");
            let _ = std::io::stderr().write_all(line.as_bytes());
            false
        }
    }
}

#[test]
fn sled_flush_alone_loses_at_every_power_cut_and_with_fdatasync_at_none() {
    if !can_run() {
        return;
    }
    for (store, loses) in [(Store::FlushAlone, true), (Store::FlushAndSync, false)] {
        let trace = flush_control::record(store).expect("a workload");
        for seed in 0..20 {
            let (lost, believed) = flush_control::one(&trace, seed).expect("it opens");
            assert_eq!(
                lost > 0,
                loses,
                "{store:?}, seed {seed}: lost {lost} of {believed}"
            );
        }
    }
}
