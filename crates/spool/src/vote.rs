//! Votes: clips without a body.
//!
//! Owns: that a vote is on the card, with its number, before anybody is told so, or not at all. Never does: count votes. If a power
//! cut comes in between, the file is whole, and the vote is delivered like any clip, or it is torn and holds nothing to keep.

use uuid::Uuid;

use super::clip_file::{NewClip, only_closing, vote};
use super::disk::Open;
use super::record::PREAMBLE_BYTES;
use super::settle::Unsettled;
use super::take::Finished;
use super::{Inner, KeptClip, Refusal, Spool, SpoolError, locked};

impl Spool {
    /// Keeps a vote: the digit `choice` for the question of `clip`. Durable, with its number, when this returns. After an error there
    /// is no vote; only where the card refused to write it, and then to remove it, and the process ends before [`Spool::mend`] has
    /// removed it, the next start may find it all the same.
    pub fn cast(&self, clip: NewClip, choice: u8) -> Result<KeptClip, SpoolError> {
        self.inner.cast(clip, choice)
    }
}

impl Inner {
    fn cast(&self, clip: NewClip, choice: u8) -> Result<KeptClip, SpoolError> {
        self.settle_all();
        if let Some(reason) = self.room().reason {
            return Err(SpoolError::Refused(reason));
        }
        let (id, mut header) = self.header(clip)?;
        header.clip.armed = self.corrected(&header.boot_id, header.clip.armed);
        let mut numbering = locked(&self.numbering);
        if numbering.is_held_up() {
            return Err(SpoolError::Refused(Refusal::Unwritable));
        }
        let manifest = vote(&header, choice, numbering.next_no);
        let bytes = only_closing(id, &manifest);
        if let Err(error) = self.write_vote(id, &bytes) {
            // An id that was used before is no trouble of the card, and its file is another clip's.
            if !matches!(error, SpoolError::BadTake { .. }) {
                self.note_trouble(Some(&error));
                if self.unlink(id).is_err() {
                    numbering.push(Unsettled::Uncast { id });
                }
            }
            return Err(error);
        }
        let finished = Finished {
            manifest,
            closing_at: PREAMBLE_BYTES as u64,
            file_bytes: bytes.len() as u64,
        };
        Ok(self.keep(id, finished, &mut numbering))
    }

    fn write_vote(&self, id: Uuid, bytes: &[u8]) -> Result<(), SpoolError> {
        let disk = self.folders.disk.as_ref();
        let path = self.folders.clip(&self.folders.clips, id);
        let file = match disk.open(&path, Open::New) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(SpoolError::BadTake {
                    clip_id: id.to_string().into(),
                    why: "its id was used before",
                });
            }
            other => other.map_err(|error| SpoolError::io("making", &path, error))?,
        };
        let written = self.folders.with_room(|| {
            file.write_at(bytes, 0)?;
            file.sync_all()?;
            disk.sync_folder(&self.folders.clips)
        });
        written.map_err(|error| SpoolError::io("writing", &path, error))
    }
}
