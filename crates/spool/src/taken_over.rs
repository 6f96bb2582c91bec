//! Messages of another card, taken over as they lie there.
//!
//! Owns: that such a file is on this card whole, or not at all, before anybody is told so. Never does: change a byte of a finished clip, give it
//! another number, or take what is not whole; the other card still has that. A take that a power cut ended there is finished here, as a card's next
//! start finishes it, with a number of this card. If a power cut comes in between, the other card is read again.

use std::collections::BTreeMap;
use std::io;

use booth_contract::{BootId, ClipKind};
use gateway_core::quarantine::Cause;
use uuid::Uuid;

use super::clip_file::{CutOff, Found, read};
use super::disk::Open;
use super::settle::Unsettled;
use super::{CLIP_HEADROOM_BYTES, Inner, KeptClip, Refusal, Spool, SpoolError, locked};

/// Most takes of other cards that are remembered as finished here.
const MOST_FINISHED: usize = 100;
/// Most pairs of clocks on a card that takes others' pairs over, and the longest name of a boot: `card.json` stays small.
const MOST_CLOCKS: usize = 128;
const LONGEST_BOOT_ID: usize = 64;

/// What became of a file of another card.
#[derive(Debug, Clone, PartialEq)]
pub enum TakenOver {
    /// It is on this card now, to be delivered like any other clip.
    Kept(Box<KeptClip>),
    /// It is on this card already, or was finished here before.
    Here,
    /// There is nothing in it that anybody wants.
    Nothing,
    /// It stays on the other card, and why.
    Left(String),
}

/// What this card has of a clip.
enum Has {
    Nothing,
    /// A whole one, of this hash.
    Whole(Box<KeptClip>),
    /// One that is damaged, given up, or not given back.
    Doubtful,
}

impl Spool {
    /// Takes over the clip `id` whose file has these bytes on another card. Durable when this returns.
    ///
    /// # Errors
    /// There is no room for it, or this card refuses writes. What keeps this one file from being taken is no error.
    pub fn take_over(&self, id: Uuid, bytes: &[u8]) -> Result<TakenOver, SpoolError> {
        match self.inner.take_over(id, bytes) {
            Err(error)
                if !matches!(error, SpoolError::Refused(_)) && !error.is_of_the_whole_card() =>
            {
                Ok(TakenOver::Left(format!("the booth's own card: {error}")))
            }
            other => other,
        }
    }

    /// Takes over what another card knows of the clocks of its boots, so that its clips get their right times before their first offer.
    ///
    /// # Errors
    /// The card refuses it.
    pub fn learn_clocks(&self, clocks: &BTreeMap<BootId, i64>) -> Result<(), SpoolError> {
        let mut card = locked(&self.inner.card);
        let mut learned = card.clone();
        for (boot, pair) in clocks {
            let is_sane = boot.len() <= LONGEST_BOOT_ID && *boot != self.inner.boot_id;
            if is_sane && learned.clocks.len() < MOST_CLOCKS {
                learned.clocks.entry(boot.clone()).or_insert(*pair);
            }
        }
        if learned.clocks != card.clocks {
            self.inner.save_card(&learned)?;
            *card = learned;
        }
        Ok(())
    }
}

impl Inner {
    fn take_over(&self, id: Uuid, bytes: &[u8]) -> Result<TakenOver, SpoolError> {
        let found = read(bytes, id);
        match &found {
            Found::CutOff(cut) if cut.has_stranded || cut.clip_no.is_some() => {
                return Ok(TakenOver::Left(format!(
                    "what follows byte {} is damaged; the card's next start in a booth finishes it as far as it goes",
                    cut.valid_to
                )));
            }
            Found::Finished(..) | Found::CutOff(_) => {}
            Found::Discarded | Found::Empty => return Ok(TakenOver::Nothing),
            Found::Damaged(_, _, why) | Found::Unreadable(why) => {
                return Ok(TakenOver::Left(why.clone()));
            }
        }
        self.settle_all();
        // One at a time: two might write the same file.
        let mut numbering = locked(&self.numbering);
        match (self.has(id)?, &found) {
            (Has::Nothing, Found::CutOff(_)) if self.was_finished_here(id) => {
                return Ok(TakenOver::Here);
            }
            // Numbers of this card are given here alone.
            (Has::Nothing, Found::Finished(manifest, _))
                if manifest.card_id == self.identity.card_id =>
            {
                return Ok(TakenOver::Left(
                    "it says that it is of this booth's own card, which does not have it".into(),
                ));
            }
            (Has::Nothing, _) => {}
            (Has::Whole(own), Found::Finished(manifest, _))
                if own.kind == manifest.kind
                    && own.sha256 == manifest.sha256.clone().unwrap_or_default() =>
            {
                return Ok(TakenOver::Here);
            }
            (Has::Whole(own), Found::CutOff(_)) if own.kind != ClipKind::Void => {
                return Ok(TakenOver::Here);
            }
            (Has::Whole(_) | Has::Doubtful, _) => {
                return Ok(TakenOver::Left(
                    "the booth's own card has another one of this id, or one that is damaged or given up".into(),
                ));
            }
        }
        if let Some(refusal) = self.refusal_of(bytes.len() as u64) {
            return Err(SpoolError::Refused(refusal));
        }
        if numbering.is_held_up() {
            return Err(SpoolError::Refused(Refusal::Unwritable));
        }
        if let Err(error) = self.folders.place_clip(id, bytes) {
            let path = self.folders.clip(&self.folders.clips, id);
            let error = SpoolError::io("writing", path, error);
            self.note_trouble(Some(&error));
            // It may have its name already, and only the folder refused to be synced.
            if self.unlink(id).is_err() {
                numbering.push(unread(id));
            }
            self.folders.drop_taken();
            return Err(error);
        }
        match self.read_late(id, false, None, &mut numbering) {
            Ok(Some(clip)) => Ok(TakenOver::Kept(Box::new(clip))),
            Ok(None) => Ok(TakenOver::Left(
                "the booth's own card did not give it back as it was written".into(),
            )),
            Err(error) => {
                self.note_trouble(Some(&error));
                numbering.push(unread(id));
                Err(error)
            }
        }
    }

    /// Why this card has no room for so many bytes of another one: what citizens need here stays free.
    fn refusal_of(&self, bytes: u64) -> Option<Refusal> {
        let room = self.room();
        let reserve = self.reserve_bytes.max(2 * self.folders.ballast_bytes);
        room.reason
            .or((room.free_bytes < reserve.saturating_add(bytes)).then_some(Refusal::Reserve))
            .or_else(|| {
                let used = room.used_bytes.saturating_add(bytes);
                (used.saturating_add(CLIP_HEADROOM_BYTES) > self.max_bytes).then_some(Refusal::Full)
            })
    }

    fn has(&self, id: Uuid) -> Result<Has, SpoolError> {
        if let Some(entry) = locked(&self.index).clips.get(&id) {
            let is_damaged = entry.quarantine.is_some()
                && entry
                    .why_quarantined()
                    .is_some_and(|note| note.cause != Cause::Hub);
            return Ok(match is_damaged {
                true => Has::Doubtful,
                false => Has::Whole(Box::new(entry.clip.clone())),
            });
        }
        for folder in [&self.folders.clips, &self.folders.quarantine] {
            let path = self.folders.clip(folder, id);
            match self.folders.disk.open(&path, Open::Read) {
                Ok(_) => return Ok(Has::Doubtful),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(SpoolError::io("opening", path, error)),
            }
        }
        Ok(Has::Nothing)
    }

    fn was_finished_here(&self, id: Uuid) -> bool {
        locked(&self.card).finished.contains(&id)
    }

    /// Remembers that a take of another card was finished here, so that it takes no second number when that card is read again. Without this memory
    /// the hub would miss that number.
    pub(super) fn note_finished(&self, id: Uuid, cut: &CutOff) {
        let mut card = locked(&self.card);
        if cut.header.card_id == card.card_id || card.finished.contains(&id) {
            return;
        }
        let mut noted = card.clone();
        noted.finished.push(id);
        let spare = noted.finished.len().saturating_sub(MOST_FINISHED);
        noted.finished.drain(..spare);
        match self.save_card(&noted) {
            Ok(()) => *card = noted,
            Err(error) => {
                log::warn!(
                    "a take of another card takes a new number when that card is read again: {error}"
                );
            }
        }
    }
}

/// The card is asked for the file later.
fn unread(id: Uuid) -> Unsettled {
    Unsettled::Unread {
        id,
        in_quarantine: false,
        known: None,
    }
}
