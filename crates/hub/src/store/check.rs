//! `booth-hub check`: proves every body and every row against each other.
//!
//! Owns: what can be wrong with a store, and what to do about it. Never does: write, or trust a length where a hash is due. Works
//! beside a running hub: rows are read before the files that they name are looked for, and a file that is on its way into the store
//! is no finding.
#![allow(clippy::disallowed_methods)] // reads the hub's own files

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use booth_database::Connection;
use serde::Serialize;

use super::apart;
use super::bodies::{self, Bodies};
use super::bucket::{Bucket, MARK, Whose};
use super::envelopes::BodyFiles;
use super::private::Private;
use super::record::{self, Part};
use super::rows::{self, Known};
use super::{StoreError, database_in, schema};
use booth_contract::time::Mono;
use booth_contract::{BodyHash, ClipId};
use booth_host::clock;

/// Rows that are read at once.
const AT_ONCE: usize = 500;
/// How often the progress is reported.
const REPORT_EVERY_MS: u64 = 5_000;
/// The longest time that a running hub needs from a clip's file to its row.
const ON_ITS_WAY: Duration = Duration::from_secs(60);

/// Reports during long work how far it is.
#[derive(Debug)]
pub struct Progress {
    doing: &'static str,
    reported: Mono,
}

impl Progress {
    /// `doing` is the verb of the report: what is done with rows and files.
    pub fn new(doing: &'static str) -> Self {
        let reported = clock::mono();
        Self { doing, reported }
    }

    /// So many rows and files are done.
    pub(super) fn is_at(&mut self, done: u64) {
        let now = clock::mono();
        if now.0.saturating_sub(self.reported.0) >= REPORT_EVERY_MS {
            self.reported = now;
            log::info!("{done} rows and files {} so far", self.doing);
        }
    }
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is, in one word.
    pub what: &'static str,
    /// The clip that it concerns, if it concerns one.
    pub clip_id: Option<ClipId>,
    /// The file that it concerns.
    pub path: PathBuf,
    /// What is wrong, in a sentence.
    pub why: String,
    /// What to do.
    pub remedy: &'static str,
}

/// How much was checked, and what was found.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Rows of every kind.
    pub clips: u64,
    /// Bodies whose every byte was read.
    pub bodies: u64,
    /// How many bytes that were.
    pub bytes: u64,
    /// What was found; empty if nothing is wrong.
    pub findings: Vec<Finding>,
    /// The bucket is not this store's: it says nothing of its bodies.
    #[serde(skip)]
    is_bucket_anothers: bool,
}

const LOST: &str = "if its booth still has it, it asks for it again at the next offer (booth's cmd/resend); else restore the file from a backup";
const GONE_FROM_BUCKET: &str = "put the object back from a copy of the bucket; where there is none, delete the note .away beside the clip's manifest: then its \
  booth is asked for it, if it has it still";
const OTHER_BUCKET: &str = "delete nothing: correct [store] bodies and bodies_endpoint first, and check again (docs/hub-store.md)";
const DAMAGED: &str = "restore the file from a backup; if its booth still has it, move the file away and have it sent again (booth's cmd/resend)";
const REBUILD: &str = "stop the hub and run booth-hub rebuild";
const NO_CLIPS: &str = "look at it and move it away: it is none of the hub's";
const LOOK: &str = "listen to it beside the clip that has its place, and move it away";
const NO_ROW: &str = "no clip needs it: delete the object";
const UNFINISHED: &str =
    "nothing was promised for it; it is taken in when its booth offers the clip again";

/// Reads everything; `progress` is given the number of rows and files that are done.
///
/// # Errors
/// A database of another version, or a folder that cannot be read. Anything wrong inside the store is a finding instead.
pub fn check(dir: &Path, progress: Progress) -> Result<Checked, StoreError> {
    look(dir, progress, is_in_use(dir))
}

/// The same; while a hub `is_running`, a young file may still be on its way into the store.
pub(super) fn look(
    dir: &Path,
    mut progress: Progress,
    is_running: bool,
) -> Result<Checked, StoreError> {
    let mut checked = Checked::default();
    let clips = dir.join("clips");
    let bodies = Bodies::of(dir)?;
    let private = Private::beside(dir);
    // What is put there from here on is no finding.
    let objects = match bodies.bucket() {
        Some(bucket) if checked.knows(bucket, &clips)? => bucket.all()?,
        _ => Vec::new(),
    };
    let path = database_in(dir);
    let db = match read_database(dir) {
        Ok(db) => Some(db),
        Err(error @ StoreError::Version { .. }) => return Err(error),
        Err(error) => {
            let why = match schema::is_there(dir)? {
                true => error.to_string(),
                false => "there is no database".to_owned(),
            };
            checked.found("database", None, &path, why, REBUILD);
            None
        }
    };
    if let Some(db) = &db {
        for fault in faults(db)? {
            let why = format!("SQLite finds: {fault}");
            checked.found("database", None, &path, why, REBUILD);
        }
        let mut last = ClipId::default();
        loop {
            let known = rows::known_after(db, &last, AT_ONCE)?;
            let Some(end) = known.last() else { break };
            last.clone_from(&end.clip_id);
            for clip in &known {
                checked.row(&bodies, &private, clip)?;
                progress.is_at(checked.clips);
            }
        }
        if let Some(bucket) = bodies.bucket() {
            for object in &objects {
                // While a hub runs, a young object may be on its way into the store.
                if !(is_running && object.age < ON_ITS_WAY) {
                    checked.object(db, bucket, &object.name)?;
                }
            }
        }
        checked.withdrawn(db, &clips)?;
        checked.buried(db, &private)?;
    }
    let mut files = 0;
    for file in record::all(&clips) {
        let file = file?;
        files += 1;
        progress.is_at(checked.clips + files);
        if is_running && is_young(&file) {
            continue;
        }
        checked.file(db.as_ref(), (&bodies, &private), &file)?;
    }
    for (clip_id, path) in apart::unknown(&dir.join("disputed"))? {
        let why = "it lay in the clip's place, and nobody knew its manifest";
        checked.found("set_aside", Some(&clip_id), &path, why, LOOK);
    }
    Ok(checked)
}

fn read_database(dir: &Path) -> Result<Connection, StoreError> {
    let db = schema::open_in_for_reading(dir)?;
    schema::is_of_this_version(&db)?;
    Ok(db)
}

fn faults(db: &Connection) -> Result<Vec<String>, StoreError> {
    if !db.is_sqlite() {
        return Ok(Vec::new());
    }
    let said: Vec<String> = db
        .prepare("PRAGMA quick_check(10)")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(said.into_iter().filter(|line| line != "ok").collect())
}

/// Whether a hub has the store open.
fn is_in_use(dir: &Path) -> bool {
    use rustix::fs::{FlockOperation::NonBlockingLockShared, flock};
    File::open(dir.join("lock")).is_ok_and(|lock| flock(&lock, NonBlockingLockShared).is_err())
}

fn is_young(file: &Path) -> bool {
    fs::metadata(file)
        .and_then(|file| file.modified())
        .is_ok_and(|at| at.elapsed().is_ok_and(|since| since < ON_ITS_WAY))
}

impl Checked {
    fn found(
        &mut self,
        what: &'static str,
        clip_id: Option<&ClipId>,
        path: &Path,
        why: impl Into<String>,
        remedy: &'static str,
    ) {
        self.findings.push(Finding {
            what,
            clip_id: clip_id.cloned(),
            path: path.to_owned(),
            why: why.into(),
            remedy,
        });
    }

    /// Whether the bucket is this store's. Of another one nothing is judged: what is missing there is not lost, and what is there is another hub's.
    fn knows(&mut self, bucket: &Bucket, clips: &Path) -> Result<bool, StoreError> {
        let whose = bucket.whose()?;
        self.is_bucket_anothers = match whose {
            Whose::Own => false,
            Whose::Nobodys => bodies::are_any_away(clips),
            Whose::Others => true,
        };
        if self.is_bucket_anothers {
            let why = "the bucket does not bear this store's mark, which bodies.toml has";
            self.found(
                "another_bucket",
                None,
                &bucket.path_of(MARK),
                why,
                OTHER_BUCKET,
            );
        }
        Ok(whose == Whose::Own)
    }

    /// Checks a row, and the files that it names.
    fn row(&mut self, bodies: &Bodies, private: &Private, known: &Known) -> Result<(), StoreError> {
        self.clips += 1;
        let clip_id = &known.clip_id;
        if let Some(Part::Body(kind)) = known.body()
            && let (kept_bytes, kept_hash) = known.file()
            && let files = BodyFiles::of(bodies, private, clip_id, kind, kept_hash)
            && (files.body.exists() || !self.is_bucket_anothers)
        {
            let path = files.place();
            let failed = |error| StoreError::file("reading", &path, error);
            let is_away = !files.body.exists() && files.away().map_err(failed)?.is_some();
            let (lost, damaged) = match is_away {
                true => (GONE_FROM_BUCKET, GONE_FROM_BUCKET),
                false => (LOST, DAMAGED),
            };
            let is_nowhere = files.length().map_err(failed)?.is_none();
            let has_envelope = is_nowhere || files.has_envelope().map_err(failed)?;
            match self.hash(&files)? {
                Some(_) if !has_envelope => self.found(
                    "missing_envelope",
                    Some(clip_id),
                    &private.envelope(clip_id),
                    "the envelope of a sealed body is not there, so that nobody can open the body",
                    LOST,
                ),
                None => self.found(
                    "missing_body",
                    Some(clip_id),
                    &path,
                    "the clip was stored, and its body is not there",
                    lost,
                ),
                Some((hash, bytes)) => {
                    if bytes != kept_bytes || Some(&hash) != kept_hash {
                        let why = format!(
                            "the body has {bytes} bytes and hash {hash}, the clip {kept_bytes} and {}",
                            kept_hash.map_or("none", |hash| hash.as_str())
                        );
                        self.found("different_body", Some(clip_id), &path, why, damaged);
                    }
                }
            }
        }
        let path = record::path(bodies.clips(), clip_id, known.record_part());
        match record::read(&path)? {
            Some(record) if record.manifest.as_bytes() == known.raw() => {}
            Some(_) => self.found(
                "different_manifest",
                Some(clip_id),
                &path,
                "the manifest beside the body is not that of the database",
                "compare both, and restore the one that is wrong from a backup",
            ),
            None => self.found(
                "missing_manifest",
                Some(clip_id),
                &path,
                "the manifest beside the body is missing or damaged",
                "run booth-hub rebuild only after the file was restored, or after its booth has offered the clip again",
            ),
        }
        Ok(())
    }

    fn hash(&mut self, files: &BodyFiles) -> Result<Option<(BodyHash, u64)>, StoreError> {
        let found = match files.hash_of_all()? {
            // It may have been carried away meanwhile.
            None => files.hash_of_all()?,
            found => found,
        };
        if let Some((_, bytes)) = &found {
            self.bodies += 1;
            self.bytes += bytes;
        }
        Ok(found)
    }

    /// Checks a file, and whether a row names it.
    fn file(
        &mut self,
        db: Option<&Connection>,
        (bodies, private): (&Bodies, &Private),
        path: &Path,
    ) -> Result<(), StoreError> {
        let Some((clip_id, part)) = record::named(path) else {
            self.found(
                "unknown",
                None,
                path,
                "no file of the hub's has such a name",
                NO_CLIPS,
            );
            return Ok(());
        };
        let clip_id = &clip_id;
        let known = match db {
            Some(db) => rows::known(db, clip_id)?,
            None => None,
        };
        match (part, known) {
            (Part::Withdrawn, _) => {
                let is_noted: bool = match db {
                    Some(db) => db.query_row(
                        "SELECT EXISTS (SELECT 1 FROM withdrawn WHERE clip_id = ?1)",
                        [clip_id.as_str()],
                        |row| row.get(0),
                    )?,
                    None => true,
                };
                if !is_noted {
                    let why = "the clip was withdrawn, and the database does not know it";
                    self.found("not_in_database", Some(clip_id), path, why, REBUILD);
                }
            }
            // The number was given up, and the clip's words have come after all.
            (Part::Void, Some(known)) if known.has_words() => {}
            (Part::Record | Part::Void, Some(_)) => {}
            (Part::Body(_), Some(known)) if known.body() == Some(part) => {}
            (Part::Away, Some(known)) if known.body().is_some() => {}
            (Part::Away, _) => {
                let why = "a note of a body in the bucket, of a clip that has none";
                self.found("extra_body", Some(clip_id), path, why, NO_CLIPS);
            }
            (Part::Body(_), Some(_)) => {
                let why = "the clip has another kind of body";
                self.found("extra_body", Some(clip_id), path, why, NO_CLIPS);
            }
            (Part::Record | Part::Void, None) => {
                self.without_row(db, (bodies, private), clip_id, path)?;
            }
            (Part::Body(_), None) => {
                let record = record::path(bodies.clips(), clip_id, Part::Record);
                if record::read(&record)?.is_none() {
                    let why = "a body without manifest, which the database does not know";
                    self.found("extra_body", Some(clip_id), path, why, UNFINISHED);
                }
            }
        }
        Ok(())
    }

    /// Checks whether a row names an object.
    fn object(&mut self, db: &Connection, bucket: &Bucket, name: &str) -> Result<(), StoreError> {
        if name == MARK {
            return Ok(());
        }
        let path = bucket.path_of(name);
        let Some((clip_id, sha256)) = bodies::named(name) else {
            let why = "no object of the hub's has such a name";
            self.found("unknown", None, &path, why, NO_CLIPS);
            return Ok(());
        };
        let known = rows::known(db, &clip_id)?;
        if known.is_none_or(|known| known.file().1 != Some(&sha256)) {
            let why = "a body in the bucket that no entry of the database names";
            self.found("extra_body", Some(&clip_id), &path, why, NO_ROW);
        }
        Ok(())
    }

    /// Reports a manifest that the database does not know.
    fn without_row(
        &mut self,
        db: Option<&Connection>,
        (bodies, private): (&Bodies, &Private),
        clip_id: &ClipId,
        path: &Path,
    ) -> Result<(), StoreError> {
        let believed = record::read(path)?.and_then(|record| {
            record
                .believed(clip_id)
                .map(|manifest| record.kept(&manifest))
        });
        let Some(kept) = believed else {
            let why = "a manifest that is torn or damaged, which the database does not know";
            self.found("damaged_manifest", Some(clip_id), path, why, UNFINISHED);
            return Ok(());
        };
        let mut why = match db {
            Some(_) => "the database does not know the clip".to_owned(),
            None => String::new(),
        };
        if let Some(kept) = kept {
            let files = BodyFiles::of(bodies, private, clip_id, kept.kind, kept.sha256());
            if self.is_bucket_anothers && !files.body.exists() {
                return Ok(());
            }
            let found = self.hash(&files)?;
            let body = files.place();
            if !kept.is_as(found.as_ref()) {
                let (what, how) = match found {
                    None => ("missing_body", "its body is not there"),
                    Some(_) => ("different_body", "its body is damaged"),
                };
                let and = if why.is_empty() { "" } else { ", and " };
                why = format!("{why}{and}{how}");
                self.found(what, Some(clip_id), &body, why, LOST);
                return Ok(());
            }
        }
        if !why.is_empty() {
            self.found("not_in_database", Some(clip_id), path, why, REBUILD);
        }
        Ok(())
    }

    /// Reports what is here of clips that were withdrawn.
    fn buried(&mut self, db: &Connection, private: &Private) -> Result<(), StoreError> {
        for (clip_id, _) in private.tombstones()? {
            if rows::known(db, &clip_id)?.is_some() {
                let why = "the clip was withdrawn, and the database still has it";
                let path = private.envelope(&clip_id);
                let remedy = "start the hub: it deletes what was withdrawn before it serves";
                self.found("withdrawn_clip", Some(&clip_id), &path, why, remedy);
            }
        }
        Ok(())
    }

    fn withdrawn(&mut self, db: &Connection, clips: &Path) -> Result<(), StoreError> {
        let withdrawn: Vec<ClipId> = db
            .prepare("SELECT clip_id FROM withdrawn")?
            .query_map([], |row| Ok(row.get::<_, String>(0)?.into()))?
            .collect::<Result<_, _>>()?;
        for clip_id in withdrawn {
            if !crate::ingest::is_clip_id(&clip_id) {
                continue;
            }
            let path = record::path(clips, &clip_id, Part::Withdrawn);
            if !path.exists() {
                self.found(
                    "missing_mark",
                    Some(&clip_id),
                    &path,
                    "the clip was withdrawn, and the mark beside the clips is missing",
                    "restore the file from a backup, or make an empty one of this name",
                );
            }
        }
        Ok(())
    }
}
