//! The hub's answer to a clip (contract §3.4).

use serde::{Deserialize, Serialize};

/// A range of body bytes, `[from, to)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByteRange(pub u64, pub u64);

/// What the hub says about a clip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AckStatus {
    /// The whole body is committed and fsynced under this hash: the booth may release it.
    Stored,
    /// Send `missing`, then the manifest again.
    Partial,
    /// Withdrawn: the booth deletes it, without alarm.
    Discard,
    /// Not believed: the booth quarantines it and raises an alert.
    Reject,
}

/// Payload of `{root}/dn/{booth}/ack/{clip_id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// The clip that is answered.
    pub clip_id: String,
    /// The answer.
    pub status: AckStatus,
    /// SHA-256 of the body as the manifest gave it, in hex. Only an ack whose hash equals the clip's counts.
    pub sha256: Option<String>,
    /// What is not there yet; empty unless `partial`.
    #[serde(default)]
    pub missing: Vec<ByteRange>,
    /// Why, for `reject` and `discard`.
    #[serde(default)]
    pub reason: Option<String>,
    /// The hub's time, RFC 3339 UTC.
    #[serde(default)]
    pub ts: Option<String>,
}
