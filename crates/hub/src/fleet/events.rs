//! What happened at a booth, as it says; a flood of events of one kind costs only that kind.

use booth_database::{Connection, params};
use jiff::Timestamp;

use super::cards::name_card;
use super::{FleetError, heard, malformed, parsed};
use crate::ingest::is_token;
use booth_contract::BoothId;
use booth_contract::time::rfc3339;

/// Most events kept of one booth.
const MAX_EVENTS_PER_BOOTH: i64 = 500;
/// So many events beyond the limit are tolerated before the excess is deleted, because each deletion reads all of them.
const EVENTS_AT_ONCE: i64 = 50;
/// Most kinds of events kept of one booth.
const MAX_KINDS_PER_BOOTH: usize = 64;
/// Kinds of events that are never deleted to make room for another kind.
const LASTING_EVENTS: [&str; 12] = [
    "boot",
    "card_cloned",
    "card_closed",
    "case_opened",
    "clock_step",
    "data_partition_repaired",
    "hardware_changed",
    "old_card",
    "stick",
    "tamper",
    "update",
    "worker_died",
];

/// `event/{kind}` and `reply/{command}`: kept. When there are too many, events of the most frequent kind are deleted, oldest first,
/// but the first of each day last. So a flood of one kind deletes neither other kinds nor the record of how the flood began.
pub(crate) fn event(
    db: &Connection,
    now: Timestamp,
    booth: &BoothId,
    kind: &str,
    payload: &[u8],
) -> Result<(), FleetError> {
    if !kind.split('/').all(is_token) {
        return malformed("an event's kind is no plain name");
    }
    let fields: serde_json::Map<String, serde_json::Value> = parsed("event", payload)?;
    heard(db, now, booth)?;
    if matches!(kind, "card_cloned" | "hardware_changed") {
        for name in ["card_id", "previous_card_id"] {
            if let Some(card_id) = fields.get(name).and_then(serde_json::Value::as_str) {
                name_card(db, now, booth, &card_id.into())?;
            }
        }
    }
    db.prepare_cached("INSERT INTO event (booth_id, kind, at, payload) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![
            booth.as_str(),
            kind,
            rfc3339(now),
            String::from_utf8_lossy(payload)
        ])?;
    bound_events(db, booth)?;
    Ok(())
}

fn bound_events(db: &Connection, booth: &BoothId) -> Result<(), booth_database::Error> {
    let mut kinds: Vec<(String, i64)> = db
        .prepare_cached(
            "SELECT kind, count(*) FROM event WHERE booth_id = ?1 GROUP BY kind ORDER BY max(seq) DESC",
        )?
        .query_map([booth.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    // Too many kinds: the one that was quiet longest is deleted, except kinds that an operator needs.
    while kinds.len() > MAX_KINDS_PER_BOOTH {
        let quiet = kinds
            .iter()
            .rposition(|(kind, _)| !LASTING_EVENTS.contains(&kind.as_str()));
        let Some(quiet) = quiet else { break };
        let (kind, _) = kinds.remove(quiet);
        db.prepare_cached("DELETE FROM event WHERE booth_id = ?1 AND kind = ?2")?
            .execute([booth.as_str(), &kind])?;
    }
    let mut count: i64 = kinds.iter().map(|(_, count)| count).sum();
    if count < MAX_EVENTS_PER_BOOTH + EVENTS_AT_ONCE {
        return Ok(());
    }
    let before: Vec<i64> = kinds.iter().map(|(_, count)| *count).collect();
    while count > MAX_EVENTS_PER_BOOTH
        && let Some((_, most)) = kinds.iter_mut().max_by_key(|(_, count)| *count)
    {
        *most -= 1;
        count -= 1;
    }
    for ((kind, left), before) in kinds.iter().zip(before) {
        db.prepare_cached(
            "DELETE FROM event WHERE seq IN (
               SELECT seq FROM (
                 SELECT seq, lag(substr(at, 1, 10)) OVER (ORDER BY seq) IS substr(at, 1, 10) AS again
                 FROM event WHERE booth_id = ?1 AND kind = ?2) AS told
               ORDER BY again DESC, seq LIMIT ?3)",
        )?
        .execute(params![booth.as_str(), kind, before - left])?;
    }
    Ok(())
}
