//! The content of a clip file: header, frames, closing record, and what a file that was cut off still holds.
//!
//! Owns: the payloads of the records and how a manifest is made of them. Never does: touch a disk.

use std::ops::Range;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::card::HIGHEST_NUMBER;
use super::disk::DiskFile;
use super::record::{
    HEAD_BYTES, Head, Kind, PREAMBLE_BYTES, Record, Scan, has_any_record, preamble, push, salt,
    scan,
};
use booth_contract::FrameFacts;
use booth_contract::manifest::text_of_choice;
use booth_contract::ogg_page::{StreamEnd, walk};
use booth_contract::time::Mono;
use booth_contract::{
    BodyHash, BodyKind, BootId, BoothId, CardId, ClipId, ClipKind, Consent, EndedBy, Manifest,
    Publish, SCHEMA,
};
use gateway_core::quarantine::Note;

/// Longest file whose unreadable header may come from a torn write of `begin` or of a vote, which write only once: a receipt that is
/// sealed to 32 keys has some 4,500 bytes of it.
const FIRST_WRITE_BYTES: usize = 8192;
/// Longest header that is written or believed: the closing record is made from the header and has to fit into a record.
pub(crate) const LONGEST_HEADER: usize = 64 * 1024;
/// Full scale of a 16-bit sample.
const FULL_SCALE: f64 = 32_768.0;
/// The level that is reported for digital silence, in dBFS.
const SILENCE_DBFS: f64 = -120.0;

/// The facts that are known when a take is armed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewClip {
    /// UUID v4; the clip's name everywhere.
    pub clip_id: ClipId,
    /// The booth where it is spoken.
    pub booth_id: BoothId,
    /// The question that it answers.
    pub question_id: Option<String>,
    /// The campaign the question belongs to.
    pub campaign_id: Option<String>,
    /// Language of the prompts.
    pub lang: Option<String>,
    /// The consent under which it is recorded.
    pub consent: Consent,
    /// Whether it is made in service mode.
    pub test: bool,
    /// How the body is packed.
    pub body: BodyKind,
    /// Bits per second.
    pub bitrate: u32,
    /// Samples per second.
    pub sample_rate: u32,
    /// Channels.
    pub channels: u8,
    /// Keys to which the body is sealed; empty if it is not sealed.
    pub key_ids: Vec<String>,
    /// The citizen's receipt, sealed: base64 of an age file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<String>,
    /// The version of the centre's configuration that is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_version: Option<u64>,
    /// When the take was armed. This counts as its start, unless better [`StartFacts`] follow.
    pub armed: StartFacts,
}

impl NewClip {
    /// Speech as a booth records it: unsealed Ogg Opus of 24 kbit/s, mono, 48 kHz. The question and the language are left open.
    pub fn speech(clip_id: ClipId, booth_id: BoothId, consent: Consent, armed: StartFacts) -> Self {
        Self {
            clip_id,
            booth_id,
            question_id: None,
            campaign_id: None,
            lang: None,
            consent,
            test: false,
            body: BodyKind::OggOpus,
            bitrate: 24_000,
            sample_rate: 48_000,
            channels: 1,
            key_ids: Vec::new(),
            sealed: None,
            config_version: None,
            armed,
        }
    }
}

/// A moment by both clocks, wall clock and boot-time clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartFacts {
    /// Wall clock, in ms since 1970 (UTC).
    pub wall_ms: i64,
    /// Boot-time clock.
    #[serde(with = "mono_ms")]
    pub mono: Mono,
    /// Whether the wall clock was synchronised.
    pub clock_synced: bool,
}

mod mono_ms {
    use super::Mono;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(mono: &Mono, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(mono.0)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Mono, D::Error> {
        u64::deserialize(deserializer).map(Mono)
    }
}

/// The content of the header record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Header {
    pub schema: u32,
    pub card_id: CardId,
    pub boot_id: BootId,
    pub boot_count: u64,
    #[serde(flatten)]
    pub clip: NewClip,
}

/// What of the facts may lie open beside a body of this kind: levels tell the rhythm of speech, so they are sealed with it.
pub(crate) fn beside(facts: FrameFacts, kind: BodyKind) -> FrameFacts {
    match kind {
        BodyKind::OggOpus => facts,
        BodyKind::SealedOggOpus | BodyKind::Text => FrameFacts {
            samples: facts.samples,
            ..FrameFacts::NONE
        },
    }
}

/// All facts of a manifest that are counted frame by frame. The same frames give the same bytes, whether they were counted during
/// the recording or in recovery.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    pub samples: u64,
    pub bytes: u64,
    pub end: Option<StreamEnd>,
    energy: f64,
    peak: u16,
    frames: u64,
    spoken: u64,
    hash: Sha256,
    /// Frames were counted from a file in which their levels are sealed.
    lacks_levels: bool,
}

impl Tally {
    /// Counts a frame that was read from a file. `None` as in [`Tally::count`].
    fn count_read(&mut self, kind: BodyKind, facts: FrameFacts, body: &[u8]) -> Option<()> {
        self.lacks_levels |= kind == BodyKind::SealedOggOpus;
        self.count(kind, facts, body)
    }

    /// Counts a frame. `None` if an `ogg-opus` body is not whole pages; nothing is counted then.
    pub(crate) fn count(&mut self, kind: BodyKind, facts: FrameFacts, body: &[u8]) -> Option<()> {
        if kind == BodyKind::OggOpus && !body.is_empty() {
            self.end = Some(walk(body, self.end)?);
        }
        self.samples += u64::from(facts.samples);
        self.bytes += body.len() as u64;
        if facts.samples > 0 {
            self.energy += f64::from(facts.mean_square) * f64::from(facts.samples);
            self.peak = self.peak.max(facts.peak);
            self.frames += 1;
            self.spoken += u64::from(facts.speech);
        }
        self.hash.update(body);
        Some(())
    }

    pub(crate) fn duration_ms(&self) -> u64 {
        self.samples / 48
    }

    fn sha256(&self) -> BodyHash {
        BodyHash::of_digest(&self.hash.clone().finalize())
    }
}

/// A whole clip file that holds nothing but its closing record: a vote, or a number that was given up.
pub(crate) fn only_closing(id: Uuid, manifest: &Manifest) -> Vec<u8> {
    let mut bytes = preamble(id).to_vec();
    push(
        &mut bytes,
        salt(id),
        Kind::Closing,
        0,
        &[&manifest.to_json()],
    );
    bytes
}

fn dbfs(level: f64) -> f64 {
    if level > 0.0 && level.is_finite() {
        ((10.0 * level.log10()).max(SILENCE_DBFS) * 10.0).round() / 10.0
    } else {
        SILENCE_DBFS
    }
}

/// RFC 3339 UTC with milliseconds.
pub(crate) fn rfc3339(wall_ms: i64) -> String {
    booth_contract::time::rfc3339(
        Timestamp::from_millisecond(wall_ms).unwrap_or(Timestamp::UNIX_EPOCH),
    )
}

impl StartFacts {
    /// The same moment with a right wall clock, computed from another moment of the same boot.
    pub(crate) fn corrected(self, wall_minus_mono_ms: Option<i64>) -> StartFacts {
        match wall_minus_mono_ms {
            Some(offset) if !self.clock_synced => StartFacts {
                wall_ms: offset.saturating_add_unsigned(self.mono.0),
                clock_synced: true,
                ..self
            },
            _ => self,
        }
    }
}

/// The manifest with its time corrected by a clock that became right later.
pub(crate) fn retimed(mut manifest: Manifest, wall_minus_mono_ms: i64) -> Manifest {
    if manifest.clock_synced == Some(0)
        && let Some(mono_ms) = manifest.started_mono_ms
    {
        let wall_ms = wall_minus_mono_ms.saturating_add_unsigned(mono_ms);
        manifest.started_at = Some(rfc3339(wall_ms));
        manifest.clock_synced = Some(1);
    }
    manifest
}

/// The manifest that declares that the clip of a number is lost for good (contract §3.3).
pub(crate) fn void(clip: &super::KeptClip, reason: &str) -> Manifest {
    Manifest {
        schema: SCHEMA,
        clip_id: clip.clip_id.clone(),
        clip_no: clip.clip_no,
        card_id: clip.card_id.clone(),
        booth_id: clip.booth_id.clone(),
        boot_id: clip.boot_id.clone(),
        kind: ClipKind::Void,
        source: "booth".into(),
        test: u8::from(clip.test),
        campaign_id: None,
        question_id: None,
        choice: None,
        lang: None,
        started_at: None,
        started_mono_ms: None,
        clock_synced: None,
        duration_ms: None,
        ended_by: None,
        recovered: 0,
        body: None,
        bytes: 0,
        sha256: None,
        bitrate: None,
        sample_rate: None,
        channels: None,
        consent: None,
        key_ids: Vec::new(),
        sealed: None,
        rms_dbfs: None,
        peak_dbfs: None,
        speech_ratio: None,
        config_version: None,
        reason: Some(reason.chars().take(200).collect()),
    }
}

/// How a take ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ending {
    pub clip_no: u64,
    pub card_id: CardId,
    pub ended_by: EndedBy,
    pub recovered: bool,
    pub publish: Publish,
}

/// The manifest of a vote, which is the payload of the only record of its file.
pub(crate) fn vote(header: &Header, choice: u8, clip_no: u64) -> Manifest {
    let clip = &header.clip;
    let question_id = clip.question_id.as_deref().unwrap_or_default();
    let text = text_of_choice(&clip.clip_id, question_id, choice);
    Manifest {
        schema: SCHEMA,
        clip_id: clip.clip_id.clone(),
        clip_no,
        card_id: header.card_id.clone(),
        booth_id: clip.booth_id.clone(),
        boot_id: header.boot_id.clone(),
        kind: ClipKind::Choice,
        source: "booth".into(),
        test: u8::from(clip.test),
        campaign_id: clip.campaign_id.clone(),
        question_id: clip.question_id.clone(),
        choice: Some(choice),
        lang: clip.lang.clone(),
        started_at: Some(rfc3339(clip.armed.wall_ms)),
        started_mono_ms: Some(clip.armed.mono.0),
        clock_synced: Some(u8::from(clip.armed.clock_synced)),
        duration_ms: None,
        ended_by: None,
        recovered: 0,
        body: None,
        bytes: 0,
        sha256: Some(BodyHash::of_digest(&Sha256::digest(text.as_bytes()))),
        bitrate: None,
        sample_rate: None,
        channels: None,
        consent: Some(clip.consent.clone()),
        key_ids: clip.key_ids.clone(),
        sealed: clip.sealed.clone(),
        rms_dbfs: None,
        peak_dbfs: None,
        speech_ratio: None,
        config_version: clip.config_version,
        reason: None,
    }
}

/// The manifest of a finished take, which is the payload of its closing record.
pub(crate) fn manifest(
    header: &Header,
    start: StartFacts,
    tally: &Tally,
    ending: &Ending,
) -> Manifest {
    let clip = &header.clip;
    let measured = tally.frames > 0 && !tally.lacks_levels;
    Manifest {
        schema: SCHEMA,
        clip_id: clip.clip_id.clone(),
        clip_no: ending.clip_no,
        card_id: ending.card_id.clone(),
        booth_id: clip.booth_id.clone(),
        boot_id: header.boot_id.clone(),
        kind: ClipKind::Audio,
        source: "booth".into(),
        test: u8::from(clip.test),
        campaign_id: clip.campaign_id.clone(),
        question_id: clip.question_id.clone(),
        choice: None,
        lang: clip.lang.clone(),
        started_at: Some(rfc3339(start.wall_ms)),
        started_mono_ms: Some(start.mono.0),
        clock_synced: Some(u8::from(start.clock_synced)),
        duration_ms: Some(tally.duration_ms()),
        ended_by: Some(ending.ended_by),
        recovered: u8::from(ending.recovered),
        body: Some(clip.body),
        bytes: tally.bytes,
        sha256: Some(tally.sha256()),
        bitrate: Some(clip.bitrate),
        sample_rate: Some(clip.sample_rate),
        channels: Some(clip.channels),
        consent: Some(Consent {
            publish: ending.publish,
            ..clip.consent.clone()
        }),
        key_ids: clip.key_ids.clone(),
        sealed: clip.sealed.clone(),
        rms_dbfs: measured.then(|| dbfs(tally.energy / tally.samples as f64)),
        peak_dbfs: measured.then(|| dbfs((f64::from(tally.peak) / FULL_SCALE).powi(2))),
        speech_ratio: measured
            .then(|| (tally.spoken as f64 / tally.frames as f64 * 1000.0).round() / 1000.0),
        config_version: clip.config_version,
        reason: None,
    }
}

/// The content of the record that ends the words of a take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    pub ended_by: EndedBy,
}

/// A take that was cut off.
pub(crate) struct CutOff {
    pub header: Header,
    pub start: StartFacts,
    pub tally: Tally,
    /// Offset at which the next record is to be written.
    pub valid_to: u64,
    /// That record's sequence number.
    pub sequence: u32,
    /// The clip number in a closing record whose write was torn.
    pub clip_no: Option<u64>,
    /// How the words ended, where they had ended and the take was still open.
    pub held: Option<EndedBy>,
    /// Whether valid records lie behind the cut that a torn last write does not explain.
    pub has_stranded: bool,
}

/// Where a finished clip's manifest is in the file, and what follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Closed {
    /// Offset of the closing record.
    pub closing_at: u64,
    /// Offset of the record whose manifest replaces the closing record's, if there is one.
    pub offered_at: Option<u64>,
    /// Where the last valid record ends, and the sequence number of the next one.
    pub end: (u64, u32),
    /// Where the notes at the end of the file begin, and the first one's sequence number; without notes the file's end.
    pub notes: (u64, u32),
    /// The latest note.
    pub note: Option<Note>,
}

/// What a clip file turned out to be.
pub(crate) enum Found {
    /// A finished and whole clip, with the manifest that is sent.
    Finished(Box<Manifest>, Closed),
    /// A finished clip whose body is not whole.
    Damaged(Box<Manifest>, u64, String),
    /// A take that has to be finished.
    CutOff(Box<CutOff>),
    /// A take that was deleted on purpose.
    Discarded,
    /// A take without any audio.
    Empty,
    /// A file that cannot be understood.
    Unreadable(String),
}

/// Reads the file of clip `id`.
pub(crate) fn read(bytes: &[u8], id: Uuid) -> Found {
    let Some(scan) = scan(bytes, id) else {
        return if is_torn_begin(bytes, None) && !has_any_record(bytes, id) {
            Found::Empty
        } else {
            Found::Unreadable("it does not begin as the file of this clip does".into())
        };
    };
    let has = |kind| {
        scan.records
            .iter()
            .chain(&scan.stranded)
            .any(|r| r.kind == Some(kind))
    };
    if has(Kind::Discarded) {
        return Found::Discarded;
    }
    if let Some(closing) = scan.records.iter().find(|r| r.kind == Some(Kind::Closing)) {
        return finished(bytes, id, &scan, closing);
    }
    let torn_closing = scan.stranded.iter().find(|r| r.kind == Some(Kind::Closing));
    let Some((closing, manifest)) = torn_closing
        .and_then(|closing| Some((closing, closing_manifest(bytes, id, closing).ok()?)))
    else {
        return cut_off(bytes, id, &scan, None);
    };
    // One write of `finish` holds at most two frames and the closing record.
    if closing.sequence as usize <= scan.records.len() + 2 {
        match cut_off(bytes, id, &scan, Some(manifest.clip_no)) {
            // Either all words of the clip were in the torn write, or a whole clip is damaged: these cannot be distinguished, so
            // that nothing is deleted.
            Found::Empty => {}
            found => return found,
        }
    }
    let why = format!("the record at byte {} is damaged", scan.valid_to);
    Found::Damaged(Box::new(manifest), closing.at as u64, why)
}

/// Where the manifest as it is sent and the pieces of the body lie in a file that [`read`] found finished.
pub(crate) fn taken_apart(bytes: &[u8], id: Uuid, closed: &Closed) -> Option<TakenApart> {
    let scan = scan(bytes, id)?;
    let at = closed.offered_at.unwrap_or(closed.closing_at);
    let mut records = scan.records.iter();
    let manifest = records
        .find(|record| record.at as u64 == at)?
        .payload
        .clone();
    let is_of_body = |record: &&Record| {
        record.kind == Some(Kind::Frame) && (record.at as u64) < closed.closing_at
    };
    let frames = scan.records.iter().filter(is_of_body);
    let body = frames
        .map(|frame| {
            (frame.payload.start + FrameFacts::BYTES).min(frame.payload.end)..frame.payload.end
        })
        .collect();
    Some(TakenApart { manifest, body })
}

/// See [`taken_apart`].
pub(crate) struct TakenApart {
    pub manifest: Range<usize>,
    pub body: Vec<Range<usize>>,
}

/// Whether a torn first write can have left this file: nothing, zeros, or the beginning of a header.
fn is_torn_begin(bytes: &[u8], scan: Option<&Scan>) -> bool {
    let zeros = bytes.iter().all(|&byte| byte == 0);
    let first_sector_lost =
        bytes.len() <= FIRST_WRITE_BYTES && bytes.iter().take(512).all(|&byte| byte == 0);
    let header_torn = scan.is_some_and(|scan| {
        scan.records.is_empty()
            && scan.stranded.is_empty()
            && !scan.is_cut_short
            && bytes.len() <= FIRST_WRITE_BYTES
    });
    let preamble_torn = bytes.len() < PREAMBLE_BYTES && bytes.starts_with(b"BOOTHCL");
    zeros || first_sector_lost || header_torn || preamble_torn
}

/// Whether this is the whole file of a vote, whose only record is not what was written. A torn write leaves zeros of it, or cuts it
/// off; a manifest has no zeros, and is as long as its record says or ends with a brace.
fn is_damaged_vote(bytes: &[u8]) -> bool {
    let record = bytes.get(PREAMBLE_BYTES..).unwrap_or_default();
    let (head, text) = record.split_at(record.len().min(HEAD_BYTES));
    let is_header = head.get(4) == Some(&(Kind::Header as u8));
    let said = head
        .first_chunk()
        .map(|length| u32::from_le_bytes(*length) as usize);
    let is_complete = text.ends_with(b"}") || said == Some(text.len());
    !is_header && is_complete && !text.is_empty() && !text.contains(&0)
}

/// Whether a torn last write can have left the stranded records, so that no acknowledged audio lies behind the cut: the frame of
/// the first append whose start record was torn, the silent page that closes a stream, how the words ended, and padding.
fn is_torn_last_write(bytes: &[u8], scan: &Scan) -> bool {
    let is_silent = |record: &Record| {
        let facts = FrameFacts::split(&bytes[record.payload.clone()]);
        match record.kind {
            Some(Kind::Frame) => facts.is_some_and(|(facts, _)| facts.samples == 0),
            kind => matches!(kind, Some(Kind::Padding | Kind::Held)),
        }
    };
    let first_frame = scan.records.len() == 1 && scan.stranded[0].sequence == 2;
    scan.stranded[usize::from(first_frame)..]
        .iter()
        .all(is_silent)
}

/// Why a closing record does not finish its clip.
#[derive(Debug, thiserror::Error)]
enum BadClosing {
    #[error("its closing record is no manifest: {0}")]
    NoManifest(#[from] serde_json::Error),
    #[error("its closing record is of another clip")]
    OtherClip,
    #[error("its number {0} cannot be")]
    Number(u64),
}

fn closing_manifest(bytes: &[u8], id: Uuid, closing: &Record) -> Result<Manifest, BadClosing> {
    let manifest: Manifest = serde_json::from_slice(&bytes[closing.payload.clone()])?;
    if manifest.clip_id != id.to_string() {
        return Err(BadClosing::OtherClip);
    }
    if !(1..=HIGHEST_NUMBER).contains(&manifest.clip_no) {
        return Err(BadClosing::Number(manifest.clip_no));
    }
    Ok(manifest)
}

/// How a sealed body begins, and where in it the length of its envelope stands (docs/sealed-clip.md).
const SEALED: &[u8] = b"BOOTHSC\x01";
const ENVELOPE_LENGTH_AT: usize = 24;
const BEFORE_ENVELOPE: usize = 60;

/// How many bytes of a clip's file have to be overwritten so that nothing in it can be heard: of a sealed clip those up to the end
/// of the record with its envelope, because no key opens the frames without it. `None`: all of them.
pub(crate) fn secret_bytes(file: &dyn DiskFile) -> Option<u64> {
    let read = |at: u64, bytes: usize| {
        let mut buffer = vec![0; bytes];
        file.read_at(&mut buffer, at).ok().map(|()| buffer)
    };
    let preamble = read(0, PREAMBLE_BYTES)?;
    let salt = crc32c::crc32c(&preamble);
    let mut at = PREAMBLE_BYTES as u64;
    if read(at, HEAD_BYTES)?.iter().all(|byte| *byte == 0) {
        // A take that was discarded: this part of it is overwritten already.
        return Some(0);
    }
    loop {
        let head = Head::parse(read(at, HEAD_BYTES)?.first_chunk()?)?;
        let payload = read(at + HEAD_BYTES as u64, head.payload_bytes)?;
        if !head.fits(salt, &payload) {
            return None;
        }
        at += (HEAD_BYTES + payload.len()) as u64;
        match head.kind {
            Some(Kind::Frame) => {
                let body = payload.get(FrameFacts::BYTES..)?;
                let length = body.get(ENVELOPE_LENGTH_AT..)?.first_chunk::<4>()?;
                let end = BEFORE_ENVELOPE + u32::from_le_bytes(*length) as usize;
                let is_whole = body.starts_with(SEALED) && end <= body.len();
                return is_whole.then_some(at);
            }
            Some(Kind::Header | Kind::Start | Kind::Padding) => {}
            _ => return None,
        }
    }
}

/// Whether `text` is a clip's id in the one spelling that the spool writes.
pub(crate) fn is_clip_id(text: &str) -> bool {
    Uuid::parse_str(text).is_ok_and(|id| id.to_string() == text)
}

fn finished(bytes: &[u8], id: Uuid, scan: &Scan, closing: &Record) -> Found {
    let manifest = match closing_manifest(bytes, id, closing) {
        Ok(manifest) => Box::new(manifest),
        Err(why) => return Found::Unreadable(why.to_string()),
    };
    let body: u64 = scan
        .records
        .iter()
        .filter(|record| record.kind == Some(Kind::Frame) && record.at < closing.at)
        .map(|record| record.payload.len().saturating_sub(FrameFacts::BYTES) as u64)
        .sum();
    let at = closing.at as u64;
    if body == manifest.bytes {
        let offered = scan
            .records
            .iter()
            .filter(|record| record.kind == Some(Kind::Offered) && record.at > closing.at)
            .find_map(|record| Some((record.at, closing_manifest(bytes, id, record).ok()?)));
        let end = (scan.valid_to as u64, scan.records.len() as u32);
        let is_note = |record: &&Record| record.kind == Some(Kind::Note);
        let first_note = scan.records.iter().rev().take_while(is_note).last();
        let notes = scan.records.iter().rev().filter(is_note);
        let notes = notes.filter(|record| record.at > closing.at);
        // A note from a newer version may make no sense to this one.
        let note = notes
            .filter_map(|note| serde_json::from_slice(&bytes[note.payload.clone()]).ok())
            .next();
        let closed = Closed {
            closing_at: at,
            offered_at: offered.as_ref().map(|(at, _)| *at as u64),
            end,
            notes: first_note.map_or(end, |note| (note.at as u64, note.sequence)),
            note,
        };
        let manifest = offered.map_or(manifest, |(_, manifest)| Box::new(manifest));
        Found::Finished(manifest, closed)
    } else {
        let why = format!(
            "it holds {body} bytes of body instead of {}",
            manifest.bytes
        );
        Found::Damaged(manifest, at, why)
    }
}

fn cut_off(bytes: &[u8], id: Uuid, scan: &Scan, clip_no: Option<u64>) -> Found {
    let Some(first) = scan.records.first() else {
        return if is_damaged_vote(bytes) {
            Found::Unreadable("its only record is damaged".into())
        } else if is_torn_begin(bytes, Some(scan)) {
            Found::Empty
        } else {
            Found::Unreadable("its header is damaged".into())
        };
    };
    let header: Header = match serde_json::from_slice(&bytes[first.payload.clone()]) {
        Ok(header) if first.kind == Some(Kind::Header) && first.payload.len() <= LONGEST_HEADER => {
            header
        }
        _ => return Found::Unreadable("its first record is no header".into()),
    };
    // The preamble is part of every checksum, so that this is no block left from another file; still the header's numbers and
    // names would not fit this file.
    if header.clip.clip_id != id.to_string() {
        return Found::Unreadable("its header is of another clip".into());
    }
    let mut start = header.clip.armed;
    let mut held = None;
    let mut tally = Tally::default();
    for record in &scan.records {
        let payload = &bytes[record.payload.clone()];
        let understood = match record.kind {
            Some(Kind::Start) => serde_json::from_slice(payload)
                .map(|facts| start = facts)
                .ok(),
            Some(Kind::Frame) => FrameFacts::split(payload)
                .and_then(|(facts, body)| tally.count_read(header.clip.body, facts, body)),
            // A way to end that a newer version has added is none that this one knows.
            Some(Kind::Held) => {
                held = serde_json::from_slice(payload)
                    .ok()
                    .map(|held: Held| held.ended_by);
                Some(())
            }
            _ => Some(()),
        };
        if understood.is_none() {
            return Found::Unreadable(format!("the record at byte {} makes no sense", record.at));
        }
    }
    let has_stranded = scan.is_cut_short
        || !scan.stranded.is_empty() && clip_no.is_none() && !is_torn_last_write(bytes, scan);
    if tally.samples == 0 {
        return if !has_stranded {
            Found::Empty
        } else {
            Found::Unreadable(format!("the record at byte {} is damaged", scan.valid_to))
        };
    }
    Found::CutOff(Box::new(CutOff {
        header,
        start,
        tally,
        valid_to: scan.valid_to as u64,
        sequence: scan.records.len() as u32,
        clip_no,
        held,
        has_stranded,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_decimals_and_end_in_z() {
        assert_eq!(rfc3339(1_767_225_600_000), "2026-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(1_767_225_600_120), "2026-01-01T00:00:00.120Z");
    }

    #[test]
    fn levels_are_in_dbfs_with_a_floor() {
        assert_eq!(dbfs(1.0), 0.0);
        assert_eq!(dbfs(0.01), -20.0);
        assert_eq!(dbfs(0.0), SILENCE_DBFS);
        assert_eq!(dbfs(f64::INFINITY), SILENCE_DBFS);
        assert_eq!(dbfs(f64::NAN), SILENCE_DBFS);
    }

    #[test]
    fn frame_facts_come_back_as_they_were_written() {
        let facts = FrameFacts {
            samples: 24_000,
            mean_square: 0.25,
            peak: 32_768,
            speech: true,
        };
        let mut payload = facts.to_bytes().to_vec();
        payload.extend_from_slice(b"body");
        assert_eq!(FrameFacts::split(&payload), Some((facts, &b"body"[..])));
    }

    #[test]
    fn a_first_write_that_was_torn_holds_no_audio() {
        let id = Uuid::from_u128(1);
        let whole = {
            let mut bytes = super::super::record::preamble(id).to_vec();
            super::super::record::push(
                &mut bytes,
                super::super::record::salt(id),
                Kind::Header,
                0,
                &[&[b'x'; 700]],
            );
            bytes
        };
        let mut lost_first_sector = whole.clone();
        lost_first_sector[..512].fill(0);
        let mut lost_second_sector = whole.clone();
        lost_second_sector[512..].fill(0);
        for torn in [
            &[][..],
            &whole[..10],
            &whole[..512],
            &[0; 740],
            &lost_first_sector,
            &lost_second_sector,
        ] {
            assert!(
                matches!(read(torn, id), Found::Empty),
                "{} bytes",
                torn.len()
            );
        }
        assert!(matches!(
            read(b"something else entirely", id),
            Found::Unreadable(_)
        ));
    }
}
