//! The folder `disputed`: files that must not lie in a clip's place and must not be lost.
//!
//! Owns: its names and its limits. Never does: replace or delete a file. A second version of a clip is kept here for an operator
//! while its sender has room here; a version that does not fit stays with its booth, which is answered `reject` and keeps it. A
//! held version that gives way to the true one counts against its sender's room, too. A file in `clips/` that is no clip's whole
//! body always goes here, whatever the limits: it may be all that is left of a clip.
//!
//! The folder is counted at the start, and again when its date shows that another process has changed it.
#![allow(clippy::disallowed_methods)] // the hub's own file work: a rename that never replaces

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::record::{self, Record};
use super::{StoreError, private};
use crate::receipts::ReceiptMark;
use booth_contract::{BodyHash, BoothId, ClipId};
use booth_host::plain_file;

/// Most files of one sender, bodies and records together.
const MAX_FILES_PER_SENDER: usize = 32;
/// Most bytes of one sender's files.
const MAX_BYTES_PER_SENDER: u64 = 64_000_000;
/// Most files of all senders.
const MAX_FILES: usize = 1024;
/// Most names that are tried for one file.
const MAX_NAMES: usize = 1024;

/// First part of the name of a body whose manifest nobody knows.
const UNKNOWN: &str = "unknown";
/// First part of the name of a file that made room for a clip.
const REPLACED: &str = "replaced";

/// Why a file leaves its clip's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aside<'a> {
    /// Nobody knows its manifest any more: `booth-hub check` reports it until somebody has looked at it.
    Unknown,
    /// It was not its clip's body.
    Replaced,
    /// The held version of this sender gives way to the true one.
    GivesWay(&'a BoothId),
}

/// How many files and bytes the folder has of each sender.
#[derive(Debug, Default)]
struct Counts {
    /// Files and bytes of each sender.
    of: HashMap<String, (usize, u64)>,
    /// Files of all senders.
    files: usize,
    /// The folder's date when it was counted, or changed from here.
    at: Option<SystemTime>,
    /// The hub itself changed the folder: a change by another process within the same moment leaves the same date.
    is_to_be_proved: bool,
}

impl Counts {
    fn add(&mut self, sender: &str, bytes: u64) {
        let (files, of_all) = self.of.entry(sender.to_owned()).or_default();
        *files += 1;
        *of_all += bytes;
        self.files += 1;
    }

    fn has_room(&self, sender: &BoothId, more_bytes: u64) -> bool {
        let its = self.of.get(sender.as_str());
        let (files, bytes) = its.copied().unwrap_or_default();
        self.files + 2 <= MAX_FILES
            && files + 2 <= MAX_FILES_PER_SENDER
            && bytes.saturating_add(more_bytes) <= MAX_BYTES_PER_SENDER
    }
}

/// Bodies in the folder whose manifest nobody knows, with the id of their clip.
///
/// # Errors
/// Every error of the file system.
pub(super) fn unknown(dir: &Path) -> Result<Vec<(ClipId, PathBuf)>, StoreError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::file("reading", dir, error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| StoreError::file("reading", dir, e))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let mut words = name.split('.');
        if words.next() == Some(UNKNOWN)
            && let Some(clip_id) = words.next()
        {
            found.push((clip_id.into(), entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

/// The folder, and how full it is.
#[derive(Debug)]
pub(super) struct Apart {
    dir: PathBuf,
    counts: Counts,
}

impl Apart {
    /// Counts the files that are there. The folder is made when it is first needed.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(super) fn open(dir: PathBuf) -> Result<Self, StoreError> {
        let counts = Counts::default();
        let mut apart = Self { dir, counts };
        apart.count()?;
        Ok(apart)
    }

    /// Keeps a second version of a clip, with the body from `body` if it has one; answers where its record is, or `None` if the
    /// sender's room or all room is taken.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(super) fn keep(
        &mut self,
        clip_id: &ClipId,
        sha256: &BodyHash,
        record: &Record,
        body: Option<&Path>,
    ) -> Result<Option<PathBuf>, StoreError> {
        self.make()?;
        let sender = &record.sender;
        let stem = format!("{clip_id}.{sender}.{sha256:.16}");
        let written = self.dir.join(format!("{stem}.json"));
        if written.exists() {
            return Ok(Some(written));
        }
        let bytes = match body {
            Some(body) => fs::metadata(body).map_or(0, |file| file.len()),
            None => 0,
        };
        if !self.has_room(sender, bytes)? {
            return Ok(None);
        }
        if let Some(body) = body {
            self.take(body, &format!("{stem}.body"))?;
            self.counts.add(sender.as_str(), bytes);
        }
        record::write(&written, record)?;
        let bytes = fs::metadata(&written).map_or(0, |file| file.len());
        self.counts.add(sender.as_str(), bytes);
        self.changed();
        Ok(Some(written))
    }

    /// Moves a file out of a clip's place; answers where it is then.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(super) fn take_away(&mut self, file: &Path, why: Aside<'_>) -> Result<PathBuf, StoreError> {
        self.make()?;
        self.look()?;
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let name = match why {
            Aside::Unknown => format!("{UNKNOWN}.{name}"),
            Aside::Replaced => format!("{REPLACED}.{name}"),
            Aside::GivesWay(sender) => format!("{REPLACED}.{sender}.{name}"),
        };
        let aside = self.take(file, &name)?;
        if let Aside::GivesWay(sender) = why {
            let bytes = fs::metadata(&aside).map_or(0, |file| file.len());
            self.counts.add(sender.as_str(), bytes);
        }
        self.changed();
        Ok(aside)
    }

    /// Whether the sender has room here for a body of so many bytes and its record.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(super) fn has_room(
        &mut self,
        sender: &BoothId,
        more_bytes: u64,
    ) -> Result<bool, StoreError> {
        self.look()?;
        let has_room = self.counts.has_room(sender, more_bytes);
        if has_room || !self.counts.is_to_be_proved {
            return Ok(has_room);
        }
        self.count()?;
        Ok(self.counts.has_room(sender, more_bytes))
    }

    /// Deletes every file of this clip, overwritten.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(super) fn erase(&mut self, clip_id: &ClipId) -> Result<(), StoreError> {
        let mut is_changed = false;
        for path in private::files_in(&self.dir)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.split('.').any(|word| *clip_id == *word) {
                is_changed |= private::wipe(&path)?;
            }
        }
        if is_changed {
            super::fsync(&self.dir)?;
            self.count()?;
        }
        Ok(())
    }

    /// Deletes the versions with this receipt, and no other of the same clips; answers whether there was one.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(super) fn erase_versions(&mut self, mark: &ReceiptMark) -> Result<bool, StoreError> {
        let mut is_changed = false;
        for path in private::files_in(&self.dir)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let Some((stem, _)) = name.split_once(".json") else {
                continue;
            };
            if record::read(&path)?.is_none_or(|record| record.receipt.as_ref() != Some(mark)) {
                continue;
            }
            let beginning = format!("{stem}.");
            for of_it in private::files_in(&self.dir)? {
                let name = of_it.file_name().unwrap_or_default().to_string_lossy();
                if name.starts_with(&beginning) {
                    is_changed |= private::wipe(&of_it)?;
                }
            }
        }
        if is_changed {
            super::fsync(&self.dir)?;
            self.count()?;
        }
        Ok(is_changed)
    }

    /// Notes that the hub itself changed the folder.
    fn changed(&mut self) {
        self.counts.at = self.changed_at();
        self.counts.is_to_be_proved = true;
    }

    fn changed_at(&self) -> Option<SystemTime> {
        fs::metadata(&self.dir).and_then(|dir| dir.modified()).ok()
    }

    /// Counts anew if another process has taken a file out, or put one in.
    fn look(&mut self) -> Result<(), StoreError> {
        match self.changed_at() == self.counts.at {
            true => Ok(()),
            false => self.count(),
        }
    }

    fn count(&mut self) -> Result<(), StoreError> {
        let failed = |error| StoreError::file("reading", &self.dir, error);
        let mut counts = Counts {
            at: self.changed_at(),
            ..Counts::default()
        };
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.counts = counts;
                return Ok(());
            }
            entries => entries.map_err(failed)?,
        };
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let mut words = name.split('.');
            let (first, second) = (words.next(), words.next());
            // A clip's id is longer than any booth's id, so that it is not mistaken for one.
            let sender = second.filter(|_| first != Some(UNKNOWN));
            if let Some(sender) = sender.filter(|name| BoothId::parse(name).is_ok()) {
                counts.add(sender, entry.metadata().map_or(0, |file| file.len()));
            }
        }
        self.counts = counts;
        Ok(())
    }

    /// The folder, for a caller that fsyncs it.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    fn make(&self) -> Result<(), StoreError> {
        plain_file::make_private_folder(&self.dir)
            .map_err(|e| StoreError::file("creating", &self.dir, e))
    }

    /// Moves a file here under this name, or under the first free one after it.
    fn take(&self, from: &Path, name: &str) -> Result<PathBuf, StoreError> {
        for n in 0..MAX_NAMES {
            let to = match n {
                0 => self.dir.join(name),
                n => self.dir.join(format!("{name}.{n}")),
            };
            match rename_new(from, &to) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(StoreError::file("renaming to", &to, error)),
                Ok(()) => return Ok(to),
            }
        }
        let full = io::ErrorKind::AlreadyExists.into();
        Err(StoreError::file("finding a name in", &self.dir, full))
    }
}

/// Renames, and fails where a file has that name already.
///
/// # Errors
/// `AlreadyExists`, and every other error of the file system.
pub(super) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // For a file system that does not know the flag (NFS, older FUSE): making a link never replaces a file either.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::OPNOTSUPP) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        renamed => Ok(renamed?),
    }
}
