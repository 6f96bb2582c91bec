//! The hub's tables, and how the database is opened.
//!
//! Owns: the shape of `hub.sqlite`, its durability settings, and its version. Never does: read or
//! write rows. A failure leaves the file as it was.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::StoreError;

/// Version of the tables, kept in `PRAGMA user_version`.
const VERSION: i64 = 1;

const TABLES: &str = "
-- Every clip that was acknowledged as stored; of every kind.
CREATE TABLE clip (
  clip_id TEXT PRIMARY KEY, card_id TEXT NOT NULL, clip_no INTEGER NOT NULL,
  booth_id TEXT NOT NULL, sender TEXT NOT NULL, boot_id TEXT NOT NULL, kind TEXT NOT NULL,
  test INTEGER NOT NULL, question_id TEXT, choice INTEGER, lang TEXT, started_at TEXT,
  started_mono_ms INTEGER, clock_synced INTEGER NOT NULL, duration_ms INTEGER NOT NULL,
  ended_by TEXT NOT NULL, recovered INTEGER NOT NULL, body TEXT, bytes INTEGER NOT NULL,
  sha256 TEXT, received_at TEXT NOT NULL, day TEXT NOT NULL, manifest BLOB NOT NULL
) STRICT;
CREATE INDEX clip_by_number ON clip (card_id, clip_no);
CREATE INDEX clip_by_receipt ON clip (received_at);
CREATE INDEX clip_by_booth ON clip (booth_id, received_at);
-- Manifests whose body is not whole yet: a repeat after a restart is known as one.
CREATE TABLE offer (
  clip_id TEXT NOT NULL, sender TEXT NOT NULL, at TEXT NOT NULL, manifest BLOB NOT NULL,
  PRIMARY KEY (clip_id, sender)
) STRICT;
-- Clips that a citizen withdrew: answered `discard`.
CREATE TABLE withdrawn (clip_id TEXT PRIMARY KEY, at TEXT NOT NULL) STRICT;
-- What an operator should look at.
CREATE TABLE refused (
  booth_id TEXT NOT NULL, clip_id TEXT NOT NULL, reason TEXT NOT NULL, at TEXT NOT NULL,
  times INTEGER NOT NULL, PRIMARY KEY (booth_id, clip_id, reason)
) STRICT;
CREATE TABLE booth (
  booth_id TEXT PRIMARY KEY, first_heard TEXT NOT NULL, card_id TEXT, birth TEXT,
  health TEXT, health_at TEXT, config TEXT
) STRICT;
-- What each card said at each booth; only the booth's current card is shown.
CREATE TABLE card_at_booth (
  booth_id TEXT NOT NULL, card_id TEXT NOT NULL, first_seen TEXT NOT NULL, last_seen TEXT NOT NULL,
  boot_count INTEGER, connect_ms INTEGER, presence TEXT,
  birth_boot_count INTEGER, birth_connect_ms INTEGER,
  last_clip_no INTEGER, oldest_clip_no_kept INTEGER, spool_clips INTEGER,
  PRIMARY KEY (booth_id, card_id)
) STRICT;
CREATE TABLE machine_at_booth (
  booth_id TEXT NOT NULL, hw_serial TEXT NOT NULL, last_birth TEXT NOT NULL,
  PRIMARY KEY (booth_id, hw_serial)
) STRICT;
CREATE TABLE alert (
  booth_id TEXT NOT NULL, id TEXT NOT NULL, severity TEXT NOT NULL, text TEXT NOT NULL,
  since TEXT NOT NULL, PRIMARY KEY (booth_id, id)
) STRICT;
CREATE TABLE event (
  seq INTEGER PRIMARY KEY, booth_id TEXT NOT NULL, kind TEXT NOT NULL, at TEXT NOT NULL,
  payload TEXT NOT NULL
) STRICT;
CREATE INDEX event_by_booth ON event (booth_id, seq);
-- For each machine boot whose clock became right: wall clock minus boot-time clock.
CREATE TABLE boot_clock (
  booth_id TEXT NOT NULL, boot_id TEXT NOT NULL, wall_minus_mono_ms INTEGER NOT NULL,
  PRIMARY KEY (booth_id, boot_id)
) STRICT;
CREATE INDEX clip_by_boot ON clip (sender, boot_id) WHERE clock_synced = 0;
";

/// Opens the database for writing, creating it on the first start.
pub fn open(path: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A commit is on the disk when it returns: an acknowledged clip survives a power cut.
    connection.pragma_update(None, "synchronous", "FULL")?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    match version {
        0 => {
            connection.execute_batch(&format!(
                "BEGIN IMMEDIATE; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;"
            ))?;
        }
        VERSION => {}
        newer => {
            return Err(StoreError::Version {
                found: newer,
                known: VERSION,
            });
        }
    }
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Opens the database for the pages: they never write.
pub fn open_for_reading(path: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(Duration::from_secs(5))?;
    Ok(connection)
}
