//! Power cuts between any two writes of a real ext4: sled as the control, then the real gateway.
#![allow(clippy::disallowed_methods)]

use std::io::Write;
use std::sync::OnceLock;

use booth_testkit::blockdev::{self, Trace};
use booth_testkit::crash_record::{record, short_evening};
use booth_testkit::crash_states::{Outcome, Rig};
use booth_testkit::flush_control::{self, Store};
use booth_testkit::hub_program::hub_program;
use booth_testkit::programs::Programs;

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

fn programs() -> Programs {
    Programs {
        gateway: env!("CARGO_BIN_EXE_booth-gateway").into(),
        hub: hub_program().into(),
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

/// Two short evenings, one without and one with a centre, recorded once for all tests.
fn evenings() -> Vec<Trace> {
    static RECORDED: OnceLock<Vec<Trace>> = OnceLock::new();
    let record = |with_centre| record(&programs(), &short_evening(), with_centre);
    let record_both = || {
        std::thread::scope(|scope| {
            let with_centre = scope.spawn(|| record(true));
            let traces = [record(false), with_centre.join().expect("no panic")];
            traces.map(|trace| trace.expect("an evening")).to_vec()
        })
    };
    RECORDED.get_or_init(record_both).clone()
}

#[test]
fn power_cuts_of_the_real_card_lose_no_kept_clip_and_at_most_a_second_of_speech() {
    if !can_run() {
        return;
    }
    let rig = Rig::new(programs(), evenings());
    let (first, second) = std::thread::scope(|scope| {
        let states = |seeds: std::ops::Range<u64>| {
            let outcomes = seeds.map(|seed| rig.one(seed).expect("every promise holds"));
            outcomes.collect::<Vec<Outcome>>()
        };
        let first = scope.spawn(move || states(0..12));
        let second = states(12..24);
        (first.join().expect("no panic"), second)
    });
    let all = || first.iter().chain(&second);
    println!("{:#?}", all().collect::<Vec<_>>());
    // Not all of them were easy.
    assert!(all().any(|outcome| outcome.in_doubt > 0 && outcome.recovered > 0));
    assert!(all().any(|outcome| outcome.kept > 0));
    assert!(all().any(|outcome| outcome.gone > 0));
}

#[test]
fn a_card_that_only_pretends_to_flush_is_seen_to_break_the_promises() {
    if !can_run() {
        return;
    }
    // What the lost flushes held depends on how the evening's writes fell, and that on how busy the machine was; some of these states must
    // show it.
    let rig = Rig::new(programs(), evenings()).lying(40);
    let broken = (100..196).filter(|seed| rig.one(*seed).is_err());
    let broken = broken.take(2).count();
    assert_eq!(broken, 2, "of 96 states");
}
