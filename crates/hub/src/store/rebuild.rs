//! `booth-hub rebuild`: makes the database anew from the files.
//!
//! Owns: what of a database is in the files, and what can be taken over from the previous database. Never does: change or delete a
//! clip's file, or the previous database, which is kept beside the new one. The hub must be stopped: rebuilding takes the store's
//! lock. A failure leaves the store as it was, or without a database, which no hub starts with; running it again goes on with the
//! database that was set aside.
#![allow(clippy::disallowed_methods)] // the hub's own file work; each step names its fsync

use booth_contract::ClipId;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use booth_database::{Connection, TransactionBehavior, params};
use serde::Serialize;

use super::apart::rename_new;
use super::bodies::Bodies;
use super::check::Progress;
use super::identity::{SQLITE_FILES, beside, rename_log, set_mark};
use super::private::Private;
use super::record::{self, Part};
use super::{OWN_SENDERS, StoreError, database_in, elsewhere, fsync, rows, schema};
use crate::fleet::{self, FleetError};

/// Tables whose content is in no file, and is taken over from the previous database if that can be read.
const ONLY_THERE: [&str; 11] = [
    "booth",
    "card_at_booth",
    "machine_at_booth",
    "alert",
    "alert_history",
    "event",
    "boot_clock",
    "hub",
    "refused",
    "unreadable",
    "withdrawn",
];

/// Most previous databases that are kept.
const MOST_BEFORE: u32 = 1000;

/// The result of a rebuild.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rebuilt {
    /// Clips that have a row, of every kind.
    pub clips: u64,
    /// How many of these are not counted before an operator accepts them.
    pub held: u64,
    /// The ids of those whose whole body is missing.
    pub lost: Vec<ClipId>,
    /// Withdrawn ids.
    pub withdrawn: u64,
    /// Bodies without a manifest, of which nothing is known. Their booths' next offers take them in.
    pub without_manifest: Vec<PathBuf>,
    /// Whether the content that only a database has could be taken over.
    pub is_carried_over: bool,
    /// Where the previous database is.
    pub before: Option<PathBuf>,
}

/// Makes the database, with the days of the machine's zone; `progress` is given the number of files that are done.
///
/// # Errors
/// A hub that is running, and every error of the file system and the database.
pub fn rebuild(dir: &Path, progress: Progress) -> Result<Rebuilt, StoreError> {
    rebuild_in(dir, &jiff::tz::TimeZone::system(), progress)
}

/// The same with the days of this zone.
///
/// # Errors
/// The same.
pub fn rebuild_in(
    dir: &Path,
    zone: &jiff::tz::TimeZone,
    mut progress: Progress,
) -> Result<Rebuilt, StoreError> {
    elsewhere::refuse(dir)?;
    let bodies = Bodies::of(dir)?;
    let _lock = super::lock(dir)?;
    let database = database_in(dir);
    let clips = dir.join("clips");
    let new = dir.join("hub.sqlite.new");
    let set_aside_before = match new.exists() && !database.exists() {
        true => cut_off(dir, &database)?,
        false => None,
    };
    for suffix in SQLITE_FILES {
        remove(&beside(&new, suffix))?;
    }
    let db = schema::open(&new)?;
    let before = set_aside_before.as_deref().unwrap_or(&database);
    let mut rebuilt = Rebuilt {
        is_carried_over: carry_over(&db, before),
        ..Rebuilt::default()
    };
    let private = Private::beside(dir);
    db.begin(TransactionBehavior::Immediate)?;
    for (clip_id, tombstone) in private.tombstones()? {
        db.prepare_cached(
            "INSERT OR REPLACE INTO withdrawn (clip_id, at, card_id, clip_no, sha256) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            clip_id.as_str(),
            tombstone.at,
            tombstone.card_id.as_deref(),
            tombstone.clip_no,
            tombstone.sha256.as_deref()
        ])?;
    }
    let mut files = 0;
    // First clips with words, then numbers that were given up: a given-up number whose words came has no row of its own.
    for is_second in [false, true] {
        for path in record::all(&clips) {
            let path = path?;
            files += 1;
            progress.is_at(files);
            let Some((clip_id, part)) = record::named(&path) else {
                continue;
            };
            match (part, is_second) {
                (Part::Record, false) | (Part::Void, true) => {
                    rebuilt.clip(&db, zone, (&bodies, &private), &clip_id, &path)?;
                }
                (Part::Withdrawn, false) => {
                    let at = fs::read_to_string(&path).unwrap_or_default();
                    db.prepare_cached(
                        "INSERT OR IGNORE INTO withdrawn (clip_id, at) VALUES (?1, ?2)",
                    )?
                    .execute(params![clip_id.as_str(), at])?;
                }
                (Part::Body(_), true) if rows::known(&db, &clip_id)?.is_none() => {
                    rebuilt.without_manifest.push(path);
                }
                _ => {}
            }
        }
    }
    rebuilt.withdrawn = db.query_row("SELECT count(*) FROM withdrawn", [], |row| row.get(0))?;
    if let Ok(name) = fs::read_to_string(clips.join(".store")) {
        db.execute("UPDATE store SET name = ?1", [name])?;
    }
    // Sealed receipts and old envelopes are looked for by the next start.
    db.execute("UPDATE store SET has_records = 1", [])?;
    db.commit()?;
    fs::create_dir_all(&clips).map_err(|e| StoreError::file("creating", &clips, e))?;
    set_mark(&db, &clips)?;
    // SQLite's log is written into the database's file, so that the file is whole by itself.
    schema::empty_log(&db)?;
    db.close()?;
    fsync(&new)?;
    give_to_the_owner(dir, &[&new, &clips.join(".store")])?;
    // From here on a hub or a command that finds no database finds the new one.
    fsync(dir)?;
    rebuilt.before = set_aside(dir, &database)?.or(set_aside_before);
    fs::rename(&new, &database).map_err(|e| StoreError::file("renaming to", &database, e))?;
    fsync(dir)?;
    Ok(rebuilt)
}

impl Rebuilt {
    fn clip(
        &mut self,
        db: &Connection,
        zone: &jiff::tz::TimeZone,
        (bodies, private): (&Bodies, &Private),
        clip_id: &ClipId,
        path: &Path,
    ) -> Result<(), StoreError> {
        // What was withdrawn is deleted by the next start.
        if rows::known(db, clip_id)?.is_some() || private.is_buried(clip_id) {
            return Ok(());
        }
        let Some(record) = record::read(path)? else {
            log::warn!("{} is torn or damaged and is left out", path.display());
            return Ok(());
        };
        let Some(manifest) = record.believed(clip_id) else {
            log::warn!("{} is not believed and is left out", path.display());
            return Ok(());
        };
        let kept = record.kept(&manifest);
        let is_whole = record::has_whole_body(bodies, private, clip_id, kept.as_ref())?;
        if !is_whole {
            self.lost.push(clip_id.clone());
        }
        rows::from_record(db, zone, &record, &manifest, !is_whole)?;
        self.clips += 1;
        if record.waits_for_a_look() {
            self.held += 1;
            return Ok(());
        }
        if OWN_SENDERS
            .iter()
            .any(|(_, name)| *name == record.sender.as_str())
        {
            return Ok(());
        }
        let received_at = record.received_at.parse().unwrap_or_default();
        match fleet::card_seen(db, received_at, &record.sender, &manifest.card_id) {
            Err(FleetError::Database(error)) => Err(error.into()),
            Err(FleetError::Malformed(_)) | Ok(()) => Ok(()),
        }
    }
}

/// Takes over the content that is in no file. From a database that cannot be read nothing is taken.
fn carry_over(db: &Connection, before: &Path) -> bool {
    if !before.exists() {
        return false;
    }
    let tables: String = ONLY_THERE
        .iter()
        .map(|table| format!("INSERT OR REPLACE INTO main.{table} SELECT * FROM old.{table};"))
        .collect();
    let carried = db
        .execute("ATTACH ?1 AS old", [before.to_string_lossy()])
        .map_err(StoreError::from)
        .and_then(|_| {
            schema::is_of_this_version_in(db, "old")?;
            Ok(db.execute_batch(&format!("BEGIN; {tables} COMMIT;"))?)
        });
    if let Err(error) = &carried {
        log::warn!(
            "nothing can be taken over from {}: {error}",
            before.display()
        );
        if !db.is_autocommit() {
            let _ = db.roll_back();
        }
    }
    let _ = db.execute_batch("DETACH old");
    carried.is_ok()
}

/// Run by root, a command makes files that the hub's own user must be able to write.
///
/// # Errors
/// The file system's.
pub(super) fn give_to_the_owner(dir: &Path, files: &[&Path]) -> Result<(), StoreError> {
    let failed = |error| StoreError::file("giving to the hub's user", dir, error);
    let owner = fs::metadata(dir).map_err(failed)?;
    for file in files {
        if fs::metadata(file).map_err(failed)?.uid() != owner.uid() {
            std::os::unix::fs::chown(file, Some(owner.uid()), Some(owner.gid())).map_err(failed)?;
        }
    }
    Ok(())
}

fn before(database: &Path, n: u32) -> PathBuf {
    beside(database, &format!(".before-{n}"))
}

/// The database that an earlier rebuild set aside, if it was interrupted before the new one had its name.
fn cut_off(dir: &Path, database: &Path) -> Result<Option<PathBuf>, StoreError> {
    let all = (1..=MOST_BEFORE).map(|n| before(database, n));
    let Some(last) = all.take_while(|path| path.exists()).last() else {
        return Ok(None);
    };
    // The log of that database may still have the old name.
    for suffix in &SQLITE_FILES[1..] {
        match rename_new(&beside(database, suffix), &beside(&last, suffix)) {
            Err(error)
                if ![io::ErrorKind::NotFound, io::ErrorKind::AlreadyExists]
                    .contains(&error.kind()) =>
            {
                return Err(StoreError::file("renaming to", &last, error));
            }
            _ => {}
        }
    }
    fsync(dir)?;
    Ok(Some(last))
}

/// Renames the previous database, and its log with it.
fn set_aside(dir: &Path, database: &Path) -> Result<Option<PathBuf>, StoreError> {
    if !database.exists() {
        // A log that stays without its database would be taken for the new one's.
        for suffix in SQLITE_FILES {
            remove(&beside(database, suffix))?;
        }
        return Ok(None);
    }
    for n in 1..=MOST_BEFORE {
        let to = before(database, n);
        match rename_new(database, &to) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(StoreError::file("renaming to", &to, error)),
            Ok(()) => {}
        }
        rename_log(database, &to)?;
        return Ok(Some(to));
    }
    let full = io::ErrorKind::AlreadyExists.into();
    Err(StoreError::file("finding a name in", dir, full))
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::file("removing", path, error))
        }
        _ => Ok(()),
    }
}
