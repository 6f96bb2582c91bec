//! Booths that are ready and that nobody lifts, where people usually do.
//!
//! Owns: what is usual at a place, for each hour of the week, and from when on its absence is news. Reads `ready_hour` alone. A booth's own
//! alerts say what is broken; this says what nobody has noticed: a handset that hangs beside its hook, a door that does not open.

use booth_contract::Severity;
use booth_database::{Connection, OptionalExtension, params};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use booth_contract::time::rfc3339;

use super::Sighting;

/// So many lifts that usually come and did not are news. If lifts come by chance, one silence in 3,000 is as long by chance.
const MISSED: f64 = 8.0;
/// How far back from the last lift the usual is looked for: a silence, however long, does not become the usual.
const WEEKS: i64 = 8;
/// On so many days at least the booth must have been ready at this place.
const LEAST_DAYS: usize = 14;
/// An hour of the week counts once the booth was ready in it for so many minutes in all.
const LEAST_MINUTES: u32 = 90;

/// One hour in which a booth was ready.
#[derive(Debug, Clone, Copy)]
struct Hour {
    at: Timestamp,
    ready_minutes: u32,
    lifts: u32,
}

/// Which of these booths are too quiet.
pub(super) fn too_quiet(
    db: &Connection,
    zone: &TimeZone,
    now: Timestamp,
    booths: &[String],
) -> booth_database::Result<Vec<Sighting>> {
    let mut found = Vec::new();
    for booth in booths {
        let hours = hours_of(db, booth, now)?;
        if let Some((since, missed)) = missed(zone, &hours)
            && missed >= MISSED
        {
            found.push(Sighting {
                subject: booth.clone(),
                kind: "too_quiet".into(),
                severity: Severity::NeedsVisit,
                text: String::new(),
                since: Some(since),
                number: missed as i64,
            });
        }
    }
    Ok(found)
}

/// The hours of a booth at the place where it stands now.
fn hours_of(db: &Connection, booth: &str, now: Timestamp) -> booth_database::Result<Vec<Hour>> {
    let moved: Option<String> = db
        .prepare_cached("SELECT since FROM placement WHERE booth_id = ?1 AND since <= ?2 ORDER BY since DESC LIMIT 1")?
        .query_row(params![booth, rfc3339(now)], |row| row.get(0))
        .optional()?;
    let moved = moved.unwrap_or_default();
    let last: Option<String> = db
        .prepare_cached(
            "SELECT hour FROM ready_hour WHERE booth_id = ?1 AND lifts > 0 AND hour >= ?2 AND hour <= ?3 ORDER BY hour DESC LIMIT 1",
        )?
        .query_row(params![booth, moved, rfc3339(now)], |row| row.get(0))
        .optional()?;
    let Some(last) = last.and_then(|at| at.parse::<Timestamp>().ok()) else {
        return Ok(Vec::new());
    };
    let oldest = rfc3339(last - SignedDuration::from_hours(WEEKS * 7 * 24));
    let from = moved.max(oldest);
    let mut statement = db.prepare_cached(
        "SELECT hour, minutes, lifts FROM ready_hour WHERE booth_id = ?1 AND hour >= ?2 AND hour <= ?3 ORDER BY hour",
    )?;
    let rows = statement.query_map(params![booth, from, rfc3339(now)], |row| {
        let at: String = row.get(0)?;
        let minutes: i64 = row.get(1)?;
        let lifts: i64 = row.get(2)?;
        Ok(at.parse().ok().map(|at| Hour {
            at,
            ready_minutes: minutes.count_ones(),
            lifts: u32::try_from(lifts).unwrap_or(0),
        }))
    })?;
    rows.filter_map(Result::transpose).collect()
}

/// Since when nobody has lifted the handset, and how many lifts usually come in the ready hours since then; `None` where too little is known.
fn missed(zone: &TimeZone, hours: &[Hour]) -> Option<(Timestamp, f64)> {
    let slot = |at: Timestamp| {
        let local = at.to_zoned_datetime(zone.clone());
        let day = local.weekday().to_monday_zero_offset();
        usize::from(day.unsigned_abs()) * 24 + usize::from(local.hour().unsigned_abs())
    };
    let last = hours.iter().rposition(|hour| hour.lifts > 0)?;
    let (usual, since) = hours.split_at(last + 1);
    let mut days: Vec<_> = usual
        .iter()
        .map(|hour| hour.at.to_zoned_datetime(zone.clone()).date())
        .collect();
    days.dedup();
    if days.len() < LEAST_DAYS {
        return None;
    }
    let mut lifts = [0_u32; 7 * 24];
    let mut minutes = [0_u32; 7 * 24];
    for hour in usual {
        let lifts = &mut lifts[slot(hour.at)];
        *lifts = lifts.saturating_add(hour.lifts);
        minutes[slot(hour.at)] += hour.ready_minutes;
    }
    let of_an_hour = |hour: &Hour| {
        let (lifts, minutes) = (lifts[slot(hour.at)], minutes[slot(hour.at)]);
        match minutes >= LEAST_MINUTES {
            true => f64::from(lifts) / f64::from(minutes) * f64::from(hour.ready_minutes),
            false => 0.0,
        }
    };
    // The lifts of the last hour came at some time in it; what came after them there is not known, and not missed.
    let missed = since.iter().map(of_an_hour).sum();
    Some((hours[last].at, missed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone() -> TimeZone {
        TimeZone::get("Europe/Copenhagen").expect("a zone")
    }

    /// A booth that is ready all day, with this many lifts in each hour from 8 to 20 o'clock.
    fn weeks(days: i64, by_day: u32) -> Vec<Hour> {
        let from: Timestamp = "2026-03-02T00:00:00Z".parse().expect("a time");
        (0..days * 24)
            .map(|n| {
                let at = from + SignedDuration::from_hours(n);
                let hour = at.to_zoned_datetime(zone()).hour();
                Hour {
                    at,
                    ready_minutes: 60,
                    lifts: if (8..20).contains(&hour) { by_day } else { 0 },
                }
            })
            .collect()
    }

    #[test]
    fn a_night_is_quiet_as_it_always_is_and_a_day_without_a_lift_is_not() {
        let mut hours = weeks(21, 2);
        let (_, at_midnight) = missed(&zone(), &hours).expect("enough is known");
        assert!(at_midnight < 1.0, "{at_midnight}");
        let end = hours.len();
        for hour in &mut hours[end - 24..] {
            hour.lifts = 0;
        }
        // Two lifts an hour over twelve hours are missed.
        let (since, number) = missed(&zone(), &hours).expect("enough is known");
        assert!((23.0..25.0).contains(&number), "{number}");
        assert_eq!(since, hours[end - 24 - 6].at, "the last hour with a lift");
    }

    #[test]
    fn nothing_is_missed_where_little_is_known_or_the_booth_was_not_ready() {
        assert_eq!(missed(&zone(), &[]), None);
        assert_eq!(missed(&zone(), &weeks(13, 0)), None);
        let mut new = weeks(10, 5);
        new.extend(weeks(30, 0).split_off(24 * 10));
        assert_eq!(missed(&zone(), &new), None, "ten days are too few");
        let mut closed = weeks(21, 2);
        let end = closed.len();
        for hour in &mut closed[end - 48..] {
            (hour.lifts, hour.ready_minutes) = (0, 0);
        }
        let (_, number) = missed(&zone(), &closed).expect("enough is known");
        assert!(number < 0.001, "{number}");
    }
}
