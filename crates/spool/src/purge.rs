//! Giving up a clip: what was said is gone, and its number is declared void (contract §3.3, §3.7). One in quarantine is given up by a signed
//! command, and any that its citizen has deleted while the card refused to.
//!
//! Owns: the order of the steps. One rename puts the declaration in the clip's place, in quarantine with a note that it is on its
//! way out; from there it moves to the clips that are delivered. A power cut leaves the clip whole, or the declaration, which the next
//! opening lets out.

use booth_contract::ClipId;
use uuid::Uuid;

use super::clip_file::{only_closing, void};
use super::ledger::Entry;
use super::record::{Kind, PREAMBLE_BYTES, push, salt};
use super::{Inner, KeptClip, Spool, SpoolError, locked};
use gateway_core::quarantine::Note;

/// Why the number of a clip is void that its citizen deleted while the card refused to.
const DELETED: &str = "deleted by its citizen";

impl Spool {
    /// Gives up a clip in quarantine for good, with this reason. Returns what declares its number void, which is delivered and
    /// released like a clip. Of a number that is void already the same. Durable when this returns.
    pub fn purge(&self, clip_id: &ClipId, reason: &str) -> Result<KeptClip, SpoolError> {
        let (id, entry) = self.inner.entry(clip_id)?;
        let reason = match reason {
            "" => "given up by a signed command".to_owned(),
            reason => format!("given up by a signed command: {reason}"),
        };
        match is_void(&entry) || entry.quarantine.is_some() {
            true => self.inner.give_up_clip(id, entry, reason),
            false => {
                let clip_id = clip_id.clone();
                Err(SpoolError::NotInQuarantine { clip_id })
            }
        }
    }

    /// Finishes what a citizen asked for who deleted a take while the card refused: what waits to be finished is discarded, and of what was
    /// finished meanwhile nothing stays but what declares its number void, which is returned, to be delivered like a clip. `None` if nothing of
    /// it is left. Durable when this returns.
    ///
    /// # Errors
    /// The card refuses it still, or has not said what is in the take's file: to be tried again.
    pub fn take_back(&self, clip_id: &ClipId) -> Result<Option<KeptClip>, SpoolError> {
        let inner = &self.inner;
        if inner.discard_unfinished(clip_id)? {
            return Ok(None);
        }
        match inner.entry(clip_id) {
            Ok((id, entry)) => {
                let void = inner.give_up_clip(id, entry, DELETED.into())?;
                // It may not have been told yet that it was finished.
                let mended = &mut locked(&inner.numbering).mended;
                mended.kept.retain(|kept| kept.clip_id != *clip_id);
                Ok(Some(void))
            }
            Err(_) if inner.may_have(clip_id) => Err(SpoolError::NotNow {
                clip_id: clip_id.clone(),
                why: "the card has not let go of its file".into(),
            }),
            Err(_) => Ok(None),
        }
    }
}

/// Whether an entry is of a number that was given up before.
fn is_void(entry: &Entry) -> bool {
    entry.clip.bytes == 0 && entry.clip.sha256.is_empty()
}

impl Inner {
    /// Puts the declaration that its number is void in the place of a clip, and lets it out of quarantine if it is there.
    fn give_up_clip(&self, id: Uuid, entry: Entry, reason: String) -> Result<KeptClip, SpoolError> {
        let mut entry = match (is_void(&entry), entry.quarantine.is_some()) {
            (true, false) => return Ok(entry.clip),
            (true, true) => entry,
            (false, is_aside) => self.replace_by_void(id, &entry, reason, is_aside)?,
        };
        locked(&self.reader).forget(id);
        locked(&self.index).insert(id, entry.clone());
        if entry.quarantine.take().is_some() {
            let (from, to) = (&self.folders.quarantine, &self.folders.clips);
            self.folders
                .move_clip(id, from, to)
                .map_err(|error| SpoolError::io("moving", self.folders.clip(from, id), error))?;
        }
        self.with_ledger(|ledger| {
            ledger.put_clip(id, &entry)?;
            ledger.sync()
        });
        let clip = entry.clip.clone();
        locked(&self.index).insert(id, entry);
        Ok(clip)
    }

    fn replace_by_void(
        &self,
        id: Uuid,
        entry: &Entry,
        reason: String,
        is_aside: bool,
    ) -> Result<Entry, SpoolError> {
        let manifest = void(&entry.clip, &reason);
        let mut bytes = only_closing(id, &manifest);
        let note = is_aside.then(|| Note {
            is_out: true,
            ..Note::unknown(&reason)
        });
        if let Some(note) = &note {
            let json = serde_json::to_vec(note).unwrap_or_default();
            push(&mut bytes, salt(id), Kind::Note, 1, &[&json]);
        }
        // Without its entry the file is read at the next opening, whatever it is by then.
        self.with_ledger(|ledger| {
            ledger.remove_clip(id)?;
            ledger.sync()
        });
        let folder = match is_aside {
            true => &self.folders.quarantine,
            false => &self.folders.clips,
        };
        let written = self
            .folders
            .with_room(|| self.folders.rewrite_clip(folder, id, &bytes));
        written.map_err(|error| SpoolError::io("writing", self.folders.clip(folder, id), error))?;
        Ok(Entry {
            clip: KeptClip::of(&manifest),
            file_bytes: bytes.len() as u64,
            closing_at: PREAMBLE_BYTES as u64,
            offered_at: None,
            quarantine: is_aside.then_some(reason),
            note,
        })
    }
}
