//! Moving clips into quarantine and out again.
//!
//! Owns: the note in the clip's own file that says why it is there (docs/spool-format.md §5), and both moves. Never does: decide
//! which clip comes back, or let a clip out that it has not read whole. If a move is cut off at any point, the clip is in one of
//! the two folders, or in both as one file; then the next opening has it in `clips/`.

use booth_contract::ClipId;
use std::io;
use std::path::Path;

use uuid::Uuid;

use super::clip_file::{Closed, Found, read};
use super::disk::{Open, read_whole};
use super::error::is_verdict;
use super::ledger::Entry;
use super::record::{Kind, push, salt};
use super::settle::LONGEST_FILE;
use super::{Inner, KeptClip, Spool, SpoolError, locked};
use gateway_core::quarantine::{Cause, Moment, Note};

/// When the notes of a clip are longer than this together, the next note replaces them.
const LONGEST_NOTES: u64 = 8 * 1024;

impl Spool {
    /// Takes a clip out of delivery and keeps it, with this note. Returns the note as it now stands.
    pub fn quarantine(&self, clip_id: &ClipId, note: &Note) -> Result<Note, SpoolError> {
        self.inner.quarantine(clip_id, note)
    }

    /// How many clips are in quarantine.
    pub fn quarantined(&self) -> usize {
        let inner = &self.inner;
        let index = locked(&inner.index);
        let known = index.clips.values().filter(|e| e.quarantine.is_some());
        known.count() + locked(&inner.unread).len()
    }

    /// The clips in quarantine, and why each is there; without files of which nothing is known.
    pub fn quarantined_clips(&self) -> Vec<(KeptClip, Note)> {
        let index = locked(&self.inner.index);
        let entries = index.clips.values();
        entries
            .filter_map(|entry| Some((entry.clip.clone(), entry.why_quarantined()?)))
            .collect()
    }

    /// The ids of all files in quarantine, including those that the card does not give back, and why each is there.
    pub fn notes(&self) -> Vec<(ClipId, Note)> {
        let known = self.quarantined_clips();
        let known = known.into_iter().map(|(clip, note)| (clip.clip_id, note));
        let unread = locked(&self.inner.unread);
        let unread = unread
            .iter()
            .map(|(id, note)| (id.to_string().into(), note.clone()));
        known.chain(unread).collect()
    }

    /// Lets these clips out of quarantine, each after its whole file was read and found good; a clip that is not in quarantine
    /// counts as let out. `by_itself` is given if no person asked for it. Durable when this returns, as far as the card allows.
    pub fn bring_back(
        &self,
        clips: &[ClipId],
        by_itself: Option<&Moment>,
    ) -> Vec<(ClipId, Result<KeptClip, SpoolError>)> {
        self.inner.bring_back(clips, by_itself)
    }
}

impl Inner {
    fn quarantine(&self, clip_id: &ClipId, note: &Note) -> Result<Note, SpoolError> {
        let (id, mut entry) = self.entry(clip_id)?;
        let mut note = note.clone();
        // The returns of a clip without a person's request are counted over all its stays.
        let before = entry.note.take().and_then(|before| before.returned);
        note.returned = note.returned.or(before);
        if entry.quarantine.is_none() {
            let from = self.folders.clip(&self.folders.clips, id);
            // A damaged file needs no note: its damage is found again.
            if note.cause != Cause::Damage {
                match self.write_note(id, &from, &note) {
                    Ok(file_bytes) => entry.file_bytes = file_bytes,
                    // Without a note, the clip gets another chance after the next start.
                    Err(error) => log::warn!("why clip {id} is refused is not noted: {error}"),
                }
            }
            self.folders
                .move_clip(id, &self.folders.clips, &self.folders.quarantine)
                .map_err(|error| SpoolError::io("moving to quarantine", from, error))?;
        }
        entry.quarantine = Some(note.reason.clone());
        entry.note = Some(note.clone());
        locked(&self.reader).forget(id);
        self.with_ledger(|ledger| {
            ledger.put_clip(id, &entry)?;
            ledger.sync()
        });
        locked(&self.index).insert(id, entry);
        Ok(note)
    }

    fn bring_back(
        &self,
        clips: &[ClipId],
        by_itself: Option<&Moment>,
    ) -> Vec<(ClipId, Result<KeptClip, SpoolError>)> {
        let mut has_moved = false;
        let mut done = Vec::new();
        let mut refusal: Option<String> = None;
        for clip_id in clips {
            let out = match &refusal {
                None => self.let_out(clip_id, by_itself, &mut has_moved),
                // The card would refuse the other clips as well.
                Some(why) => Err(SpoolError::NotNow {
                    clip_id: clip_id.clone(),
                    why: why.clone(),
                }),
            };
            if let Err(error) = &out
                && error.is_of_the_whole_card()
            {
                refusal = Some(error.to_string());
            }
            done.push((clip_id.clone(), out));
        }
        if has_moved {
            for folder in [&self.folders.clips, &self.folders.quarantine] {
                if let Err(error) = self.folders.disk.sync_folder(folder) {
                    // The clips have moved; if a power cut undoes that, the next opening finishes it.
                    log::warn!(
                        "clips that left quarantine may be there again after a power cut: {error}"
                    );
                }
            }
            self.with_ledger(|ledger| ledger.sync());
        }
        done
    }

    /// Lets one clip out; the caller syncs the folders.
    fn let_out(
        &self,
        clip_id: &ClipId,
        by_itself: Option<&Moment>,
        has_moved: &mut bool,
    ) -> Result<KeptClip, SpoolError> {
        let (id, entry) = match self.entry(clip_id) {
            Ok(known) => known,
            Err(error) => return self.let_unread_out(clip_id).ok_or(error)?,
        };
        let Some(note) = entry.why_quarantined() else {
            return Ok(entry.clip);
        };
        let path = self.folders.clip(&self.folders.quarantine, id);
        let (bytes, closed) = match self.whole(id, &path) {
            Ok((bytes, closed)) => (bytes, closed),
            Err(error) => {
                if let SpoolError::Damaged { why, .. } = &error {
                    self.note_damage(id, entry, why);
                }
                return Err(error);
            }
        };
        let note = Note {
            is_out: true,
            returned: by_itself.cloned().or(note.returned.clone()),
            ..note
        };
        self.append_note(id, &path, &bytes, &closed, &note)
            .and_then(|file_bytes| {
                let to = self.folders.clip(&self.folders.clips, id);
                self.folders.disk.rename(&path, &to)?;
                Ok(file_bytes)
            })
            .map(|file_bytes| {
                *has_moved = true;
                let entry = Entry {
                    file_bytes,
                    closing_at: closed.closing_at,
                    offered_at: closed.offered_at,
                    quarantine: None,
                    note: Some(note),
                    ..entry
                };
                locked(&self.reader).forget(id);
                self.with_ledger(|ledger| ledger.put_clip(id, &entry));
                let clip = entry.clip.clone();
                locked(&self.index).insert(id, entry);
                clip
            })
            .map_err(|error| SpoolError::io("moving out of quarantine", path, error))
    }

    /// Lets a file out of which nothing was known; `None` if it is not in quarantine.
    fn let_unread_out(&self, clip_id: &ClipId) -> Option<Result<KeptClip, SpoolError>> {
        let id = Uuid::parse_str(clip_id).ok()?;
        if !locked(&self.unread).contains_key(&id) {
            return None;
        }
        let mut numbering = locked(&self.numbering);
        if numbering.is_held_up() {
            let why = "an earlier clip waits for the card as well".into();
            let clip_id = clip_id.clone();
            return Some(Err(SpoolError::NotNow { clip_id, why }));
        }
        let read = self.read_late(id, true, None, &mut numbering);
        // The caller gets the result directly, so that it is not reported again by `mend`.
        let moved = &mut numbering.mended.quarantined;
        moved.retain(|(other, _)| other != clip_id);
        drop(numbering);
        let gone = |why: &str| SpoolError::Damaged {
            clip_id: clip_id.clone(),
            why: why.to_owned(),
        };
        Some(match read {
            Err(error) => Err(error),
            Ok(finished) => {
                locked(&self.unread).remove(&id);
                match (finished, self.entry(clip_id)) {
                    (Some(clip), _) => Ok(clip),
                    // The clip is known now, and leaves like any other.
                    (None, Ok(_)) => {
                        let mut has_moved = false;
                        let out = self.let_out(clip_id, None, &mut has_moved);
                        for folder in [&self.folders.clips, &self.folders.quarantine] {
                            if has_moved && let Err(error) = self.folders.disk.sync_folder(folder) {
                                log::warn!(
                                    "a move of clip {id} may come undone at a power cut: {error}"
                                );
                            }
                        }
                        out
                    }
                    (None, Err(_)) => Err(gone("what could be read at last is no clip")),
                }
            }
        })
    }

    /// The bytes of a finished clip's file, after a check that it is whole.
    fn whole(&self, id: Uuid, path: &Path) -> Result<(Vec<u8>, Closed), SpoolError> {
        let damaged = |why: String| SpoolError::Damaged {
            clip_id: id.to_string().into(),
            why,
        };
        let bytes = match read_whole(self.folders.disk.as_ref(), path, LONGEST_FILE) {
            Err(error) if is_verdict(&error) => return Err(damaged(error.to_string())),
            other => other.map_err(|error| SpoolError::io("reading", path, error))?,
        };
        match read(&bytes, id) {
            Found::Finished(_, closed) => Ok((bytes, closed)),
            Found::Damaged(_, _, why) | Found::Unreadable(why) => Err(damaged(why)),
            Found::CutOff(_) | Found::Discarded | Found::Empty => {
                Err(damaged("it is not a finished clip".into()))
            }
        }
    }

    fn note_damage(&self, id: Uuid, mut entry: Entry, why: &str) {
        let before = entry.note.take();
        entry.quarantine = Some(why.to_owned());
        entry.note = Some(Note {
            returned: before.and_then(|before| before.returned),
            ..Note::damaged(why)
        });
        self.with_ledger(|ledger| ledger.put_clip(id, &entry));
        locked(&self.index).insert(id, entry);
    }

    /// Appends a note to the file of a finished clip, durably; returns the new length.
    fn write_note(&self, id: Uuid, path: &Path, note: &Note) -> Result<u64, SpoolError> {
        let (bytes, closed) = self.whole(id, path)?;
        self.append_note(id, path, &bytes, &closed, note)
            .map_err(|error| SpoolError::io("writing", path, error))
    }

    fn append_note(
        &self,
        id: Uuid,
        path: &Path,
        bytes: &[u8],
        closed: &Closed,
        note: &Note,
    ) -> io::Result<u64> {
        let is_long = closed.end.0 - closed.notes.0 > LONGEST_NOTES;
        let (at, sequence) = if is_long { closed.notes } else { closed.end };
        let mut record = Vec::with_capacity(1024);
        let json = serde_json::to_vec(note).map_err(io::Error::other)?;
        push(&mut record, salt(id), Kind::Note, sequence, &[&json]);
        let end = at + record.len() as u64;
        self.folders.with_room(|| {
            let file = self.folders.disk.open(path, Open::Write)?;
            if bytes.len() as u64 > at {
                // Removes what a torn write has left, or the notes that this one replaces.
                file.truncate(at)?;
            }
            file.write_at(&record, at)?;
            file.sync_data()
        })?;
        Ok(end)
    }
}
