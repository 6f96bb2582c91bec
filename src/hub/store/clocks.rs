//! Times of clips that were spoken before their booth's clock was right (contract §3.3).
//!
//! Owns: the pair of clocks of each boot, as booths say it in `event/clock_step`, and the correction of day and time by it.
//! Never does: change a manifest as it came. A pair that makes no sense is ignored.

use jiff::Timestamp;
use jiff::civil::Date;
use rusqlite::{OptionalExtension, params};
use serde::Deserialize;

use super::{Store, StoreError};
use crate::contract::reading::{self, needed};
use crate::contract::{BoothId, Manifest};
use crate::hub::ingest::{is_token, rfc3339};

/// What a booth says when its clock became right, or stepped.
#[derive(Deserialize)]
struct ClockStep {
    boot_id: String,
    wall_minus_mono_ms: i64,
    #[serde(default, deserialize_with = "needed")]
    clock_synced: u8,
}

impl Store {
    /// Takes the pair of clocks in, and corrects the clips of that boot which are here already.
    pub(super) fn clock_step(
        &mut self,
        wall: Timestamp,
        booth: &BoothId,
        payload: &[u8],
    ) -> Result<(), StoreError> {
        let step = match reading::object::<ClockStep>(payload) {
            Ok(step) => step,
            // It is kept as an event like any other, and corrects nothing.
            Err(error) => {
                let why = format!("a clock_step is not understood: {error}");
                return self.cannot_read(wall, booth.as_str(), "event", &why);
            }
        };
        if step.clock_synced != 1 || !is_token(&step.boot_id) {
            return Ok(());
        }
        self.db
            .prepare_cached(
                "INSERT OR REPLACE INTO boot_clock (booth_id, boot_id, wall_minus_mono_ms) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![booth.as_str(), step.boot_id, step.wall_minus_mono_ms])?;
        let wrong: Vec<(String, u64)> = self
            .db
            .prepare_cached(
                "SELECT clip_id, started_mono_ms FROM clip
                 WHERE sender = ?1 AND boot_id = ?2 AND clock_synced = 0 AND started_mono_ms IS NOT NULL",
            )?
            .query_map([booth.as_str(), &step.boot_id], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?
            .collect::<Result<_, _>>()?;
        for (clip_id, mono_ms) in wrong {
            let Some((at, day)) = self.by_pair(step.wall_minus_mono_ms, mono_ms) else {
                continue;
            };
            self.db
                .prepare_cached("UPDATE clip SET started_at = ?2, day = ?3 WHERE clip_id = ?1")?
                .execute(params![clip_id, rfc3339(at), day.to_string()])?;
        }
        Ok(())
    }

    /// When a clip whose clock was not right was spoken, if the pair of its boot is known.
    pub(super) fn corrected(
        &self,
        sender: &BoothId,
        manifest: &Manifest,
    ) -> Result<Option<(Timestamp, Date)>, StoreError> {
        let Some(mono_ms) = manifest
            .started_mono_ms
            .filter(|_| manifest.clock_synced != Some(1))
        else {
            return Ok(None);
        };
        let offset: Option<i64> = self
            .db
            .prepare_cached(
                "SELECT wall_minus_mono_ms FROM boot_clock WHERE booth_id = ?1 AND boot_id = ?2",
            )?
            .query_row([sender.as_str(), &manifest.boot_id], |row| row.get(0))
            .optional()?;
        Ok(offset.and_then(|offset| self.by_pair(offset, mono_ms)))
    }

    fn by_pair(&self, wall_minus_mono_ms: i64, mono_ms: u64) -> Option<(Timestamp, Date)> {
        let wall_ms = wall_minus_mono_ms.checked_add_unsigned(mono_ms)?;
        let at = Timestamp::from_millisecond(wall_ms).ok()?;
        Some((at, at.to_zoned_datetime(self.zone.clone()).date()))
    }
}
