//! What becomes of a manifest and of a part: the path of a clip through the store.
//!
//! Owns: when a body is whole, its verification, its move into `clips/`, its row, and every answer.
//! Never does: commit; see [`Store::commit`]. A failure leaves what the store's own header says.
#![allow(clippy::disallowed_methods)] // the hub's own file work; each step names its fsync

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};

use super::{Store, StoreError, clip_path, staging};
use crate::contract::{BoothId, ClipKind, MAX_PART_BYTES, Manifest};
use crate::gateway::time::Mono;
use crate::hub::complaints;
use crate::hub::fleet::{self, FleetError};
use crate::hub::ingest::{self, Answer, rfc3339};

/// Most entries of one booth for an operator; its own oldest go first.
const MAX_REFUSED_PER_BOOTH: i64 = 200;
/// Most manifests remembered whose body never came; the oldest go first.
const MAX_OFFERS: i64 = 20_000;
/// How often a whole body may have the wrong hash before its clip is refused.
const MAX_MISMATCHES: u32 = 3;

impl Store {
    pub(super) fn part(
        &mut self,
        wall: Timestamp,
        mono: Mono,
        sender: &BoothId,
        clip_id: &str,
        offset: u64,
        bytes: &[u8],
    ) -> Result<Option<Answer>, StoreError> {
        let end = offset.saturating_add(bytes.len() as u64);
        let fault = if !ingest::is_clip_id(clip_id) {
            "a part's clip id is no UUID".to_owned()
        } else if bytes.is_empty() || bytes.len() > MAX_PART_BYTES {
            format!("a part has {} bytes", bytes.len())
        } else if end > self.max_clip_bytes {
            format!(
                "a part would make its clip larger than {} bytes",
                self.max_clip_bytes
            )
        } else {
            String::new()
        };
        if !fault.is_empty() {
            self.cannot_read(wall, sender.as_str(), "part", &fault)?;
            return Ok(None);
        }
        if self.staging.get_mut(sender, clip_id).is_none() {
            if self.stored_hash(clip_id)?.is_some() {
                return Ok(None); // late: the clip is here
            }
            let offered = self.offered(sender, clip_id)?;
            self.staging.begin(mono, sender, clip_id).manifest = offered;
        }
        if !self.staging.write(mono, sender, clip_id, offset, bytes)? {
            self.cannot_read(wall, sender.as_str(), "part", "a clip in too many pieces")?;
        }
        self.finish_if_whole(wall, sender, clip_id)
    }

    pub(super) fn manifest(
        &mut self,
        wall: Timestamp,
        mono: Mono,
        sender: &BoothId,
        clip_id: &str,
        payload: &[u8],
    ) -> Result<Option<Answer>, StoreError> {
        if !ingest::is_clip_id(clip_id) {
            self.cannot_read(
                wall,
                sender.as_str(),
                "clip",
                "a manifest's topic has no UUID",
            )?;
            return Ok(None);
        }
        let manifest = match ingest::believe(clip_id, payload, self.max_clip_bytes) {
            Ok(manifest) => manifest,
            Err(fault) => {
                return self.refuse(
                    wall,
                    sender,
                    clip_id,
                    fault.sha256.as_deref(),
                    &fault.reason,
                );
            }
        };
        let hash = manifest.sha256.clone();
        if let Some((known, kind)) = self.stored_hash(clip_id)? {
            // A number given up after its clip arrived, or the clip after its number was given up.
            let same = known == hash || manifest.kind == ClipKind::Void;
            if kind != "void" || manifest.kind == ClipKind::Void {
                return if same {
                    Ok(Some(ingest::stored(sender, clip_id, hash.as_deref(), wall)))
                } else {
                    self.refuse(
                        wall,
                        sender,
                        clip_id,
                        hash.as_deref(),
                        "another body is already stored under this clip_id",
                    )
                };
            }
        }
        if self.is_withdrawn(clip_id)? {
            self.staging.remove(sender, clip_id)?;
            return Ok(Some(ingest::discard(
                sender,
                clip_id,
                hash.as_deref(),
                wall,
            )));
        }
        if manifest.bytes == 0 {
            self.keep(wall, sender, &manifest, payload)?;
            return Ok(Some(ingest::stored(sender, clip_id, hash.as_deref(), wall)));
        }
        if self.staging.get_mut(sender, clip_id).is_none() {
            let offered = self.offered(sender, clip_id)?;
            self.staging.begin(mono, sender, clip_id).manifest = offered;
        }
        let staged = self.staging.begin(mono, sender, clip_id);
        let repeated = match &staged.manifest {
            Some((known, _))
                if known.sha256 != manifest.sha256 || known.bytes != manifest.bytes =>
            {
                return self.refuse(
                    wall,
                    sender,
                    clip_id,
                    hash.as_deref(),
                    "this clip_id was offered before with another body",
                );
            }
            Some(_) => true,
            None => false,
        };
        if !repeated {
            staged.manifest = Some((manifest.clone(), payload.to_vec()));
            self.remember_offer(wall, sender, clip_id, payload)?;
        }
        // A crash between rename and commit left the file without its row: take it as it is.
        if self.adopt(wall, sender, &manifest, payload)? {
            self.staging.remove(sender, clip_id)?;
            return Ok(Some(ingest::stored(sender, clip_id, hash.as_deref(), wall)));
        }
        if let Some(answer) = self.finish_if_whole(wall, sender, clip_id)? {
            return Ok(Some(answer));
        }
        if !repeated {
            return Ok(None);
        }
        let missing = self.missing_of(sender, clip_id, manifest.bytes);
        Ok(Some(ingest::partial(
            sender,
            clip_id,
            hash.as_deref(),
            &missing,
            wall,
        )))
    }

    fn missing_of(&mut self, sender: &BoothId, clip_id: &str, bytes: u64) -> Vec<(u64, u64)> {
        self.staging.get_mut(sender, clip_id).map_or_else(
            || vec![(0, bytes)],
            |staged| staged.ranges.missing(0, bytes, ingest::MAX_MISSING_RANGES),
        )
    }

    /// Verifies, moves and records a body whose manifest is known and whose every byte is here; the commit fsyncs it.
    fn finish_if_whole(
        &mut self,
        wall: Timestamp,
        sender: &BoothId,
        clip_id: &str,
    ) -> Result<Option<Answer>, StoreError> {
        let Some(staged) = self.staging.get_mut(sender, clip_id) else {
            return Ok(None);
        };
        let Some((manifest, raw)) = staged.manifest.clone() else {
            return Ok(None);
        };
        if !staged.ranges.covers(0, manifest.bytes) {
            return Ok(None);
        }
        let hash = manifest.sha256.as_deref();
        let found = self.staging.cut_and_hash(sender, clip_id, manifest.bytes)?;
        if Some(found.as_str()) != hash {
            let mismatches = self.mismatched(sender, clip_id);
            if mismatches >= MAX_MISMATCHES {
                self.staging.remove(sender, clip_id)?;
                self.forget_offer(sender, clip_id)?;
                let reason = format!(
                    "the body came whole {mismatches} times and never had the manifest's hash"
                );
                return self.refuse(wall, sender, clip_id, hash, &reason);
            }
            log::warn!(booth = sender.as_str(), clip_id = clip_id;
                "a body from {sender} does not have its manifest's hash; it is asked for again");
            let missing = [(0, manifest.bytes)];
            return Ok(Some(ingest::partial(sender, clip_id, hash, &missing, wall)));
        }
        let from = self.staging.path(sender, clip_id);
        let to = self.file_of(&manifest);
        let folder = to.parent().unwrap_or(&self.clips).to_owned();
        if !folder.exists() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&folder)
                .map_err(|e| StoreError::file("creating", &folder, e))?;
            self.dirty_folders.insert(self.clips.clone());
        }
        fs::rename(&from, &to).map_err(|e| StoreError::file("renaming to", &to, e))?;
        self.unsynced_files.insert(to);
        self.dirty_folders.insert(folder);
        self.staging.forget(sender, clip_id);
        self.keep(wall, sender, &manifest, &raw)?;
        Ok(Some(ingest::stored(sender, clip_id, hash, wall)))
    }

    /// Counts a body with the wrong hash and forgets its bytes.
    fn mismatched(&mut self, sender: &BoothId, clip_id: &str) -> u32 {
        self.staging.get_mut(sender, clip_id).map_or(0, |staged| {
            staged.ranges.clear();
            staged.mismatches += 1;
            staged.mismatches
        })
    }

    /// Records a clip whose file, if it has one, was renamed without its row.
    fn adopt(
        &mut self,
        wall: Timestamp,
        sender: &BoothId,
        manifest: &Manifest,
        raw: &[u8],
    ) -> Result<bool, StoreError> {
        let path = self.file_of(manifest);
        match staging::hash_at(&path)? {
            Some((hash, bytes))
                if bytes == manifest.bytes && Some(hash.as_str()) == manifest.sha256.as_deref() => {
            }
            _ => return Ok(false),
        }
        self.dirty_folders.extend([self.clips.clone()]);
        self.dirty_folders.extend(path.parent().map(Path::to_owned));
        self.unsynced_files.insert(path);
        log::info!(clip_id = manifest.clip_id.as_str();
            "a clip's file was found without its entry and adopted");
        self.keep(wall, sender, manifest, raw)?;
        Ok(true)
    }

    /// Where a clip's body lies. The id was checked: it cannot leave the folder.
    fn file_of(&self, manifest: &Manifest) -> PathBuf {
        clip_path(&self.clips, &manifest.clip_id, manifest.body)
    }

    /// Writes a clip's row; the file is in place.
    fn keep(
        &mut self,
        wall: Timestamp,
        sender: &BoothId,
        manifest: &Manifest,
        raw: &[u8],
    ) -> Result<(), StoreError> {
        self.begin()?;
        let booth = &manifest.booth_id;
        if booth != sender && !fleet::card_known_at(&self.db, booth, &manifest.card_id)? {
            self.show_operator(wall, sender, &manifest.clip_id, &format!(
                "stored, but look at it: {sender} sent a clip of {booth}, where its card was never seen"
            ))?;
        } else if let Err(FleetError::Database(error)) =
            fleet::card_seen(&self.db, wall, sender, &manifest.card_id)
        {
            return Err(error.into());
        }
        let same_number: Option<String> = self
            .db
            .prepare_cached(
                "SELECT clip_id FROM clip WHERE card_id = ?1 AND clip_no = ?2 AND clip_id <> ?3",
            )?
            .query_row(
                params![manifest.card_id, manifest.clip_no, manifest.clip_id],
                |row| row.get(0),
            )
            .optional()?;
        if let Some(other) = same_number {
            self.show_operator(
                wall,
                sender,
                &manifest.clip_id,
                &format!(
                    "stored, but look at it: number {} of its card is also that of clip {other}",
                    manifest.clip_no
                ),
            )?;
        }
        let started = manifest
            .started_at
            .as_deref()
            .and_then(|text| text.parse::<Timestamp>().ok());
        let corrected = self.corrected(sender, manifest)?;
        let day = match corrected {
            Some((_, day)) => day,
            None => started
                .filter(|_| manifest.clock_synced == Some(1))
                .unwrap_or(wall)
                .to_zoned_datetime(self.zone.clone())
                .date(),
        };
        let started_at = corrected
            .map(|(at, _)| rfc3339(at))
            .or_else(|| manifest.started_at.clone());
        let word = |value: Option<serde_json::Value>| {
            value
                .and_then(|v| v.as_str().map(str::to_owned))
                .unwrap_or_default()
        };
        self.db
            .prepare_cached(
                "INSERT OR REPLACE INTO clip (clip_id, card_id, clip_no, booth_id, sender, boot_id,
                   kind, test, question_id, choice, lang, started_at, started_mono_ms, clock_synced,
                   duration_ms, ended_by, recovered, body, bytes, sha256, received_at, day, manifest)
                 VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,?21,?22,?23)",
            )?
            .execute(params![
                manifest.clip_id,
                manifest.card_id,
                manifest.clip_no,
                booth.as_str(),
                sender.as_str(),
                manifest.boot_id,
                word(serde_json::to_value(manifest.kind).ok()),
                manifest.test != 0,
                manifest.question_id,
                manifest.choice,
                manifest.lang,
                started_at,
                manifest.started_mono_ms,
                manifest.clock_synced == Some(1),
                manifest.duration_ms.unwrap_or(0),
                word(manifest.ended_by.and_then(|by| serde_json::to_value(by).ok())),
                manifest.recovered != 0,
                manifest.body.and_then(|body| serde_json::to_value(body).ok()).map(|v| word(Some(v))),
                manifest.bytes,
                manifest.sha256,
                rfc3339(wall),
                day.to_string(),
                raw,
            ])?;
        self.forget_offer(sender, &manifest.clip_id)
    }

    /// Refuses a clip: an entry that an operator sees, and the answer.
    fn refuse(
        &mut self,
        wall: Timestamp,
        sender: &BoothId,
        clip_id: &str,
        sha256: Option<&str>,
        reason: &str,
    ) -> Result<Option<Answer>, StoreError> {
        self.show_operator(wall, sender, clip_id, reason)?;
        complaints::note(
            &format!("{sender} refused"),
            &format!("clip {clip_id} from {sender} was refused: {reason}"),
        );
        Ok(Some(ingest::reject(sender, clip_id, sha256, reason, wall)))
    }

    fn show_operator(
        &mut self,
        wall: Timestamp,
        sender: &BoothId,
        clip_id: &str,
        reason: &str,
    ) -> Result<(), StoreError> {
        self.begin()?;
        self.db
            .prepare_cached(
                "INSERT INTO refused (booth_id, clip_id, reason, at, times) VALUES (?1, ?2, ?3, ?4, 1)
                 ON CONFLICT DO UPDATE SET at = excluded.at, times = times + 1",
            )?
            .execute([sender.as_str(), clip_id, reason, &rfc3339(wall)])?;
        self.db
            .prepare_cached(
                "DELETE FROM refused WHERE booth_id = ?1 AND rowid IN (
                   SELECT rowid FROM refused WHERE booth_id = ?1
                   ORDER BY at DESC, rowid DESC LIMIT -1 OFFSET ?2)",
            )?
            .execute(params![sender.as_str(), MAX_REFUSED_PER_BOOTH])?;
        Ok(())
    }

    fn stored_hash(&self, clip_id: &str) -> Result<Option<(Option<String>, String)>, StoreError> {
        Ok(self
            .db
            .prepare_cached("SELECT sha256, kind FROM clip WHERE clip_id = ?1")?
            .query_row([clip_id], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?)
    }

    fn is_withdrawn(&self, clip_id: &str) -> Result<bool, StoreError> {
        Ok(self
            .db
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM withdrawn WHERE clip_id = ?1)")?
            .query_row([clip_id], |row| row.get(0))?)
    }

    fn offered(
        &self,
        sender: &BoothId,
        clip_id: &str,
    ) -> Result<Option<(Manifest, Vec<u8>)>, StoreError> {
        let raw: Option<Vec<u8>> = self
            .db
            .prepare_cached("SELECT manifest FROM offer WHERE clip_id = ?1 AND sender = ?2")?
            .query_row([clip_id, sender.as_str()], |row| row.get(0))
            .optional()?;
        Ok(raw.and_then(|raw| {
            let manifest = ingest::believe(clip_id, &raw, self.max_clip_bytes).ok()?;
            Some((manifest, raw))
        }))
    }

    fn remember_offer(
        &mut self,
        wall: Timestamp,
        sender: &BoothId,
        clip_id: &str,
        raw: &[u8],
    ) -> Result<(), StoreError> {
        self.begin()?;
        self.db
            .prepare_cached(
                "INSERT OR REPLACE INTO offer (clip_id, sender, at, manifest) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![clip_id, sender.as_str(), rfc3339(wall), raw])?;
        self.db
            .prepare_cached("DELETE FROM offer WHERE rowid <= (SELECT max(rowid) FROM offer) - ?1")?
            .execute([MAX_OFFERS])?;
        Ok(())
    }

    fn forget_offer(&mut self, sender: &BoothId, clip_id: &str) -> Result<(), StoreError> {
        self.begin()?;
        self.db
            .prepare_cached("DELETE FROM offer WHERE clip_id = ?1 AND sender = ?2")?
            .execute([clip_id, sender.as_str()])?;
        Ok(())
    }
}
