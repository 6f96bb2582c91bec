//! What a running gateway says of itself: its evidence as one JSON line, the question for it, and what is found wrong. Pure.
//!
//! Owns: the words between the gateway and whoever asks it at its socket: the doctor, the status that a card shows, and the
//! updater while a version is on trial. Never does: find anything out.

mod contacts;
mod finding;

use serde::{Deserialize, Serialize};

use crate::adapters::ear::Levels;
use booth_contract::Severity;
use gateway_core::session::Key;

pub use contacts::{Contact, contacts};
pub use finding::{Finding, Verdict, has_fault, table};

/// The one line that the doctor's socket understands.
pub const QUESTION: &str = "status";

/// A gateway's evidence. A newer gateway may say more, which an older doctor ignores.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// 1; another number means other words.
    pub schema: u64,
    /// Who it is.
    pub booth_id: String,
    /// The booth's name.
    pub name: String,
    /// Of the gateway.
    pub sw_version: String,
    /// Process id.
    pub pid: u32,
    /// Since its start, seconds.
    pub up_s: u64,
    /// What the citizen lives through (contract §2).
    pub session: String,
    /// A citizen can speak now.
    pub ready: u8,
    /// Every raised alert.
    pub faults: Vec<Raised>,
    /// What works and what does not, with remedies.
    pub findings: Vec<Finding>,
    /// Files among the prompts that are not used, and why: a sentence each. The doctor looks for itself.
    #[serde(default)]
    pub unused_prompts: Vec<String>,
    /// How the contacts stand.
    pub contacts: Vec<Contact>,
    /// The last key, since the start.
    pub last_key: Option<LastKey>,
    /// The last moments of the microphone.
    pub microphone: Microphone,
    /// Frames arrive from the microphone.
    pub capture_ok: u8,
    /// The earpiece takes samples.
    pub playback_ok: u8,
    /// To the broker.
    pub connected: u8,
    /// Has been so at least once since the start.
    #[serde(default)]
    pub was_connected: u8,
    /// The hub is online.
    pub hub_online: u8,
    /// The wall clock is synchronised.
    pub clock_synced: u8,
    /// Messages that are only on this card.
    pub spool_clips: u64,
    /// Age of the oldest of them, seconds.
    pub oldest_unsent_s: u64,
    /// The card's identity; empty while there is no spool.
    #[serde(default)]
    pub card_id: String,
    /// Highest number given to a clip of this card; 0 for none.
    #[serde(default)]
    pub last_clip_no: u64,
}

/// A raised alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raised {
    /// Of the table of alerts.
    pub id: String,
    /// How bad it is.
    pub severity: Severity,
    /// What was found.
    pub text: String,
    /// What to do.
    pub remedy: String,
}

/// A key that was pressed or dialled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastKey {
    /// As it is printed on it.
    pub key: String,
    /// How long ago, ms.
    pub age_ms: u64,
}

/// Levels of the last 200 ms, dBFS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Microphone {
    /// Root mean square.
    pub rms_dbfs: f64,
    /// Highest sample.
    pub peak_dbfs: f64,
    /// Level that is hardly ever undercut.
    pub floor_dbfs: f64,
    /// Since so many ms every sample is the same.
    pub constant_ms: u64,
    /// Samples since the start; a number that stands still is a dead card.
    pub samples: u64,
}

impl From<Levels> for Microphone {
    fn from(levels: Levels) -> Self {
        let tenth = |db: f64| (db * 10.0).round() / 10.0;
        Self {
            rms_dbfs: tenth(levels.rms_dbfs),
            peak_dbfs: tenth(levels.peak_dbfs),
            floor_dbfs: tenth(levels.floor_dbfs),
            constant_ms: levels.constant_ms,
            samples: levels.samples,
        }
    }
}

/// A key's name as it is printed on it.
pub fn key_name(key: Key) -> String {
    match key {
        Key::Digit(digit) => digit.to_string(),
        Key::Star => "*".into(),
        Key::Hash => "#".into(),
        Key::Button => "button".into(),
    }
}
