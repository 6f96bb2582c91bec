//! Who and what a booth is (contract §3.1).

use serde::{Deserialize, Serialize};

use super::reading::lenient;
use super::{BootId, BoothId, CardId, ConsentMode, Session};

/// Payload of `{root}/up/{booth}/birth`, published on every connect, and when the hub has connected. A value that this machine
/// cannot know is absent. The reader needs only the session and the card.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // the names are the contract's own
pub struct Birth {
    #[serde(default, deserialize_with = "lenient")]
    pub schema: u32,
    #[serde(default, deserialize_with = "lenient")]
    pub booth_id: Option<BoothId>,
    #[serde(default, deserialize_with = "lenient")]
    pub name: String,
    pub session: Session,
    #[serde(default, deserialize_with = "lenient")]
    pub boot_id: BootId,
    #[serde(default, deserialize_with = "lenient")]
    pub boot_count: u64,
    pub card_id: CardId,
    #[serde(
        default,
        deserialize_with = "lenient",
        skip_serializing_if = "Option::is_none"
    )]
    pub previous_card_id: Option<CardId>,
    #[serde(default, deserialize_with = "lenient")]
    pub card_first_seen: String,
    #[serde(
        default,
        deserialize_with = "lenient",
        skip_serializing_if = "Option::is_none"
    )]
    pub hw_model: Option<String>,
    #[serde(
        default,
        deserialize_with = "lenient",
        skip_serializing_if = "Option::is_none"
    )]
    pub hw_serial: Option<String>,
    #[serde(
        default,
        deserialize_with = "lenient",
        skip_serializing_if = "Option::is_none"
    )]
    pub image_id: Option<String>,
    #[serde(
        default,
        deserialize_with = "lenient",
        skip_serializing_if = "Option::is_none"
    )]
    pub os_version: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub sw_version: String,
    #[serde(
        default,
        deserialize_with = "lenient",
        skip_serializing_if = "Option::is_none"
    )]
    pub sw_commit: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub config_hash: String,
    #[serde(default, deserialize_with = "lenient")]
    pub recipient_key_ids: Vec<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub sealed: Option<bool>,
    #[serde(default, deserialize_with = "lenient")]
    pub consent_mode: Option<ConsentMode>,
    #[serde(default, deserialize_with = "lenient")]
    pub audio_in: String,
    #[serde(default, deserialize_with = "lenient")]
    pub audio_out: String,
    #[serde(default, deserialize_with = "lenient")]
    pub handset_backend: String,
    #[serde(
        default,
        deserialize_with = "lenient",
        skip_serializing_if = "Option::is_none"
    )]
    pub ip: Option<String>,
    #[serde(
        default,
        deserialize_with = "lenient",
        skip_serializing_if = "Option::is_none"
    )]
    pub mac: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub started_at: String,
    #[serde(default, deserialize_with = "lenient")]
    pub health_interval_s: u64,
}
