//! How bodies get into a bucket, and out of it: after their clips are stored, one after the other, on a thread of its own.
//!
//! Owns: which body is carried next, when one that the bucket did not take is tried again, the note beside a clip that its body was carried
//! away, and the marks of clips whose objects are to be deleted. Never does: make anybody wait for the bucket, or take a body out of the folder
//! before the bucket has confirmed it and the note is on the disk. One thing is done at a time, so that a deletion never overtakes the body
//! that it is to delete. A failure, or a kill anywhere, leaves the body in the folder, or the mark of the deletion.
#![allow(clippy::disallowed_methods)] // the hub's own file work; each step names its fsync

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::bodies::{self, Bodies, BodiesError};
use super::bucket::{Bucket, MOST_CARRIED};
use super::envelopes::BodyFiles;
use super::private;
use super::record::{self, AtRest, Part};
use super::rows::{self, Known};
use super::{Share, Store, StoreError, fsync};
use crate::complaints;
use crate::ingest_worker;
use booth_contract::ClipId;
use booth_contract::time::Mono;
use booth_host::crew;

/// Most new clips that are remembered to be carried; with more, all rows are gone through.
const MOST_FRESH: usize = 10_000;
/// All rows are gone through this often: what an operator has accepted, or a bucket has not taken, is found by it.
const SEARCH_EVERY_MS: u64 = 3_600_000;
/// The first pause after the bucket did not do its work, and the longest.
const PAUSE_MS: u64 = 2_000;
const LONGEST_PAUSE_MS: u64 = 60_000;
/// A file that was carried away is overwritten so much later: somebody may be listening to it.
const EMPTIED_AFTER_MS: u64 = 60_000;
/// How many rows are looked at in one go.
const LOOKED_AT: usize = 50;
/// A clip's objects are deleted once more after this time: a body whose way nobody saw the end of may have arrived meanwhile.
const SECOND_MS: u64 = 900_000;

/// What is done next.
#[derive(Debug)]
enum Task {
    /// This body is put there.
    Put(ClipId, BodyFiles),
    /// Everything that is there of this clip is deleted.
    Delete(ClipId),
    /// Is this the bucket, and is it well? Before anything else, and after every fault.
    Look,
}

/// Why it was not done.
#[derive(Debug)]
enum NotDone {
    /// The bucket.
    Bucket(BodiesError),
    /// The body's file is not what its clip says, or not there any more.
    Body(String),
}

type Done = (Task, Result<(), NotDone>);

/// The thread.
#[derive(Debug)]
struct Mover {
    tasks: SyncSender<Task>,
    done: Receiver<Done>,
}

/// A clip whose objects are to be deleted.
#[derive(Debug, Default)]
struct Leaving {
    due: Mono,
    is_second: bool,
    /// Why they were not.
    fault: Option<BodiesError>,
}

/// A body that the bucket did not take.
#[derive(Debug)]
struct Refused {
    due: Mono,
    fault: BodiesError,
}

/// What is to be carried and deleted.
#[derive(Debug, Default)]
pub(super) struct Moves {
    /// Without a bucket there is none.
    mover: Option<Mover>,
    is_busy: bool,
    /// The bucket has answered, and is the right one.
    is_proven: bool,
    /// The note says that bodies were on their way.
    has_begun: bool,
    fresh: VecDeque<ClipId>,
    /// The last clip that was looked at, while all rows are gone through.
    search: Option<ClipId>,
    search_again_at: Mono,
    leaving: BTreeMap<ClipId, Leaving>,
    /// When there is nothing else to carry, these are tried again; those beyond [`MOST_FRESH`] are found by the next search.
    refused: BTreeMap<ClipId, Refused>,
    /// The last deletion failed: a body goes first.
    is_a_bodys_turn: bool,
    /// Files that are to be overwritten, and when.
    emptied: VecDeque<(Mono, PathBuf)>,
    rests_until: Mono,
    pause_ms: u64,
    /// Why it could not be looked at.
    fault: Option<BodiesError>,
}

impl Moves {
    /// Looks at the bucket, if there is one, and starts the thread. A bucket that does not answer is waited for.
    ///
    /// # Errors
    /// A bucket that is not there or refuses this hub, and a system that gives no thread.
    pub(super) fn begin(bodies: &Bodies) -> Result<Self, StoreError> {
        let Some(bucket) = bodies.bucket() else {
            return Ok(Self::default());
        };
        let fault = match bucket.prove(bodies.clips()) {
            Ok(()) => None,
            Err(fault) if fault.needs_an_operator() => return Err(fault.into()),
            Err(fault) => {
                complaints::note("the bodies' store", &fault.to_string());
                Some(fault)
            }
        };
        Ok(Self {
            mover: Some(Mover::start(Arc::clone(bucket), bodies.clips().to_owned())?),
            search: Some(ClipId::default()),
            is_proven: fault.is_none(),
            fault,
            ..Self::default()
        })
    }

    /// Whether there is something to do, and nothing speaks against doing it.
    fn is_at_work(&self, mono: Mono) -> bool {
        let has_any = self.is_busy || !self.fresh.is_empty() || self.search.is_some();
        has_any && self.rests_until <= mono
    }

    /// After a fault nothing is asked for a while, and then, before anything is changed there, whether this is the bucket.
    fn rest(&mut self, mono: Mono, fault: &BodiesError) {
        complaints::note("the bodies' store", &fault.to_string());
        self.pause_ms = (2 * self.pause_ms).clamp(PAUSE_MS, LONGEST_PAUSE_MS);
        self.rests_until = Mono(mono.0 + self.pause_ms);
        self.is_proven = false;
    }
}

impl Mover {
    fn start(bucket: Arc<Bucket>, clips: PathBuf) -> Result<Self, StoreError> {
        let (tasks, waiting) = sync_channel::<Task>(1);
        let (tell, done) = sync_channel(1);
        crew::lend("carrier", move || {
            while let Ok(task) = waiting.recv() {
                let result = work(&bucket, &clips, &task);
                if tell.send((task, result)).is_err() {
                    return;
                }
            }
        })
        .map_err(|error| {
            StoreError::file("starting a thread for", Path::new("the bucket"), error)
        })?;
        Ok(Self { tasks, done })
    }
}

fn work(bucket: &Bucket, clips: &Path, task: &Task) -> Result<(), NotDone> {
    match task {
        Task::Put(_, files) => {
            let body = files
                .to_carry()
                .map_err(|error| NotDone::Body(error.to_string()))?
                .ok_or_else(|| NotDone::Body("it has another hash than its clip".into()))?;
            match &files.object {
                Some(object) => bucket.put(&object.name, body).map_err(NotDone::Bucket),
                None => Ok(()),
            }
        }
        Task::Delete(clip_id) => bucket.delete_all_of(clip_id).map_err(NotDone::Bucket),
        Task::Look => bucket.prove(clips).map_err(NotDone::Bucket),
    }
}

impl Store {
    /// Why the bucket does not take or delete bodies, if it does not.
    pub fn bodies_fault(&self) -> Option<String> {
        let mut leaving = self.moves.leaving.values();
        let mut refused = self.moves.refused.values();
        let fault = self.moves.fault.as_ref();
        let fault = fault.or_else(|| leaving.find_map(|leaving| leaving.fault.as_ref()));
        let fault = fault.or_else(|| refused.next().map(|refused| &refused.fault));
        fault.map(ToString::to_string)
    }

    /// Whether [`Self::carry`] is to be called again soon.
    pub fn is_carrying(&self, mono: Mono) -> bool {
        self.moves.mover.is_some() && self.moves.is_at_work(mono)
    }

    /// Has a clip's body carried once its row is committed.
    pub(super) fn is_to_be_carried(&mut self, clip_id: &ClipId) {
        if self.moves.mover.is_none() {
            return;
        }
        match self.moves.fresh.len() < MOST_FRESH {
            true => self.moves.fresh.push_back(clip_id.clone()),
            false => self.moves.search_again_at = Mono(0),
        }
    }

    /// Has the objects of a clip that is taken back deleted, whatever happens from here on; also by a hub that has its bucket again only later.
    pub(super) fn leaves_the_bucket(&mut self, clip_id: &ClipId) -> Result<(), StoreError> {
        let note = record::path(&self.clips, clip_id, Part::Away);
        if self.bodies.bucket().is_some() || note.exists() {
            self.private.leaves(clip_id)?;
            // A worker leaves it to the centre, which finds the mark.
            if self.share.begins() {
                self.moves
                    .leaving
                    .insert(clip_id.clone(), Leaving::default());
            }
        }
        Ok(())
    }

    /// At the start: goes on with the deletions of before.
    pub(super) fn go_on_leaving(&mut self) -> Result<(), StoreError> {
        for clip_id in self.private.leaving()? {
            self.moves.leaving.insert(clip_id, Leaving::default());
        }
        Ok(())
    }

    /// Has carried and deleted what workers have left to be; answers how many of them live. Called about every second.
    ///
    /// # Errors
    /// Every error of the file system and the database.
    pub fn follow_workers(&mut self) -> Result<Option<u64>, StoreError> {
        if self.share != Share::Centre {
            return Ok(None);
        }
        let living = Some(ingest_worker::living(&self.db)?);
        if self.moves.mover.is_none() {
            return Ok(living);
        }
        let new: Vec<(i64, ClipId)> = self
            .db
            .prepare_cached(
                "SELECT rowid, clip_id FROM kept WHERE rowid > ?1 ORDER BY rowid LIMIT ?2",
            )?
            .query_map([self.seen_row, MOST_FRESH as i64], |row| {
                Ok((row.get(0)?, row.get::<_, String>(1)?.into()))
            })?
            .collect::<Result<_, _>>()?;
        for (row, clip_id) in new {
            self.seen_row = row;
            self.is_to_be_carried(&clip_id);
        }
        for clip_id in self.private.leaving()? {
            self.moves.leaving.entry(clip_id).or_default();
        }
        Ok(living)
    }

    /// Carries one body more into the bucket, or deletes there. Returns at once; called again and again.
    ///
    /// # Errors
    /// Every error of the file system and the database. Nothing is lost by it, and for a minute nothing is carried.
    pub fn carry(&mut self, mono: Mono) -> Result<(), StoreError> {
        let carried = self.carry_one(mono);
        if carried.is_err() {
            self.roll_back();
            self.moves.rests_until = Mono(mono.0 + LONGEST_PAUSE_MS);
            self.moves.search_again_at = Mono(0);
        }
        carried
    }

    fn carry_one(&mut self, mono: Mono) -> Result<(), StoreError> {
        if self.in_transaction {
            return Ok(());
        }
        self.empty_carried(mono);
        let mover = self.moves.mover.as_ref();
        if let Some(done) = mover.and_then(|mover| mover.done.try_recv().ok()) {
            self.moves.is_busy = false;
            self.carried(mono, done)?;
        }
        if self.moves.is_busy || mono < self.moves.rests_until || self.moves.mover.is_none() {
            return Ok(());
        }
        let Some(task) = self.next_task(mono)? else {
            return Ok(());
        };
        if !self.moves.has_begun && matches!(task, Task::Put(..)) {
            let dir = self.clips.parent().unwrap_or(&self.clips);
            bodies::begins(dir)?;
            self.moves.has_begun = true;
        }
        if let Some(mover) = &self.moves.mover {
            self.moves.is_busy = mover.tasks.try_send(task).is_ok();
        }
        Ok(())
    }

    /// Overwrites what was carried away a minute ago, once nobody can be listening to it.
    fn empty_carried(&mut self, mono: Mono) {
        while let Some((due, file)) = self.moves.emptied.pop_front() {
            if due > mono {
                self.moves.emptied.push_front((due, file));
                break;
            }
            if let Err(error) = private::wipe(&file) {
                complaints::note("the bodies' store", &error.to_string());
                let due = Mono(mono.0 + EMPTIED_AFTER_MS);
                self.moves.emptied.push_back((due, file));
            }
        }
    }

    /// Deletions first, but after one that failed.
    fn next_task(&mut self, mono: Mono) -> Result<Option<Task>, StoreError> {
        if !self.moves.is_proven {
            return Ok(Some(Task::Look));
        }
        let is_a_bodys_turn = std::mem::take(&mut self.moves.is_a_bodys_turn);
        let leaving = self.moves.leaving.iter();
        if !is_a_bodys_turn
            && let Some((clip_id, leaving)) = leaving.min_by_key(|(_, leaving)| leaving.due)
            && leaving.due <= mono
        {
            return Ok(Some(Task::Delete(clip_id.clone())));
        }
        while let Some(clip_id) = self.moves.fresh.pop_front() {
            if let Some(known) = rows::known(&self.db, &clip_id)?
                && let Some(files) = self.may_be_carried(&known)
            {
                return Ok(Some(Task::Put(clip_id, files)));
            }
        }
        if self.moves.search.is_none() && self.moves.search_again_at <= mono {
            self.moves.search = Some(ClipId::default());
        }
        let Some(last) = self.moves.search.take() else {
            return self.refused_before(mono);
        };
        let known = rows::known_after(&self.db, &last, LOOKED_AT)?;
        for known in &known {
            if !self.moves.refused.contains_key(&known.clip_id)
                && let Some(files) = self.may_be_carried(known)
            {
                self.moves.search = Some(known.clip_id.clone());
                return Ok(Some(Task::Put(known.clip_id.clone(), files)));
            }
        }
        match known.last() {
            Some(last) => self.moves.search = Some(last.clip_id.clone()),
            None => self.moves.search_again_at = Mono(mono.0 + SEARCH_EVERY_MS),
        }
        Ok(None)
    }

    /// The next body that the bucket did not take before.
    fn refused_before(&mut self, mono: Mono) -> Result<Option<Task>, StoreError> {
        loop {
            let refused = self.moves.refused.iter();
            let next = refused.min_by_key(|(_, refused)| refused.due);
            let Some((clip_id, _)) = next.filter(|(_, refused)| refused.due <= mono) else {
                return Ok(None);
            };
            let clip_id = clip_id.clone();
            if let Some(known) = rows::known(&self.db, &clip_id)?
                && let Some(files) = self.may_be_carried(&known)
            {
                return Ok(Some(Task::Put(clip_id, files)));
            }
            // It was taken back, or is to wait.
            self.moves.refused.remove(&clip_id);
        }
    }

    /// A body that counts and lies in the folder, its envelope apart. One that may still make room for another stays.
    fn may_be_carried(&self, known: &Known) -> Option<BodyFiles> {
        let Some(Part::Body(kind)) = known.body() else {
            return None;
        };
        let (bytes, sha256) = known.file();
        let files = BodyFiles::of(&self.bodies, &self.private, &known.clip_id, kind, sha256);
        let is_apart = files.envelope.as_ref().is_none_or(|path| path.exists());
        let is_whole = !known.is_lost && is_apart && bytes <= MOST_CARRIED;
        let may = !known.is_held && is_whole && files.object.is_some();
        (may && files.body.exists()).then_some(files)
    }

    fn carried(&mut self, mono: Mono, (task, result): Done) -> Result<(), StoreError> {
        match (task, result) {
            (Task::Put(clip_id, files), Ok(())) => {
                self.moves.pause_ms = 0;
                self.moves.refused.remove(&clip_id);
                self.begin_alone()?;
                self.is_away(mono, &clip_id, &files)?;
                match self.in_transaction {
                    true => self.commit(),
                    false => Ok(()),
                }
            }
            (Task::Put(clip_id, _), Err(NotDone::Bucket(fault))) => {
                self.moves.rest(mono, &fault);
                let due = Mono(mono.0 + LONGEST_PAUSE_MS);
                let refused = &self.moves.refused;
                if refused.len() < MOST_FRESH || refused.contains_key(&clip_id) {
                    self.moves.refused.insert(clip_id, Refused { due, fault });
                } else {
                    self.moves.search_again_at = Mono(0);
                }
                Ok(())
            }
            (Task::Put(clip_id, files), Err(NotDone::Body(why))) => {
                self.moves.refused.remove(&clip_id);
                // It may have been taken back meanwhile.
                let known = rows::known(&self.db, &clip_id)?;
                if known.is_some_and(|known| self.may_be_carried(&known).as_ref() == Some(&files)) {
                    log::error!(fault = "damaged body", clip_id = clip_id.as_str();
                        "the body of clip {clip_id} stays in the folder: {why}. Run booth-hub check");
                }
                Ok(())
            }
            (Task::Delete(clip_id), Ok(())) => {
                self.moves.pause_ms = 0;
                match self.moves.leaving.get_mut(&clip_id) {
                    Some(leaving) if !leaving.is_second => {
                        *leaving = Leaving {
                            due: Mono(mono.0 + SECOND_MS),
                            is_second: true,
                            fault: None,
                        };
                        Ok(())
                    }
                    _ => {
                        self.moves.leaving.remove(&clip_id);
                        self.private.has_left(&clip_id)
                    }
                }
            }
            (Task::Look, Ok(())) => {
                self.moves.is_proven = true;
                self.moves.fault = None;
                Ok(())
            }
            (Task::Delete(clip_id), Err(NotDone::Bucket(fault))) => {
                self.moves.rest(mono, &fault);
                self.moves.is_a_bodys_turn = true;
                if let Some(leaving) = self.moves.leaving.get_mut(&clip_id) {
                    leaving.due = Mono(mono.0 + LONGEST_PAUSE_MS);
                    leaving.fault = Some(fault);
                }
                Ok(())
            }
            (Task::Look, Err(NotDone::Bucket(fault))) => {
                self.moves.rest(mono, &fault);
                self.moves.fault = Some(fault);
                Ok(())
            }
            (Task::Delete(_) | Task::Look, Err(NotDone::Body(_))) => Ok(()),
        }
    }

    /// The bucket has a body: the note is written, and then the folder lets go of it. If its clip was taken back meanwhile, the mark of that
    /// has its object deleted next.
    fn is_away(
        &mut self,
        mono: Mono,
        clip_id: &ClipId,
        files: &BodyFiles,
    ) -> Result<(), StoreError> {
        let Some(known) = rows::known(&self.db, clip_id)? else {
            return Ok(());
        };
        let (bytes, Some(sha256)) = known.file() else {
            return Ok(());
        };
        if self.may_be_carried(&known).as_ref() != Some(files) {
            return Ok(());
        }
        let noted = AtRest {
            bytes,
            sha256: sha256.clone(),
        };
        let (note, folder) = (files.note(), files.body.parent().unwrap_or(&files.body));
        let text = serde_json::to_vec(&noted)
            .map_err(|error| StoreError::file("writing", &note, error.into()))?;
        record::publish(&note, &text, true)?;
        fsync(folder)?;
        if files.envelope.is_some() {
            // Without its envelope nobody opens it.
            std::fs::remove_file(&files.body)
                .map_err(|error| StoreError::file("deleting", &files.body, error))?;
            return fsync(folder);
        }
        // Under its own name a cut would leave zeros, which would count before the object. A start overwrites what has such a name.
        let name = files.body.file_name().unwrap_or_default().to_string_lossy();
        let emptied = folder.join(format!(".{name}.0"));
        std::fs::rename(&files.body, &emptied)
            .map_err(|error| StoreError::file("renaming", &files.body, error))?;
        fsync(folder)?;
        let due = Mono(mono.0 + EMPTIED_AFTER_MS);
        self.moves.emptied.push_back((due, emptied));
        Ok(())
    }

    /// In the third run of the store's tests every body is in the bucket before anything else happens.
    #[cfg(test)]
    pub(super) fn carry_at_once(&mut self) {
        if std::env::var_os(super::tests::away::AT).is_none() || self.moves.mover.is_none() {
            return;
        }
        self.moves.search = None;
        self.moves.search_again_at = Mono(u64::MAX);
        loop {
            self.carry(Mono(0)).expect("the store works");
            let is_due = |leaving: &Leaving| leaving.due == Mono(0);
            let has_left = !self.moves.leaving.values().any(is_due);
            if has_left && !self.moves.is_busy && self.moves.fresh.is_empty() {
                return;
            }
            assert_eq!(self.bodies_fault(), None);
            std::thread::park_timeout(std::time::Duration::from_millis(2));
        }
    }
}
