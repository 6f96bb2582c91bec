//! `booth-hub migrate`: moves what is known of the clips from SQLite's file to PostgreSQL.
//!
//! Owns: the order in which the rows change their place: every row in one transaction of PostgreSQL, then the note in the store's folder that
//! says where they are, then another name for the file. Never does: change a clip, or delete a row, neither here nor there. The hub must be
//! stopped: moving takes the store's lock, and the booths keep their clips meanwhile. A failure before the note leaves the rows where they were,
//! and running it again begins anew, or takes the copy that is whole; what is cut off after the note is ended by the hub's next start.
#![allow(clippy::disallowed_methods)] // renames the database's files

use std::fs;
use std::path::{Path, PathBuf};

use booth_database::elsewhere::{Elsewhere, note_in};
use booth_database::postgres::Role;
use booth_database::shape;
use booth_database::{Connection, TransactionBehavior};
use serde::Serialize;

use super::check::Progress;
use super::elsewhere::{NAMESPACE, agrees};
use super::identity::{self, beside, rename_log};
use super::rebuild::give_to_the_owner;
use super::{StoreError, database_in, fsync, lock, schema};

/// What was moved.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Migrated {
    /// How many rows, of every kind.
    pub rows: u64,
    /// The file in which they were.
    pub before: PathBuf,
}

impl Migrated {
    /// What to do with the file.
    pub fn advice(&self) -> String {
        advice(&self.before)
    }
}

/// What to do with the file in which rows were before they were moved.
pub(super) fn advice(before: &Path) -> String {
    format!(
        "{} is the database as it was before it was moved: delete it once the hub runs well. What citizens take back later is still named in it.",
        before.display()
    )
}

/// Moves the rows of the store in this folder; `progress` is given how many are done.
///
/// # Errors
/// A hub that is running, rows that are elsewhere already, a database that has others, and every error of the databases and the file system.
pub fn migrate(dir: &Path, to: &Elsewhere, mut progress: Progress) -> Result<Migrated, StoreError> {
    agrees(dir, None)?;
    let file = database_in(dir);
    if !file.exists() {
        return Err(StoreError::NothingToMove(dir.to_owned()));
    }
    let _lock = lock(dir)?;
    let sqlite = schema::open(&file)?;
    identity::belong_together(&sqlite, &file, &dir.join("clips"))
        .map_err(|error| error.of_database(&file))?;
    let postgres = to.open(NAMESPACE, Role::Writer)?;
    if !postgres.hold("store")? {
        return Err(StoreError::InUse(PathBuf::from(&to.database)));
    }
    // A command that would write meanwhile waits, and then says that the database is held.
    sqlite.begin(TransactionBehavior::Immediate)?;
    let rows = match shape::version_of(&postgres)? {
        None => shape::move_in(&sqlite, &postgres, schema::VERSION, &mut |done| {
            progress.is_at(done);
        })?,
        Some(_) => {
            rows_of_a_whole_copy(&sqlite, &postgres)?.ok_or_else(|| StoreError::Occupied {
                dir: dir.to_owned(),
                database: to.database.clone(),
            })?
        }
    };
    // From here on the rows are there: a hub whose configuration says otherwise does not start.
    to.note(dir)?;
    give_to_the_owner(dir, &[&note_in(dir)])?;
    sqlite.roll_back()?;
    schema::empty_log(&sqlite)?;
    sqlite.close()?;
    let before = set_aside(dir)?.unwrap_or(file);
    Ok(Migrated { rows, before })
}

/// How many rows there are, if those in PostgreSQL are a copy that was cut off before its note: it is whole, because it was one transaction, and
/// no hub has used it, because hubs go by the note.
fn rows_of_a_whole_copy(
    sqlite: &Connection,
    postgres: &Connection,
) -> Result<Option<u64>, StoreError> {
    schema::is_of_this_version(postgres)?;
    let name = |db: &Connection| -> booth_database::Result<String> {
        db.query_row("SELECT name FROM store", [], |row| row.get(0))
    };
    if name(sqlite)? != name(postgres)? {
        return Ok(None);
    }
    let mut rows = 0;
    for table in shape::tables_of(sqlite)? {
        let count = |db: &Connection| -> booth_database::Result<i64> {
            db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
                row.get(0)
            })
        };
        let here = count(sqlite)?;
        if here != count(postgres)? {
            return Ok(None);
        }
        rows += here.unsigned_abs();
    }
    Ok(Some(rows))
}

/// Gives SQLite's file another name, so that nobody takes it for what the hub goes by; the file, if there is one from now or from before.
///
/// # Errors
/// The file system's.
pub(super) fn set_aside(dir: &Path) -> Result<Option<PathBuf>, StoreError> {
    let file = database_in(dir);
    let to = beside(&file, ".moved");
    if file.exists() {
        // The file last: while it has its name, this is not over.
        rename_log(&file, &to)?;
        fs::rename(&file, &to).map_err(|error| StoreError::file("renaming to", &to, error))?;
        fsync(dir)?;
    }
    Ok(to.exists().then_some(to))
}
