//! A take during its recording.

use std::sync::Arc;

use uuid::Uuid;

use super::clip_file::{Header, LONGEST_HEADER, NewClip, StartFacts};
use super::disk::Open;
use super::record::{Kind, preamble, push, salt};
use super::settle::Unsettled;
use super::take::Take;
use super::{Inner, KeptClip, Refusal, SpoolError, locked};
use booth_contract::FrameFacts;
use booth_contract::{ClipId, EndedBy, Publish, SCHEMA};

/// Writes one clip file: frames, then the end of the words ([`ClipWriter::hold`]), then [`ClipWriter::close`] or
/// [`ClipWriter::discard`]. If it is dropped before that, [`super::Spool::mend`] finishes the take as recovery would.
pub struct ClipWriter {
    inner: Arc<Inner>,
    take: Option<Take>,
    clip_id: ClipId,
    /// How the words ended, once that is durable.
    held: Option<EndedBy>,
    /// Why the card refused a frame; after that nothing more is written.
    broken: Option<String>,
}

/// Opens the clip file durably.
pub(super) fn begin(inner: &Arc<Inner>, clip: NewClip) -> Result<ClipWriter, SpoolError> {
    inner.settle_all();
    if let Some(reason) = inner.room().reason {
        return Err(SpoolError::Refused(reason));
    }
    if locked(&inner.numbering).is_held_up() {
        return Err(SpoolError::Refused(Refusal::Unwritable));
    }
    let clip_id = clip.clip_id.clone();
    let bad = |why| SpoolError::BadTake {
        clip_id: clip_id.clone(),
        why,
    };
    let (id, header) = inner.header(clip)?;
    let json = serde_json::to_vec(&header).map_err(|_| bad("its header cannot be written"))?;
    if json.len() > LONGEST_HEADER {
        return Err(bad("its header is longer than 64 KiB"));
    }
    let mut bytes = preamble(id).to_vec();
    push(&mut bytes, salt(id), Kind::Header, 0, &[&json]);
    let path = inner.folders.clip(&inner.folders.clips, id);
    let opened = inner
        .folders
        .disk
        .open(&path, Open::New)
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => bad("its id was used before"),
            _ => SpoolError::io("making", &path, error),
        });
    let written = opened.and_then(|file| {
        file.write_at(&bytes, 0)
            .and_then(|()| file.sync_all())
            .and_then(|()| inner.folders.disk.sync_folder(&inner.folders.clips))
            .map_err(|error| SpoolError::io("writing", &path, error))
            .map(|()| file)
    });
    let file = match written {
        Ok(file) => file,
        Err(error @ SpoolError::BadTake { .. }) => return Err(error),
        Err(error) => {
            // The file's name may exist although making the file failed.
            locked(&inner.numbering).push(Unsettled::Unlink { id });
            inner.note_trouble(Some(&error));
            return Err(error);
        }
    };
    let durable_to = bytes.len() as u64;
    locked(&inner.index).open_bytes += durable_to;
    let take = Take::new(id, header, file, path, durable_to);
    Ok(ClipWriter {
        inner: Arc::clone(inner),
        take: Some(take),
        clip_id,
        held: None,
        broken: None,
    })
}

impl Inner {
    /// What stands in the header of a clip that begins now.
    pub(super) fn header(&self, clip: NewClip) -> Result<(Uuid, Header), SpoolError> {
        let id = Uuid::parse_str(&clip.clip_id)
            .ok()
            .filter(|id| clip.clip_id == id.to_string())
            .ok_or_else(|| SpoolError::BadTake {
                clip_id: clip.clip_id.clone(),
                why: "its id is no UUID in lower case with hyphens",
            })?;
        let card = locked(&self.card);
        let header = Header {
            schema: SCHEMA,
            card_id: card.card_id.clone(),
            boot_id: self.boot_id.clone(),
            boot_count: card.boot_count,
            clip,
        };
        Ok((id, header))
    }
}

impl ClipWriter {
    /// The clip's id.
    pub fn clip_id(&self) -> &str {
        &self.clip_id
    }

    /// Duration of what was kept so far, in ms.
    pub fn duration_ms(&self) -> u64 {
        self.take
            .as_ref()
            .map_or(0, |take| take.tally.duration_ms())
    }

    /// Sets when the first kept sample was captured. It is written with the first frame, and has no effect after that.
    pub fn set_start(&mut self, start: StartFacts) {
        if let Some(take) = &mut self.take
            && take.tally.samples == 0
        {
            take.start = start;
        }
    }

    /// Makes one frame of about half a second durable: whole Ogg pages and the measurements of their samples. After an error
    /// nothing more can be appended; frames that were acknowledged are kept.
    pub fn append(&mut self, ogg_pages: &[u8], facts: FrameFacts) -> Result<(), SpoolError> {
        let clip_id = self.clip_id.clone();
        let (Some(take), None) = (&mut self.take, &self.broken) else {
            let why = self.broken.clone().unwrap_or_default();
            return Err(SpoolError::NotDurable { clip_id, why });
        };
        let before = take.durable_to;
        let mut appended = take.append(facts, ogg_pages);
        // The card was filled by other data while a citizen speaks: the ballast has room for the rest of the recording.
        if let Err(SpoolError::FullDisk { .. }) = appended
            && self.inner.folders.drop_ballast()
        {
            appended = take.append(facts, ogg_pages);
        }
        match appended {
            Ok(()) => {
                locked(&self.inner.index).open_bytes += take.durable_to - before;
                Ok(())
            }
            Err(error @ SpoolError::BadTake { .. }) => Err(error),
            Err(error) => {
                self.inner.note_trouble(Some(&error));
                self.broken = Some(error.to_string());
                Err(error)
            }
        }
    }

    /// Ends the words with their last frame (`ogg_pages` may be empty), durably. The take stays open: it has no number, and
    /// nothing of it leaves. A stream that was not ended is ended here.
    ///
    /// On [`SpoolError::NotDurable`] the take is out of the caller's hands, and nothing of it is lost: [`super::Spool::mend`] finishes
    /// it later, with nothing allowed to be published.
    pub fn hold(
        &mut self,
        ogg_pages: &[u8],
        facts: FrameFacts,
        ended_by: EndedBy,
    ) -> Result<(), SpoolError> {
        let clip_id = self.clip_id.clone();
        if let Some(why) = self.broken.clone() {
            // Dropping the writer leaves the take to be settled later.
            return Err(SpoolError::NotDurable { clip_id, why });
        }
        let Some(take) = &mut self.take else {
            return Err(SpoolError::UnknownClip { clip_id });
        };
        let before = take.durable_to;
        let has_last = !ogg_pages.is_empty() || facts.samples > 0;
        let last = has_last.then_some((facts, ogg_pages));
        let mut held = take.hold(last, ended_by);
        if let Err(SpoolError::FullDisk { .. }) = held
            && self.inner.folders.drop_ballast()
        {
            held = take.hold(last, ended_by);
        }
        let error = match held {
            Ok(()) => {
                locked(&self.inner.index).open_bytes += take.durable_to - before;
                self.held = Some(ended_by);
                return Ok(());
            }
            Err(error) => error,
        };
        let Some(take) = self.let_go() else {
            return Err(error);
        };
        match error {
            SpoolError::NothingSaid { .. } => {
                let id = take.id;
                drop(take);
                if self.inner.unlink(id).is_err() {
                    locked(&self.inner.numbering).push(Unsettled::Unlink { id });
                }
                Err(error)
            }
            // The last frame is not audio: the take keeps what came before it.
            SpoolError::BadTake { .. } => {
                locked(&self.inner.numbering).push(Unsettled::Abandoned {
                    id: take.id,
                    durable_to: take.durable_to,
                    wanted_no: None,
                    has_stranded: false,
                });
                Err(error)
            }
            error => {
                self.inner.note_trouble(Some(&error));
                let why = error.to_string();
                locked(&self.inner.numbering).push(Unsettled::Finish {
                    take: Box::new(take),
                    last: ogg_pages.to_vec(),
                    facts,
                    ended_by,
                    publish: Publish::No,
                });
                Err(SpoolError::NotDurable { clip_id, why })
            }
        }
    }

    /// Closes a take whose words have ended, with what its citizen allowed. When this returns, the clip is durable and has its
    /// number. On [`SpoolError::NotDurable`] nothing is lost: [`super::Spool::mend`] hands the clip out later.
    pub fn close(mut self, publish: Publish) -> Result<KeptClip, SpoolError> {
        let clip_id = self.clip_id.clone();
        if let Some(why) = self.broken.clone() {
            return Err(SpoolError::NotDurable { clip_id, why });
        }
        let Some(ended_by) = self.held else {
            let why = "it is closed before its words have ended";
            return Err(SpoolError::BadTake { clip_id, why });
        };
        match self.let_go() {
            Some(take) => self.inner.close(take, ended_by, publish),
            None => Err(SpoolError::UnknownClip { clip_id }),
        }
    }

    /// Ends the words and closes the take at once, with nothing allowed to be published: for takes whose speaker is asked nothing.
    pub fn finish(
        mut self,
        ogg_pages: &[u8],
        facts: FrameFacts,
        ended_by: EndedBy,
    ) -> Result<KeptClip, SpoolError> {
        self.hold(ogg_pages, facts, ended_by)?;
        self.close(Publish::No)
    }

    /// Deletes the take on purpose, also one whose words have ended: marks it durably, so that nothing brings it back, overwrites
    /// the envelope of a sealed one, then unlinks it. No number is given.
    pub fn discard(mut self) -> Result<(), SpoolError> {
        match self.let_go() {
            Some(take) => self.inner.discard(take),
            // The card refused the end of its words, and it waits to be finished: nothing is deleted, and nobody is told so.
            None => Err(SpoolError::UnknownClip {
                clip_id: self.clip_id.clone(),
            }),
        }
    }

    /// Takes the take out of the writer's hands; its bytes no longer count as those of a running take.
    fn let_go(&mut self) -> Option<Take> {
        let take = self.take.take()?;
        let mut index = locked(&self.inner.index);
        index.open_bytes = index.open_bytes.saturating_sub(take.durable_to);
        Some(take)
    }
}

impl Drop for ClipWriter {
    fn drop(&mut self) {
        if let Some(take) = self.let_go() {
            locked(&self.inner.numbering).push(Unsettled::Abandoned {
                id: take.id,
                durable_to: take.durable_to,
                wanted_no: None,
                has_stranded: false,
            });
        }
    }
}
