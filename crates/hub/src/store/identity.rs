//! Whether the database is the one that belongs to the clips beside it, at the start and while the hub runs.
//!
//! Owns: the refusal to begin a new database beside clips, the store's name in `clips/.store`, and the watch over the database's
//! files. Never does: open or mend a database. A failure leaves everything as it was.
#![allow(clippy::disallowed_methods)] // the hub's own file work; each step names its fsync

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use booth_database::Connection;
use booth_host::same_files::SameFiles;

use super::record;
use super::{StoreError, fsync};

/// The endings of the names of SQLite's files, after the database's name.
pub(super) const SQLITE_FILES: [&str; 3] = ["", "-wal", "-shm"];

/// Refuses to make a database where clips lie without one.
///
/// # Errors
/// [`StoreError::EmptyBesideClips`], and every error of the file system.
pub(super) fn refuse_to_begin_anew(database: &Path, clips: &Path) -> Result<(), StoreError> {
    let is_empty = fs::metadata(database).map_or(true, |file| file.len() == 0);
    if is_empty && has_clips(clips)? {
        return Err(StoreError::EmptyBesideClips(database.to_owned()));
    }
    Ok(())
}

/// Whether any clip has a file.
fn has_clips(clips: &Path) -> Result<bool, StoreError> {
    for file in record::all(clips) {
        if record::named(&file?).is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Refuses a database that belongs to other clips; marks unmarked clips with this database's name.
///
/// # Errors
/// [`StoreError::OtherClips`] or [`StoreError::EmptyBesideClips`], and every error of the file system and the database.
pub(super) fn belong_together(
    db: &Connection,
    database: &Path,
    clips: &Path,
) -> Result<(), StoreError> {
    let name: String = db.query_row("SELECT name FROM store", [], |row| row.get(0))?;
    let has_rows: bool =
        db.query_row("SELECT EXISTS (SELECT 1 FROM kept)", [], |row| row.get(0))?;
    let mark = clips.join(".store");
    match fs::read_to_string(&mark) {
        Ok(marked) if marked == name => Ok(()),
        Ok(_) if has_clips(clips)? => Err(StoreError::OtherClips(database.to_owned())),
        Ok(_) => set_mark(db, clips),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if !has_rows && has_clips(clips)? {
                return Err(StoreError::EmptyBesideClips(database.to_owned()));
            }
            set_mark(db, clips)
        }
        Err(error) => Err(StoreError::file("reading", &mark, error)),
    }
}

/// Whether this database's name stands beside the clips.
///
/// # Errors
/// Every error of the file system and the database.
pub(super) fn is_theirs(db: &Connection, clips: &Path) -> Result<bool, StoreError> {
    let name: String = db.query_row("SELECT name FROM store", [], |row| row.get(0))?;
    let mark = clips.join(".store");
    match fs::read_to_string(&mark) {
        Ok(marked) => Ok(marked == name),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StoreError::file("reading", &mark, error)),
    }
}

/// Writes the database's name beside the clips, durably.
///
/// # Errors
/// Every error of the file system and the database.
pub(super) fn set_mark(db: &Connection, clips: &Path) -> Result<(), StoreError> {
    let name: String = db.query_row("SELECT name FROM store", [], |row| row.get(0))?;
    let mark = clips.join(".store");
    let unfinished = clips.join(".store.new");
    fs::write(&unfinished, name).map_err(|e| StoreError::file("writing", &unfinished, e))?;
    fsync(&unfinished)?;
    fs::rename(&unfinished, &mark).map_err(|e| StoreError::file("renaming to", &mark, e))?;
    fsync(clips)
}

/// Ending of the name of the note that the database was found broken; it lies beside the database.
const FAULT: &str = "-fault";

/// Notes that the database was found broken, for the next start.
pub(super) fn note_fault(database: &Path, error: &StoreError) {
    let note = beside(database, FAULT);
    if let Err(failed) = fs::write(&note, error.to_string()) {
        log::warn!("{} cannot be written: {failed}", note.display());
    }
}

/// After such a note: reads the whole database before anything is promised on its basis.
///
/// # Errors
/// [`StoreError::Damaged`], and every error of the file system and the database.
pub(super) fn look_after_a_fault(db: &Connection, database: &Path) -> Result<(), StoreError> {
    let note = beside(database, FAULT);
    if !note.exists() {
        return Ok(());
    }
    let said: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if said != "ok" {
        return Err(StoreError::Damaged {
            path: database.to_owned(),
            why: said,
        });
    }
    fs::remove_file(&note).map_err(|e| StoreError::file("removing", &note, e))
}

/// The files of an open database.
#[derive(Debug)]
pub(super) struct Watch(SameFiles);

impl Watch {
    /// Begins to watch a database that was just opened. SQLite makes the write-ahead log with its first write.
    pub(super) fn begin(database: &Path) -> Self {
        Self(SameFiles::of(
            SQLITE_FILES.map(|suffix| beside(database, suffix)),
        ))
    }

    /// Nothing to watch: the database is no file here.
    pub(super) fn of_nothing() -> Self {
        Self(SameFiles::of([]))
    }

    /// Fails if one of the files is gone or was replaced: commits then go into a file that no start will find.
    ///
    /// # Errors
    /// [`StoreError::Replaced`].
    pub(super) fn look(&mut self) -> Result<(), StoreError> {
        self.0.look().map_err(StoreError::Replaced)
    }
}

/// The path of a file beside the database.
pub(super) fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Renames SQLite's log as its database is renamed; where there is none, nothing is done.
///
/// # Errors
/// The file system's.
pub(super) fn rename_log(database: &Path, to: &Path) -> Result<(), StoreError> {
    for suffix in &SQLITE_FILES[1..] {
        let to = beside(to, suffix);
        match fs::rename(beside(database, suffix), &to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::file("renaming to", &to, error));
            }
            _ => {}
        }
    }
    Ok(())
}
