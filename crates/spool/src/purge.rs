//! Giving up a clip in quarantine: what was said is gone, and its number is declared void (contract §3.3, §3.7).
//!
//! Owns: the order of the steps. One rename puts the declaration in the clip's place, in quarantine, with a note that it is on its
//! way out; then it moves to the clips that are delivered. A power cut leaves the clip whole in quarantine, or the declaration, which
//! the next opening lets out.

use booth_contract::ClipId;

use super::clip_file::{only_closing, void};
use super::ledger::Entry;
use super::record::{Kind, PREAMBLE_BYTES, push, salt};
use super::{KeptClip, Spool, SpoolError, locked};
use gateway_core::quarantine::Note;

impl Spool {
    /// Gives up a clip in quarantine for good, with this reason. Returns what declares its number void, which is delivered and
    /// released like a clip. Of a number that is void already the same. Durable when this returns.
    pub fn purge(&self, clip_id: &ClipId, reason: &str) -> Result<KeptClip, SpoolError> {
        let inner = &self.inner;
        let (id, entry) = inner.entry(clip_id)?;
        let is_void = entry.clip.bytes == 0 && entry.clip.sha256.is_empty();
        let reason = match reason {
            "" => "given up by a signed command".to_owned(),
            reason => format!("given up by a signed command: {reason}"),
        };
        let mut entry = match (is_void, entry.quarantine.is_some()) {
            (true, false) => return Ok(entry.clip),
            (false, false) => {
                let clip_id = clip_id.clone();
                return Err(SpoolError::NotInQuarantine { clip_id });
            }
            (true, true) => entry,
            (false, true) => {
                let manifest = void(&entry.clip, &reason);
                let note = Note {
                    is_out: true,
                    ..Note::unknown(&reason)
                };
                let json = serde_json::to_vec(&note).unwrap_or_default();
                let mut bytes = only_closing(id, &manifest);
                push(&mut bytes, salt(id), Kind::Note, 1, &[&json]);
                // Without its entry the file is read at the next opening, whatever it is by then.
                inner.with_ledger(|ledger| {
                    ledger.remove_clip(id)?;
                    ledger.sync()
                });
                let folder = &inner.folders.quarantine;
                let written = inner
                    .folders
                    .with_room(|| inner.folders.rewrite_clip(folder, id, &bytes));
                written.map_err(|error| {
                    SpoolError::io("writing", inner.folders.clip(folder, id), error)
                })?;
                Entry {
                    clip: KeptClip::of(&manifest),
                    file_bytes: bytes.len() as u64,
                    closing_at: PREAMBLE_BYTES as u64,
                    offered_at: None,
                    quarantine: Some(reason),
                    note: Some(note),
                }
            }
        };
        locked(&inner.reader).forget(id);
        locked(&inner.index).insert(id, entry.clone());
        let (from, to) = (&inner.folders.quarantine, &inner.folders.clips);
        inner
            .folders
            .move_clip(id, from, to)
            .map_err(|error| SpoolError::io("moving", inner.folders.clip(from, id), error))?;
        entry.quarantine = None;
        inner.with_ledger(|ledger| {
            ledger.put_clip(id, &entry)?;
            ledger.sync()
        });
        let clip = entry.clip.clone();
        locked(&inner.index).insert(id, entry);
        Ok(clip)
    }
}
