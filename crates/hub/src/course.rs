//! How each booth's values went: every health of the last seven days, and for each hour of two years the least, the greatest and the mean.
//!
//! Owns: `course.sqlite` beside the store's database, its shape, the thread that writes it, and what is deleted when. Never does: hold up a
//! message. What finds no room in the queue is dropped and counted; a power cut may take the last seconds; a database that cannot be used
//! costs the pictures of the past and nothing else. It is in no backup.
#![allow(clippy::disallowed_methods)] // looks whether the database is there

mod reading;
mod tables;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use booth_contract::{BoothId, Health};
use booth_database::{Connection, OptionalExtension, params};
use booth_host::{clock, crew};
use jiff::Timestamp;

pub use self::reading::{Course, Point, Range, Span};
use self::tables::Tables;

/// Notes that may wait: those of ten thousand booths for some 24 s.
const MOST_WAITING: usize = 4_096;
/// Most notes that share a commit.
const MOST_IN_BATCH: usize = 1_024;
/// How often the thread looks at the time while nothing comes.
const TURN: Duration = Duration::from_secs(1);
/// A booth's values are kept at most this often, in seconds: a booth that floods the hub fills no disk.
const LEAST_GAP_S: i64 = 5;
/// How long each health is kept, in seconds.
const SAID_KEPT_S: i64 = 7 * 86_400;
/// How long the hours are kept, in seconds: two years.
const HOURS_KEPT_S: i64 = 731 * 86_400;
/// How much of a booth is deleted with each hour at most, in seconds.
const DELETED_AT_ONCE_S: i64 = 86_400;
const HOUR_S: i64 = 3_600;
/// An hour is summed up this long after its end, in seconds: by then no note of it waits any more.
const SETTLED_AFTER_S: i64 = 120;

/// One health as it came.
#[derive(Debug)]
struct Note {
    at: i64,
    booth: BoothId,
    health: Health,
}

/// Takes what the booths say, without waiting.
#[derive(Debug, Clone)]
pub struct Notes {
    notes: SyncSender<Note>,
    dropped: Arc<AtomicU64>,
}

impl Notes {
    /// Notes a health that was heard as it was said.
    pub(crate) fn note(&self, at: Timestamp, booth: &BoothId, health: Health) {
        let note = Note {
            at: at.as_second(),
            booth: booth.clone(),
            health,
        };
        if self.notes.try_send(note).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The file in the store's folder.
pub(crate) fn file_in(dir: &Path) -> PathBuf {
    dir.join("course.sqlite")
}

/// Starts the thread that writes. It ends when every [`Notes`] is gone.
///
/// # Errors
/// A system that gives no thread.
pub fn start(dir: &Path) -> std::io::Result<(Notes, JoinHandle<()>)> {
    let (notes, waiting) = sync_channel(MOST_WAITING);
    let notes = Notes {
        notes,
        dropped: Arc::default(),
    };
    let (file, dropped) = (file_in(dir), Arc::clone(&notes.dropped));
    // It ends when the store has gone. If the store has died, that is the death to tell, and its thread tells it a moment later.
    let thread = crew::lend("course", move || run(&file, &waiting, &dropped))?;
    Ok((notes, thread))
}

/// Removes what is kept of a booth.
///
/// # Errors
/// A database that does not answer.
pub(crate) fn forget(dir: &Path, booth: &BoothId) -> booth_database::Result<()> {
    let file = file_in(dir);
    match file.try_exists() {
        Ok(true) => Writer::open(&file)?.forget(booth),
        _ => Ok(()),
    }
}

fn run(file: &Path, waiting: &Receiver<Note>, dropped: &AtomicU64) {
    let mut writer = None;
    let mut batch = Vec::new();
    loop {
        match waiting.recv_timeout(TURN) {
            Ok(note) => batch.push(note),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let room = MOST_IN_BATCH - batch.len();
        batch.extend(waiting.try_iter().take(room));
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            log::warn!(about = "course"; "{lost} values of booths were not noted for the pictures of the past: the disk is slow");
        }
        let written = write(&mut writer, file, &batch);
        batch.clear();
        if let Err(error) = written {
            // The next turn opens it again.
            writer = None;
            log::warn!(about = "course"; "values of booths cannot be noted for the pictures of the past: {error}");
        }
    }
}

fn write(writer: &mut Option<Writer>, file: &Path, batch: &[Note]) -> booth_database::Result<()> {
    let writer = match writer {
        Some(writer) => writer,
        None if batch.is_empty() => return Ok(()),
        None => writer.insert(Writer::open(file)?),
    };
    if !batch.is_empty() {
        writer.keep(batch)?;
    }
    writer.sum_up(clock::wall().as_second())
}

/// The database as the thread writes it.
struct Writer {
    db: Connection,
    tables: Tables,
    /// Each booth's number in the database, and when a health of it was kept last.
    booths: HashMap<BoothId, (i64, i64)>,
    /// Every booth is summed up until then.
    summed_until: Option<i64>,
}

impl Writer {
    fn open(file: &Path) -> booth_database::Result<Self> {
        let db = tables::open(file)?;
        Ok(Self {
            db,
            tables: Tables::of(Health::NAMES),
            booths: HashMap::new(),
            summed_until: None,
        })
    }

    /// Keeps these notes, all or none.
    fn keep(&mut self, batch: &[Note]) -> booth_database::Result<()> {
        let transaction = self.db.transaction()?;
        for note in batch {
            let number = match self.booths.get(&note.booth) {
                // After a clock that was set back it begins anew.
                Some((_, last)) if (*last..last + LEAST_GAP_S).contains(&note.at) => continue,
                Some((number, _)) => *number,
                None => number_of(&transaction, &note.booth)?,
            };
            self.tables
                .keep(&transaction, number, note.at, &note.health)?;
            self.booths.insert(note.booth.clone(), (number, note.at));
        }
        // What this knows of booths goes with the writer, where something fails.
        transaction.commit()
    }

    /// Sums up the hours that are over, and deletes what is too old; a few booths at a time, so that a note waits for a moment alone.
    fn sum_up(&mut self, now: i64) -> booth_database::Result<()> {
        let over = (now - SETTLED_AFTER_S).div_euclid(HOUR_S) * HOUR_S;
        // A booth that is new since has its turn with the next hour: nobody looks through all of them with each note.
        if self.summed_until == Some(over) {
            return Ok(());
        }
        let due: Vec<(i64, i64)> = self
            .db
            .prepare_cached(
                "SELECT number, summed_until FROM booth WHERE summed_until <> ?1 LIMIT 50",
            )?
            .query_map([over], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<booth_database::Result<_>>()?;
        if due.is_empty() {
            self.summed_until = Some(over);
            return Ok(());
        }
        let transaction = self.db.transaction()?;
        for (number, until) in due {
            let from = until.clamp(over - SAID_KEPT_S, over);
            self.tables.sum_up(&transaction, number, from, over)?;
            for (table, oldest) in [("said", now - SAID_KEPT_S), ("hour", now - HOURS_KEPT_S)] {
                // The oldest day alone: a clock that is years ahead for an hour takes no more.
                transaction
                    .prepare_cached(&format!(
                        "DELETE FROM {table} WHERE booth = ?1 AND at < ?2
                           AND at < (SELECT min(at) FROM {table} WHERE booth = ?1) + ?3"
                    ))?
                    .execute([number, oldest, DELETED_AT_ONCE_S])?;
            }
            transaction
                .prepare_cached("UPDATE booth SET summed_until = ?2 WHERE number = ?1")?
                .execute([number, over])?;
        }
        transaction.commit()
    }

    fn forget(&mut self, booth: &BoothId) -> booth_database::Result<()> {
        let transaction = self.db.transaction()?;
        let number: Option<i64> = transaction
            .query_row(
                "SELECT number FROM booth WHERE booth_id = ?1",
                [booth.as_str()],
                |row| row.get(0),
            )
            .optional()?;
        if let Some(number) = number {
            for table in ["said", "hour"] {
                transaction.execute(&format!("DELETE FROM {table} WHERE booth = ?1"), [number])?;
            }
        }
        transaction.commit()
    }
}

/// The booth's number; a booth that is new gets one.
fn number_of(db: &Connection, booth: &BoothId) -> booth_database::Result<i64> {
    db.prepare_cached(
        "INSERT INTO booth (booth_id, summed_until) VALUES (?1, 0) ON CONFLICT DO NOTHING",
    )?
    .execute([booth.as_str()])?;
    db.prepare_cached("SELECT number FROM booth WHERE booth_id = ?1")?
        .query_row(params![booth.as_str()], |row| row.get(0))
}
