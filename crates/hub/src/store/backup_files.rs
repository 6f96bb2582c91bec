//! The folder of a backup: what lies where, and how files get there and are taken away.
//!
//! | in the folder | what it is | how long |
//! | --- | --- | --- |
//! | `backup.json` | which backup is whole; written last | until the next one |
//! | `store/databases/<stamp>/` | both databases, what was published, and the note of the bucket with the bodies | until the next one is whole |
//! | `store/clips/`, `store/campaigns/` | clips and prompts, each copied once | as long as the hub has them |
//! | `beside/` | what was taken back, what waits, codes | for good: it is only added to |
//! | `short-lived/<stamp>/` | the envelopes of sealed bodies in one file, and what is in dispute | some days |
//! | `unfinished` | a backup is under way, or was cut off | |
//!
//! Owns: these names and forms, and that a file that has its name is durable. Never does: decide what is copied. A failure leaves files whose
//! names begin with a dot, which the next backup writes anew, and whatever was whole before.
#![allow(clippy::disallowed_methods)] // the hub's own file work; each step names its fsync

use std::collections::BTreeSet;
use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::bodies::BodiesError;
use super::envelopes::BodyFiles;
use super::{StoreError, fsync, private, staging};
use booth_contract::ClipId;

/// Version of the folder's form.
pub(super) const SCHEMA: u32 = 1;
/// Files, and bytes, that are written before they share a sync: a hub on the same disk waits for no more than these.
const FILES_AT_ONCE: usize = 128;
const BYTES_AT_ONCE: u64 = 8 << 20;
/// With more files than this, one syncfs is cheaper than an fsync of each.
const FEW_FILES: usize = 4;
/// First line of the file of envelopes.
const FIRST_LINE: &str = "booth-hub envelopes 1\n";

/// A file by its length and hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hashed {
    pub bytes: u64,
    pub sha256: String,
}

/// The content of `backup.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    pub schema: u32,
    /// The name of the folders that belong to it.
    pub stamp: String,
    /// The moment of the databases, RFC 3339 UTC.
    pub at: String,
    /// Clips of every kind.
    pub clips: u64,
    /// Bodies, and how many bytes they have.
    pub bodies: u64,
    pub bytes: u64,
    /// Whether the hub had a key of receipts, which has to be put back from its own copy.
    pub has_receipt_key: bool,
    pub hub_sqlite: Hashed,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub city_sqlite: Option<Hashed>,
}

/// See the module's comment.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub dir: PathBuf,
}

impl Layout {
    pub(super) fn note(&self) -> PathBuf {
        self.dir.join("backup.json")
    }

    pub(super) fn unfinished(&self) -> PathBuf {
        self.dir.join("unfinished")
    }

    pub(super) fn clips(&self) -> PathBuf {
        self.dir.join("store/clips")
    }

    pub(super) fn campaigns(&self) -> PathBuf {
        self.dir.join("store/campaigns")
    }

    pub(super) fn all_databases(&self) -> PathBuf {
        self.dir.join("store/databases")
    }

    pub(super) fn databases(&self, stamp: &str) -> PathBuf {
        self.all_databases().join(stamp)
    }

    pub(super) fn beside(&self) -> PathBuf {
        self.dir.join("beside")
    }

    pub(super) fn all_short_lived(&self) -> PathBuf {
        self.dir.join("short-lived")
    }

    pub(super) fn short_lived(&self, stamp: &str) -> PathBuf {
        self.all_short_lived().join(stamp)
    }

    pub(super) fn envelopes(&self, stamp: &str) -> PathBuf {
        self.short_lived(stamp).join("envelopes")
    }

    pub(super) fn disputed(&self, stamp: &str) -> PathBuf {
        self.short_lived(stamp).join("disputed")
    }

    /// Which backup is whole; `None` if none is, or if the note cannot be read.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(super) fn read_note(&self) -> Result<Option<Note>, StoreError> {
        let path = self.note();
        match fs::read(&path) {
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::file("reading", &path, error)),
        }
    }
}

/// The unfinished file of a file that is being copied.
fn unfinished(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.copy"))
}

/// Copies files; each gets its name when it is durable, many at a time.
#[derive(Debug)]
pub(super) struct Copier {
    disk: File,
    waiting: Vec<PathBuf>,
    waiting_bytes: u64,
    folders: BTreeSet<PathBuf>,
    /// Files that were copied, and their bytes.
    pub files: u64,
    pub bytes: u64,
}

impl Copier {
    /// Copies to the disk of this folder.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(super) fn to(folder: &Path) -> Result<Self, StoreError> {
        let disk = File::open(folder).map_err(|e| StoreError::file("opening", folder, e))?;
        Ok(Self {
            disk,
            waiting: Vec::new(),
            waiting_bytes: 0,
            folders: BTreeSet::new(),
            files: 0,
            bytes: 0,
        })
    }

    /// Copies a file, unless one with its length and date is there; answers its length, `None` where there is no such file.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(super) fn copy(&mut self, from: &Path, to: &Path) -> Result<Option<u64>, StoreError> {
        let reading = |error| StoreError::file("reading", from, error);
        let mut source = match File::open(from) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(reading(error)),
        };
        let found = source.metadata().map_err(reading)?;
        let modified = found.modified().map_err(reading)?;
        if has(to, found.len(), modified) {
            return Ok(Some(found.len()));
        }
        let copied = self.write(to, |file| {
            let copied = io::copy(&mut source, file)?;
            file.set_times(FileTimes::new().set_modified(modified))?;
            Ok(copied)
        })?;
        Ok(Some(copied))
    }

    /// Copies a body that lies in a bucket, unless it is there; answers its length, `None` where the bucket has none that is whole.
    ///
    /// # Errors
    /// Every error of the file system, and a bucket that does not do its work.
    pub(super) fn fetch(
        &mut self,
        files: &BodyFiles,
        to: &Path,
    ) -> Result<Option<u64>, StoreError> {
        let note = files.note();
        let reading = |error| StoreError::file("reading", &note, error);
        let Some(noted) = files.away().map_err(reading)? else {
            return Ok(None);
        };
        let modified = match fs::metadata(&note).and_then(|found| found.modified()) {
            Ok(modified) => modified,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(reading(error)),
        };
        if has(to, noted.bytes, modified) {
            return Ok(Some(noted.bytes));
        }
        // It may have been copied while it was in the folder.
        if files.are_copied(to, &noted)? {
            File::open(to)
                .and_then(|file| file.set_times(FileTimes::new().set_modified(modified)))
                .map_err(|error| StoreError::file("writing", to, error))?;
            return Ok(Some(noted.bytes));
        }
        match files.fetch_to_copy() {
            Ok(Some(body)) => {
                let copied = self.write(to, |file| {
                    file.write_all(&body)?;
                    file.set_times(FileTimes::new().set_modified(modified))?;
                    Ok(body.len() as u64)
                })?;
                Ok(Some(copied))
            }
            Ok(None) | Err(StoreError::Bodies(BodiesError::Altered { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a file with this content.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(super) fn put(&mut self, content: &[u8], to: &Path) -> Result<(), StoreError> {
        self.write(to, |file| {
            file.write_all(content)?;
            Ok(content.len() as u64)
        })
        .map(drop)
    }

    fn write(
        &mut self,
        to: &Path,
        content: impl FnOnce(&mut File) -> io::Result<u64>,
    ) -> Result<u64, StoreError> {
        let folder = to.parent().unwrap_or(to);
        if !self.folders.contains(folder) {
            private::make_folder(folder)?;
            self.folders.insert(folder.to_owned());
        }
        let copy = unfinished(to);
        let failed = |error| StoreError::file("writing", &copy, error);
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&copy).map_err(failed)?;
        let bytes = content(&mut file).map_err(failed)?;
        self.files += 1;
        self.bytes += bytes;
        self.waiting.push(to.to_owned());
        self.waiting_bytes += bytes;
        if self.waiting.len() >= FILES_AT_ONCE || self.waiting_bytes >= BYTES_AT_ONCE {
            self.settle()?;
        }
        Ok(bytes)
    }

    /// Has on the disk what was written, and gives it its names.
    fn settle(&mut self) -> Result<(), StoreError> {
        self.waiting_bytes = 0;
        if self.waiting.len() > FEW_FILES {
            self.sync()?;
        } else {
            for path in &self.waiting {
                fsync(&unfinished(path))?;
            }
        }
        for path in self.waiting.drain(..) {
            fs::rename(unfinished(&path), &path)
                .map_err(|e| StoreError::file("renaming to", &path, e))?;
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), StoreError> {
        rustix::fs::syncfs(&self.disk)
            .map_err(|e| StoreError::file("syncing", Path::new("the disk of the backup"), e.into()))
    }

    /// Everything that was copied has its name, durably.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(super) fn finish(&mut self) -> Result<(), StoreError> {
        self.settle()?;
        match self.folders.len() > FEW_FILES {
            true => self.sync()?,
            false => self.folders.iter().try_for_each(|folder| fsync(folder))?,
        }
        self.folders.clear();
        Ok(())
    }
}

/// Whether a copy with this length and date is there.
fn has(copy: &Path, bytes: u64, modified: SystemTime) -> bool {
    fs::metadata(copy).is_ok_and(|there| {
        there.len() == bytes && there.modified().is_ok_and(|at| is_same_date(at, modified))
    })
}

/// Some file systems keep whole seconds.
fn is_same_date(copy: SystemTime, of: SystemTime) -> bool {
    let since = |at: SystemTime| at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (copy, of) = (since(copy), since(of));
    copy == of || copy == Duration::from_secs(of.as_secs())
}

/// Copies a folder with everything in it but files whose names begin with a dot, and without `lock`.
///
/// # Errors
/// Every error of the file system.
pub(super) fn copy_all(copier: &mut Copier, from: &Path, to: &Path) -> Result<(), StoreError> {
    for path in private::files_in(from)? {
        let name = path.file_name().unwrap_or_default();
        let to = to.join(name);
        if path.is_dir() {
            copy_all(copier, &path, &to)?;
        } else if name != "lock" && path.is_file() {
            copier.copy(&path, &to)?;
        }
    }
    Ok(())
}

/// Overwrites and removes a file, and what was left of it when a copy was cut off.
///
/// # Errors
/// Every error of the file system.
pub(super) fn wipe_file(path: &Path) -> Result<bool, StoreError> {
    let cut_off = private::wipe(&unfinished(path))?;
    Ok(private::wipe(path)? || cut_off)
}

/// Overwrites and removes everything in a folder, and the folder.
///
/// # Errors
/// Every error of the file system.
pub(super) fn wipe_all(folder: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::file("deleting", folder, error);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        match path.is_dir() && !path.is_symlink() {
            true => wipe_all(&path)?,
            false => drop(private::wipe(&path)?),
        }
    }
    fs::remove_dir(folder).map_err(failed)?;
    fsync(folder.parent().unwrap_or(folder))
}

/// The names in a folder, in their order; none where there is no folder.
///
/// # Errors
/// Every error of the file system.
pub(super) fn names_in(folder: &Path) -> Result<Vec<String>, StoreError> {
    let files = private::files_in(folder)?;
    let name = |path: &PathBuf| path.file_name().map(|n| n.to_string_lossy().into_owned());
    let mut names: Vec<String> = files.iter().filter_map(name).collect();
    names.sort();
    Ok(names)
}

/// Length and hash of a file.
///
/// # Errors
/// Every error of the file system.
pub(super) fn hash(path: &Path) -> Result<Hashed, StoreError> {
    let (sha256, bytes) = staging::hash_at(path)?
        .ok_or_else(|| StoreError::file("opening", path, io::ErrorKind::NotFound.into()))?;
    Ok(Hashed {
        bytes,
        sha256: sha256.as_str().to_owned(),
    })
}

/// The file of all envelopes, while it is written: a line with id and length, then the envelope.
#[derive(Debug)]
pub(super) struct EnvelopesWriter {
    path: PathBuf,
    file: BufWriter<File>,
}

impl EnvelopesWriter {
    /// # Errors
    /// Every error of the file system.
    pub(super) fn begin(path: &Path) -> Result<Self, StoreError> {
        private::make_folder(path.parent().unwrap_or(path))?;
        let copy = unfinished(path);
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        let file = options
            .open(&copy)
            .map_err(|e| StoreError::file("writing", &copy, e))?;
        let path = path.to_owned();
        let file = BufWriter::with_capacity(256 << 10, file);
        let mut envelopes = Self { path, file };
        envelopes.write(FIRST_LINE.as_bytes())?;
        Ok(envelopes)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let written = self.file.write_all(bytes);
        written.map_err(|e| StoreError::file("writing", &self.path, e))
    }

    /// # Errors
    /// Every error of the file system.
    pub(super) fn add(&mut self, clip_id: &ClipId, envelope: &[u8]) -> Result<(), StoreError> {
        self.write(format!("{clip_id} {}\n", envelope.len()).as_bytes())?;
        self.write(envelope)
    }

    /// Gives the file its name, durably.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(super) fn finish(mut self) -> Result<(), StoreError> {
        let failed = |error| StoreError::file("writing", &self.path, error);
        self.file.flush().map_err(failed)?;
        self.file.get_ref().sync_all().map_err(failed)?;
        fs::rename(unfinished(&self.path), &self.path).map_err(failed)?;
        fsync(self.path.parent().unwrap_or(&self.path))
    }
}

/// Reads a file of envelopes: each with its clip's id, and where in the file it begins.
///
/// # Errors
/// Every error of the file system; `InvalidData` for a file that is no such one.
pub(super) fn each_envelope(
    path: &Path,
    mut each: impl FnMut(&ClipId, u64, &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let failed = |error| StoreError::file("reading", path, error);
    let strange = || failed(io::ErrorKind::InvalidData.into());
    let file = File::open(path).map_err(failed)?;
    let mut file = BufReader::with_capacity(256 << 10, file);
    let mut line = String::new();
    let mut at = file.read_line(&mut line).map_err(failed)? as u64;
    if line != FIRST_LINE {
        return Err(strange());
    }
    loop {
        line.clear();
        let read = (&mut file).take(200).read_line(&mut line).map_err(failed)?;
        if read == 0 {
            return Ok(());
        }
        at += read as u64;
        let (clip_id, length) = line.trim_end().split_once(' ').ok_or_else(strange)?;
        let length: usize = length.parse().map_err(|_| strange())?;
        if length > booth_sealing::envelope::MAX_BYTES || !crate::ingest::is_clip_id(clip_id) {
            return Err(strange());
        }
        let mut envelope = vec![0; length];
        file.read_exact(&mut envelope).map_err(failed)?;
        each(&ClipId::from(clip_id), at, &envelope)?;
        at += length as u64;
    }
}

/// Overwrites the envelopes of these clips in such a file; answers how many.
///
/// # Errors
/// The same.
pub(super) fn blank_envelopes(path: &Path, of: &BTreeSet<ClipId>) -> Result<u64, StoreError> {
    let failed = |error| StoreError::file("overwriting in", path, error);
    let mut places = Vec::new();
    each_envelope(path, |clip_id, at, envelope| {
        if of.contains(clip_id) && envelope.iter().any(|byte| *byte != 0) {
            places.push((at, envelope.len()));
        }
        Ok(())
    })?;
    if places.is_empty() {
        return Ok(0);
    }
    let file = OpenOptions::new().write(true).open(path).map_err(failed)?;
    for (at, length) in &places {
        file.write_all_at(&vec![0; *length], *at).map_err(failed)?;
    }
    file.sync_data().map_err(failed)?;
    Ok(places.len() as u64)
}
