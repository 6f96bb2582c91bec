//! `[city.transcribe]` of hub.toml.
//!
//! Owns: its shape, its defaults, its check. Never does: start the command.

use booth_host::config_file::Faults;
use serde::Deserialize;

/// `[city.transcribe]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TranscribeConfig {
    /// The program and its arguments; `{file}` becomes the sound's file (Ogg Opus, in memory), `{language}` the message's language. No shell
    /// looks at it. Without it there are no drafts.
    pub command: Vec<String>,
    /// It is ended after this time, seconds.
    pub seconds: u64,
}

impl Default for TranscribeConfig {
    fn default() -> Self {
        Self {
            command: Vec::new(),
            seconds: 900,
        }
    }
}

impl TranscribeConfig {
    /// Refuses values that cannot work.
    pub(crate) fn check(&self, faults: &mut Faults<'_>) {
        let command = &self.command;
        let has_file = command.iter().skip(1).any(|word| word.contains("{file}"));
        if !command.is_empty() && (!has_file || command[0].is_empty()) {
            let why = "must be a program with {file} among its arguments, for example command = [\"/usr/local/bin/draft\", \"{file}\", \"{language}\"]";
            faults.that("[city.transcribe] command", why);
        }
        if !(1..=86_400).contains(&self.seconds) {
            let seconds = self.seconds;
            let why = format!("= {seconds} must lie between 1 and 86400");
            faults.that("[city.transcribe] seconds", why);
        }
    }
}
