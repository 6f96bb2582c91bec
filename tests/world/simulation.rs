//! A few seeds of the whole-system simulation (`crates/testkit/src/world.rs`; `make simulate` runs many).
#![allow(clippy::disallowed_methods)]

use booth_testkit::world;
use booth_testkit::world::plan::{Fault, HOUR, MINUTE, Plan};

#[test]
fn whatever_fails_in_a_day_of_a_booth_every_kept_word_reaches_the_centre() {
    for seed in 0..40 {
        if let Err(broken) = world::one(seed) {
            panic!("{broken}\nreplay: make simulate SEED={seed}");
        }
    }
}

#[test]
fn a_seed_replays() {
    assert_eq!(world::one(7), world::one(7));
}

/// A day in which another device takes the booth's name again and again; each world has a broker of its own kind.
fn a_day_of_rivals(tells_of_take_overs: bool, lets_read_own_state: bool) -> world::Outcome {
    let mut plan = Plan::of(3);
    let at = |times: u64| times * HOUR + 17 * MINUTE;
    plan.faults = (1..=20)
        .map(|times| (at(times), Fault::TakenOver { ms: MINUTE }))
        .collect();
    plan.busy_ms = 24 * HOUR;
    (plan.poisoned, plan.withdrawn, plan.lies) = (0, 0, 0);
    plan.tells_of_take_overs = tells_of_take_overs;
    plan.lets_read_own_state = lets_read_own_state;
    world::planned(plan).unwrap_or_else(|broken| panic!("{broken}"))
}

#[test]
fn a_booth_steps_back_from_another_device_of_its_name_by_the_brokers_word_or_by_what_stands_in_its_state()
 {
    for (tells, lets_read) in [(true, false), (false, true)] {
        let outcome = a_day_of_rivals(tells, lets_read);
        assert_eq!(outcome.stepped_back, 20, "the broker tells: {tells}");
        assert!(outcome.kept > 0 && outcome.stored > 0);
    }
    let outcome = a_day_of_rivals(false, false);
    assert_eq!(outcome.stepped_back, 0, "a lost connection is no evidence");
}

/// A vote and its withdrawal wait on the card for two days, and reach the hub in one batch.
#[test]
fn a_vote_that_is_taken_back_in_the_batch_in_which_it_comes_was_stored_and_is_gone() {
    if let Err(broken) = world::one(1248) {
        panic!("{broken}");
    }
}

/// Half of those who speak, vote or take something back pause for 6 to 15 seconds before every digit.
#[test]
fn slow_hands_speak_vote_and_take_back_what_they_left() {
    let mut all = world::Outcome::default();
    for seed in [1, 5, 9, 13, 17, 21] {
        let mut plan = Plan::of(seed);
        assert!(plan.slow_hands);
        plan.faults.clear();
        plan.has_vote = true;
        plan.has_receipts = true;
        plan.visits_per_day = 150;
        plan.busy_ms = 24 * HOUR;
        let outcome = world::planned(plan).unwrap_or_else(|broken| panic!("{broken}"));
        all.add(&outcome);
    }
    assert!(all.votes > 0 && all.kept > all.votes);
    // Some of those who take something back do so slowly, and some do not.
    assert!(all.slow_noted > 0 && all.noted > all.slow_noted, "{all:?}");
}
