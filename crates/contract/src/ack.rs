//! The hub's answer to a clip (contract §3.4).

use super::{BodyHash, ClipId};
use serde::{Deserialize, Serialize};

use super::reading::lenient;

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
    /// The clip was withdrawn: the booth deletes it, without alarm.
    Discard,
    /// The manifest is not believed: the booth quarantines the clip and raises an alert.
    Reject,
}

/// Payload of `{root}/dn/{booth}/ack/{clip_id}`. The reader needs the clip and the status; `sha256` too for `stored` and `discard`,
/// `missing` for `partial`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// The clip that the hub answers about.
    pub clip_id: ClipId,
    /// The answer.
    pub status: AckStatus,
    /// SHA-256 of the body as the manifest gave it, in hex. Only an ack whose hash equals the clip's counts.
    #[serde(default, deserialize_with = "lenient")]
    pub sha256: Option<BodyHash>,
    /// The ranges that the hub does not have yet; empty unless `partial`.
    #[serde(default, deserialize_with = "lenient")]
    pub missing: Vec<ByteRange>,
    /// The reason, for `reject` and `discard`.
    #[serde(default, deserialize_with = "lenient")]
    pub reason: Option<String>,
    /// The hub's time, RFC 3339 UTC.
    #[serde(default, deserialize_with = "lenient")]
    pub ts: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ack_is_read_whatever_stands_in_the_fields_that_its_status_does_not_need() {
        let bare = Ack {
            clip_id: "c".into(),
            status: AckStatus::Stored,
            sha256: Some("00".into()),
            missing: Vec::new(),
            reason: None,
            ts: None,
        };
        for odd in ["null", "7", "1.5", "true", "[]", "{}", "\"x\"", "[[1]]"] {
            for field in ["missing", "reason", "ts", "new_in_version_2"] {
                let text =
                    format!(r#"{{"clip_id":"c","status":"stored","sha256":"00","{field}":{odd}}}"#);
                let read: Ack = serde_json::from_str(&text).expect(&text);
                let expected = Ack {
                    reason: (field == "reason" && odd == "\"x\"").then(|| "x".into()),
                    ts: (field == "ts" && odd == "\"x\"").then(|| "x".into()),
                    ..bare.clone()
                };
                assert_eq!(read, expected, "{text}");
            }
        }
        // Without the clip, or with an unknown status, an ack answers nothing.
        for needed in [
            r#"{"status":"stored","sha256":"00"}"#,
            r#"{"clip_id":null,"status":"stored"}"#,
            r#"{"clip_id":"c","status":null}"#,
            r#"{"clip_id":"c","status":"perhaps"}"#,
            r#"{"clip_id":7,"status":"stored"}"#,
        ] {
            assert!(serde_json::from_str::<Ack>(needed).is_err(), "{needed}");
        }
    }
}
