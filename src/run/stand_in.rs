//! A booth that is not set up: it says so, and does nothing else (contract §2, `run --setup-on-error`).
//!
//! Owns: the substitute for a configuration that is bad or missing, and the sentence that says why. Never does: open a
//! spool, connect, or ask a question.
#![allow(clippy::disallowed_methods)] // reads what provisioning wrote about its reasons

use std::path::Path;

use super::Gateway;
use crate::config::Config;
use crate::provision::{self, judge};
use booth_host::config_file::ConfigError;
use booth_host::text::text_of;
use gateway_core::health::SpoolFault;
use gateway_core::prompt::{Prompt, Word};

/// Longest reason that is shown.
const LONGEST_WHY: usize = 2_000;

/// The settings of a booth without a good configuration.
pub(super) struct StandIn {
    /// Handset, sound and language as far as they can be made out; everything else by default.
    pub config: Config,
    /// What is wrong, in one sentence or several.
    pub why: String,
}

impl StandIn {
    pub(super) fn new(path: &Path, error: ConfigError) -> Self {
        let file = path.display().to_string();
        let said = std::fs::read(path)
            .ok()
            .and_then(|bytes| text_of(&bytes).ok());
        let judged = judge::judge(said.as_deref().unwrap_or_default(), &file);
        let mut config = provision::salvage(&judged.table);
        if let Some(beside) = path.parent() {
            config.session.prompts = beside.join(&config.session.prompts);
        }
        Self {
            config,
            why: reason(path, &error),
        }
    }
}

/// The reason, from provisioning if it left one: it has seen the card itself, and knows better than `run` which line of
/// which file is wrong.
pub(super) fn reason(path: &Path, error: &ConfigError) -> String {
    let seen = std::fs::read_to_string(provision::faults_file(path)).unwrap_or_default();
    let said = match seen.trim() {
        "" => error.sentences().join("; "),
        seen => seen.replace('\n', "; "),
    };
    said.chars().take(LONGEST_WHY).collect()
}

impl Gateway {
    /// From now on this booth is one that is not set up.
    pub(super) fn stand_in(&mut self, why: String) {
        log::error!("this booth is not set up: {why}");
        self.booth.not_set_up(Prompt::Word(Word::NotSetUp));
        self.booth.evidence.spool = Err(SpoolFault::Unwritable("this booth is not set up".into()));
        self.not_set_up = Some(why);
    }

    pub(super) fn is_set_up(&self) -> bool {
        self.not_set_up.is_none()
    }

    /// Shows that the booth is not set up, to people who look at the service.
    pub(super) fn show_not_set_up(&self) {
        if let Some(why) = &self.not_set_up {
            self.machine.show(&format!("not set up: {why}"));
        }
    }

    /// There is a good configuration: the gateway ends, to start again with it.
    pub(super) fn set_up_at_last(&mut self) {
        log::info!("there is a good configuration now; the gateway starts again with it");
        self.starts_again = true;
    }

    /// Whether the gateway is to start again.
    pub(super) fn starts_again(&self) -> bool {
        self.starts_again
    }

    /// There is no good configuration yet.
    pub(super) fn still_not_set_up(&mut self, why: String) {
        log::error!("this booth is still not set up: {why}");
        self.not_set_up = Some(why);
        self.show_not_set_up();
    }
}
