//! A card's messages copied into a folder that `booth-hub import` takes.
//!
//! Owns: the folder's content (`booth_contract::export`), and that its receipt is written last, after everything was synced, read back from the
//! medium and found the same. Never does: change the card, open what is sealed, or write into a folder that has something in it. A failure leaves a
//! folder without a receipt, which no hub takes.
#![allow(clippy::disallowed_methods)] // writes the export and reads it back

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use booth_contract::export::{
    CLIPS, EXPORT_SCHEMA, ExportReceipt, ExportedClip, ExportedWithdrawal, LEFT, LeftFile,
    RECEIPT_FILE, WITHDRAWALS, body_name, json_name,
};
use booth_contract::time::rfc3339;
use booth_contract::{BodyHash, BoothId};
use booth_host::clock;
use booth_spool::disk::{Disk, Open, publish};
use booth_spool::inspect::{self, Looked, SpoolFile, WholeClip};
use booth_spool::real_disk::RealDisk;
use rustix::fs::{Advice, fadvise, statvfs};
use sha2::{Digest, Sha256};

use super::PulledError;
use super::beside::{self, Own};
use super::found::{self, Opened, Place};

/// A file system gives each file whole blocks: for a clip's manifest and the end of its body, and what it notes of both.
const BLOCKS_BESIDE_A_CLIP: u64 = 3;
/// So much at most waits in memory for a slow stick, so that a booth that runs keeps its own.
const MOST_UNSYNCED: u64 = 4 << 20;
/// Longest name that a file in `left/` keeps of its own, bytes.
const LONGEST_NAME: usize = 200;

/// Why no export was made.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// What is to be read.
    #[error(transparent)]
    Pulled(#[from] PulledError),
    /// The folder has something in it.
    #[error(
        "{} is not empty: name a new folder. What lies there may be an export that was cut off, which has no {RECEIPT_FILE}; delete it then", .0.display()
    )]
    NotEmpty(PathBuf),
    /// It would lie in what is read.
    #[error("{} lies in what is to be exported, which is only read: name a folder elsewhere", .0.display())]
    Inside(PathBuf),
    /// There is no room for it.
    #[error(
        "{} has {free_mb} MB free, and the messages need {wanted_mb} MB: make room or use a larger stick. Nothing was written",
        path.display()
    )]
    NoRoom {
        /// Where.
        path: PathBuf,
        /// What is free.
        free_mb: u64,
        /// What is needed.
        wanted_mb: u64,
    },
    /// It became full.
    #[error(
        "{} became full while the messages were written: delete what was begun there, make room or use a larger stick, and export again. \
         Nothing on the card has changed", .0.display()
    )]
    Full(PathBuf),
    /// It takes no writes.
    #[error(
        "{} takes no writes: slide the stick's lock to the other side, or use a stick or folder that this user may write to. Nothing on \
         the card has changed", .0.display()
    )]
    WriteProtected(PathBuf),
    /// It went away, or failed.
    #[error(
        "writing to {} failed ({source}): was the stick pulled out? Plug it in again, delete what was begun there, and export again. Nothing on \
         the card has changed",
        path.display()
    )]
    Gone {
        /// Where.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// What was read back is not what was written.
    #[error(
        "{} does not give back what was written to it: the stick is broken; use another one. Nothing on the card has changed", .0.display()
    )]
    NotRead(PathBuf),
    /// It was told to stop.
    #[error("it was stopped, because the booth's own card is to be closed; dial 8 again later")]
    Stopped,
}

/// How far an export is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is done.
    pub doing: &'static str,
    /// Bytes that it was done with.
    pub done: u64,
    /// Of so many.
    pub all: u64,
    /// Messages and votes that were written so far.
    pub messages: usize,
}

/// Who hears how far an export is, and may wait there; `false` ends it.
pub(super) type Overseer<'a> = &'a mut dyn FnMut(Progress) -> bool;

/// What came of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The receipt that lies in the folder.
    pub receipt: ExportReceipt,
    /// Bytes that were written, without the receipt.
    pub bytes: u64,
}

/// Copies every whole message of what is named into the folder `to`, which must be empty or new. `tell` hears what is done, and how much of how much.
///
/// # Errors
/// See [`ExportError`]; the folder has no receipt then.
pub fn export(
    named: &Path,
    to: &Path,
    tell: &mut dyn FnMut(&'static str, u64, u64),
) -> Result<Exported, ExportError> {
    let opened = found::open(named)?;
    if super::lies_in(named, to) {
        return Err(ExportError::Inside(to.to_owned()));
    }
    let mut writing = Writing::begin(to, &opened)?;
    writing.copy(&opened, &mut |progress| {
        tell(progress.doing, progress.done, progress.all);
        true
    })?;
    writing.finish(named)
}

/// A file that was written.
struct Written {
    path: PathBuf,
    bytes: u64,
    sha256: BodyHash,
}

/// An export that is being made.
pub(super) struct Writing {
    disk: Arc<RealDisk>,
    to: PathBuf,
    /// The booth whose own spool it is, while it runs.
    running: Option<Own>,
    /// Bytes that were written since everything was synced.
    unsynced: u64,
    written: Vec<Written>,
    clips: Vec<ExportedClip>,
    withdrawals: Vec<ExportedWithdrawal>,
    left: Vec<LeftFile>,
}

impl Writing {
    pub(super) fn begin(to: &Path, opened: &Opened) -> Result<Self, ExportError> {
        let writing = Self {
            disk: Arc::new(RealDisk::new()),
            to: to.to_owned(),
            running: None,
            unsynced: 0,
            written: Vec::new(),
            clips: Vec::new(),
            withdrawals: Vec::new(),
            left: Vec::new(),
        };
        let failed = |error| writing.failed(error);
        match std::fs::read_dir(to).map(|mut entries| entries.next().is_none()) {
            Ok(false) => return Err(ExportError::NotEmpty(to.to_owned())),
            Ok(true) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                writing.disk.make_folder(to).map_err(failed)?;
            }
            Err(error) => return Err(failed(error)),
        }
        let files: usize = opened
            .places()
            .iter()
            .map(|place| place.contents.clips.len())
            .sum();
        let block = statvfs(to).map_or(4096, |disk| disk.f_frsize);
        let wanted = opened.bytes() + files as u64 * BLOCKS_BESIDE_A_CLIP * block;
        let free = writing.disk.free_bytes(to).map_err(failed)?;
        if free < wanted {
            let path = to.to_owned();
            let (free_mb, wanted_mb) = (free >> 20, (wanted >> 20) + 1);
            return Err(ExportError::NoRoom {
                path,
                free_mb,
                wanted_mb,
            });
        }
        for folder in [CLIPS, WITHDRAWALS, LEFT] {
            writing.disk.make_folder(&to.join(folder)).map_err(failed)?;
        }
        Ok(writing)
    }

    /// The same, of the spool of this booth, which runs.
    pub(super) fn of_a_running(self, own: &Own) -> Self {
        Self {
            running: Some(own.clone()),
            ..self
        }
    }

    /// Writes everything, and proves that the medium has it.
    pub(super) fn copy(
        &mut self,
        opened: &Opened,
        oversee: Overseer<'_>,
    ) -> Result<(), ExportError> {
        let (mut done, all) = (0, opened.bytes());
        let mut goes_on = |writing: &Self, done| {
            let progress = Progress {
                doing: "copying",
                done,
                all,
                messages: writing.clips.len(),
            };
            match oversee(progress) {
                true => Ok(()),
                false => Err(ExportError::Stopped),
            }
        };
        goes_on(self, done)?;
        opened.walk(true, &mut |_, _| {}, &mut |place, _, file, looked| {
            self.take(place, file, looked)?;
            done += file.bytes;
            goes_on(self, done)
        })?;
        for place in opened.places() {
            self.withdrawals(place)?;
        }
        self.sync()?;
        self.read_back(oversee)
    }

    fn failed(&self, source: io::Error) -> ExportError {
        let path = self.to.clone();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ExportError::Full(path),
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                ExportError::WriteProtected(path)
            }
            _ => ExportError::Gone { path, source },
        }
    }

    /// Writes a new file of these pieces.
    fn write<'a>(
        &mut self,
        folder: &str,
        name: &str,
        pieces: impl Iterator<Item = &'a [u8]>,
    ) -> Result<BodyHash, ExportError> {
        let path = self.to.join(folder).join(name);
        let mut hash = Sha256::new();
        let mut bytes = 0;
        let wrote = self.disk.open(&path, Open::New).and_then(|file| {
            for piece in pieces {
                file.write_at(piece, bytes)?;
                hash.update(piece);
                bytes += piece.len() as u64;
            }
            Ok(())
        });
        wrote.map_err(|error| self.failed(error))?;
        self.unsynced += bytes;
        if self.unsynced >= MOST_UNSYNCED {
            self.unsynced = 0;
            self.sync()?;
        }
        let sha256 = BodyHash::of_digest(&hash.finalize());
        self.written.push(Written {
            path,
            bytes,
            sha256: sha256.clone(),
        });
        Ok(sha256)
    }

    /// One file of the card.
    fn take(&mut self, place: &Place, file: &SpoolFile, looked: Looked) -> Result<(), ExportError> {
        let looked = match &self.running {
            Some(own) => beside::at_rest(place, file, looked, own),
            None => looked,
        };
        let why = match looked {
            // Named, not copied: its citizen may delete it yet.
            Looked::Unfinished(_) if self.running.is_some() => {
                self.left.push(LeftFile {
                    file: None,
                    path: file.path.display().to_string(),
                    why: "the card has not taken its end yet: the booth finishes it as soon as the card takes writes, and a later export has it".into(),
                });
                return Ok(());
            }
            Looked::Whole(whole) => return self.clip(&whole),
            Looked::Nothing => return Ok(()),
            looked => found::left(&looked),
        };
        self.leave(place, file, why)
    }

    fn clip(&mut self, whole: &WholeClip) -> Result<(), ExportError> {
        let clip = &whole.clip;
        let manifest = std::iter::once(whole.manifest());
        let manifest_sha256 = self.write(CLIPS, &json_name(&clip.clip_id), manifest)?;
        if clip.bytes > 0 {
            self.write(CLIPS, &body_name(&clip.clip_id), whole.body())?;
        }
        self.clips.push(ExportedClip {
            clip_id: clip.clip_id.clone(),
            booth_id: clip.booth_id.clone(),
            card_id: clip.card_id.clone(),
            clip_no: clip.clip_no,
            kind: clip.kind,
            bytes: clip.bytes,
            sha256: Some(clip.sha256.clone()).filter(|hash| !hash.as_str().is_empty()),
            manifest_sha256,
            quarantine: whole.quarantine.clone(),
        });
        Ok(())
    }

    /// Keeps a file as it lies on the card, so that nothing is lost if the card is.
    fn leave(&mut self, place: &Place, file: &SpoolFile, why: String) -> Result<(), ExportError> {
        let kept = match inspect::raw(&*place.source, file) {
            Ok(bytes) => {
                let name = file.path.file_name().unwrap_or_default().to_string_lossy();
                let name = format!("{:04}-{}", self.left.len() + 1, plain_name(&name));
                self.write(LEFT, &name, std::iter::once(&bytes[..]))?;
                Some(name)
            }
            Err(_) => None,
        };
        self.left.push(LeftFile {
            file: kept,
            path: file.path.display().to_string(),
            why,
        });
        Ok(())
    }

    fn withdrawals(&mut self, place: &Place) -> Result<(), ExportError> {
        // A withdrawal does not say at which booth it was dialled: that is known where the card has one booth's messages alone.
        let mut booths: Vec<BoothId> = self
            .clips
            .iter()
            .map(|clip| clip.booth_id.clone())
            .collect();
        booths.sort_unstable();
        booths.dedup();
        let booth_id = match (&self.running, &booths[..]) {
            // A booth sends all that lie on its card in its own name.
            (Some(Own { booth, .. }), _) | (None, [booth]) => Some(booth.clone()),
            (None, _) => None,
        };
        for file in &place.contents.withdrawals {
            match inspect::withdrawal(&*place.source, file) {
                Ok((id, payload)) => {
                    if self.withdrawals.iter().any(|known| known.id == id) {
                        continue;
                    }
                    let payload = std::iter::once(&payload[..]);
                    let file_sha256 = self.write(WITHDRAWALS, &json_name(&id), payload)?;
                    self.withdrawals.push(ExportedWithdrawal {
                        id,
                        booth_id: booth_id.clone(),
                        file_sha256,
                    });
                }
                Err(_) if self.running.is_some() && beside::has_left(place, file) => {}
                Err(why) => self.leave(place, file, why)?,
            }
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), ExportError> {
        self.disk
            .sync_everything(&self.to)
            .map_err(|error| self.failed(error))
    }

    /// Reads every file from the medium again.
    fn read_back(&self, oversee: Overseer<'_>) -> Result<(), ExportError> {
        let all = self.written.iter().map(|file| file.bytes).sum();
        let mut done = 0;
        for written in &self.written {
            let file = File::open(&written.path).map_err(|error| self.failed(error))?;
            // What is durable is dropped from memory, so that the read gets it from the medium.
            let _ = fadvise(&file, 0, None, Advice::DontNeed);
            let mut hash = Sha256::new();
            io::copy(&mut &file, &mut Hashing(&mut hash)).map_err(|error| self.failed(error))?;
            if BodyHash::of_digest(&hash.finalize()) != written.sha256 {
                return Err(ExportError::NotRead(self.to.clone()));
            }
            done += written.bytes;
            let progress = Progress {
                doing: "reading back",
                done,
                all,
                messages: self.clips.len(),
            };
            if !oversee(progress) {
                return Err(ExportError::Stopped);
            }
        }
        Ok(())
    }

    pub(super) fn finish(self, named: &Path) -> Result<Exported, ExportError> {
        let receipt = ExportReceipt {
            schema: EXPORT_SCHEMA,
            made_by: concat!("booth-gateway ", env!("CARGO_PKG_VERSION")).to_owned(),
            made_at: rfc3339(clock::wall()),
            source: named.display().to_string(),
            clips: self.clips.clone(),
            withdrawals: self.withdrawals.clone(),
            left: self.left.clone(),
        };
        publish(&*self.disk, &self.to, RECEIPT_FILE, &receipt.to_json())
            .and_then(|()| self.disk.sync_everything(&self.to))
            .map_err(|error| self.failed(error))?;
        Ok(Exported {
            receipt,
            bytes: self.written.iter().map(|file| file.bytes).sum(),
        })
    }
}

/// The same name as every file system takes it, FAT too: of letters, digits, `.`, `-` and `_`, with `_` for everything else, at most
/// [`LONGEST_NAME`] bytes, and no `.` at its end. The receipt says what the file is called on the card.
fn plain_name(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    let all = name.chars().map(|c| if is_plain(c) { c } else { '_' });
    let plain: String = all.take(LONGEST_NAME).collect();
    plain.trim_end_matches('.').to_owned()
}

/// What is written here is hashed.
struct Hashing<'a>(&'a mut Sha256);

impl io::Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
