//! The ledger: facts that the spool would otherwise have to read from every clip file (docs/spool-format.md §6).
//!
//! Owns: the sled database, its durability, and the guard around it: sled may fail, panic or hang on a damaged folder. Never does:
//! hold anything that the clip files and `card.json` cannot replace, except the newest counters. A failure leaves the folder to be
//! set aside.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::KeptClip;
use super::card::HIGHEST_NUMBER;
use super::clip_file::{Closed, is_clip_id};
use super::disk::{Disk, DiskFile, Open};
use booth_contract::reading::lenient;
use booth_contract::{CardId, Manifest};
use gateway_core::quarantine::Note;

/// Memory for sled's cache, in bytes.
const CACHE_BYTES: u64 = 2 << 20;
/// How long sled may take to open before it counts as hung.
const OPEN_PATIENCE: Duration = Duration::from_secs(30);
/// How often the lock is tried again, 20 ms apart, while a handle of this process that is being closed still holds it.
const LOCK_TRIES: u32 = 100;
/// Longest value that is written.
const LONGEST_VALUE: usize = 16 * 1024;

const CLIP_KEY: u8 = b'#';
const COUNTERS_KEY: &[u8] = b"counters";
const CARD_KEY: &[u8] = b"!card";

/// The ledger's entry for a clip.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub clip: KeptClip,
    /// Length of the clip file.
    pub file_bytes: u64,
    /// Where its closing record begins.
    pub closing_at: u64,
    /// Where the record begins whose manifest replaces the closing record's, if there is one.
    #[serde(default)]
    pub offered_at: Option<u64>,
    /// Why the clip is in quarantine, if it is there.
    pub quarantine: Option<String>,
    /// The latest note about its time in quarantine.
    #[serde(default, deserialize_with = "lenient")]
    pub note: Option<Note>,
}

impl Entry {
    /// The entry of a finished clip's file, in whichever folder it lies; not in quarantine until that is set.
    pub(crate) fn of(manifest: &Manifest, closed: &Closed, file_bytes: u64) -> Self {
        Self {
            clip: KeptClip::of(manifest),
            file_bytes,
            closing_at: closed.closing_at,
            offered_at: closed.offered_at,
            quarantine: None,
            note: closed.note.clone(),
        }
    }

    /// The entry of a finished clip whose body is not whole.
    pub(crate) fn damaged(manifest: &Manifest, at: u64, file_bytes: u64, why: &str) -> Self {
        Self {
            clip: KeptClip::of(manifest),
            file_bytes,
            closing_at: at,
            offered_at: None,
            quarantine: Some(why.into()),
            note: Some(Note::damaged(why)),
        }
    }

    /// Why the clip is in quarantine; an older version's entry has only the words of the reason.
    pub(crate) fn why_quarantined(&self) -> Option<Note> {
        let reason = self.quarantine.as_ref()?;
        Some(self.note.clone().unwrap_or_else(|| Note::unknown(reason)))
    }
}

/// Counters with their age: of two copies the one that was saved more often is the newer one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counters {
    pub card_id: CardId,
    pub saves: u64,
    pub values: BTreeMap<String, u64>,
}

/// Everything that was in the ledger when it was opened.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub entries: Vec<Entry>,
    pub counters: Option<Counters>,
    pub card_id: Option<CardId>,
}

/// Why there is no ledger.
#[derive(Debug)]
pub(crate) enum LedgerError {
    /// The disk refuses (full, read-only): nothing is wrong with the ledger itself.
    Disk(String),
    /// It is damaged: set it aside.
    Damaged(String),
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(why) => write!(f, "the disk refused: {why}"),
            Self::Damaged(why) => f.write_str(why),
        }
    }
}

impl From<sled::Error> for LedgerError {
    fn from(error: sled::Error) -> Self {
        match &error {
            sled::Error::Io(cause)
                if matches!(
                    cause.kind(),
                    io::ErrorKind::StorageFull
                        | io::ErrorKind::QuotaExceeded
                        | io::ErrorKind::ReadOnlyFilesystem
                        | io::ErrorKind::PermissionDenied
                ) =>
            {
                Self::Disk(error.to_string())
            }
            _ => Self::Damaged(error.to_string()),
        }
    }
}

/// An open ledger.
pub(crate) struct Ledger {
    db: sled::Db,
    file: Box<dyn DiskFile>,
}

impl Ledger {
    /// Opens or makes the ledger in `folder` and reads all of it, in a thread of its own, so that neither a panic nor a hang of
    /// sled reaches the caller.
    #[allow(clippy::disallowed_methods)] // no worker: it ends with its answer, and its panic is one
    pub(crate) fn open(
        disk: &Arc<dyn Disk>,
        folder: &Path,
    ) -> Result<(Ledger, Contents), LedgerError> {
        let (send, receive) = mpsc::sync_channel(1);
        let path = folder.to_path_buf();
        std::thread::Builder::new()
            .name("ledger-open".into())
            .spawn(move || {
                let opened = catch_unwind(AssertUnwindSafe(|| open_and_read(path)))
                    .unwrap_or_else(|_| Err(LedgerError::Damaged("sled panicked".into())));
                // After a hang the caller no longer waits; the handle is then dropped here.
                let _ = send.send(opened);
            })
            .map_err(|error| LedgerError::Disk(error.to_string()))?;
        let (db, contents) = receive
            .recv_timeout(OPEN_PATIENCE)
            .unwrap_or_else(|_| Err(LedgerError::Damaged("sled did not open in time".into())))?;
        let file = settle_files(disk.as_ref(), folder)
            .map_err(|error| LedgerError::Disk(error.to_string()))?;
        Ok((Ledger { db, file }, contents))
    }

    /// Notes a clip. Durable only after [`Ledger::sync`]; an entry that is lost is read again from the clip file.
    pub(crate) fn put_clip(&self, id: Uuid, entry: &Entry) -> Result<(), LedgerError> {
        self.put(&clip_key(id), entry)
    }

    /// Forgets a clip. Durable only after [`Ledger::sync`].
    pub(crate) fn remove_clip(&self, id: Uuid) -> Result<(), LedgerError> {
        guarded(|| Ok(self.db.remove(clip_key(id)).map(|_| ())?))
    }

    /// Notes the counters. Durable only after [`Ledger::sync`].
    pub(crate) fn put_counters(&self, counters: &Counters) -> Result<(), LedgerError> {
        self.put(COUNTERS_KEY, counters)
    }

    /// Notes the card to which the ledger belongs. Durable only after [`Ledger::sync`].
    pub(crate) fn put_card(&self, card_id: &CardId) -> Result<(), LedgerError> {
        self.put(CARD_KEY, &card_id)
    }

    /// Makes all notes durable: sled's flush, then the fdatasync that sled leaves out on Linux.
    pub(crate) fn sync(&self) -> Result<(), LedgerError> {
        guarded(|| Ok(self.db.flush().map(|_| ())?))?;
        self.file
            .sync_data()
            .map_err(|error| LedgerError::Disk(error.to_string()))
    }

    fn put(&self, key: &[u8], value: &impl Serialize) -> Result<(), LedgerError> {
        let json =
            serde_json::to_vec(value).map_err(|error| LedgerError::Damaged(error.to_string()))?;
        if json.len() > LONGEST_VALUE {
            return Err(LedgerError::Damaged(format!(
                "a value of {} bytes is too long",
                json.len()
            )));
        }
        let mut bytes = crc32c::crc32c(&json).to_le_bytes().to_vec();
        bytes.extend_from_slice(&json);
        guarded(|| Ok(self.db.insert(key, bytes).map(|_| ())?))
    }
}

fn clip_key(id: Uuid) -> [u8; 17] {
    let mut key = [CLIP_KEY; 17];
    key[1..].copy_from_slice(id.as_bytes());
    key
}

/// Runs one operation of sled; a panic in it becomes an error.
fn guarded<T>(operation: impl FnOnce() -> Result<T, LedgerError>) -> Result<T, LedgerError> {
    catch_unwind(AssertUnwindSafe(operation))
        .unwrap_or_else(|_| Err(LedgerError::Damaged("sled panicked".into())))
}

fn open_and_read(path: PathBuf) -> Result<(sled::Db, Contents), LedgerError> {
    let mut tries = 0;
    let db = loop {
        let opened = sled::Config::new()
            .path(&path)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(None)
            .mode(sled::Mode::LowSpace)
            .open();
        match opened {
            // The spool's own lock keeps other processes out: this lock is held by a handle of this process that is being closed.
            Err(sled::Error::Io(error)) if is_locked(&error) && tries < LOCK_TRIES => {
                tries += 1;
                std::thread::park_timeout(Duration::from_millis(20));
            }
            other => break other?,
        }
    };
    let mut contents = Contents::default();
    for pair in db.iter() {
        let (key, value) = pair?;
        contents.take(&key, &value)?;
    }
    Ok((db, contents))
}

impl Contents {
    /// Takes in one value if it is undamaged.
    pub(crate) fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), LedgerError> {
        match key {
            COUNTERS_KEY => {
                let counters: Counters = value_of(value)?;
                if counters.saves > HIGHEST_NUMBER {
                    return Err(damaged("a number in it cannot be"));
                }
                self.counters = Some(counters);
            }
            CARD_KEY => self.card_id = Some(value_of(value)?),
            key if key.first() == Some(&CLIP_KEY) => {
                let entry: Entry = value_of(value)?;
                if !is_clip_id(&entry.clip.clip_id) {
                    return Err(damaged("it names no clip"));
                }
                if !(1..=HIGHEST_NUMBER).contains(&entry.clip.clip_no) {
                    return Err(damaged("a number in it cannot be"));
                }
                self.entries.push(entry);
            }
            _ => {}
        }
        Ok(())
    }
}

fn is_locked(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || error.to_string().contains("could not acquire lock")
}

fn damaged(why: &str) -> LedgerError {
    LedgerError::Damaged(format!("a value in it is damaged: {why}"))
}

fn value_of<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, LedgerError> {
    let (sum, json) = bytes
        .split_first_chunk::<4>()
        .ok_or_else(|| damaged("too short"))?;
    if u32::from_le_bytes(*sum) != crc32c::crc32c(json) {
        return Err(damaged("its checksum is wrong"));
    }
    serde_json::from_slice(json).map_err(|error| damaged(&error.to_string()))
}

/// Makes durable what sled never syncs: its files, their names, and the folder's own name.
fn settle_files(disk: &dyn Disk, folder: &Path) -> io::Result<Box<dyn DiskFile>> {
    disk.open(&folder.join("conf"), Open::Write)?.sync_all()?;
    let file = disk.open(&folder.join("db"), Open::Write)?;
    file.sync_all()?;
    match disk.sync_folder(&folder.join("blobs")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    disk.sync_folder(folder)?;
    if let Some(parent) = folder.parent() {
        disk.sync_folder(parent)?;
    }
    Ok(file)
}
