//! In which hours of the year the booths were ready, and what they counted.
//!
//! Owns: writing both beside what the hub has. The hub counts a day while it goes by, on its own clock: nobody can send it a year.

use std::path::Path;
use std::time::Duration;

use jiff::ToSpan;
use jiff::civil::Date;
use rusqlite::{Connection, params};

use super::booths::Chance;

/// For each placement, from and to a day, how ready its booth was, and for each day what it counted beside the messages that it sent.
pub(super) fn fill(folder: &Path, today: Date) -> rusqlite::Result<()> {
    let mut db = Connection::open(folder.join("store/city.sqlite"))?;
    db.busy_timeout(Duration::from_secs(30))?;
    let mut chance = Chance::new(7);
    let tx = db.transaction()?;
    let placements: Vec<(i64, String, String, Option<String>)> = tx
        .prepare("SELECT id, booth_id, substr(since, 1, 10), substr(until, 1, 10) FROM placement ORDER BY id")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (placement, booth, since, until) in placements {
        let mut day: Date = since.parse().expect("a day");
        let end: Date = until.map_or(today, |until| until.parse().expect("a day"));
        while day < end {
            // A booth is asleep at night, and out of order now and then.
            let minutes = match chance.often(3) {
                true => chance.below(300),
                false => 840 + chance.below(60),
            };
            let kept: usize = tx
                .prepare_cached("SELECT count(*) FROM message WHERE placement = ?1 AND substr(said_at, 1, 10) = ?2")?
                .query_row(params![placement, day.to_string()], |row| row.get(0))?;
            let (left_early, refused) = (chance.below(3 + kept), chance.below(2 + kept));
            let discarded = usize::from(kept > 0 && chance.often(15));
            let lifts = kept + left_early + refused + discarded;
            tx.prepare_cached(
                "INSERT OR REPLACE INTO exposure (booth_id, placement, day, ready_minutes, lifts, clips, refused, left_early, discarded)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                booth, placement, day.to_string(), minutes, lifts, kept, refused, left_early, discarded
            ])?;
            day = day.saturating_add(1.days());
        }
    }
    tx.commit()
}
