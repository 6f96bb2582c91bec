//! The store's figures for whoever watches the hub, read on a connection of its own, so that no page and no message waits for it.
//!
//! Owns: how much is kept, held, set aside and refused, how large the databases are, how much room there is, and what each booth's last health
//! said. Never does: write, or read a word, a name or a manifest.
#![allow(clippy::disallowed_methods)] // counts the store's files

use std::fs;
use std::path::{Path, PathBuf};

use booth_database::Connection;

use super::private::Private;
use super::{Room, StoreError, schema};
use booth_contract::Health;

/// Most booths that are told: as many as the hub keeps.
pub(crate) const MOST_BOOTHS: usize = 10_000;

/// What the store holds at a moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Measures {
    /// Clips that are kept, and how many of them wait for an operator's word.
    pub(crate) counted: u64,
    /// See `counted`.
    pub(crate) held: u64,
    /// Bytes of all kept clips.
    pub(crate) clip_bytes: u64,
    /// Clips that were refused and are with their booths.
    pub(crate) refused: u64,
    /// Entries for an operator about something that is kept.
    pub(crate) to_look_at: u64,
    /// Files of second versions, and of what lay in a clip's place.
    pub(crate) disputed_files: u64,
    pub(crate) withdrawals_waiting: u64,
    /// The databases with their logs, by name.
    pub(crate) databases: [(&'static str, u64); 2],
    /// What each booth's last health said, under the contract's names alone; at most [`MOST_BOOTHS`], in order of id.
    pub(crate) healths: Vec<(String, Health)>,
}

/// The free bytes of the store's disk, and whether more than the reserve is free.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Free {
    pub(crate) bytes: u64,
    pub(crate) files: u64,
    pub(crate) is_enough: bool,
}

/// How many bytes a namespace of PostgreSQL has, with its indexes.
const BYTES_AT_POSTGRESQL: &str =
    "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0) FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ?1 AND c.relkind = 'r'";

/// See the module's comment.
#[derive(Debug)]
pub(crate) struct Measurer {
    db: Connection,
    dir: PathBuf,
    private: Private,
}

impl Measurer {
    /// Of the store in this folder.
    ///
    /// # Errors
    /// A database that cannot be opened.
    pub(crate) fn open(dir: &Path) -> Result<Self, StoreError> {
        Ok(Self {
            db: schema::open_in_for_reading(dir)?,
            dir: dir.to_owned(),
            private: Private::beside(dir),
        })
    }

    /// Reads everything; may take as long as a look at every clip's row.
    ///
    /// # Errors
    /// A database that does not answer.
    pub(crate) fn measure(&self) -> booth_database::Result<Measures> {
        let mut measures = Measures {
            disputed_files: files_in(&self.dir.join("disputed")),
            withdrawals_waiting: self.private.waiting_number(),
            databases: ["hub", "city"].map(|name| (name, self.bytes_of(name))),
            ..Measures::default()
        };
        let mut kept = self.db.prepare_cached(
            "SELECT held, count(*), coalesce(sum(bytes), 0) FROM kept GROUP BY held",
        )?;
        let mut rows = kept.query([])?;
        while let Some(row) = rows.next()? {
            match row.get(0)? {
                false => measures.counted = row.get(1)?,
                true => measures.held = row.get(1)?,
            }
            measures.clip_bytes += row.get::<_, u64>(2)?;
        }
        (measures.refused, measures.to_look_at) = self
            .db
            .prepare_cached("SELECT count(*) FILTER (WHERE rank = 0), count(*) FILTER (WHERE rank > 0) FROM refused")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut said = self
            .db
            .prepare_cached("SELECT booth_id, health FROM booth WHERE health IS NOT NULL ORDER BY booth_id LIMIT ?1")?;
        let said = said.query_map([MOST_BOOTHS as i64], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        })?;
        for said in said {
            let (booth, text) = said?;
            if let Ok(mut health) = Health::from_json(text.as_bytes()) {
                // Names that the contract does not have, however many were sent.
                health.others.clear();
                measures.healths.push((booth, health));
            }
        }
        Ok(measures)
    }

    /// The database of this name and SQLite's log beside it.
    fn bytes_of(&self, name: &str) -> u64 {
        if !self.db.is_sqlite() && name == "hub" {
            let asked = self
                .db
                .query_row(BYTES_AT_POSTGRESQL, [name], |row| row.get(0));
            return asked.unwrap_or(0);
        }
        let of = |end: &str| fs::metadata(self.dir.join(format!("{name}.sqlite{end}")));
        ["", "-wal"]
            .into_iter()
            .filter_map(|end| of(end).ok())
            .map(|file| file.len())
            .sum()
    }
}

/// How much room is on the disk of the store in this folder.
///
/// # Errors
/// A disk that does not answer.
pub(crate) fn free_at(dir: &Path, reserve_bytes: u64) -> Result<Free, StoreError> {
    let disk = rustix::fs::statvfs(dir)
        .map_err(|error| StoreError::file("looking for room at", dir, error.into()))?;
    let room = Room::of(&disk);
    Ok(Free {
        bytes: room.bytes,
        files: room.files,
        is_enough: !room.is_less_than(reserve_bytes),
    })
}

fn files_in(dir: &Path) -> u64 {
    fs::read_dir(dir).map_or(0, |files| files.count() as u64)
}
