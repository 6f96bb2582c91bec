//! Why a backup was not made, or not put back: one sentence each, with the remedy.
//!
//! Owns: the sentences, and which fault of a file or a database is which. Never does: touch a file.

use std::io;
use std::path::{Path, PathBuf};

use super::StoreError;

/// Why a backup was not made, or not put back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file, a folder or a database.
    #[error("{0}. The backup before is as it was; run the command again when this is mended")]
    Store(StoreError),
    /// Everything is back but in its place.
    #[error(
        "everything is back in {}, with its rows in hub.sqlite; they were not moved into {database}: {source}. Mend this, and end it with \
         booth-hub migrate {database}",
        dir.display()
    )]
    NotMoved {
        /// The store's folder.
        dir: PathBuf,
        /// The address.
        database: String,
        /// Why not.
        source: StoreError,
    },
    /// No room.
    #[error(
        "there is no room for {}: make room on its disk, or name a folder on a larger one, and run it again. What was whole before is as it was",
        .0.display()
    )]
    Full(PathBuf),
    /// No right.
    #[error(
        "{} is not for this user to read or write: run it as the hub's user (sudo -u booth-hub booth-hub), and give that user the folder",
        .0.display()
    )]
    NotAllowed(PathBuf),
    /// There is no store.
    #[error("there is no hub.sqlite in {}: does [store] dir name the hub's folder?", .0.display())]
    NoStore(PathBuf),
    /// The folder has something else.
    #[error("{} has files and is no backup: name an empty folder, or that of an earlier backup", .0.display())]
    NoBackup(PathBuf),
    /// The folder lies in the store, or the store in it.
    #[error(
        "{} and the store {} lie within each other: name a folder elsewhere, best on another disk",
        folder.display(), store.display()
    )]
    Within {
        /// The backup's.
        folder: PathBuf,
        /// The hub's.
        store: PathBuf,
    },
    /// Another backup.
    #[error("another booth-hub works on {}: wait until it has ended", .0.display())]
    Busy(PathBuf),
    /// The store lost clips.
    #[error(
        "{missing} clips of the backup in {} are not in the store, and nobody took them back: is this another or an older store? The backup is as \
         it was. Restore from it, or name another folder for this store",
        folder.display()
    )]
    Fewer {
        /// The backup's.
        folder: PathBuf,
        /// How many.
        missing: u64,
    },
    /// A backup that was never whole.
    #[error("{} holds no whole backup: backup.json is not there or cannot be read. Name another one", .0.display())]
    NotWhole(PathBuf),
    /// A backup of a newer program.
    #[error("the backup in {} is of a newer booth-hub: restore it with that version", .0.display())]
    Newer(PathBuf),
    /// A file of the backup is not what it was.
    #[error("{} is not as it was written: name another backup, or another copy of this one", .0.display())]
    Damaged(PathBuf),
    /// The store's place is taken.
    #[error(
        "{} is not empty, and restoring puts nothing over what is there: stop the hub, and move the folder away (mv DIR DIR.before). Leave \
         the folder with -private beside it where it is: what is newer in it stays", .0.display()
    )]
    NotEmpty(PathBuf),
}

impl From<StoreError> for BackupError {
    fn from(error: StoreError) -> Self {
        use io::ErrorKind::{
            FileTooLarge, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull,
        };
        match error {
            StoreError::File { path, source, .. }
                if matches!(source.kind(), StorageFull | QuotaExceeded | FileTooLarge) =>
            {
                Self::Full(path)
            }
            StoreError::File { path, source, .. }
                if matches!(source.kind(), PermissionDenied | ReadOnlyFilesystem) =>
            {
                Self::NotAllowed(path)
            }
            StoreError::InUse(path) => Self::Busy(path),
            error => Self::Store(error),
        }
    }
}

impl BackupError {
    /// A fault of the database in this file.
    pub(super) fn of_database(path: &Path, error: booth_database::Error) -> Self {
        use booth_database::ErrorCode::{CannotOpen, DiskFull, PermissionDenied, ReadOnly};
        match error.sqlite_error_code() {
            Some(DiskFull) => Self::Full(path.to_owned()),
            Some(CannotOpen | PermissionDenied | ReadOnly) => Self::NotAllowed(path.to_owned()),
            _ => Self::Store(error.into()),
        }
    }
}
