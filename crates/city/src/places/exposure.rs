//! How long each booth was ready, and what it counted, by placement and day: what a number of messages has to be seen beside.
//!
//! Owns: the tables `ready_hour`, `counted` and `exposure`. A minute is a bit of its hour, set when the booth was seen ready in it, so that
//! it counts once however often it is looked at, and never if nobody looked: a hub that is away, or a clock that jumps, invents nothing.
//! Never does: keep anything about a citizen.

use std::collections::{BTreeMap, BTreeSet};

use booth_database::{Connection, OptionalExtension, Transaction, params};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use booth_contract::time::rfc3339;

use crate::centre::BoothNow;
use crate::follow::placement_at;

/// The counters of a day, by their names in health and as columns.
const COUNTERS: [&str; 5] = ["lifts", "clips", "refused", "left_early", "discarded"];
/// Minutes of a booth-day.
pub(crate) const BOOTH_DAY: u64 = 24 * 60;
/// With less than this no rate is told, minutes: a booth that was on for a moment says nothing.
const LEAST_FOR_A_RATE: u64 = 60;

fn hour_of(at: Timestamp) -> Timestamp {
    let into = at.as_second().rem_euclid(3_600);
    Timestamp::from_second(at.as_second() - into).unwrap_or(at)
}

fn day_of(zone: &TimeZone, at: Timestamp) -> Date {
    at.to_zoned_datetime(zone.clone()).date()
}

/// Notes which booths are ready in this minute, and what they have counted since they were asked last.
pub(crate) fn observe(
    db: &Transaction<'_>,
    zone: &TimeZone,
    booths: &[BoothNow],
    now: Timestamp,
) -> booth_database::Result<()> {
    let hour = hour_of(now);
    let minute = (now.as_second() - hour.as_second()) / 60;
    for booth in booths {
        let mut days = BTreeSet::new();
        if booth.is_ready {
            db.prepare_cached(
                "INSERT INTO ready_hour (booth_id, hour, minutes) VALUES (?1, ?2, ?3)
                 ON CONFLICT (booth_id, hour) DO UPDATE SET minutes = minutes | excluded.minutes",
            )?
            .execute(params![booth.id, rfc3339(hour), 1i64 << minute])?;
            days.insert(day_of(zone, now));
        }
        // What a booth says of a time that is still to come is of no day.
        if let Some(said_at) = booth.said_at.filter(|at| *at <= now) {
            let day = day_of(zone, said_at);
            if count(db, booth, day, hour_of(said_at))? {
                days.insert(day);
            }
        }
        for day in days {
            settle(db, zone, &booth.id, day)?;
        }
    }
    Ok(())
}

/// Adds what a booth has counted since it said so last; whether there was anything.
fn count(
    db: &Transaction<'_>,
    booth: &BoothNow,
    day: Date,
    hour: Timestamp,
) -> booth_database::Result<bool> {
    let known: Option<(String, String)> = db
        .prepare_cached("SELECT day, counters FROM counted WHERE booth_id = ?1")?
        .query_row([&booth.id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let day = day.to_string();
    // An old word that comes late is of a day that is counted already.
    if known.as_ref().is_some_and(|(known, _)| *known > day) {
        return Ok(false);
    }
    let before: BTreeMap<String, u64> = known
        .filter(|(known, _)| *known == day)
        .and_then(|(_, counters)| serde_json::from_str(&counters).ok())
        .unwrap_or_default();
    let grown = COUNTERS.map(|name| {
        let counted = booth.today.get(name).copied().unwrap_or(0);
        let before = before.get(name).copied().unwrap_or(0);
        // A booth that lost its counters begins again.
        let grown = if counted >= before {
            counted - before
        } else {
            counted
        };
        i64::try_from(grown).unwrap_or(0)
    });
    let counters = serde_json::to_string(&booth.today).unwrap_or_default();
    db.prepare_cached(
        "INSERT INTO counted VALUES (?1, ?2, ?3) ON CONFLICT (booth_id) DO UPDATE SET day = ?2, counters = ?3",
    )?
    .execute(params![booth.id, day, counters])?;
    if grown.iter().all(|grown| *grown == 0) {
        return Ok(false);
    }
    db.prepare_cached(
        "INSERT INTO ready_hour (booth_id, hour, lifts, clips, refused, left_early, discarded) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (booth_id, hour) DO UPDATE SET lifts = lifts + excluded.lifts, clips = clips + excluded.clips,
           refused = refused + excluded.refused, left_early = left_early + excluded.left_early,
           discarded = discarded + excluded.discarded",
    )?
    .execute(params![
        booth.id,
        rfc3339(hour),
        grown[0],
        grown[1],
        grown[2],
        grown[3],
        grown[4]
    ])?;
    Ok(true)
}

/// What one placement has of a day.
#[derive(Default)]
struct Share {
    minutes: i64,
    counters: [i64; COUNTERS.len()],
}

/// Makes the rows of a booth's day anew from its hours. What an hour counted belongs to the placement that has most of its ready minutes,
/// or, without any, to the one at its end.
fn settle(
    db: &Transaction<'_>,
    zone: &TimeZone,
    booth: &str,
    day: Date,
) -> booth_database::Result<()> {
    let midnight = |day: Date| {
        let begins = day.to_zoned_datetime(zone.clone());
        begins.map_or(Timestamp::UNIX_EPOCH, |begins| begins.timestamp())
    };
    let (from, to) = (midnight(day), midnight(day.tomorrow().unwrap_or(day)));
    let mut shares: BTreeMap<i64, Share> = BTreeMap::new();
    let mut statement = db.prepare_cached(
        "SELECT hour, minutes, lifts, clips, refused, left_early, discarded FROM ready_hour
         WHERE booth_id = ?1 AND hour >= ?2 AND hour < ?3",
    )?;
    let rows = statement.query_map(params![booth, rfc3339(hour_of(from)), rfc3339(to)], |row| {
        let counters: [i64; COUNTERS.len()] = [
            row.get(2)?,
            row.get(3)?,
            row.get(4)?,
            row.get(5)?,
            row.get(6)?,
        ];
        Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, counters))
    })?;
    for row in rows {
        let (hour, bits, counters) = row?;
        let Ok(hour) = hour.parse::<Timestamp>() else {
            continue;
        };
        let at = |minute: i64| hour + SignedDuration::from_mins(minute);
        let placed = |at: Timestamp| -> booth_database::Result<i64> {
            Ok(placement_at(db, booth, &rfc3339(at))?.map_or(0, |(placement, _)| placement))
        };
        let (first, last) = (placed(at(0))?, placed(at(59))?);
        let mut own: BTreeMap<i64, i64> = BTreeMap::new();
        for minute in (0..60).filter(|minute| bits >> minute & 1 == 1) {
            let at = at(minute);
            if at < from || at >= to {
                continue;
            }
            // Most hours know one place.
            let placement = match first == last {
                true => first,
                false => placed(at)?,
            };
            *own.entry(placement).or_default() += 1;
        }
        // A zone whose midnight lies within an hour gives that hour's counters to the day of its beginning.
        if hour >= from {
            let most = own.iter().max_by_key(|(_, minutes)| **minutes);
            let placement = most.map_or(last, |(placement, _)| *placement);
            let share = shares.entry(placement).or_default();
            for (sum, counted) in share.counters.iter_mut().zip(counters) {
                *sum += counted;
            }
        }
        for (placement, minutes) in own {
            shares.entry(placement).or_default().minutes += minutes;
        }
    }
    drop(statement);
    let day = day.to_string();
    db.prepare_cached("DELETE FROM exposure WHERE booth_id = ?1 AND day = ?2")?
        .execute([booth, &day])?;
    for (placement, Share { minutes, counters }) in shares {
        db.prepare_cached(
            "INSERT INTO exposure (booth_id, placement, day, ready_minutes, lifts, clips, refused, left_early, discarded)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            booth,
            placement,
            day,
            minutes,
            counters[0],
            counters[1],
            counters[2],
            counters[3],
            counters[4]
        ])?;
    }
    Ok(())
}

/// Makes the rows of a booth anew from one time to another, after its placements have changed.
pub(super) fn count_anew(
    db: &Transaction<'_>,
    zone: &TimeZone,
    booth: &str,
    from: &str,
    to: Option<&str>,
) -> booth_database::Result<()> {
    let before: String = match from.parse::<Timestamp>() {
        Ok(from) => rfc3339(hour_of(from)),
        Err(_) => String::new(),
    };
    let hours: Vec<String> = db
        .prepare_cached(
            "SELECT hour FROM ready_hour WHERE booth_id = ?1 AND hour >= ?2 AND hour <= ?3",
        )?
        .query_map(params![booth, before, to.unwrap_or("9999")], |row| {
            row.get(0)
        })?
        .collect::<booth_database::Result<_>>()?;
    let mut days = BTreeSet::new();
    for hour in hours
        .iter()
        .filter_map(|hour| hour.parse::<Timestamp>().ok())
    {
        days.insert(day_of(zone, hour));
        days.insert(day_of(zone, hour + SignedDuration::from_mins(59)));
    }
    for day in days {
        settle(db, zone, booth, day)?;
    }
    Ok(())
}

/// Of which booths, places and days the ready minutes are wanted; what is not named is not asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Of<'a> {
    /// In this area.
    pub(crate) area: Option<&'a str>,
    /// At this placement.
    pub(crate) placement: Option<i64>,
    /// Of these booths.
    pub(crate) booths: Option<&'a [String]>,
    /// From this day on, `YYYY-MM-DD`.
    pub(crate) from: Option<&'a str>,
    /// Up to and with this day.
    pub(crate) to: Option<&'a str>,
}

/// The minutes in which booths were ready.
pub(crate) fn ready_minutes(db: &Connection, of: &Of<'_>) -> booth_database::Result<u64> {
    let booths = of
        .booths
        .map(|booths| serde_json::to_string(booths).unwrap_or_default());
    db.prepare_cached(
        "SELECT coalesce(sum(ready_minutes), 0) FROM exposure LEFT JOIN placement ON placement.id = exposure.placement
         WHERE (?1 IS NULL OR placement.area_id = ?1) AND (?2 IS NULL OR exposure.placement = ?2)
           AND (?3 IS NULL OR exposure.booth_id IN (SELECT value FROM json_each(?3)))
           AND (?4 IS NULL OR day >= ?4) AND (?5 IS NULL OR day <= ?5)",
    )?
    .query_row(
        params![of.area, of.placement, booths, of.from, of.to],
        |row| row.get(0),
    )
}

/// Messages for each day of 24 hours in which a booth was ready; `None` where no booth was ready for an hour.
pub(crate) fn per_booth_day(messages: u64, ready_minutes: u64) -> Option<f64> {
    let is_long_enough = ready_minutes >= LEAST_FOR_A_RATE;
    is_long_enough.then(|| messages as f64 * BOOTH_DAY as f64 / ready_minutes as f64)
}

#[cfg(test)]
mod tests;
