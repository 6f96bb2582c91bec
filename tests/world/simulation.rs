//! A few seeds of the whole-system simulation (`crates/testkit/src/world.rs`; `make simulate` runs many).
#![allow(clippy::disallowed_methods)]

use booth_testkit::world;

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
