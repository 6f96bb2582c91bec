//! The facts about a clip that travel with it (contract §3.3).

use serde::{Deserialize, Serialize};

use super::reading::{lenient, needed};
use super::{BodyHash, BootId, BoothId, CardId, ClipId};

/// What a clip is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClipKind {
    /// Speech.
    Audio,
    /// A digit that was chosen; no body.
    Choice,
    /// A `clip_no` that was given up, with a reason; no body.
    Void,
    /// Written words. No booth makes such a clip; the hub keeps answers from home so.
    Text,
}

/// How the body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BodyKind {
    /// A complete Ogg Opus file (RFC 7845).
    #[serde(rename = "ogg-opus")]
    OggOpus,
    /// The same, sealed to the city's keys.
    #[serde(rename = "sealed-ogg-opus/1")]
    SealedOggOpus,
    /// A text ([`crate::written`]).
    #[serde(rename = "text/1")]
    Text,
}

/// What ended a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the names are the contract's own
pub enum EndedBy {
    HangUp,
    Key,
    Limit,
    Silence,
    DeviceLost,
    /// The power or the process failed: the next start finished the recording from what was on the card.
    Power,
}

/// How a citizen gives consent at this booth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum ConsentMode {
    Digit,
    Button,
    Implied,
}

/// What the citizen allowed beyond recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Publish {
    No,
    Text,
    Voice,
}

/// The consent under which a clip was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// The booth's way of asking.
    pub mode: ConsentMode,
    /// The key by which consent was given: a digit, `#`, or `button`; `null` when consent is implied. An answer that came through the hub has
    /// the mode `button` with `form` (a page) or `helper` (somebody who was told so).
    pub key: Option<String>,
    /// SHA-256 (first 16 hex digits) of the notice that the citizen heard; `null` if none was heard.
    pub notice_id: Option<String>,
    /// `no` as long as no booth asks for it.
    pub publish: Publish,
}

impl Consent {
    /// Consent by dialling or pressing this key, with no notice heard and nothing allowed beyond recording.
    pub fn by_key(key: &str) -> Self {
        Self {
            mode: ConsentMode::Digit,
            key: Some(key.to_owned()),
            notice_id: None,
            publish: Publish::No,
        }
    }
}

/// Payload of `{root}/up/{booth}/clip/{clip_id}`. A field that does not apply is `null`.
///
/// The reader needs the fields that decide whether a clip is whole, whose it is and where it counts; all others may be absent.
///
/// The order of the fields is the order of the bytes: every offer of a clip has the byte-identical manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // the names are the contract's own
pub struct Manifest {
    pub schema: u32,
    pub clip_id: ClipId,
    pub clip_no: u64,
    pub card_id: CardId,
    pub booth_id: BoothId,
    #[serde(default, deserialize_with = "lenient")]
    pub boot_id: BootId,
    pub kind: ClipKind,
    #[serde(default, deserialize_with = "lenient")]
    pub source: String,
    #[serde(default, deserialize_with = "needed")]
    pub test: u8,
    #[serde(default, deserialize_with = "lenient")]
    pub campaign_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub question_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub choice: Option<u8>,
    #[serde(default, deserialize_with = "lenient")]
    pub lang: Option<String>,
    /// RFC 3339 UTC with milliseconds.
    #[serde(default, deserialize_with = "lenient")]
    pub started_at: Option<String>,
    /// Boot-time clock at the first kept frame, in ms.
    #[serde(default, deserialize_with = "lenient")]
    pub started_mono_ms: Option<u64>,
    #[serde(default, deserialize_with = "lenient")]
    pub clock_synced: Option<u8>,
    #[serde(default, deserialize_with = "needed")]
    pub duration_ms: Option<u64>,
    #[serde(default, deserialize_with = "lenient")]
    pub ended_by: Option<EndedBy>,
    #[serde(default, deserialize_with = "lenient")]
    pub recovered: u8,
    #[serde(default, deserialize_with = "needed")]
    pub body: Option<BodyKind>,
    #[serde(default, deserialize_with = "needed")]
    pub bytes: u64,
    /// SHA-256 of the body in hex; for a `choice`, of the text `<clip_id>:<question_id>:<choice>`.
    #[serde(default, deserialize_with = "needed")]
    pub sha256: Option<BodyHash>,
    #[serde(default, deserialize_with = "lenient")]
    pub bitrate: Option<u32>,
    #[serde(default, deserialize_with = "lenient")]
    pub sample_rate: Option<u32>,
    #[serde(default, deserialize_with = "lenient")]
    pub channels: Option<u8>,
    #[serde(default, deserialize_with = "lenient")]
    pub consent: Option<Consent>,
    #[serde(default, deserialize_with = "lenient")]
    pub key_ids: Vec<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub sealed: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub rms_dbfs: Option<f64>,
    #[serde(default, deserialize_with = "lenient")]
    pub peak_dbfs: Option<f64>,
    /// Share of half-second frames with speech in them, 0 to 1.
    #[serde(default, deserialize_with = "lenient")]
    pub speech_ratio: Option<f64>,
    /// The version of the centre's configuration under which it was spoken or chosen. Not written where there is none, so that the
    /// manifests of clips that lie on cards already keep their bytes.
    #[serde(
        default,
        deserialize_with = "lenient",
        skip_serializing_if = "Option::is_none"
    )]
    pub config_version: Option<u64>,
    /// For `void` only: why the number was given up.
    #[serde(
        default,
        deserialize_with = "lenient",
        skip_serializing_if = "Option::is_none"
    )]
    pub reason: Option<String>,
}

/// The text whose SHA-256 stands in the manifest of a `choice` (contract §3.3).
pub fn text_of_choice(clip_id: &str, question_id: &str, choice: u8) -> String {
    format!("{clip_id}:{question_id}:{choice}")
}

impl Manifest {
    /// The payload, byte for byte the same on every offer.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a manifest holds only text, numbers and lists")
    }
}
