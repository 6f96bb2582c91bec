//! The clips on the card: a citizen's words from the first half second until a receipt releases them.
//!
//! Owns: the clip files, `card.json`, the ledger, and the next `clip_no`. Never does: delete a clip
//! without a [`Receipt`], overwrite one, or believe the ledger over a clip file. A failure leaves the
//! file as it is; the next start, or [`Spool::mend`], finishes it. The format is in
//! `docs/spool-format.md`.

pub mod disk;
pub mod format;
mod ledger;
mod ogg_end;
mod open;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::contract::EndedBy;
use crate::gateway::delivery::Receipt;
pub use disk::{Disk, DiskFile};
use format::{
    Closing, Header, Kind, Levels, MAGIC, Piece, facts_bytes, hex, manifest, parse, push_record,
};
pub use format::{FrameFacts, NewClip, Start};
use ledger::Ledger;
pub use open::{OpenFacts, OpenReport, discarded_record};

/// What went wrong on the card.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Somebody else has it.
    #[error(
        "{0}: another gateway uses this spool; stop it first, or give each its own [spool] dir"
    )]
    Locked(PathBuf),
    /// The operating system says no.
    #[error(
        "{path}: cannot {verb}: {source}; check that the file system is there, writable and has room"
    )]
    Io {
        /// What was tried.
        verb: &'static str,
        /// Where.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// No room for another recording.
    #[error("{0}")]
    Full(String),
    /// Writing failed in a way that only a restart can sort out.
    #[error("the spool is closed until the next start: {0}")]
    Closed(String),
    /// The ledger failed even after it was made anew.
    #[error("the ledger cannot be used: {0}")]
    Ledger(String),
    /// The clip is not there, or not finished.
    #[error("clip {0} is not in the spool")]
    Unknown(String),
    /// A clip file that was fine cannot be read any more.
    #[error("clip {0} cannot be read any more")]
    Damaged(String),
    /// A receipt for another body.
    #[error("the receipt for clip {0} names another body; the clip stays")]
    WrongReceipt(String),
}

impl SpoolError {
    fn io(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { verb, path, source }
    }
}

/// How much may be kept.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// All clips together, bytes.
    pub max_bytes: u64,
    /// What the file system keeps free, bytes.
    pub reserve_bytes: u64,
}

/// A finished clip, small enough to know thousands of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptClip {
    /// UUID v4.
    pub clip_id: String,
    /// Its number on its card.
    pub clip_no: u64,
    /// The card it was spoken on.
    pub card_id: String,
    /// Size of the body, bytes.
    pub bytes: u64,
    /// Of the body, hex.
    pub sha256: String,
    /// Length of the recording.
    pub duration_ms: u64,
    /// What ended it.
    pub ended_by: EndedBy,
    /// Finished by recovery.
    pub recovered: bool,
    /// Wall clock at its start, RFC 3339.
    pub started_at: Option<String>,
    /// Level for health.
    pub rms_dbfs: Option<f64>,
    /// Share of frames with speech.
    pub speech_ratio: f64,
    /// Length of the clip file.
    file_len: u64,
    /// Where the closing record begins.
    closing_at: u64,
}

/// Who this card is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Random, made at the card's first start.
    pub card_id: String,
    /// The one before, if its identity could not be read any more.
    #[serde(default)]
    pub previous_card_id: Option<String>,
    /// RFC 3339.
    pub first_seen: String,
    /// How often the machine has started with this card.
    pub boot_count: u64,
    /// The boot that was counted last.
    pub last_boot_id: String,
    /// Every clip of this card up to here may be gone.
    #[serde(default)]
    pub clip_no_floor: u64,
    /// A copy of the counters from the last time this file was written.
    #[serde(default)]
    pub counters: BTreeMap<String, u64>,
}

/// Whether the spool takes another recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Room {
    /// It does.
    Free,
    /// There is no room; the sentence says which limit.
    Full(String),
    /// It cannot be written.
    Unwritable(String),
}

/// Figures for health.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Figures {
    /// Clips waiting.
    pub clips: u64,
    /// Their files, bytes.
    pub bytes: u64,
    /// In quarantine.
    pub quarantined: u64,
    /// Highest number given.
    pub last_clip_no: u64,
    /// Lowest number of this card still here.
    pub oldest_clip_no: Option<u64>,
    /// Free on the file system, bytes.
    pub free_bytes: Option<u64>,
    /// 95th percentile of the last 200 fdatasyncs, ms.
    pub fsync_p95_ms: Option<f64>,
    /// Written by the spool since the start, bytes.
    pub written_bytes: u64,
}

/// Handle on the spool; clones share it. Calls block on the card.
#[derive(Clone)]
pub struct Spool {
    inner: Arc<Inner>,
}

struct Inner {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    limits: Limits,
    state: Mutex<State>,
    _lock: Box<dyn Send + Sync>,
}

struct State {
    card: Card,
    clips: BTreeMap<String, KeptClip>,
    ledger: Ledger,
    next_clip_no: u64,
    /// Files being written or left unfinished; recovery must not touch the first, `mend` takes the second.
    writing: HashSet<String>,
    unfinished: HashSet<String>,
    quarantined: u64,
    used_bytes: u64,
    closed: Option<String>,
    body_index: Option<(String, Vec<Piece>)>,
    fsyncs_ms: VecDeque<f64>,
    written_bytes: u64,
}

impl Spool {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while holding it is a bug that ends the process; the state itself is never half-changed.
        self.inner
            .state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn clip_path(&self, clip_id: &str) -> PathBuf {
        self.inner.dir.join("clips").join(format!("{clip_id}.clip"))
    }

    /// Who this card is.
    pub fn card(&self) -> Card {
        self.state().card.clone()
    }

    /// Every finished clip, oldest first.
    pub fn clips(&self) -> Vec<KeptClip> {
        let mut clips: Vec<KeptClip> = self.state().clips.values().cloned().collect();
        clips.sort_by(|a, b| {
            (a.started_at.as_deref(), a.clip_no).cmp(&(b.started_at.as_deref(), b.clip_no))
        });
        clips
    }

    /// Whether a recording may begin.
    pub fn room(&self) -> Room {
        let state = self.state();
        if let Some(why) = &state.closed {
            return Room::Unwritable(why.clone());
        }
        let Limits {
            max_bytes,
            reserve_bytes,
        } = self.inner.limits;
        if state.used_bytes >= max_bytes {
            return Room::Full(format!(
                "unsent clips fill {} of the {max_bytes} bytes that [spool] max_bytes allows",
                state.used_bytes
            ));
        }
        drop(state);
        match self.inner.disk.free_bytes(&self.inner.dir) {
            Ok(free) if free < reserve_bytes => Room::Full(format!(
                "the file system has {free} bytes free, less than [spool] reserve_bytes ({reserve_bytes})"
            )),
            Ok(_) => Room::Free,
            Err(error) => Room::Unwritable(format!("{}: {error}", self.inner.dir.display())),
        }
    }

    /// Figures for health.
    pub fn figures(&self) -> Figures {
        let free_bytes = self.inner.disk.free_bytes(&self.inner.dir).ok();
        let state = self.state();
        let mut fsyncs: Vec<f64> = state.fsyncs_ms.iter().copied().collect();
        fsyncs.sort_by(f64::total_cmp);
        let own = |clip: &&KeptClip| clip.card_id == state.card.card_id;
        Figures {
            clips: state.clips.len() as u64,
            bytes: state.used_bytes,
            quarantined: state.quarantined,
            last_clip_no: state.next_clip_no - 1,
            oldest_clip_no: state
                .clips
                .values()
                .filter(own)
                .map(|clip| clip.clip_no)
                .min(),
            free_bytes,
            fsync_p95_ms: fsyncs
                .get((fsyncs.len() * 95 / 100).min(fsyncs.len().saturating_sub(1)))
                .copied(),
            written_bytes: state.written_bytes,
        }
    }

    /// Opens a clip file: the header, the file and its folder entry are durable when this returns.
    pub fn begin(&self, clip: NewClip, pre_skip: u32) -> Result<ClipWriter, SpoolError> {
        match self.room() {
            Room::Free => {}
            Room::Full(why) => return Err(SpoolError::Full(why)),
            Room::Unwritable(why) => return Err(SpoolError::Closed(why)),
        }
        let clip_id = clip.clip_id.clone();
        let path = self.clip_path(&clip_id);
        let header = Header {
            clip,
            card_id: self.state().card.card_id.clone(),
            pre_skip,
        };
        let json = serde_json::to_vec(&header).expect("a header holds only text and numbers");
        let mut bytes = MAGIC.to_vec();
        push_record(&mut bytes, 0, Kind::Header, &[&json]);
        self.state().writing.insert(clip_id.clone());
        let begun = (|| {
            let mut file = self
                .inner
                .disk
                .create(&path)
                .map_err(SpoolError::io("make", &path))?;
            self.write(&mut *file, &bytes)
                .map_err(SpoolError::io("write", &path))?;
            let folder = self.inner.dir.join("clips");
            self.inner
                .disk
                .sync_dir(&folder)
                .map_err(SpoolError::io("sync", &folder))?;
            Ok(file)
        })();
        match begun {
            Ok(file) => Ok(ClipWriter {
                spool: self.clone(),
                header,
                start: None,
                file,
                path,
                seq: 1,
                len: bytes.len() as u64,
                body: 0,
                hash: Sha256::new(),
                levels: Levels::default(),
                done: false,
            }),
            Err(error) => {
                let mut state = self.state();
                state.writing.remove(&clip_id);
                state.unfinished.insert(clip_id);
                Err(error)
            }
        }
    }

    /// One write and one fdatasync, timed.
    #[allow(clippy::disallowed_methods)] // measures the card, decides nothing
    fn write(&self, file: &mut dyn DiskFile, bytes: &[u8]) -> io::Result<()> {
        file.append(bytes)?;
        let before = Instant::now();
        file.sync_data()?;
        let ms = before.elapsed().as_secs_f64() * 1000.0;
        let mut state = self.state();
        state.written_bytes += bytes.len() as u64;
        if state.fsyncs_ms.len() == 200 {
            state.fsyncs_ms.pop_front();
        }
        state.fsyncs_ms.push_back(ms);
        Ok(())
    }

    /// The manifest's bytes: the same at every call, with or without a ledger.
    pub fn manifest(&self, clip_id: &str) -> Result<Vec<u8>, SpoolError> {
        let (closing_at, file_len) = self
            .state()
            .clips
            .get(clip_id)
            .map(|clip| (clip.closing_at, clip.file_len))
            .ok_or_else(|| SpoolError::Unknown(clip_id.into()))?;
        let path = self.clip_path(clip_id);
        let damaged = || SpoolError::Damaged(clip_id.into());
        let read = |offset, len| {
            self.inner
                .disk
                .read_at(&path, offset, len)
                .map_err(SpoolError::io("read", &path))
        };
        let head = read(0, 8192)?;
        let opening = parse(&head).ok_or_else(damaged)?;
        let tail = read(closing_at, (file_len - closing_at) as usize)?;
        let seq = tail
            .get(4..8)
            .and_then(|bytes| bytes.try_into().ok())
            .map(u32::from_le_bytes);
        let closing: Closing = seq
            .and_then(|seq| format::record_at(&tail, 0, seq))
            .filter(|(kind, _)| *kind == Kind::Closing)
            .and_then(|(_, payload)| serde_json::from_slice(payload).ok())
            .ok_or_else(damaged)?;
        Ok(manifest(&opening.header, opening.start.as_ref(), &closing).to_json())
    }

    /// Up to `len` bytes of the body from `offset`.
    pub fn read_body(&self, clip_id: &str, offset: u64, len: usize) -> Result<Vec<u8>, SpoolError> {
        let path = self.clip_path(clip_id);
        let mut state = self.state();
        if !state.clips.contains_key(clip_id) {
            return Err(SpoolError::Unknown(clip_id.into()));
        }
        if state
            .body_index
            .as_ref()
            .is_none_or(|(indexed, _)| indexed != clip_id)
        {
            let bytes = self
                .inner
                .disk
                .read(&path)
                .map_err(SpoolError::io("read", &path))?;
            let parsed = parse(&bytes).ok_or_else(|| SpoolError::Damaged(clip_id.into()))?;
            state.body_index = Some((clip_id.into(), parsed.pieces));
        }
        let pieces = state
            .body_index
            .as_ref()
            .map(|(_, pieces)| pieces.as_slice())
            .unwrap_or_default();
        let end = offset.saturating_add(len as u64);
        let wanted: Vec<Piece> = pieces
            .iter()
            .filter(|piece| piece.body < end && piece.body + piece.len > offset)
            .copied()
            .collect();
        drop(state);
        let Some((first, last)) = wanted.first().zip(wanted.last()) else {
            return Ok(Vec::new());
        };
        let span = (last.file + last.len - first.file) as usize;
        let raw = self
            .inner
            .disk
            .read_at(&path, first.file, span)
            .map_err(SpoolError::io("read", &path))?;
        let mut out = Vec::with_capacity(len);
        for piece in &wanted {
            let at = (piece.file - first.file) as usize;
            let from = offset.saturating_sub(piece.body) as usize;
            let to = (end - piece.body).min(piece.len) as usize;
            let bytes = raw
                .get(at + from..at + to)
                .ok_or_else(|| SpoolError::Damaged(clip_id.into()))?;
            out.extend_from_slice(bytes);
        }
        Ok(out)
    }

    /// Deletes clips that were confirmed (or withdrawn) by their very hash. One floor, one folder
    /// sync and one ledger flush for all of them.
    pub fn release(&self, receipts: Vec<Receipt>) -> Result<(), SpoolError> {
        let mut state = self.state();
        let mut gone = Vec::new();
        for receipt in &receipts {
            match state.clips.get(receipt.clip_id()) {
                Some(clip) if clip.sha256 == receipt.sha256() => gone.push(clip.clone()),
                Some(_) => return Err(SpoolError::WrongReceipt(receipt.clip_id().into())),
                None => {} // a receipt that came twice
            }
        }
        let own = &state.card.card_id;
        let highest = gone
            .iter()
            .filter(|clip| clip.card_id == *own)
            .map(|clip| clip.clip_no)
            .max();
        if highest.is_some_and(|highest| highest > state.card.clip_no_floor) {
            let mut card = state.card.clone();
            card.clip_no_floor = state.next_clip_no - 1;
            card.counters = state.ledger.counters();
            self.publish_card(&card)?;
            state.card = card;
        }
        for clip in &gone {
            let path = self.clip_path(&clip.clip_id);
            match self.inner.disk.remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(SpoolError::io("delete", &path)(error));
                }
                _ => {}
            }
            state.clips.remove(&clip.clip_id);
            state.used_bytes = state.used_bytes.saturating_sub(clip.file_len);
            state
                .ledger
                .remove_clip(&clip.clip_id)
                .map_err(SpoolError::Ledger)?;
        }
        if !gone.is_empty() {
            let folder = self.inner.dir.join("clips");
            self.inner
                .disk
                .sync_dir(&folder)
                .map_err(SpoolError::io("sync", &folder))?;
            state.ledger.flush().map_err(SpoolError::Ledger)?;
        }
        Ok(())
    }

    /// Moves a refused clip where it is kept and no longer sent.
    pub fn quarantine(&self, clip_id: &str) -> Result<(), SpoolError> {
        let mut state = self.state();
        let Some(clip) = state.clips.get(clip_id).cloned() else {
            return Ok(());
        };
        let from = self.clip_path(clip_id);
        let folder = self.inner.dir.join("quarantine");
        let to = folder.join(format!("{clip_id}.clip"));
        self.inner
            .disk
            .rename(&from, &to)
            .map_err(SpoolError::io("move", &from))?;
        for dir in [folder, self.inner.dir.join("clips")] {
            self.inner
                .disk
                .sync_dir(&dir)
                .map_err(SpoolError::io("sync", &dir))?;
        }
        state.clips.remove(clip_id);
        state.quarantined += 1;
        state.used_bytes = state.used_bytes.saturating_sub(clip.file_len);
        state
            .ledger
            .remove_clip(clip_id)
            .map_err(SpoolError::Ledger)?;
        state.ledger.flush().map_err(SpoolError::Ledger)
    }

    /// Saved counters.
    pub fn counters(&self) -> BTreeMap<String, u64> {
        let state = self.state();
        let saved = state.ledger.counters();
        if saved.is_empty() {
            state.card.counters.clone()
        } else {
            saved
        }
    }

    /// Saves counters durably.
    pub fn save_counters(&self, counters: &BTreeMap<String, u64>) -> Result<(), SpoolError> {
        let state = self.state();
        state
            .ledger
            .put_counters(counters)
            .map_err(SpoolError::Ledger)?;
        state.ledger.flush().map_err(SpoolError::Ledger)
    }

    fn publish_card(&self, card: &Card) -> Result<(), SpoolError> {
        let path = self.inner.dir.join("card.json");
        let json = serde_json::to_vec_pretty(card).expect("a card holds only text and numbers");
        self.inner
            .disk
            .publish(&path, &json)
            .map_err(SpoolError::io("publish", &path))
    }
}

/// One clip being written. Dropped without an end, its file is left for recovery.
pub struct ClipWriter {
    spool: Spool,
    header: Header,
    start: Option<Start>,
    file: Box<dyn DiskFile>,
    path: PathBuf,
    seq: u32,
    len: u64,
    body: u64,
    hash: Sha256,
    levels: Levels,
    done: bool,
}

impl ClipWriter {
    /// The clip's id.
    pub fn clip_id(&self) -> &str {
        &self.header.clip.clip_id
    }

    /// Kept speech so far, ms.
    pub fn duration_ms(&self) -> u64 {
        self.levels.duration_ms()
    }

    /// Appends half a second of the body; durable when this returns. The first frame also says when it began.
    pub fn append(
        &mut self,
        start: &Start,
        body: &[u8],
        facts: FrameFacts,
    ) -> Result<(), SpoolError> {
        let mut bytes = Vec::with_capacity(body.len() + 512);
        self.push_frame(&mut bytes, start, body, facts);
        self.write(&bytes)
    }

    fn push_frame(&mut self, bytes: &mut Vec<u8>, start: &Start, body: &[u8], facts: FrameFacts) {
        if self.start.is_none() {
            let json = serde_json::to_vec(start).expect("a start holds only text and numbers");
            push_record(bytes, self.seq, Kind::Start, &[&json]);
            self.seq += 1;
            self.start = Some(start.clone());
        }
        push_record(bytes, self.seq, Kind::Frame, &[&facts_bytes(facts), body]);
        self.seq += 1;
        self.hash.update(body);
        self.body += body.len() as u64;
        self.levels.add(facts);
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), SpoolError> {
        let spool = self.spool.clone();
        spool
            .write(&mut *self.file, bytes)
            .map_err(SpoolError::io("write", &self.path))?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Appends the last frame and closes the clip; this write gives the clip its number.
    pub fn finish(
        mut self,
        start: &Start,
        body: &[u8],
        facts: FrameFacts,
        ended_by: EndedBy,
    ) -> Result<KeptClip, SpoolError> {
        let mut bytes = Vec::with_capacity(body.len() + 1024);
        self.push_frame(&mut bytes, start, body, facts);
        self.close(bytes, ended_by, false)
    }

    /// Writes `bytes` and the closing record. The number is taken under the lock and given back only
    /// when the write surely did not reach the card.
    fn close(
        &mut self,
        mut bytes: Vec<u8>,
        ended_by: EndedBy,
        recovered: bool,
    ) -> Result<KeptClip, SpoolError> {
        let spool = self.spool.clone();
        let clip_no = {
            let mut state = spool.state();
            if self.header.card_id != state.card.card_id {
                // Another card's clip, finished here: its number follows that card's own highest.
                let theirs = |clip: &&KeptClip| clip.card_id == self.header.card_id;
                state
                    .clips
                    .values()
                    .filter(theirs)
                    .map(|clip| clip.clip_no)
                    .max()
                    .unwrap_or(0)
                    + 1
            } else {
                state.next_clip_no += 1;
                state.next_clip_no - 1
            }
        };
        let closing = Closing {
            clip_no,
            ended_by,
            recovered,
            duration_ms: self.levels.duration_ms(),
            bytes: self.body,
            sha256: hex(&self.hash.clone().finalize()),
            rms_dbfs: self.levels.rms_dbfs(),
            peak_dbfs: self.levels.peak_dbfs(),
            speech_ratio: self.levels.speech_ratio(),
        };
        let json = serde_json::to_vec(&closing).expect("a closing holds only text and numbers");
        let before = self.len;
        let closing_at = before + bytes.len() as u64;
        push_record(&mut bytes, self.seq, Kind::Closing, &[&json]);
        if let Err(error) = self.write(&bytes) {
            self.take_back(clip_no, before);
            return Err(error);
        }
        self.done = true;
        let kept = kept_clip(
            &self.header,
            self.start.as_ref(),
            &closing,
            self.len,
            closing_at,
        );
        let mut state = spool.state();
        state.writing.remove(&kept.clip_id);
        state.used_bytes += kept.file_len;
        state.clips.insert(kept.clip_id.clone(), kept.clone());
        // The clip is durable already; a ledger that fails costs a slower start, not a word.
        if let Err(error) = state
            .ledger
            .put_clip(&kept)
            .and_then(|()| state.ledger.flush())
        {
            log::warn!("the ledger cannot be written: {error}");
        }
        Ok(kept)
    }

    /// After a failed closing write: cut the file back so that the number is surely unused, or close the spool.
    fn take_back(&mut self, clip_no: u64, len: u64) {
        let cut = self.spool.inner.disk.reopen(&self.path, len);
        let mut state = self.spool.state();
        match cut {
            Ok(_) if state.next_clip_no == clip_no + 1 => state.next_clip_no = clip_no,
            Ok(_) => {}
            Err(error) => {
                let why =
                    format!("a clip could not be closed, and not be cut back either: {error}");
                state.closed = Some(why);
            }
        }
    }

    /// Deletes the take on purpose: marked durably first, so that recovery never brings it back.
    pub fn discard(mut self) -> Result<(), SpoolError> {
        let mut bytes = Vec::new();
        push_record(&mut bytes, self.seq, Kind::Discarded, &[]);
        self.write(&bytes)?;
        self.done = true;
        let disk = &self.spool.inner.disk;
        disk.remove(&self.path)
            .map_err(SpoolError::io("delete", &self.path))?;
        let folder = self.spool.inner.dir.join("clips");
        disk.sync_dir(&folder)
            .map_err(SpoolError::io("sync", &folder))?;
        self.spool.state().writing.remove(self.clip_id());
        Ok(())
    }
}

impl Drop for ClipWriter {
    fn drop(&mut self) {
        if !self.done {
            let mut state = self.spool.state();
            state.writing.remove(&self.header.clip.clip_id);
            state.unfinished.insert(self.header.clip.clip_id.clone());
        }
    }
}

fn kept_clip(
    header: &Header,
    start: Option<&Start>,
    closing: &Closing,
    file_len: u64,
    closing_at: u64,
) -> KeptClip {
    KeptClip {
        clip_id: header.clip.clip_id.clone(),
        clip_no: closing.clip_no,
        card_id: header.card_id.clone(),
        bytes: closing.bytes,
        sha256: closing.sha256.clone(),
        duration_ms: closing.duration_ms,
        ended_by: closing.ended_by,
        recovered: closing.recovered,
        started_at: start.map(|start| start.started_at.clone()),
        rms_dbfs: closing.rms_dbfs,
        speech_ratio: closing.speech_ratio,
        file_len,
        closing_at,
    }
}
