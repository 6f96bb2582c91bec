//! How payloads are read (contract §3, "Reading"): a reader judges only the fields that it needs.
//!
//! Owns: that a payload is an object, and the reading of fields that may be missing, `null`, or of any type. Never does: replace
//! the value of a field that the reader needs.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// UTF-8's byte order mark: some programs put it before a text, and a JSON reader may ignore it (RFC 8259 §8.1).
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// The fields of a payload; of two fields with the same name the last one. A value that is JSON and that no program here can hold (a number
/// beyond all limits, half a surrogate pair, a list within a hundred lists) counts as absent.
///
/// # Errors
/// A payload that is no JSON object.
pub fn fields(payload: &[u8]) -> Result<Map<String, Value>, serde_json::Error> {
    let payload = payload.strip_prefix(BOM).unwrap_or(payload);
    let error = match serde_json::from_slice(payload) {
        Ok(fields) => return Ok(fields),
        Err(error) => error,
    };
    let Ok(raw) = serde_json::from_slice::<BTreeMap<String, Box<RawValue>>>(payload) else {
        return Err(error);
    };
    let held = raw.into_iter().filter_map(|(name, raw)| {
        let value = serde_json::from_str(raw.get()).ok()?;
        Some((name, value))
    });
    Ok(held.collect())
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
            // What no program here can hold is no field that is needed.
            br#"{"state":"online","ts":1e400,"x":-1e999}"#,
            br#"{"state":"online","why":"cut \ud83d"}"#,
            format!(
                r#"{{"x":{}{},"state":"online"}}"#,
                "[".repeat(500),
                "]".repeat(500)
            )
            .as_bytes(),
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
            br#"{"state":"online\ud83d"}"#,
            br#"{"state":1e400}"#,
            br#"{"state":"online","x":1e}"#,
            br#"{"state":"online","x":[}"#,
        ] {
            assert_eq!(read(none), None, "{none:?}");
        }
    }
}
