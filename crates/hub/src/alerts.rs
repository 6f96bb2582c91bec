//! Which alerts of a booth are raised: what the booth said, and what it did not repeat in its latest introduction.
//!
//! Owns: an alert's row, when the booth said it last, the end of an alert whose clearing the hub did not hear, and the history of
//! alerts that are over: no message of a booth deletes that history. Never does: rely on the broker to have kept anything while the
//! hub was away. Runs inside the store's transaction.
//!
//! A booth says every alert of its table, raised or empty, on each connect and whenever the hub has connected (contract §3). Such
//! an introduction begins with a birth that is not the broker's retained copy, and ends with the next health. An alert that was not
//! said in it belongs to an older program, or was cleared while the hub did not hear; it is removed once the booth counts no more
//! alerts than it said. Until then, and until the booth has introduced itself to a newly connected hub, the alert is shown as not
//! confirmed.

use booth_database::{Connection, OptionalExtension, params};
use jiff::{SignedDuration, Timestamp};

use super::fleet::{self, FleetError, malformed, parsed};
use super::ingest::{is_token, shortened};
use booth_contract::time::rfc3339;
use booth_contract::{Alert, AlertId, BoothId, Health, Severity};

/// Most alerts of one booth outside the alert table; one more is refused.
const MAX_ALERTS_PER_BOOTH: i64 = 64;
/// Most alerts in one booth's history. Alerts outside the table are deleted first, then the least severe; among equals the oldest,
/// with the first alert of each day deleted last.
const MAX_HISTORY_PER_BOOTH: i64 = 400;
/// Most entries of one alert in a booth's history.
const MAX_HISTORY_PER_ALERT: i64 = 40;
/// An alert may overtake the birth that it follows by this much.
const OVERTAKING_S: i64 = 60;
/// After this long since an introduction an unconfirmed alert is removed, whatever number of alerts the booth counts.
const UNCONFIRMED_AT_MOST_S: i64 = 3600;

/// `alert/{id}`: a payload raises the alert, an empty payload clears it.
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
    // A booth's invented alerts never take the place of the table's alerts.
    if of_the_table.is_none() && count >= MAX_ALERTS_PER_BOOTH {
        return malformed(format!(
            "{booth} raises more than {MAX_ALERTS_PER_BOOTH} alerts"
        ));
    }
    let severity = severity_name(alert.severity_of(id));
    let text = alert.sentence(id);
    end_milder_or_worse(db, now, booth, id, &severity)?;
    db.prepare_cached(
        "INSERT INTO alert (booth_id, id, severity, text, since, said_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (booth_id, id) DO UPDATE SET severity = excluded.severity, text = excluded.text,
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

/// The contract's word for a severity.
fn severity_name(severity: Severity) -> String {
    let severity = serde_json::to_value(severity).ok();
    severity
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// When a booth changes the severity of a raised alert, the earlier severity goes into the history.
fn end_milder_or_worse(
    db: &Connection,
    now: Timestamp,
    booth: &BoothId,
    id: &str,
    severity: &str,
) -> Result<(), booth_database::Error> {
    let raised: Option<(i64, String)> = db
        .prepare_cached("SELECT rowid, severity FROM alert WHERE booth_id = ?1 AND id = ?2")?
        .query_row([booth.as_str(), id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match raised.filter(|(_, before)| before != severity) {
        Some((row, _)) => end(db, now, booth, row),
        None => Ok(()),
    }
}

/// An introduction has begun.
pub fn introduced(
    db: &Connection,
    now: Timestamp,
    booth: &BoothId,
) -> Result<(), booth_database::Error> {
    db.prepare_cached("UPDATE booth SET introduced_at = ?2 WHERE booth_id = ?1")?
        .execute(params![booth.as_str(), rfc3339(now)])?;
    Ok(())
}

/// The hub has connected again: every alert that it knows was said before that.
pub fn hub_came(db: &Connection, now: Timestamp) -> Result<(), booth_database::Error> {
    db.execute(
        "INSERT INTO hub (id, came_at) VALUES (1, ?1) ON CONFLICT (id) DO UPDATE SET came_at = excluded.came_at",
        [rfc3339(now)],
    )?;
    Ok(())
}

/// When the hub was connected last; empty if it never was.
pub fn came_at(db: &Connection) -> Result<String, booth_database::Error> {
    Ok(db
        .prepare_cached("SELECT came_at FROM hub WHERE id = 1")?
        .query_row([], |row| row.get(0))
        .optional()?
        .unwrap_or_default())
}

/// The time from which on an alert must have been said to be confirmed. Times are RFC 3339 UTC with milliseconds, which sort as
/// text.
pub fn confirmed_from(came_at: &str, introduced_at: Option<&str>) -> String {
    let introduced = introduced_at
        .filter(|at| *at >= came_at)
        .and_then(|at| at.parse::<Timestamp>().ok())
        .map(|at| rfc3339(at - SignedDuration::from_secs(OVERTAKING_S)));
    introduced.unwrap_or_default().max(came_at.to_owned())
}

/// After a live health: if the booth has introduced itself since the hub connected, alerts that it did not repeat are removed.
pub fn settle(
    db: &Connection,
    now: Timestamp,
    booth: &BoothId,
    health: &Health,
) -> Result<(), booth_database::Error> {
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
    // If the booth counts more alerts than it said, one was lost on its way: showing one too many is better than one too few.
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
fn end(
    db: &Connection,
    now: Timestamp,
    booth: &BoothId,
    row: i64,
) -> Result<(), booth_database::Error> {
    let id: String = db
        .prepare_cached("SELECT id FROM alert WHERE rowid = ?1")?
        .query_row([row], |row| row.get(0))?;
    // A severity that the booth gives its own invented alerts does not count here.
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
        // Each deletion reads the whole history, so it runs only when this many entries are in excess.
        if count < most + at_once {
            continue;
        }
        db.prepare_cached(&format!(
            "DELETE FROM alert_history WHERE seq IN (
               SELECT seq FROM (
                 SELECT seq, rank, lag(substr(cleared_at, 1, 10)) OVER (PARTITION BY id ORDER BY seq)
                   IS substr(cleared_at, 1, 10) AS again
                 FROM alert_history WHERE booth_id = ?1 AND {of}) AS told
               ORDER BY rank, again, seq DESC LIMIT -1 OFFSET ?3)"
        ))?
        .execute(params![booth.as_str(), id, most])?;
    }
    Ok(())
}
