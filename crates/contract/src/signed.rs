//! Signed messages from the centre (contract §3.7): `{"body":"<JSON text>","minisig":"<a minisign signature of that text>"}`.
//!
//! Owns: the shape of the payload and of the signed text. Never does: check a signature, a time or a booth; whoever has a key, a
//! clock or a name does.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use super::reading::fields;
use super::time::Timestamp;

/// The longest time from `issued_at` to `expires_at`.
pub const LONGEST_VALIDITY: Duration = Duration::from_secs(7 * 24 * 3600);
/// Longest nonce, in characters.
pub const LONGEST_NONCE: usize = 128;
/// The keys of a signed text that every command has; all others are the command's own.
const COMMON: [&str; 5] = ["booth", "command", "issued_at", "expires_at", "nonce"];

/// A signed message as it came. Nothing of it is believed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The text that was signed, byte by byte.
    pub body: String,
    /// The four lines of the signature.
    pub minisig: String,
}

impl Signed {
    /// Reads the payload; `None` for one without a `body` and a `minisig`, which nobody has signed.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let mut fields = fields(payload).ok()?;
        match (fields.remove("body"), fields.remove("minisig")) {
            (Some(Value::String(body)), Some(Value::String(minisig))) => {
                Some(Self { body, minisig })
            }
            _ => None,
        }
    }

    /// The payload.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::json!({ "body": self.body, "minisig": self.minisig })
            .to_string()
            .into_bytes()
    }
}

/// What a signed text says.
#[derive(Debug, Clone, PartialEq)]
pub struct SignedBody {
    /// The booths that are meant, by their ids.
    pub booths: Vec<String>,
    /// The command; `config` in a signed configuration.
    pub command: String,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// From when on it must not be obeyed; at most [`LONGEST_VALIDITY`] after `issued_at`.
    pub expires_at: Timestamp,
    /// What makes it unique: it is obeyed once.
    pub nonce: String,
    /// The command's own keys.
    pub own: Map<String, Value>,
}

/// Why a signed text cannot be obeyed, whoever signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadBody {
    /// It is no JSON object.
    NoObject,
    /// This key is absent, or its value makes no sense; what belongs there.
    Key(&'static str, &'static str),
    /// It ends before it begins.
    Backwards,
    /// It is valid for longer than [`LONGEST_VALIDITY`].
    TooLong,
}

impl fmt::Display for BadBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoObject => f.write_str("the signed text is no JSON object"),
            Self::Key(key, wanted) => write!(f, "{key} of the signed text: write {wanted}"),
            Self::Backwards => {
                f.write_str("expires_at of the signed text is not after its issued_at")
            }
            Self::TooLong => f.write_str(
                "the signed text is valid for more than 7 days; write an earlier expires_at",
            ),
        }
    }
}

impl std::error::Error for BadBody {}

impl SignedBody {
    /// Reads the text that was signed. A number as nonce counts as its digits.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(body: &str) -> Result<Self, BadBody> {
        let mut fields = fields(body.as_bytes()).map_err(|_| BadBody::NoObject)?;
        let [booth, command, issued_at, expires_at, nonce] = COMMON.map(|key| fields.remove(key));
        let body = Self {
            booths: booths(booth).ok_or(BadBody::Key("booth", "the id of a booth, or a list"))?,
            command: text(command, 64).ok_or(BadBody::Key("command", "the command's name"))?,
            issued_at: moment(issued_at, "issued_at")?,
            expires_at: moment(expires_at, "expires_at")?,
            nonce: self::nonce(nonce).ok_or(BadBody::Key(
                "nonce",
                "1 to 128 visible characters that no other signed text has",
            ))?,
            own: fields,
        };
        if body.expires_at <= body.issued_at {
            return Err(BadBody::Backwards);
        }
        let valid = body.expires_at.duration_since(body.issued_at);
        if valid.unsigned_abs() > LONGEST_VALIDITY {
            return Err(BadBody::TooLong);
        }
        Ok(body)
    }

    /// Whether this booth is meant.
    pub fn names(&self, booth: &str) -> bool {
        self.booths.iter().any(|named| named == booth)
    }
}

fn text(value: Option<Value>, longest: usize) -> Option<String> {
    match value {
        Some(Value::String(text)) if (1..=longest).contains(&text.chars().count()) => Some(text),
        _ => None,
    }
}

fn nonce(value: Option<Value>) -> Option<String> {
    let value = match value {
        Some(Value::Number(number)) => Some(Value::String(number.to_string())),
        other => other,
    };
    text(value, LONGEST_NONCE).filter(|nonce| nonce.bytes().all(|byte| byte.is_ascii_graphic()))
}

fn booths(value: Option<Value>) -> Option<Vec<String>> {
    let booths = match value? {
        Value::String(booth) => vec![booth],
        Value::Array(booths) => booths
            .into_iter()
            .map(|booth| match booth {
                Value::String(booth) => Some(booth),
                _ => None,
            })
            .collect::<Option<_>>()?,
        _ => return None,
    };
    (!booths.is_empty()).then_some(booths)
}

fn moment(value: Option<Value>, key: &'static str) -> Result<Timestamp, BadBody> {
    let moment = value.as_ref().and_then(Value::as_str);
    moment
        .and_then(|text| text.parse().ok())
        .ok_or(BadBody::Key(key, "a time like 2026-11-30T09:00:00Z"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn good() -> Value {
        json!({
            "booth": "rundhoej-1",
            "command": "purge",
            "issued_at": "2026-11-29T00:00:00Z",
            "expires_at": "2026-11-30T00:00:00.000Z",
            "nonce": "a-1",
            "clip_id": "c",
        })
    }

    fn read(change: impl Fn(&mut Value)) -> Result<SignedBody, BadBody> {
        let mut body = good();
        change(&mut body);
        SignedBody::read(&body.to_string())
    }

    #[test]
    fn a_signed_text_is_read_and_its_own_keys_stay() {
        let body = read(|_| {}).expect("good");
        assert!(body.names("rundhoej-1") && !body.names("rundhoej-2"));
        assert_eq!(
            (body.command.as_str(), body.nonce.as_str()),
            ("purge", "a-1")
        );
        assert_eq!(
            body.own,
            *json!({ "clip_id": "c" }).as_object().expect("one")
        );
        let many = read(|body| body["booth"] = json!(["a-1", "b-2"])).expect("good");
        assert!(many.names("b-2") && !many.names("rundhoej-1"));
        let number = read(|body| body["nonce"] = json!(7)).expect("good");
        assert_eq!(number.nonce, "7");
        // Seven days to the second.
        assert!(read(|body| body["expires_at"] = json!("2026-12-06T00:00:00Z")).is_ok());
        assert!(read(|body| body["issued_at"] = json!("2026-11-29T01:00:00+01:00")).is_ok());
    }

    #[test]
    fn every_key_is_needed_and_each_fault_names_its_key() {
        for key in COMMON {
            for value in [
                Value::Null,
                json!({}),
                json!(true),
                json!(""),
                json!("x".repeat(2_000)),
                json!([]),
            ] {
                let wrong = |body: &mut Value| match value.is_null() {
                    true => drop(body.as_object_mut().expect("one").remove(key)),
                    false => body[key] = value.clone(),
                };
                if key == "booth" && value.as_str().is_some() {
                    continue;
                }
                let why = read(wrong).expect_err(key);
                assert!(why.to_string().contains(key), "{key} {value}: {why}");
            }
        }
        assert!(read(|body| body["nonce"] = json!("a b")).is_err());
        assert!(read(|body| body["booth"] = json!(["a-1", 7])).is_err());
    }

    #[test]
    fn times_that_cannot_be_are_refused() {
        for (expires_at, why) in [
            ("2026-11-29T00:00:00Z", BadBody::Backwards),
            ("2025-11-29T00:00:00Z", BadBody::Backwards),
            ("2026-12-06T00:00:01Z", BadBody::TooLong),
            ("9999-12-30T00:00:00Z", BadBody::TooLong),
        ] {
            assert_eq!(
                read(|body| body["expires_at"] = json!(expires_at)),
                Err(why)
            );
        }
        for none in ["", "null", "[]", "7", "{", "\"x\""] {
            assert_eq!(SignedBody::read(none), Err(BadBody::NoObject), "{none}");
        }
    }

    #[test]
    fn a_payload_without_body_and_signature_is_unsigned() {
        let signed = Signed {
            body: good().to_string(),
            minisig: "untrusted comment: x\nRW\n".into(),
        };
        assert_eq!(Signed::read(&signed.to_json()), Some(signed));
        for unsigned in [
            "",
            "{}",
            r#"{"body":"{}"}"#,
            r#"{"minisig":"x"}"#,
            r#"{"body":{},"minisig":"x"}"#,
            r#"{"body":"{}","minisig":7}"#,
            r#"["{}","x"]"#,
        ] {
            assert_eq!(Signed::read(unsigned.as_bytes()), None, "{unsigned}");
        }
    }
}
