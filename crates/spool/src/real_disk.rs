//! The card: files, folders and their durability on Linux.
//!
//! Owns: every file operation of the spool except the ledger's own, and the measurement of how long syncs take. Never does: decide
//! what is written or deleted, or wait for a pipe or a device that lies where a file should be: only plain files are opened. In a
//! folder that belongs to a less trusted user ([`RealDisk::guarding`]) no link is followed and no file with a second name is
//! opened. A failure is handed to the caller unchanged.
// Files and the clock that times the syncs are this adapter's work.
#![allow(clippy::disallowed_methods)]

use std::ffi::OsStr;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};

use rustix::fs::{
    AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, flock, openat, statat, statvfs, syncfs,
};
use rustix::io::Errno;

use crate::disk::{Disk, DiskFile, DiskStats, Listed, Open};

/// How many of the latest syncs the percentile covers: those of a little over two minutes of speech.
const SYNCS_REMEMBERED: usize = 256;
/// How often a lock that another one has is looked at, and the pause after each look: a second together.
const LOCK_LOOKS: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// How many bytes of a removed file are overwritten with one call.
const ERASED_AT_A_TIME: usize = 64 * 1024;

/// A lock, until it is dropped: it is given back then, whoever else has the file open (flock(2)).
struct Held(File);

impl Drop for Held {
    fn drop(&mut self) {
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

/// The real disk.
#[derive(Default, Clone)]
pub struct RealDisk {
    meter: Arc<Meter>,
    is_shared: bool,
    /// Folders that belong to a less trusted user.
    guarded: Vec<PathBuf>,
}

impl RealDisk {
    /// A disk without measurements.
    pub fn new() -> Self {
        Self::default()
    }

    /// A disk whose files everybody may read: for root's state files that the gateway reads.
    pub fn shared() -> Self {
        Self {
            is_shared: true,
            ..Self::default()
        }
    }

    /// A disk for root's work in `folder`, which belongs to a less trusted user, while the folder around it does not. Whatever that
    /// user puts into it, before or meanwhile, nothing outside can be reached from there: a link on the way is an error.
    pub fn guarding(folder: &Path) -> Self {
        Self {
            guarded: vec![folder.to_owned()],
            ..Self::default()
        }
    }

    /// The guarded folder that contains `path`, and the way from that folder to it.
    fn guard_of<'a>(&'a self, path: &'a Path) -> Option<(&'a Path, &'a Path)> {
        let mut guards = self.guarded.iter();
        guards.find_map(|guard| Some((guard.as_path(), path.strip_prefix(guard).ok()?)))
    }

    /// The path of a file by its name in a folder that is held open.
    fn reach(&self, path: &Path) -> io::Result<Reached> {
        let name = path.file_name();
        let (Some((guard, way)), Some(name)) = (self.guard_of(path), name) else {
            return Ok(Reached::as_it_is(path));
        };
        let Some(above) = way.parent() else {
            return Ok(Reached::as_it_is(path));
        };
        let mut reached = Reached::folder(guard, above)?;
        reached.path.push(name);
        Ok(reached)
    }

    /// The path of a folder that is held open.
    fn reach_folder(&self, folder: &Path) -> io::Result<Reached> {
        match self.guard_of(folder) {
            Some((guard, way)) => Reached::folder(guard, way),
            None => Ok(Reached::as_it_is(folder)),
        }
    }

    /// Opens a file that must be plain. A pipe or a device is opened without waiting for its other end, and refused.
    fn open_plain(&self, file: &Path, options: &mut OpenOptions) -> io::Result<File> {
        let is_guarded = self.guard_of(file).is_some();
        let mut flags = OFlags::NONBLOCK;
        if is_guarded {
            flags |= OFlags::NOFOLLOW;
        }
        options.custom_flags(flags.bits().cast_signed());
        let reached = self.reach(file)?;
        let opened = match self.meter.watch(options.open(&reached.path)) {
            Err(error)
                if is_guarded && error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) =>
            {
                return Err(a_link());
            }
            opened => opened?,
        };
        let facts = self.meter.watch(opened.metadata())?;
        let refused = |why: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        if !facts.is_file() {
            return refused("it is no plain file");
        }
        if is_guarded && facts.nlink() != 1 {
            return refused("it has a second name");
        }
        Ok(opened)
    }
}

/// A path to the file or folder that was asked for, valid as long as this value is kept.
struct Reached {
    path: PathBuf,
    _held: Option<OwnedFd>,
}

impl Reached {
    fn as_it_is(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            _held: None,
        }
    }

    /// The folder `way` below `guard`, without a link on the way.
    fn folder(guard: &Path, way: &Path) -> io::Result<Self> {
        let held = folder_below(guard, way)?;
        Ok(Self {
            // The kernel's name for an open folder.
            path: PathBuf::from(format!("/proc/self/fd/{}", held.as_raw_fd())),
            _held: Some(held),
        })
    }
}

/// Opens the folder `way` below `guard` without following a link, and holds it open for access to its content. It goes step by
/// step: a service with `RestrictSUIDSGID=` cannot use `openat2`, which would do it at once.
///
/// # Errors
/// A folder that is missing, is no folder or is a link, and a way that does not only lead down.
pub fn folder_below(guard: &Path, way: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut held = openat(CWD, guard, flags, Mode::empty())?;
    for step in way.components() {
        let Component::Normal(name) = step else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let next = openat(&held, name, flags | OFlags::NOFOLLOW, Mode::empty());
        held = next.map_err(|error| match error {
            Errno::NOTDIR | Errno::LOOP if is_link(&held, name) => a_link(),
            other => other.into(),
        })?;
    }
    Ok(held)
}

fn is_link(folder: &OwnedFd, name: &OsStr) -> bool {
    let facts = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
    facts.is_ok_and(|facts| FileType::from_raw_mode(facts.st_mode) == FileType::Symlink)
}

fn a_link() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "a link is in the way")
}

#[derive(Default)]
struct Meter {
    written: AtomicU64,
    errors: AtomicU64,
    syncs: Mutex<Syncs>,
}

#[derive(Default)]
struct Syncs {
    micros: Vec<u32>,
    next: usize,
}

impl Meter {
    /// Counts a failure of the card. A missing or short file and a full card are answers, and are not counted.
    fn watch<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result
            && !matches!(
                error.kind(),
                io::ErrorKind::NotFound
                    | io::ErrorKind::AlreadyExists
                    | io::ErrorKind::StorageFull
                    | io::ErrorKind::QuotaExceeded
                    | io::ErrorKind::UnexpectedEof
            )
        {
            self.errors.fetch_add(1, Relaxed);
        }
        result
    }

    fn timed(&self, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let start = Instant::now();
        let result = self.watch(sync());
        let micros = u32::try_from(start.elapsed().as_micros()).unwrap_or(u32::MAX);
        let mut syncs = self.syncs.lock().unwrap_or_else(PoisonError::into_inner);
        if syncs.micros.len() < SYNCS_REMEMBERED {
            syncs.micros.push(micros);
        } else {
            let next = syncs.next;
            syncs.micros[next] = micros;
            syncs.next = (next + 1) % SYNCS_REMEMBERED;
        }
        result
    }
}

struct RealFile {
    file: File,
    meter: Arc<Meter>,
}

impl DiskFile for RealFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.meter.watch(self.file.read_exact_at(buffer, offset))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.meter.watch(self.file.write_all_at(bytes, offset))?;
        self.meter.written.fetch_add(bytes.len() as u64, Relaxed);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        self.meter
            .watch(self.file.metadata())
            .map(|facts| facts.len())
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.meter.watch(self.file.set_len(bytes))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.meter.timed(|| self.file.sync_data())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.meter.timed(|| self.file.sync_all())
    }

    fn erase(&self, bytes: Option<u64>) -> io::Result<()> {
        let facts = self.meter.watch(self.file.metadata())?;
        if facts.nlink() > 0 {
            return Ok(());
        }
        // Overwrites to the end of the last block, where bytes of an earlier file may have been left.
        let end = bytes.map_or(facts.len(), |bytes| bytes.min(facts.len()));
        let end = end.next_multiple_of(facts.blksize().max(1));
        let nothing = vec![0; ERASED_AT_A_TIME];
        let mut at = 0;
        while at < end {
            let bytes = nothing
                .len()
                .min(usize::try_from(end - at).unwrap_or(usize::MAX));
            self.write_at(&nothing[..bytes], at)?;
            at += bytes as u64;
        }
        self.sync_data()
    }

    fn set_modified(&self, nanoseconds: i64) -> io::Result<()> {
        let since = Duration::from_nanos(nanoseconds.unsigned_abs());
        let at = match nanoseconds < 0 {
            true => UNIX_EPOCH - since,
            false => UNIX_EPOCH + since,
        };
        self.meter.watch(self.file.set_modified(at))
    }
}

impl Disk for RealDisk {
    fn make_folder(&self, folder: &Path) -> io::Result<bool> {
        if let Some((guard, way)) = self.guard_of(folder) {
            let mut is_new = !guard.is_dir();
            if is_new {
                self.meter
                    .watch(DirBuilder::new().recursive(true).mode(0o700).create(guard))?;
            }
            let mut here = guard.to_owned();
            for step in way
                .components()
                .filter(|step| matches!(step, Component::Normal(_)))
            {
                here.push(step);
                let made = DirBuilder::new()
                    .mode(0o700)
                    .create(self.reach(&here)?.path);
                is_new = match self.meter.watch(made) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
                    made => made.map(|()| true)?,
                };
            }
            return self.reach_folder(folder).map(|_| is_new);
        }
        if folder.is_dir() {
            return Ok(false);
        }
        self.meter
            .watch(DirBuilder::new().recursive(true).mode(0o700).create(folder))?;
        if self.is_shared {
            // Sets the mode whatever the service's umask is.
            self.meter.watch(std::fs::set_permissions(
                folder,
                Permissions::from_mode(0o755),
            ))?;
        }
        Ok(true)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<Listed>> {
        let mut listed = Vec::new();
        let folder = self.reach_folder(folder)?;
        for entry in self.meter.watch(std::fs::read_dir(&folder.path))? {
            let entry = self.meter.watch(entry)?;
            let facts = self.meter.watch(entry.metadata())?;
            listed.push(Listed {
                name: entry.file_name().to_string_lossy().into_owned(),
                bytes: facts.len(),
                // A pipe would make its reader wait for ever, and a link lead elsewhere.
                is_folder: !facts.is_file(),
            });
        }
        Ok(listed)
    }

    fn open(&self, file: &Path, how: Open) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(how != Open::Read).mode(0o600);
        if how == Open::New {
            options.create_new(true);
        }
        let file = self.open_plain(file, &mut options)?;
        if self.is_shared && how == Open::New {
            self.meter
                .watch(file.set_permissions(Permissions::from_mode(0o644)))?;
        }
        Ok(Box::new(RealFile {
            file,
            meter: Arc::clone(&self.meter),
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (self.reach(from)?, self.reach(to)?);
        self.meter.watch(std::fs::rename(&from.path, &to.path))
    }

    fn unlink(&self, file: &Path) -> io::Result<()> {
        let file = self.reach(file)?;
        self.meter.watch(std::fs::remove_file(&file.path))
    }

    fn remove_tree(&self, folder: &Path) -> io::Result<()> {
        let folder = self.reach(folder)?;
        self.meter.watch(std::fs::remove_dir_all(&folder.path))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let reached = self.reach_folder(folder)?;
        let folder = self.meter.watch(File::open(&reached.path))?;
        self.meter.timed(|| folder.sync_all())
    }

    fn sync_everything(&self, folder: &Path) -> io::Result<()> {
        let reached = self.reach_folder(folder)?;
        let folder = self.meter.watch(File::open(&reached.path))?;
        self.meter.timed(|| Ok(syncfs(&folder)?))
    }

    fn free_bytes(&self, folder: &Path) -> io::Result<u64> {
        let folder = self.reach_folder(folder)?;
        let facts = self
            .meter
            .watch(statvfs(&folder.path).map_err(io::Error::from))?;
        Ok(facts.f_bavail.saturating_mul(facts.f_frsize))
    }

    fn lock(&self, file: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600);
        let file = self.open_plain(file, &mut options)?;
        // A program that was started a moment before the last holder was killed has the lock, too, until it runs.
        for _ in 0..LOCK_LOOKS {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Some(Box::new(Held(file)))),
                Err(Errno::WOULDBLOCK) => std::thread::park_timeout(LOCK_PAUSE),
                Err(error) => return self.meter.watch(Err(error.into())),
            }
        }
        Ok(None)
    }

    fn modified(&self, file: &Path) -> io::Result<Option<i64>> {
        let file = self.reach(file)?;
        let facts = self.meter.watch(std::fs::symlink_metadata(&file.path))?;
        let nanoseconds = facts.mtime().checked_mul(1_000_000_000);
        Ok(nanoseconds.and_then(|whole| whole.checked_add(facts.mtime_nsec())))
    }

    fn stats(&self) -> DiskStats {
        let mut micros = self
            .meter
            .syncs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .micros
            .clone();
        micros.sort_unstable();
        let rank = (micros.len() * 95).div_ceil(100).saturating_sub(1);
        DiskStats {
            fsync_p95_ms: micros.get(rank).map(|&micros| f64::from(micros) / 1000.0),
            bytes_written: self.meter.written.load(Relaxed),
            io_errors: self.meter.errors.load(Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_was_given_back_is_free_whoever_has_the_file_still() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lock");
        let disk = RealDisk::new();
        drop(disk.lock(&path).expect("works").expect("free"));
        // A program that is being started has every open file once more, until it runs.
        let held = File::open(&path).expect("there");
        let inherited = held.try_clone().expect("once more");
        flock(&held, FlockOperation::NonBlockingLockExclusive).expect("free");
        drop(Held(held));
        let again = disk.lock(&path).expect("works");
        assert!(again.is_some());
        drop((again, inherited));
    }

    #[test]
    fn a_lock_that_a_killed_programs_child_has_for_a_moment_is_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lock");
        let disk = RealDisk::new();
        let held = disk.lock(&path).expect("works").expect("free");
        let child = std::thread::spawn(move || {
            std::thread::park_timeout(3 * LOCK_PAUSE);
            drop(held);
        });
        assert!(disk.lock(&path).expect("works").is_some());
        child.join().expect("ends");
    }
}
