//! Work that was found when the spool was opened and can wait: files that make no sense or are of no use, and clips that are lost.
//!
//! Owns: doing this work in slices while the booth runs, so that no booth waits for it. Never does: delete what could be audio. If
//! the process ends, the next opening finds the rest of the work again.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;

use uuid::Uuid;

use super::ledger::Entry;
use super::settle::Mended;
use super::{Inner, locked};
use gateway_core::quarantine::Note;

/// How many chores of each kind are done while the spool is opened.
pub(super) const AT_ONCE: usize = 16;
/// How many chores are done in each [`super::Spool::mend`].
const SLICE: usize = 64;

/// One chore.
pub(super) enum Chore {
    /// Move a file to `aside/`; with the reason.
    SetAside(PathBuf, String),
    /// Remove a take that was discarded or never begun.
    Unlink(Uuid),
    /// Move a finished clip whose body is not whole to quarantine.
    Damaged(Uuid, Box<Entry>),
    /// Declare the number of a clip void that the ledger knows and whose file is gone or to be set aside; only after the file is
    /// set aside.
    Void(Uuid, Box<Entry>),
}

/// The result of setting many files aside.
#[derive(Default)]
pub(super) struct SetAside {
    /// Their names in `aside/`, with the reasons.
    pub done: Vec<(String, String)>,
    /// Files that the card refused to move, with the reason for moving and the card's error.
    pub refused: Vec<(PathBuf, String, io::Error)>,
}

/// Takes the items that are done at once; the others are added to the chores.
pub(super) fn at_once<T>(
    all: Vec<T>,
    waiting: &mut VecDeque<Chore>,
    later: impl Fn(T) -> Chore,
) -> Vec<T> {
    let mut first = all;
    let rest = first.split_off(first.len().min(AT_ONCE));
    waiting.extend(rest.into_iter().map(later));
    first
}

impl Inner {
    /// Moves these files to `aside/`, with one sync for all of them.
    pub(super) fn set_many_aside(&self, many: Vec<(PathBuf, String)>) -> SetAside {
        let mut all = SetAside::default();
        let paths: Vec<PathBuf> = many.iter().map(|(path, _)| path.clone()).collect();
        for ((path, why), moved) in many.into_iter().zip(self.folders.set_all_aside(&paths)) {
            match moved {
                Ok(name) => all.done.push((name, why)),
                // Another process took the file away, or its name cannot be written here.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => all.refused.push((path, why, error)),
            }
        }
        all
    }

    /// Does a slice of the chores, on a card that takes writes.
    pub(super) fn do_chores(&self, mended: &mut Mended) {
        let mut chores = locked(&self.chores);
        let mut aside = Vec::new();
        for _ in 0..SLICE {
            let failed = match chores.pop_front() {
                None => break,
                Some(Chore::SetAside(path, why)) => {
                    aside.push((path, why));
                    continue;
                }
                Some(chore) => self.do_chore(chore, mended),
            };
            if let Some((chore, error)) = failed {
                self.trouble_with("tidying", &self.folders.clips, error);
                chores.push_front(chore);
                break;
            }
        }
        let all = self.set_many_aside(aside);
        mended.set_aside.extend(all.done);
        for (path, why, error) in all.refused.into_iter().rev() {
            self.trouble_with("setting aside", &path, error);
            chores.push_front(Chore::SetAside(path, why));
        }
    }

    /// Does a chore other than setting aside; returns it with the error if the card refuses.
    fn do_chore(&self, chore: Chore, mended: &mut Mended) -> Option<(Chore, io::Error)> {
        let (clips, quarantine) = (&self.folders.clips, &self.folders.quarantine);
        match chore {
            Chore::SetAside(path, why) => {
                let mut all = self.set_many_aside(vec![(path, why)]);
                mended.set_aside.append(&mut all.done);
                let refused = all.refused.pop();
                return refused.map(|(path, why, error)| (Chore::SetAside(path, why), error));
            }
            Chore::Unlink(id) => {
                if let Err(error) = self.folders.unlink_clip(clips, id) {
                    return Some((Chore::Unlink(id), error));
                }
            }
            Chore::Damaged(id, entry) => match self.folders.move_clip(id, clips, quarantine) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Some((Chore::Damaged(id, entry), error));
                }
                Err(_) => {}
                Ok(()) => {
                    self.with_ledger(|ledger| ledger.put_clip(id, &entry));
                    let why = entry.quarantine.clone().unwrap_or_default();
                    let moved = (entry.clip.clip_id.clone(), Note::damaged(&why));
                    mended.quarantined.push(moved);
                    locked(&self.index).insert(id, *entry);
                }
            },
            Chore::Void(id, entry) => {
                if let Err(error) = self.declare_void(id, &entry) {
                    let error = io::Error::other(error.to_string());
                    return Some((Chore::Void(id, entry), error));
                }
                mended.kept.extend(
                    self.entry(&id.to_string().into())
                        .ok()
                        .map(|(_, entry)| entry.clip),
                );
            }
        }
        None
    }
}
