//! What the booths say about themselves, kept so that a restart of the hub keeps the picture.
//!
//! Owns: which of a booth's statements about its presence counts (contract §3), health and its age, events, and the signs of two
//! machines under one id; `alerts` has the alerts. Never does: touch clips, or trust a payload's size or shape. Runs inside the
//! store's transaction: a failure leaves nothing of the batch behind.
//!
//! The rules of presence: sessions are compared as numbers and only within one card, so that a late will never hides a booth that
//! is back. Another card takes over by its birth. What is said under a card that is not the current one is kept in that card's
//! history and not shown.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use super::alerts;
use super::ingest::is_token;
use super::store::{self, Rank};
use booth_contract::time::rfc3339;
use booth_contract::{
    Birth, BoothId, BoothState, CardId, ClipId, Health, MAX_JSON_BYTES, Presence, Session, reading,
};

/// Most booths kept; one more is refused.
const MAX_BOOTHS: i64 = 10_000;
/// Most events kept of one booth.
const MAX_EVENTS_PER_BOOTH: i64 = 500;
/// So many events beyond the limit are tolerated before the excess is deleted, because each deletion reads all of them.
const EVENTS_AT_ONCE: i64 = 50;
/// Most kinds of events kept of one booth.
const MAX_KINDS_PER_BOOTH: usize = 64;
/// Kinds of events that are never deleted to make room for another kind.
const LASTING_EVENTS: [&str; 10] = [
    "boot",
    "card_cloned",
    "card_closed",
    "case_opened",
    "clock_step",
    "data_partition_repaired",
    "hardware_changed",
    "tamper",
    "update",
    "worker_died",
];
/// Machines remembered at one booth; those not heard for longest are forgotten first.
const MAX_MACHINES_PER_BOOTH: i64 = 16;
/// A booth whose live health was heard within this many seconds is there.
const ALIVE_S: i64 = 180;
/// Cards remembered at one booth; those not heard for longest are forgotten first.
const MAX_CARDS_PER_BOOTH: i64 = 64;
/// Values of `announced` of a card at a booth: the booth has announced it; the booth where it was first still has it; an operator
/// has accepted it; the booth has named it as one that it had, and does not say that it is in it now.
const ANNOUNCED: u8 = 1;
const CONTESTED: u8 = 2;
const ACCEPTED: u8 = 3;
const NAMED: u8 = 4;
/// Most starts of a card that are believed between two of its messages, besides one for each second between them.
const MAX_STARTS: u64 = 1_000;
/// Retained health expires after seven days (contract §3): the time that is left until then gives its age.
const HEALTH_EXPIRY_S: i64 = 7 * 86_400;

/// A word from a booth was not taken.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The payload is not what the contract says.
    #[error("{0}")]
    Malformed(String),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] rusqlite::Error),
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

/// Notes that a card was heard at a booth.
pub fn card_seen(
    db: &Connection,
    now: Timestamp,
    booth: &BoothId,
    card_id: &CardId,
) -> Result<(), FleetError> {
    if !is_token(card_id) {
        return malformed("card_id is no plain name");
    }
    heard(db, now, booth)?;
    let new = db
        .prepare_cached(
            "INSERT INTO card_at_booth (booth_id, card_id, first_seen, last_seen)
             VALUES (?1, ?2, ?3, ?3) ON CONFLICT DO NOTHING",
        )?
        .execute(params![booth.as_str(), card_id.as_str(), rfc3339(now)])?;
    if new == 0 {
        db.prepare_cached(
            "UPDATE card_at_booth SET last_seen = ?3 WHERE booth_id = ?1 AND card_id = ?2",
        )?
        .execute(params![booth.as_str(), card_id.as_str(), rfc3339(now)])?;
    } else {
        db.prepare_cached(
            "DELETE FROM card_at_booth WHERE booth_id = ?1 AND card_id IN (
               SELECT card_id FROM card_at_booth WHERE booth_id = ?1 AND card_id <> ?2
                 AND card_id IS NOT (SELECT card_id FROM booth WHERE booth_id = ?1)
               ORDER BY last_seen DESC LIMIT -1 OFFSET ?3)",
        )?
        .execute(params![
            booth.as_str(),
            card_id.as_str(),
            MAX_CARDS_PER_BOOTH - 2
        ])?;
    }
    Ok(())
}

/// Whether a card was ever heard at a booth.
pub fn card_known_at(
    db: &Connection,
    booth: &BoothId,
    card_id: &CardId,
) -> Result<bool, rusqlite::Error> {
    db.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM card_at_booth WHERE booth_id = ?1 AND card_id = ?2)",
    )?
    .query_row([booth.as_str(), card_id], |row| row.get(0))
}

/// Whether a clip of this card, spoken at `booth`, counts when it comes from `sender` (contract §3.3). The card must be the
/// sender's: the sender has announced it, or it was never heard at any other booth. A clip of another booth counts if the sender
/// has announced the card and the card was heard at that booth.
pub fn is_at_home(
    db: &Connection,
    sender: &BoothId,
    booth: &BoothId,
    card_id: &CardId,
) -> Result<bool, rusqlite::Error> {
    let announced: Option<u8> = db
        .prepare_cached("SELECT announced FROM card_at_booth WHERE booth_id = ?1 AND card_id = ?2")?
        .query_row([sender.as_str(), card_id], |row| row.get(0))
        .optional()?;
    match announced {
        Some(NAMED) if holder_but(db, sender, card_id)?.is_some() => Ok(false),
        Some(ANNOUNCED | ACCEPTED | NAMED) => {
            Ok(booth == sender || card_known_at(db, booth, card_id)?)
        }
        Some(CONTESTED) => Ok(false),
        _ if booth != sender => Ok(false),
        _ => db
            .prepare_cached(
                "SELECT NOT EXISTS (SELECT 1 FROM card_at_booth WHERE card_id = ?1 AND booth_id <> ?2)",
            )?
            .query_row([card_id, sender.as_str()], |row| row.get(0)),
    }
}

/// Another booth that last announced this card and has not announced a different one since.
fn holder_but(
    db: &Connection,
    booth: &BoothId,
    card_id: &CardId,
) -> Result<Option<String>, rusqlite::Error> {
    db.prepare_cached("SELECT booth_id FROM booth WHERE card_id = ?1 AND booth_id <> ?2 LIMIT 1")?
        .query_row([card_id, booth.as_str()], |row| row.get(0))
        .optional()
}

fn current_card(db: &Connection, booth: &BoothId) -> Result<Option<CardId>, rusqlite::Error> {
    Ok(db
        .prepare_cached("SELECT card_id FROM booth WHERE booth_id = ?1")?
        .query_row([booth.as_str()], |row| row.get::<_, Option<String>>(0))
        .optional()?
        .flatten()
        .map(Into::into))
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

fn said_by(db: &Connection, booth: &BoothId, card_id: &CardId) -> Result<Said, rusqlite::Error> {
    db.prepare_cached(
        "SELECT boot_count, connect_ms, presence, birth_boot_count, birth_connect_ms, last_seen
         FROM card_at_booth WHERE booth_id = ?1 AND card_id = ?2",
    )?
    .query_row([booth.as_str(), card_id], |row| {
        let pair = |a: usize| -> Result<Numbered, rusqlite::Error> {
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
) -> Result<Option<Session>, rusqlite::Error> {
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
    let said = said_by(db, booth, &state.card_id)?;
    is_possible(now, state.session, &said)?;
    card_seen(db, now, booth, &state.card_id)?;
    let late = said.session.is_some_and(|known| {
        state.session < known
            // Within one session `online` comes first: after the session's end another `online` can only be a repeat.
            || (state.session == known
                && state.state == Presence::Online
                && said.presence.as_deref().is_some_and(|presence| presence != "online"))
    });
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

/// The booth says that this card is in it. That does not count where another booth had the card before and is alive with it.
fn announce(
    db: &Connection,
    now: Timestamp,
    booth: &BoothId,
    card_id: &CardId,
) -> Result<(), FleetError> {
    card_seen(db, now, booth, card_id)?;
    let is_news = db
        .prepare_cached(
            "UPDATE card_at_booth SET announced = ?3
             WHERE booth_id = ?1 AND card_id = ?2 AND announced IN (0, ?4)",
        )?
        .execute(params![booth.as_str(), card_id.as_str(), ANNOUNCED, NAMED])?;
    if is_news == 0 {
        return Ok(());
    }
    let alive: Vec<String> = db
        .prepare_cached(
            "SELECT holder.booth_id FROM card_at_booth holder JOIN booth ON booth.booth_id = holder.booth_id
             WHERE holder.card_id = ?1 AND holder.booth_id <> ?2 AND booth.card_id = ?1
               AND holder.presence = 'online' AND booth.health_live = 1 AND booth.health_at >= ?3",
        )?
        .query_map(
            params![
                card_id.as_str(),
                booth.as_str(),
                rfc3339(now - SignedDuration::from_secs(ALIVE_S))
            ],
            |row| row.get(0),
        )?
        .collect::<Result<_, _>>()?;
    for holder in alive.iter().filter_map(|id| BoothId::parse(id).ok()) {
        contest(db, now, &holder)?;
    }
    Ok(())
}

/// The booth says that it had this card, or that its own was copied from it. While another booth still has the card, clips that
/// this booth brings under it are held, until the other booth announces another card or an operator accepts them.
fn name_card(
    db: &Connection,
    now: Timestamp,
    booth: &BoothId,
    card_id: &CardId,
) -> Result<(), FleetError> {
    card_seen(db, now, booth, card_id)?;
    let is_news = db
        .prepare_cached(
            "UPDATE card_at_booth SET announced = ?3
             WHERE booth_id = ?1 AND card_id = ?2 AND announced = 0",
        )?
        .execute(params![booth.as_str(), card_id.as_str(), NAMED])?;
    if is_news > 0
        && let Some(holder) = holder_but(db, booth, card_id)?
    {
        let why = format!(
            "{booth} says that it had card {card_id}, or has a copy of it, and {holder} has not said that it has another one since: what \
             {booth} sends under that card is held. If that is so: booth-hub accept --card {card_id} once something has come"
        );
        store::show_operator(db, now, booth, &ClipId::default(), &why, Rank::Card)?;
    }
    Ok(())
}

/// This booth is alive with its card: another booth that announced the same card later does not have it, or has a copy. Clips that
/// the other booth brings under that card are held until an operator accepts them.
fn contest(db: &Connection, now: Timestamp, booth: &BoothId) -> Result<(), FleetError> {
    let Some(card_id) = current_card(db, booth)? else {
        return Ok(());
    };
    let others: Vec<String> = db
        .prepare_cached(
            "SELECT other.booth_id FROM card_at_booth other JOIN card_at_booth mine
               ON mine.booth_id = ?1 AND mine.card_id = ?2
             WHERE other.card_id = ?2 AND other.booth_id <> ?1 AND other.announced IN (?3, ?5)
               AND mine.announced IN (?3, ?4)
               AND (other.first_seen, other.rowid) > (mine.first_seen, mine.rowid)",
        )?
        .query_map(
            params![booth.as_str(), card_id.as_str(), ANNOUNCED, ACCEPTED, NAMED],
            |row| row.get(0),
        )?
        .collect::<Result<_, _>>()?;
    for other in others {
        db.prepare_cached(
            "UPDATE card_at_booth SET announced = ?3 WHERE booth_id = ?1 AND card_id = ?2",
        )?
        .execute(params![other, card_id.as_str(), CONTESTED])?;
        if let Ok(other) = BoothId::parse(&other) {
            let why = format!(
                "{other} says that it has card {card_id}, and {booth} is alive with it: what {other} sends under that card is held from \
                 now on; look at what it sent before. If the card is really there: booth-hub accept --card {card_id}"
            );
            store::show_operator(db, now, &other, &ClipId::default(), &why, Rank::Card)?;
        }
    }
    Ok(())
}

fn set_current(db: &Connection, booth: &BoothId, card_id: &CardId) -> Result<(), rusqlite::Error> {
    db.prepare_cached("UPDATE booth SET card_id = ?2 WHERE booth_id = ?1")?
        .execute(params![booth.as_str(), card_id.as_str()])?;
    Ok(())
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
    let said = said_by(db, booth, &birth.card_id)?;
    is_possible(now, birth.session, &said)?;
    card_seen(db, now, booth, &birth.card_id)?;
    let known = said.birth;
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
        db.prepare_cached(
            "INSERT INTO machine_at_booth (booth_id, hw_serial, last_birth) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET last_birth = excluded.last_birth",
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
    }
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
            _ => age_of_retained(now, &health, left_s).map(rfc3339),
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

/// When a retained health was said: computed from what is left of its expiry, else its own time if the booth's clock was set, else
/// unknown.
fn age_of_retained(now: Timestamp, health: &Health, left_s: Option<u32>) -> Option<Timestamp> {
    if let Some(left) = left_s {
        let age = (HEALTH_EXPIRY_S - i64::from(left)).max(0);
        return now.checked_sub(SignedDuration::from_secs(age)).ok();
    }
    if health.get("clock_synced") != Some(1.0) {
        return None;
    }
    let ts = health.get("ts")?;
    // Seconds or milliseconds: a time in ms lies beyond the year 5000 when read as seconds.
    let seconds = if ts > 1e11 { ts / 1000.0 } else { ts };
    Timestamp::from_second(seconds as i64)
        .ok()
        .map(|at| at.min(now))
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

/// `event/{kind}` and `reply/{command}`: kept. When there are too many, events of the most frequent kind are deleted, oldest first,
/// but the first of each day last. So a flood of one kind deletes neither other kinds nor the record of how the flood began.
pub fn event(
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

fn bound_events(db: &Connection, booth: &BoothId) -> Result<(), rusqlite::Error> {
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
                 FROM event WHERE booth_id = ?1 AND kind = ?2)
               ORDER BY again DESC, seq LIMIT ?3)",
        )?
        .execute(params![booth.as_str(), kind, before - left])?;
    }
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
pub fn forget(db: &Connection, booth: &str) -> Result<(), rusqlite::Error> {
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
pub fn alerts_of(db: &Connection, booth: &BoothId) -> Result<Vec<String>, rusqlite::Error> {
    db.prepare("SELECT id FROM alert WHERE booth_id = ?1")?
        .query_map([booth.as_str()], |row| row.get(0))?
        .collect()
}
