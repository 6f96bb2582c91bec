//! Looking at every file of the spool without changing any (docs/spool-format.md §4).
//!
//! Owns: what each file is. Never does: write, move or delete; `recovery` acts on what is found here.

use booth_contract::CardId;
use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::SpoolError;
use super::clip_file::{CutOff, Found, read};
use super::disk::read_whole;
use super::error::is_verdict;
use super::folders::{Folders, clip_of};
use super::ledger::Entry;
use super::settle::LONGEST_FILE;
use gateway_core::quarantine::Note;

/// The reason if neither the file nor the ledger says why a clip is in quarantine.
const REASON_LOST: &str = "the reason was lost with the ledger";

/// What the files turned out to be.
#[derive(Default)]
pub(super) struct Survey {
    /// Clips for which the ledger's entry is right.
    pub known: Vec<(Uuid, Entry)>,
    /// Finished clips the ledger does not know.
    pub found: Vec<(Uuid, Entry)>,
    /// Finished clips whose body is not whole, still in `clips/`.
    pub damaged: Vec<(Uuid, Entry)>,
    pub cut_off: Vec<(Uuid, CutOff, Option<u64>)>,
    pub discarded: Vec<Uuid>,
    pub empty: Vec<Uuid>,
    /// Paths of files that make no sense, and why.
    pub unreadable: Vec<(PathBuf, String)>,
    /// Files that the card does not give back now.
    pub unread: Vec<Unread>,
    /// Unfinished takes in quarantine, which could not be read at an earlier opening.
    pub astray: Vec<Uuid>,
    /// Clips with a file in both folders.
    pub doubled: Vec<Uuid>,
    /// Entries of the ledger without a readable file.
    pub missing: Vec<(Uuid, Entry)>,
}

/// A file that the card does not give back now.
pub(super) struct Unread {
    pub id: Uuid,
    pub path: PathBuf,
    pub in_quarantine: bool,
    /// The ledger's entry for it.
    pub known: Option<Entry>,
    /// The card's error.
    pub why: std::io::Error,
}

impl Survey {
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        [&self.known, &self.found, &self.damaged, &self.missing]
            .into_iter()
            .flatten()
            .map(|(_, entry)| entry)
            .chain(self.unread.iter().filter_map(|file| file.known.as_ref()))
    }

    /// The highest number that this card has given, as files and ledger show.
    pub(super) fn highest_number(&self, card_id: &CardId) -> u64 {
        let finished = self
            .entries()
            .filter(|entry| entry.clip.card_id == *card_id)
            .map(|entry| entry.clip.clip_no);
        let torn = self
            .cut_off
            .iter()
            .filter(|(_, cut, _)| cut.header.card_id == *card_id)
            .filter_map(|(_, cut, known)| known.or(cut.clip_no));
        finished.chain(torn).max().unwrap_or(0)
    }

    pub(super) fn has_losses(&self) -> bool {
        !self.missing.is_empty() || !self.unreadable.is_empty()
    }
}

/// Looks at every file without changing any.
pub(super) fn survey(folders: &Folders, entries: Vec<Entry>) -> Result<Survey, SpoolError> {
    let mut survey = Survey::default();
    let mut ledger: HashMap<Uuid, Entry> = entries
        .into_iter()
        .filter_map(|entry| Some((Uuid::parse_str(&entry.clip.clip_id).ok()?, entry)))
        .collect();
    let mut quarantined = HashSet::new();
    for (folder, is_quarantine) in [(&folders.quarantine, true), (&folders.clips, false)] {
        let listed = folders
            .disk
            .list(folder)
            .map_err(|error| SpoolError::io("listing", folder, error))?;
        for file in listed {
            let path = folder.join(&file.name);
            let Some(id) = clip_of(&file.name).filter(|_| !file.is_folder) else {
                survey.unreadable.push((path, "it is no clip file".into()));
                continue;
            };
            if is_quarantine {
                quarantined.insert(id);
            } else if quarantined.contains(&id) {
                survey.doubled.push(id);
            }
            let entry = match ledger.remove(&id) {
                Some(entry)
                    if entry.file_bytes == file.bytes
                        && entry.quarantine.is_some() == is_quarantine =>
                {
                    survey.known.push((id, entry));
                    continue;
                }
                other => other,
            };
            survey.classify(folders, &path, id, entry, is_quarantine);
        }
    }
    survey.missing.extend(ledger);
    survey.cut_off.sort_by_key(|(_, cut, _)| {
        (
            cut.header.boot_count,
            cut.header.clip.armed.mono,
            cut.header.clip.clip_id.clone(),
        )
    });
    Ok(survey)
}

impl Survey {
    fn classify(
        &mut self,
        folders: &Folders,
        path: &Path,
        id: Uuid,
        entry: Option<Entry>,
        is_quarantine: bool,
    ) {
        let bytes = match read_whole(folders.disk.as_ref(), path, LONGEST_FILE) {
            Ok(bytes) => bytes,
            // A file that the gateway has no permission to read says nothing about the card: such a file is not the gateway's own.
            Err(error)
                if is_verdict(&error)
                    || matches!(
                        error.kind(),
                        ErrorKind::NotFound | ErrorKind::PermissionDenied
                    ) =>
            {
                self.lose(path, error.to_string(), id, entry);
                return;
            }
            Err(why) => {
                self.unread.push(Unread {
                    id,
                    path: path.to_path_buf(),
                    in_quarantine: is_quarantine,
                    known: entry,
                    why,
                });
                return;
            }
        };
        let reason = entry.as_ref().and_then(|entry| entry.quarantine.clone());
        match read(&bytes, id) {
            Found::Finished(manifest, closed) => {
                let mut found = Entry::of(&manifest, &closed, bytes.len() as u64);
                if is_quarantine {
                    let note = found.note.get_or_insert_with(|| {
                        Note::unknown(&reason.unwrap_or_else(|| REASON_LOST.into()))
                    });
                    found.quarantine = Some(note.reason.clone());
                }
                self.found.push((id, found));
            }
            Found::Damaged(manifest, at, why) => {
                let found = (id, Entry::damaged(&manifest, at, bytes.len() as u64, &why));
                if is_quarantine {
                    self.found.push(found)
                } else {
                    self.damaged.push(found)
                }
            }
            Found::CutOff(_) if is_quarantine && entry.is_none() => self.astray.push(id),
            _ if is_quarantine => self.lose(path, "it is not a finished clip".into(), id, entry),
            Found::CutOff(cut) => {
                self.cut_off
                    .push((id, *cut, entry.map(|entry| entry.clip.clip_no)));
            }
            Found::Discarded => self.discarded.push(id),
            Found::Empty if entry.is_none() => self.empty.push(id),
            Found::Empty => self.lose(path, "its content is gone".into(), id, entry),
            Found::Unreadable(why) => self.lose(path, why, id, entry),
        }
    }

    fn lose(&mut self, path: &Path, why: String, id: Uuid, entry: Option<Entry>) {
        self.unreadable.push((path.to_path_buf(), why));
        self.missing.extend(entry.map(|entry| (id, entry)));
    }
}
