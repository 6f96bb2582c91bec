//! The minutes in which booths were ready, as the pages count them: each booth at each placement, by the times in which the same campaigns ask.
//!
//! Owns: the sums of the past, in memory. With ten thousand booths a year has millions of rows, and pictures are made several times a minute:
//! what lies before yesterday is read once a day, and again where it has changed. Never does: write.

use std::collections::{BTreeSet, HashMap};

use booth_database::{Connection, Row};

use crate::places::exposure;

/// See the module's comment.
#[derive(Debug, Default)]
pub(super) struct Exposed {
    /// What the sums are of; `None` before the first look.
    of: Option<Key>,
    past: Vec<Sum>,
    /// How many rows were read.
    #[cfg(test)]
    pub(super) read: u64,
}

/// While this is the same, so are the sums.
#[derive(Debug, PartialEq, Eq)]
struct Key {
    /// Days at which a campaign begins or ends to ask.
    bounds: BTreeSet<String>,
    /// The first day that is not in the sums.
    before: String,
    /// How often the past has changed.
    changes: i64,
}

#[derive(Debug)]
struct Sum {
    booth: String,
    placement: i64,
    /// One of the days.
    day: String,
    minutes: u64,
}

impl Exposed {
    /// Gives every booth with a placement, one of the days between two bounds, and the ready minutes of these days, as often as it takes for all of
    /// them.
    pub(super) fn each(
        &mut self,
        db: &Connection,
        bounds: BTreeSet<String>,
        mut take: impl FnMut(&str, i64, &str, u64),
    ) -> booth_database::Result<()> {
        let Some(before) = exposure::settled_before(db)? else {
            return Ok(());
        };
        let key = Key {
            bounds,
            before,
            changes: exposure::past_changes(db)?,
        };
        if self.of.as_ref() != Some(&key) {
            self.of = None;
            self.sum_up(db, &key)?;
        }
        for sum in &self.past {
            take(&sum.booth, sum.placement, &sum.day, sum.minutes);
        }
        self.rows(db, "day >=", &key.before, take)?;
        self.of = Some(key);
        Ok(())
    }

    fn sum_up(&mut self, db: &Connection, key: &Key) -> booth_database::Result<()> {
        let bounds: Vec<&str> = key.bounds.iter().map(String::as_str).collect();
        let mut numbers: HashMap<String, usize> = HashMap::new();
        let mut places: HashMap<(usize, i64, usize), usize> = HashMap::new();
        let mut past: Vec<Sum> = Vec::new();
        self.rows(
            db,
            "+day <",
            &key.before,
            |booth, placement, day, minutes| {
                let number = match numbers.get(booth) {
                    Some(number) => *number,
                    None => {
                        let number = numbers.len();
                        numbers.insert(booth.to_owned(), number);
                        number
                    }
                };
                let time = bounds.partition_point(|bound| *bound <= day);
                let place = *places.entry((number, placement, time)).or_insert_with(|| {
                    past.push(Sum {
                        booth: booth.to_owned(),
                        placement,
                        day: day.to_owned(),
                        minutes: 0,
                    });
                    past.len() - 1
                });
                if let Some(sum) = past.get_mut(place) {
                    sum.minutes += minutes;
                }
            },
        )?;
        self.past = past;
        Ok(())
    }

    /// The rows on one side of this day. Most of them are read faster without the index.
    fn rows(
        &mut self,
        db: &Connection,
        side: &str,
        day: &str,
        mut take: impl FnMut(&str, i64, &str, u64),
    ) -> booth_database::Result<()> {
        let mut statement = db.prepare_cached(&format!(
            "SELECT booth_id, placement, day, ready_minutes FROM exposure WHERE {side} ?1 AND ready_minutes > 0"
        ))?;
        let mut rows = statement.query([day])?;
        while let Some(row) = rows.next()? {
            #[cfg(test)]
            {
                self.read += 1;
            }
            take(text(&row, 0)?, row.get(1)?, text(&row, 2)?, row.get(3)?);
        }
        Ok(())
    }
}

/// A column's text.
fn text<'r>(row: &'r Row<'_>, column: usize) -> booth_database::Result<&'r str> {
    Ok(row.get_ref(column)?.as_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)] // opens a store in a folder of its own

    use booth_database::params;
    use jiff::SignedDuration;
    use jiff::tz::TimeZone;

    use super::*;
    use crate::centre::BoothNow;
    use crate::places::placement::{self, Site};
    use crate::store::Store;

    const DAYS: i64 = 400;

    /// The ready minutes of all days from this one on.
    fn minutes(store: &Store, exposed: &mut Exposed, bound: &str) -> u64 {
        let mut sum = 0;
        store
            .read(|db| {
                let bounds = BTreeSet::from([bound.to_owned()]);
                exposed.each(db, bounds, |_, _, day, minutes| {
                    sum += if day >= bound { minutes } else { 0 };
                })
            })
            .expect("read");
        sum
    }

    #[test]
    fn the_years_are_read_once_and_again_only_where_they_have_changed() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("opens");
        let now: jiff::Timestamp = "2026-06-01T10:00:00Z".parse().expect("a time");
        let day =
            |ago: i64| (now - SignedDuration::from_hours(24 * ago)).to_string()[..10].to_owned();
        let site = Site {
            place: "Torvet".into(),
            ..Site::default()
        };
        let moves = |ago: i64| {
            let at = now - SignedDuration::from_hours(24 * ago);
            let moved = store.change_quietly(|db| {
                placement::move_booth(db, &TimeZone::UTC, "booth-1", at, &site)
            });
            moved.expect("moved");
        };
        moves(DAYS);
        let filled = store.change_quietly(|db| {
            for ago in 0..DAYS {
                for booth in 0..3 {
                    db.execute(
                        "INSERT INTO exposure (booth_id, placement, day, ready_minutes) VALUES (?1, 1, ?2, 1)",
                        params![format!("booth-{booth}"), day(ago)],
                    )?;
                }
            }
            Ok(())
        });
        filled.expect("filled");
        let rows = 3 * DAYS as u64;
        let mut exposed = Exposed::default();
        let mut read = |bound: &str| {
            let before = exposed.read;
            (minutes(&store, &mut exposed, bound), exposed.read - before)
        };
        let recent = 3 * 2;
        assert_eq!(read(&day(99)), (300, rows));
        assert_eq!(read(&day(99)), (300, recent), "the past is known");
        assert_eq!(
            read(&day(0)),
            (3, rows),
            "a campaign asks from another day on"
        );
        // A new minute of today.
        let ready = BoothNow {
            id: "booth-9".into(),
            name: String::new(),
            is_ready: true,
            today: std::collections::BTreeMap::new(),
            said_at: None,
        };
        let seen = store.change_quietly(|db| {
            let now = now + SignedDuration::from_mins(5);
            Ok(exposure::observe(db, &TimeZone::UTC, &[ready], now)?)
        });
        seen.expect("seen");
        assert_eq!(read(&day(0)), (4, recent + 1));
        // Somebody says late that a booth was moved.
        moves(30);
        assert_eq!(read(&day(0)), (4, rows + 1));
        assert_eq!(read(&day(0)), (4, recent + 1));
    }
}
