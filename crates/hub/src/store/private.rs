//! The folder beside the store, named after it with `-private`: what must not come back with an old database, or lie in its backups.
//!
//! | file | what it is |
//! | --- | --- |
//! | `withdrawn/xx/<id>` | a citizen withdrew this clip: whatever comes back of it from a backup is deleted before the hub serves |
//! | `waiting/<id>.….json` | a withdrawal that is not worked off |
//! | `fits-two/<id>.….json` | one whose receipt fits two clips: it waits for an operator |
//! | `fits-none/<id>.….json` | one whose receipt fits no clip, as the desk says: its clip may lie on a card still |
//! | `unmatched` | receipts that were withdrawn before their clip came, as hashes |
//! | `receipt-key` | the key of these hashes |
//! | `codes/` | one-time codes for votes, as hashes, and which are used (`codes.rs`) |
//! | `importing/` | exports of cards that are taken in just now (`crate::imports::card`); in no backup |
//! | `envelopes/xx/<id>` | the envelope of a sealed body: without it nobody opens the body |
//!
//! Owns: these names, their forms, and that each is durable when its function returns. Never does: decide what is withdrawn. A failure
//! leaves the file that was there before.
#![allow(clippy::disallowed_methods)] // the hub's own file work; each step names its fsync

use std::collections::{HashMap, HashSet};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::backup_files::Copier;
use super::{StoreError, codes, fsync, record};
use crate::ingest::is_clip_id;
use crate::receipts::ReceiptMark;
use booth_contract::{BodyHash, BoothId, CardId, ClipId};
use booth_host::systemd;

/// Longest file of a withdrawal that is read, in bytes.
const MOST_BYTES: u64 = 64 << 10;
/// How long reading one folder of marks may take at a start.
const ONE_FOLDER: std::time::Duration = std::time::Duration::from_secs(90);
/// How long a receipt that fitted no clip is remembered: a card may be away for so long before its clips come.
const REMEMBERED_HOURS: i64 = 400 * 24;
/// The folders of withdrawals that are not worked off.
const OF_WITHDRAWALS: [&str; 3] = ["waiting", "fits-two", "fits-none"];
/// Most withdrawals that fit no clip and are kept as they came; with more they go on waiting.
const MOST_OF_NONE: usize = 100_000;

/// The folder; it is made when something is written into it.
#[derive(Debug, Clone)]
pub(crate) struct Private {
    dir: PathBuf,
}

/// A clip that was withdrawn.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tombstone {
    /// When, RFC 3339 UTC.
    #[serde(default)]
    pub at: String,
    /// The clip's number, so that it is not called missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card_id: Option<CardId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_no: Option<u64>,
    /// The hash of the body that was withdrawn, `choice` for a vote; nothing where it was not here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<BodyHash>,
}

/// Who brought a withdrawal. It stands in the file's name, so that whoever waits for his turn costs no reading.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Source {
    /// A citizen at this booth.
    Booth(String),
    /// A citizen on the hub's page.
    Page,
    /// The desk where the city's key is, which has matched a withdrawal of the two above.
    Desk,
    /// An operator (`booth-hub withdraw`), or somebody who asked the city without a receipt.
    Operator,
    /// The city, of a message whose time is over.
    Retention,
}

impl Source {
    fn in_name(&self) -> String {
        match self {
            Self::Booth(booth) => format!("from-{booth}"),
            Self::Page => "page".into(),
            Self::Desk => "desk".into(),
            Self::Operator => "operator".into(),
            Self::Retention => "retention".into(),
        }
    }

    fn of(name: &str) -> Option<Self> {
        match name {
            "page" => Some(Self::Page),
            "desk" => Some(Self::Desk),
            "operator" => Some(Self::Operator),
            "retention" => Some(Self::Retention),
            _ => name.strip_prefix("from-").map(|b| Self::Booth(b.into())),
        }
    }

    /// Whose turn comes first: booths and what was decided, then the page, and what nobody waits for last.
    fn turn(&self) -> u8 {
        match self {
            Self::Booth(_) | Self::Desk | Self::Operator => 0,
            Self::Page => 1,
            Self::Retention => 2,
        }
    }

    /// Whether it may guess receipts, and is therefore held back.
    pub(crate) fn may_guess(&self) -> bool {
        matches!(self, Self::Booth(_) | Self::Page)
    }
}

/// The content of a withdrawal's file: one of `sealed`, `mark` and `clip_id` says what is withdrawn.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Waiting {
    /// The withdrawal's id.
    pub id: ClipId,
    /// When the hub took it, RFC 3339 UTC.
    pub at: String,
    /// The receipt, sealed to the city's keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<String>,
    /// The receipt's hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<ReceiptMark>,
    /// The clip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_id: Option<ClipId>,
    /// The name of the file of the withdrawal that is settled with this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settles: Option<String>,
    /// The name of the file of a withdrawal that fits no clip yet, as the desk says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fits_none: Option<String>,
}

impl Private {
    /// The folder that belongs to the store in this folder.
    pub(crate) fn beside(store: &Path) -> Self {
        let mut name = store.file_name().unwrap_or_default().to_owned();
        name.push("-private");
        let dir = store.with_file_name(name);
        Self { dir }
    }

    /// A folder of this form elsewhere: in a backup.
    pub(super) fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// The folder.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The file of the key of receipts; its folder is made.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(crate) fn receipt_key(&self) -> Result<PathBuf, StoreError> {
        make_folder(&self.dir)?;
        Ok(self.dir.join("receipt-key"))
    }

    /// Where cards are exported while they are taken in.
    pub(crate) fn importing(&self) -> PathBuf {
        self.dir.join("importing")
    }

    /// Where the one-time codes are.
    pub(super) fn codes(&self) -> PathBuf {
        self.dir.join("codes")
    }

    fn withdrawn(&self) -> PathBuf {
        self.dir.join("withdrawn")
    }

    fn waiting_dir(&self) -> PathBuf {
        self.dir.join("waiting")
    }

    /// Where the list of receipts is that fitted no clip.
    pub(super) fn unmatched(&self) -> PathBuf {
        self.dir.join("unmatched")
    }

    /// Where a body's envelope lies. The id was checked: it cannot leave the folder.
    pub(crate) fn envelope(&self, clip_id: &ClipId) -> PathBuf {
        let folder = self.dir.join("envelopes").join(&clip_id[..2]);
        folder.join(clip_id.as_str())
    }

    fn tombstone_path(&self, clip_id: &ClipId) -> PathBuf {
        self.withdrawn().join(&clip_id[..2]).join(clip_id.as_str())
    }

    /// Writes the mark of a withdrawn clip, durably. One that is there stays.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(super) fn bury(&self, clip_id: &ClipId, tombstone: &Tombstone) -> Result<(), StoreError> {
        let path = self.tombstone_path(clip_id);
        if is_synced(&path)? {
            return Ok(());
        }
        let text = serde_json::to_vec(tombstone)
            .map_err(|error| StoreError::file("writing", &path, error.into()))?;
        write(&path, &text)
    }

    /// Whether the clip has the mark.
    pub(super) fn is_buried(&self, clip_id: &ClipId) -> bool {
        self.tombstone_path(clip_id).exists()
    }

    /// The mark of a clip, if it has one.
    pub(super) fn tombstone(&self, clip_id: &ClipId) -> Option<Tombstone> {
        let text = fs::read(self.tombstone_path(clip_id)).ok()?;
        Some(serde_json::from_slice(&text).unwrap_or_default())
    }

    /// Withdrawals whose receipt fits two clips.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(super) fn of_two(&self) -> Result<Vec<PathBuf>, StoreError> {
        files_in(&self.dir.join("fits-two"))
    }

    /// All withdrawn clips. A mark whose text cannot be read is a mark.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(super) fn tombstones(&self) -> Result<Vec<(ClipId, Tombstone)>, StoreError> {
        let mut found = Vec::new();
        for folder in files_in(&self.withdrawn())? {
            // One of 256.
            systemd::still_starting(ONE_FOLDER);
            for path in files_in(&folder)? {
                let clip_id = ClipId::from(name_of(&path));
                if is_clip_id(&clip_id) {
                    let text =
                        fs::read(&path).map_err(|e| StoreError::file("reading", &path, e))?;
                    let tombstone = serde_json::from_slice(&text).unwrap_or_default();
                    found.push((clip_id, tombstone));
                }
            }
        }
        Ok(found)
    }

    fn leaving_path(&self, clip_id: &ClipId) -> PathBuf {
        self.dir.join("leaving").join(clip_id.as_str())
    }

    /// Notes durably that objects of this clip are to be deleted from the bucket.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(super) fn leaves(&self, clip_id: &ClipId) -> Result<(), StoreError> {
        let path = self.leaving_path(clip_id);
        match is_synced(&path)? {
            true => Ok(()),
            false => write(&path, b""),
        }
    }

    /// They are gone.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(super) fn has_left(&self, clip_id: &ClipId) -> Result<(), StoreError> {
        wipe(&self.leaving_path(clip_id)).map(|_| ())
    }

    /// The clips whose objects are to be deleted.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(super) fn leaving(&self) -> Result<Vec<ClipId>, StoreError> {
        let files = files_in(&self.dir.join("leaving"))?;
        let ids = files.iter().map(|path| ClipId::from(name_of(path)));
        Ok(ids.filter(|clip_id| is_clip_id(clip_id)).collect())
    }

    /// Has all marks on the disk: what a process before wrote may not be.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(super) fn sync_tombstones(&self) -> Result<(), StoreError> {
        for folder in files_in(&self.withdrawn())? {
            fsync(&folder)?;
        }
        Ok(())
    }

    /// Keeps a withdrawal until it is worked off; it is durable when this returns. One that is there already stays as it is.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(crate) fn keep_waiting(
        &self,
        source: &Source,
        told_apart_by: &str,
        waiting: &Waiting,
    ) -> Result<(), StoreError> {
        let name = format!("{}.{told_apart_by}.{}.json", waiting.id, source.in_name());
        let path = self.waiting_dir().join(name);
        if is_synced(&path)? {
            return Ok(());
        }
        let text = serde_json::to_vec(waiting)
            .map_err(|error| StoreError::file("writing", &path, error.into()))?;
        write(&path, &text)
    }

    /// The withdrawals that wait, and who brought each: by [`Source::turn`], and the oldest of each turn first.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(crate) fn waiting(&self) -> Result<Vec<(PathBuf, Source)>, StoreError> {
        Self::withdrawals_in(&self.waiting_dir())
    }

    /// Those that fit no clip yet, in the same order.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(crate) fn of_none(&self) -> Result<Vec<(PathBuf, Source)>, StoreError> {
        Self::withdrawals_in(&self.none_dir())
    }

    fn none_dir(&self) -> PathBuf {
        self.dir.join("fits-none")
    }

    fn withdrawals_in(folder: &Path) -> Result<Vec<(PathBuf, Source)>, StoreError> {
        let mut found = Vec::new();
        for path in files_in(folder)? {
            let name = name_of(&path);
            let words: Vec<&str> = name.split('.').collect();
            if let [_, _, source, "json"] = words[..]
                && let Some(source) = Source::of(source)
            {
                let at = fs::metadata(&path).and_then(|file| file.modified());
                found.push((at.unwrap_or(SystemTime::UNIX_EPOCH), path, source));
            }
        }
        found.sort_by_key(|(at, path, source)| (source.turn(), *at, path.clone()));
        let without_time = |(_, path, source)| (path, source);
        Ok(found.into_iter().map(without_time).collect())
    }

    /// How many of citizens wait, and of those that fit two clips; what is over its time is nobody's withdrawal.
    pub(crate) fn waiting_number(&self) -> u64 {
        let waiting = files_in(&self.waiting_dir()).unwrap_or_default();
        let ending = format!(".{}.json", Source::Retention.in_name());
        let of_citizens = waiting
            .iter()
            .filter(|path| !name_of(path).ends_with(&ending));
        let of_two = files_in(&self.dir.join("fits-two")).unwrap_or_default();
        (of_citizens.count() + of_two.len()) as u64
    }

    /// How many withdrawals of this booth wait.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(super) fn waiting_of(&self, booth: &BoothId) -> Result<usize, StoreError> {
        let ending = format!(".from-{booth}.json");
        let files = files_in(&self.waiting_dir())?;
        Ok(files
            .iter()
            .filter(|f| name_of(f).ends_with(&ending))
            .count())
    }

    /// Reads a withdrawal; `None` for a file that is none.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(crate) fn read_waiting(path: &Path) -> Result<Option<Waiting>, StoreError> {
        let text = booth_host::plain_file::read_at_most(path, MOST_BYTES)
            .map_err(|e| StoreError::file("reading", path, e))?;
        Ok(serde_json::from_slice(&text).ok())
    }

    /// A withdrawal is worked off.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(super) fn is_done(&self, path: &Path) -> Result<(), StoreError> {
        wipe(path)?;
        fsync(&self.waiting_dir())
    }

    /// The withdrawal of this file's name is worked off: it is none that leads elsewhere.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(super) fn is_settled(&self, name: &str) -> Result<(), StoreError> {
        for folder in [self.waiting_dir(), self.none_dir()] {
            let path = folder.join(name);
            if path.parent() == Some(&folder) && path.exists() {
                wipe(&path)?;
                fsync(&folder)?;
            }
        }
        Ok(())
    }

    /// The withdrawal of this file's name fits no clip: it waits for one without taking the place of others, as far as there is room.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(super) fn fits_none(&self, name: &str) -> Result<(), StoreError> {
        let (from, folder) = (self.waiting_dir().join(name), self.none_dir());
        let is_one = from.parent() == Some(&self.waiting_dir()) && from.exists();
        match is_one && files_in(&folder)?.len() < MOST_OF_NONE {
            true => self.move_to(&from, &folder),
            false => Ok(()),
        }
    }

    /// Has those that fitted no clip worked off again, by a hub that opens receipts itself.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(super) fn bring_back_of_none(&self) -> Result<(), StoreError> {
        let (from, to) = (self.none_dir(), self.waiting_dir());
        let files = files_in(&from)?;
        if files.is_empty() {
            return Ok(());
        }
        make_folder(&to)?;
        for path in files {
            let to = to.join(path.file_name().unwrap_or_default());
            fs::rename(&path, &to).map_err(|e| StoreError::file("renaming to", &to, e))?;
        }
        fsync(&to)?;
        fsync(&from)
    }

    /// Forgets those that have fitted no clip for too long: by the newest of them, so that a clock that is years ahead takes none.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(super) fn forget_old_of_none(&self) -> Result<(), StoreError> {
        let came = |path: &PathBuf| fs::metadata(path).and_then(|file| file.modified()).ok();
        let files = files_in(&self.none_dir())?;
        let files: Vec<(SystemTime, PathBuf)> = files
            .into_iter()
            .filter_map(|path| Some((came(&path)?, path)))
            .collect();
        let newest = files.iter().map(|(at, _)| *at).max();
        let kept = std::time::Duration::try_from(remembered()).unwrap_or_default();
        let Some(oldest) = newest.and_then(|newest| newest.checked_sub(kept)) else {
            return Ok(());
        };
        for (_, path) in files.iter().filter(|(at, _)| *at < oldest) {
            wipe(path)?;
        }
        Ok(())
    }

    /// A withdrawal whose receipt fits two clips waits for an operator.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(super) fn fits_two(&self, path: &Path) -> Result<(), StoreError> {
        self.move_to(path, &self.dir.join("fits-two"))
    }

    fn move_to(&self, path: &Path, folder: &Path) -> Result<(), StoreError> {
        make_folder(folder)?;
        let to = folder.join(path.file_name().unwrap_or_default());
        fs::rename(path, &to).map_err(|e| StoreError::file("renaming to", &to, e))?;
        fsync(folder)?;
        fsync(path.parent().unwrap_or(path))
    }
}

/// Which of two folders of this form has seen more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Newer {
    /// The one that is added to another: a backup is made.
    This,
    /// The one that it is added to: a backup is put back.
    ThatOne,
}

impl Private {
    /// Adds what was taken back, what waits and the codes to such a folder elsewhere, durably. Nothing there is taken away; but where this
    /// one is newer, a withdrawal that waits here no more, and so has left its mark, waits there no more either. The key of receipts and the
    /// envelopes stay here.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(super) fn add_to(
        &self,
        to: &Path,
        copier: &mut Copier,
        newer: Newer,
    ) -> Result<(), StoreError> {
        let mut waiting = Vec::new();
        // Read before the marks: whatever is worked off meanwhile has its mark by then. What goes back to wait meanwhile is seen there.
        for name in OF_WITHDRAWALS.into_iter().chain(["waiting"]) {
            for path in files_in(&self.dir.join(name))? {
                let there = to.join(name).join(path.file_name().unwrap_or_default());
                if !waiting.contains(&there) && copier.copy(&path, &there)?.is_some() {
                    waiting.push(there);
                }
            }
        }
        for folder in files_in(&self.withdrawn())? {
            for path in files_in(&folder)? {
                let there = to.join("withdrawn").join(name_of(&folder));
                let there = there.join(name_of(&path));
                if !there.exists() {
                    copier.copy(&path, &there)?;
                }
            }
        }
        let of_this = lines_of(&self.unmatched())?;
        let of_that = lines_of(&to.join("unmatched"))?;
        let (older, later) = match newer {
            Newer::This => (&of_that, &of_this),
            Newer::ThatOne => (&of_this, &of_that),
        };
        let known: HashSet<&String> = later.iter().collect();
        let before = older.iter().filter(|line| !known.contains(line));
        let all: Vec<&String> = before.chain(later).collect();
        if all.len() > of_that.len() || all.iter().zip(&of_that).any(|(a, b)| *a != b) {
            let text: String = all.iter().map(|line| format!("{line}\n")).collect();
            copier.put(text.as_bytes(), &to.join("unmatched"))?;
        }
        codes::add_all(&self.codes(), &to.join("codes"), copier)?;
        copier.finish()?;
        if newer == Newer::This {
            for name in OF_WITHDRAWALS {
                for path in files_in(&to.join(name))? {
                    if !waiting.contains(&path) {
                        wipe(&path)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// The lines of a file that have something in them.
///
/// # Errors
/// Every error of the file system.
pub(super) fn lines_of(path: &Path) -> Result<Vec<String>, StoreError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(StoreError::file("reading", path, error)),
    };
    let text = String::from_utf8_lossy(&text);
    let lines = text.lines().filter(|line| !line.is_empty());
    Ok(lines.map(str::to_owned).collect())
}

/// Receipts that were withdrawn and fitted no clip, by their hashes: their clip may lie on a card still.
#[derive(Debug)]
pub(super) struct Unmatched {
    path: PathBuf,
    since: HashMap<ReceiptMark, Timestamp>,
    /// What the file was when it was read or written last: its number and its length.
    seen: Option<(u64, u64)>,
}

impl Unmatched {
    /// Reads the list; a last line that a power cut has torn was promised to nobody.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(super) fn read(path: PathBuf) -> Result<Self, StoreError> {
        let mut since = HashMap::new();
        // Before it is read: what another process adds meanwhile is seen at the next look.
        let seen = seen(&path)?;
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(StoreError::file("reading", &path, error)),
        };
        for line in String::from_utf8_lossy(&text).lines() {
            let (mark, at) = line.split_once(' ').unwrap_or_default();
            let Some(mark) = ReceiptMark::read(mark) else {
                continue;
            };
            match at.parse() {
                Ok(at) => drop(since.insert(mark, at)),
                Err(_) if at == "found" => drop(since.remove(&mark)),
                Err(_) => {}
            }
        }
        Ok(Self { path, since, seen })
    }

    /// Reads the list again where another process has changed it. Within a transaction of the store nobody else does.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(super) fn look(&mut self) -> Result<(), StoreError> {
        if seen(&self.path)? != self.seen {
            *self = Self::read(self.path.clone())?;
        }
        Ok(())
    }

    /// Whether the receipt was withdrawn, and not too long ago.
    pub(super) fn has(&self, wall: Timestamp, mark: &ReceiptMark) -> bool {
        let is_old = |at: &Timestamp| wall.duration_since(*at) > remembered();
        self.since.get(mark).is_some_and(|at| !is_old(at))
    }

    /// Adds a receipt, durably.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(super) fn add(&mut self, wall: Timestamp, mark: &ReceiptMark) -> Result<(), StoreError> {
        if self.has(wall, mark) {
            return Ok(());
        }
        let before = self.since.len();
        self.since
            .retain(|_, at| wall.duration_since(*at) <= remembered());
        self.since.insert(mark.clone(), wall);
        match self.since.len() + before / 2 < before {
            true => self.write_anew()?,
            false => self.append(&format!("{} {wall}", mark.as_str()))?,
        }
        self.seen = seen(&self.path)?;
        Ok(())
    }

    /// The clip of this receipt was found.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(super) fn found(&mut self, mark: &ReceiptMark) -> Result<(), StoreError> {
        if self.since.remove(mark).is_some() {
            self.append(&format!("{} found", mark.as_str()))?;
            self.seen = seen(&self.path)?;
        }
        Ok(())
    }

    fn append(&self, line: &str) -> Result<(), StoreError> {
        let failed = |error| StoreError::file("writing", &self.path, error);
        let is_new = !self.path.exists();
        let folder = self.path.parent().unwrap_or(&self.path);
        make_folder(folder)?;
        let mut options = OpenOptions::new();
        let file = options.create(true).append(true).mode(0o600);
        let mut file = file.open(&self.path).map_err(failed)?;
        // Begun with a line's end, so that a torn line before it is a line of its own.
        file.write_all(format!("\n{line}\n").as_bytes())
            .and_then(|()| file.sync_data())
            .map_err(failed)?;
        match is_new {
            true => fsync(folder),
            false => Ok(()),
        }
    }

    fn write_anew(&self) -> Result<(), StoreError> {
        let lines = self.since.iter();
        let text: String = lines
            .map(|(mark, at)| format!("{} {at}\n", mark.as_str()))
            .collect();
        write(&self.path, text.as_bytes())
    }
}

/// A file's number and its length: a list that is written anew has another number, and one that is added to is longer.
fn seen(path: &Path) -> Result<Option<(u64, u64)>, StoreError> {
    match fs::metadata(path) {
        Ok(file) => Ok(Some((file.ino(), file.len()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::file("reading", path, error)),
    }
}

fn remembered() -> SignedDuration {
    SignedDuration::from_hours(REMEMBERED_HOURS)
}

/// Gives a whole file its name, durably, with the folders that it needs.
///
/// # Errors
/// Every error of the file system.
pub(super) fn write(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    let folder = path.parent().unwrap_or(path);
    make_folder(folder)?;
    record::publish(path, content, true)?;
    fsync(folder)
}

/// Whether the file is there, and on the disk from here on: an earlier sync of it may have failed. Another process may delete it meanwhile.
///
/// # Errors
/// Every other error of the file system.
fn is_synced(path: &Path) -> Result<bool, StoreError> {
    match fsync(path) {
        Err(StoreError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Ok(false);
        }
        synced => synced?,
    }
    fsync(path.parent().unwrap_or(path))?;
    Ok(true)
}

/// Makes a folder and those above it, for their owner alone, durably.
///
/// # Errors
/// Every error of the file system.
pub(crate) fn make_folder(folder: &Path) -> Result<(), StoreError> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = folder
        .parent()
        .filter(|above| !above.as_os_str().is_empty());
    if let Some(above) = above {
        make_folder(above)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(StoreError::file("creating", folder, error));
        }
        _ => {}
    }
    fsync(above.unwrap_or(Path::new(".")))
}

/// Overwrites a file, has that on the disk, and removes it; answers whether there was one.
///
/// # Errors
/// Every error of the file system.
pub(crate) fn wipe(path: &Path) -> Result<bool, StoreError> {
    let failed = |error| StoreError::file("deleting", path, error);
    let mut file = match OpenOptions::new().write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed(error)),
    };
    let mut left = file.metadata().map_err(failed)?.len();
    let nothing = [0; 64 << 10];
    while left > 0 {
        let now = left.min(nothing.len() as u64);
        file.write_all(&nothing[..now as usize]).map_err(failed)?;
        left -= now;
    }
    file.sync_data().map_err(failed)?;
    match fs::remove_file(path) {
        // Another process has deleted it just now.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        removed => removed.map(|()| true).map_err(failed),
    }
}

/// What is in a folder, without unfinished files; nothing where there is no folder.
///
/// # Errors
/// Every other error of the file system.
pub(super) fn files_in(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let failed = |error| StoreError::file("reading", folder, error);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
