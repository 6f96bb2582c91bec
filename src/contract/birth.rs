//! Who and what a booth is (contract §3.1).

use serde::{Deserialize, Serialize};

use super::{BoothId, ConsentMode, Session};

/// Payload of `{root}/up/{booth}/birth`, published on every connect. What this machine cannot know is absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // the names are the contract's own
pub struct Birth {
    pub schema: u32,
    pub booth_id: BoothId,
    #[serde(default)]
    pub name: String,
    pub session: Session,
    pub boot_id: String,
    pub boot_count: u64,
    pub card_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_card_id: Option<String>,
    #[serde(default)]
    pub card_first_seen: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hw_model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hw_serial: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    pub sw_version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sw_commit: Option<String>,
    #[serde(default)]
    pub config_hash: String,
    #[serde(default)]
    pub recipient_key_ids: Vec<String>,
    pub sealed: bool,
    pub consent_mode: ConsentMode,
    #[serde(default)]
    pub audio_in: String,
    #[serde(default)]
    pub audio_out: String,
    #[serde(default)]
    pub handset_backend: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    pub started_at: String,
    pub health_interval_s: u64,
}
