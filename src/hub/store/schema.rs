//! The hub's tables, and how the database is opened.
//!
//! Owns: the shape of `hub.sqlite`, its durability settings, and its version. Never does: read or
//! write rows. A failure leaves the file as it was.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::StoreError;

/// Version of the tables, kept in `PRAGMA user_version`.
const VERSION: i64 = 2;

/// Version 1. What later versions have besides is in [`STEPS`], so that a new database and one that was brought up to date
/// are the same.
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

/// From each version to the next.
const STEPS: [&str; VERSION as usize - 1] = [
    // 2: alerts that nobody cleared in the hub's hearing, and what could not be read.
    "
-- When each alert was said last, when its booth began to introduce itself, and when the hub was connected.
ALTER TABLE alert ADD COLUMN said_at TEXT NOT NULL DEFAULT '';
ALTER TABLE booth ADD COLUMN introduced_at TEXT;
CREATE TABLE hub (id INTEGER PRIMARY KEY CHECK (id = 1), came_at TEXT NOT NULL) STRICT;
-- Whether the last health was heard as it was said, and not kept by the broker.
ALTER TABLE booth ADD COLUMN health_live INTEGER NOT NULL DEFAULT 0;
-- What a sender said and the hub could not read, by what it should have been.
CREATE TABLE unreadable (
  sender TEXT NOT NULL, kind TEXT NOT NULL, times INTEGER NOT NULL, first_at TEXT NOT NULL,
  last_at TEXT NOT NULL, why TEXT NOT NULL, PRIMARY KEY (sender, kind)
) STRICT;
CREATE INDEX clip_in_order ON clip (received_at DESC, clip_id DESC) WHERE test = 0 AND kind = 'audio';
CREATE INDEX refused_in_order ON refused (at DESC);
",
];

/// Opens the database for writing, creating it on the first start and bringing an older one up to date.
pub fn open(path: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A commit is on the disk when it returns: an acknowledged clip survives a power cut.
    connection.pragma_update(None, "synchronous", "FULL")?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if !(0..=VERSION).contains(&version) {
        return Err(StoreError::Version {
            found: version,
            known: VERSION,
        });
    }
    // All of it or nothing: a start that is cut off finds the version that it found before.
    let steps = [TABLES].into_iter().chain(STEPS);
    let steps: String = steps.skip(version as usize).collect();
    if !steps.is_empty() {
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE; {steps} PRAGMA user_version = {VERSION}; COMMIT;"
        ))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_of_the_first_version_is_brought_up_to_date_with_everything_in_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("hub.sqlite");
        let old = Connection::open(&path).expect("opens");
        old.execute_batch(&format!(
            "BEGIN; {TABLES} PRAGMA user_version = 1;
             INSERT INTO alert VALUES ('rundhoej-1', 'power', 'watch', 'why', 'then');
             INSERT INTO booth (booth_id, first_heard) VALUES ('rundhoej-1', 'then'); COMMIT;"
        ))
        .expect("made");
        drop(old);
        let shape = |path: &Path| -> Vec<(String, String)> {
            let db = open(path).expect("opens");
            let version: i64 = db
                .query_row("PRAGMA user_version", [], |row| row.get(0))
                .expect("a number");
            assert_eq!(version, VERSION);
            let mut named = db
                .prepare(
                    "SELECT m.name, coalesce(c.name, '') FROM sqlite_master m
                     LEFT JOIN pragma_table_info(m.name) c ORDER BY 1, 2",
                )
                .expect("a query");
            let rows = named.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
            rows.expect("rows").map(|row| row.expect("a row")).collect()
        };
        let new = folder.path().join("new.sqlite");
        assert_eq!(shape(&path), shape(&new), "old and new come to the same");
        let db = open(&path).expect("opens again");
        let kept: (String, String) = db
            .query_row("SELECT text, said_at FROM alert", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .expect("kept");
        assert_eq!(kept, ("why".to_owned(), String::new()));
    }
}
