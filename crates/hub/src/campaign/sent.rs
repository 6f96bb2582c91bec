//! What the centre wants of one booth, as it was sent last.
//!
//! Owns: reading it out of the register for a page. Never does: compare it with what the booth says; the page does.

use std::path::Path;

use super::CampaignError;
use super::register;

/// The configuration that a booth was sent last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WantedOf {
    /// Its version.
    pub(crate) version: u64,
    /// When it was made, RFC 3339 UTC.
    pub(crate) at: String,
    /// The campaigns in it.
    pub(crate) campaigns: Vec<String>,
    /// The prompts in it, by their hashes.
    pub(crate) prompts: Vec<String>,
    /// The questions of its campaigns that are stopped, as `campaign/question`.
    pub(crate) stopped: Vec<String>,
    /// Whether the broker does not have it yet.
    pub(crate) is_owed: bool,
}

/// What this booth was sent last; `None` where that is nothing.
///
/// # Errors
/// A register that cannot be read.
pub(crate) fn wanted_of(store: &Path, booth: &str) -> Result<Option<WantedOf>, CampaignError> {
    let state = register::look(&register::folder_in(store))?;
    let campaigns = state.campaigns();
    let is_here = |campaign: &str| {
        campaigns
            .get(campaign)
            .is_some_and(|ready| ready.booths.has(booth))
    };
    let stopped = state
        .stopped
        .iter()
        .filter(|(campaign, _)| is_here(campaign));
    let stopped = stopped.flat_map(|(campaign, questions)| {
        let questions = questions.keys();
        questions.map(move |question| format!("{campaign}/{question}"))
    });
    Ok(state.booths.get(booth).map(|sent| WantedOf {
        version: sent.version,
        at: sent.at.clone(),
        campaigns: sent.campaigns.clone(),
        prompts: sent.media.iter().map(ToString::to_string).collect(),
        stopped: stopped.collect(),
        is_owed: state.owed.contains(booth),
    }))
}
