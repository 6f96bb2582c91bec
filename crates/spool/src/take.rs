//! One clip file being written: the same code is used during the recording, when settling a failed write, and in recovery.
//!
//! Owns: how much of the file is durable. Never does: give a number or decide that a take ends. After a failed write nothing past
//! the durable length is believed: the next write cuts the file there first.

use std::path::PathBuf;

use uuid::Uuid;

use super::SpoolError;
use super::clip_file::{CutOff, Ending, Header, StartFacts, Tally, beside, manifest};
use super::disk::DiskFile;
use super::record::{HEAD_BYTES, Kind, MAX_PAYLOAD_BYTES, push, salt};
use booth_contract::FrameFacts;
use booth_contract::ogg_page::closing_page;
use booth_contract::{BodyKind, Manifest};

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

    /// One write, one fdatasync.
    fn write(&mut self, buffer: &[u8]) -> Result<(), SpoolError> {
        let written = (|| {
            if !self.is_clean {
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
        self.lengths.rotate_left(1);
        self.lengths[REMEMBERED - 1] = buffer.len();
        let sequence = self.push_padding(&mut buffer, sequence);
        self.write(&buffer)?;
        self.tally = tally;
        self.sequence = sequence;
        self.has_start = true;
        Ok(())
    }

    /// Makes the last frame, the end of the stream and the closing record durable, in one write. After a failure it may be tried
    /// again with the same number.
    pub(crate) fn finish(
        &mut self,
        last: Option<(FrameFacts, &[u8])>,
        ending: &Ending,
    ) -> Result<Finished, SpoolError> {
        let mut buffer = Vec::with_capacity(4096);
        let mut tally = self.tally.clone();
        let mut sequence = self.push_start(&mut buffer)?;
        if let Some((facts, body)) = last {
            sequence = self.push_frame(&mut buffer, &mut tally, sequence, facts, body)?;
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
            sequence =
                self.push_frame(&mut buffer, &mut tally, sequence, FrameFacts::NONE, &page)?;
        }
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

    /// Marks the take as deleted on purpose, durably.
    pub(crate) fn mark_discarded(&mut self) -> Result<(), SpoolError> {
        let mut buffer = Vec::new();
        push(&mut buffer, self.salt, Kind::Discarded, self.sequence, &[]);
        self.write(&buffer)
    }
}
