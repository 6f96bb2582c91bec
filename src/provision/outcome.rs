//! The result of provisioning, and its file `DATA/config/outcome.json`, of which `BOOTH-STATUS.TXT` is made.
//!
//! Never does: decide anything by it. The gateway can change the file, so it is shown to people and used for nothing else.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::judge::KeyVerdict;
use super::network::ConnectionNews;
use super::vault::Role;
use super::{LONGEST_OUTCOME, Places, ProvisionError, at, replace};
use booth_spool::disk::{Disk, read_whole};

const OUTCOME: &str = "outcome.json";

/// Which configuration the booth has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The one on the card.
    Card,
    /// An earlier one, which is good.
    Kept {
        /// When it came, RFC 3339.
        since: String,
    },
    /// None.
    NotSetUp,
}

/// The state of one credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretNews {
    /// What it is for.
    pub role: Role,
    /// Its name in `booth.toml`.
    pub name: String,
    /// Kept since then, RFC 3339; `None` if the booth has none.
    pub since: Option<String>,
    /// It came with this boot.
    pub is_new: bool,
    /// What is wrong with it.
    pub fault: Option<String>,
}

/// The result of provisioning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Always 1; a file with another number was written by another program.
    pub schema: u32,
    /// When, RFC 3339, by a clock that may be wrong.
    pub at: String,
    /// Which configuration the booth has.
    pub source: Source,
    /// The booth's id.
    pub booth_id: String,
    /// The booth's name.
    pub name: String,
    /// Whom to contact about this booth, and where a card is sent to.
    pub contact: String,
    /// The language of its citizens.
    pub language: String,
    /// The time zone of its place.
    pub timezone: String,
    /// Where the spool is.
    pub spool: PathBuf,
    /// Where a running gateway answers.
    pub socket: PathBuf,
    /// The broker, as configured.
    pub broker: Option<String>,
    /// The name of the file on the card.
    pub file: Option<String>,
    /// The hash of its text, hex.
    pub hash: String,
    /// The verdict on each key of the file on the card.
    pub keys: Vec<KeyVerdict>,
    /// What is wrong with that file, a sentence each.
    pub faults: Vec<String>,
    /// The credentials.
    pub secrets: Vec<SecretNews>,
    /// The number of a newer set that waits for its first connection while another set has connected.
    pub candidate: Option<u64>,
    /// Why the booth's own partition took nothing, so that all of this is lost with the power.
    #[serde(default)]
    pub refused: Option<String>,
    /// The networks that were set up.
    #[serde(default)]
    pub networks: Vec<ConnectionNews>,
    /// Further sentences for people.
    pub notes: Vec<String>,
}

pub(super) fn keep_outcome(
    disk: &dyn Disk,
    places: &Places,
    outcome: &Outcome,
) -> Result<(), ProvisionError> {
    let bytes = serde_json::to_vec(outcome).unwrap_or_default();
    let path = places.kept().join(OUTCOME);
    replace(disk, &path, &bytes).map_err(at("writing", &path))
}

/// The result of the latest provisioning.
pub fn outcome_of(disk: &dyn Disk, places: &Places) -> Option<Outcome> {
    let bytes = read_whole(disk, &places.kept().join(OUTCOME), LONGEST_OUTCOME).ok()?;
    serde_json::from_slice(&bytes).ok()
}
