//! The spool's folders, and moving files between them.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use uuid::Uuid;

use super::SpoolError;
use super::clip_file::{is_clip_id, secret_bytes};
use super::disk::{Disk, DiskFile, Listed, Open, publish, read_whole};

/// How many old ledgers are kept.
const OLD_LEDGERS: usize = 2;
/// What the name of a clip file ends with.
const CLIP_SUFFIX: &str = ".clip";
/// File whose room is freed when the card is full, so that the current recording can be finished, the card's identity saved, the
/// ledger opened, and confirmed clips released.
const BALLAST_FILE: &str = "ballast";
/// After failures, writing the ballast is tried again after this many calls at most: one hour, if there is a call every 5 s.
const MOST_RESTS: u32 = 720;
/// New version of a clip file, before it takes the old one's name.
const REWRITTEN_FILE: &str = "rewritten";
/// A clip file of another card, before it has its own name.
const TAKEN_FILE: &str = "taken";

/// The folders of one spool and the disk they are on.
pub(crate) struct Folders {
    pub disk: Arc<dyn Disk>,
    pub root: PathBuf,
    pub clips: PathBuf,
    /// Made with the first withdrawal.
    pub withdrawals: PathBuf,
    pub quarantine: PathBuf,
    pub aside: PathBuf,
    pub ledger: PathBuf,
    /// Size of the ballast; 0 means none.
    pub ballast_bytes: u64,
    has_ballast: AtomicBool,
    /// How often writing the ballast has failed in a row; below, how many calls are skipped before the next try.
    ballast_failures: AtomicU32,
    ballast_rests: AtomicU32,
}

impl Folders {
    /// Makes the folders that are missing, durably.
    pub(crate) fn make(
        disk: Arc<dyn Disk>,
        root: &Path,
        ballast_bytes: u64,
    ) -> Result<Folders, SpoolError> {
        let folders = Folders {
            disk,
            root: root.to_path_buf(),
            clips: root.join("clips"),
            withdrawals: root.join("withdrawals"),
            quarantine: root.join("quarantine"),
            aside: root.join("aside"),
            ledger: root.join("ledger"),
            ballast_bytes,
            has_ballast: AtomicBool::new(false),
            ballast_failures: AtomicU32::new(0),
            ballast_rests: AtomicU32::new(0),
        };
        let disk = folders.disk.as_ref();
        let make = |folder: &Path| {
            disk.make_folder(folder)
                .map_err(|error| SpoolError::io("making", folder, error))
        };
        let sync = |folder: &Path| {
            disk.sync_folder(folder)
                .map_err(|error| SpoolError::io("syncing", folder, error))
        };
        let made_root = make(root)?;
        let mut made = made_root;
        for folder in [&folders.clips, &folders.quarantine, &folders.aside] {
            made |= make(folder)?;
        }
        // In every case: a process that was killed may have made folders and moved clips without syncing their names, and what is
        // found now must also be found after a power cut. The folders above may be on a file system that cannot be synced.
        let above = root.ancestors().take_while(|path| *path != Path::new(""));
        let above = above.enumerate().map(|(steps, folder)| {
            let is_new = (steps == 0 && made) || (steps == 1 && made_root);
            (folder, is_new)
        });
        let inside = [&folders.clips, &folders.quarantine].map(|folder| (folder.as_path(), made));
        for (folder, must_be_synced) in inside.into_iter().chain(above) {
            match sync(folder) {
                Err(error) if must_be_synced => return Err(error),
                Err(error) => log::debug!("{error}"),
                Ok(()) => {}
            }
        }
        let ballast = disk.open(&root.join(BALLAST_FILE), Open::Read);
        let is_whole = ballast
            .and_then(|file| file.len())
            .is_ok_and(|bytes| bytes > 0 && bytes == ballast_bytes);
        folders.has_ballast.store(is_whole, Ordering::Relaxed);
        Ok(folders)
    }

    /// Removes the ballast to free its room; true if there was one and it is gone.
    pub(crate) fn drop_ballast(&self) -> bool {
        if !self.has_ballast.swap(false, Ordering::Relaxed) {
            return false;
        }
        let gone = self
            .disk
            .unlink(&self.root.join(BALLAST_FILE))
            .and_then(|()| self.disk.sync_folder(&self.root));
        match gone {
            Ok(()) => {
                log::warn!(
                    "the card is full: the spool's ballast was given up for what has to be written"
                );
                true
            }
            Err(error) => {
                log::error!("the spool's ballast cannot be given up: {error}");
                false
            }
        }
    }

    /// Writes the ballast if there is none and the card has room to spare. After each failure twice as many calls are skipped,
    /// because writing 2 MiB again and again would wear the card.
    pub(crate) fn lay_ballast(&self, reserve_bytes: u64) {
        if self.ballast_bytes == 0 || self.has_ballast.load(Ordering::Relaxed) {
            return;
        }
        let spare = reserve_bytes.saturating_add(self.ballast_bytes.saturating_mul(4));
        if !self
            .disk
            .free_bytes(&self.root)
            .is_ok_and(|free| free >= spare)
        {
            return;
        }
        let rests = self.ballast_rests.load(Ordering::Relaxed);
        if let Some(left) = rests.checked_sub(1) {
            return self.ballast_rests.store(left, Ordering::Relaxed);
        }
        // Neither zeros nor repetitions, so that no layer below saves room by compressing it.
        let bytes: Vec<u8> = (0..self.ballast_bytes)
            .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        match publish(self.disk.as_ref(), &self.root, BALLAST_FILE, &bytes) {
            Ok(()) => {
                self.has_ballast.store(true, Ordering::Relaxed);
                self.ballast_failures.store(0, Ordering::Relaxed);
            }
            Err(error) => {
                let failures = self.ballast_failures.fetch_add(1, Ordering::Relaxed);
                let rests = MOST_RESTS.min((1 << failures.min(16)) - 1);
                self.ballast_rests.store(rests, Ordering::Relaxed);
                if failures == 0 {
                    log::warn!("the spool has no ballast: {error}");
                }
                let _ = self
                    .disk
                    .unlink(&self.root.join(format!("{BALLAST_FILE}.tmp")));
            }
        }
    }

    /// Runs `work`, which needs a little room; if the card is full, once more after the ballast is removed.
    pub(crate) fn with_room<T>(&self, work: impl Fn() -> io::Result<T>) -> io::Result<T> {
        match work() {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
                ) && self.drop_ballast() =>
            {
                work()
            }
            other => other,
        }
    }

    /// The file of clip `id` in `folder`.
    pub(crate) fn clip(&self, folder: &Path, id: Uuid) -> PathBuf {
        folder.join(format!("{id}{CLIP_SUFFIX}"))
    }

    /// Moves a clip file between two folders, durably if the card allows.
    pub(crate) fn move_clip(&self, id: Uuid, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(&self.clip(from, id), &self.clip(to, id))?;
        for folder in [to, from] {
            if let Err(error) = self.disk.sync_folder(folder) {
                // The file has moved; only a power cut can undo that, and then the next opening finds it in its old place.
                log::warn!("a move of clip {id} may come undone at a power cut: {error}");
            }
        }
        Ok(())
    }

    /// Replaces a clip's file in `folder` by one with these bytes, durably, and overwrites the old one; a power cut leaves either
    /// the old file or the new one.
    pub(crate) fn rewrite_clip(&self, folder: &Path, id: Uuid, bytes: &[u8]) -> io::Result<()> {
        let old = self.hold(&self.clip(folder, id));
        self.name_clip(REWRITTEN_FILE, folder, id, bytes)?;
        erase(old);
        Ok(())
    }

    /// Makes a clip's file with these bytes, durably; a power cut leaves all of it or nothing. One at a time.
    pub(crate) fn place_clip(&self, id: Uuid, bytes: &[u8]) -> io::Result<()> {
        self.name_clip(TAKEN_FILE, &self.clips, id, bytes)
    }

    fn name_clip(&self, first: &str, folder: &Path, id: Uuid, bytes: &[u8]) -> io::Result<()> {
        publish(self.disk.as_ref(), &self.root, first, bytes)?;
        let path = self.clip(folder, id);
        self.disk.rename(&self.root.join(first), &path)?;
        self.disk.sync_folder(folder)?;
        self.disk.sync_folder(&self.root)
    }

    /// Removes what [`Folders::place_clip`] could not name. Nothing is overwritten: after a power cut a file may be under both names.
    pub(crate) fn drop_taken(&self) {
        for name in [TAKEN_FILE.to_owned(), format!("{TAKEN_FILE}.tmp")] {
            let path = self.root.join(name);
            match self.disk.unlink(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    log::warn!("{} could not be removed: {error}", path.display());
                }
                _ => {}
            }
        }
    }

    /// Opens a clip's file whose name is about to be removed, for [`erase`]; `None` if the card does not give the file.
    pub(crate) fn hold(&self, path: &Path) -> Option<Leaving> {
        let file = self.disk.open(path, Open::Write).ok()?;
        let secret = secret_bytes(&*file);
        Some(Leaving { file, secret })
    }

    /// Removes a clip file's name, durably, and then overwrites its content. A file that is missing counts as removed.
    pub(crate) fn unlink_clip(&self, folder: &Path, id: Uuid) -> io::Result<()> {
        let path = self.clip(folder, id);
        let held = self.hold(&path);
        match self.disk.unlink(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => self.disk.sync_folder(folder)?,
        }
        erase(held);
        Ok(())
    }

    /// Moves a file or folder to `aside/`, durably, under a name of its own.
    pub(crate) fn set_aside(&self, path: &Path) -> io::Result<String> {
        let name = self.free_name_aside(path)?;
        self.disk.rename(path, &self.aside.join(&name))?;
        self.disk.sync_folder(&self.aside)?;
        if let Some(folder) = path.parent() {
            self.disk.sync_folder(folder)?;
        }
        Ok(name)
    }

    /// The same for many files, with one listing of `aside/` and one sync of each folder for all of them.
    pub(crate) fn set_all_aside(&self, paths: &[PathBuf]) -> Vec<io::Result<String>> {
        if paths.is_empty() {
            return Vec::new();
        }
        let mut names = match self.disk.list(&self.aside) {
            Ok(taken) => Names::taken(taken.into_iter().map(|listed| listed.name)),
            Err(error) => {
                let again = || io::Error::new(error.kind(), error.to_string());
                return paths.iter().map(|_| Err(again())).collect();
            }
        };
        let mut touched = vec![self.aside.as_path()];
        let mut moved = Vec::new();
        for path in paths {
            let name = names.free_for(&name_of(path));
            let result = self.disk.rename(path, &self.aside.join(&name));
            if result.is_ok()
                && let Some(folder) = path.parent()
                && !touched.contains(&folder)
            {
                touched.push(folder);
            }
            moved.push(result.map(|()| name));
        }
        if touched.len() > 1 {
            for folder in touched {
                if let Err(error) = self.disk.sync_folder(folder) {
                    // The files have moved; only a power cut can undo that, and then the next opening finds them in their old
                    // place.
                    log::warn!("what was set aside may come back at a power cut: {error}");
                }
            }
        }
        moved
    }

    /// Puts a copy of a file's bytes into `aside/`, durably; `None` if it lies there already.
    pub(crate) fn copy_aside(&self, path: &Path, bytes: &[u8]) -> io::Result<Option<String>> {
        let taken = self.disk.list(&self.aside)?;
        let mine = format!("{}-", name_of(path));
        let is_this = |listed: &&Listed| {
            listed.name.starts_with(&mine)
                && !listed.is_folder
                && listed.bytes == bytes.len() as u64
                && read_whole(
                    self.disk.as_ref(),
                    &self.aside.join(&listed.name),
                    listed.bytes,
                )
                .is_ok_and(|there| there == bytes)
        };
        if taken.iter().any(|listed| is_this(&listed)) {
            return Ok(None);
        }
        let mut names = Names::taken(taken.into_iter().map(|listed| listed.name));
        let name = names.free_for(&name_of(path));
        publish(self.disk.as_ref(), &self.aside, &name, bytes)?;
        Ok(Some(name))
    }

    fn free_name_aside(&self, path: &Path) -> io::Result<String> {
        let taken = self.disk.list(&self.aside)?;
        let mut names = Names::taken(taken.into_iter().map(|listed| listed.name));
        Ok(names.free_for(&name_of(path)))
    }

    /// Sets the ledger aside and removes old ones beyond [`OLD_LEDGERS`].
    pub(crate) fn set_ledger_aside(&self) -> io::Result<String> {
        let name = self.set_aside(&self.ledger)?;
        let mut old: Vec<(u64, String)> = self
            .disk
            .list(&self.aside)?
            .into_iter()
            .filter_map(|listed| {
                let number = listed.name.strip_prefix("ledger-")?.parse().ok()?;
                Some((number, listed.name))
            })
            .collect();
        old.sort_unstable();
        while old.len() > OLD_LEDGERS {
            self.disk.remove_tree(&self.aside.join(old.remove(0).1))?;
        }
        Ok(name)
    }
}

/// A clip's file that is still open while its name goes.
pub(crate) struct Leaving {
    file: Box<dyn DiskFile>,
    /// How many of its bytes have to go; `None`: all.
    secret: Option<u64>,
}

/// Overwrites a file whose name is durably removed, as far as something could be heard in it. It must not be done before, because a
/// power cut could then bring back a name without its words.
pub(crate) fn erase(held: Option<Leaving>) {
    if let Some(Leaving { file, secret }) = held
        && secret != Some(0)
        && let Err(error) = file.erase(secret)
    {
        log::warn!(about = "erase"; "what was said in a clip that has left may stay on the card: {error}");
    }
}

fn name_of(path: &Path) -> String {
    match path.file_name() {
        Some(name) => name.to_string_lossy().into_owned(),
        None => "nameless".into(),
    }
}

/// Free names in `aside/`: a file's own name, and a number.
struct Names {
    latest: HashMap<String, u64>,
}

impl Names {
    fn taken(names: impl Iterator<Item = String>) -> Self {
        let mut latest = HashMap::new();
        for name in names {
            if let Some((called, number)) = name.rsplit_once('-')
                && let Ok(number) = number.parse::<u64>()
            {
                let known = latest.entry(called.to_owned()).or_insert(0);
                *known = number.max(*known);
            }
        }
        Self { latest }
    }

    fn free_for(&mut self, name: &str) -> String {
        let latest = self.latest.entry(name.to_owned()).or_insert(0);
        *latest = latest.saturating_add(1);
        format!("{name}-{latest}")
    }
}

/// The clip whose file has this name.
pub(crate) fn clip_of(name: &str) -> Option<Uuid> {
    let id = name.strip_suffix(CLIP_SUFFIX)?;
    Uuid::parse_str(id).ok().filter(|_| is_clip_id(id))
}

/// Opens a clip file.
pub(crate) fn open_clip(
    folders: &Folders,
    path: &Path,
    how: Open,
) -> Result<Box<dyn super::disk::DiskFile>, SpoolError> {
    folders
        .disk
        .open(path, how)
        .map_err(|error| SpoolError::io("opening", path, error))
}
