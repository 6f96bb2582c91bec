//! `booth-hub accept`: a held clip counts once an operator has looked at it.
//!
//! Owns: the acceptance of a held clip, in its record and its row, and of a card at the booth that sent it. Works beside a running
//! hub: each waits for the other's transaction. A failure leaves the clips that were accepted so far accepted; running it again
//! goes on.

use booth_contract::{CardId, ClipId};
use std::path::Path;

use booth_database::{Connection, Row, TransactionBehavior, params};
use jiff::Timestamp;

use super::{StoreError, fsync, record, rows, schema};
use booth_contract::time::rfc3339;

/// How the sentence about a held clip begins, in what an operator should look at.
pub(super) const HELD: &str = "stored, and not counted";
/// Clips that share a commit: a running hub waits during each, so that it should be short.
const AT_ONCE: usize = 16;

/// What an operator has looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// One clip.
    Clip(ClipId),
    /// All clips of a card, and later ones under that card from the same senders.
    Card(CardId),
}

/// Accepts held clips; answers how many.
///
/// # Errors
/// Every error of the file system and the database.
pub fn accept(dir: &Path, wall: Timestamp, what: &Accepted) -> Result<u64, StoreError> {
    if !schema::is_there(dir)? {
        return Ok(0);
    }
    accept_in(&schema::open_in(dir)?, &dir.join("clips"), wall, what)
}

/// Marks a clip as a child's, or takes the mark away: nothing that comes out of this hub may publish a child's voice. Answers whether
/// there is such a clip. Works beside a running hub.
///
/// # Errors
/// Every error of the file system and the database.
pub fn mark_child(dir: &Path, clip_id: &ClipId, is_child: bool) -> Result<bool, StoreError> {
    if !schema::is_there(dir)? {
        return Ok(false);
    }
    let db = schema::open_in(dir)?;
    let clips = dir.join("clips");
    db.begin(TransactionBehavior::Immediate)?;
    let marked = mark_in(&db, &clips, clip_id, is_child);
    match &marked {
        Ok(_) => db.commit()?,
        Err(_) => db.roll_back()?,
    }
    marked
}

fn mark_in(
    db: &Connection,
    clips: &Path,
    clip_id: &ClipId,
    is_child: bool,
) -> Result<bool, StoreError> {
    let Some(known) = rows::known(db, clip_id)?.filter(rows::Known::has_words) else {
        return Ok(false);
    };
    let file = record::path(clips, clip_id, known.record_part());
    // A held clip that was accepted says so in its file alone.
    let mut record = match record::read(&file)? {
        Some(record) => record,
        None => known.record(),
    };
    record.child = is_child;
    record::write(&file, &record)?;
    fsync(&file)?;
    fsync(file.parent().unwrap_or(clips))?;
    db.execute(
        "UPDATE kept SET child = ?2 WHERE clip_id = ?1",
        params![clip_id.as_str(), is_child],
    )?;
    Ok(true)
}

/// The same in a database that is open.
pub(super) fn accept_in(
    db: &Connection,
    clips: &Path,
    wall: Timestamp,
    what: &Accepted,
) -> Result<u64, StoreError> {
    let mut accepted = 0;
    loop {
        // From here on a running hub's next batch waits: what is read of a clip stays true until its record and row are written.
        db.begin(TransactionBehavior::Immediate)?;
        match accept_some(db, clips, wall, what) {
            Ok(some) => {
                db.commit()?;
                accepted += some;
                if some == 0 {
                    return Ok(accepted);
                }
            }
            Err(error) => {
                let _ = db.roll_back();
                return Err(error);
            }
        }
    }
}

/// Accepts the next clips, inside a transaction; answers how many.
fn accept_some(
    db: &Connection,
    clips: &Path,
    wall: Timestamp,
    what: &Accepted,
) -> Result<u64, StoreError> {
    if let Accepted::Card(card) = what {
        accept_card(db, wall, card)?;
    }
    let id_from = |row: &Row<'_>| Ok(row.get::<_, String>(0)?.into());
    let held: Vec<ClipId> = match what {
        Accepted::Clip(clip_id) => db
            .prepare_cached("SELECT clip_id FROM kept WHERE clip_id = ?1 AND held = 1")?
            .query_map([clip_id.as_str()], id_from)?
            .collect::<Result<_, _>>()?,
        Accepted::Card(card) => db
            .prepare_cached("SELECT clip_id FROM kept WHERE card_id = ?1 AND held = 1 LIMIT ?2")?
            .query_map(params![card.as_str(), AT_ONCE as i64], id_from)?
            .collect::<Result<_, _>>()?,
    };
    let mut accepted = 0;
    for clip_id in &held {
        if let Some(known) = rows::known(db, clip_id)? {
            let record = known.accepted(wall);
            let file = record::path(clips, clip_id, known.record_part());
            record::write(&file, &record)?;
            fsync(&file)?;
            fsync(file.parent().unwrap_or(clips))?;
        }
        accepted += u64::from(rows::accept(db, clip_id)?);
        db.prepare_cached("DELETE FROM refused WHERE clip_id = ?1 AND substr(reason, 1, ?3) = ?2")?
            .execute(params![clip_id.as_str(), HELD, HELD.len() as i64])?;
    }
    Ok(accepted)
}

/// The card counts as announced at the booths that its held clips came from.
fn accept_card(db: &Connection, wall: Timestamp, card: &CardId) -> Result<(), StoreError> {
    for who in ["sender", "booth_id"] {
        db.execute(
            &format!(
                "INSERT OR IGNORE INTO card_at_booth (booth_id, card_id, first_seen, last_seen)
                 SELECT DISTINCT {who}, card_id, ?2, ?2 FROM kept WHERE card_id = ?1 AND held = 1"
            ),
            params![card.as_str(), rfc3339(wall)],
        )?;
    }
    db.execute(
        "UPDATE card_at_booth SET announced = 3 WHERE card_id = ?1 AND booth_id IN (
           SELECT sender FROM kept WHERE card_id = ?1 AND held = 1)",
        [card.as_str()],
    )?;
    Ok(())
}
