//! A citizen's wish to take a message back, as a booth sends it (contract §3.9).

use serde::{Deserialize, Serialize};

use super::ClipId;
use super::reading::lenient;

/// Longest `sealed` of a withdrawal, in characters: an envelope of 32 recipients has less than half of it.
pub const LONGEST_SEALED: usize = 8_192;

/// Payload of `{root}/up/{booth}/withdraw/{id}`. The hub answers with an ack whose `clip_id` is this `id` and whose `sha256` is that of
/// the text in `sealed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    /// UUID v4, made by the booth at which the receipt was dialled.
    pub id: ClipId,
    /// Base64 of an age file to the city's keys, with [`super::receipt::WithdrawalSecret`] in it.
    pub sealed: String,
    /// When it was dialled, RFC 3339 UTC by the booth's clock.
    #[serde(default, deserialize_with = "lenient")]
    pub ts: String,
}

impl Withdrawal {
    /// The payload, byte for byte the same on every offer.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a withdrawal holds only texts")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_withdrawal_is_read_back_and_needs_its_id_and_what_is_sealed() {
        let sent = Withdrawal {
            id: "w".into(),
            sealed: "YWdl".into(),
            ts: "2026-11-29T10:00:00.000Z".into(),
        };
        let json = sent.to_json();
        assert_eq!(
            str::from_utf8(&json),
            Ok(r#"{"id":"w","sealed":"YWdl","ts":"2026-11-29T10:00:00.000Z"}"#)
        );
        assert_eq!(crate::reading::object::<Withdrawal>(&json).ok(), Some(sent));
        for none in [
            r#"{"id":"w"}"#,
            r#"{"sealed":"x"}"#,
            r#"{"id":7,"sealed":"x"}"#,
        ] {
            assert!(crate::reading::object::<Withdrawal>(none.as_bytes()).is_err());
        }
        let odd = br#"{"id":"w","sealed":"x","ts":{}}"#;
        assert_eq!(
            crate::reading::object::<Withdrawal>(odd).map(|w| w.ts).ok(),
            Some(String::new())
        );
    }
}
