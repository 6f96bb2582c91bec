//! Which alerts of a booth are raised: by what it said, and by what it did not say again.
//!
//! Owns: an alert's row, when it was said last, the end of one that nobody cleared in the hub's hearing, and the history of those
//! that are over: no booth's word deletes it. Never does: believe
//! a broker to have kept anything for a hub that was away. Runs inside the store's transaction.
//!
//! A booth says every alert of its table, raised or empty, on each connect and when the hub has come (contract §3): a birth that
//! is no repeat of the broker's begins such an introduction, and the next health ends it. An alert that was not said since
//! is of an older program, or was cleared unheard; it goes when the booth counts no more alerts than were said. Until then, and
//! while the booth has not introduced itself since the hub came, it is shown as not confirmed.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use super::fleet::{self, FleetError, malformed, parsed};
use super::ingest::{is_token, shortened};
use booth_contract::time::rfc3339;
use booth_contract::{Alert, AlertId, BoothId, Health, Severity};

/// Most alerts of one booth that are not of the table; one more is refused.
const MAX_ALERTS_PER_BOOTH: i64 = 64;
/// Most alerts of one booth in its history. What goes first is not of the table, then what is least severe; of that the oldest, and
/// the first of each day last.
const MAX_HISTORY_PER_BOOTH: i64 = 400;
/// The same of one alert.
const MAX_HISTORY_PER_ALERT: i64 = 40;
/// An alert may overtake the birth that it follows by this much.
const OVERTAKING_S: i64 = 60;
/// So long after an introduction an alert that is not confirmed goes, whatever the booth counts.
const UNCONFIRMED_AT_MOST_S: i64 = 3600;

/// `alert/{id}`: raised, or cleared by an empty payload.
pub fn alert(
    db: &Connection,
    now: Timestamp,
    booth: &BoothId,
    id: &str,
    payload: &[u8],
) -> Result<(), FleetError> {
    if !is_token(id) {
        return malformed("an alert's id is no plain name");
    }
    if payload.is_empty() {
        let raised: Option<i64> = db
            .prepare_cached("SELECT rowid FROM alert WHERE booth_id = ?1 AND id = ?2")?
            .query_row([booth.as_str(), id], |row| row.get(0))
            .optional()?;
        return match raised {
            Some(row) => Ok(end(db, now, booth, row)?),
            None => Ok(()),
        };
    }
    let alert: Alert = parsed("alert", payload)?;
    if !alert.id.is_empty() && alert.id != id {
        return malformed(format!("alert {id} names another id"));
    }
    fleet::heard(db, now, booth)?;
    let known = if fleet::card_known_at(db, booth, &alert.card_id)? {
        fleet::latest_session(db, booth, &alert.card_id)?
    } else {
        None
    };
    if let (Some(known), Some(said)) = (known, alert.session)
        && said < known
    {
        return Ok(()); // an older process; the newer one said everything anew
    }
    let of_the_table = AlertId::parse(id);
    let count: i64 = db
        .prepare_cached("SELECT count(*) FROM alert WHERE booth_id = ?1 AND id <> ?2")?
        .query_row([booth.as_str(), id], |row| row.get(0))?;
    // Whatever a booth invents, those of the table have their place.
    if of_the_table.is_none() && count >= MAX_ALERTS_PER_BOOTH {
        return malformed(format!(
            "{booth} raises more than {MAX_ALERTS_PER_BOOTH} alerts"
        ));
    }
    let severity = alert
        .severity
        .or(of_the_table.map(AlertId::severity))
        .unwrap_or(Severity::Watch);
    let severity = serde_json::to_value(severity)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default();
    let text: String = match alert.text.is_empty() {
        true => of_the_table.map_or_else(|| id.to_owned(), |id| id.meaning().to_owned()),
        false => alert.text.chars().take(500).collect(),
    };
    // Who plays a raised alert down does not erase what it was.
    let raised: Option<(i64, String)> = db
        .prepare_cached("SELECT rowid, severity FROM alert WHERE booth_id = ?1 AND id = ?2")?
        .query_row([booth.as_str(), id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if let Some((row, _)) = raised.filter(|(_, before)| *before != severity) {
        end(db, now, booth, row)?;
    }
    db.prepare_cached(
        "INSERT INTO alert (booth_id, id, severity, text, since, said_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO UPDATE SET severity = excluded.severity, text = excluded.text,
           since = excluded.since, said_at = excluded.said_at",
    )?
    .execute(params![
        booth.as_str(),
        id,
        severity,
        text,
        shortened(&alert.since),
        rfc3339(now)
    ])?;
    Ok(())
}

/// An introduction has begun.
pub fn introduced(db: &Connection, now: Timestamp, booth: &BoothId) -> Result<(), rusqlite::Error> {
    db.prepare_cached("UPDATE booth SET introduced_at = ?2 WHERE booth_id = ?1")?
        .execute(params![booth.as_str(), rfc3339(now)])?;
    Ok(())
}

/// The hub is connected anew: what it knows is of before.
pub fn hub_came(db: &Connection, now: Timestamp) -> Result<(), rusqlite::Error> {
    db.execute(
        "INSERT OR REPLACE INTO hub (id, came_at) VALUES (1, ?1)",
        [rfc3339(now)],
    )?;
    Ok(())
}

/// When the hub was connected last; empty if it never was.
pub fn came_at(db: &Connection) -> Result<String, rusqlite::Error> {
    Ok(db
        .prepare_cached("SELECT came_at FROM hub WHERE id = 1")?
        .query_row([], |row| row.get(0))
        .optional()?
        .unwrap_or_default())
}

/// An alert that was said from this time on is confirmed; times are RFC 3339 UTC with milliseconds, which sort as text.
pub fn confirmed_from(came_at: &str, introduced_at: Option<&str>) -> String {
    let introduced = introduced_at
        .filter(|at| *at >= came_at)
        .and_then(|at| at.parse::<Timestamp>().ok())
        .map(|at| rfc3339(at - SignedDuration::from_secs(OVERTAKING_S)));
    introduced.unwrap_or_default().max(came_at.to_owned())
}

/// A live health: if the booth has introduced itself since the hub came, what it did not say again goes.
pub fn settle(
    db: &Connection,
    now: Timestamp,
    booth: &BoothId,
    health: &Health,
) -> Result<(), rusqlite::Error> {
    let introduced: Option<String> = db
        .prepare_cached("SELECT introduced_at FROM booth WHERE booth_id = ?1")?
        .query_row([booth.as_str()], |row| row.get(0))
        .optional()?
        .flatten();
    let came = came_at(db)?;
    let Some(introduced) = introduced.filter(|at| *at >= came) else {
        return Ok(());
    };
    let from = confirmed_from(&came, Some(&introduced));
    let confirmed: i64 = db
        .prepare_cached("SELECT count(*) FROM alert WHERE booth_id = ?1 AND said_at >= ?2")?
        .query_row([booth.as_str(), &from], |row| row.get(0))?;
    let counted = health.get("faults").unwrap_or(0.0);
    let long_ago = rfc3339(now - SignedDuration::from_secs(UNCONFIRMED_AT_MOST_S));
    // If the booth counts more than were said, one was lost on its way: better one too many on the page than one too few.
    if confirmed as f64 >= counted || introduced < long_ago {
        let unsaid: Vec<i64> = db
            .prepare_cached("SELECT rowid FROM alert WHERE booth_id = ?1 AND said_at < ?2")?
            .query_map([booth.as_str(), &from], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        for row in unsaid {
            end(db, now, booth, row)?;
        }
    }
    Ok(())
}

/// An alert is over: it goes into the history.
fn end(db: &Connection, now: Timestamp, booth: &BoothId, row: i64) -> Result<(), rusqlite::Error> {
    let id: String = db
        .prepare_cached("SELECT id FROM alert WHERE rowid = ?1")?
        .query_row([row], |row| row.get(0))?;
    // What a booth says of its own alerts' severity does not count here.
    let rank = match AlertId::parse(&id).map(AlertId::severity) {
        Some(Severity::CitizenCannotSpeak) => 0,
        Some(Severity::NeedsVisit) => 1,
        Some(Severity::Watch) => 2,
        None => 3,
    };
    db.prepare_cached(
        "INSERT INTO alert_history (booth_id, id, severity, text, since, said_at, cleared_at, rank)
         SELECT booth_id, id, severity, text, since, said_at, ?2, ?3 FROM alert WHERE rowid = ?1",
    )?
    .execute(params![row, rfc3339(now), rank])?;
    db.prepare_cached("DELETE FROM alert WHERE rowid = ?1")?
        .execute([row])?;
    for (of, most, at_once) in [
        ("id = ?2", MAX_HISTORY_PER_ALERT, 8),
        ("?2 <> ''", MAX_HISTORY_PER_BOOTH, 32),
    ] {
        let count: i64 = db
            .prepare_cached(&format!(
                "SELECT count(*) FROM alert_history WHERE booth_id = ?1 AND {of}"
            ))?
            .query_row([booth.as_str(), &id], |row| row.get(0))?;
        // Each cut reads them all: so many more may be there before it.
        if count < most + at_once {
            continue;
        }
        db.prepare_cached(&format!(
            "DELETE FROM alert_history WHERE seq IN (
               SELECT seq FROM (
                 SELECT seq, rank, lag(substr(cleared_at, 1, 10)) OVER (PARTITION BY id ORDER BY seq)
                   IS substr(cleared_at, 1, 10) AS again
                 FROM alert_history WHERE booth_id = ?1 AND {of})
               ORDER BY rank, again, seq DESC LIMIT -1 OFFSET ?3)"
        ))?
        .execute(params![booth.as_str(), id, most])?;
    }
    Ok(())
}
