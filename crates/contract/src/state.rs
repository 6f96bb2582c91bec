//! Presence of booths and of the hub (contract §3).

use super::{BootId, CardId};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::reading::lenient;

/// `<boot_count>-<n>`, `n` being the boot-time clock in ms at CONNECT. Sessions are ordered as numbers, and comparable only within
/// one `card_id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Session {
    /// How often this card has started.
    pub boot_count: u64,
    /// Boot-time clock at CONNECT, in ms.
    pub connect_ms: u64,
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.boot_count, self.connect_ms)
    }
}

impl FromStr for Session {
    type Err = BadSession;

    fn from_str(text: &str) -> Result<Self, BadSession> {
        let bad = || BadSession(text.to_owned());
        let (boots, ms) = text.split_once('-').ok_or_else(bad)?;
        Ok(Self {
            boot_count: boots.parse().map_err(|_| bad())?,
            connect_ms: ms.parse().map_err(|_| bad())?,
        })
    }
}

/// A text that is no session number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadSession(String);

impl fmt::Display for BadSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no session: expected <boot_count>-<ms>", self.0)
    }
}

impl std::error::Error for BadSession {}

impl Serialize for Session {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Session {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// Whether a booth or the hub is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// It is connected.
    Online,
    /// It has stopped cleanly.
    Offline,
    /// Its connection was lost: the broker published its will.
    Lost,
}

/// Payload of `{root}/up/{booth}/state`, and the booth's will. The reader needs the presence, the session and the card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoothState {
    /// The presence itself.
    pub state: Presence,
    /// The connection that it is about.
    pub session: Session,
    /// The card that is in the booth.
    pub card_id: CardId,
    /// The boot of the machine.
    #[serde(default, deserialize_with = "lenient")]
    pub boot_id: BootId,
    /// When, RFC 3339 UTC; absent in a will.
    #[serde(
        default,
        deserialize_with = "lenient",
        skip_serializing_if = "Option::is_none"
    )]
    pub ts: Option<String>,
    /// In a will only: when the connection was made, RFC 3339 UTC.
    #[serde(
        default,
        deserialize_with = "lenient",
        skip_serializing_if = "Option::is_none"
    )]
    pub connected_at: Option<String>,
}

impl BoothState {
    /// Whether this came late: a later word of the same card was heard before, under this session, and whether that was `online`. A will is
    /// late by its nature, and any message may be.
    pub fn is_late(&self, known: Option<(Session, bool)>) -> bool {
        known.is_some_and(|(known, was_online)| {
            self.session < known
                // Within one session `online` comes first: after the session's end another `online` can only be a repeat.
                || (self.session == known && self.state == Presence::Online && !was_online)
        })
    }
}

/// Payload of `{root}/hub/state`, and the hub's will (contract §3.6). The reader needs only `state`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubState {
    /// The presence itself.
    pub state: Presence,
    /// When, RFC 3339 UTC; absent in a will.
    #[serde(
        default,
        deserialize_with = "lenient",
        skip_serializing_if = "Option::is_none"
    )]
    pub ts: Option<String>,
    /// The program and its version.
    #[serde(
        default,
        deserialize_with = "lenient",
        skip_serializing_if = "Option::is_none"
    )]
    pub version: Option<String>,
    /// Largest clip body that the hub takes, bytes.
    #[serde(
        default,
        deserialize_with = "lenient",
        skip_serializing_if = "Option::is_none"
    )]
    pub max_clip_bytes: Option<u64>,
    /// Versions of the manifest that the hub reads.
    #[serde(
        default,
        deserialize_with = "lenient",
        skip_serializing_if = "Option::is_none"
    )]
    pub schemas: Option<Vec<u32>>,
    /// Booths publish state, birth, health and alerts again within this many seconds after the hub has connected; 10 if absent, at
    /// most 600.
    #[serde(
        default,
        deserialize_with = "lenient",
        skip_serializing_if = "Option::is_none"
    )]
    pub jitter_s: Option<u32>,
    /// The process that published this: a different one under the same client id is another hub.
    #[serde(
        default,
        deserialize_with = "lenient",
        skip_serializing_if = "Option::is_none"
    )]
    pub instance: Option<String>,
}

impl HubState {
    /// A state without the other fields, as in a will.
    pub fn bare(state: Presence) -> Self {
        Self {
            state,
            ts: None,
            version: None,
            max_clip_bytes: None,
            schemas: None,
            jitter_s: None,
            instance: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_compare_as_numbers_not_as_text() {
        let old: Session = "9-99999".parse().expect("a session");
        let new: Session = "10-5".parse().expect("a session");
        assert!(new > old);
        assert_eq!(new.to_string(), "10-5");
    }

    #[test]
    fn a_hub_whose_time_is_a_number_is_there_all_the_same() {
        let said: HubState =
            serde_json::from_str(r#"{"state":"online","ts":1796000000,"schemas":null}"#)
                .expect("readable");
        assert_eq!(said, HubState::bare(Presence::Online));
    }
}
