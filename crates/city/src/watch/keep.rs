//! Which alerts are open: what is seen becomes an alert after a while, and is over after a while without being seen. What comes and goes again
//! and again is over later each time.
//!
//! Owns: the rows of `watch` and `watch_pause`. A look that finds nothing new writes nothing. Runs inside the store's transaction.

use std::collections::{BTreeMap, BTreeSet};

use booth_contract::Severity;
use booth_contract::time::rfc3339;
use booth_database::{Connection, Transaction, params};
use jiff::{SignedDuration, Timestamp};

use super::Sighting;

/// What is not seen for so long is over.
const OVER_AFTER: SignedDuration = SignedDuration::from_secs(120);
/// With each end of the same alert within a day this is twice as long, and so often at most: whoever is on duty is not told all day of what comes
/// and goes.
const MOST_DOUBLED: u32 = 6;
/// A loss that grows is told again after this at the soonest: a booth that invents losses writes no mail each minute.
const TOLD_ANEW: SignedDuration = SignedDuration::from_hours(1);
/// Alerts that are over are kept so long.
const KEPT: SignedDuration = SignedDuration::from_hours(366 * 24);
/// Alerts of one booth that are over and kept: a booth that raises and clears what it likes fills no disk.
const MOST_OVER: i64 = 500;
/// Most alerts that are open at a time; further ones wait until there is room.
const MOST_OPEN: usize = 20_000;

/// How long something must be seen before it is an alert: what comes and goes by itself is none.
fn raised_after(kind: &str) -> SignedDuration {
    SignedDuration::from_secs(match kind {
        "broker" | "fleet_silent" | "bodies" | "workers" => 60,
        "silent" | "clock_off" | "hub_clock" => 120,
        // What fails is tried again: most of it goes well the next time.
        "workers_unseen" | "withdrawals" | "follow" | "retention" | "alarms" => 300,
        // Clips are on their way for a while.
        "gaps" => 1_800,
        _ => 0,
    })
}

/// The word of a severity in the database, worst first in order of the alphabet.
pub(super) fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::CitizenCannotSpeak => "1 citizen_cannot_speak",
        Severity::NeedsVisit => "2 needs_visit",
        Severity::Watch => "3 watch",
    }
}

struct Open {
    id: i64,
    first_seen: Timestamp,
    is_raised: bool,
    unseen_since: Option<Timestamp>,
    /// What the row says: severity, text and number.
    says: (String, String, i64),
}

pub(super) fn has_open(db: &Connection) -> booth_database::Result<bool> {
    db.prepare_cached("SELECT EXISTS (SELECT 1 FROM watch WHERE over_at IS NULL)")?
        .query_row([], |row| row.get(0))
}

/// Takes over what is seen now. A booth that is paused is not looked at, and its alerts are over without a word.
pub(super) fn note(
    tx: &Transaction<'_>,
    now: Timestamp,
    seen: &[Sighting],
) -> booth_database::Result<()> {
    let paused = paused(tx, now)?;
    let mut open = open(tx)?;
    let mut room = MOST_OPEN.saturating_sub(open.len());
    let mut noted = BTreeSet::new();
    for one in seen {
        let key = (one.subject.clone(), one.kind.clone());
        if paused.contains(&one.subject) || !noted.insert(key.clone()) {
            continue;
        }
        match open.remove(&key) {
            Some(row) => see_again(tx, now, one, &row)?,
            None if room == 0 => {}
            None => {
                room -= 1;
                begin(tx, now, one)?;
            }
        }
    }
    // Of a booth that says nothing nobody knows whether what it raised before is over.
    let is_fleet_unknown = seen.iter().any(|one| {
        one.subject.is_empty() && matches!(one.kind.as_str(), "broker" | "fleet_silent")
    });
    let silent = seen.iter().filter(|one| one.kind == "silent");
    let silent: BTreeSet<&str> = silent.map(|one| one.subject.as_str()).collect();
    let ended = match open.is_empty() {
        true => BTreeMap::new(),
        false => ended(tx, now)?,
    };
    let mut has_ended = false;
    for (key, row) in open {
        let subject = &key.0;
        if paused.contains(subject) {
            tx.prepare_cached("DELETE FROM watch_notice WHERE watch = ?1")?
                .execute([row.id])?;
            end(tx, now, &row)?;
            has_ended = true;
        } else if subject.is_empty() || !(is_fleet_unknown || silent.contains(subject.as_str())) {
            let times = ended.get(&key).copied().unwrap_or(0);
            has_ended |= miss(tx, now, over_after(times), &row)?;
        }
    }
    tx.prepare_cached("DELETE FROM watch WHERE over_at < ?1")?
        .execute([rfc3339(now - KEPT)])?;
    match has_ended {
        true => bound(tx),
        false => Ok(()),
    }
}

/// How often each alert has ended within a day.
fn ended(
    tx: &Transaction<'_>,
    now: Timestamp,
) -> booth_database::Result<BTreeMap<(String, String), u32>> {
    let mut statement = tx.prepare_cached(
        "SELECT subject, kind, count(*) FROM watch WHERE over_at >= ?1 GROUP BY subject, kind",
    )?;
    let a_day_ago = rfc3339(now - SignedDuration::from_hours(24));
    let rows = statement.query_map([a_day_ago], |row| {
        Ok(((row.get(0)?, row.get(1)?), row.get(2)?))
    })?;
    rows.collect()
}

/// How long an alert that has ended so often must be unseen until it is over.
fn over_after(times: u32) -> SignedDuration {
    OVER_AFTER * (1_i32 << times.min(MOST_DOUBLED))
}

/// Deletes what of one booth is too much.
fn bound(tx: &Transaction<'_>) -> booth_database::Result<()> {
    tx.prepare_cached(
        "DELETE FROM watch WHERE id IN (SELECT id FROM (
           SELECT id, row_number() OVER (PARTITION BY subject ORDER BY id DESC) AS nth FROM watch WHERE over_at IS NOT NULL)
         WHERE nth > ?1)",
    )?
    .execute([MOST_OVER])?;
    Ok(())
}

fn open(tx: &Transaction<'_>) -> booth_database::Result<BTreeMap<(String, String), Open>> {
    let mut statement = tx.prepare_cached(
        "SELECT subject, kind, id, first_seen, raised_at IS NOT NULL, unseen_since, severity, text, number FROM watch WHERE over_at IS NULL",
    )?;
    let rows = statement.query_map([], |row| {
        let first_seen: String = row.get(3)?;
        let unseen: Option<String> = row.get(5)?;
        let open = Open {
            id: row.get(2)?,
            first_seen: first_seen.parse().unwrap_or(Timestamp::UNIX_EPOCH),
            is_raised: row.get(4)?,
            unseen_since: unseen.and_then(|at| at.parse().ok()),
            says: (row.get(6)?, row.get(7)?, row.get(8)?),
        };
        Ok(((row.get(0)?, row.get(1)?), open))
    })?;
    rows.collect()
}

fn begin(tx: &Transaction<'_>, now: Timestamp, one: &Sighting) -> booth_database::Result<()> {
    let is_due = raised_after(&one.kind).is_zero();
    tx.prepare_cached(
        "INSERT INTO watch (subject, kind, severity, text, since, number, first_seen, raised_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        one.subject,
        one.kind,
        word(one.severity),
        one.text,
        one.since.map(rfc3339),
        one.number,
        rfc3339(now),
        is_due.then(|| rfc3339(now)),
    ])?;
    Ok(())
}

fn see_again(
    tx: &Transaction<'_>,
    now: Timestamp,
    one: &Sighting,
    row: &Open,
) -> booth_database::Result<()> {
    if row.unseen_since.is_some() {
        tx.prepare_cached("UPDATE watch SET unseen_since = NULL WHERE id = ?1")?
            .execute([row.id])?;
    }
    let says = (word(one.severity).to_owned(), one.text.clone(), one.number);
    if says != row.says {
        tx.prepare_cached(
            "UPDATE watch SET severity = ?2, text = ?3, number = ?4, since = ?5 WHERE id = ?1",
        )?
        .execute(params![
            row.id,
            says.0,
            says.1,
            says.2,
            one.since.map(rfc3339)
        ])?;
    }
    if one.kind == "gaps" && row.is_raised && one.number > row.says.2 {
        tell_anew(tx, now, row)?;
    }
    // A clock that was set back makes nothing due for ever.
    let stood = now.duration_since(row.first_seen);
    if !row.is_raised && (stood >= raised_after(&one.kind) || stood.is_negative()) {
        tx.prepare_cached("UPDATE watch SET raised_at = ?2 WHERE id = ?1")?
            .execute(params![row.id, rfc3339(now)])?;
    }
    Ok(())
}

/// What is lost stays lost, and its alert open: a further loss is news, also where the first was told and taken on.
fn tell_anew(tx: &Transaction<'_>, now: Timestamp, row: &Open) -> booth_database::Result<()> {
    let is_just_told: bool = tx
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM watch_notice WHERE watch = ?1 AND is_over = 0 AND made_at > ?2)",
        )?
        .query_row(params![row.id, rfc3339(now - TOLD_ANEW)], |row| row.get(0))?;
    if is_just_told {
        return Ok(());
    }
    tx.prepare_cached(
        "UPDATE watch SET taken_by = NULL, taken_at = NULL, snoozed_until = NULL WHERE id = ?1",
    )?
    .execute([row.id])?;
    tx.prepare_cached("DELETE FROM watch_notice WHERE watch = ?1 AND is_over = 0")?
        .execute([row.id])?;
    Ok(())
}

/// Whether it is over now.
fn miss(
    tx: &Transaction<'_>,
    now: Timestamp,
    over_after: SignedDuration,
    row: &Open,
) -> booth_database::Result<bool> {
    match row.unseen_since {
        None => {
            tx.prepare_cached("UPDATE watch SET unseen_since = ?2 WHERE id = ?1")?
                .execute(params![row.id, rfc3339(now)])?;
            Ok(false)
        }
        Some(since) if (SignedDuration::ZERO..over_after).contains(&now.duration_since(since)) => {
            Ok(false)
        }
        Some(_) => end(tx, now, row).map(|()| true),
    }
}

/// What was never raised leaves nothing behind.
fn end(tx: &Transaction<'_>, now: Timestamp, row: &Open) -> booth_database::Result<()> {
    let statement = match row.is_raised {
        true => "UPDATE watch SET over_at = ?2 WHERE id = ?1",
        false => "DELETE FROM watch WHERE id = ?1 AND ?2 IS NOT NULL",
    };
    tx.prepare_cached(statement)?
        .execute(params![row.id, rfc3339(now)])?;
    Ok(())
}

/// The booths that are paused.
pub(super) fn paused(db: &Connection, now: Timestamp) -> booth_database::Result<BTreeSet<String>> {
    let mut statement = db.prepare_cached("SELECT booth_id FROM watch_pause WHERE until > ?1")?;
    let rows = statement.query_map([rfc3339(now)], |row| row.get(0))?;
    rows.collect()
}
