//! What must not be in a clip's place and must not be lost: the folder `disputed`.
//!
//! Owns: its names and its limits. Never does: replace or delete a file. A second version of a clip is kept apart for an operator
//! while its sender has room here; one that does not fit stays with its booth, which was told `reject` and keeps it. What
//! lay in `clips/` and is no clip's whole body always goes here, whatever the limits: it may be all that is left.
#![allow(clippy::disallowed_methods)] // the hub's own file work: a rename that never replaces

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::StoreError;
use super::record::{self, Record};
use crate::contract::BoothId;

/// Most files of one sender, bodies and records.
const MAX_FILES_PER_SENDER: usize = 32;
/// Most bytes of one sender.
const MAX_BYTES_PER_SENDER: u64 = 64_000_000;
/// Most files in all.
const MAX_FILES: usize = 1024;

/// How the name of a body begins of which nobody knows the manifest.
const UNKNOWN: &str = "unknown";

/// Bodies here of which nobody knows the manifest, with the id of their clip.
///
/// # Errors
/// Whatever the file system says.
pub fn unknown(dir: &Path) -> Result<Vec<(String, PathBuf)>, StoreError> {
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
            found.push((clip_id.to_owned(), entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

/// The folder.
#[derive(Debug)]
pub struct Apart {
    dir: PathBuf,
}

impl Apart {
    /// It is made when it is needed.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Takes a second version of a clip, the body from `body` if it has one; answers where its record is, `None` if the sender's
    /// room or all room is taken.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn keep(
        &self,
        clip_id: &str,
        sha256: &str,
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
        }
        record::write(&written, record)?;
        Ok(Some(written))
    }

    /// Takes a file that is in a clip's place; answers where it is then. Of one whose manifest nobody knows any more,
    /// `is_unknown`, `booth-hub check` speaks until somebody has looked at it.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn take_away(&self, file: &Path, is_unknown: bool) -> Result<PathBuf, StoreError> {
        self.make()?;
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let why = if is_unknown { UNKNOWN } else { "replaced" };
        self.take(file, &format!("{why}.{name}"))
    }

    /// The folder, for who fsyncs it.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn make(&self) -> Result<(), StoreError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.dir)
            .map_err(|e| StoreError::file("creating", &self.dir, e))
    }

    /// Moves a file here under this name, or the first free one after it.
    fn take(&self, from: &Path, name: &str) -> Result<PathBuf, StoreError> {
        for n in 0..MAX_FILES {
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

    fn has_room(&self, sender: &BoothId, more_bytes: u64) -> Result<bool, StoreError> {
        let failed = |error| StoreError::file("reading", &self.dir, error);
        let (mut files, mut its_files, mut its_bytes) = (0, 0, more_bytes);
        let its = format!(".{sender}.");
        for entry in fs::read_dir(&self.dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            files += 1;
            if entry.file_name().to_string_lossy().contains(&its) {
                its_files += 1;
                its_bytes += entry.metadata().map_or(0, |file| file.len());
            }
        }
        Ok(files + 2 <= MAX_FILES
            && its_files + 2 <= MAX_FILES_PER_SENDER
            && its_bytes <= MAX_BYTES_PER_SENDER)
    }
}

/// Renames, and fails where something has that name.
///
/// # Errors
/// `AlreadyExists`, or whatever the file system says.
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // A file system that does not know the flag (NFS, older FUSE): a link never replaces either.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::OPNOTSUPP) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        renamed => Ok(renamed?),
    }
}
