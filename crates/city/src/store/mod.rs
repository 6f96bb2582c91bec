//! `city.sqlite`: what people decided, and a copy of the facts of each message.
//!
//! Owns: the database's connections, its durability, and the log of acts: every change is made with the [`Act`] that says who did what, in
//! one transaction. Never does: keep sound, or the words of a message that nobody has transcribed, or say that something is done which no start
//! will find: a database whose file was taken away takes nothing more. A failure leaves the database as it was.

mod acts;
mod schema;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use booth_database::{Connection, OpenFlags, Transaction};
use booth_host::same_files::SameFiles;

use crate::sentence;
use crate::words::Sentence;
pub(crate) use acts::{Act, Actor, before as acts_before, check as check_acts};
pub use acts::{CheckedActs, WrittenAct};

/// How long a statement waits for another program.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the emptying of the log waits for a reader: it is tried again soon.
const PATIENCE_WITH_READERS: Duration = Duration::from_millis(100);
/// Connections that read at the same time.
const READERS: usize = 4;

/// Why the store did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum CityError {
    /// The database.
    #[error("the database of what people decided: {0}")]
    Database(#[from] booth_database::Error),
    /// It was made by another version of this program.
    #[error(
        "city.sqlite is of version {found}, and this program knows {known}: use the program that made it, or a newer one"
    )]
    Version {
        /// What the file says.
        found: i64,
        /// What this program knows.
        known: i64,
    },
    /// Its file is gone or another while it is open.
    #[error(
        "{} was removed or replaced while the hub runs: nothing more is written, what citizens see stays, and nothing of the hub's clips is lost. \
         Put it back from the backup, or find out what removed it, and start the hub again",
        .0.display()
    )]
    Replaced(PathBuf),
    /// The hub has never been started, or `[store] dir` names another folder.
    #[error(
        "the folder {} does not exist: start the hub once (`booth-hub serve`), which makes it, or correct `[store] dir` in hub.toml",
        .0.display()
    )]
    NoFolder(PathBuf),
    /// It cannot be opened.
    #[error(
        "{} cannot be used ({why}): keep it, and restore it from the backup; without it every decision and account is gone, and the hub begins \
         anew with what its clips say",
        path.display()
    )]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        why: booth_database::Error,
    },
    /// The hub.
    #[error(transparent)]
    Centre(#[from] crate::centre::CentreError),
    /// What was asked for cannot be done; the sentence is for whoever asked.
    #[error("{0}")]
    Refused(Sentence),
    /// The machine or its configuration does not do its part; the words are for whoever runs the hub, in the log or on the command line, and
    /// for nobody else.
    #[error("{0}")]
    Failed(String),
}

impl From<Sentence> for CityError {
    fn from(sentence: Sentence) -> Self {
        Self::Refused(sentence)
    }
}

impl CityError {
    /// What a reader is told, in the reader's language. What the database, the machine or another program said is for the log.
    pub fn told(&self) -> Sentence {
        match self {
            Self::Refused(sentence) => sentence.clone(),
            Self::Centre(error) => error.told(),
            Self::Database(_)
            | Self::Version { .. }
            | Self::Replaced(_)
            | Self::NoFolder(_)
            | Self::Unusable { .. }
            | Self::Failed(_) => sentence!("fault-503-what"),
        }
    }
}

/// The database.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    writer: Mutex<Writer>,
    readers: Vec<Mutex<Connection>>,
    next: std::sync::atomic::AtomicUsize,
    /// Sees that others have changed something, and does nothing else.
    watcher: Mutex<Connection>,
}

/// The one connection that writes, and the files that it writes to.
#[derive(Debug)]
struct Writer {
    db: Connection,
    files: SameFiles,
    /// Words that were deleted may still stand in SQLite's log.
    log_is_to_be_emptied: bool,
    /// It was said that the log cannot be emptied.
    is_told: bool,
}

impl Writer {
    /// Empties the log; whether a reader kept it from that.
    fn empty_log(&mut self) -> Result<bool, CityError> {
        self.files.look().map_err(CityError::Replaced)?;
        self.db.busy_timeout(PATIENCE_WITH_READERS)?;
        let is_kept_from_it = empty_log(&self.db);
        self.db.busy_timeout(PATIENCE)?;
        Ok(is_kept_from_it?)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn reader(path: &Path) -> Result<Connection, CityError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let reader = Connection::open_with_flags(path, flags)?;
    reader.busy_timeout(PATIENCE)?;
    reader.set_prepared_statement_cache_capacity(64);
    Ok(reader)
}

impl Drop for Store {
    /// Puts everything into `city.sqlite` itself, so that a backup of that one file has it.
    fn drop(&mut self) {
        let writer = locked(&self.writer);
        // What cannot be done now is done at the next start.
        let _ = empty_log(&writer.db);
    }
}

/// Writes SQLite's log into the database's file and empties it. Whether a reader kept it from that.
fn empty_log(db: &Connection) -> booth_database::Result<bool> {
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
}

impl Store {
    /// Opens `city.sqlite` in this folder, and makes it at the first time.
    pub(crate) fn open(folder: &Path) -> Result<Self, CityError> {
        #[allow(clippy::disallowed_methods)] // the store's own folder
        let is_there = folder.try_exists().unwrap_or(true);
        if !is_there {
            return Err(CityError::NoFolder(folder.to_owned()));
        }
        let path = folder.join("city.sqlite");
        let db = schema::open(&path).map_err(|error| match error {
            CityError::Database(why) => CityError::Unusable {
                path: path.clone(),
                why,
            },
            error => error,
        })?;
        let files = SameFiles::of(["", "-wal", "-shm"].map(|end| {
            let mut name = path.clone().into_os_string();
            name.push(end);
            name.into()
        }));
        let writer = Writer {
            db,
            files,
            // A program that was killed may have left something there.
            log_is_to_be_emptied: true,
            is_told: false,
        };
        let readers = (0..READERS).map(|_| reader(&path).map(Mutex::new));
        let readers = readers.collect::<Result<_, CityError>>()?;
        let watcher = Mutex::new(reader(&path)?);
        Ok(Self {
            path,
            writer: Mutex::new(writer),
            readers,
            next: Default::default(),
            watcher,
        })
    }

    /// A reading connection for somebody who reads for long, so that no page waits for it.
    pub(crate) fn reader_of_its_own(&self) -> Result<Connection, CityError> {
        reader(&self.path)
    }

    /// Asks the database on one of the reading connections.
    pub(crate) fn read<T>(
        &self,
        ask: impl FnOnce(&Connection) -> booth_database::Result<T>,
    ) -> Result<T, CityError> {
        for reader in &self.readers {
            if let Ok(free) = reader.try_lock() {
                return Ok(ask(&free)?);
            }
        }
        let turn = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let reader = locked(&self.readers[turn % self.readers.len()]);
        Ok(ask(&reader)?)
    }

    /// Changes the database and writes down who did what, both or neither. Durable when it returns.
    pub(crate) fn change<T>(
        &self,
        act: Act,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, CityError>,
    ) -> Result<T, CityError> {
        self.change_quietly(|transaction| {
            let done = change(transaction)?;
            acts::write(transaction, &act)?;
            Ok(done)
        })
    }

    /// The same where only the change itself shows what was done, or that nothing was.
    pub(crate) fn change_telling<T>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> Result<(T, Vec<Act>), CityError>,
    ) -> Result<T, CityError> {
        self.change_quietly(|transaction| {
            let (done, acts) = change(transaction)?;
            for act in &acts {
                acts::write(transaction, act)?;
            }
            Ok(done)
        })
    }

    /// The same without an act: for what no person did, e.g. facts that arrive.
    pub(crate) fn change_quietly<T>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, CityError>,
    ) -> Result<T, CityError> {
        let mut writer = locked(&self.writer);
        let Writer { db, files, .. } = &mut *writer;
        let transaction = db.transaction()?;
        let done = change(&transaction)?;
        files.look().map_err(CityError::Replaced)?;
        transaction.commit()?;
        files.look().map_err(CityError::Replaced)?;
        Ok(done)
    }

    /// The same where words of citizens may be deleted; whether any were. Nothing of them stays in SQLite's log either, see [`Store::empty_log`].
    pub(crate) fn change_forgetting(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> Result<bool, CityError>,
    ) -> Result<bool, CityError> {
        let words_went = self.change_quietly(change)?;
        if words_went {
            locked(&self.writer).log_is_to_be_emptied = true;
            self.empty_log();
        }
        Ok(words_went)
    }

    /// Takes deleted words out of SQLite's log, where any may be. Where a reader is in the way, or it fails, the next call tries again.
    pub(crate) fn empty_log(&self) {
        let mut writer = locked(&self.writer);
        if !writer.log_is_to_be_emptied {
            return;
        }
        match writer.empty_log() {
            Ok(is_kept_from_it) => {
                writer.log_is_to_be_emptied = is_kept_from_it;
                writer.is_told = false;
            }
            Err(error) if writer.is_told => {
                log::debug!(about = "city.sqlite"; "its log is not emptied: {error}");
            }
            Err(error) => {
                writer.is_told = true;
                log::warn!(
                    about = "city.sqlite";
                    "what was withdrawn may still stand in city.sqlite-wal, which cannot be emptied and is tried again: {error}"
                );
            }
        }
    }

    /// Another number means that the database was changed, by this program or another one: a page may say something else.
    pub(crate) fn changes(&self) -> i64 {
        let watcher = locked(&self.watcher);
        // A database that does not answer this does not answer the pages either, and they say so.
        let version = watcher.query_row("PRAGMA data_version", [], |row| row.get(0));
        version.unwrap_or(-1)
    }
}

#[cfg(test)]
mod tests;
