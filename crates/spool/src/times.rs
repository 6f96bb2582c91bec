//! Corrected times, after a clock became right, and numbers whose clip is gone (docs/spool-format.md §3 and §7).
//!
//! Owns: the pair of clocks per machine boot, and the final form of a manifest before its first offer. Never does: change a
//! manifest that may have been offered. A failure leaves the clip as it was: not offered, and tried again.

use uuid::Uuid;

use super::clip_file::{StartFacts, only_closing, retimed, void};
use super::disk::{Open, read_whole};
use super::folders::open_clip;
use super::ledger::Entry;
use super::read::record;
use super::record::{HEAD_BYTES, Kind, PREAMBLE_BYTES, push, salt};
use super::settle::LONGEST_FILE;
use super::{Inner, KeptClip, Spool, SpoolError, locked};
use booth_contract::{BootId, ClipId, Manifest};

/// A pair of clocks that differs by less than this counts as unchanged.
const SAME_MS: u64 = 500;

impl Spool {
    /// Notes by how much the wall clock is ahead of the boot-time clock, in ms, now that the wall clock is synchronised. Durable
    /// when this returns; kept while clips of this boot are on the card. Clips that were not offered yet get their times from it.
    pub fn note_clock(&self, wall_minus_mono_ms: i64) -> Result<(), SpoolError> {
        let inner = &self.inner;
        let mut boots: std::collections::BTreeSet<BootId> = locked(&inner.index)
            .clips
            .values()
            .map(|entry| entry.clip.boot_id.clone())
            .collect();
        boots.insert(inner.boot_id.clone());
        let mut card = locked(&inner.card);
        let known = card.clocks.get(&inner.boot_id);
        if known.is_some_and(|known| known.abs_diff(wall_minus_mono_ms) <= SAME_MS) {
            return Ok(());
        }
        let mut noted = card.clone();
        noted.clocks.retain(|boot, _| boots.contains(boot));
        noted
            .clocks
            .insert(inner.boot_id.clone(), wall_minus_mono_ms);
        inner.save_card(&noted)?;
        *card = noted;
        Ok(())
    }

    /// Whether the manifest of this clip may still get a better time, so that [`Spool::fix`] must come before its first offer.
    pub fn needs_fixing(&self, clip_id: &ClipId) -> bool {
        self.inner
            .entry(clip_id)
            .is_ok_and(|(_, entry)| !entry.clip.clock_synced && entry.offered_at.is_none())
    }

    /// Makes the manifest of a clip final, with the right time if that is known by now. Durable when this returns; from then on
    /// every offer has the same bytes. Has no effect a second time, or on a clip whose clock was right.
    pub fn fix(&self, clip_id: &ClipId) -> Result<(), SpoolError> {
        self.inner.fix(clip_id)
    }
}

impl Inner {
    /// The moment by the corrected clock of that boot, if its clock became right.
    pub(super) fn corrected(&self, boot_id: &BootId, start: StartFacts) -> StartFacts {
        start.corrected(locked(&self.card).clocks.get(boot_id).copied())
    }

    fn fix(&self, clip_id: &ClipId) -> Result<(), SpoolError> {
        let (id, mut entry) = self.entry(clip_id)?;
        if entry.clip.clock_synced || entry.offered_at.is_some() {
            return Ok(());
        }
        let path = self.clip_path(id, &entry);
        // The file is read before it is opened for writing, because a read-only card refuses the latter.
        let readable = open_clip(&self.folders, &path, Open::Read)?;
        let (head, payload) = record(readable.as_ref(), &path, id, entry.closing_at)?;
        drop(readable);
        let manifest: Manifest =
            serde_json::from_slice(&payload).map_err(|error| SpoolError::Damaged {
                clip_id: clip_id.clone(),
                why: format!("its closing record is no manifest: {error}"),
            })?;
        let offset = locked(&self.card).clocks.get(&manifest.boot_id).copied();
        let manifest = match offset {
            Some(offset) => retimed(manifest, offset),
            None => manifest,
        };
        let at = entry.closing_at + (HEAD_BYTES + head.payload_bytes) as u64;
        let mut bytes = Vec::with_capacity(2048);
        push(
            &mut bytes,
            salt(id),
            Kind::Offered,
            head.sequence + 1,
            &[&manifest.to_json()],
        );
        // Bytes behind the closing record come from an earlier try and were never offered, so that they may be cut off.
        let write = || {
            let file = self.folders.disk.open(&path, Open::Write)?;
            file.truncate(at)?;
            file.write_at(&bytes, at)?;
            file.sync_data()
        };
        if let Err(error) = self.folders.with_room(write) {
            let error = SpoolError::io("writing", &path, error);
            if error.is_of_the_whole_card() {
                return Err(error);
            }
            // This place on the card may be bad, and another one good.
            let whole = read_whole(self.folders.disk.as_ref(), &path, LONGEST_FILE)
                .map_err(|error| SpoolError::io("reading", &path, error))?;
            let end = usize::try_from(at).unwrap_or(usize::MAX).min(whole.len());
            let whole = [&whole[..end], &bytes].concat();
            let clips = &self.folders.clips;
            self.folders
                .rewrite_clip(clips, id, &whole)
                .map_err(|_| error)?;
            locked(&self.reader).forget(id);
        }
        entry.clip = KeptClip::of(&manifest);
        entry.offered_at = Some(at);
        entry.file_bytes = at + bytes.len() as u64;
        self.with_ledger(|ledger| ledger.put_clip(id, &entry));
        let mut index = locked(&self.index);
        // If the clip was released or quarantined meanwhile, nothing is offered.
        if index
            .clips
            .get(&id)
            .is_some_and(|now| now.quarantine == entry.quarantine)
        {
            index.insert(id, entry);
        }
        Ok(())
    }

    /// Puts a declaration in the place of a clip that is gone or cannot be read: a file with only a closing record, which is
    /// delivered and released like any other.
    pub(super) fn declare_void(&self, id: Uuid, lost: &Entry) -> Result<(), SpoolError> {
        let manifest = void(&lost.clip, "its file on the card is gone or cannot be read");
        let bytes = only_closing(id, &manifest);
        let path = self.folders.clip(&self.folders.clips, id);
        let disk = self.folders.disk.as_ref();
        let write = || {
            let file = match disk.open(&path, Open::New) {
                // An earlier try has left the file behind.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                    disk.open(&path, Open::Write)?
                }
                other => other?,
            };
            file.truncate(0)?;
            file.write_at(&bytes, 0)?;
            file.sync_all()?;
            disk.sync_folder(&self.folders.clips)
        };
        self.folders
            .with_room(write)
            .map_err(|error| SpoolError::io("writing", &path, error))?;
        let entry = Entry {
            clip: KeptClip::of(&manifest),
            file_bytes: bytes.len() as u64,
            closing_at: PREAMBLE_BYTES as u64,
            offered_at: None,
            quarantine: None,
            note: None,
        };
        self.with_ledger(|ledger| {
            ledger.put_clip(id, &entry)?;
            ledger.sync()
        });
        locked(&self.index).insert(id, entry);
        Ok(())
    }
}
