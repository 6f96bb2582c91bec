//! Times of clips: which clock is believed, and the correction of clips that were spoken before their booth's clock was right
//! (contract §3.3).
//!
//! Owns: the pair of clocks of each boot, as booths report it in `event/clock_step`, the correction of day and time by it, and
//! which times can be true. Never does: change a manifest as it came. A pair that makes no sense is ignored. The work that a pair
//! causes is bounded however much is stored: a boot's pair may change a few times, each change corrects a clip once, and one event
//! corrects a thousand clips at most; the same event sent again goes on with the rest.

use booth_database::{Connection, OptionalExtension, params};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::{Store, StoreError};
use crate::ingest::is_token;
use booth_contract::reading::{self, needed};
use booth_contract::time::rfc3339;
use booth_contract::{BootId, BoothId, Manifest};

/// Most boots of one booth whose pair is kept; the oldest are forgotten first.
const MAX_BOOTS_PER_BOOTH: i64 = 256;
/// How often a boot's pair may change: a clock becomes right once, and is seldom set by hand.
const MAX_CHANGES: u32 = 3;
/// A pair that differs by less counts as unchanged, because clocks are steered.
const SAME_MS: u64 = 2_000;
/// Most clips that one event corrects.
const MAX_CORRECTED: i64 = 1_000;
/// How far a clip's time may lie after its receipt, because the hub's own clock may be wrong.
const FUTURE: SignedDuration = SignedDuration::from_hours(24);
/// How far a clip's time may lie before its receipt: a card may have lain in a drawer.
const PAST: SignedDuration = SignedDuration::from_hours(24 * 731);

/// The event by which a booth reports that its clock became right, or stepped.
#[derive(Deserialize)]
struct ClockStep {
    boot_id: BootId,
    wall_minus_mono_ms: i64,
    #[serde(default, deserialize_with = "needed")]
    clock_synced: u8,
}

/// A pair as the database keeps it.
struct Pair {
    wall_minus_mono_ms: i64,
    changes: u32,
    is_done: bool,
}

impl Store {
    /// Notes the pair of clocks, and corrects clips of that boot that are here already.
    pub(super) fn clock_step(
        &mut self,
        wall: Timestamp,
        booth: &BoothId,
        payload: &[u8],
    ) -> Result<(), StoreError> {
        let step = match reading::object::<ClockStep>(payload) {
            Ok(step) => step,
            // The event is kept like any other, and corrects nothing.
            Err(error) => {
                let why = format!("a clock_step is not understood: {error}");
                return self.cannot_read(wall, booth.as_str(), "event", &why);
            }
        };
        if step.clock_synced != 1 || !is_token(&step.boot_id) {
            return Ok(());
        }
        let key = params![booth.as_str(), step.boot_id.as_str()];
        let known: Option<Pair> = self
            .db
            .prepare_cached(
                "SELECT wall_minus_mono_ms, changes, is_done FROM boot_clock WHERE booth_id = ?1 AND boot_id = ?2",
            )?
            .query_row(key, |row| {
                Ok(Pair {
                    wall_minus_mono_ms: row.get(0)?,
                    changes: row.get(1)?,
                    is_done: row.get(2)?,
                })
            })
            .optional()?;
        let offset = match known {
            None => {
                self.remember_pair(booth, &step, 0)?;
                step.wall_minus_mono_ms
            }
            Some(pair) => {
                let by = pair.wall_minus_mono_ms.abs_diff(step.wall_minus_mono_ms);
                if by >= SAME_MS && pair.changes < MAX_CHANGES {
                    self.remember_pair(booth, &step, pair.changes + 1)?;
                    step.wall_minus_mono_ms
                } else if pair.is_done {
                    return Ok(());
                } else {
                    pair.wall_minus_mono_ms
                }
            }
        };
        self.correct(booth, &step.boot_id, offset)
    }

    fn remember_pair(
        &mut self,
        booth: &BoothId,
        step: &ClockStep,
        changes: u32,
    ) -> Result<(), StoreError> {
        // It is the newest one now, wherever it stood.
        self.db
            .prepare_cached("DELETE FROM boot_clock WHERE booth_id = ?1 AND boot_id = ?2")?
            .execute([booth.as_str(), step.boot_id.as_str()])?;
        self.db
            .prepare_cached(
                "INSERT INTO boot_clock (booth_id, boot_id, wall_minus_mono_ms, changes, is_done)
                 VALUES (?1, ?2, ?3, ?4, 0)",
            )?
            .execute(params![
                booth.as_str(),
                step.boot_id.as_str(),
                step.wall_minus_mono_ms,
                changes
            ])?;
        self.db
            .prepare_cached(
                "DELETE FROM boot_clock WHERE rowid IN (
                   SELECT rowid FROM boot_clock WHERE booth_id = ?1 ORDER BY rowid DESC LIMIT -1 OFFSET ?2)",
            )?
            .execute(params![booth.as_str(), MAX_BOOTS_PER_BOOTH])?;
        // Clips that were corrected by the earlier pair are to be corrected again.
        self.db
            .prepare_cached(
                "UPDATE boot_clock SET corrected_to = '' WHERE booth_id = ?1 AND boot_id = ?2",
            )?
            .execute(params![booth.as_str(), step.boot_id.as_str()])?;
        Ok(())
    }

    /// Corrects the next clips of a boot, in the order of their ids.
    fn correct(
        &mut self,
        booth: &BoothId,
        boot_id: &BootId,
        offset: i64,
    ) -> Result<(), StoreError> {
        let wrong: Vec<(String, u64, String)> = self
            .db
            .prepare_cached(
                "SELECT clip_id, started_mono_ms, received_at FROM kept
                 WHERE sender = ?1 AND boot_id = ?2 AND clock_synced = 0 AND clip_id > (
                   SELECT corrected_to FROM boot_clock WHERE booth_id = ?1 AND boot_id = ?2)
                   AND started_mono_ms IS NOT NULL
                 ORDER BY clip_id LIMIT ?3",
            )?
            .query_map(
                params![booth.as_str(), boot_id.as_str(), MAX_CORRECTED],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )?
            .collect::<Result<_, _>>()?;
        let is_done = (wrong.len() as i64) < MAX_CORRECTED;
        let last = wrong.last().map(|(clip_id, ..)| clip_id.clone());
        // It takes the newest place: whoever follows what arrives by its place sees it again, with its right time.
        let newest = match self.db.is_sqlite() {
            true => "(SELECT max(rowid) + 1 FROM kept)",
            false => "DEFAULT",
        };
        let correct = format!(
            "UPDATE kept SET started_at = ?2, day = ?3, rowid = {newest} WHERE clip_id = ?1"
        );
        for (clip_id, mono_ms, received_at) in wrong {
            let received_at = received_at.parse().unwrap_or(Timestamp::UNIX_EPOCH);
            let Some(at) = by_pair(offset, mono_ms, received_at) else {
                continue;
            };
            let day = at.to_zoned_datetime(self.zone.clone()).date();
            self.db.prepare_cached(&correct)?.execute(params![
                clip_id,
                rfc3339(at),
                day.to_string()
            ])?;
        }
        self.db
            .prepare_cached(
                "UPDATE boot_clock SET is_done = ?3, corrected_to = coalesce(?4, corrected_to)
                 WHERE booth_id = ?1 AND boot_id = ?2",
            )?
            .execute(params![booth.as_str(), boot_id.as_str(), is_done, last])?;
        Ok(())
    }
}

/// When a clip was spoken, as far as that is known.
pub(super) struct Spoken {
    /// RFC 3339 UTC.
    pub started_at: Option<String>,
    /// The day it counts for.
    pub day: Date,
    /// Whether the day is from the booth's own clock, which was right.
    pub is_by_its_clock: bool,
}

/// The time by the booth's clock if that was right, else by the pair of its boot, else by the clip's receipt.
pub(super) fn spoken(
    db: &Connection,
    sender: &BoothId,
    manifest: &Manifest,
    received_at: Timestamp,
    zone: &TimeZone,
) -> booth_database::Result<Spoken> {
    let day_of = |at: Timestamp| at.to_zoned_datetime(zone.clone()).date();
    let is_synced = manifest.clock_synced == Some(1);
    let started = manifest
        .started_at
        .as_deref()
        .and_then(|text| text.parse::<Timestamp>().ok());
    if let Some(at) = started.filter(|at| is_synced && can_be(*at, received_at)) {
        return Ok(Spoken {
            started_at: manifest.started_at.clone(),
            day: day_of(at),
            is_by_its_clock: true,
        });
    }
    // A clip without a time counts by its receipt; that does not mean that its booth's clock is wrong.
    let is_by_its_clock = is_synced && started.is_none();
    let offset: Option<i64> = db
        .prepare_cached(
            "SELECT wall_minus_mono_ms FROM boot_clock WHERE booth_id = ?1 AND boot_id = ?2",
        )?
        .query_row([sender.as_str(), &manifest.boot_id], |row| row.get(0))
        .optional()?;
    let corrected = offset
        .zip(manifest.started_mono_ms.filter(|_| !is_by_its_clock))
        .and_then(|(offset, mono_ms)| by_pair(offset, mono_ms, received_at));
    Ok(Spoken {
        // A time that cannot be true is left out; the time of a clock that was not set is kept as it is.
        started_at: corrected
            .map(rfc3339)
            .or_else(|| manifest.started_at.clone().filter(|_| !is_synced)),
        day: day_of(corrected.unwrap_or(received_at)),
        is_by_its_clock,
    })
}

/// Whether a clip that was received then can have been spoken at this time.
fn can_be(at: Timestamp, received_at: Timestamp) -> bool {
    let since = received_at.duration_since(at);
    since >= -FUTURE && since <= PAST
}

fn by_pair(wall_minus_mono_ms: i64, mono_ms: u64, received_at: Timestamp) -> Option<Timestamp> {
    let wall_ms = wall_minus_mono_ms.checked_add_unsigned(mono_ms)?;
    let at = Timestamp::from_millisecond(wall_ms).ok()?;
    can_be(at, received_at).then_some(at)
}
