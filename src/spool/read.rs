//! Reading clips: the manifest, and any range of the body.
//!
//! Owns: the map from body offsets to file offsets of the clips read last. Never does: change or delete anything.
//! Every frame is checked again when it is read.

use std::collections::VecDeque;
use std::sync::Arc;

use uuid::Uuid;

use super::clip_file::FRAME_FACTS_BYTES;
use super::disk::{DiskFile, Open};
use super::folders::open_clip;
use super::ledger::Entry;
use super::record::{HEAD_BYTES, Head, Kind, PREAMBLE_BYTES, salt};
use super::{Inner, Spool, SpoolError, locked};

/// How many clips stay mapped: the one that is sent and one that is sent again.
const MAPPED_CLIPS: usize = 2;

/// The clips read last, latest first.
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
    file: Box<dyn DiskFile>,
    frames: Vec<FrameAt>,
}

/// One frame's place.
struct FrameAt {
    /// Of its first body byte in the body.
    body_at: u64,
    /// Of its record in the file.
    file_at: u64,
    /// Of its body bytes.
    body_bytes: u64,
}

impl Spool {
    /// The manifest of a clip, byte for byte the same every time.
    pub fn manifest(&self, clip_id: &str) -> Result<Vec<u8>, SpoolError> {
        let (id, entry) = self.inner.entry(clip_id)?;
        let path = self.inner.clip_path(id, &entry);
        let file = open_clip(&self.inner.folders, &path, Open::Read)?;
        let (at, kind) = match entry.offered_at {
            Some(at) => (at, Kind::Offered),
            None => (entry.closing_at, Kind::Closing),
        };
        let (head, payload) = record(file.as_ref(), id, at)?;
        if head.kind == Some(kind) {
            Ok(payload)
        } else {
            Err(damaged(id, "its manifest is not where it was".into()))
        }
    }

    /// At most `len` bytes of the body from `offset` on; fewer only at its end.
    pub fn read_body(&self, clip_id: &str, offset: u64, len: usize) -> Result<Vec<u8>, SpoolError> {
        let (id, entry) = self.inner.entry(clip_id)?;
        let mapped = self.inner.mapped(id, &entry)?;
        let end = entry.clip.bytes.min(offset.saturating_add(len as u64));
        let mut body = Vec::with_capacity(usize::try_from(end.saturating_sub(offset)).unwrap_or(0));
        let first = mapped
            .frames
            .partition_point(|frame| frame.body_at + frame.body_bytes <= offset);
        for frame in mapped.frames[first..]
            .iter()
            .take_while(|frame| frame.body_at < end)
        {
            let (_, payload) = record(mapped.file.as_ref(), id, frame.file_at)?;
            let from = offset.saturating_sub(frame.body_at);
            let to = frame.body_bytes.min(end - frame.body_at);
            let bytes = payload
                .get(FRAME_FACTS_BYTES + from as usize..FRAME_FACTS_BYTES + to as usize)
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
    pub(super) fn clip_path(&self, id: Uuid, entry: &Entry) -> std::path::PathBuf {
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
        let frames = map(file.as_ref(), id, entry)?;
        let mapped = Arc::new(Mapped { id, file, frames });
        reader.mapped.truncate(MAPPED_CLIPS - 1);
        reader.mapped.push_front(Arc::clone(&mapped));
        Ok(mapped)
    }
}

fn damaged(id: Uuid, why: String) -> SpoolError {
    SpoolError::Damaged {
        clip_id: id.to_string(),
        why,
    }
}

fn head(file: &dyn DiskFile, id: Uuid, at: u64) -> Result<Head, SpoolError> {
    let mut bytes = [0; HEAD_BYTES];
    file.read_at(&mut bytes, at)
        .map_err(|error| unreadable(id, at, error))?;
    Head::parse(&bytes).ok_or_else(|| damaged(id, format!("there is no record at byte {at}")))
}

/// A disk that does not answer and a file that is too short look alike to whoever wants the clip.
fn unreadable(id: Uuid, at: u64, error: std::io::Error) -> SpoolError {
    damaged(id, format!("byte {at} cannot be read: {error}"))
}

/// Reads one record and checks it.
pub(super) fn record(
    file: &dyn DiskFile,
    id: Uuid,
    at: u64,
) -> Result<(Head, Vec<u8>), SpoolError> {
    let head = head(file, id, at)?;
    let mut payload = vec![0; head.payload_bytes];
    file.read_at(&mut payload, at + HEAD_BYTES as u64)
        .map_err(|error| unreadable(id, at, error))?;
    if head.fits(salt(id), &payload) {
        Ok((head, payload))
    } else {
        Err(damaged(
            id,
            format!("the record at byte {at} has a wrong checksum"),
        ))
    }
}

/// Finds the frames of a finished clip by their heads alone; their checksums are looked at when they are read.
fn map(file: &dyn DiskFile, id: Uuid, entry: &Entry) -> Result<Vec<FrameAt>, SpoolError> {
    let mut frames = Vec::new();
    let mut at = PREAMBLE_BYTES as u64;
    let mut body_at = 0;
    let mut sequence = 0;
    while at < entry.closing_at {
        let head = head(file, id, at)?;
        if head.sequence != sequence {
            return Err(damaged(
                id,
                format!("the record at byte {at} is out of sequence"),
            ));
        }
        if head.kind == Some(Kind::Frame) {
            let body_bytes = head.payload_bytes.saturating_sub(FRAME_FACTS_BYTES) as u64;
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
