//! How long each booth was ready, and what it counted, by placement and day: what a number of messages has to be seen beside.
//!
//! Owns: the tables `ready_hour`, `counted` and `exposure`. A minute is a bit of its hour, set when the booth was seen ready in it, so that
//! it counts once however often it is looked at, and never if nobody looked: a hub that is away, or a clock that jumps, invents nothing.
//! Never does: keep anything about a citizen.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use booth_database::{Connection, OptionalExtension, Transaction, params};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use booth_contract::time::rfc3339;

use crate::centre::BoothNow;
use crate::follow;

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
    let mut oldest: Option<Date> = None;
    for booth in booths {
        let mut days = BTreeSet::new();
        if booth.is_ready {
            // Most looks see a minute that an earlier one has noted: then nothing is written.
            let noted = db
                .prepare_cached(
                    "INSERT INTO ready_hour (booth_id, hour, minutes) VALUES (?1, ?2, ?3)
                     ON CONFLICT (booth_id, hour) DO UPDATE SET minutes = minutes | excluded.minutes
                       WHERE minutes & excluded.minutes = 0",
                )?
                .execute(params![booth.id, rfc3339(hour), 1i64 << minute])?;
            if noted > 0 {
                days.insert(day_of(zone, now));
            }
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
            oldest = Some(oldest.map_or(day, |oldest| oldest.min(day)));
        }
    }
    match (oldest, settled_before(db)?) {
        (Some(oldest), Some(settled)) if oldest.to_string() < settled => past_changed(db),
        _ => Ok(()),
    }
}

/// The past of the exposure has changed so often, among the marks: whoever has summed it up does so anew.
const PAST: &str = "exposure";

/// From this day on rows change all the time: the day before the newest one. Those before it change with a placement, or where a booth said
/// late what it had counted. `None` where there are no rows.
pub(crate) fn settled_before(db: &Connection) -> booth_database::Result<Option<String>> {
    let newest: Option<String> = db
        .prepare_cached("SELECT max(day) FROM exposure")?
        .query_row([], |row| row.get(0))?;
    let day = newest.and_then(|day| day.parse::<Date>().ok());
    Ok(day
        .and_then(|day| day.yesterday().ok())
        .map(|day| day.to_string()))
}

/// How often the past has changed.
pub(crate) fn past_changes(db: &Connection) -> booth_database::Result<i64> {
    follow::number(db, PAST)
}

fn past_changed(db: &Transaction<'_>) -> booth_database::Result<()> {
    let changes = past_changes(db)?;
    follow::set(db, PAST, &(changes + 1).to_string())
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
    let counters = serde_json::to_string(&booth.today).unwrap_or_default();
    let said = (day, counters);
    if known.as_ref() == Some(&said) {
        return Ok(false);
    }
    let (day, counters) = said;
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

/// A placement of a booth, as far as a time is looked for in it.
struct Stay {
    placement: i64,
    since: String,
    until: Option<String>,
}

impl Stay {
    fn is_at(&self, at: &str) -> bool {
        self.since.as_str() <= at && self.until.as_deref().is_none_or(|until| until > at)
    }
}

/// Where a booth stood between these times, the latest first, as [`crate::follow::placement_at`] finds it.
fn stays(
    db: &Transaction<'_>,
    booth: &str,
    from: &str,
    to: &str,
) -> booth_database::Result<Vec<Stay>> {
    db.prepare_cached(
        "SELECT id, since, until FROM placement WHERE booth_id = ?1 AND since < ?3 AND (until IS NULL OR until > ?2)
         ORDER BY since DESC",
    )?
    .query_map(params![booth, from, to], |row| {
        Ok(Stay {
            placement: row.get(0)?,
            since: row.get(1)?,
            until: row.get(2)?,
        })
    })?
    .collect()
}

/// Takes out the rows of a booth's day.
const DAY_GOES: &str = "DELETE FROM exposure WHERE booth_id = ?1 AND day = ?2";

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
    let stays = stays(db, booth, &rfc3339(hour_of(from)), &rfc3339(to))?;
    let placed = |at: Timestamp| {
        let at = rfc3339(at);
        let stay = stays.iter().find(|stay| stay.is_at(&at));
        stay.map_or(0, |stay| stay.placement)
    };
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
        let (first, last) = (placed(at(0)), placed(at(59)));
        let mut own: BTreeMap<i64, i64> = BTreeMap::new();
        // Most hours know one place and are of one day.
        if first == last && at(0) >= from && at(59) < to {
            own.extend((bits != 0).then(|| (first, i64::from(bits.count_ones()))));
        } else {
            let ready = (0..60).filter(|minute| bits >> minute & 1 == 1).map(at);
            for at in ready.filter(|at| (from..to).contains(at)) {
                *own.entry(placed(at)).or_default() += 1;
            }
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
    db.prepare_cached(DAY_GOES)?.execute([booth, &day])?;
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
    past_changed(db)
}

/// The minutes in which booths were ready at each placement.
pub(crate) fn ready_minutes(db: &Connection) -> booth_database::Result<HashMap<i64, u64>> {
    db.prepare_cached("SELECT placement, sum(ready_minutes) FROM exposure GROUP BY 1")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// Messages for each day of 24 hours in which a booth was ready; `None` where no booth was ready for an hour.
pub(crate) fn per_booth_day(messages: u64, ready_minutes: u64) -> Option<f64> {
    let is_long_enough = ready_minutes >= LEAST_FOR_A_RATE;
    is_long_enough.then(|| messages as f64 * BOOTH_DAY as f64 / ready_minutes as f64)
}

#[cfg(test)]
mod tests;
