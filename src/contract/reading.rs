//! How payloads are read (contract §3, "Reading"): whoever reads judges only the fields it needs.
//!
//! Owns: the reading of fields that may be missing, `null`, or of any type. Never does: pass judgement on a field that the
//! reader needs; that one is read as it is.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

/// For `#[serde(default, deserialize_with = "lenient")]`: what makes no sense as `T` counts as absent, `null` too.
///
/// # Errors
/// Only where the text is no JSON at all.
pub fn lenient<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}
