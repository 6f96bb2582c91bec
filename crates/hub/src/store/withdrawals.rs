//! What citizens take back: withdrawals come in, wait for their turn, and whatever they fit is deleted.
//!
//! Owns: the order of a deletion (the mark outside the store, the row, the envelope, the other files), how fast receipts are tried,
//! and what is done with a receipt that fits no clip or two. Never does: drop a withdrawal, or tell anybody whether it fitted. A
//! failure, or a kill anywhere, leaves a mark whose deletion the next start finishes before it serves, or a withdrawal that waits.
//!
//! Longer than 500 lines: the whole way from a citizen's wish to the last overwritten file, whose order is the promise.
#![allow(clippy::disallowed_methods)] // the hub's own file work; each step names its fsync

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use booth_database::{OptionalExtension, params};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::codes::Verdict;
use super::private::{self, Private, Source, Tombstone, Waiting};
use super::record::{self, Part};
use super::rows::{self, Rank};
use super::staging::Offer;
use super::{Point, RECORDS_AT_ONCE, Store, StoreError, fsync, schema};
use crate::fleet;
use crate::ingest::{self, Answer, is_clip_id};
use crate::pace::{Limit, Pace};
use crate::receipts::{self, Opener, ReceiptMark, Unopened};
use booth_city::centre::Deletion;
use booth_contract::time::{Mono, rfc3339};
use booth_contract::withdrawal::LONGEST_SEALED;
use booth_contract::{BodyHash, BodyKind, BoothId, ClipId, Manifest, Withdrawal};
use booth_host::{clock, systemd};

/// Most withdrawals of one booth that wait; further ones stay with the booth, which repeats them.
const MOST_OF_BOOTH: usize = 1_000;
/// Most withdrawals that are worked off in one go: clips wait meanwhile.
const MOST_AT_ONCE: usize = 32;
/// How many receipts are tried for one source: whoever guesses is stopped here, not by the length of a receipt.
const OF_ONE: Limit = Limit {
    at_once: 20,
    every_ms: 180_000,
};
/// The same for all booths together, and for all visitors of the page. Whoever fills the page's turns takes none of the booths'.
const OF_BOOTHS: Limit = Limit {
    at_once: 200,
    every_ms: 30_000,
};
pub(crate) const OF_PAGE: Limit = Limit {
    at_once: 100,
    every_ms: 15_000,
};
/// So many marks are looked through at a start between two words to the service manager.
const LOOKED_THROUGH: usize = 1_000;
/// How long they may take.
const STARTS_WITHIN: Duration = Duration::from_secs(90);
/// How long emptying SQLite's log waits for whoever reads.
const PATIENCE_WITH_READERS: Duration = Duration::from_millis(100);
/// Every part of a clip but the mark that it was withdrawn, the words first.
pub(super) const EVERYTHING: [Part; 6] = [
    Part::Body(BodyKind::OggOpus),
    Part::Body(BodyKind::Text),
    Part::Body(BodyKind::SealedOggOpus),
    Part::Away,
    Part::Record,
    Part::Void,
];

/// How many receipts may still be tried, by source.
#[derive(Debug, Default)]
pub(super) struct Paces {
    booths: Pace,
    page: Pace,
    of: HashMap<Source, Pace>,
    /// Withdrawals that are sealed to keys that are not here: they are not tried again before the next start.
    closed: HashSet<PathBuf>,
    /// Files that cannot be read as withdrawals and were told of.
    strange: HashSet<PathBuf>,
    /// Clips whose deletion a fault of the disk has cut off: it is begun again.
    half_deleted: BTreeSet<ClipId>,
    /// Withdrawals that the disk refused: until when each is left alone, and for how many ms.
    put_off: HashMap<PathBuf, (Mono, u64)>,
}

impl Paces {
    /// Takes a turn, if this source and all of its kind have one left.
    pub(super) fn take(&mut self, now: Mono, source: &Source) -> bool {
        let may = self.may(now, source);
        if may && *source == Source::Page {
            self.page.count();
        } else if may {
            self.of.entry(source.clone()).or_default().count();
            self.booths.count();
        }
        may
    }

    /// Whether there is a turn, without taking it.
    fn may(&mut self, now: Mono, source: &Source) -> bool {
        // The page has limited each of its visitors already.
        if *source == Source::Page {
            return self.page.may(now, OF_PAGE);
        }
        let own = self.of.entry(source.clone()).or_default();
        own.may(now, OF_ONE) && self.booths.may(now, OF_BOOTHS)
    }

    /// Leaves a withdrawal alone for a growing pause, ten minutes at most.
    fn put_off(&mut self, now: Mono, path: PathBuf) {
        let before = self.put_off.get(&path).map_or(1_000, |(_, ms)| *ms);
        let pause = (2 * before).min(600_000);
        self.put_off.insert(path, (Mono(now.0 + pause), pause));
    }

    /// Forgets sources that have rested.
    fn tidy(&mut self, now: Mono) {
        self.of.retain(|_, pace| !pace.is_idle(now, OF_ONE));
    }
}

impl Store {
    /// Opens sealed receipts from now on; those that have come so far are the centre's.
    pub fn opening_new_receipts(self, opener: Opener) -> Self {
        Self {
            opener: Some(opener),
            ..self
        }
    }

    /// Opens sealed receipts from now on, and those that have come so far: each becomes a hash, and is forgotten.
    ///
    /// # Errors
    /// Every error of the file system and the database.
    pub fn opening_receipts(mut self, opener: Opener) -> Result<Self, StoreError> {
        let name = opener.receipt_key();
        let (before, opened_with): (String, String) =
            self.db
                .query_row("SELECT receipt_key, opened_with FROM store", [], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?;
        if !before.is_empty() && before != name {
            log::error!(fault = "receipt key";
                "the key of receipts is another one than before: messages that were left under the one before cannot be withdrawn. \
                 Restore receipt-key from its backup (docs/hub-store.md)");
        }
        let keys = opener.key_ids().join(" ");
        self.opener = Some(opener);
        self.private.bring_back_of_none()?;
        if opened_with != keys {
            for (clip_id, mark) in self.open_old_receipts()? {
                // Taken back while its receipt could not be read.
                if self.unmatched.has(clock::wall(), &mark) {
                    self.erase(clock::wall(), &clip_id)?;
                    self.unmatched.found(&mark)?;
                }
            }
        }
        self.db.execute(
            "UPDATE store SET opened_with = ?1, receipt_key = ?2",
            [keys, name],
        )?;
        Ok(self)
    }

    /// Answers which clips have a receipt from now on.
    fn open_old_receipts(&mut self) -> Result<Vec<(ClipId, ReceiptMark)>, StoreError> {
        let mut opened = Vec::new();
        let mut last = ClipId::default();
        loop {
            self.begin()?;
            let clips = rows::known_after(&self.db, &last, RECORDS_AT_ONCE)?;
            let Some(clip) = clips.last() else { break };
            last.clone_from(&clip.clip_id);
            for clip in &clips {
                let Ok(manifest) = ingest::believe(&clip.clip_id, clip.raw(), u64::MAX) else {
                    continue;
                };
                let offer = self.offer(manifest, clip.raw());
                let Some(mark) = &offer.receipt else { continue };
                opened.push((clip.clip_id.clone(), mark.clone()));
                let code = self.verdict(&offer)?;
                let mut known = clip.clone();
                known.opened(&offer, code);
                let path = record::path(&self.clips, &clip.clip_id, clip.record_part());
                self.write_record(&known.record(), &path)?;
                self.db
                    .prepare_cached(
                        "UPDATE kept SET receipt = ?2, has_sealed_receipt = 0, manifest = ?3, code = ?4 WHERE clip_id = ?1",
                    )?
                    .execute(params![
                        clip.clip_id.as_str(),
                        mark.as_str(),
                        offer.raw,
                        code.map(Verdict::as_str)
                    ])?;
            }
            self.commit()?;
        }
        self.commit()?;
        self.log_is_to_be_emptied = true;
        Ok(opened)
    }

    /// A manifest that was believed, without its sealed receipt where this hub opens it.
    pub(super) fn offer(&self, mut manifest: Manifest, raw: &[u8]) -> Offer {
        if let (Some(opener), Some(sealed)) = (&self.opener, &manifest.sealed) {
            match opener.of_clip(&manifest.clip_id, manifest.campaign_id.as_deref(), sealed) {
                Ok(opened) => {
                    let raw = receipts::without_sealed(raw, sealed);
                    manifest.sealed = None;
                    let mut offer = Offer::new(manifest, raw, Some(opened.receipt));
                    offer.code = opened.code;
                    return offer;
                }
                Err(Unopened::OtherKeys) => {}
                Err(Unopened::Strange(why)) => log::warn!(clip_id = manifest.clip_id.as_str();
                    "the receipt of a clip cannot be read ({why}): nobody can withdraw it by its receipt"),
            }
        }
        Offer::new(manifest, raw.to_owned(), None)
    }

    /// Whether this version of a clip was withdrawn before it came. Then what came of it is deleted; the clip that is kept under its id
    /// is another's unless it has the same receipt.
    pub(super) fn was_withdrawn_before(
        &mut self,
        wall: Timestamp,
        sender: &BoothId,
        offer: &Offer,
    ) -> Result<bool, StoreError> {
        let Some(mark) = offer.receipt.as_ref() else {
            return Ok(false);
        };
        if !self.unmatched.has(wall, mark) {
            return Ok(false);
        }
        let manifest = &offer.manifest;
        match rows::known(&self.db, &manifest.clip_id)? {
            Some(kept) if kept.receipt() == Some(mark) => self.erase(wall, &manifest.clip_id)?,
            Some(_) => {}
            None => self.delete_unnamed(&manifest.clip_id, mark)?,
        }
        self.staging.erase(&manifest.clip_id, Some(sender))?;
        self.begin()?;
        self.db
            .prepare_cached("DELETE FROM offer WHERE receipt = ?1")?
            .execute([mark.as_str()])?;
        if fleet::is_at_home(&self.db, sender, &manifest.booth_id, &manifest.card_id)? {
            // Its number is not missing. The receipt stands in the place of the id, which may be another's.
            self.db
                .prepare_cached(
                    "INSERT OR IGNORE INTO withdrawn (clip_id, at, card_id, clip_no) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![
                    format!("receipt {}", mark.as_str()),
                    rfc3339(wall),
                    manifest.card_id.as_str(),
                    manifest.clip_no
                ])?;
        }
        Ok(true)
    }

    /// Deletes the files that a process has left which was killed before its row was committed: they were promised to nobody. Those whose record has
    /// another receipt are another's.
    fn delete_unnamed(&mut self, clip_id: &ClipId, mark: &ReceiptMark) -> Result<(), StoreError> {
        let mut has_files = self.private.envelope(clip_id).exists();
        for part in EVERYTHING {
            let path = record::path(&self.clips, clip_id, part);
            has_files |= path.exists();
            let is_record = matches!(part, Part::Record | Part::Void);
            if is_record
                && let Some(record) = record::read(&path)?
                && record.receipt.as_ref() != Some(mark)
            {
                return Ok(());
            }
        }
        match has_files {
            true => self.delete_files(clip_id),
            false => Ok(()),
        }
    }

    /// A withdrawal from a booth: it is kept, and answered when it is durable. It is worked off in its turn.
    pub(super) fn withdrawal(
        &mut self,
        wall: Timestamp,
        sender: &BoothId,
        id: &ClipId,
        payload: &[u8],
    ) -> Result<Option<Answer>, StoreError> {
        let told: Withdrawal = match fleet::parsed("withdrawal", payload) {
            Ok(told) => told,
            Err(error) => {
                self.cannot_read(wall, sender.as_str(), "withdraw", &error.to_string())?;
                return Ok(None);
            }
        };
        let fault = if !is_clip_id(id) || told.id != *id {
            Some("a withdrawal's id is no UUID, or not that of its topic".to_owned())
        } else if told.sealed.len() > LONGEST_SEALED {
            Some(format!(
                "what is sealed has {} characters",
                told.sealed.len()
            ))
        } else {
            match receipts::decode(&told.sealed) {
                Err(Unopened::Strange(why)) => Some(why),
                _ => None,
            }
        };
        if let Some(fault) = fault {
            self.cannot_read(wall, sender.as_str(), "withdraw", &fault)?;
            return Ok(None);
        }
        if self.private.waiting_of(sender)? >= MOST_OF_BOOTH {
            let why = format!("{MOST_OF_BOOTH} withdrawals from it wait; it keeps the others");
            self.cannot_read(wall, sender.as_str(), "withdraw", &why)?;
            return Ok(None);
        }
        let hash = BodyHash::of_digest(&Sha256::digest(told.sealed.as_bytes()));
        let waiting = Waiting {
            id: id.clone(),
            at: rfc3339(wall),
            sealed: Some(told.sealed),
            ..Waiting::default()
        };
        let source = Source::Booth(sender.to_string());
        self.private.keep_waiting(&source, &hash[..16], &waiting)?;
        Ok(Some(ingest::stored(sender, id, Some(&hash), wall)))
    }

    /// Works off the withdrawals whose turn has come. Called about every second.
    ///
    /// # Errors
    /// Every error of the file system and the database; whatever was not worked off waits.
    pub fn work_off(&mut self, wall: Timestamp, mono: Mono) -> Result<(), StoreError> {
        let mut first_fault = self.empty_log().err();
        for clip_id in self.paces.half_deleted.clone() {
            if let Err(error) = self.erase(wall, &clip_id) {
                self.goes_on_after(error, &mut first_fault)?;
            }
        }
        if !self.share.begins() {
            return first_fault.map_or(Ok(()), Err);
        }
        let mut done = 0;
        for (path, source) in self.private.waiting()? {
            if done >= MOST_AT_ONCE {
                break;
            }
            let is_put_off = |until: &(Mono, u64)| mono.0 < until.0.0;
            if self.paces.closed.contains(&path)
                || self.paces.strange.contains(&path)
                || self.paces.put_off.get(&path).is_some_and(is_put_off)
            {
                continue;
            }
            match self.work_off_one(wall, mono, &path, &source) {
                Ok(is_done) => {
                    self.paces.put_off.remove(&path);
                    done += usize::from(is_done);
                }
                Err(error) => {
                    self.paces.put_off(mono, path);
                    self.goes_on_after(error, &mut first_fault)?;
                }
            }
        }
        self.paces.tidy(mono);
        match first_fault {
            Some(fault) => Err(fault),
            None => self.empty_log(),
        }
    }

    /// One file that the disk refuses holds up no other withdrawal; the first fault is told in the end.
    ///
    /// # Errors
    /// A fault after which nothing may go on.
    fn goes_on_after(
        &mut self,
        error: StoreError,
        first: &mut Option<StoreError>,
    ) -> Result<(), StoreError> {
        self.roll_back();
        if error.is_fatal() {
            return Err(error);
        }
        first.get_or_insert(error);
        Ok(())
    }

    /// Answers whether it is done with.
    fn work_off_one(
        &mut self,
        wall: Timestamp,
        mono: Mono,
        path: &Path,
        source: &Source,
    ) -> Result<bool, StoreError> {
        // Whoever waits for a turn costs no reading.
        if source.may_guess() && !self.paces.may(mono, source) {
            return Ok(false);
        }
        let Some(waiting) = Private::read_waiting(path)? else {
            log::error!(
                "{} is no withdrawal; it stays, for somebody to look at",
                path.display()
            );
            self.paces.strange.insert(path.to_owned());
            return Ok(false);
        };
        if !source.may_guess() {
            if let Some(clip_id) = waiting.clip_id.filter(|id| is_clip_id(id)) {
                let known = rows::known(&self.db, &clip_id)?;
                self.erase(wall, &clip_id)?;
                if let Some(mark) = known.as_ref().and_then(|known| known.receipt()) {
                    self.settle_of_two(mark)?;
                }
            }
            if let Some(name) = &waiting.settles {
                self.private.is_settled(name)?;
            }
            // A hub that opens receipts knows better than a desk that cannot see its hashes.
            if let Some(name) = &waiting.fits_none
                && self.opener.is_none()
            {
                self.private.fits_none(name)?;
            }
            self.private.is_done(path)?;
            return Ok(true);
        }
        let mark = match (waiting.mark, &waiting.sealed, &self.opener) {
            (Some(mark), ..) => mark,
            (None, Some(sealed), Some(opener)) => match opener.of_withdrawal(&waiting.id, sealed) {
                Ok(mark) => mark,
                Err(Unopened::OtherKeys) => {
                    log::warn!("a withdrawal is sealed to keys that are not here; it waits");
                    self.paces.closed.insert(path.to_owned());
                    return Ok(false);
                }
                Err(Unopened::Strange(why)) => {
                    log::warn!("a withdrawal holds no receipt ({why}); it is done with");
                    self.private.is_done(path)?;
                    return Ok(true);
                }
            },
            // Without a private key it waits for the desk, or for a start with one.
            _ => {
                self.paces.closed.insert(path.to_owned());
                return Ok(false);
            }
        };
        if !self.paces.take(mono, source) {
            return Ok(false);
        }
        self.take_back(wall, &mark, path)?;
        Ok(true)
    }

    /// Deletes the clip that the receipt fits.
    fn take_back(
        &mut self,
        wall: Timestamp,
        mark: &ReceiptMark,
        path: &Path,
    ) -> Result<(), StoreError> {
        // A worker may be about to store the clip: either it is seen here, or the worker sees that it was taken back.
        self.begin_alone()?;
        let fits = self.that_fit(mark)?;
        match fits.as_slice() {
            [] => {
                // From now on a clip with this receipt is discarded when it comes, and so is what has come of one.
                self.unmatched.add(wall, mark)?;
                self.erase_versions(mark)?;
                self.private.is_done(path)
            }
            [clip_id] => {
                self.erase(wall, clip_id)?;
                self.private.is_done(path)
            }
            [first, second, ..] => {
                for (clip_id, other) in [(first, second), (second, first)] {
                    let sender = rows::known(&self.db, clip_id)?.map(|known| known.sender);
                    let why = format!(
                        "a citizen's receipt fits this clip and clip {other}: neither was deleted. Find out which one is meant, then \
                         booth-hub withdraw CLIP"
                    );
                    if let Some(sender) = sender {
                        self.show_operator(wall, &sender, clip_id, &why, Rank::Waits)?;
                    }
                }
                self.commit()?;
                log::error!(
                    "a receipt fits two clips; neither was deleted, and Operations shows both"
                );
                self.private.fits_two(path)
            }
        }
    }

    /// The clips that are kept and have this receipt, two at most. A version that is on its way or in dispute is no reason to delete what
    /// is kept under its id: anybody may have sent it.
    pub(super) fn that_fit(&self, mark: &ReceiptMark) -> Result<Vec<ClipId>, StoreError> {
        let fits = self
            .db
            .prepare_cached("SELECT clip_id FROM kept WHERE receipt = ?1 LIMIT 2")?
            .query_map([mark.as_str()], |row| Ok(row.get::<_, String>(0)?.into()))?
            .collect::<Result<_, _>>()?;
        Ok(fits)
    }

    /// Deletes the versions with this receipt that are on their way or in dispute, and nothing else under their ids.
    fn erase_versions(&mut self, mark: &ReceiptMark) -> Result<(), StoreError> {
        let offered: Vec<(String, String)> = self
            .db
            .prepare_cached("SELECT clip_id, sender FROM offer WHERE receipt = ?1")?
            .query_map([mark.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        for (clip_id, sender) in &offered {
            if let Ok(sender) = BoothId::parse(sender) {
                self.staging
                    .erase(&clip_id.as_str().into(), Some(&sender))?;
            }
        }
        self.begin()?;
        self.db
            .prepare_cached("DELETE FROM offer WHERE receipt = ?1")?
            .execute([mark.as_str()])?;
        self.commit()?;
        self.log_is_to_be_emptied |= !offered.is_empty();
        self.apart.erase_versions(mark)?;
        Ok(())
    }

    /// An operator has decided which of two clips is meant: the withdrawals with this receipt are done with.
    fn settle_of_two(&mut self, mark: &ReceiptMark) -> Result<(), StoreError> {
        for path in self.private.of_two()? {
            let Some(waiting) = Private::read_waiting(&path)? else {
                continue;
            };
            let own = match (waiting.mark, &waiting.sealed, &self.opener) {
                (Some(own), ..) => Some(own),
                (None, Some(sealed), Some(opener)) => {
                    opener.of_withdrawal(&waiting.id, sealed).ok()
                }
                _ => None,
            };
            if own.as_ref() == Some(mark) {
                private::wipe(&path)?;
            }
        }
        Ok(())
    }

    /// Deletes everything that is here of a clip, the mark first.
    pub(super) fn erase(&mut self, wall: Timestamp, clip_id: &ClipId) -> Result<(), StoreError> {
        // Whatever of the batch concerns the clip is where it can be deleted.
        self.commit()?;
        self.begin_alone()?;
        let tombstone = Tombstone {
            at: rfc3339(wall),
            ..self.facts_of(clip_id)?
        };
        self.paces.half_deleted.insert(clip_id.clone());
        self.private.bury(clip_id, &tombstone)?;
        self.pass(Point::AfterTombstone)?;
        self.delete(clip_id, &tombstone)?;
        self.paces.half_deleted.remove(clip_id);
        Ok(())
    }

    /// What a mark says of a clip that is here. The hash of a vote would tell what was chosen: that it was a vote has to do.
    fn facts_of(&self, clip_id: &ClipId) -> Result<Tombstone, StoreError> {
        let kept = self
            .db
            .prepare_cached("SELECT card_id, clip_no, CASE WHEN bytes = 0 THEN 'choice' ELSE sha256 END FROM kept WHERE clip_id = ?1")?
            .query_row([clip_id.as_str()], |row| {
                Ok(Tombstone {
                    at: String::new(),
                    card_id: Some(row.get::<_, String>(0)?.into()),
                    clip_no: Some(row.get(1)?),
                    sha256: row.get::<_, Option<String>>(2)?.map(Into::into),
                })
            })
            .optional()?;
        Ok(kept.unwrap_or_default())
    }

    /// Deletes what is here of a clip that has its mark.
    fn delete(&mut self, clip_id: &ClipId, tombstone: &Tombstone) -> Result<(), StoreError> {
        self.leaves_the_bucket(clip_id)?;
        self.begin()?;
        let card_id = tombstone.card_id.as_ref().map(|card_id| card_id.as_str());
        self.db.execute(
            "INSERT INTO withdrawn (clip_id, at, card_id, clip_no, sha256) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (clip_id) DO UPDATE SET card_id = coalesce(withdrawn.card_id, excluded.card_id),
               clip_no = coalesce(withdrawn.clip_no, excluded.clip_no), sha256 = coalesce(withdrawn.sha256, excluded.sha256)",
            params![
                clip_id.as_str(),
                tombstone.at,
                card_id,
                tombstone.clip_no,
                tombstone.sha256.as_deref()
            ],
        )?;
        for table in ["kept", "offer", "refused"] {
            let delete = format!("DELETE FROM {table} WHERE clip_id = ?1");
            self.db.execute(&delete, [clip_id.as_str()])?;
        }
        self.write_tombstone(clip_id, &tombstone.at)?;
        self.commit()?;
        self.log_is_to_be_emptied = true;
        self.pass(Point::AfterUnnamed)?;
        self.delete_files(clip_id)?;
        self.empty_log()
    }

    fn delete_files(&mut self, clip_id: &ClipId) -> Result<(), StoreError> {
        // Without its envelope nobody opens the body, wherever a copy of it lies.
        let envelope = self.private.envelope(clip_id);
        let mut is_wiped = private::wipe(&envelope)?;
        let beside = envelope.parent().unwrap_or(&envelope);
        for unfinished in unfinished_in(beside, &format!(".{clip_id}."))? {
            is_wiped |= private::wipe(&unfinished)?;
        }
        if is_wiped {
            fsync(beside)?;
        }
        let mut folder = None;
        for part in EVERYTHING {
            let path = record::path(&self.clips, clip_id, part);
            if private::wipe(&path)? {
                folder = path.parent().map(Path::to_owned);
            }
            // What a kill left of one that was being written.
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let beginning = format!(".{name}.");
            for unfinished in unfinished_in(path.parent().unwrap_or(&path), &beginning)? {
                private::wipe(&unfinished)?;
            }
        }
        if let Some(folder) = folder {
            fsync(&folder)?;
        }
        self.staging.erase(clip_id, None)?;
        self.apart.erase(clip_id)
    }

    /// Has nothing of deleted rows stay in SQLite's log. Another reader may keep it from that for a moment: then it is done later.
    fn empty_log(&mut self) -> Result<(), StoreError> {
        if !self.log_is_to_be_emptied || self.in_transaction {
            return Ok(());
        }
        if !self.db.is_sqlite() {
            self.log_is_to_be_emptied = false;
            return Ok(());
        }
        // A backup reads for seconds: no ack waits for it, and a second later this is tried again.
        self.db.busy_timeout(PATIENCE_WITH_READERS)?;
        let is_kept_from_it = schema::empty_log(&self.db);
        self.db.busy_timeout(schema::PATIENCE)?;
        self.log_is_to_be_emptied = is_kept_from_it?;
        Ok(())
    }

    /// After a restore: deletes versions in dispute whose receipt was taken back since.
    pub(super) fn forget_versions_taken_back(&mut self) -> Result<(), StoreError> {
        for path in private::files_in(self.apart.dir())? {
            if let Some(mark) = record::read(&path)?.and_then(|record| record.receipt)
                && self.unmatched.has(clock::wall(), &mark)
            {
                self.apart.erase_versions(&mark)?;
            }
        }
        Ok(())
    }

    /// At the start: deletes what a backup has brought back, or a kill has left, of clips that were withdrawn; and gives a mark
    /// outside the store to those that have none.
    pub(super) fn bury_again(&mut self) -> Result<(), StoreError> {
        for (nth, (clip_id, tombstone)) in self.private.tombstones()?.into_iter().enumerate() {
            // Years of withdrawals on a slow disk take longer than a service manager waits for a start.
            if nth % LOOKED_THROUGH == 0 {
                systemd::still_starting(STARTS_WITHIN);
            }
            let is_named: bool = self
                .db
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM withdrawn WHERE clip_id = ?1)
                       AND NOT EXISTS (SELECT 1 FROM kept WHERE clip_id = ?1)
                       AND NOT EXISTS (SELECT 1 FROM offer WHERE clip_id = ?1)",
                )?
                .query_row([clip_id.as_str()], |row| row.get(0))?;
            let is_file = |part| record::path(&self.clips, &clip_id, part).exists();
            let is_there = EVERYTHING.into_iter().any(is_file)
                || self.private.envelope(&clip_id).exists()
                || !record::path(&self.clips, &clip_id, Part::Withdrawn).exists();
            if !is_named || is_there {
                let tombstone = match tombstone.clip_no {
                    Some(_) => tombstone,
                    None => Tombstone {
                        at: tombstone.at,
                        ..self.facts_of(&clip_id)?
                    },
                };
                log::info!(clip_id = clip_id.as_str(); "a withdrawn clip was here again, from a backup or after a kill; it is deleted");
                self.delete(&clip_id, &tombstone)?;
            }
        }
        let noted: Vec<(ClipId, Tombstone)> = self
            .db
            .prepare("SELECT clip_id, at, card_id, clip_no, sha256 FROM withdrawn")?
            .query_map([], |row| {
                let tombstone = Tombstone {
                    at: row.get(1)?,
                    card_id: row.get::<_, Option<String>>(2)?.map(Into::into),
                    clip_no: row.get(3)?,
                    sha256: row.get::<_, Option<String>>(4)?.map(Into::into),
                };
                Ok((row.get::<_, String>(0)?.into(), tombstone))
            })?
            .collect::<Result<_, _>>()?;
        for (clip_id, tombstone) in noted.iter().filter(|(id, _)| is_clip_id(id)) {
            if !self.private.is_buried(clip_id) {
                self.private.bury(clip_id, tombstone)?;
            }
        }
        self.private.sync_tombstones()
    }

    /// A booth still has a clip that was withdrawn: its number is not missing.
    pub(super) fn note_number(&mut self, manifest: &Manifest) -> Result<(), StoreError> {
        self.begin()?;
        self.db
            .prepare_cached(
                "UPDATE withdrawn SET card_id = ?2, clip_no = ?3 WHERE clip_id = ?1 AND clip_no IS NULL",
            )?
            .execute(params![
                manifest.clip_id.as_str(),
                manifest.card_id.as_str(),
                manifest.clip_no
            ])?;
        Ok(())
    }
}

/// Has the clip deleted by the hub that runs on this store, or by its next start.
///
/// # Errors
/// Every error of the file system.
pub fn ask_to_withdraw(dir: &Path, wall: Timestamp, clip_id: &ClipId) -> Result<(), StoreError> {
    ask(dir, wall, clip_id, &Source::Operator)
}

/// The same for the city, in the turn of its reason.
///
/// # Errors
/// Every error of the file system.
pub fn ask_to_delete(
    dir: &Path,
    wall: Timestamp,
    clip_id: &ClipId,
    why: Deletion,
) -> Result<(), StoreError> {
    let source = match why {
        Deletion::Retention => Source::Retention,
        Deletion::Case => Source::Operator,
    };
    ask(dir, wall, clip_id, &source)
}

fn ask(dir: &Path, wall: Timestamp, clip_id: &ClipId, source: &Source) -> Result<(), StoreError> {
    let waiting = Waiting {
        id: clip_id.clone(),
        at: rfc3339(wall),
        clip_id: Some(clip_id.clone()),
        ..Waiting::default()
    };
    Private::beside(dir).keep_waiting(source, "-", &waiting)
}

/// Files of this folder whose names begin like this; none where there is no folder.
fn unfinished_in(folder: &Path, beginning: &str) -> Result<Vec<PathBuf>, StoreError> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| StoreError::file("reading", folder, e))?;
        if entry.file_name().to_string_lossy().starts_with(beginning) {
            found.push(entry.path());
        }
    }
    Ok(found)
}
