//! The hub's tables, and how the database is opened.
//!
//! Owns: the shape of `hub.sqlite`, its durability settings, and its version. Never does: read or
//! write rows. A failure leaves the file as it was.

use std::path::Path;
use std::time::Duration;

use booth_database::elsewhere::{connect, of};
use booth_database::postgres::Role;
use booth_database::shape::{self, ShapeError};
use booth_database::{Connection, OpenFlags};

use super::elsewhere::NAMESPACE;
use super::{StoreError, database_in};

/// Version of the tables, kept in `PRAGMA user_version`.
pub(super) const VERSION: i64 = 7;

/// Version 1. The additions of later versions are in [`STEPS`], so that a new database and one that was brought up to date are the
/// same.
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

/// The changes from each version to the next.
const STEPS: [&str; VERSION as usize - 1] = [
    // 2: alerts whose clearing the hub did not hear, and messages that could not be read.
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
    // 3: clips that are kept and not counted, offers by hash, the history of alerts, and to which clips a database belongs.
    "
ALTER TABLE clip RENAME TO kept;
-- 1: of a card that its sender has not announced; counted and shown once an operator has looked at it.
ALTER TABLE kept ADD COLUMN held INTEGER NOT NULL DEFAULT 0;
-- 1: its body was not there when it was asked for.
ALTER TABLE kept ADD COLUMN lost INTEGER NOT NULL DEFAULT 0;
-- What is counted and shown: every question of the pages is asked of this.
CREATE VIEW clip AS SELECT * FROM kept WHERE held = 0;
DROP INDEX clip_in_order;
CREATE INDEX clip_in_order ON kept (received_at DESC, clip_id DESC)
  WHERE test = 0 AND kind = 'audio' AND held = 0;
CREATE INDEX kept_held ON kept (card_id) WHERE held = 1;
DROP TABLE offer;
CREATE TABLE offer (
  clip_id TEXT NOT NULL, sender TEXT NOT NULL, sha256 TEXT NOT NULL, at TEXT NOT NULL,
  manifest BLOB NOT NULL, PRIMARY KEY (clip_id, sender, sha256)
) STRICT;
-- 0: heard of; 1: the booth has announced it; 2: the booth where it was before still has it; 3: an operator has accepted it.
ALTER TABLE card_at_booth ADD COLUMN announced INTEGER NOT NULL DEFAULT 0;
UPDATE card_at_booth SET announced = 1 WHERE birth_boot_count IS NOT NULL;
CREATE INDEX card_by_id ON card_at_booth (card_id);
-- How often a boot's pair of clocks has changed, and whether every clip of that boot has it.
ALTER TABLE boot_clock ADD COLUMN changes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE boot_clock ADD COLUMN is_done INTEGER NOT NULL DEFAULT 1;
ALTER TABLE boot_clock ADD COLUMN corrected_to TEXT NOT NULL DEFAULT '';
DROP INDEX clip_by_boot;
CREATE INDEX clip_by_boot ON kept (sender, boot_id, clip_id) WHERE clock_synced = 0;
CREATE INDEX boot_clock_by_booth ON boot_clock (booth_id);
-- Alerts that are over.
CREATE TABLE alert_history (
  seq INTEGER PRIMARY KEY, booth_id TEXT NOT NULL, id TEXT NOT NULL, severity TEXT NOT NULL,
  text TEXT NOT NULL, since TEXT NOT NULL, said_at TEXT NOT NULL, cleared_at TEXT NOT NULL,
  rank INTEGER NOT NULL
) STRICT;
CREATE INDEX alert_history_by_booth ON alert_history (booth_id, id, seq);
CREATE INDEX event_by_kind ON event (booth_id, kind, seq);
-- Whose clips these are: the same name stands beside them. And whether each clip has its record beside its body.
CREATE TABLE store (
  id INTEGER PRIMARY KEY CHECK (id = 1), name TEXT NOT NULL, has_records INTEGER NOT NULL
) STRICT;
INSERT INTO store VALUES (1, lower(hex(randomblob(16))), 0);
",
    // 4: entries for an operator, by their weight.
    "
-- 0: a clip that was refused and is with its booth; 1: something that is kept here and waits for a look; 2: of a whole card.
ALTER TABLE refused ADD COLUMN rank INTEGER NOT NULL DEFAULT 0;
UPDATE refused SET rank = CASE WHEN clip_id = '' THEN 2
  WHEN reason LIKE 'stored%' OR reason LIKE 'its body was missing%' OR reason LIKE 'another body is already stored%' THEN 1
  ELSE 0 END;
",
    // 5: what a manifest says of campaign and consent, receipts, withdrawn numbers, and bodies that lie here otherwise than they came.
    "
ALTER TABLE kept ADD COLUMN campaign_id TEXT;
ALTER TABLE kept ADD COLUMN config_version INTEGER;
ALTER TABLE kept ADD COLUMN publish TEXT;
ALTER TABLE kept ADD COLUMN notice_id TEXT;
UPDATE kept SET campaign_id = json_extract(CAST(manifest AS TEXT), '$.campaign_id')
  WHERE json_type(CAST(manifest AS TEXT), '$.campaign_id') = 'text';
UPDATE kept SET publish = json_extract(CAST(manifest AS TEXT), '$.consent.publish')
  WHERE json_type(CAST(manifest AS TEXT), '$.consent.publish') = 'text';
UPDATE kept SET notice_id = json_extract(CAST(manifest AS TEXT), '$.consent.notice_id')
  WHERE json_type(CAST(manifest AS TEXT), '$.consent.notice_id') = 'text';
-- 1: somebody who has listened took it for a child's: its voice is not published.
ALTER TABLE kept ADD COLUMN child INTEGER NOT NULL DEFAULT 0;
-- The receipt as a hash under the hub's own key, in hex; 1: the receipt is still sealed in the manifest.
ALTER TABLE kept ADD COLUMN receipt TEXT;
ALTER TABLE kept ADD COLUMN has_sealed_receipt INTEGER NOT NULL DEFAULT 0;
UPDATE kept SET has_sealed_receipt = 1
  WHERE json_type(CAST(manifest AS TEXT), '$.sealed') = 'text';
CREATE INDEX kept_by_receipt ON kept (receipt) WHERE receipt IS NOT NULL;
-- Length and hash of the body's file where the hub sealed a body that came open.
ALTER TABLE kept ADD COLUMN rest_bytes INTEGER;
ALTER TABLE kept ADD COLUMN rest_sha256 TEXT;
DROP VIEW clip;
CREATE VIEW clip AS SELECT * FROM kept WHERE held = 0;
CREATE INDEX kept_votes ON kept (campaign_id, question_id, booth_id)
  WHERE test = 0 AND kind = 'choice' AND held = 0;
ALTER TABLE offer ADD COLUMN receipt TEXT;
-- Which number of which card a withdrawn clip had: it is not missing.
ALTER TABLE withdrawn ADD COLUMN card_id TEXT;
ALTER TABLE withdrawn ADD COLUMN clip_no INTEGER;
-- The hash of what was withdrawn: other words under this id are not discarded for it.
ALTER TABLE withdrawn ADD COLUMN sha256 TEXT;
CREATE INDEX withdrawn_by_number ON withdrawn (card_id, clip_no);
-- Whether the envelope of each sealed body lies apart from it; with which private keys the sealed receipts were opened.
ALTER TABLE store ADD COLUMN has_envelopes_apart INTEGER NOT NULL DEFAULT 0;
ALTER TABLE store ADD COLUMN opened_with TEXT NOT NULL DEFAULT '';
-- The name of the key under which receipts were hashed.
ALTER TABLE store ADD COLUMN receipt_key TEXT NOT NULL DEFAULT '';
",
    // 6: votes that count with a one-time code alone.
    "
-- What became of a vote on such a question: 'counted', or why it is not counted; NULL on every other question.
ALTER TABLE kept ADD COLUMN code TEXT;
DROP VIEW clip;
CREATE VIEW clip AS SELECT * FROM kept WHERE held = 0;
",
    // 7: an index.
    "
-- The clips of children: the city asks for them at each look.
CREATE INDEX kept_child ON kept (clip_id) WHERE child = 1;
",
];

/// How long a statement waits for another process.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

impl From<ShapeError> for StoreError {
    fn from(error: ShapeError) -> Self {
        match error {
            ShapeError::Version { found, known } => Self::Version { found, known },
            ShapeError::Database(error) => Self::Database(error),
        }
    }
}

/// Opens the database of a store's folder for writing, wherever it is, creating it on the first start and bringing an older one up to date.
pub(super) fn open_in(dir: &Path) -> Result<Connection, StoreError> {
    let Some(db) = connect(dir, NAMESPACE, Role::Writer)? else {
        return open(&database_in(dir));
    };
    shape::bring_up(&db, VERSION, newest, steps_since)?;
    Ok(db)
}

/// The database of a store's folder for writing, as the hub that serves has left it.
///
/// # Errors
/// [`StoreError::Version`] for a database of another version than this program's.
pub(super) fn open_as_it_is(dir: &Path) -> Result<Connection, StoreError> {
    let db = connect(dir, NAMESPACE, Role::Writer)?;
    let db = db.ok_or_else(|| StoreError::NoCentre(dir.to_owned()))?;
    is_of_this_version(&db)?;
    Ok(db)
}

/// The database of a store's folder, for whoever only reads.
pub(super) fn open_in_for_reading(dir: &Path) -> Result<Connection, StoreError> {
    match connect(dir, NAMESPACE, Role::Reader)? {
        Some(db) => Ok(db),
        None => open_for_reading(&database_in(dir)),
    }
}

/// Whether a store's folder has a database.
pub(super) fn is_there(dir: &Path) -> Result<bool, StoreError> {
    match of(dir)? {
        Some(_) => Ok(true),
        None => Ok(database_in(dir).exists()),
    }
}

/// A database of this version without anything in it.
fn newest() -> booth_database::Result<Connection> {
    let db = Connection::open_in_memory()?;
    db.execute_batch(&steps_since(0))?;
    Ok(db)
}

/// Writes the rows of PostgreSQL, as they are at one moment, into a new database of SQLite's, which is whole by itself.
///
/// # Errors
/// Those of both databases. What was written before is of no use.
pub(super) fn copy_out(db: &Connection, to: &Path) -> Result<(), StoreError> {
    let failed = |error: booth_database::Error| StoreError::from(error).of_database(to);
    let copy = Connection::open(to).map_err(failed)?;
    copy.pragma_update(None, "journal_mode", "MEMORY")
        .and_then(|()| copy.pragma_update(None, "synchronous", "OFF"))
        .and_then(|()| copy.execute_batch(&steps_since(0)))
        .and_then(|()| copy.pragma_update(None, "user_version", VERSION))
        .map_err(failed)?;
    shape::copy_out(db, &copy, VERSION, &mut |_| ())?;
    copy.close().map_err(failed)
}

fn steps_since(version: i64) -> String {
    let steps = [TABLES].into_iter().chain(STEPS);
    steps.skip(version as usize).collect()
}

/// Opens the database's file for writing, creating it on the first start and bringing an older one up to date.
pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    opened(path).map_err(|error| error.of_database(path))
}

fn opened(path: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A commit is on the disk when it returns, so that an acknowledged clip survives a power cut.
    connection.pragma_update(None, "synchronous", "FULL")?;
    // What is deleted is overwritten: a withdrawn clip's manifest is gone from the file.
    connection.pragma_update(None, "secure_delete", "ON")?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if !(0..=VERSION).contains(&version) {
        return Err(StoreError::Version {
            found: version,
            known: VERSION,
        });
    }
    // All steps or none: if a start is cut off, the next one finds the version that this one found.
    let steps = steps_since(version);
    if !steps.is_empty() {
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE; {steps} PRAGMA user_version = {VERSION}; COMMIT;"
        ))?;
    }
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Writes SQLite's log into the database's file and empties it, so that the file is whole by itself and nothing deleted stays beside it. Whether
/// a reader kept it from that. Readers that are open and idle do not.
///
/// # Errors
/// The database's.
pub(super) fn empty_log(db: &Connection) -> booth_database::Result<bool> {
    match db.is_sqlite() {
        true => db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)),
        false => Ok(false),
    }
}

/// # Errors
/// [`StoreError::Version`] for a database of another version than this program's.
pub(super) fn is_of_this_version(db: &Connection) -> Result<(), StoreError> {
    if !db.is_sqlite() {
        return match shape::version_of(db)? {
            Some(VERSION) => Ok(()),
            found => Err(StoreError::Version {
                found: found.unwrap_or(0),
                known: VERSION,
            }),
        };
    }
    is_of_this_version_in(db, "main")
}

/// The same for an attached database.
///
/// # Errors
/// The same.
pub(super) fn is_of_this_version_in(db: &Connection, name: &str) -> Result<(), StoreError> {
    let pragma = format!("PRAGMA {name}.user_version");
    match db.query_row(&pragma, [], |row| row.get(0))? {
        VERSION => Ok(()),
        found => Err(StoreError::Version {
            found,
            known: VERSION,
        }),
    }
}

/// Opens the database for the pages: they never write.
pub(super) fn open_for_reading(path: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(PATIENCE)?;
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
             INSERT INTO booth (booth_id, first_heard) VALUES ('rundhoej-1', 'then');
             INSERT INTO card_at_booth (booth_id, card_id, first_seen, last_seen, birth_boot_count)
               VALUES ('rundhoej-1', 'card-1', 'then', 'then', 1), ('rundhoej-1', 'card-2', 'then', 'then', NULL);
             INSERT INTO clip VALUES ('id', 'card-1', 1, 'rundhoej-1', 'rundhoej-1', 'b', 'audio', 0, 'q', NULL, 'da', 'then', 5,
               1, 9, 'key', 0, 'ogg-opus', 7, 'hash', 'then', 'day', x'7b7d'); COMMIT;"
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
        let clip: (String, u8, u8) = db
            .query_row("SELECT clip_id, held, lost FROM clip", [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .expect("counted");
        assert_eq!(clip, ("id".to_owned(), 0, 0));
        let announced: i64 = db
            .query_row(
                "SELECT count(*) FROM card_at_booth WHERE announced = 1 AND card_id = 'card-1'",
                [],
                |row| row.get(0),
            )
            .expect("counted");
        assert_eq!(announced, 1);
    }
}
