//! Messages of another card, taken over as they lie there.
//!
//! Owns: that such a file is on this card whole, or not at all, before anybody is told so. Never does: change a byte of a finished clip, give it
//! another number, or take what is not whole; the other card still has that. A take that a power cut ended there is finished here, as a card's next
//! start finishes it, with a number of this card. If a power cut comes in between, the other card is read again.

use std::io;

use uuid::Uuid;

use super::clip_file::{Found, read};
use super::disk::Open;
use super::settle::Unsettled;
use super::{CLIP_HEADROOM_BYTES, Inner, KeptClip, Refusal, Spool, SpoolError, locked};

/// What became of a file of another card.
#[derive(Debug, Clone, PartialEq)]
pub enum TakenOver {
    /// It is on this card now, to be delivered like any other clip.
    Kept(Box<KeptClip>),
    /// It was on this card already.
    Here,
    /// There is nothing in it that anybody wants.
    Nothing,
    /// It is not whole, and why; it stays on the other card.
    Left(String),
}

impl Spool {
    /// Takes over the clip `id` whose file has these bytes on another card. Durable when this returns.
    ///
    /// # Errors
    /// There is no room for it, or the card refuses it. If the card refuses it only after the file was written, [`Spool::mend`] hands the clip on.
    pub fn take_over(&self, id: Uuid, bytes: &[u8]) -> Result<TakenOver, SpoolError> {
        self.inner.take_over(id, bytes)
    }
}

impl Inner {
    fn take_over(&self, id: Uuid, bytes: &[u8]) -> Result<TakenOver, SpoolError> {
        if self.has_file(id)? {
            return Ok(TakenOver::Here);
        }
        match read(bytes, id) {
            Found::CutOff(cut) if cut.has_stranded || cut.clip_no.is_some() => {
                return Ok(TakenOver::Left(format!(
                    "what follows byte {} is damaged; the card's next start in a booth finishes it as far as it goes",
                    cut.valid_to
                )));
            }
            // Numbers of this card are given here alone.
            Found::Finished(manifest, _) if manifest.card_id == self.identity.card_id => {
                return Ok(TakenOver::Left(
                    "it says that it is of this booth's own card, which does not have it".into(),
                ));
            }
            Found::Finished(..) | Found::CutOff(_) => {}
            Found::Discarded | Found::Empty => return Ok(TakenOver::Nothing),
            Found::Damaged(_, _, why) | Found::Unreadable(why) => return Ok(TakenOver::Left(why)),
        }
        self.settle_all();
        // One at a time: two might write the same file.
        let mut numbering = locked(&self.numbering);
        if self.has_file(id)? {
            return Ok(TakenOver::Here);
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
            return Err(error);
        }
        match self.read_late(id, false, None, &mut numbering) {
            Ok(Some(clip)) => Ok(TakenOver::Kept(Box::new(clip))),
            Ok(None) => Ok(TakenOver::Nothing),
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

    /// Whether a clip of this id has a file here, also one that the card did not give back.
    fn has_file(&self, id: Uuid) -> Result<bool, SpoolError> {
        if locked(&self.index).clips.contains_key(&id) {
            return Ok(true);
        }
        for folder in [&self.folders.clips, &self.folders.quarantine] {
            let path = self.folders.clip(folder, id);
            match self.folders.disk.open(&path, Open::Read) {
                Ok(_) => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(SpoolError::io("opening", path, error)),
            }
        }
        Ok(false)
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
