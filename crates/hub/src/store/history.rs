//! `booth-hub history BOOTH`: what happened at a booth; the pages show only the present part of it.
//!
//! Owns: the reading of alerts that are over and of events. Never does: write.

use std::path::Path;

use serde::Serialize;

use booth_database::{Connection, params};

use super::{StoreError, schema};
use crate::view::Listed;
use booth_contract::BoothId;

/// An alert that is over or raised, or an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Happened {
    /// When the hub heard of it, or when an alert that is over ended; RFC 3339 UTC.
    pub at: String,
    /// `raised`, `cleared` or `event`.
    pub what: String,
    /// The alert's id, or the event's kind.
    pub id: String,
    /// The alert's sentence, with the time since when, as the booth gives it; or the event's payload.
    pub text: String,
}

/// Everything that is kept of a booth, the oldest first; what is kept is bounded.
///
/// # Errors
/// A database that is missing, of another version, or cannot be read.
pub fn history(dir: &Path, booth: &BoothId) -> Result<Vec<Happened>, StoreError> {
    let db = schema::open_in_for_reading(dir)?;
    schema::is_of_this_version(&db)?;
    Ok(read(&db, booth.as_str(), "1", i64::MAX)?)
}

/// The latest of it, the latest first; at most `limit` entries.
pub(super) fn latest(
    db: &Connection,
    booth: &str,
    limit: usize,
) -> booth_database::Result<Listed<Happened>> {
    let total = db
        .prepare_cached(
            "SELECT (SELECT count(*) FROM alert WHERE booth_id = ?1) + (SELECT count(*) FROM alert_history WHERE booth_id = ?1)
               + (SELECT count(*) FROM event WHERE booth_id = ?1)",
        )?
        .query_row([booth], |row| row.get(0))?;
    Ok(Listed {
        entries: read(db, booth, "1 DESC", limit as i64)?,
        total,
    })
}

fn read(
    db: &Connection,
    booth: &str,
    order: &str,
    limit: i64,
) -> booth_database::Result<Vec<Happened>> {
    let mut statement = db.prepare_cached(&format!(
        "SELECT said_at, 'raised', id, severity || ': ' || text || ' (since ' || since || ')'
           FROM alert WHERE booth_id = ?1
         UNION ALL
         SELECT cleared_at, 'cleared', id, severity || ': ' || text || ' (since ' || since || ')'
           FROM alert_history WHERE booth_id = ?1
         UNION ALL
         SELECT at, 'event', kind, payload FROM event WHERE booth_id = ?1
         ORDER BY {order} LIMIT ?2"
    ))?;
    let found = statement.query_map(params![booth, limit], |row| {
        Ok(Happened {
            at: row.get(0)?,
            what: row.get(1)?,
            id: row.get(2)?,
            text: row.get(3)?,
        })
    })?;
    found.collect()
}
