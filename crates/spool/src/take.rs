//! One clip file being written: the same code is used during the recording, when settling a failed write, and in recovery.
//!
//! Owns: how much of the file is durable. Never does: give a number or decide that a take ends. After a failed write nothing past
//! the durable length is believed: the next write cuts the file there first.

use std::path::PathBuf;

use uuid::Uuid;

use super::SpoolError;
use super::clip_file::{CutOff, Ending, Header, Held, StartFacts, Tally, beside, manifest};
use super::disk::DiskFile;
use super::record::{HEAD_BYTES, Kind, MAX_PAYLOAD_BYTES, PREAMBLE_BYTES, push, salt};
use booth_contract::FrameFacts;
use booth_contract::ogg_page::closing_page;
use booth_contract::{BodyKind, EndedBy, Manifest};

/// The smallest unit that the file system writes: a block of ext4.
const PAGE_BYTES: u64 = 4096;
/// From how many earlier appends the length of the next one is estimated.
const REMEMBERED: usize = 4;

pub(crate) struct Take {
    pub id: Uuid,
    pub header: Header,
    pub start: StartFacts,
    pub tally: Tally,
    /// Bytes of the file that are known to be on the card.
    pub durable_to: u64,
    file: Box<dyn DiskFile>,
    path: PathBuf,
    salt: u32,
    sequence: u32,
    has_start: bool,
    /// Whether nothing was written past `durable_to`.
    is_clean: bool,
    /// Where the record with the first frame ends, which may not be durable. In a sealed take it holds the envelope.
    first_frame_to: Option<u64>,
    /// Lengths of the latest appends, newest last.
    lengths: [usize; REMEMBERED],
}

/// What a finished take is.
pub(crate) struct Finished {
    pub manifest: Manifest,
    pub closing_at: u64,
    pub file_bytes: u64,
}

impl Take {
    /// A new file, with preamble and header already durable in its first `durable_to` bytes.
    pub(crate) fn new(
        id: Uuid,
        header: Header,
        file: Box<dyn DiskFile>,
        path: PathBuf,
        durable_to: u64,
    ) -> Take {
        Take {
            id,
            start: header.clip.armed,
            header,
            tally: Tally::default(),
            durable_to,
            file,
            path,
            salt: salt(id),
            sequence: 1,
            has_start: false,
            is_clean: true,
            first_frame_to: None,
            lengths: [0; REMEMBERED],
        }
    }

    /// A take whose file was cut off.
    pub(crate) fn resume(id: Uuid, cut: CutOff, file: Box<dyn DiskFile>, path: PathBuf) -> Take {
        Take {
            id,
            header: cut.header,
            start: cut.start,
            tally: cut.tally,
            durable_to: cut.valid_to,
            file,
            path,
            salt: salt(id),
            sequence: cut.sequence,
            has_start: true,
            is_clean: false,
            first_frame_to: None,
            lengths: [0; REMEMBERED],
        }
    }

    fn refuse(&self, why: &'static str) -> SpoolError {
        SpoolError::BadTake {
            clip_id: self.header.clip.clip_id.clone(),
            why,
        }
    }

    /// Adds one frame to `buffer` and counts it in `tally`; returns the next sequence number.
    fn push_frame(
        &self,
        buffer: &mut Vec<u8>,
        tally: &mut Tally,
        sequence: u32,
        facts: FrameFacts,
        body: &[u8],
    ) -> Result<u32, SpoolError> {
        let facts_bytes = beside(facts, self.header.clip.body).to_bytes();
        if body.len() + facts_bytes.len() > MAX_PAYLOAD_BYTES {
            return Err(self.refuse("a frame is longer than 1 MiB"));
        }
        let is_ogg = self.header.clip.body == BodyKind::OggOpus;
        if is_ogg && !body.is_empty() && tally.end.is_some_and(|end| end.has_ended) {
            return Err(self.refuse("audio came after the end of its stream"));
        }
        tally
            .count(self.header.clip.body, facts, body)
            .ok_or_else(|| self.refuse("a frame is not made of whole Ogg pages"))?;
        push(
            buffer,
            self.salt,
            Kind::Frame,
            sequence,
            &[&facts_bytes, body],
        );
        Ok(sequence + 1)
    }

    fn push_start(&self, buffer: &mut Vec<u8>) -> Result<u32, SpoolError> {
        if self.has_start {
            return Ok(self.sequence);
        }
        let json = serde_json::to_vec(&self.start)
            .map_err(|_| self.refuse("its start cannot be written"))?;
        push(buffer, self.salt, Kind::Start, self.sequence, &[&json]);
        Ok(self.sequence + 1)
    }

    /// Fills the page if the next append would most likely not fit into it, because an append across a page's end costs the card
    /// two pages.
    fn push_padding(&self, buffer: &mut Vec<u8>, sequence: u32) -> u32 {
        let end = self.durable_to + buffer.len() as u64;
        let room = (end.next_multiple_of(PAGE_BYTES) - end) as usize;
        let next = self.lengths.iter().copied().fold(0, usize::max);
        // Longer appends span pages in any case, and padding would only make the file longer.
        if next > PAGE_BYTES as usize / 2 || !(HEAD_BYTES..next).contains(&room) {
            return sequence;
        }
        let zeros = [0; PAGE_BYTES as usize];
        let padding = &zeros[..room - HEAD_BYTES];
        push(buffer, self.salt, Kind::Padding, sequence, &[padding]);
        sequence + 1
    }

    /// One write, one fdatasync. What an earlier write has left behind the durable length is cut off first.
    fn write(&mut self, buffer: &[u8]) -> Result<(), SpoolError> {
        self.write_here(buffer, !self.is_clean)
    }

    fn write_here(&mut self, buffer: &[u8], cuts: bool) -> Result<(), SpoolError> {
        let written = (|| {
            if cuts {
                self.file.truncate(self.durable_to)?;
            }
            self.is_clean = false;
            self.file.write_at(buffer, self.durable_to)?;
            self.file.sync_data()
        })();
        written.map_err(|error| SpoolError::io("writing", &self.path, error))?;
        self.is_clean = true;
        self.durable_to += buffer.len() as u64;
        Ok(())
    }

    /// Makes one frame durable.
    pub(crate) fn append(&mut self, facts: FrameFacts, body: &[u8]) -> Result<(), SpoolError> {
        let mut buffer = Vec::with_capacity(body.len() + 256);
        let mut tally = self.tally.clone();
        let sequence = self.push_start(&mut buffer)?;
        let sequence = self.push_frame(&mut buffer, &mut tally, sequence, facts, body)?;
        self.note_first_frame(&buffer);
        self.lengths.rotate_left(1);
        self.lengths[REMEMBERED - 1] = buffer.len();
        let sequence = self.push_padding(&mut buffer, sequence);
        self.write(&buffer)?;
        self.tally = tally;
        self.sequence = sequence;
        self.has_start = true;
        Ok(())
    }

    fn note_first_frame(&mut self, buffer: &[u8]) {
        let end = self.durable_to + buffer.len() as u64;
        self.first_frame_to.get_or_insert(end);
    }

    /// Adds the last frame and the end of the stream; returns the next sequence number.
    fn push_end(
        &mut self,
        buffer: &mut Vec<u8>,
        tally: &mut Tally,
        last: Option<(FrameFacts, &[u8])>,
    ) -> Result<u32, SpoolError> {
        let mut sequence = self.push_start(buffer)?;
        if let Some((facts, body)) = last {
            sequence = self.push_frame(buffer, tally, sequence, facts, body)?;
            self.note_first_frame(buffer);
        }
        if tally.samples == 0 {
            return Err(SpoolError::NothingSaid {
                clip_id: self.header.clip.clip_id.clone(),
            });
        }
        if self.header.clip.body == BodyKind::OggOpus
            && let Some(end) = tally.end
            && !end.has_ended
        {
            let page = closing_page(end, tally.samples);
            sequence = self.push_frame(buffer, tally, sequence, FrameFacts::NONE, &page)?;
        }
        Ok(sequence)
    }

    /// Makes the last frame, the end of the stream and how the words ended durable, in one write; the take stays open. After a
    /// failure it may be tried again, with the same bytes.
    pub(crate) fn hold(
        &mut self,
        last: Option<(FrameFacts, &[u8])>,
        ended_by: EndedBy,
    ) -> Result<(), SpoolError> {
        let mut buffer = Vec::with_capacity(4096);
        let mut tally = self.tally.clone();
        let sequence = self.push_end(&mut buffer, &mut tally, last)?;
        let held = serde_json::to_vec(&Held { ended_by })
            .map_err(|_| self.refuse("how it ended cannot be written"))?;
        push(&mut buffer, self.salt, Kind::Held, sequence, &[&held]);
        self.write(&buffer)?;
        self.tally = tally;
        self.sequence = sequence + 1;
        self.has_start = true;
        Ok(())
    }

    /// Makes the closing record durable, and before it, in the same write, what is still lacking: the last frame and the end of the
    /// stream. After a failure it may be tried again with the same number.
    pub(crate) fn finish(
        &mut self,
        last: Option<(FrameFacts, &[u8])>,
        ending: &Ending,
    ) -> Result<Finished, SpoolError> {
        let mut buffer = Vec::with_capacity(4096);
        let mut tally = self.tally.clone();
        let sequence = self.push_end(&mut buffer, &mut tally, last)?;
        let manifest = manifest(&self.header, self.start, &tally, ending);
        let closing_at = self.durable_to + buffer.len() as u64;
        push(
            &mut buffer,
            self.salt,
            Kind::Closing,
            sequence,
            &[&manifest.to_json()],
        );
        let durable_to = self.durable_to;
        self.write(&buffer)?;
        Ok(Finished {
            manifest,
            closing_at,
            file_bytes: durable_to + buffer.len() as u64,
        })
    }

    /// Marks the take as deleted on purpose, durably; and then overwrites the envelope of a sealed one, so that no key opens what is
    /// left of it, whether or not its name can be removed. The mark stays readable behind it.
    pub(crate) fn mark_discarded(&mut self) -> Result<(), SpoolError> {
        let mut buffer = Vec::new();
        push(&mut buffer, self.salt, Kind::Discarded, self.sequence, &[]);
        let marked_at = self.durable_to;
        // Nothing is cut off: what lies behind the mark is overwritten when the name is gone, and only what the file still has.
        self.write_here(&buffer, false)?;
        let end = self.first_frame_to.filter(|end| *end <= marked_at);
        if let Some(end) = end
            && self.header.clip.body == BodyKind::SealedOggOpus
        {
            let from = PREAMBLE_BYTES as u64;
            let nothing = vec![0; usize::try_from(end - from).unwrap_or(0)];
            self.file
                .write_at(&nothing, from)
                .and_then(|()| self.file.sync_data())
                .map_err(|error| SpoolError::io("overwriting", &self.path, error))?;
        }
        Ok(())
    }
}
