//! Which part of the centre's work a process does with the store, and the locks by which no two do the same.
//!
//! Owns: the files `lock`, `lock-centre` and `lock-worker-N` in the store's folder. Never does: guard a row; the transactions of the store's writers
//! follow one after the other. A lock ends with its process.
#![allow(clippy::disallowed_methods)] // makes the locks' files

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use rustix::fs::FlockOperation;

use super::StoreError;

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

/// The locks of a process on a store.
pub(super) struct Locks {
    /// Nobody else of this share.
    own: Option<File>,
    /// Of the store.
    store: File,
    /// No other process is on the store until [`Self::share`].
    pub(super) is_alone: bool,
}

impl Locks {
    pub(super) fn take(dir: &Path, share: Share) -> Result<Self, StoreError> {
        let name = match share {
            Share::All => {
                return Ok(Self {
                    own: None,
                    store: lock(dir)?,
                    is_alone: true,
                });
            }
            Share::Centre => "lock-centre".to_owned(),
            Share::Worker(number) => format!("lock-worker-{number}"),
        };
        let own = lock_file(dir, &name, FlockOperation::NonBlockingLockExclusive)?;
        let whole = match share.begins() {
            true => try_lock(dir, "lock", FlockOperation::NonBlockingLockExclusive)?,
            false => None,
        };
        let is_alone = whole.is_some();
        let store =
            match whole {
                Some(store) => store,
                None => lock_file(dir, "lock", FlockOperation::NonBlockingLockShared).map_err(
                    |error| match error {
                        StoreError::InUse(dir) => StoreError::NotShared(dir),
                        other => other,
                    },
                )?,
            };
        Ok(Self {
            own: Some(own),
            store,
            is_alone,
        })
    }

    /// Others may come from here on, where this share has others.
    pub(super) fn share(self, dir: &Path) -> Result<Vec<File>, StoreError> {
        let has_others = self.own.is_some();
        if self.is_alone
            && has_others
            && rustix::fs::flock(&self.store, FlockOperation::NonBlockingLockShared).is_err()
        {
            return Err(StoreError::InUse(dir.to_owned()));
        }
        Ok(self.own.into_iter().chain([self.store]).collect())
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
