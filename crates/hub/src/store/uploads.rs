//! Whole bodies on their way into a bucket, while the store's thread does other things.
//!
//! Owns: which bodies are on their way, when one that did not get there is tried again, and what follows when one is there: its row, and
//! its answer. Never does: answer for a body that the bucket has not confirmed, or take a body out of staging before that. A failure leaves the
//! body whole in staging, or what staging's header says.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use jiff::Timestamp;

use super::bodies::{self, BodiesError};
use super::bucket::Bucket;
use super::envelopes;
use super::private;
use super::record::{self, AtRest};
use super::staging::Offer;
use super::{Point, Store, StoreError, rows};
use crate::complaints;
use crate::ingest::Answer;
use booth_contract::time::Mono;
use booth_contract::{BodyHash, BodyKind, BoothId, ClipId};

/// Most bodies on their way; a further one is begun when its booth offers it again.
const MOST: usize = 256;
/// The first pause after a body did not get there, and the longest.
const PAUSE_MS: u64 = 2_000;
const LONGEST_PAUSE_MS: u64 = 60_000;

/// The sender and the clip's id.
type Key = (BoothId, ClipId);

#[derive(Debug)]
enum State {
    Running,
    /// It is there; the envelope that it had.
    Arrived(Option<Vec<u8>>),
    /// It did not get there: when it is tried again.
    Rests(Mono),
}

#[derive(Debug)]
struct Upload {
    /// The hash of the manifest, and the object's name.
    sha256: BodyHash,
    name: String,
    file: PathBuf,
    at_rest: Option<AtRest>,
    state: State,
    pause_ms: u64,
}

/// What a body has come to.
#[derive(Debug)]
struct Done {
    key: Key,
    name: String,
    result: Result<Option<Vec<u8>>, BodiesError>,
}

/// All bodies on their way.
#[derive(Debug)]
pub(super) struct Uploads {
    under_way: HashMap<Key, Upload>,
    /// Bodies that nobody waits for any more, until they have arrived and are deleted.
    given_up: Vec<(ClipId, String)>,
    done: Receiver<Done>,
    tell: Sender<Done>,
}

impl Default for Uploads {
    fn default() -> Self {
        // At most one message for each body that is under way.
        #[allow(clippy::disallowed_methods)]
        let (tell, done) = channel();
        Self {
            under_way: HashMap::new(),
            given_up: Vec::new(),
            done,
            tell,
        }
    }
}

impl Uploads {
    /// Whether a body of this clip from this sender is on its way.
    pub(super) fn has(&self, sender: &BoothId, clip_id: &ClipId) -> bool {
        let key = (sender.clone(), clip_id.clone());
        self.under_way.contains_key(&key)
    }

    /// Whether this very body is on its way.
    pub(super) fn has_this(&self, sender: &BoothId, offer: &Offer) -> bool {
        let key = (sender.clone(), offer.manifest.clip_id.clone());
        self.under_way
            .get(&key)
            .is_some_and(|upload| Some(&upload.sha256) == offer.manifest.sha256.as_ref())
    }

    fn start(&self, bucket: &Arc<Bucket>, key: Key) {
        let Some(upload) = self.under_way.get(&key) else {
            return;
        };
        let (file, name, tell) = (upload.file.clone(), upload.name.clone(), self.tell.clone());
        bucket.put_later(
            &upload.name,
            move || envelopes::apart_from(&file),
            move |result| {
                let _ = tell.send(Done { key, name, result });
            },
        );
    }
}

/// A body that may be kept: it is still in staging, or in the bucket.
#[derive(Debug)]
pub(super) enum Ready {
    /// It is moved into the folder.
    Staged,
    /// It is in the bucket: what the hub has sealed, and the envelope.
    Away(Option<AtRest>, Option<Vec<u8>>),
}

impl Store {
    /// Whether anything is on its way into a bucket, so that [`Self::arrivals`] is to be asked soon.
    pub fn awaits_bodies(&self) -> bool {
        !self.uploads.under_way.is_empty() || !self.uploads.given_up.is_empty()
    }

    /// Whether bodies are kept in a bucket.
    pub fn keeps_bodies_away(&self) -> bool {
        self.bodies.bucket().is_some()
    }

    /// Why the bucket does not do its work, if it does not.
    pub fn bodies_fault(&self) -> Option<String> {
        let bucket = self.bodies.bucket()?;
        bucket.fault().map(|fault| fault.to_string())
    }

    /// Looks whether a bucket that failed is well again, where nothing else would show it.
    pub(super) fn look_after_bucket(&self) {
        if let Some(bucket) = self.bodies.bucket() {
            bucket.look_later();
        }
    }

    /// Whether a clip's messages can wait for the bucket: an answer `None` instead of the fault. Whoever offers the clip does so again.
    pub(super) fn or_later(
        &mut self,
        answer: Result<Option<Answer>, StoreError>,
    ) -> Result<Option<Answer>, StoreError> {
        match answer {
            Err(StoreError::Bodies(fault)) if !self.waits_for_bucket => {
                complaints::note("the bodies' store", &fault.to_string());
                Ok(None)
            }
            other => other,
        }
    }

    /// Has a whole, verified body put where bodies are kept. `None`: it is on its way, or will be.
    pub(super) fn ready(
        &mut self,
        sender: &BoothId,
        offer: &Offer,
    ) -> Result<Option<Ready>, StoreError> {
        let Some(bucket) = self.bodies.bucket().cloned() else {
            return Ok(Some(Ready::Staged));
        };
        let manifest = &offer.manifest;
        let key = (sender.clone(), manifest.clip_id.clone());
        if let Some(upload) = self.uploads.under_way.get_mut(&key) {
            if Some(&upload.sha256) != manifest.sha256.as_ref() {
                return Ok(None);
            }
            return Ok(match &mut upload.state {
                State::Arrived(envelope) => {
                    let ready = Ready::Away(upload.at_rest.take(), envelope.take());
                    self.uploads.under_way.remove(&key);
                    Some(ready)
                }
                State::Running | State::Rests(_) => None,
            });
        }
        if self.uploads.under_way.len() >= MOST && !self.waits_for_bucket {
            return Ok(None);
        }
        let (file, at_rest) = match self.seal_staged(sender, offer)? {
            Some((sealed, at_rest)) => (sealed, Some(at_rest)),
            None => (self.staging.path(sender, &manifest.clip_id), None),
        };
        let kept = record::kept(manifest, at_rest.as_ref());
        let (Some(kept), Some(sha256)) = (kept, manifest.sha256.clone()) else {
            return Ok(Some(Ready::Staged));
        };
        let of_body = kept.sha256().unwrap_or(&sha256);
        let name = bodies::name_of(&manifest.clip_id, kept.kind, of_body);
        if self.waits_for_bucket {
            let (bytes, envelope) = envelopes::apart_from(&file)
                .map_err(|error| StoreError::file("reading", &file, error))?;
            bucket.put(&name, bytes)?;
            return Ok(Some(Ready::Away(at_rest, envelope)));
        }
        let upload = Upload {
            sha256,
            name,
            file,
            at_rest,
            state: State::Running,
            pause_ms: PAUSE_MS,
        };
        self.uploads.under_way.insert(key.clone(), upload);
        self.uploads.start(&bucket, key);
        Ok(None)
    }

    /// Gives a body its place: the last step before its row.
    pub(super) fn settle(
        &mut self,
        sender: &BoothId,
        offer: &Offer,
        ready: Ready,
    ) -> Result<Option<AtRest>, StoreError> {
        let Ready::Away(at_rest, envelope) = ready else {
            return self.move_in(sender, offer);
        };
        let clip_id = &offer.manifest.clip_id;
        self.pass(Point::BeforeBody)?;
        let kind = match record::kept(&offer.manifest, at_rest.as_ref()) {
            Some(kept) => kept.kind,
            None => BodyKind::OggOpus,
        };
        self.clear_place(clip_id, kind, at_rest.is_some())?;
        if let Some(envelope) = envelope {
            self.put_envelope(clip_id, &envelope)?;
        }
        private::wipe(&self.staging.path(sender, clip_id))?;
        private::wipe(&self.sealed_beside(sender, clip_id))?;
        self.pass(Point::AfterBody)?;
        Ok(at_rest)
    }

    /// What follows from bodies that have arrived, or have not: rows, and the answers, which may leave when this returns. Those that rest
    /// and whose time has come are tried again. Called often while [`Self::awaits_bodies`].
    ///
    /// # Errors
    /// Those of [`Self::handle`]; what was not answered is offered again by its booth.
    pub fn arrivals(&mut self, wall: Timestamp, mono: Mono) -> Result<Vec<Answer>, StoreError> {
        let Some(bucket) = self.bodies.bucket().cloned() else {
            return Ok(Vec::new());
        };
        while let Ok(Done { key, name, result }) = self.uploads.done.try_recv() {
            let given_up = &mut self.uploads.given_up;
            if let Some(at) = given_up.iter().position(|(_, given_up)| *given_up == name) {
                // Of a clip that was taken back: its deletion waits for this.
                given_up.swap_remove(at);
                continue;
            }
            let Some(upload) = self.uploads.under_way.get_mut(&key) else {
                continue;
            };
            match result {
                Ok(envelope) => upload.state = State::Arrived(envelope),
                Err(fault) => {
                    complaints::note("the bodies' store", &fault.to_string());
                    upload.state = State::Rests(Mono(mono.0 + upload.pause_ms));
                    upload.pause_ms = (2 * upload.pause_ms).min(LONGEST_PAUSE_MS);
                }
            }
        }
        self.try_again(&bucket, mono)?;
        // Those that a fault of the store left over come again, too.
        let under_way = self.uploads.under_way.iter();
        let arrived: Vec<Key> = under_way
            .filter(|(_, upload)| matches!(upload.state, State::Arrived(_)))
            .map(|(key, _)| key.clone())
            .collect();
        if arrived.is_empty() {
            return Ok(Vec::new());
        }
        let mut answers = Vec::new();
        for (sender, clip_id) in arrived {
            let answer = self.finish_if_whole(wall, &sender, &clip_id);
            answers.extend(self.or_later(answer)?);
            if let Some(left) = self
                .uploads
                .under_way
                .remove(&(sender.clone(), clip_id.clone()))
            {
                private::wipe(&self.sealed_beside(&sender, &clip_id))?;
                self.drop_object(&bucket, &clip_id, &left.name)?;
            }
        }
        self.commit()?;
        Ok(answers)
    }

    /// Begins those again that have rested; a body that is not in staging any more is forgotten.
    fn try_again(&mut self, bucket: &Arc<Bucket>, mono: Mono) -> Result<(), StoreError> {
        let is_due = |upload: &Upload| match upload.state {
            State::Rests(until) => until <= mono,
            State::Running | State::Arrived(_) => false,
        };
        let due = self.uploads.under_way.iter();
        let due: Vec<Key> = due
            .filter(|(_, upload)| is_due(upload))
            .map(|(key, _)| key.clone())
            .collect();
        for key in due {
            if self.staging.get_mut(&key.0, &key.1).is_none() {
                self.uploads.under_way.remove(&key);
                private::wipe(&self.sealed_beside(&key.0, &key.1))?;
                continue;
            }
            if let Some(upload) = self.uploads.under_way.get_mut(&key) {
                upload.state = State::Running;
            }
            self.uploads.start(bucket, key);
        }
        Ok(())
    }

    /// Deletes an object that has arrived for nothing, unless it is that of the clip that is kept.
    fn drop_object(
        &self,
        bucket: &Arc<Bucket>,
        clip_id: &ClipId,
        name: &str,
    ) -> Result<(), StoreError> {
        let kept = rows::known(&self.db, clip_id)?;
        let is_kept = kept.is_some_and(|known| {
            known.file().1 == bodies::named(name).map(|(_, hash)| hash).as_ref()
        });
        if !is_kept {
            bucket.delete_later(name);
        }
        Ok(())
    }

    /// Has what may be in the bucket of a clip deleted that nobody was told of.
    pub(super) fn drop_objects_later(&self, clip_id: &ClipId) {
        if let Some(bucket) = self.bodies.bucket() {
            bucket.delete_all_later(clip_id);
        }
    }

    /// Deletes what is in the bucket of a clip that is taken back, when nothing of it is on its way any more.
    pub(super) fn delete_objects(&mut self, clip_id: &ClipId) -> Result<(), StoreError> {
        let Some(bucket) = self.bodies.bucket().cloned() else {
            return Ok(());
        };
        let of_it: Vec<Key> = self
            .uploads
            .under_way
            .keys()
            .filter(|(_, id)| id == clip_id)
            .cloned()
            .collect();
        for key in of_it {
            private::wipe(&self.sealed_beside(&key.0, &key.1))?;
            if let Some(upload) = self.uploads.under_way.remove(&key)
                && matches!(upload.state, State::Running)
            {
                self.uploads.given_up.push((key.1, upload.name));
            }
        }
        if self.uploads.given_up.iter().any(|(id, _)| id == clip_id) {
            return Err(BodiesError::OnItsWay {
                place: bucket.place().to_owned(),
            }
            .into());
        }
        bucket.delete_all_of(clip_id)?;
        self.private.has_left(clip_id)
    }
}
