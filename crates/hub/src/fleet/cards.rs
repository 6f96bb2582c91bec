//! Which card is whose: what booths say of the cards that they have, and which clips count because of it (contract §3.3).

use booth_database::{Connection, OptionalExtension, params};
use jiff::{SignedDuration, Timestamp};

use super::{FleetError, heard, malformed};
use crate::ingest::is_token;
use crate::store::{self, Rank};
use booth_contract::time::rfc3339;
use booth_contract::{BoothId, CardId, ClipId};

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

/// Notes that a card was heard at a booth.
pub(crate) fn card_seen(
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
pub(crate) fn card_known_at(
    db: &Connection,
    booth: &BoothId,
    card_id: &CardId,
) -> Result<bool, booth_database::Error> {
    db.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM card_at_booth WHERE booth_id = ?1 AND card_id = ?2)",
    )?
    .query_row([booth.as_str(), card_id], |row| row.get(0))
}

/// Whether a clip of this card, spoken at `booth`, counts when it comes from `sender` (contract §3.3). The card must be the
/// sender's: the sender has announced it, or it was never heard at any other booth. A clip of another booth counts if the sender
/// has announced the card and the card was heard at that booth.
pub(crate) fn is_at_home(
    db: &Connection,
    sender: &BoothId,
    booth: &BoothId,
    card_id: &CardId,
) -> Result<bool, booth_database::Error> {
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
) -> Result<Option<String>, booth_database::Error> {
    db.prepare_cached("SELECT booth_id FROM booth WHERE card_id = ?1 AND booth_id <> ?2 LIMIT 1")?
        .query_row([card_id, booth.as_str()], |row| row.get(0))
        .optional()
}

pub(super) fn current_card(
    db: &Connection,
    booth: &BoothId,
) -> Result<Option<CardId>, booth_database::Error> {
    Ok(db
        .prepare_cached("SELECT card_id FROM booth WHERE booth_id = ?1")?
        .query_row([booth.as_str()], |row| row.get::<_, Option<String>>(0))
        .optional()?
        .flatten()
        .map(Into::into))
}

/// The booth says that this card is in it. That does not count where another booth had the card before and is alive with it.
pub(super) fn announce(
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
pub(super) fn name_card(
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
pub(super) fn contest(db: &Connection, now: Timestamp, booth: &BoothId) -> Result<(), FleetError> {
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

pub(super) fn set_current(
    db: &Connection,
    booth: &BoothId,
    card_id: &CardId,
) -> Result<(), booth_database::Error> {
    db.prepare_cached("UPDATE booth SET card_id = ?2 WHERE booth_id = ?1")?
        .execute(params![booth.as_str(), card_id.as_str()])?;
    Ok(())
}
