#![allow(clippy::disallowed_methods)] // opens a store in a folder of its own

use super::*;
use crate::places::placement::{self, Site};
use crate::store::Store;

fn zone() -> TimeZone {
    TimeZone::get("Europe/Copenhagen").expect("a zone")
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn booth(is_ready: bool, lifts: u64, said_at: Timestamp) -> BoothNow {
    BoothNow {
        id: "torv-1".into(),
        name: String::new(),
        is_ready,
        today: BTreeMap::from([("lifts".to_owned(), lifts), ("clips".to_owned(), lifts / 2)]),
        said_at: Some(said_at),
    }
}

struct City(Store, #[allow(dead_code)] tempfile::TempDir);

impl City {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self(Store::open(folder.path()).expect("opens"), folder)
    }

    fn see(&self, booth: &BoothNow, now: Timestamp) {
        self.0
            .change_quietly(|db| Ok(observe(db, &zone(), std::slice::from_ref(booth), now)?))
            .expect("seen");
    }

    fn go(&self, place: &str, when: Timestamp) -> i64 {
        let site = Site {
            place: place.into(),
            ..Site::default()
        };
        self.0
            .change_quietly(|db| placement::move_booth(db, &zone(), "torv-1", when, &site))
            .expect("moved")
    }

    /// Place, day, minutes, lifts.
    fn rows(&self) -> Vec<(String, String, i64, i64)> {
        let ask = |db: &Connection| {
            db.prepare(
                "SELECT coalesce(place, '-'), day, ready_minutes, lifts FROM exposure LEFT JOIN placement ON placement.id = placement
                 ORDER BY day, place",
            )?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
            .collect()
        };
        self.0.read(ask).expect("read")
    }
}

fn row(place: &str, day: &str, minutes: i64, lifts: i64) -> (String, String, i64, i64) {
    (place.into(), day.into(), minutes, lifts)
}

#[test]
fn a_minute_counts_once_however_often_it_is_looked_at_and_never_if_nobody_looked() {
    let city = City::new();
    let begin = at("2026-06-01T08:00:00Z");
    for seconds in [0, 20, 40, 59, 60, 80] {
        let now = begin + SignedDuration::from_secs(seconds);
        city.see(&booth(true, 0, now), now);
    }
    assert_eq!(city.rows(), [row("-", "2026-06-01", 2, 0)]);
    // The hub was away for a day, and starts again in a minute that was counted: nothing is invented.
    let later = at("2026-06-02T08:00:30Z");
    city.see(&booth(true, 0, later), later);
    city.see(
        &booth(false, 0, later),
        later + SignedDuration::from_mins(1),
    );
    // A clock that goes back counts no minute twice.
    city.see(
        &booth(true, 0, begin),
        begin + SignedDuration::from_secs(30),
    );
    assert_eq!(
        city.rows(),
        [row("-", "2026-06-01", 2, 0), row("-", "2026-06-02", 1, 0)]
    );
}

#[test]
fn counters_are_of_the_day_on_which_their_booth_said_them() {
    let city = City::new();
    // 23:59 in Copenhagen, which the hub sees again after midnight.
    let before = at("2026-06-01T21:59:00Z");
    city.see(&booth(false, 5, before), before);
    let after = before + SignedDuration::from_mins(2);
    city.see(&booth(false, 5, before), after);
    assert_eq!(city.rows(), [row("-", "2026-06-01", 0, 5)]);
    // The new day begins at nothing; more lifts than yesterday are no difference to yesterday's.
    city.see(&booth(false, 7, after), after);
    city.see(
        &booth(false, 8, after),
        after + SignedDuration::from_mins(1),
    );
    // A booth that was restarted without its counters begins again.
    city.see(
        &booth(false, 2, after),
        after + SignedDuration::from_mins(2),
    );
    assert_eq!(
        city.rows(),
        [row("-", "2026-06-01", 0, 5), row("-", "2026-06-02", 0, 10)]
    );
    // Neither yesterday's word that comes late nor one of tomorrow counts.
    city.see(
        &booth(false, 9, before),
        after + SignedDuration::from_mins(3),
    );
    city.see(
        &booth(false, 90, at("2027-01-01T00:00:00Z")),
        after + SignedDuration::from_mins(4),
    );
    assert_eq!(city.rows()[1], row("-", "2026-06-02", 0, 10));
}

#[test]
fn a_move_that_is_entered_late_shares_the_minutes_out_as_if_it_had_been_entered_in_time() {
    let city = City::new();
    let begin = at("2026-06-01T08:00:00Z");
    city.go("Torvet", at("2026-05-01T00:00:00Z"));
    for minute in 0..180 {
        let now = begin + SignedDuration::from_mins(minute);
        city.see(
            &booth(true, u64::try_from(minute).expect("small") / 10, now),
            now,
        );
    }
    assert_eq!(city.rows(), [row("Torvet", "2026-06-01", 180, 17)]);
    // 10:20 in Copenhagen's summer is 8:20 of the first of the three hours; that hour's lifts stay with the longer part of it.
    let harbour = city.go("Havnen", begin + SignedDuration::from_mins(20));
    assert_eq!(
        city.rows(),
        [
            row("Havnen", "2026-06-01", 160, 17),
            row("Torvet", "2026-06-01", 20, 0)
        ]
    );
    city.0
        .change_quietly(|db| placement::remove(db, &zone(), harbour))
        .expect("removed");
    assert_eq!(
        city.rows(),
        [
            row("-", "2026-06-01", 160, 17),
            row("Torvet", "2026-06-01", 20, 0)
        ]
    );
}

#[test]
fn messages_are_seen_beside_the_days_that_booths_were_ready() {
    let city = City::new();
    let begin = at("2026-06-01T08:00:00Z");
    let place = city.go("Torvet", at("2026-05-01T00:00:00Z"));
    for minute in 0..90 {
        let now = begin + SignedDuration::from_mins(minute);
        city.see(&booth(true, 0, now), now);
    }
    let minutes = city.0.read(ready_minutes).expect("read");
    assert_eq!(minutes, HashMap::from([(place, 90)]));
    assert_eq!(per_booth_day(3, 90), Some(48.0));
    assert_eq!(per_booth_day(3, 59), None);
}
#[test]
fn a_look_at_a_fleet_writes_only_what_is_new_and_finds_a_day_without_its_years() {
    let city = City::new();
    let now = at("2026-06-01T08:00:00Z");
    let fleet: Vec<BoothNow> = (0..20)
        .map(|n| BoothNow {
            id: format!("booth-{n}"),
            ..booth(true, 3, now)
        })
        .collect();
    let look = |seconds: i64| {
        city.0
            .change_quietly(|db| {
                let changes = "SELECT total_changes()";
                let before: i64 = db.query_row(changes, [], |row| row.get(0))?;
                observe(
                    db,
                    &zone(),
                    &fleet,
                    now + SignedDuration::from_secs(seconds),
                )?;
                let after: i64 = db.query_row(changes, [], |row| row.get(0))?;
                Ok(after - before)
            })
            .expect("seen")
    };
    assert!(look(0) > 20);
    assert_eq!((look(20), look(40)), (0, 0), "the minute is known");
    // The minute, and the row of the day taken out and put in again.
    assert_eq!(look(60), 3 * 20);
    let plan: Vec<String> = city
        .0
        .read(|db| {
            let asked = format!("EXPLAIN QUERY PLAN {DAY_GOES}");
            db.prepare(&asked)?
                .query_map(["booth-1", "2026-06-01"], |row| row.get(3))?
                .collect()
        })
        .expect("a plan");
    let plan = plan.join(" ");
    assert!(plan.contains("(day=? AND booth_id=?)"), "{plan}");
}
