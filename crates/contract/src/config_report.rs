//! What a booth says of the centre's configuration (contract §3.8, `{root}/up/{booth}/config`).

use serde::{Deserialize, Serialize};

use super::MediaHash;
use super::reading::lenient;
use super::wanted::KeyFault;

/// Payload of `{root}/up/{booth}/config`. The reader needs no field of it: what is absent is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigReport {
    /// Version of the configuration that came last, if it said one; `null` before the first.
    #[serde(default, deserialize_with = "lenient")]
    pub wanted: Option<u64>,
    /// Version that is in force; `null` while booth.toml alone is.
    #[serde(default, deserialize_with = "lenient")]
    pub applied: Option<u64>,
    /// Prompts of the wanted version that are not on the card yet.
    #[serde(default, deserialize_with = "lenient")]
    pub missing: Vec<MediaHash>,
    /// Why the wanted version is not applied; empty while it is, or while only prompts are missing.
    #[serde(default, deserialize_with = "lenient")]
    pub errors: Vec<KeyFault>,
    /// When, RFC 3339 UTC.
    #[serde(default, deserialize_with = "lenient")]
    pub ts: Option<String>,
}

impl ConfigReport {
    /// The payload.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a report holds only text, numbers and lists")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_the_contracts_keys_and_reads_what_it_wrote() {
        let report = ConfigReport {
            wanted: Some(7),
            applied: None,
            missing: vec![MediaHash::parse(&"0a".repeat(32)).expect("a hash")],
            errors: vec![KeyFault::new("campaigns[0].id", "is missing")],
            ts: Some("2026-01-01T00:00:00.000Z".into()),
        };
        let text = String::from_utf8(report.to_json()).expect("UTF-8");
        let hash = "0a".repeat(32);
        assert_eq!(
            text,
            format!(
                r#"{{"wanted":7,"applied":null,"missing":["{hash}"],"errors":[{{"key":"campaigns[0].id","error":"is missing"}}],"ts":"2026-01-01T00:00:00.000Z"}}"#
            )
        );
        assert_eq!(
            serde_json::from_str::<ConfigReport>(&text).expect("a report"),
            report
        );
        let odd = r#"{"wanted":"x","missing":["../x"],"errors":7,"more":1}"#;
        let read: ConfigReport = serde_json::from_str(odd).expect("a report");
        assert_eq!(read, ConfigReport::default());
    }
}
