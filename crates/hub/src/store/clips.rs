//! The path of a clip through the store: what is done with a manifest and with a part.
//!
//! Owns: when a body is whole, its verification, its move into `clips/`, and every answer. Never does: commit (see
//! [`Store::commit`]) or replace a clip: of two versions of a clip the one that is whole first is stored, and the other is kept
//! apart. A failure leaves what the store's own header says.
#![allow(clippy::disallowed_methods)] // the hub's own file work; each step names its fsync

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use booth_database::{OptionalExtension, params};
use jiff::Timestamp;

use super::accept::HELD;
use super::apart::{self, Aside};
use super::codes::Verdict;
use super::envelopes::{self, BodyFiles};
use super::private;
use super::record::{self, AtRest, Kept, Part, Record};
use super::rows::{self, Known, NewRow, Rank};
use super::staging::Offer;
use super::{Point, Store, StoreError, staging};
use crate::complaints;
use crate::fleet::{self, FleetError};
use crate::ingest::{self, Answer};
use crate::receipts::ReceiptMark;
use booth_contract::BodyKind;
use booth_contract::time::Mono;
use booth_contract::time::rfc3339;
use booth_contract::{BodyHash, BoothId, ClipId, ClipKind, MAX_PART_BYTES, Manifest};
use booth_host::plain_file;
use booth_sealing::open::{NAME_BYTES, is_of};

/// Most manifests remembered whose body has not come; the oldest are forgotten first.
const MAX_OFFERS: i64 = 20_000;
/// Most clips that a worker has left unanswered once; beyond that all are forgotten, and each is left once more.
const MOST_DOUBTED: usize = 20_000;
/// Why a second version of a clip is refused.
const OTHER_BODY: &str = "another body is already stored under this clip_id";
/// Why other words under the id of a withdrawn clip are refused.
const OTHER_WITHDRAWN: &str = "another body was withdrawn under this clip_id";
/// How often a whole body may have the wrong hash before its clip is refused.
const MAX_MISMATCHES: u32 = 3;

impl Store {
    pub(super) fn part(
        &mut self,
        wall: Timestamp,
        mono: Mono,
        sender: &BoothId,
        clip_id: &ClipId,
        offset: u64,
        bytes: &[u8],
    ) -> Result<Option<Answer>, StoreError> {
        let end = offset.saturating_add(bytes.len() as u64);
        let fault = if !ingest::is_clip_id(clip_id) {
            "a part's clip id is no UUID".to_owned()
        } else if bytes.is_empty() || bytes.len() > MAX_PART_BYTES {
            format!("a part has {} bytes", bytes.len())
        } else if end > self.max_clip_bytes {
            format!(
                "a part would make its clip larger than {} bytes",
                self.max_clip_bytes
            )
        } else {
            String::new()
        };
        if !fault.is_empty() {
            self.cannot_read(wall, sender.as_str(), "part", &fault)?;
            return Ok(None);
        }
        if self.staging.get_mut(sender, clip_id).is_none() {
            let known = rows::known(&self.db, clip_id)?;
            if known.is_some_and(|known| known.has_words() && !known.is_lost) {
                return Ok(None); // late: the clip is here
            }
            if self.withdrawn(clip_id)?.is_some() {
                return Ok(None); // its words are not kept for a moment
            }
        }
        self.recall_offers(mono, sender, clip_id)?;
        if !self.staging.write(mono, sender, clip_id, offset, bytes)? {
            self.cannot_read(wall, sender.as_str(), "part", "a clip in too many pieces")?;
        }
        self.finish_if_whole(wall, sender, clip_id)
    }

    pub(super) fn manifest(
        &mut self,
        wall: Timestamp,
        mono: Mono,
        sender: &BoothId,
        clip_id: &ClipId,
        payload: &[u8],
    ) -> Result<Option<Answer>, StoreError> {
        if !ingest::is_clip_id(clip_id) {
            self.cannot_read(
                wall,
                sender.as_str(),
                "clip",
                "a manifest's topic has no UUID",
            )?;
            return Ok(None);
        }
        let manifest = match ingest::believe(clip_id, payload, self.max_clip_bytes) {
            Ok(manifest) => manifest,
            Err(fault) => {
                return self.refuse(wall, sender, clip_id, fault.sha256.as_ref(), &fault.reason);
            }
        };
        if manifest.kind == ClipKind::Text {
            let reason = "no booth sends written messages";
            return self.refuse(wall, sender, clip_id, manifest.sha256.as_ref(), reason);
        }
        let hash = manifest.sha256.clone();
        let offer = self.offer(manifest, payload);
        self.begin_alone()?;
        if let Some(answer) = self.was_withdrawn(wall, sender, &offer)? {
            return Ok(Some(answer));
        }
        if self.was_withdrawn_before(wall, sender, &offer)? {
            return Ok(Some(ingest::discard(sender, clip_id, hash.as_ref(), wall)));
        }
        let stored = Some(ingest::stored(sender, clip_id, hash.as_ref(), wall));
        let known = match self.known(clip_id)? {
            Some(known) => Some(known),
            None => self.found_in_files(clip_id)?,
        };
        if known.is_none() && self.may_be_announced_yet(sender, &offer.manifest)? {
            return Ok(None);
        }
        if let Some(known) = &known
            && let ControlFlow::Break(answer) =
                self.offered_again(wall, mono, sender, known, &offer)?
        {
            return Ok(answer);
        }
        if offer.manifest.bytes == 0 {
            if let Some(known) = &known
                && known.has_words()
            {
                self.give_way(known)?;
            }
            self.keep(wall, sender, &offer, None)?;
            return Ok(stored);
        }
        let is_repeated = self.take_offer(wall, mono, sender, &offer)?;
        // A crash between rename and commit left the body in its place without a row: take it as it is.
        if known.is_none() && self.adopt(wall, sender, &offer)? {
            self.staging.remove(sender, clip_id)?;
            return Ok(stored);
        }
        if let Some(answer) = self.finish_if_whole(wall, sender, clip_id)? {
            return Ok(Some(answer));
        }
        match is_repeated {
            true => Ok(self.missing_of(wall, sender, &offer)),
            false => Ok(None),
        }
    }

    /// Whether a worker leaves this clip unanswered for now: its sender has not announced its card, and the centre, which hears that, may be later
    /// than the clip. The booth offers it again some seconds later; then it is judged.
    fn may_be_announced_yet(
        &mut self,
        sender: &BoothId,
        manifest: &Manifest,
    ) -> Result<bool, StoreError> {
        let Manifest {
            clip_id,
            booth_id,
            card_id,
            ..
        } = manifest;
        if self.share.begins() || fleet::is_at_home(&self.db, sender, booth_id, card_id)? {
            return Ok(false);
        }
        if self.doubted.len() >= MOST_DOUBTED {
            self.doubted.clear();
        }
        Ok(self.doubted.insert(clip_id.clone()))
    }

    /// The answer to a clip that was withdrawn: what came of it is deleted.
    fn was_withdrawn(
        &mut self,
        wall: Timestamp,
        sender: &BoothId,
        offer: &Offer,
    ) -> Result<Option<Answer>, StoreError> {
        let Manifest {
            clip_id, sha256, ..
        } = &offer.manifest;
        let Some(withdrawn) = self.withdrawn(clip_id)? else {
            return Ok(None);
        };
        self.staging.erase(clip_id, Some(sender))?;
        // Whoever stores something under another's id and takes it back deletes nothing of the other's.
        let is_it = |of: &BodyHash| match of.as_str() {
            "choice" => offer.manifest.bytes == 0,
            _ => Some(of) == sha256.as_ref(),
        };
        if !withdrawn.as_ref().is_none_or(is_it) {
            return self.refuse(wall, sender, clip_id, sha256.as_ref(), OTHER_WITHDRAWN);
        }
        self.note_number(&offer.manifest)?;
        Ok(Some(ingest::discard(
            sender,
            clip_id,
            sha256.as_ref(),
            wall,
        )))
    }

    /// What is done with the manifest of a clip that has an entry: the answer, if this is all. It goes on like a new one if it brings
    /// the words of a number that was given up, or if what is stored gives way to it.
    fn offered_again(
        &mut self,
        wall: Timestamp,
        mono: Mono,
        sender: &BoothId,
        known: &Known,
        offer: &Offer,
    ) -> Result<ControlFlow<Option<Answer>>, StoreError> {
        let Manifest {
            clip_id, sha256, ..
        } = &offer.manifest;
        let stored = ingest::stored(sender, clip_id, sha256.as_ref(), wall);
        // The booth gives up a number whose clip has arrived already, or which it has given up before.
        if offer.manifest.kind == ClipKind::Void {
            if !known.has_words() && self.is_there(known)? {
                self.now_at_home(wall, sender, known, offer)?;
            }
            return Ok(ControlFlow::Break(Some(stored)));
        }
        if !known.has_words() {
            return Ok(ControlFlow::Continue(()));
        }
        if known.sha256 == *sha256 {
            if self.is_there(known)? {
                self.now_at_home(wall, sender, known, offer)?;
                return Ok(ControlFlow::Break(Some(stored)));
            }
            self.body_is_lost(wall, sender, known)?;
            self.take_offer(wall, mono, sender, offer)?;
            let answer = self.finish_if_whole(wall, sender, clip_id)?;
            return Ok(ControlFlow::Break(
                answer.or_else(|| self.missing_of(wall, sender, offer)),
            ));
        }
        match self.gives_way(sender, known, &offer.manifest)? {
            true => Ok(ControlFlow::Continue(())),
            false => self
                .dispute(wall, mono, sender, offer)
                .map(ControlFlow::Break),
        }
    }

    /// Notes a manifest whose body is to come; answers whether it was offered before. If a sender offers several versions of a
    /// clip, parts are collected for the latest new one; offering an earlier version again does not change that.
    fn take_offer(
        &mut self,
        wall: Timestamp,
        mono: Mono,
        sender: &BoothId,
        offer: &Offer,
    ) -> Result<bool, StoreError> {
        let clip_id = &offer.manifest.clip_id;
        self.recall_offers(mono, sender, clip_id)?;
        let staged = self.staging.begin(mono, sender, clip_id);
        let is_repeated = staged.offers.iter().any(|known| known.is_as(offer));
        if !is_repeated {
            staged.add(offer.clone());
            self.remember_offer(wall, sender, offer)?;
        }
        Ok(is_repeated)
    }

    /// The answer `partial`, with the ranges that are still missing.
    fn missing_of(&mut self, wall: Timestamp, sender: &BoothId, offer: &Offer) -> Option<Answer> {
        let Manifest {
            clip_id,
            bytes,
            sha256,
            ..
        } = &offer.manifest;
        let missing = match self.staging.get_mut(sender, clip_id) {
            Some(staged) => staged.ranges.missing(0, *bytes, ingest::MAX_MISSING_RANGES),
            None => vec![(0, *bytes)],
        };
        let hash = sha256.as_ref();
        Some(ingest::partial(sender, clip_id, hash, &missing, wall))
    }

    /// Verifies, moves and records a body whose manifest is known and whose bytes are all here; the commit fsyncs it.
    fn finish_if_whole(
        &mut self,
        wall: Timestamp,
        sender: &BoothId,
        clip_id: &ClipId,
    ) -> Result<Option<Answer>, StoreError> {
        let Some(staged) = self.staging.get_mut(sender, clip_id) else {
            return Ok(None);
        };
        let whole: Vec<Offer> = staged.whole().cloned().collect();
        for offer in &whole {
            let bytes = offer.manifest.bytes;
            let found = self.staging.hash_of_first(sender, clip_id, bytes)?;
            if Some(&found) == offer.manifest.sha256.as_ref() {
                self.begin_alone()?;
                // Where one process does all, what is withdrawn has nothing left here that could become whole.
                if self.turn.is_some()
                    && let Some(answer) = self.was_withdrawn(wall, sender, offer)?
                {
                    return Ok(Some(answer));
                }
                if !self.is_of_its_clip(sender, offer)? {
                    self.drop_offer(sender, offer)?;
                    let reason = "the sealed body is another clip's";
                    return self.refuse(wall, sender, clip_id, Some(&found), reason);
                }
                if self.was_withdrawn_before(wall, sender, offer)? {
                    return Ok(Some(ingest::discard(sender, clip_id, Some(&found), wall)));
                }
                self.staging.cut(sender, clip_id, bytes)?;
                return self.place(wall, sender, offer).map(Some);
            }
        }
        match whole.first() {
            Some(newest) => self.mismatched(wall, sender, newest),
            None => Ok(None),
        }
    }

    /// Whether a sealed body names the clip that its manifest names. No key is needed to see that; one that is another's would be that clip once more,
    /// under another name.
    fn is_of_its_clip(&mut self, sender: &BoothId, offer: &Offer) -> Result<bool, StoreError> {
        let manifest = &offer.manifest;
        if manifest.body != Some(BodyKind::SealedOggOpus) {
            return Ok(true);
        }
        let begins = self
            .staging
            .beginning(sender, &manifest.clip_id, NAME_BYTES)?;
        Ok(is_of(&begins, &manifest.clip_id))
    }

    /// A whole body does not have its manifest's hash: it is asked for again, but only a few times.
    fn mismatched(
        &mut self,
        wall: Timestamp,
        sender: &BoothId,
        offer: &Offer,
    ) -> Result<Option<Answer>, StoreError> {
        let clip_id = &offer.manifest.clip_id;
        let hash = offer.manifest.sha256.as_ref();
        let mismatches = match self.staging.get_mut(sender, clip_id) {
            Some(staged) => staged.mismatched(offer),
            None => 0,
        };
        if mismatches >= MAX_MISMATCHES {
            self.drop_offer(sender, offer)?;
            let reason =
                format!("the body came whole {mismatches} times and never had the manifest's hash");
            return self.refuse(wall, sender, clip_id, hash, &reason);
        }
        log::warn!(booth = sender.as_str(), clip_id = clip_id.as_str();
            "a body from {sender} does not have its manifest's hash; it is asked for again");
        let missing = [(0, offer.manifest.bytes)];
        Ok(Some(ingest::partial(sender, clip_id, hash, &missing, wall)))
    }

    /// A whole, verified body becomes the clip's body if the clip has none yet.
    fn place(
        &mut self,
        wall: Timestamp,
        sender: &BoothId,
        offer: &Offer,
    ) -> Result<Answer, StoreError> {
        let clip_id = &offer.manifest.clip_id;
        let hash = offer.manifest.sha256.as_ref();
        if let Some(known) = self.known(clip_id)?
            && known.has_words()
        {
            if known.sha256.as_ref() == hash {
                // Another sender has brought the same body meanwhile, or a clip's lost body comes back.
                if !self.is_there(&known)? {
                    let at_rest = self.move_in(sender, offer)?;
                    self.begin()?;
                    rows::set_lost(&self.db, clip_id, false)?;
                    rows::set_at_rest(&self.db, clip_id, at_rest.as_ref())?;
                    let mut known = known.clone();
                    known.rests_as(at_rest);
                    let path = record::path(&self.clips, clip_id, known.record_part());
                    self.write_record(&known.record(), &path)?;
                    self.is_to_be_carried(clip_id);
                    log::info!(clip_id = clip_id.as_str(); "the lost body of a clip is back, from {sender}");
                }
                self.now_at_home(wall, sender, &known, offer)?;
                self.drop_offer(sender, offer)?;
                return Ok(ingest::stored(sender, clip_id, hash, wall));
            }
            if !self.gives_way(sender, &known, &offer.manifest)? {
                return self.keep_apart(wall, sender, offer);
            }
            self.give_way(&known)?;
        }
        let at_rest = self.move_in(sender, offer)?;
        self.keep(wall, sender, offer, at_rest)?;
        self.staging.forget(sender, clip_id);
        Ok(ingest::stored(sender, clip_id, hash, wall))
    }

    /// Moves a whole body to its place, sealed and with its envelope apart. A file that lies there already is no clip's body, and is
    /// kept apart. Answers what the file is where the hub has sealed it.
    pub(super) fn move_in(
        &mut self,
        sender: &BoothId,
        offer: &Offer,
    ) -> Result<Option<AtRest>, StoreError> {
        let clip_id = &offer.manifest.clip_id;
        let came = self.staging.path(sender, clip_id);
        let (from, at_rest) = match self.seal_staged(sender, offer)? {
            Some((sealed, at_rest)) => (sealed, Some(at_rest)),
            None => (came.clone(), None),
        };
        let Some(kept) = record::kept(&offer.manifest, at_rest.as_ref()) else {
            return Ok(None);
        };
        let to = record::path(&self.clips, clip_id, Part::Body(kept.kind));
        self.make_folder(&to)?;
        self.pass(Point::BeforeBody)?;
        let is_known = rows::known(&self.db, clip_id)?.is_some();
        for kind in [BodyKind::OggOpus, BodyKind::Text, BodyKind::SealedOggOpus] {
            let there = record::path(&self.clips, clip_id, Part::Body(kind));
            if !there.exists() {
                continue;
            }
            if at_rest.is_some() && !is_known && kind == BodyKind::SealedOggOpus {
                // What the hub sealed itself before a crash, of a clip that was promised to nobody: nothing proves what it is.
                private::wipe(&there)?;
                continue;
            }
            if kind == kept.kind || is_known {
                let why = match is_known {
                    true => Aside::Replaced,
                    false => Aside::Unknown,
                };
                let aside = self.take_away(&there, why)?;
                log::warn!(
                    "{} was no clip's body; it is {} from now on",
                    there.display(),
                    aside.display()
                );
            }
        }
        if kept.kind == BodyKind::SealedOggOpus {
            self.take_envelope_out(&from, clip_id)?;
        }
        apart::rename_new(&from, &to).map_err(|e| StoreError::file("renaming to", &to, e))?;
        if at_rest.is_some() {
            private::wipe(&came)?;
        }
        self.is_to_be_synced(to);
        self.pass(Point::AfterBody)?;
        Ok(at_rest)
    }

    /// Moves a file out of its clip's place; if it was to be synced there, it is synced at its new place.
    pub(super) fn take_away(&mut self, file: &Path, why: Aside<'_>) -> Result<PathBuf, StoreError> {
        if let Some((clip_id, Part::Body(BodyKind::SealedOggOpus))) = record::named(file) {
            // A body that leaves its place takes its envelope along; that of the next one comes here.
            let envelope = self.private.envelope(&clip_id);
            self.private_dirty.remove(&envelope);
            envelopes::put_back(&BodyFiles {
                body: file.to_owned(),
                envelope: Some(envelope.clone()),
                object: None,
            })?;
            private::wipe(&envelope)?;
        }
        let aside = self.apart.take_away(file, why)?;
        self.found_files.remove(file);
        if self.unsynced_files.remove(file) {
            self.unsynced_files.insert(aside.clone());
        }
        self.dirty_folders.extend(file.parent().map(Path::to_owned));
        self.dirty_folders.insert(self.apart.dir().to_owned());
        // The folder may be new.
        self.dirty_folders
            .extend(self.apart.dir().parent().map(Path::to_owned));
        Ok(aside)
    }

    pub(super) fn make_folder(&mut self, file: &Path) -> Result<(), StoreError> {
        let folder = file.parent().unwrap_or(&self.clips).to_owned();
        if !folder.exists() {
            plain_file::make_private_folder(&folder)
                .map_err(|e| StoreError::file("creating", &folder, e))?;
            self.dirty_folders.insert(self.clips.clone());
        }
        Ok(())
    }

    /// Has the commit fsync this file and its folder.
    pub(super) fn is_to_be_synced(&mut self, file: PathBuf) {
        self.dirty_folders.extend(file.parent().map(Path::to_owned));
        self.unsynced_files.insert(file);
    }

    /// The same for a file that lay there before: it may be all that is left of a clip, and is not removed if it cannot be synced.
    fn was_there(&mut self, file: PathBuf) {
        self.found_files.insert(file.clone());
        self.is_to_be_synced(file);
    }

    /// Puts a clip's record beside its body. A record that replaces another is made durable at once, and stays if the batch fails:
    /// the replaced one may be that of a clip that was acknowledged long ago.
    pub(super) fn write_record(&mut self, record: &Record, path: &Path) -> Result<(), StoreError> {
        self.make_folder(path)?;
        let is_of_this_batch =
            self.unsynced_files.contains(path) && !self.found_files.contains(path);
        let is_rewritten = !is_of_this_batch && record::read(path)?.is_some();
        record::write(path, record)?;
        match is_rewritten {
            true => {
                self.unsynced_files.remove(path);
                self.found_files.remove(path);
                self.dirty_folders.extend(path.parent().map(Path::to_owned));
            }
            false => self.is_to_be_synced(path.to_owned()),
        }
        self.pass(Point::AfterRecord)
    }

    /// Whether a stored clip's body is there with its length; a missing record is written again.
    fn is_there(&mut self, known: &Known) -> Result<bool, StoreError> {
        if known.is_lost {
            return Ok(false);
        }
        if let Some(Part::Body(kind)) = known.body() {
            let (bytes, sha256) = known.file();
            let files = BodyFiles::of(&self.bodies, &self.private, &known.clip_id, kind, sha256);
            let failed = |error| StoreError::file("reading", &files.body, error);
            let is_whole = files.length().map_err(failed)? == Some(bytes)
                && files.has_envelope().map_err(failed)?;
            if !is_whole {
                return Ok(false);
            }
        }
        let path = record::path(&self.clips, &known.clip_id, known.record_part());
        if !path.exists() {
            self.write_record(&known.record(), &path)?;
        }
        Ok(true)
    }

    /// The body of an acknowledged clip is missing, and a booth offers it: it is asked for again.
    fn body_is_lost(
        &mut self,
        wall: Timestamp,
        sender: &BoothId,
        known: &Known,
    ) -> Result<(), StoreError> {
        let clip_id = &known.clip_id;
        self.begin()?;
        rows::set_lost(&self.db, clip_id, true)?;
        if !known.is_lost {
            log::error!(fault = "lost body", clip_id = clip_id.as_str();
                "the body of clip {clip_id} is missing or has another length although it was stored; {sender} has it still and \
                 is asked for it. Look at the disk, and run booth-hub check");
            let why = "its body was missing on the hub's disk; it was asked for again";
            rows::show_operator(&self.db, wall, sender, clip_id, why, Rank::Waits)?;
        }
        Ok(())
    }

    /// A clip that has files but no row, because the database is older than the clip. `None` if it has no record.
    fn found_in_files(&mut self, clip_id: &ClipId) -> Result<Option<Known>, StoreError> {
        for part in [Part::Record, Part::Void] {
            let path = record::path(&self.clips, clip_id, part);
            let Some(record) = record::read(&path)? else {
                continue;
            };
            let Some(manifest) = record.believed(clip_id) else {
                continue;
            };
            let kept = record.kept(&manifest);
            let is_whole =
                record::has_whole_body(&self.bodies, &self.private, clip_id, kept.as_ref())?;
            if let Some(kept) = kept.filter(|_| is_whole) {
                self.body_was_there(clip_id, &kept);
            }
            self.dirty_folders.insert(self.clips.clone());
            self.was_there(path);
            self.begin()?;
            rows::from_record(&self.db, &self.zone, &record, &manifest, !is_whole)?;
            log::info!(clip_id = clip_id.as_str(); "a clip's files were found without its entry and taken in");
            return rows::known(&self.db, clip_id).map_err(Into::into);
        }
        Ok(None)
    }

    /// Takes in a clip whose body was moved into its place before a crash, without record and row.
    fn adopt(
        &mut self,
        wall: Timestamp,
        sender: &BoothId,
        offer: &Offer,
    ) -> Result<bool, StoreError> {
        let manifest = &offer.manifest;
        let Some(kept) = record::kept(manifest, None) else {
            return Ok(false);
        };
        if !record::has_whole_body(&self.bodies, &self.private, &manifest.clip_id, Some(&kept))? {
            return Ok(false);
        }
        self.dirty_folders.insert(self.clips.clone());
        self.body_was_there(&manifest.clip_id, &kept);
        log::info!(clip_id = manifest.clip_id.as_str();
            "a clip's file was found without its entry and adopted");
        self.keep(wall, sender, offer, None)?;
        Ok(true)
    }

    /// Has the commit sync a body that lay there before, and its envelope.
    fn body_was_there(&mut self, clip_id: &ClipId, kept: &Kept) {
        let (kind, sha256) = (kept.kind, kept.sha256());
        let files = BodyFiles::of(&self.bodies, &self.private, clip_id, kind, sha256);
        self.envelope_was_there(&files);
        if files.body.exists() {
            self.was_there(files.body);
        }
    }

    /// Writes a clip's record and row; the body is in its place already.
    fn keep(
        &mut self,
        wall: Timestamp,
        sender: &BoothId,
        offer: &Offer,
        at_rest: Option<AtRest>,
    ) -> Result<(), StoreError> {
        self.begin()?;
        let manifest = &offer.manifest;
        let booth = &manifest.booth_id;
        let is_held = !fleet::is_at_home(&self.db, sender, booth, &manifest.card_id)?;
        if is_held {
            let Manifest {
                clip_id, card_id, ..
            } = manifest;
            let why = format!(
                "{HELD}: {sender} sent it under a card of another booth (card {card_id}, booth {booth}) that it has not announced. \
                 After a look: booth-hub accept {clip_id}, or booth-hub accept --card {card_id}"
            );
            rows::show_operator(&self.db, wall, sender, clip_id, &why, Rank::Waits)?;
        } else if let Err(FleetError::Database(error)) =
            fleet::card_seen(&self.db, wall, sender, &manifest.card_id)
        {
            return Err(error.into());
        }
        if let Some(other) = rows::of_same_number(&self.db, manifest)? {
            let why = format!(
                "stored, but look at it: number {} of its card is also that of clip {other}",
                manifest.clip_no
            );
            rows::show_operator(&self.db, wall, sender, &manifest.clip_id, &why, Rank::Waits)?;
        }
        self.write_down(wall, sender, offer, at_rest, is_held)?;
        self.forget_offer(sender, offer)?;
        self.pass(Point::AfterRow)
    }

    /// Writes the record and the row.
    pub(super) fn write_down(
        &mut self,
        wall: Timestamp,
        sender: &BoothId,
        offer: &Offer,
        at_rest: Option<AtRest>,
        is_held: bool,
    ) -> Result<(), StoreError> {
        let manifest = &offer.manifest;
        let mut record = Record::new(sender, rfc3339(wall), &offer.raw);
        record.is_held = is_held;
        record.receipt.clone_from(&offer.receipt);
        record.at_rest = at_rest;
        record.code = self.verdict(offer)?;
        let path = record::path(&self.clips, &manifest.clip_id, record::record_of(manifest));
        self.write_record(&record, &path)?;
        // A number that was given up gives way to the clip's words; the file of its manifest stays.
        rows::forget_void(&self.db, &manifest.clip_id)?;
        rows::insert(
            &self.db,
            &NewRow {
                manifest,
                sender,
                raw: &offer.raw,
                received_at: wall,
                is_held,
                is_lost: false,
                receipt: record.receipt.as_ref(),
                at_rest: record.at_rest.as_ref(),
                child: false,
                code: record.code,
                zone: &self.zone,
            },
        )?;
        self.is_to_be_carried(&manifest.clip_id);
        Ok(())
    }

    /// What becomes of a vote on a question whose votes need a one-time code; `None` for every other clip. A code that counts is used
    /// from here on, by this clip, whatever becomes of the batch.
    pub(super) fn verdict(&self, offer: &Offer) -> Result<Option<Verdict>, StoreError> {
        let manifest = &offer.manifest;
        let (ClipKind::Choice, Some(campaign), Some(question)) =
            (manifest.kind, &manifest.campaign_id, &manifest.question_id)
        else {
            return Ok(None);
        };
        if !self.codes.needs(campaign, question)? {
            return Ok(None);
        }
        let verdict = match (&offer.code, &manifest.sealed) {
            (Some(code), _) => {
                let vote = manifest.clip_id.as_str();
                self.codes.take(campaign, question, code, vote)?.into()
            }
            (None, Some(_)) => Verdict::Sealed,
            (None, None) => Verdict::Missing,
        };
        Ok(Some(verdict))
    }

    /// The clip of this id. If it is held, the batch's transaction begins here: `booth-hub accept` may be at work on the clip, and
    /// from here on waits for this batch.
    fn known(&mut self, clip_id: &ClipId) -> Result<Option<Known>, StoreError> {
        let known = rows::known(&self.db, clip_id)?;
        if self.in_transaction || !known.as_ref().is_some_and(|known| known.is_held) {
            return Ok(known);
        }
        self.begin()?;
        Ok(rows::known(&self.db, clip_id)?)
    }

    /// Whether a stored clip makes room for another version. It does if it is held, which means that its sender has no right to the
    /// card, and if the other version comes from a different sender that has that right. If both versions come from one sender, the
    /// sender contradicts itself, and the stored one stays. The stored version also stays if its sender has no more room in
    /// `disputed`.
    fn gives_way(
        &mut self,
        sender: &BoothId,
        known: &Known,
        manifest: &Manifest,
    ) -> Result<bool, StoreError> {
        Ok(known.is_held
            && known.sender != *sender
            && fleet::is_at_home(&self.db, sender, &manifest.booth_id, &manifest.card_id)?
            && self.apart.has_room(&known.sender, known.bytes)?)
    }

    /// Moves a held clip to `disputed`, so that its place is free for the true one.
    fn give_way(&mut self, known: &Known) -> Result<(), StoreError> {
        self.begin()?;
        for part in known.body().into_iter().chain([known.record_part()]) {
            let file = record::path(&self.clips, &known.clip_id, part);
            if file.exists() {
                self.take_away(&file, Aside::GivesWay(&known.sender))?;
            }
        }
        rows::forget(&self.db, &known.clip_id)?;
        Ok(())
    }

    /// The booth itself brings the same clip that another booth had brought in its name: the clip counts from now on.
    fn now_at_home(
        &mut self,
        wall: Timestamp,
        sender: &BoothId,
        known: &Known,
        offer: &Offer,
    ) -> Result<(), StoreError> {
        let Manifest {
            booth_id, card_id, ..
        } = &offer.manifest;
        if !known.is_held || !fleet::is_at_home(&self.db, sender, booth_id, card_id)? {
            return Ok(());
        }
        self.begin()?;
        rows::accept(&self.db, &offer.manifest.clip_id)?;
        let record = known.accepted(wall);
        let path = record::path(&self.clips, &known.clip_id, known.record_part());
        self.write_record(&record, &path)?;
        self.is_to_be_carried(&known.clip_id);
        Ok(())
    }

    /// Another version of a stored clip is refused at once; if its body comes nevertheless, it is kept apart.
    fn dispute(
        &mut self,
        wall: Timestamp,
        mono: Mono,
        sender: &BoothId,
        offer: &Offer,
    ) -> Result<Option<Answer>, StoreError> {
        if offer.manifest.bytes == 0 {
            return self.keep_apart(wall, sender, offer).map(Some);
        }
        let staged = self.staging.begin(mono, sender, &offer.manifest.clip_id);
        if !staged.offers.iter().any(|known| known.is_as(offer)) {
            staged.add(offer.clone());
        }
        self.refuse(
            wall,
            sender,
            &offer.manifest.clip_id,
            offer.manifest.sha256.as_ref(),
            OTHER_BODY,
        )
    }

    /// Keeps a whole second version of a stored clip for an operator, and refuses it.
    fn keep_apart(
        &mut self,
        wall: Timestamp,
        sender: &BoothId,
        offer: &Offer,
    ) -> Result<Answer, StoreError> {
        let clip_id = &offer.manifest.clip_id;
        let hash = offer.manifest.sha256.as_ref();
        let mut record = Record::new(sender, rfc3339(wall), &offer.raw);
        record.receipt.clone_from(&offer.receipt);
        let body = match offer.manifest.bytes {
            0 => None,
            _ => match self.seal_staged(sender, offer)? {
                Some((sealed, at_rest)) => {
                    record.at_rest = Some(at_rest);
                    private::wipe(&self.staging.path(sender, clip_id))?;
                    Some(sealed)
                }
                None => Some(self.staging.path(sender, clip_id)),
            },
        };
        let kept = self.apart.keep(
            clip_id,
            hash.unwrap_or(&BodyHash::default()),
            &record,
            body.as_deref(),
        )?;
        self.drop_offer(sender, offer)?;
        let (place, rank) = match &kept {
            Some(path) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let place = format!("this version is beside it in disputed/{name}");
                (place, Rank::Waits)
            }
            None => {
                let place = "this version was not kept: its sender's room in disputed/ is taken";
                (place.to_owned(), Rank::Refused)
            }
        };
        let why = format!("{OTHER_BODY}; {place}");
        self.refuse_because(wall, sender, clip_id, hash, OTHER_BODY, (&why, rank))
    }

    /// Refuses a clip: makes an entry for an operator, and the answer.
    fn refuse(
        &mut self,
        wall: Timestamp,
        sender: &BoothId,
        clip_id: &ClipId,
        sha256: Option<&BodyHash>,
        reason: &str,
    ) -> Result<Option<Answer>, StoreError> {
        let entry = (reason, Rank::Refused);
        self.refuse_because(wall, sender, clip_id, sha256, reason, entry)
            .map(Some)
    }

    /// The same, with more detail for the operator (`why`) than for the sender (`reason`).
    fn refuse_because(
        &mut self,
        wall: Timestamp,
        sender: &BoothId,
        clip_id: &ClipId,
        sha256: Option<&BodyHash>,
        reason: &str,
        (why, rank): (&str, Rank),
    ) -> Result<Answer, StoreError> {
        self.show_operator(wall, sender, clip_id, why, rank)?;
        complaints::note(
            &format!("{sender} refused"),
            &format!("clip {clip_id} from {sender} was refused: {why}"),
        );
        Ok(ingest::reject(sender, clip_id, sha256, reason, wall))
    }

    /// Whether the clip was withdrawn, and the hash of what was, where it was here.
    pub(super) fn withdrawn(
        &self,
        clip_id: &ClipId,
    ) -> Result<Option<Option<BodyHash>>, StoreError> {
        let noted: Option<Option<String>> = self
            .db
            .prepare_cached("SELECT sha256 FROM withdrawn WHERE clip_id = ?1")?
            .query_row([clip_id.as_str()], |row| row.get(0))
            .optional()?;
        if let Some(hash) = noted {
            return Ok(Some(hash.map(Into::into)));
        }
        if let Some(tombstone) = self.private.tombstone(clip_id) {
            return Ok(Some(tombstone.sha256));
        }
        let mark = record::path(&self.clips, clip_id, Part::Withdrawn);
        Ok(mark.exists().then_some(None))
    }

    /// Begins an unfinished body of which nothing has come since the start, with the manifests that were offered for it before.
    fn recall_offers(
        &mut self,
        mono: Mono,
        sender: &BoothId,
        clip_id: &ClipId,
    ) -> Result<(), StoreError> {
        if self.staging.get_mut(sender, clip_id).is_none() {
            let offered = self.offered(sender, clip_id)?;
            self.staging.begin(mono, sender, clip_id).offers = offered;
        }
        Ok(())
    }

    /// The manifests that this sender has offered under this id, the oldest first.
    fn offered(&self, sender: &BoothId, clip_id: &ClipId) -> Result<Vec<Offer>, StoreError> {
        let offered: Vec<(Vec<u8>, Option<String>)> = self
            .db
            .prepare_cached(
                "SELECT manifest, receipt FROM offer WHERE clip_id = ?1 AND sender = ?2 ORDER BY rowid",
            )?
            .query_map([clip_id, sender.as_str()], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?
            .collect::<Result<_, _>>()?;
        let offered = offered.into_iter().filter_map(|(raw, receipt)| {
            let manifest = ingest::believe(clip_id, &raw, self.max_clip_bytes).ok()?;
            match receipt.and_then(|receipt| ReceiptMark::read(&receipt)) {
                Some(mark) => Some(Offer::new(manifest, raw, Some(mark))),
                None => Some(self.offer(manifest, &raw)),
            }
        });
        Ok(offered.collect())
    }

    fn remember_offer(
        &mut self,
        wall: Timestamp,
        sender: &BoothId,
        offer: &Offer,
    ) -> Result<(), StoreError> {
        self.begin()?;
        let Manifest {
            clip_id, sha256, ..
        } = &offer.manifest;
        // It is the newest one now, wherever it stood.
        self.db
            .prepare_cached("DELETE FROM offer WHERE clip_id = ?1 AND sender = ?2 AND sha256 = ?3")?
            .execute(params![
                clip_id.as_str(),
                sender.as_str(),
                sha256.as_deref()
            ])?;
        self.db
            .prepare_cached(
                "INSERT INTO offer (clip_id, sender, sha256, at, manifest, receipt) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![clip_id.as_str(), sender.as_str(), sha256.as_deref(), rfc3339(wall), offer.raw,
                offer.receipt.as_ref().map(ReceiptMark::as_str)])?;
        self.db
            .prepare_cached(
                "DELETE FROM offer WHERE clip_id = ?1 AND sender = ?2 AND rowid NOT IN (
                   SELECT rowid FROM offer WHERE clip_id = ?1 AND sender = ?2 ORDER BY rowid DESC LIMIT ?3)",
            )?
            .execute(params![clip_id.as_str(), sender.as_str(), staging::MAX_VERSIONS])?;
        self.db
            .prepare_cached("DELETE FROM offer WHERE rowid <= (SELECT max(rowid) FROM offer) - ?1")?
            .execute([MAX_OFFERS])?;
        Ok(())
    }

    /// Forgets an offer and the parts of the body that came for it.
    fn drop_offer(&mut self, sender: &BoothId, offer: &Offer) -> Result<(), StoreError> {
        self.staging.remove(sender, &offer.manifest.clip_id)?;
        self.forget_offer(sender, offer)
    }

    fn forget_offer(&mut self, sender: &BoothId, offer: &Offer) -> Result<(), StoreError> {
        self.begin()?;
        let clip_id = &offer.manifest.clip_id;
        self.db
            .prepare_cached("DELETE FROM offer WHERE clip_id = ?1 AND sender = ?2")?
            .execute([clip_id.as_str(), sender.as_str()])?;
        Ok(())
    }
}
