//! `booth-hub backup`: a copy of the store from which it can be put back, made while the hub runs. It has the same form wherever the store keeps
//! its rows and bodies: those of PostgreSQL are written into a file of SQLite's, and bodies are fetched from a bucket, each once.
//!
//! Owns: the order of a backup. What was taken back goes first: its mark into the backup, then its words, envelope and versions out of it,
//! overwritten. Then the databases, each as of one moment; the clips that the database names; envelopes; what was published; once more what was
//! taken back meanwhile; `backup.json`. Only then the databases of the backup before are overwritten. Never does: copy the key of receipts, hold
//! up the hub's thread, or let a store with fewer clips take the place of a backup with more. A failure, or a kill anywhere, leaves the backup
//! before, which is whole and forgets what was taken back.
#![allow(clippy::disallowed_methods)] // the hub's own file work; each step names its fsync

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use booth_database::postgres::Role;
use booth_database::{Connection, OpenFlags, params_from_iter};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use super::backup_error::BackupError;
use super::backup_files::{
    Copier, EnvelopesWriter, Hashed, Layout, Note, SCHEMA, blank_envelopes, copy_all, hash,
    names_in, wipe_all, wipe_file,
};
use super::bodies::{self, Bodies};
use super::envelopes::BodyFiles;
use super::private::{self, Newer, Private};
use super::record::{self, Part};
use super::withdrawals::EVERYTHING;
use super::{Progress, StoreError, StoreRules, database_in, elsewhere, fsync, rows, schema};
use crate::ingest::is_clip_id;
use booth_contract::time::rfc3339;
use booth_contract::{BodyKind, ClipId};
use booth_host::crew;

/// How often what was written of a database's copy is synced.
const SYNC_EVERY: Duration = Duration::from_millis(20);
/// Rows that are read at once, and ids of clips.
const ROWS_AT_ONCE: usize = 500;
const IDS_AT_ONCE: usize = 5_000;

/// What a backup did.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct BackedUp {
    /// Where it is.
    pub folder: PathBuf,
    /// The moment that it shows, RFC 3339 UTC.
    pub at: String,
    /// Clips of every kind.
    pub clips: u64,
    /// Bodies.
    pub bodies: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that were copied; the others were there.
    pub files_copied: u64,
    /// Their bytes.
    pub bytes_copied: u64,
    /// Clips that were taken back and of which something was in the backup before: it is overwritten.
    pub overwritten: u64,
    /// Clips whose body or manifest the store has not.
    pub incomplete: Vec<ClipId>,
    /// Sealed bodies whose envelope the store has not.
    pub without_envelope: Vec<ClipId>,
    /// Whether the backup lies on the store's disk, with which it would be lost.
    pub is_on_the_same_disk: bool,
    /// The key of receipts, which is in no backup; nothing where the hub has none.
    pub receipt_key: Option<PathBuf>,
}

/// Makes a backup of a store; envelopes and what is in dispute are kept for so many days.
///
/// # Errors
/// See [`BackupError`].
pub fn backup(
    rules: &StoreRules,
    folder: &Path,
    keep_days: u16,
    wall: Timestamp,
    mut progress: Progress,
) -> Result<BackedUp, BackupError> {
    let dir = &rules.dir;
    elsewhere::agrees(dir, rules.database.as_ref())?;
    bodies::bodies_agree(dir, rules.bodies.as_ref())?;
    let database = database_in(dir);
    if !schema::is_there(dir)? {
        return Err(match fs::metadata(&database) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                BackupError::NotAllowed(database)
            }
            _ => BackupError::NoStore(dir.to_owned()),
        });
    }
    let private = Private::beside(dir);
    for store in [dir, private.dir()] {
        if lie_within(folder, store) {
            return Err(BackupError::Within {
                folder: folder.to_owned(),
                store: store.to_owned(),
            });
        }
    }
    let layout = Layout {
        dir: folder.to_owned(),
    };
    let _lock = layout.enter()?;
    let before = layout.read_note()?;
    if before.as_ref().is_some_and(|note| note.schema > SCHEMA) {
        return Err(BackupError::Newer(folder.to_owned()));
    }
    let current = before.as_ref().map(|note| note.stamp.as_str());
    let live = open_rows(rules).map_err(|error| match error {
        StoreError::Database(error) => BackupError::of_database(&database, error),
        other => other.into(),
    })?;
    schema::is_of_this_version(&live)?;
    if let Some(stamp) = current {
        let missing = missing_since(&live, &layout.databases(stamp).join("hub.sqlite"), &private)
            .map_err(|error| BackupError::of_database(&database, error))?;
        if missing > 0 {
            return Err(BackupError::Fewer {
                folder: folder.to_owned(),
                missing,
            });
        }
    }
    // What a note names that cannot be read may be all that is left.
    if current.is_some() || !layout.note().exists() {
        layout.tidy(current, wall, keep_days)?;
    }
    let stamp = layout.new_stamp(wall);
    let mut done = BackedUp {
        folder: folder.to_owned(),
        at: rfc3339(wall),
        is_on_the_same_disk: is_on_the_same_disk(dir, folder),
        receipt_key: Some(private.dir().join("receipt-key")).filter(|path| path.exists()),
        ..BackedUp::default()
    };
    let mut copier = Copier::to(folder)?;
    let mut forgotten = layout.take_back(&private, &mut copier, current)?;

    let databases = layout.databases(&stamp);
    private::make_folder(&databases)?;
    let copy = databases.join("hub.sqlite");
    let hub_sqlite = match live.is_sqlite() {
        true => snapshot(&database, &copy)?,
        false => written(&copy, || {
            schema::copy_out(&live, &copy).map_err(|error| match error {
                StoreError::Database(error) => BackupError::of_database(&copy, error),
                other => other.into(),
            })
        })?,
    };
    drop(live);
    let city = dir.join("city.sqlite");
    let city_sqlite = match city.exists() {
        true => Some(snapshot(&city, &databases.join("city.sqlite"))?),
        false => None,
    };
    let of_copy = |error| BackupError::of_database(&copy, error);
    let db = schema::open_for_reading(&copy)?;

    let clips = dir.join("clips");
    let here = Bodies::reached(dir, rules.bodies.as_ref())?;
    let mut envelopes = EnvelopesWriter::begin(&layout.envelopes(&stamp))?;
    let mut last = ClipId::default();
    loop {
        let known = rows::known_after(&db, &last, ROWS_AT_ONCE).map_err(of_copy)?;
        let Some(end) = known.last() else { break };
        last.clone_from(&end.clip_id);
        for known in &known {
            let clip_id = &known.clip_id;
            done.clips += 1;
            progress.is_at(done.clips);
            let mut is_whole = true;
            if let Some(Part::Body(kind)) = known.body() {
                let (_, sha256) = known.file();
                let files = BodyFiles::of(&here, &private, clip_id, kind, sha256);
                let to = record::path(&layout.clips(), clip_id, Part::Body(kind));
                let copied = match copier.copy(&files.body, &to)? {
                    None => copier.fetch(&files, &to)?,
                    copied => copied,
                };
                match copied {
                    Some(bytes) => {
                        done.bodies += 1;
                        done.bytes += bytes;
                    }
                    None => is_whole = false,
                }
                let envelope = files
                    .envelope()
                    .map_err(|e| StoreError::file("reading", &private.envelope(clip_id), e))?;
                match envelope {
                    Some(envelope) => envelopes.add(clip_id, &envelope)?,
                    None if kind != BodyKind::SealedOggOpus || private.is_buried(clip_id) => {}
                    None if files.has_envelope().unwrap_or(true) => {}
                    None => done.without_envelope.push(clip_id.clone()),
                }
            }
            let part = known.record_part();
            let from = record::path(&clips, clip_id, part);
            let to = record::path(&layout.clips(), clip_id, part);
            is_whole &= copier.copy(&from, &to)?.is_some();
            // What is taken back while this runs is no loss.
            if !is_whole && !private.is_buried(clip_id) {
                done.incomplete.push(clip_id.clone());
            }
        }
    }
    for clip_id in withdrawn_in(&db).map_err(of_copy)? {
        let from = record::path(&clips, &clip_id, Part::Withdrawn);
        let to = record::path(&layout.clips(), &clip_id, Part::Withdrawn);
        copier.copy(&from, &to)?;
    }
    drop(db);
    envelopes.finish()?;
    copy_all(&mut copier, &dir.join("disputed"), &layout.disputed(&stamp))?;
    layout.copy_campaigns(&mut copier, &dir.join("campaigns"), &databases)?;
    copier.copy(&bodies::note_in(dir), &bodies::note_in(&databases))?;
    copier.finish()?;
    forgotten.extend(layout.take_back(&private, &mut copier, current)?);
    copier.finish()?;
    fsync(&databases)?;
    fsync(&layout.all_databases())?;

    let note = Note {
        schema: SCHEMA,
        stamp,
        at: done.at.clone(),
        clips: done.clips,
        bodies: done.bodies,
        bytes: done.bytes,
        has_receipt_key: done.receipt_key.is_some(),
        hub_sqlite,
        city_sqlite,
    };
    let text = serde_json::to_vec_pretty(&note)
        .map_err(|error| StoreError::file("writing", &layout.note(), error.into()))?;
    private::write(&layout.note(), &text)?;
    layout.tidy(Some(&note.stamp), wall, keep_days)?;
    let unfinished = layout.unfinished();
    fs::remove_file(&unfinished).map_err(|e| StoreError::file("removing", &unfinished, e))?;
    fsync(folder)?;
    done.files_copied = copier.files;
    done.bytes_copied = copier.bytes;
    done.overwritten = forgotten.len() as u64;
    Ok(done)
}

impl Layout {
    /// Makes the folder, or takes that of an earlier backup, and locks it until the answer is dropped.
    fn enter(&self) -> Result<File, BackupError> {
        let dir = &self.dir;
        private::make_folder(dir)?;
        let entries = fs::read_dir(dir).map_err(|e| StoreError::file("reading", dir, e))?;
        // A disk of its own has this folder from the start.
        let is_empty = entries.flatten().all(|entry| {
            ["lost+found", "lock"]
                .map(Into::into)
                .contains(&entry.file_name())
        });
        if !is_empty && !self.note().exists() && !self.unfinished().exists() {
            return Err(BackupError::NoBackup(dir.clone()));
        }
        let lock = super::lock(dir)?;
        private::write(&self.unfinished(), b"A backup is under way here, or was cut off. backup.json names the last one that is whole.\n")?;
        Ok(lock)
    }

    /// A name for what belongs to this backup alone.
    fn new_stamp(&self, wall: Timestamp) -> String {
        let mut at = wall;
        loop {
            let stamp = at.strftime("%Y-%m-%dT%H-%M-%S-%3fZ").to_string();
            if !self.databases(&stamp).exists() && !self.short_lived(&stamp).exists() {
                return stamp;
            }
            at += Duration::from_millis(1);
        }
    }

    /// Overwrites what belongs to no whole backup, and what is too old: of each day the last envelopes stay, for so many days.
    fn tidy(
        &self,
        current: Option<&str>,
        wall: Timestamp,
        keep_days: u16,
    ) -> Result<(), StoreError> {
        for stamp in names_in(&self.all_databases())? {
            if Some(stamp.as_str()) != current {
                wipe_all(&self.databases(&stamp))?;
            }
        }
        let day_of = |stamp: &str| stamp.get(..10).and_then(|day| day.parse::<Date>().ok());
        let today = wall.to_zoned_datetime(jiff::tz::TimeZone::UTC).date();
        let mut days: BTreeSet<Date> = current.and_then(day_of).into_iter().collect();
        for stamp in names_in(&self.all_short_lived())?.into_iter().rev() {
            let is_whole = self.envelopes(&stamp).exists();
            let is_kept = day_of(&stamp).is_some_and(|day| {
                let age_h = today.duration_since(day).as_hours();
                is_whole && age_h < 24 * i64::from(keep_days) && days.insert(day)
            });
            if Some(stamp.as_str()) != current && !is_kept {
                wipe_all(&self.short_lived(&stamp))?;
            }
        }
        Ok(())
    }

    /// Takes the marks of what was taken back into the backup, and everything else of it out; answers of which clips something was there.
    fn take_back(
        &self,
        private: &Private,
        copier: &mut Copier,
        current: Option<&str>,
    ) -> Result<BTreeSet<ClipId>, StoreError> {
        private.add_to(&self.beside(), copier, Newer::This)?;
        let marks = Private::at(self.beside()).tombstones()?;
        let ids: BTreeSet<ClipId> = marks.into_iter().map(|(clip_id, _)| clip_id).collect();
        let mut found = BTreeSet::new();
        let mut folders = BTreeSet::new();
        for clip_id in &ids {
            for part in EVERYTHING {
                let path = record::path(&self.clips(), clip_id, part);
                if wipe_file(&path)? {
                    folders.extend(path.parent().map(Path::to_owned));
                    found.insert(clip_id.clone());
                }
            }
        }
        for stamp in names_in(&self.all_short_lived())? {
            let envelopes = self.envelopes(&stamp);
            if envelopes.exists()
                && let Err(error) = blank_envelopes(&envelopes, &ids)
            {
                log::warn!("{error}: what was taken back may stand in it");
                if Some(stamp.as_str()) != current {
                    wipe_all(&self.short_lived(&stamp))?;
                    continue;
                }
            }
            for path in private::files_in(&self.disputed(&stamp))? {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                if name.split('.').any(|word| ids.contains(word)) {
                    private::wipe(&path)?;
                    folders.extend(path.parent().map(Path::to_owned));
                }
            }
        }
        folders.iter().try_for_each(|folder| fsync(folder))?;
        Ok(found)
    }

    /// What was published changes with the database; the prompts have the names of their hashes.
    fn copy_campaigns(
        &self,
        copier: &mut Copier,
        from: &Path,
        databases: &Path,
    ) -> Result<(), StoreError> {
        for path in private::files_in(from)? {
            let name = path.file_name().unwrap_or_default();
            if path.is_dir() {
                copy_all(copier, &path, &self.campaigns().join(name))?;
            } else if name != "lock" && path.is_file() {
                copier.copy(&path, &databases.join("campaigns").join(name))?;
            }
        }
        Ok(())
    }
}

/// The rows, wherever they are.
fn open_rows(rules: &StoreRules) -> Result<Connection, StoreError> {
    match &rules.database {
        Some(there) => Ok(there.open(elsewhere::NAMESPACE, Role::Reader)?),
        None => schema::open_for_reading(&database_in(&rules.dir)),
    }
}

/// Copies a database as it is at one moment, while others write into it. `VACUUM INTO` reads in one transaction, so that what is written
/// meanwhile begins nothing anew, and leaves nothing of deleted rows in the copy.
fn snapshot(from: &Path, to: &Path) -> Result<Hashed, BackupError> {
    let source = schema::open_for_reading(from).map_err(|error| match error {
        StoreError::Database(error) => BackupError::of_database(from, error),
        other => other.into(),
    })?;
    written(to, || {
        let copied = source.execute("VACUUM INTO ?1", [to.to_string_lossy()]);
        let copied = copied.map_err(|error| BackupError::of_database(to, error));
        copied.map(drop)
    })
}

/// Has a database written into a new file, and syncs what is written of it little by little: whoever syncs on the same disk never waits for all
/// of it.
fn written(
    to: &Path,
    write: impl FnOnce() -> Result<(), BackupError>,
) -> Result<Hashed, BackupError> {
    let syncing = |error| StoreError::file("syncing", to, error);
    let file = File::create_new(to).map_err(|e| StoreError::file("writing", to, e))?;
    let own = file.try_clone().map_err(syncing)?;
    let (until, ended) = sync_channel::<()>(0);
    let syncs = crew::lend("backup", move || {
        while ended.recv_timeout(SYNC_EVERY) == Err(RecvTimeoutError::Timeout) {
            // A fault is found by the sync in the end.
            let _ = own.sync_data();
        }
    })
    .map_err(syncing)?;
    let copied = write();
    drop(until);
    let _ = syncs.join();
    copied?;
    file.sync_all().map_err(syncing)?;
    Ok(hash(to)?)
}

/// How many clips of the earlier database this one has not, although nobody took them back.
fn missing_since(db: &Connection, before: &Path, private: &Private) -> booth_database::Result<u64> {
    if !before.exists() {
        return Ok(0);
    }
    let before = Connection::open_with_flags(before, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let ids = |db: &Connection, sql: &str, range: &[&str]| {
        let mut ids = db.prepare_cached(sql)?;
        ids.query_map(params_from_iter(range), |row| row.get::<_, String>(0))?
            .collect::<booth_database::Result<BTreeSet<String>>>()
    };
    let next =
        format!("SELECT clip_id FROM kept WHERE clip_id > ?1 ORDER BY clip_id LIMIT {IDS_AT_ONCE}");
    let mut missing = 0;
    let mut last = String::new();
    loop {
        let of_before = ids(&before, &next, &[&last])?;
        let Some(end) = of_before.last().cloned() else {
            return Ok(missing);
        };
        let mut known = BTreeSet::new();
        for table in ["kept", "withdrawn"] {
            let same = format!("SELECT clip_id FROM {table} WHERE clip_id > ?1 AND clip_id <= ?2");
            known.append(&mut ids(db, &same, &[&last, &end])?);
        }
        for clip_id in of_before.difference(&known) {
            missing += u64::from(!private.is_buried(&ClipId::from(clip_id.clone())));
        }
        last = end;
    }
}

/// The clips that the database calls withdrawn.
pub(super) fn withdrawn_in(db: &Connection) -> booth_database::Result<Vec<ClipId>> {
    let mut withdrawn = db.prepare("SELECT clip_id FROM withdrawn")?;
    let ids = withdrawn.query_map([], |row| row.get::<_, String>(0))?;
    let ids = ids.filter(|id| id.as_ref().map_or(true, |id| is_clip_id(id)));
    ids.map(|id| id.map(Into::into)).collect()
}

/// Whether one of two folders lies in the other, or is it; the first one may not be there yet.
fn lie_within(folder: &Path, store: &Path) -> bool {
    let whole = |path: &Path| {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let there = path.ancestors().find_map(|above| {
            let real = fs::canonicalize(above).ok()?;
            Some(real.join(path.strip_prefix(above).ok()?))
        });
        there.unwrap_or(path)
    };
    let (folder, store) = (whole(folder), whole(store));
    folder.starts_with(&store) || store.starts_with(&folder)
}

fn is_on_the_same_disk(dir: &Path, folder: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let disk = |path: &Path| fs::metadata(path).ok().map(|found| found.dev());
    disk(dir).is_some() && disk(dir) == disk(folder)
}

/// The hash of the file, if it is still that.
///
/// # Errors
/// [`BackupError::Damaged`].
pub(super) fn is_as_written(path: &Path, written: &Hashed) -> Result<(), BackupError> {
    match hash(path) {
        Ok(found) if found == *written => Ok(()),
        _ => Err(BackupError::Damaged(path.to_owned())),
    }
}
