//! What the booths say about themselves, kept so that a restart of the hub keeps the picture.
//!
//! Owns: which of a booth's statements about its presence counts (contract §3), health and its age, and the signs of two
//! machines under one id; `cards` has whose card it is, `events` the events, `alerts` the alerts. Never does: touch clips, or trust a payload's size or shape. Runs inside the
//! store's transaction: a failure leaves nothing of the batch behind.
//!
//! The rules of presence: sessions are compared as numbers and only within one card, so that a late will never hides a booth that
//! is back. Another card takes over by its birth. What is said under a card that is not the current one is kept in that card's
//! history and not shown.

mod cards;
mod events;

use booth_database::{Connection, OptionalExtension, params};
use jiff::{SignedDuration, Timestamp};

use self::cards::{announce, contest, current_card, set_current};
pub(crate) use self::cards::{card_known_at, card_seen, is_at_home};
pub(crate) use self::events::event;
use super::alerts;
use super::ingest::is_token;
use booth_contract::time::rfc3339;
use booth_contract::{
    Birth, BoothId, BoothState, CardId, Health, MAX_JSON_BYTES, Presence, Session, reading,
};

/// Most booths kept; one more is refused.
const MAX_BOOTHS: i64 = 10_000;
/// Machines remembered at one booth; those not heard for longest are forgotten first.
const MAX_MACHINES_PER_BOOTH: i64 = 16;
/// Most starts of a card that are believed between two of its messages, besides one for each second between them.
const MAX_STARTS: u64 = 1_000;

/// A word from a booth was not taken.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The payload is not what the contract says.
    #[error("{0}")]
    Malformed(String),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] booth_database::Error),
}

pub(super) fn malformed<T>(what: impl Into<String>) -> Result<T, FleetError> {
    Err(FleetError::Malformed(what.into()))
}

pub(super) fn parsed<T: serde::de::DeserializeOwned>(
    what: &str,
    payload: &[u8],
) -> Result<T, FleetError> {
    if payload.len() > MAX_JSON_BYTES {
        return malformed(format!("{what} has {} bytes", payload.len()));
    }
    reading::object(payload)
        .map_err(|error| FleetError::Malformed(format!("{what} is not understood: {error}")))
}

/// Notes that a booth was heard; refuses a booth beyond the limit.
pub fn heard(db: &Connection, now: Timestamp, booth: &BoothId) -> Result<(), FleetError> {
    let known: bool = db
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM booth WHERE booth_id = ?1)")?
        .query_row([booth.as_str()], |row| row.get(0))?;
    if known {
        return Ok(());
    }
    let count: i64 = db.query_row("SELECT count(*) FROM booth", [], |row| row.get(0))?;
    if count >= MAX_BOOTHS {
        return malformed(format!(
            "{booth} would be one booth too many ({MAX_BOOTHS} are kept)"
        ));
    }
    db.prepare_cached("INSERT INTO booth (booth_id, first_heard) VALUES (?1, ?2)")?
        .execute(params![booth.as_str(), rfc3339(now)])?;
    Ok(())
}

type Numbered = Option<(u64, u64)>;

fn session_from(pair: Numbered) -> Option<Session> {
    pair.map(|(boot_count, connect_ms)| Session {
        boot_count,
        connect_ms,
    })
}

/// What was last heard of a card at a booth.
#[derive(Default)]
struct Said {
    /// The session of its latest state.
    session: Option<Session>,
    presence: Option<String>,
    /// The session of its latest birth.
    birth: Option<Session>,
    /// When it was heard last.
    last_seen: Option<Timestamp>,
}

fn said_by(
    db: &Connection,
    booth: &BoothId,
    card_id: &CardId,
) -> Result<Said, booth_database::Error> {
    db.prepare_cached(
        "SELECT boot_count, connect_ms, presence, birth_boot_count, birth_connect_ms, last_seen
         FROM card_at_booth WHERE booth_id = ?1 AND card_id = ?2",
    )?
    .query_row([booth.as_str(), card_id], |row| {
        let pair = |a: usize| -> Result<Numbered, booth_database::Error> {
            Ok(row
                .get::<_, Option<u64>>(a)?
                .zip(row.get::<_, Option<u64>>(a + 1)?))
        };
        Ok(Said {
            session: session_from(pair(0)?),
            presence: row.get(2)?,
            birth: session_from(pair(3)?),
            last_seen: row.get::<_, String>(5)?.parse().ok(),
        })
    })
    .optional()
    .map(Option::unwrap_or_default)
}

/// The latest session that was heard of a card.
pub(super) fn latest_session(
    db: &Connection,
    booth: &BoothId,
    card_id: &CardId,
) -> Result<Option<Session>, booth_database::Error> {
    let said = said_by(db, booth, card_id)?;
    Ok(said.session.max(said.birth))
}

/// Whether the database can hold the session's numbers and the card can have reached them since it was heard last. A session that
/// is too high would hide everything that its booth says afterwards.
fn is_possible(now: Timestamp, session: Session, said: &Said) -> Result<(), FleetError> {
    if session.boot_count > 1 << 53 || session.connect_ms > 1 << 53 {
        return malformed("a session number cannot be");
    }
    let (Some(known), Some(last_seen)) = (said.session.max(said.birth), said.last_seen) else {
        return Ok(());
    };
    let seconds = u64::try_from(now.duration_since(last_seen).as_secs()).unwrap_or(0);
    let most = known.boot_count + MAX_STARTS + seconds;
    if session.boot_count > most {
        return malformed(format!(
            "session {session} after {known}: no card starts so often in {seconds} s"
        ));
    }
    Ok(())
}

/// What a card has said at this booth before a message of this session, which is noted as heard if it can be.
fn said_before(
    db: &Connection,
    now: Timestamp,
    booth: &BoothId,
    card_id: &CardId,
    session: Session,
) -> Result<Said, FleetError> {
    let said = said_by(db, booth, card_id)?;
    is_possible(now, session, &said)?;
    card_seen(db, now, booth, card_id)?;
    Ok(said)
}

/// A message of an earlier session that arrives late. It changes nothing; if that happens again and again, somebody invented a
/// higher session.
fn is_late<T>(booth: &BoothId, said: Session, known: Session) -> Result<T, FleetError> {
    malformed(format!(
        "session {said} after {known} of the same card: it came late, or somebody has spoken in this booth's name. If it goes on: a new \
         password, then booth-hub forget {booth}"
    ))
}

/// The contract's word for a presence.
pub fn presence_name(presence: Presence) -> &'static str {
    match presence {
        Presence::Online => "online",
        Presence::Offline => "offline",
        Presence::Lost => "lost",
    }
}

/// `state`: presence by the rules above. For every topic an empty payload means that somebody cleared the topic at the broker: it
/// says nothing and deletes nothing. Retired booths are removed by the hub's own command (`booth-hub forget`).
pub fn state(
    db: &Connection,
    now: Timestamp,
    booth: &BoothId,
    payload: &[u8],
    retained: bool,
) -> Result<(), FleetError> {
    if payload.is_empty() {
        return Ok(());
    }
    let state: BoothState = parsed("state", payload)?;
    let said = said_before(db, now, booth, &state.card_id, state.session)?;
    let was_online = said
        .presence
        .as_deref()
        .is_none_or(|presence| presence == "online");
    let late = state.is_late(said.session.map(|known| (known, was_online)));
    if !late {
        db.prepare_cached(
            "UPDATE card_at_booth SET boot_count = ?3, connect_ms = ?4, presence = ?5
             WHERE booth_id = ?1 AND card_id = ?2",
        )?
        .execute(params![
            booth.as_str(),
            state.card_id.as_str(),
            state.session.boot_count,
            state.session.connect_ms,
            presence_name(state.state)
        ])?;
    }
    if current_card(db, booth)?.is_none() {
        set_current(db, booth, &state.card_id)?;
    }
    match said.session {
        // A will is late by its nature, and a retained state is old: neither is suspicious.
        Some(known) if state.session < known && state.state == Presence::Online && !retained => {
            is_late(booth, state.session, known)
        }
        _ => Ok(()),
    }
}

/// `birth`: who this booth is; another card takes over by it. A retained birth begins no introduction.
pub fn birth(
    db: &Connection,
    now: Timestamp,
    booth: &BoothId,
    payload: &[u8],
    retained: bool,
) -> Result<(), FleetError> {
    if payload.is_empty() {
        return Ok(());
    }
    let birth: Birth = parsed("birth", payload)?;
    if let Some(other) = birth.booth_id.filter(|named| named != booth) {
        return malformed(format!("the birth of {booth} names {other}"));
    }
    let known = said_before(db, now, booth, &birth.card_id, birth.session)?.birth;
    let is_current = current_card(db, booth)?.as_ref() == Some(&birth.card_id);
    // A repeat of an old birth must not bring an old card back.
    if let Some(known) = known.filter(|known| birth.session < *known && !retained) {
        return is_late(booth, birth.session, known);
    }
    if known.is_some_and(|known| birth.session < known || (birth.session == known && !is_current)) {
        return Ok(());
    }
    let text = String::from_utf8_lossy(payload);
    db.prepare_cached("UPDATE booth SET birth = ?2, card_id = ?3 WHERE booth_id = ?1")?
        .execute(params![booth.as_str(), text, birth.card_id.as_str()])?;
    announce(db, now, booth, &birth.card_id)?;
    if !retained {
        alerts::introduced(db, now, booth)?;
        contest(db, now, booth)?;
    }
    db.prepare_cached(
        "UPDATE card_at_booth SET birth_boot_count = ?3, birth_connect_ms = ?4
         WHERE booth_id = ?1 AND card_id = ?2",
    )?
    .execute(params![
        booth.as_str(),
        birth.card_id.as_str(),
        birth.session.boot_count,
        birth.session.connect_ms
    ])?;
    if let Some(serial) = &birth.hw_serial
        && known != Some(birth.session)
        && is_token(serial)
    {
        machine_seen(db, now, booth, serial)?;
    }
    Ok(())
}

/// Notes that a machine said a birth; machines that were not heard for long are forgotten.
fn machine_seen(
    db: &Connection,
    now: Timestamp,
    booth: &BoothId,
    serial: &str,
) -> Result<(), booth_database::Error> {
    db.prepare_cached(
        "INSERT INTO machine_at_booth (booth_id, hw_serial, last_birth) VALUES (?1, ?2, ?3)
         ON CONFLICT (booth_id, hw_serial) DO UPDATE SET last_birth = excluded.last_birth",
    )?
    .execute(params![booth.as_str(), serial, rfc3339(now)])?;
    let old = rfc3339(now - SignedDuration::from_hours(24 * 30));
    db.prepare_cached("DELETE FROM machine_at_booth WHERE booth_id = ?1 AND last_birth < ?2")?
        .execute(params![booth.as_str(), old])?;
    db.prepare_cached(
        "DELETE FROM machine_at_booth WHERE booth_id = ?1 AND hw_serial IN (
           SELECT hw_serial FROM machine_at_booth WHERE booth_id = ?1
           ORDER BY last_birth DESC, rowid DESC LIMIT -1 OFFSET ?2)",
    )?
    .execute(params![booth.as_str(), MAX_MACHINES_PER_BOOTH])?;
    Ok(())
}

/// `health`: kept whole, with when it was said. `left_s` is what is left of the message's expiry; the broker gives it with a
/// retained message only.
pub fn health(
    db: &Connection,
    now: Timestamp,
    booth: &BoothId,
    payload: &[u8],
    retained: bool,
    left_s: Option<u32>,
) -> Result<(), FleetError> {
    if payload.is_empty() {
        return Ok(());
    }
    if payload.len() > MAX_JSON_BYTES {
        return malformed(format!("health has {} bytes", payload.len()));
    }
    let health = Health::from_json(payload)
        .map_err(|error| FleetError::Malformed(format!("health is not understood: {error}")))?;
    heard(db, now, booth)?;
    let text = String::from_utf8_lossy(payload);
    let said_at = if retained {
        let known: Option<(Option<String>, Option<String>)> = db
            .prepare_cached("SELECT health, health_at FROM booth WHERE booth_id = ?1")?
            .query_row([booth.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        match known {
            // The same text was heard live before a reconnect, so that its time is known.
            Some((Some(known), Some(at))) if known == text => Some(at),
            _ => health.retained_since(now, left_s).map(rfc3339),
        }
    } else {
        Some(rfc3339(now))
    };
    db.prepare_cached(
        "UPDATE booth SET health = ?2, health_at = ?3, health_live = ?4 WHERE booth_id = ?1",
    )?
    .execute(params![booth.as_str(), text, said_at, !retained])?;
    clip_numbers(db, now, booth, &health, retained)?;
    if !retained {
        alerts::settle(db, now, booth, &health)?;
        contest(db, now, booth)?;
    }
    Ok(())
}

/// Notes the card's numbers for the audit, if this health certainly belongs to the current card.
fn clip_numbers(
    db: &Connection,
    now: Timestamp,
    booth: &BoothId,
    health: &Health,
    retained: bool,
) -> Result<(), FleetError> {
    let Some(card) = current_card(db, booth)? else {
        return Ok(());
    };
    let boots = latest_session(db, booth, &card)?.map(|session| session.boot_count);
    let count = |name: &str| {
        health
            .get(name)
            .filter(|v| *v >= 0.0 && *v < 9.0e15)
            .map(|value| value as u64)
    };
    if let (Some(boots), Some(said)) = (boots, count("boot_count"))
        && boots != said
    {
        return Ok(()); // of another card, or of an earlier start
    }
    db.prepare_cached(
        "UPDATE card_at_booth SET last_clip_no = ?3, oldest_clip_no_kept = ?4, spool_clips = ?5,
           last_seen = CASE WHEN ?6 THEN last_seen ELSE ?7 END
         WHERE booth_id = ?1 AND card_id = ?2",
    )?
    .execute(params![
        booth.as_str(),
        card.as_str(),
        count("last_clip_no"),
        count("oldest_clip_no_kept"),
        count("spool_clips"),
        retained,
        rfc3339(now)
    ])?;
    Ok(())
}

/// `config`: the configuration as the booth applied it.
pub fn config_report(
    db: &Connection,
    now: Timestamp,
    booth: &BoothId,
    payload: &[u8],
) -> Result<(), FleetError> {
    if payload.is_empty() {
        return Ok(());
    }
    let _: serde_json::Map<String, serde_json::Value> = parsed("config", payload)?;
    heard(db, now, booth)?;
    let text = String::from_utf8_lossy(payload);
    db.prepare_cached("UPDATE booth SET config = ?2 WHERE booth_id = ?1")?
        .execute(params![booth.as_str(), text])?;
    Ok(())
}

/// Removes a retired booth from the fleet. Its clips stay, and its cards stay in the audit of clip numbers. Sessions that were said
/// in its name no longer count.
pub fn forget(db: &Connection, booth: &str) -> Result<(), booth_database::Error> {
    for table in [
        "booth",
        "alert",
        "alert_history",
        "machine_at_booth",
        "event",
    ] {
        db.execute(&format!("DELETE FROM {table} WHERE booth_id = ?1"), [booth])?;
    }
    db.execute(
        "UPDATE card_at_booth SET presence = NULL, boot_count = NULL, connect_ms = NULL, birth_boot_count = NULL,
           birth_connect_ms = NULL WHERE booth_id = ?1",
        [booth],
    )?;
    db.execute("DELETE FROM unreadable WHERE sender = ?1", [booth])?;
    Ok(())
}

/// Every alert id that was ever raised at a booth and not cleared.
pub fn alerts_of(db: &Connection, booth: &BoothId) -> Result<Vec<String>, booth_database::Error> {
    db.prepare("SELECT id FROM alert WHERE booth_id = ?1")?
        .query_map([booth.as_str()], |row| row.get(0))?
        .collect()
}
