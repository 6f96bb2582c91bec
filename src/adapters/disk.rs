//! The card: files, folders and their durability on Linux.
//!
//! Owns: every file operation of the spool but the ledger's own, and the measurement of how long syncs
//! take. Never does: decide what is written or deleted. A failure is handed to the caller as it is.
// Files and the clock that times the syncs are this adapter's work.
#![allow(clippy::disallowed_methods)]

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};

use rustix::fs::{FlockOperation, OFlags, flock, statvfs, syncfs};

use crate::spool::disk::{Disk, DiskFile, DiskStats, Listed, Open};

/// How many of the latest syncs the percentile looks at: a little over two minutes of speech.
const SYNCS_REMEMBERED: usize = 256;

/// So many bytes of a removed file are overwritten with one call.
const ERASED_AT_A_TIME: usize = 64 * 1024;

/// The real disk.
#[derive(Default, Clone)]
pub struct RealDisk {
    meter: Arc<Meter>,
    is_shared: bool,
}

impl RealDisk {
    /// A disk with nothing measured yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One on which everybody may read what is made: for a state of root's that the gateway looks at.
    pub fn shared() -> Self {
        Self {
            is_shared: true,
            ..Self::default()
        }
    }
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
    /// Counts a failure of the card; a missing or short file and a full card are answers, not failures.
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

    fn erase(&self) -> io::Result<()> {
        let facts = self.meter.watch(self.file.metadata())?;
        if facts.nlink() > 0 {
            return Ok(());
        }
        // To the end of the last block: what an earlier file left there is nobody's, either.
        let end = facts.len().next_multiple_of(facts.blksize().max(1));
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
        if folder.is_dir() {
            return Ok(false);
        }
        self.meter
            .watch(DirBuilder::new().recursive(true).mode(0o700).create(folder))?;
        if self.is_shared {
            // Whatever the service's umask is.
            self.meter.watch(std::fs::set_permissions(
                folder,
                Permissions::from_mode(0o755),
            ))?;
        }
        Ok(true)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<Listed>> {
        let mut listed = Vec::new();
        for entry in self.meter.watch(std::fs::read_dir(folder))? {
            let entry = self.meter.watch(entry)?;
            let facts = self.meter.watch(entry.metadata())?;
            listed.push(Listed {
                name: entry.file_name().to_string_lossy().into_owned(),
                bytes: facts.len(),
                // A pipe would keep its reader waiting for ever, a link lead elsewhere.
                is_folder: !facts.is_file(),
            });
        }
        Ok(listed)
    }

    fn open(&self, file: &Path, how: Open) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(how != Open::Read).mode(0o600);
        // A pipe in the place of a file would keep us waiting for ever; as it is, nothing is read from it.
        options.custom_flags(OFlags::NONBLOCK.bits().cast_signed());
        if how == Open::New {
            options.create_new(true);
        }
        let file = self.meter.watch(options.open(file))?;
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
        self.meter.watch(std::fs::rename(from, to))
    }

    fn unlink(&self, file: &Path) -> io::Result<()> {
        self.meter.watch(std::fs::remove_file(file))
    }

    fn remove_tree(&self, folder: &Path) -> io::Result<()> {
        self.meter.watch(std::fs::remove_dir_all(folder))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let folder = self.meter.watch(File::open(folder))?;
        self.meter.timed(|| folder.sync_all())
    }

    fn sync_everything(&self, folder: &Path) -> io::Result<()> {
        let folder = self.meter.watch(File::open(folder))?;
        self.meter.timed(|| Ok(syncfs(&folder)?))
    }

    fn free_bytes(&self, folder: &Path) -> io::Result<u64> {
        let facts = self.meter.watch(statvfs(folder).map_err(io::Error::from))?;
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
        let file = self.meter.watch(options.open(file))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => self.meter.watch(Err(error.into())),
        }
    }

    fn modified(&self, file: &Path) -> io::Result<Option<i64>> {
        let facts = self.meter.watch(std::fs::symlink_metadata(file))?;
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
