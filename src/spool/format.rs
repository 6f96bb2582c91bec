//! The clip file: records in, records out (`docs/spool-format.md`). Pure.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::contract::{BodyKind, BoothId, ClipKind, Consent, EndedBy, Manifest, SCHEMA};

/// First bytes of every clip file.
pub const MAGIC: &[u8; 8] = b"BOOTHCL1";
const HEAD: usize = 16;
const FACTS: usize = 16;
/// Largest payload of one record, in bytes.
pub const MAX_PAYLOAD: usize = 262_144;

/// What is known when a recording is armed; the first record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewClip {
    /// UUID v4.
    pub clip_id: String,
    /// The booth where it is spoken.
    pub booth_id: BoothId,
    /// The kernel's boot id.
    pub boot_id: String,
    /// The question it answers.
    pub question_id: Option<String>,
    /// The campaign, where the centre has set one.
    pub campaign_id: Option<String>,
    /// Language of the prompts.
    pub lang: String,
    /// How consent was given.
    pub consent: Consent,
    /// Made in service mode.
    pub test: bool,
    /// Encoder's bit rate, bit/s.
    pub bitrate: u32,
}

/// The first record as written: what was armed, and on which card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// What was armed.
    #[serde(flatten)]
    pub clip: NewClip,
    /// The card it is on.
    pub card_id: String,
    /// Encoder delay in samples at 48 kHz (RFC 7845 §4.2), needed to end a stream that was cut.
    pub pre_skip: u32,
}

/// When the first kept sample was captured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// RFC 3339 UTC with milliseconds.
    pub started_at: String,
    /// Boot-time clock, ms.
    pub started_mono_ms: u64,
    /// Whether the wall clock could be believed then.
    pub clock_synced: bool,
}

/// Levels of one frame, kept beside it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct FrameFacts {
    /// Kept samples at 48 kHz.
    pub samples: u32,
    /// Mean of the squared samples, full scale = 1.0.
    pub mean_square: f32,
    /// Largest magnitude, 0 to 32 768.
    pub peak: u16,
    /// Somebody spoke.
    pub speech: bool,
}

/// The last record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // as in the manifest
pub struct Closing {
    pub clip_no: u64,
    pub ended_by: EndedBy,
    pub recovered: bool,
    pub duration_ms: u64,
    pub bytes: u64,
    pub sha256: String,
    pub rms_dbfs: Option<f64>,
    pub peak_dbfs: Option<f64>,
    pub speech_ratio: f64,
}

/// Kinds of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Kind {
    Header = 1,
    Start = 2,
    Frame = 3,
    Closing = 4,
    Discarded = 5,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        [
            Kind::Header,
            Kind::Start,
            Kind::Frame,
            Kind::Closing,
            Kind::Discarded,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == byte)
    }
}

/// Appends one record to `out`.
pub fn push_record(out: &mut Vec<u8>, seq: u32, kind: Kind, payload: &[&[u8]]) {
    let length: usize = payload.iter().map(|piece| piece.len()).sum();
    assert!(
        length <= MAX_PAYLOAD,
        "a record of {length} bytes is not a clip's"
    );
    let mut head = [0; 12];
    head[..4].copy_from_slice(&(length as u32).to_le_bytes());
    head[4..8].copy_from_slice(&seq.to_le_bytes());
    head[8] = kind as u8;
    let crc = payload.iter().fold(crc32c::crc32c(&head), |crc, piece| {
        crc32c::crc32c_append(crc, piece)
    });
    out.extend_from_slice(&head);
    out.extend_from_slice(&crc.to_le_bytes());
    for piece in payload {
        out.extend_from_slice(piece);
    }
}

/// The facts as they stand before a frame's payload.
pub fn facts_bytes(facts: FrameFacts) -> [u8; FACTS] {
    let mut bytes = [0; FACTS];
    bytes[..4].copy_from_slice(&facts.samples.to_le_bytes());
    bytes[4..8].copy_from_slice(&facts.mean_square.to_le_bytes());
    bytes[8..10].copy_from_slice(&facts.peak.to_le_bytes());
    bytes[10] = u8::from(facts.speech);
    bytes
}

fn facts_of(bytes: &[u8]) -> Option<FrameFacts> {
    Some(FrameFacts {
        samples: u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?),
        mean_square: f32::from_le_bytes(bytes.get(4..8)?.try_into().ok()?),
        peak: u16::from_le_bytes(bytes.get(8..10)?.try_into().ok()?),
        speech: *bytes.get(10)? == 1,
    })
}

/// Reads one record at `at`; `None` where the file ends or a torn tail begins.
pub fn record_at(bytes: &[u8], at: usize, seq: u32) -> Option<(Kind, &[u8])> {
    let head = bytes.get(at..at.checked_add(HEAD)?)?;
    let length = u32::from_le_bytes(head[..4].try_into().ok()?) as usize;
    if length > MAX_PAYLOAD || u32::from_le_bytes(head[4..8].try_into().ok()?) != seq {
        return None;
    }
    let payload = bytes.get(at + HEAD..at + HEAD + length)?;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&head[..12]), payload);
    if crc != u32::from_le_bytes(head[12..16].try_into().ok()?) {
        return None;
    }
    Some((Kind::of(head[8])?, payload))
}

/// Sums levels over frames.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Levels {
    samples: u64,
    squares: f64,
    peak: u16,
    frames: u32,
    speech: u32,
}

impl Levels {
    /// Takes one frame in. Empty frames (an end page) change nothing.
    pub fn add(&mut self, facts: FrameFacts) {
        if facts.samples == 0 {
            return;
        }
        self.samples += u64::from(facts.samples);
        self.squares += f64::from(facts.mean_square) * f64::from(facts.samples);
        self.peak = self.peak.max(facts.peak);
        self.frames += 1;
        self.speech += u32::from(facts.speech);
    }

    /// Kept speech in ms.
    pub fn duration_ms(&self) -> u64 {
        self.samples / 48
    }

    /// Kept samples.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Root mean square, dB of full scale; `None` for digital silence.
    pub fn rms_dbfs(&self) -> Option<f64> {
        let mean = self.squares / self.samples.max(1) as f64;
        (mean > 0.0).then(|| tenth(10.0 * mean.log10()))
    }

    /// Peak, dB of full scale; `None` for digital silence.
    pub fn peak_dbfs(&self) -> Option<f64> {
        (self.peak > 0).then(|| tenth(20.0 * (f64::from(self.peak) / 32_768.0).log10()))
    }

    /// Share of frames with speech.
    pub fn speech_ratio(&self) -> f64 {
        (f64::from(self.speech) / f64::from(self.frames.max(1)) * 100.0).round() / 100.0
    }
}

fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// Where a piece of the body lies in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Offset in the body.
    pub body: u64,
    /// Offset in the file.
    pub file: u64,
    /// Length in bytes.
    pub len: u64,
}

/// A clip file taken apart.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// First record.
    pub header: Header,
    /// Time of the first sample; there with the first frame.
    pub start: Option<Start>,
    /// Last record, if the clip is finished.
    pub closing: Option<Closing>,
    /// Deleted on purpose.
    pub discarded: bool,
    /// Where the body lies.
    pub pieces: Vec<Piece>,
    /// Levels of all frames.
    pub levels: Levels,
    /// Length of the valid part, bytes.
    pub valid: u64,
    /// Offset of the closing record.
    pub closing_at: u64,
    /// Sequence of the next record.
    pub next_seq: u32,
}

impl Parsed {
    /// Length of the body, bytes.
    pub fn body_len(&self) -> u64 {
        self.pieces.last().map_or(0, |piece| piece.body + piece.len)
    }

    /// SHA-256 over the body in `bytes`, the whole file.
    pub fn body_hash(&self, bytes: &[u8]) -> Sha256 {
        let mut hash = Sha256::new();
        for piece in &self.pieces {
            hash.update(&bytes[piece.file as usize..(piece.file + piece.len) as usize]);
        }
        hash
    }

    /// The last body piece in `bytes`, the whole file.
    pub fn last_piece<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let piece = self.pieces.last()?;
        bytes.get(piece.file as usize..(piece.file + piece.len) as usize)
    }
}

/// Takes a clip file apart; `None` if not even its header can be read.
pub fn parse(bytes: &[u8]) -> Option<Parsed> {
    if bytes.get(..MAGIC.len())? != MAGIC {
        return None;
    }
    let (kind, payload) = record_at(bytes, MAGIC.len(), 0)?;
    if kind != Kind::Header {
        return None;
    }
    let mut parsed = Parsed {
        header: serde_json::from_slice(payload).ok()?,
        start: None,
        closing: None,
        discarded: false,
        pieces: Vec::new(),
        levels: Levels::default(),
        valid: (MAGIC.len() + HEAD + payload.len()) as u64,
        closing_at: 0,
        next_seq: 1,
    };
    while parsed.closing.is_none() && !parsed.discarded {
        let at = parsed.valid as usize;
        let Some((kind, payload)) = record_at(bytes, at, parsed.next_seq) else {
            break;
        };
        match kind {
            Kind::Header => break,
            Kind::Start => match serde_json::from_slice(payload) {
                Ok(start) => parsed.start = Some(start),
                Err(_) => break,
            },
            Kind::Frame => {
                let Some(facts) = facts_of(payload).filter(|_| payload.len() >= FACTS) else {
                    break;
                };
                let len = (payload.len() - FACTS) as u64;
                let body = parsed.body_len();
                parsed.pieces.push(Piece {
                    body,
                    file: (at + HEAD + FACTS) as u64,
                    len,
                });
                parsed.levels.add(facts);
            }
            Kind::Closing => match serde_json::from_slice(payload) {
                Ok(closing) => {
                    parsed.closing = Some(closing);
                    parsed.closing_at = at as u64;
                }
                Err(_) => break,
            },
            Kind::Discarded => parsed.discarded = true,
        }
        parsed.next_seq += 1;
        parsed.valid = (at + HEAD + payload.len()) as u64;
    }
    Some(parsed)
}

/// The manifest, from the three records alone.
pub fn manifest(header: &Header, start: Option<&Start>, closing: &Closing) -> Manifest {
    let clip = &header.clip;
    Manifest {
        schema: SCHEMA,
        clip_id: clip.clip_id.clone(),
        clip_no: closing.clip_no,
        card_id: header.card_id.clone(),
        booth_id: clip.booth_id.clone(),
        boot_id: clip.boot_id.clone(),
        kind: ClipKind::Audio,
        source: "booth".into(),
        test: u8::from(clip.test),
        campaign_id: clip.campaign_id.clone(),
        question_id: clip.question_id.clone(),
        choice: None,
        lang: Some(clip.lang.clone()),
        started_at: start.map(|start| start.started_at.clone()),
        started_mono_ms: start.map(|start| start.started_mono_ms),
        clock_synced: start.map(|start| u8::from(start.clock_synced)),
        duration_ms: Some(closing.duration_ms),
        ended_by: Some(closing.ended_by),
        recovered: u8::from(closing.recovered),
        body: Some(BodyKind::OggOpus),
        bytes: closing.bytes,
        sha256: Some(closing.sha256.clone()),
        bitrate: Some(clip.bitrate),
        sample_rate: Some(48_000),
        channels: Some(1),
        consent: Some(clip.consent.clone()),
        key_ids: Vec::new(),
        sealed: None,
        rms_dbfs: closing.rms_dbfs,
        peak_dbfs: closing.peak_dbfs,
        speech_ratio: Some(closing.speech_ratio),
        reason: None,
    }
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
