//! `booth-hub restore`: puts a backup back where the hub's store was lost.
//!
//! Owns: the order. What was taken back comes first, into whatever is there of the folder beside the store, where nothing newer is touched;
//! then the clips that the backup's database names, envelopes, what was published, `city.sqlite`, and `hub.sqlite` last: no hub starts with clips
//! and without it. Then it does what a start does: what was taken back since the backup is deleted. Where the configuration names PostgreSQL the rows
//! are moved there in the end; bodies are in the folder, and the hub carries them into its bucket again. Never does: put anything over a store. A
//! failure, or a kill anywhere, leaves a folder with `restoring` in it, with which the same command goes on. The backup of an earlier version is
//! read from a copy that is brought up to date; it is put back as it is, and the start after that brings it up to date.
#![allow(clippy::disallowed_methods)] // the hub's own file work; each step names its fsync

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use booth_database::Connection;
use serde::Serialize;

use super::backup::{is_as_written, withdrawn_in};
use super::backup_error::BackupError;
use super::backup_files::{Copier, Layout, SCHEMA, copy_all, each_envelope};
use super::bodies;
use super::private::{self, Newer, Private};
use super::record::{self, Part};
use super::{
    Checked, Progress, Store, StoreError, StoreRules, check, database_in, elsewhere, fsync,
    migrate, rows,
};
use super::{lock, schema};
use booth_contract::ClipId;

/// Rows that are read at once.
const ROWS_AT_ONCE: usize = 500;

/// What was put back.
#[derive(Debug, Serialize)]
pub struct Restored {
    /// The moment that the backup shows, RFC 3339 UTC.
    pub at: String,
    /// Clips of every kind that are there again.
    pub clips: u64,
    /// Clips that were taken back after the backup, and are not.
    pub taken_back: u64,
    /// Envelopes.
    pub envelopes: u64,
    /// Where the key of receipts has to be put before the hub starts; nothing where it is there, or the hub had none.
    pub wants_receipt_key: Option<PathBuf>,
    /// What `booth-hub check` says of the store now.
    pub checked: Checked,
}

/// Puts the backup in `folder` back; `progress` makes the report of each long work.
///
/// # Errors
/// See [`BackupError`].
pub fn restore(
    folder: &Path,
    rules: &StoreRules,
    progress: impl Fn(&'static str) -> Progress,
) -> Result<Restored, BackupError> {
    let layout = Layout {
        dir: folder.to_owned(),
    };
    let Some(note) = layout.read_note()? else {
        return Err(BackupError::NotWhole(folder.to_owned()));
    };
    if note.schema > SCHEMA {
        return Err(BackupError::Newer(folder.to_owned()));
    }
    let databases = layout.databases(&note.stamp);
    let from = databases.join("hub.sqlite");
    is_as_written(&from, &note.hub_sqlite)?;
    if let Some(city) = &note.city_sqlite {
        is_as_written(&databases.join("city.sqlite"), city)?;
    }
    let dir = &rules.dir;
    let lock = enter(rules)?;
    let private = Private::beside(dir);
    let mut copier = Copier::to(dir)?;
    private::make_folder(private.dir())?;
    let mut beside = Copier::to(private.dir())?;
    Private::at(layout.beside()).add_to(private.dir(), &mut beside, Newer::ThatOne)?;

    let clips = dir.join("clips");
    let mut restored = Restored {
        at: note.at,
        clips: 0,
        taken_back: 0,
        envelopes: 0,
        wants_receipt_key: None,
        checked: Checked::default(),
    };
    let scratch = dir.join("hub.sqlite.restoring");
    wipe_database(&scratch)?;
    let db = of_this_version(&from, &scratch, &mut copier)?;
    let mut told = progress("copied");
    let mut last = ClipId::default();
    loop {
        let known = rows::known_after(&db, &last, ROWS_AT_ONCE).map_err(StoreError::from)?;
        let Some(end) = known.last() else { break };
        last.clone_from(&end.clip_id);
        for known in &known {
            if private.is_buried(&known.clip_id) {
                restored.taken_back += 1;
                continue;
            }
            restored.clips += 1;
            told.is_at(restored.clips);
            for part in known.body().into_iter().chain([known.record_part()]) {
                let place = |clips: &Path| record::path(clips, &known.clip_id, part);
                copier.copy(&place(&layout.clips()), &place(&clips))?;
            }
        }
    }
    for clip_id in withdrawn_in(&db).map_err(StoreError::from)? {
        let place = |clips: &Path| record::path(clips, &clip_id, Part::Withdrawn);
        copier.copy(&place(&layout.clips()), &place(&clips))?;
    }
    drop(db);
    wipe_database(&scratch)?;
    let envelopes = layout.envelopes(&note.stamp);
    if envelopes.exists() {
        each_envelope(&envelopes, |clip_id, _, envelope| {
            let to = private.envelope(clip_id);
            if envelope.iter().all(|byte| *byte == 0) || private.is_buried(clip_id) {
                return Ok(());
            }
            restored.envelopes += 1;
            match to.exists() {
                true => Ok(()),
                false => beside.put(envelope, &to),
            }
        })?;
    } else {
        log::warn!(
            "{} is not there: without the envelopes nobody can open the sealed messages of this backup",
            envelopes.display()
        );
    }
    copy_all(
        &mut copier,
        &layout.disputed(&note.stamp),
        &dir.join("disputed"),
    )?;
    let campaigns = dir.join("campaigns");
    copy_all(&mut copier, &layout.campaigns(), &campaigns)?;
    copy_all(&mut copier, &databases.join("campaigns"), &campaigns)?;
    if note.city_sqlite.is_some() {
        let name = "city.sqlite";
        copier.copy(&databases.join(name), &dir.join(name))?;
    }
    beside.finish()?;
    if bodies::put_back(&bodies::note_in(&databases), dir)? {
        // The bucket may have them still.
        for (clip_id, _) in private.tombstones()? {
            private.leaves(&clip_id)?;
        }
    }
    copier.finish()?;
    copier.copy(&from, &database_in(dir))?;
    copier.finish()?;
    fsync(dir)?;
    let restoring = restoring_in(dir);
    fs::remove_file(&restoring).map_err(|e| StoreError::file("removing", &restoring, e))?;
    fsync(dir)?;
    give_to_the_owner(dir, private.dir())?;
    drop(lock);
    // What a start does: whatever was taken back since is deleted.
    let mut store = Store::open(&StoreRules {
        database: None,
        bodies: None,
        ..rules.clone()
    })?;
    store.forget_versions_taken_back()?;
    store.leave_whole();
    drop(store);
    give_to_the_owner(dir, private.dir())?;
    if let Some(there) = &rules.database {
        let moved = migrate(dir, there, progress("moved"));
        let moved = moved.map_err(|source| BackupError::NotMoved {
            dir: dir.clone(),
            database: there.database.clone(),
            source,
        })?;
        // The backup has it.
        wipe_database(&moved.before)?;
    }
    let key = private.dir().join("receipt-key");
    restored.wants_receipt_key = Some(key).filter(|key| note.has_receipt_key && !key.exists());
    restored.checked = check(dir, progress("read"))?;
    Ok(restored)
}

/// The database in `from`, or a copy of it that is brought up to date where an earlier program made it.
fn of_this_version(
    from: &Path,
    copy: &Path,
    copier: &mut Copier,
) -> Result<Connection, BackupError> {
    let db = schema::open_for_reading(from)?;
    match schema::is_of_this_version(&db) {
        Ok(()) => Ok(db),
        Err(StoreError::Version { found, known }) if found < known => {
            drop(db);
            copier.copy(from, copy)?;
            copier.finish()?;
            Ok(schema::open(copy)?)
        }
        Err(error) => Err(error.into()),
    }
}

/// Overwrites a database, and what a killed process left beside it.
fn wipe_database(path: &Path) -> Result<(), StoreError> {
    for end in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        private::wipe(Path::new(&name))?;
    }
    Ok(())
}

fn restoring_in(dir: &Path) -> PathBuf {
    dir.join("restoring")
}

/// Whether a restore into this folder was cut off.
pub(super) fn is_cut_off(dir: &Path) -> bool {
    restoring_in(dir).exists() && !database_in(dir).exists()
}

/// Makes the store's folder, or takes an empty one or one of a restore that was cut off, and locks it.
fn enter(rules: &StoreRules) -> Result<fs::File, BackupError> {
    let dir = &rules.dir;
    private::make_folder(dir)?;
    let failed = |error: io::Error| StoreError::file("reading", dir, error);
    let names: Vec<_> = fs::read_dir(dir)
        .and_then(|entries| entries.map(|e| e.map(|e| e.file_name())).collect())
        .map_err(failed)?;
    if !is_cut_off(dir)
        && names
            .iter()
            .any(|name| name != "lock" && name != "lost+found")
    {
        return Err(BackupError::NotEmpty(dir.to_owned()));
    }
    if let Some(there) = &rules.database {
        elsewhere::has_room(dir, there)?;
    }
    let lock = lock(dir)?;
    private::write(
        &restoring_in(dir),
        b"booth-hub restore is under way here, or was cut off: run it again.\n",
    )?;
    Ok(lock)
}

/// Run by root, this command makes files that the hub's own user must be able to write.
fn give_to_the_owner(dir: &Path, private: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::file("giving to the hub's user", dir, error);
    let owner = fs::metadata(dir).map_err(failed)?;
    let mut folders = vec![dir.to_owned(), private.to_owned()];
    while rustix::process::geteuid().is_root() && owner.uid() != 0 {
        let Some(folder) = folders.pop() else { break };
        std::os::unix::fs::lchown(&folder, Some(owner.uid()), Some(owner.gid())).map_err(failed)?;
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            match path.is_dir() && !path.is_symlink() {
                true => folders.push(path),
                false => std::os::unix::fs::lchown(&path, Some(owner.uid()), Some(owner.gid()))
                    .map_err(failed)?,
            }
        }
    }
    Ok(())
}
