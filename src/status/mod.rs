//! A running gateway's answer about itself: its evidence as one JSON line, the question for it, and the findings. Pure.
//!
//! Owns: the words between the gateway and the programs that ask at its socket: the doctor, the status file on a card, and
//! the updater while a version is on trial. Never does: find anything out.

mod contacts;
mod finding;

use serde::{Deserialize, Serialize};

use crate::adapters::ear::Levels;
use booth_contract::{ConfigReport, Severity};
use gateway_core::session::Key;

pub use contacts::{Contact, contacts};
pub use finding::{Finding, Verdict, has_fault, table};

/// The one line that the doctor's socket understands.
pub const QUESTION: &str = "status";

/// A gateway's evidence. A newer gateway may add keys, which an older doctor ignores.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Always 1; another number means that the keys have another meaning.
    pub schema: u64,
    /// The booth's id.
    pub booth_id: String,
    /// The booth's name.
    pub name: String,
    /// Version of the gateway.
    pub sw_version: String,
    /// Process id.
    pub pid: u32,
    /// Time since its start, seconds.
    pub up_s: u64,
    /// The state of the visit (contract §2).
    pub session: String,
    /// A citizen can speak now.
    pub ready: u8,
    /// Every raised alert.
    pub faults: Vec<Raised>,
    /// What works and what does not, with remedies.
    pub findings: Vec<Finding>,
    /// Files among the prompts that are not used, and why: a sentence each. The doctor does not use these; it looks itself.
    #[serde(default)]
    pub unused_prompts: Vec<String>,
    /// The present state of the contacts.
    pub contacts: Vec<Contact>,
    /// The last key since the start.
    pub last_key: Option<LastKey>,
    /// The microphone's latest levels.
    pub microphone: Microphone,
    /// Frames arrive from the microphone.
    pub capture_ok: u8,
    /// The earpiece takes samples.
    pub playback_ok: u8,
    /// 1 while connected to the broker.
    pub connected: u8,
    /// 1 if it was connected at least once since the start.
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
    /// How the centre's configuration stands, as it is reported to the centre.
    #[serde(default)]
    pub config: ConfigReport,
}

/// A raised alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raised {
    /// Its id in the table of alerts.
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
    /// The key's sign, as it is printed on it.
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
    /// The level that sound hardly ever falls below.
    pub floor_dbfs: f64,
    /// For how many ms every sample has been the same.
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

/// The sign that is printed on a key.
pub fn key_name(key: Key) -> String {
    match key {
        Key::Digit(digit) => digit.to_string(),
        Key::Star => "*".into(),
        Key::Hash => "#".into(),
        Key::Button => "button".into(),
    }
}
