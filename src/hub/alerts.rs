//! Which alerts of a booth are raised: by what it said, and by what it did not say again.
//!
//! Owns: an alert's row, when it was said last, and the end of one that nobody cleared in the hub's hearing. Never does: believe
//! a broker to have kept anything for a hub that was away. Runs inside the store's transaction.
//!
//! A booth says every alert of its table, raised or empty, on each connect and when the hub has come (contract §3): a birth that
//! is no repeat of the broker's begins such an introduction, and the next health ends it. An alert that was not said since
//! is of an older program, or was cleared unheard; it goes when the booth counts no more alerts than were said. Until then, and
//! while the booth has not introduced itself since the hub came, it is shown as not confirmed.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use super::fleet::{self, FleetError, malformed, parsed};
use super::ingest::{is_token, rfc3339, shortened};
use crate::contract::{Alert, AlertId, BoothId, Health, Severity};

/// Most alerts of one booth; one more is refused.
const MAX_ALERTS_PER_BOOTH: i64 = 64;
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
        db.prepare_cached("DELETE FROM alert WHERE booth_id = ?1 AND id = ?2")?
            .execute([booth.as_str(), id])?;
        return Ok(());
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
    let count: i64 = db
        .prepare_cached("SELECT count(*) FROM alert WHERE booth_id = ?1 AND id <> ?2")?
        .query_row([booth.as_str(), id], |row| row.get(0))?;
    if count >= MAX_ALERTS_PER_BOOTH {
        return malformed(format!(
            "{booth} raises more than {MAX_ALERTS_PER_BOOTH} alerts"
        ));
    }
    let of_the_table = AlertId::parse(id);
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
        db.prepare_cached("DELETE FROM alert WHERE booth_id = ?1 AND said_at < ?2")?
            .execute([booth.as_str(), &from])?;
    }
    Ok(())
}
