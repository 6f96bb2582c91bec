#![allow(clippy::disallowed_methods)] // opens a store in a folder of its own

use proptest::prelude::*;

use super::*;
use crate::follow::placement_at;
use crate::store::Store;

const ZONE: TimeZone = TimeZone::UTC;

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_second(1_780_000_000 + minutes * 60).expect("a time")
}

fn site(place: &str) -> Site {
    Site {
        place: place.into(),
        ..Site::default()
    }
}

fn message(db: &Connection, id: &str, booth: &str, said_at: Timestamp) {
    let placement = placement_at(db, booth, &rfc3339(said_at)).expect("asked");
    db.execute(
        "INSERT INTO message (id, kind, source, booth_id, placement, area_id, said_at, day, hour, weekday, received_at, duration_ms, recovered,
           may_publish) VALUES (?1, 'audio', 'booth', ?2, ?3, ?4, ?5, '', 0, 1, ?5, 0, 0, 'no')",
        params![id, booth, placement.as_ref().map(|(id, _)| *id), placement.and_then(|(_, area)| area), rfc3339(said_at)],
    )
    .expect("noted");
}

fn counts_for(store: &Store, id: &str) -> Option<String> {
    store
        .read(|db| {
            db.query_row(
                "SELECT placement.place FROM message LEFT JOIN placement ON placement.id = message.placement WHERE message.id = ?1",
                [id],
                |row| row.get(0),
            )
        })
        .expect("read")
}

fn places(store: &Store) -> Vec<(String, Option<String>)> {
    let all = store.read(all).expect("read");
    all.into_iter().map(|p| (p.site.place, p.until)).collect()
}

#[test]
fn moving_a_booth_ends_where_it_stood_and_begins_where_it_stands() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path()).expect("opens");
    let go = |minute: i64, place: &str| {
        store.change_quietly(|db| move_booth(db, &ZONE, "torv-1", at(minute), &site(place)))
    };
    go(0, "Torvet").expect("moved");
    store
        .change_quietly(|db| {
            message(db, "early", "torv-1", at(50));
            message(db, "late", "torv-1", at(150));
            message(db, "other", "havn-2", at(150));
            Ok(())
        })
        .expect("noted");
    assert_eq!(counts_for(&store, "late").as_deref(), Some("Torvet"));
    // It was moved at 100, and that is entered when both messages are there.
    go(100, "Havnen").expect("moved");
    assert_eq!(
        places(&store),
        [
            ("Havnen".to_owned(), None),
            ("Torvet".to_owned(), Some(rfc3339(at(100))))
        ]
    );
    assert_eq!(counts_for(&store, "early").as_deref(), Some("Torvet"));
    assert_eq!(counts_for(&store, "late").as_deref(), Some("Havnen"));
    assert_eq!(counts_for(&store, "other"), None);
    // A stay in between that was forgotten ends when the next one begins.
    go(60, "Skolen").expect("moved");
    assert_eq!(
        places(&store)[1],
        ("Skolen".to_owned(), Some(rfc3339(at(100))))
    );
    assert_eq!(counts_for(&store, "early").as_deref(), Some("Torvet"));
    let why = go(60, "Parken").expect_err("twice").to_string();
    assert!(why.contains("begins at this very time"), "{why}");
    for bad in ["", " ", "a\u{0}b"] {
        assert!(go(500, bad).is_err(), "{bad:?}");
    }
    assert_eq!(places(&store).len(), 3, "a refused move changes nothing");
}

#[test]
fn a_form_that_shows_minutes_keeps_the_seconds_of_what_it_does_not_change() {
    let zone = TimeZone::get("Europe/Copenhagen").expect("a zone");
    let stored = "2026-08-03T10:20:41.250Z";
    let moment = |text: &str| -> Timestamp { text.parse().expect("a time") };
    for shown in ["2026-08-03T12:20", "2026-08-03 12:20"] {
        let kept = typed(&zone, shown, Some(stored)).expect("a time");
        assert_eq!(kept, moment(stored));
    }
    let changed = typed(&zone, "2026-08-03T12:21", Some(stored)).expect("a time");
    assert_eq!(changed, moment("2026-08-03T10:21:00Z"));
    let new = typed(&zone, "2026-08-03T12:20", None).expect("a time");
    assert_eq!(new, moment("2026-08-03T10:20:00Z"));
    // Of an hour that comes twice the one that is meant.
    let second = "2026-10-25T01:30:00.000Z";
    let kept = typed(&zone, "2026-10-25T02:30", Some(second)).expect("a time");
    assert_eq!(kept, moment(second));
    assert!(typed(&zone, "never", Some(stored)).is_err());
}

#[test]
fn a_placement_cannot_be_stretched_over_another_and_one_that_is_taken_out_counts_for_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path()).expect("opens");
    let ids: Vec<i64> = [(0, "A"), (100, "B")]
        .into_iter()
        .map(|(minute, place)| {
            store
                .change_quietly(|db| move_booth(db, &ZONE, "torv-1", at(minute), &site(place)))
                .expect("moved")
        })
        .collect();
    store
        .change_quietly(|db| {
            message(db, "m", "torv-1", at(120));
            Ok(())
        })
        .expect("noted");
    let stretch = |since: i64, until: Option<i64>| {
        store.change_quietly(|db| change(db, &ZONE, ids[0], at(since), until.map(at), &site("A")))
    };
    for (since, until) in [(0, None), (0, Some(101)), (150, Some(160))] {
        let why = stretch(since, until).expect_err("overlaps").to_string();
        assert!(why.contains("stood at B"), "{why}");
    }
    assert!(stretch(50, Some(50)).is_err());
    stretch(-100, Some(90)).expect("earlier");
    store
        .change_quietly(|db| remove(db, &ZONE, ids[1]))
        .expect("removed");
    assert_eq!(counts_for(&store, "m"), None);
    stretch(-100, None).expect("for good");
    assert_eq!(counts_for(&store, "m").as_deref(), Some("A"));
    assert!(
        store
            .change_quietly(|db| remove(db, &ZONE, ids[1]))
            .is_err()
    );
}

/// What somebody does with the form.
#[derive(Debug, Clone)]
enum Step {
    Move(usize, i64),
    Change(usize, i64, Option<i64>),
    Remove(usize),
    Say(usize, i64),
}

fn step() -> impl Strategy<Value = Step> {
    let time = || 0..40i64;
    prop_oneof![
        3 => (0..2usize, time()).prop_map(|(booth, at)| Step::Move(booth, at)),
        2 => (0..8usize, time(), proptest::option::of(time())).prop_map(|(n, from, to)| Step::Change(n, from, to)),
        1 => (0..8usize).prop_map(Step::Remove),
        3 => (0..2usize, time()).prop_map(|(booth, at)| Step::Say(booth, at)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever is moved, changed and taken out, in any order: no two placements of a booth overlap, and each message counts for the one
    /// that was in force when it was spoken.
    #[test]
    fn no_booth_stands_twice_and_every_message_counts_where_it_was_spoken(steps in proptest::collection::vec(step(), 1..40)) {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("opens");
        let booths = ["torv-1", "havn-2"];
        for (n, step) in steps.iter().enumerate() {
            let known = store.read(all).expect("read");
            let nth = |n: usize| known.get(n).map_or(-1, |placement| placement.id);
            // What is refused changes nothing, which the invariants below show as well.
            let _ = store.change_quietly(|db| match step {
                Step::Move(booth, minute) => move_booth(db, &ZONE, booths[*booth], at(*minute), &site(&format!("P{n}"))).map(drop),
                Step::Change(which, from, to) => change(db, &ZONE, nth(*which), at(*from), to.map(at), &site(&format!("C{n}"))),
                Step::Remove(which) => remove(db, &ZONE, nth(*which)),
                Step::Say(booth, minute) => { message(db, &format!("m{n}"), booths[*booth], at(*minute)); Ok(()) }
            });
            let placements = store.read(all).expect("read");
            for (a, b) in placements.iter().flat_map(|a| placements.iter().map(move |b| (a, b))) {
                let apart = a.id == b.id || a.booth_id != b.booth_id
                    || a.until.as_ref().is_some_and(|until| *until <= b.since)
                    || b.until.as_ref().is_some_and(|until| *until <= a.since);
                prop_assert!(apart, "{a:?} and {b:?}");
                prop_assert!(a.until.as_ref().is_none_or(|until| *until > a.since), "{a:?}");
            }
            let messages: Vec<(String, String, Option<i64>)> = store.read(|db| {
                db.prepare("SELECT booth_id, said_at, placement FROM message")?
                    .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
            }).expect("read");
            for (booth, said_at, placement) in messages {
                let there = placements.iter().find(|p| p.booth_id == booth && p.since <= said_at
                    && p.until.as_ref().is_none_or(|until| *until > said_at));
                prop_assert_eq!(placement, there.map(|p| p.id), "{} at {}", booth, said_at);
            }
        }
    }
}
