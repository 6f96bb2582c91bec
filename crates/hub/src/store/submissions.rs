//! Answers that do not come from a booth: from home, by telephone, from a workshop. Each becomes a clip like a booth's.
//!
//! Owns: their manifest, their number, their receipt, and the names under which they stand. Never does: judge what was said, or answer
//! before the commit. The number is the next one of a card of the hub's own, given in the same transaction as the row. A failure leaves
//! nothing of an answer but a file without a row, which [`Store::drop_submission`] removes; after a power cut such a file may stay, and
//! `booth-hub check` names it. Nothing was promised for it.

use std::path::Path;

use booth_database::params;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::private;
use super::record::{self, Part};
use super::staging::Offer;
use super::{Point, Store, StoreError, Taken, rows};
use crate::ingest;
use crate::receipts::{self, CodeMark};
use booth_city::centre::{Body, Source, Submission};
use booth_contract::manifest::text_of_choice;
use booth_contract::time::{Mono, rfc3339};
use booth_contract::written::text_body;
use booth_contract::{
    BodyHash, BodyKind, BootId, BoothId, CardId, ClipId, ClipKind, Consent, ConsentMode, Manifest,
    OneTimeCode, Receipt, SCHEMA, hex,
};
use booth_sealing::{KernelRandom, Random};

/// The names in place of a booth's, by source. No booth may log in under one.
pub(crate) const OWN_SENDERS: [(Source, &str); 3] = [
    (Source::Web, "hub-web"),
    (Source::Phone, "hub-phone"),
    (Source::Workshop, "hub-workshop"),
];
/// Receipts that are tried until one is nobody's.
const TRIES: usize = 16;
/// The digits that are dialled before a receipt at a booth: no emergency number begins in them and ends in the receipt.
const BEFORE_A_RECEIPT: [u8; 3] = [0, 0, 0];

/// An answer that is to be kept.
pub struct Entry {
    /// Its id, where it is known whether the same was kept before.
    pub clip_id: Option<ClipId>,
    /// What it is.
    pub submission: Submission,
    /// The levels of its sound.
    pub levels: Levels,
    /// The one-time code of a vote that needs one. Its id follows from the code then ([`VoteCodes::vote_from_home`](super::VoteCodes)), so that
    /// the same vote keeps its code when it is sent again after a failure.
    pub code: Option<VoteCode>,
}

/// A one-time code as it was typed, and what it has become on the list.
#[derive(Debug)]
pub struct VoteCode {
    /// The digits, which are sealed where this hub cannot keep a hash of the receipt.
    pub(crate) code: OneTimeCode,
    pub(crate) mark: CodeMark,
}

/// What was measured of a sound.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Levels {
    /// Loudness over the whole, dBFS.
    pub rms_dbfs: Option<f64>,
    /// The loudest sample, dBFS.
    pub peak_dbfs: Option<f64>,
    /// Share of half seconds with speech in them, 0 to 1.
    pub speech_ratio: Option<f64>,
}

/// What became of an answer.
#[derive(Debug)]
pub enum Kept {
    /// It is kept; without a receipt where this hub knows no key at all.
    New(ClipId, Option<Receipt>),
    /// A clip of this id is here, or was withdrawn.
    Before(ClipId),
    /// A vote whose code does not make it count. Nothing of it is kept.
    NotCounted(Taken),
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Entry({})", self.submission.source.word())
    }
}

/// The name in place of a booth's.
pub(crate) fn sender_of(source: Source) -> Option<BoothId> {
    let (_, name) = OWN_SENDERS.iter().find(|(of, _)| *of == source)?;
    BoothId::parse(name).ok()
}

fn cannot(doing: &'static str, why: String) -> StoreError {
    StoreError::file(doing, Path::new("an answer"), std::io::Error::other(why))
}

/// 16 bytes that nobody can foresee.
pub(crate) fn random_bytes() -> Result<[u8; 16], StoreError> {
    let mut bytes = [0; 16];
    KernelRandom
        .fill(&mut bytes)
        .map_err(|error| cannot("numbering", error.to_string()))?;
    Ok(bytes)
}

impl Store {
    /// Keeps an answer. It may be told of once [`Store::commit`] returned; after a failure, [`Store::drop_submission`] is due.
    ///
    /// # Errors
    /// Every error of the file system and the database, and a store without room.
    pub fn submit(
        &mut self,
        wall: Timestamp,
        mono: Mono,
        entry: &Entry,
        clip_id: &ClipId,
    ) -> Result<Kept, StoreError> {
        self.has_room()?;
        if rows::known(&self.db, clip_id)?.is_some() || self.withdrawn(clip_id)?.is_some() {
            return Ok(Kept::Before(clip_id.clone()));
        }
        let submission = &entry.submission;
        if let Some(code) = &entry.code {
            // From here on the code belongs to this id, whatever becomes of the batch.
            let (campaign, question) = (&submission.campaign_id, &submission.question_id);
            let taken = self
                .codes
                .take(campaign, question, &code.mark, clip_id.as_str())?;
            if taken != Taken::Counted {
                return Ok(Kept::NotCounted(taken));
            }
        }
        self.begin()?;
        let Some(sender) = sender_of(submission.source) else {
            return Ok(Kept::Before(clip_id.clone()));
        };
        let mut manifest = self.manifest_of(wall, &sender, clip_id, submission)?;
        let body = match &submission.body {
            Body::Spoken(ogg, ms) => {
                manifest.kind = ClipKind::Audio;
                manifest.duration_ms = Some(*ms);
                manifest.body = Some(BodyKind::OggOpus);
                manifest.sample_rate = Some(48_000);
                manifest.channels = Some(1);
                manifest.rms_dbfs = entry.levels.rms_dbfs;
                manifest.peak_dbfs = entry.levels.peak_dbfs;
                manifest.speech_ratio = entry.levels.speech_ratio;
                ogg.clone()
            }
            Body::Written(text) => {
                manifest.kind = ClipKind::Text;
                manifest.body = Some(BodyKind::Text);
                text_body(text, random_bytes()?)
            }
            Body::Vote(digit) => {
                manifest.choice = Some(*digit);
                Vec::new()
            }
        };
        manifest.bytes = body.len() as u64;
        manifest.sha256 = Some(match &submission.body {
            Body::Vote(digit) => {
                let text = text_of_choice(clip_id, &submission.question_id, *digit);
                hex(&Sha256::digest(text.as_bytes())).into()
            }
            _ => BodyHash::of_digest(&Sha256::digest(&body)),
        });
        let receipt = self.new_receipt(wall)?;
        if let (Some(receipt), None, Some(to)) = (&receipt, &self.opener, &self.seals_to) {
            let code = entry.code.as_ref().map(|code| &code.code);
            let sealed = receipts::seal_for_clip(clip_id, receipt, code, to);
            manifest.sealed = Some(sealed.map_err(|error| cannot("sealing", error.to_string()))?);
        }
        let mark = match (&receipt, &self.opener) {
            (Some(receipt), Some(opener)) => Some(opener.of_receipt(receipt)),
            _ => None,
        };
        let raw = manifest.to_json();
        // What the hub would not believe of a booth it does not write itself.
        let manifest = ingest::believe(clip_id, &raw, self.max_clip_bytes.max(manifest.bytes))
            .map_err(|fault| cannot("keeping", fault.reason))?;
        let mut offer = Offer::new(manifest, raw, mark);
        offer.code = entry.code.as_ref().map(|code| code.mark.clone());
        let at_rest = match body.is_empty() {
            true => None,
            false => {
                self.staging.write(mono, &sender, clip_id, 0, &body)?;
                self.move_in(&sender, &offer)?
            }
        };
        self.write_down(wall, &sender, &offer, at_rest, false)?;
        self.staging.forget(&sender, clip_id);
        self.pass(Point::AfterRow)?;
        Ok(Kept::New(clip_id.clone(), receipt))
    }

    /// Removes what is here of an answer whose batch was given up: nobody was told that it is kept. `comes_again` says that it has the same id
    /// whenever it is sent.
    ///
    /// # Errors
    /// Every error of the file system and the database.
    pub fn drop_submission(
        &mut self,
        wall: Timestamp,
        clip_id: &ClipId,
        comes_again: bool,
    ) -> Result<(), StoreError> {
        self.roll_back();
        self.staging.erase(clip_id, None)?;
        for (source, _) in OWN_SENDERS {
            if let Some(sender) = sender_of(source) {
                private::wipe(&self.sealed_beside(&sender, clip_id))?;
            }
        }
        if rows::known(&self.db, clip_id)?.is_some() {
            // The commit came through before the fault. What has the same id when it is sent again is found then; a mark that it was taken
            // back would keep it away for good.
            return match comes_again {
                true => Ok(()),
                false => self.erase(wall, clip_id),
            };
        }
        let envelope = self.private.envelope(clip_id);
        self.private_dirty.remove(&envelope);
        private::wipe(&envelope)?;
        for part in [
            Part::Body(BodyKind::OggOpus),
            Part::Body(BodyKind::SealedOggOpus),
            Part::Body(BodyKind::Text),
            Part::Record,
        ] {
            private::wipe(&record::path(&self.clips, clip_id, part))?;
        }
        Ok(())
    }

    /// The facts that every answer has; without a body so far.
    fn manifest_of(
        &self,
        wall: Timestamp,
        sender: &BoothId,
        clip_id: &ClipId,
        submission: &Submission,
    ) -> Result<Manifest, StoreError> {
        let card_id = self.own_card()?;
        let key = match submission.source {
            Source::Web => "form",
            _ => "helper",
        };
        Ok(Manifest {
            schema: SCHEMA,
            clip_id: clip_id.clone(),
            clip_no: self.next_number(&card_id)?,
            card_id,
            booth_id: sender.clone(),
            boot_id: BootId::default(),
            kind: ClipKind::Choice,
            source: submission.source.word().into(),
            test: 0,
            campaign_id: Some(submission.campaign_id.clone()),
            question_id: Some(submission.question_id.clone()),
            choice: None,
            lang: Some(submission.lang.clone()),
            started_at: Some(rfc3339(submission.said_at.unwrap_or(wall))),
            started_mono_ms: None,
            clock_synced: Some(1),
            duration_ms: None,
            ended_by: None,
            recovered: 0,
            body: None,
            bytes: 0,
            sha256: None,
            bitrate: None,
            sample_rate: None,
            channels: None,
            consent: Some(Consent {
                mode: ConsentMode::Button,
                key: Some(key.into()),
                notice_id: Some(submission.notice_id.clone()),
                publish: submission.may_publish,
            }),
            key_ids: Vec::new(),
            sealed: None,
            rms_dbfs: None,
            peak_dbfs: None,
            speech_ratio: None,
            config_version: None,
            reason: None,
        })
    }

    /// The card of the hub's own, by the name of its store, which a rebuilt database has, too.
    fn own_card(&self) -> Result<CardId, StoreError> {
        let name: String = self
            .db
            .query_row("SELECT name FROM store", [], |row| row.get(0))?;
        Ok(format!("hub-{name}").into())
    }

    /// The number after every one that was given: those of withdrawn answers count, too.
    fn next_number(&self, card_id: &CardId) -> Result<u64, StoreError> {
        let last: u64 = self
            .db
            .prepare_cached(
                "SELECT max(coalesce((SELECT max(clip_no) FROM kept WHERE card_id = ?1), 0),
                   coalesce((SELECT max(clip_no) FROM withdrawn WHERE card_id = ?1), 0))",
            )?
            .query_row(params![card_id.as_str()], |row| row.get(0))?;
        Ok(last + 1)
    }

    /// A receipt that is no other clip's, and that nobody has typed before. `None` where this hub knows no key at all, so that nothing
    /// could be withdrawn by it.
    fn new_receipt(&mut self, wall: Timestamp) -> Result<Option<Receipt>, StoreError> {
        if self.opener.is_none() && self.seals_to.is_none() {
            return Ok(None);
        }
        for _ in 0..TRIES {
            let fill = |bytes: &mut [u8]| {
                // A source that gives nothing makes no receipt.
                let _ = KernelRandom.fill(bytes);
            };
            let made = Receipt::generate_after(&BEFORE_A_RECEIPT, fill, &self.emergency_numbers);
            let Some(receipt) = made else {
                continue;
            };
            let Some(opener) = &self.opener else {
                return Ok(Some(receipt));
            };
            let mark = opener.of_receipt(&receipt);
            if self.that_fit(&mark)?.is_empty() && !self.unmatched.has(wall, &mark) {
                return Ok(Some(receipt));
            }
        }
        Err(cannot("making", "it has no receipt".into()))
    }
}
