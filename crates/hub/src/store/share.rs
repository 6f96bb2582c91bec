//! Which part of the centre's work a process does with the store, and the locks by which no two do the same.
//!
//! Owns: the files `lock`, `lock-centre`, `lock-worker-N` and `lock-writer` in the store's folder, and what a worker that is gone has left unfinished.
//! Never does: read or write a row. A lock ends with its process.
#![allow(clippy::disallowed_methods)] // makes the locks' files

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::FlockOperation;

use super::{StoreError, private};
use booth_host::clock;

/// Which part of the centre's work a process does with the store. Several processes share one store whose rows are in PostgreSQL: the transactions
/// of its writers follow one after the other, and nothing is judged outside of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// All of it.
    All,
    /// All but taking in what citizens said at booths, which workers do.
    Centre,
    /// Taking in what citizens said at booths, as the worker of this number.
    Worker(u16),
}

impl Share {
    /// Whether a process of this share sees to it at its start that everything is as it should be.
    pub(super) fn begins(self) -> bool {
        !matches!(self, Self::Worker(_))
    }

    /// Whether other processes may write, too. In the second run of the store's tests every store judges and writes as one of several does.
    pub(super) fn has_others(self) -> bool {
        #[cfg(test)]
        if super::tests::is_over_postgresql() {
            return true;
        }
        self != Self::All
    }

    /// How old another process's unfinished file must be to be a killed one's. A file gets its name within moments.
    pub(super) fn leaves_alone(self) -> Duration {
        match self {
            Self::All => Duration::ZERO,
            _ => Duration::from_secs(600),
        }
    }

    /// The name of its folder of unfinished bodies.
    pub(super) fn staging(self) -> String {
        match self {
            Self::All | Self::Centre => "staging".to_owned(),
            Self::Worker(number) => format!("staging-{number}"),
        }
    }
}

/// How often a lock that another one has is looked at, and the pause after each look: a second together.
const LOCK_LOOKS: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Locks the store for this process, until the returned file is dropped.
pub(super) fn lock(dir: &Path) -> Result<File, StoreError> {
    lock_file(dir, "lock", FlockOperation::NonBlockingLockExclusive)
}

/// The locks of a process of this share, until the returned files are dropped.
pub(super) fn locks(dir: &Path, share: Share) -> Result<Vec<File>, StoreError> {
    let name = match share {
        Share::All => return Ok(vec![lock(dir)?]),
        Share::Centre => "lock-centre".to_owned(),
        Share::Worker(number) => lock_of_worker(number),
    };
    let own = lock_file(dir, &name, FlockOperation::NonBlockingLockExclusive)?;
    let store = lock_file(dir, "lock", FlockOperation::NonBlockingLockShared);
    let store = store.map_err(|error| match (error, share) {
        (StoreError::InUse(dir), Share::Worker(_)) => StoreError::NotShared(dir),
        (error, _) => error,
    })?;
    Ok(vec![own, store])
}

fn lock_of_worker(number: u16) -> String {
    format!("lock-worker-{number}")
}

/// What a worker that runs no more has left unfinished is overwritten and deleted: nobody else ever looks there.
///
/// # Errors
/// Every error of the file system.
pub(super) fn tidy_staging(dir: &Path) -> Result<(), StoreError> {
    for folder in private::files_in(dir)? {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let number = name
            .strip_prefix("staging-")
            .and_then(|number| number.parse().ok());
        let Some(number) = number else { continue };
        let how = FlockOperation::NonBlockingLockExclusive;
        let Some(_its_lock) = try_lock(dir, &lock_of_worker(number), how)? else {
            continue;
        };
        for file in private::files_in(&folder)? {
            private::wipe(&file)?;
        }
        std::fs::remove_dir_all(&folder).map_err(|e| StoreError::file("removing", &folder, e))?;
    }
    Ok(())
}

/// How long a process waits for its turn.
const PATIENCE: Duration = Duration::from_secs(30);
const TURN_PAUSE: Duration = Duration::from_millis(1);

/// The turn to write, where several processes do: one has it from the beginning of its transaction until its files and rows are done with, also where
/// it has lost its connection to the database meanwhile. It ends with its process.
#[derive(Debug)]
pub(super) struct Turn {
    lock: File,
    path: PathBuf,
}

impl Turn {
    pub(super) fn at(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join("lock-writer");
        let lock = File::create(&path).map_err(|e| StoreError::file("creating", &path, e))?;
        Ok(Self { lock, path })
    }

    /// Waits for it.
    ///
    /// # Errors
    /// [`StoreError::NoTurn`].
    pub(super) fn take(&self) -> Result<(), StoreError> {
        let give_up = clock::mono() + PATIENCE;
        while rustix::fs::flock(&self.lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            if clock::mono() >= give_up {
                return Err(StoreError::NoTurn(self.path.clone()));
            }
            std::thread::park_timeout(TURN_PAUSE);
        }
        Ok(())
    }

    pub(super) fn give(&self) {
        if let Err(error) = rustix::fs::flock(&self.lock, FlockOperation::Unlock) {
            log::error!("{} cannot be let go of: {error}", self.path.display());
        }
    }
}

/// Tries once; `None` where another one has it.
fn try_lock(dir: &Path, name: &str, how: FlockOperation) -> Result<Option<File>, StoreError> {
    let path = dir.join(name);
    let lock = File::create(&path).map_err(|e| StoreError::file("creating", &path, e))?;
    Ok(rustix::fs::flock(&lock, how).is_ok().then_some(lock))
}

fn lock_file(dir: &Path, name: &str, how: FlockOperation) -> Result<File, StoreError> {
    // A program that was started a moment before the last holder ended has the lock, too, until it runs.
    for _ in 0..LOCK_LOOKS {
        if let Some(lock) = try_lock(dir, name, how)? {
            return Ok(lock);
        }
        std::thread::park_timeout(LOCK_PAUSE);
    }
    Err(StoreError::InUse(dir.to_owned()))
}
