//! Reading clips: the manifest, and any range of the body.
//!
//! Owns: for the clips read last, the map from body offsets to file offsets; and the difference between a card that does not answer
//! ([`SpoolError::Io`]: try again) and a file that is not what was written ([`SpoolError::Damaged`]). Never does: change or delete
//! anything. Every frame is checked again when it is read.

use booth_contract::ClipId;
use booth_contract::FrameFacts;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use super::disk::{DiskFile, Open};
use super::error::is_verdict;
use super::folders::open_clip;
use super::ledger::Entry;
use super::record::{HEAD_BYTES, Head, Kind, PREAMBLE_BYTES, salt};
use super::{Inner, Spool, SpoolError, locked};

/// How many clips stay mapped: the one that is being sent and one that is sent again.
const MAPPED_CLIPS: usize = 2;

/// The clips read last, the latest first.
#[derive(Default)]
pub(super) struct Reader {
    mapped: VecDeque<Arc<Mapped>>,
}

impl Reader {
    pub(super) fn forget(&mut self, id: Uuid) {
        self.mapped.retain(|mapped| mapped.id != id);
    }
}

struct Mapped {
    id: Uuid,
    path: PathBuf,
    file: Box<dyn DiskFile>,
    frames: Vec<FrameAt>,
}

/// Where a frame lies.
struct FrameAt {
    /// Offset in the body of its first byte.
    body_at: u64,
    /// Offset of its record in the file.
    file_at: u64,
    /// Number of its body bytes.
    body_bytes: u64,
}

impl FrameAt {
    /// Offset after the end of its record in the file.
    fn file_end(&self) -> u64 {
        self.file_at + (HEAD_BYTES + FrameFacts::BYTES) as u64 + self.body_bytes
    }
}

impl Spool {
    /// The manifest of a clip, byte for byte the same every time.
    pub fn manifest(&self, clip_id: &ClipId) -> Result<Vec<u8>, SpoolError> {
        let (id, entry) = self.inner.entry(clip_id)?;
        let path = self.inner.clip_path(id, &entry);
        let file = open_clip(&self.inner.folders, &path, Open::Read)?;
        let (at, kind) = match entry.offered_at {
            Some(at) => (at, Kind::Offered),
            None => (entry.closing_at, Kind::Closing),
        };
        let (head, payload) = record(file.as_ref(), &path, id, at)?;
        if head.kind == Some(kind) {
            Ok(payload)
        } else {
            Err(damaged(id, "its manifest is not where it was".into()))
        }
    }

    /// At most `len` bytes of the body from `offset` on; fewer only at its end.
    pub fn read_body(
        &self,
        clip_id: &ClipId,
        offset: u64,
        len: usize,
    ) -> Result<Vec<u8>, SpoolError> {
        let (id, entry) = self.inner.entry(clip_id)?;
        let mapped = self.inner.mapped(id, &entry)?;
        let end = entry.clip.bytes.min(offset.saturating_add(len as u64));
        let mut body = Vec::with_capacity(usize::try_from(end.saturating_sub(offset)).unwrap_or(0));
        let first = mapped
            .frames
            .partition_point(|frame| frame.body_at + frame.body_bytes <= offset);
        let frames = &mapped.frames[first..];
        let frames = &frames[..frames.partition_point(|frame| frame.body_at < end)];
        let (Some(first), Some(last)) = (frames.first(), frames.last()) else {
            return Ok(body);
        };
        // The frames lie one behind the other, so that one read gets all of them.
        let base = first.file_at;
        let mut records = vec![0; (last.file_end() - base) as usize];
        if let Err(error) = mapped.file.read_at(&mut records, base) {
            // The next try opens the file anew.
            locked(&self.inner.reader).forget(id);
            return Err(unreadable(&mapped.path, id, base, error));
        }
        for frame in frames {
            let from = offset.saturating_sub(frame.body_at);
            let to = frame.body_bytes.min(end - frame.body_at);
            let record = &records[(frame.file_at - base) as usize..];
            let bytes = payload(record, id, frame.file_at)?
                .get(FrameFacts::BYTES + from as usize..FrameFacts::BYTES + to as usize)
                .ok_or_else(|| {
                    damaged(
                        id,
                        format!("the record at byte {} has changed", frame.file_at),
                    )
                })?;
            body.extend_from_slice(bytes);
        }
        Ok(body)
    }
}

impl Inner {
    pub(super) fn clip_path(&self, id: Uuid, entry: &Entry) -> PathBuf {
        let folder = match entry.quarantine {
            Some(_) => &self.folders.quarantine,
            None => &self.folders.clips,
        };
        self.folders.clip(folder, id)
    }

    fn mapped(&self, id: Uuid, entry: &Entry) -> Result<Arc<Mapped>, SpoolError> {
        let mut reader = locked(&self.reader);
        if let Some(at) = reader.mapped.iter().position(|mapped| mapped.id == id)
            && let Some(mapped) = reader.mapped.remove(at)
        {
            reader.mapped.push_front(Arc::clone(&mapped));
            return Ok(mapped);
        }
        let path = self.clip_path(id, entry);
        let file = open_clip(&self.folders, &path, Open::Read)?;
        let frames = map(file.as_ref(), &path, id, entry)?;
        let mapped = Arc::new(Mapped {
            id,
            path,
            file,
            frames,
        });
        reader.mapped.truncate(MAPPED_CLIPS - 1);
        reader.mapped.push_front(Arc::clone(&mapped));
        Ok(mapped)
    }
}

fn damaged(id: Uuid, why: String) -> SpoolError {
    SpoolError::Damaged {
        clip_id: id.to_string().into(),
        why,
    }
}

/// The error of a failed read: a file that is too short is damaged; a card that does not answer says nothing about the file.
fn unreadable(path: &Path, id: Uuid, at: u64, error: std::io::Error) -> SpoolError {
    if is_verdict(&error) {
        return damaged(id, format!("it ends before byte {at} and what follows"));
    }
    SpoolError::io("reading", path, error)
}

fn no_record(id: Uuid, at: u64) -> SpoolError {
    damaged(id, format!("there is no record at byte {at}"))
}

/// The checked payload of the record at the beginning of `bytes`, which are the file from byte `at` on.
fn payload(bytes: &[u8], id: Uuid, at: u64) -> Result<&[u8], SpoolError> {
    let (head, rest) = bytes
        .split_first_chunk::<HEAD_BYTES>()
        .and_then(|(head, rest)| Some((Head::parse(head)?, rest)))
        .ok_or_else(|| no_record(id, at))?;
    rest.get(..head.payload_bytes)
        .filter(|payload| head.fits(salt(id), payload))
        .ok_or_else(|| damaged(id, format!("the record at byte {at} has a wrong checksum")))
}

/// Reads one record and checks it.
pub(super) fn record(
    file: &dyn DiskFile,
    path: &Path,
    id: Uuid,
    at: u64,
) -> Result<(Head, Vec<u8>), SpoolError> {
    let head = Heads::new(file, path, id, at + HEAD_BYTES as u64).at(at)?;
    let mut payload = vec![0; head.payload_bytes];
    file.read_at(&mut payload, at + HEAD_BYTES as u64)
        .map_err(|error| unreadable(path, id, at, error))?;
    if head.fits(salt(id), &payload) {
        Ok((head, payload))
    } else {
        Err(damaged(
            id,
            format!("the record at byte {at} has a wrong checksum"),
        ))
    }
}

/// Reads heads of records one after another, from blocks of the file.
struct Heads<'a> {
    file: &'a dyn DiskFile,
    path: &'a Path,
    id: Uuid,
    /// Offset from which on nothing is read.
    end: u64,
    block: Vec<u8>,
    block_at: u64,
}

impl<'a> Heads<'a> {
    /// A block holds a dozen seconds of speech.
    const BLOCK_BYTES: u64 = 32 * 1024;

    fn new(file: &'a dyn DiskFile, path: &'a Path, id: Uuid, end: u64) -> Self {
        Self {
            file,
            path,
            id,
            end,
            block: Vec::new(),
            block_at: 0,
        }
    }

    /// The head at `at`; its checksum is not verified.
    fn at(&mut self, at: u64) -> Result<Head, SpoolError> {
        let wanted = at + HEAD_BYTES as u64;
        if at < self.block_at || wanted > self.block_at + self.block.len() as u64 {
            let bytes = self.end.saturating_sub(at).min(Self::BLOCK_BYTES);
            self.block.clear();
            self.block.resize(bytes as usize, 0);
            self.block_at = at;
            self.file
                .read_at(&mut self.block, at)
                .map_err(|error| unreadable(self.path, self.id, at, error))?;
        }
        self.block
            .get((at - self.block_at) as usize..)
            .and_then(|bytes| bytes.first_chunk())
            .and_then(Head::parse)
            .ok_or_else(|| no_record(self.id, at))
    }
}

/// Finds the frames of a finished clip by their heads alone; their checksums are verified when the frames are read.
fn map(
    file: &dyn DiskFile,
    path: &Path,
    id: Uuid,
    entry: &Entry,
) -> Result<Vec<FrameAt>, SpoolError> {
    let mut heads = Heads::new(file, path, id, entry.closing_at);
    let mut frames = Vec::new();
    let mut at = PREAMBLE_BYTES as u64;
    let mut body_at = 0;
    let mut sequence = 0;
    while at < entry.closing_at {
        let head = heads.at(at)?;
        if head.sequence != sequence {
            return Err(damaged(
                id,
                format!("the record at byte {at} is out of sequence"),
            ));
        }
        if head.kind == Some(Kind::Frame) {
            let body_bytes = head.payload_bytes.saturating_sub(FrameFacts::BYTES) as u64;
            frames.push(FrameAt {
                body_at,
                file_at: at,
                body_bytes,
            });
            body_at += body_bytes;
        }
        at += (HEAD_BYTES + head.payload_bytes) as u64;
        sequence += 1;
    }
    if body_at == entry.clip.bytes {
        Ok(frames)
    } else {
        let why = format!(
            "it holds {body_at} bytes of body instead of {}",
            entry.clip.bytes
        );
        Err(damaged(id, why))
    }
}
