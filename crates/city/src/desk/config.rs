//! `[city.desk]` of hub.toml.
//!
//! Owns: its shape, its defaults, its check. Never does: read the word lists.

use std::path::PathBuf;

use booth_host::config_file::Faults;
use serde::Deserialize;

use super::reasons::USUAL;

/// `[city.desk]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeskConfig {
    /// Two people have to agree before anything is published.
    pub second_listener: bool,
    /// The city's own list of reasons to reject a message, by their ids; their texts are `reason-<id>` in the files of languages.
    pub reasons: Vec<String>,
    /// A folder with lists of words, `<language>.txt`, by which drafts are looked through for somebody in danger; a language that has no
    /// file there has the list that the program brings.
    pub watch_words: Option<PathBuf>,
    /// So long a message stays with whoever opened it, minutes.
    pub claim_minutes: i64,
}

impl Default for DeskConfig {
    fn default() -> Self {
        Self {
            second_listener: false,
            reasons: USUAL.map(str::to_owned).into(),
            watch_words: None,
            claim_minutes: 10,
        }
    }
}

impl DeskConfig {
    /// Refuses values that cannot work.
    pub(crate) fn check(&self, faults: &mut Faults<'_>) {
        if self.reasons.is_empty() || self.reasons.len() > 30 {
            let why = "must name 1 to 30 reasons; leave it out to have the usual ones";
            faults.that("[city.desk] reasons", why);
        }
        let is_id = |id: &String| {
            (1..=40).contains(&id.len())
                && id
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        if let Some(bad) = self.reasons.iter().find(|id| !is_id(id)) {
            let why = format!(
                "{bad:?} is no id: write small letters, digits and hyphens, and its text as reason-<id> into a file of [city] languages"
            );
            faults.that("[city.desk] reasons", why);
        }
        if !(1..=240).contains(&self.claim_minutes) {
            let minutes = self.claim_minutes;
            let why = format!("= {minutes} must lie between 1 and 240");
            faults.that("[city.desk] claim_minutes", why);
        }
    }
}
