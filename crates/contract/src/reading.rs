//! How payloads are read (contract §3, "Reading"): a reader judges only the fields that it needs.
//!
//! Owns: that a payload is an object, and the reading of fields that may be missing, `null`, or of any type. Never does: replace
//! the value of a field that the reader needs.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// UTF-8's byte order mark: some programs put it before a text, and a JSON reader may ignore it (RFC 8259 §8.1).
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// The fields of a payload; of two fields with the same name the last one.
///
/// # Errors
/// A payload that is no JSON object.
pub fn fields(payload: &[u8]) -> Result<Map<String, Value>, serde_json::Error> {
    serde_json::from_slice(payload.strip_prefix(BOM).unwrap_or(payload))
}

/// Reads a payload. A list is refused, although serde would take its elements for the fields in their order.
///
/// # Errors
/// A payload that is no JSON object, or in which a needed field is absent or makes no sense.
pub fn object<T: DeserializeOwned>(payload: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_value(Value::Object(fields(payload)?))
}

/// For `#[serde(default, deserialize_with = "lenient")]`: a value that makes no sense as `T` counts as absent, and so does `null`.
///
/// # Errors
/// Only a text that is no JSON at all.
pub fn lenient<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

/// For `#[serde(default, deserialize_with = "needed")]`: a field that may be absent, but that the reader needs if it is there.
/// `null` counts as absent.
///
/// # Errors
/// A value that makes no sense as `T`.
pub fn needed<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HubState, Presence};

    #[test]
    fn only_an_object_is_read_and_of_two_equal_fields_the_last() {
        let read = |payload: &[u8]| object::<HubState>(payload).map(|hub| hub.state).ok();
        for object in [
            &br#"{"state":"online"}"#[..],
            br#" { "ts" : {} , "state" : "online" } "#,
            br#"{"state":"lost","state":"online"}"#,
            b"\xEF\xBB\xBF{\"state\":\"online\"}",
        ] {
            assert_eq!(read(object), Some(Presence::Online), "{object:?}");
        }
        for none in [
            &br#"["online"]"#[..],
            br#"[["state","online"]]"#,
            br#""online""#,
            b"null",
            b"1",
            b"",
            b"{",
            br#"{"state":"online"}x"#,
            br#"{"state":"online"}{"state":"online"}"#,
            b"\xFF\xFE{\x00",
            br#"{"state":null}"#,
        ] {
            assert_eq!(read(none), None, "{none:?}");
        }
    }
}
