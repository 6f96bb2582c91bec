//! `booth-gateway doctor`: looks at a booth as a technician would, and says what is wrong and what to do.
//!
//! Owns: what is looked at, and the verdicts, and the file that takes both to whoever helps. Never does: change anything, neither a mixer nor a running gateway. A running
//! gateway is asked over its own socket, because its lines, its card and its identity at the broker are in use.

mod broker;
pub mod bundle;
mod credentials;
mod gateway;
mod lines;
mod live;
mod machine;
mod own;
mod paths;
mod sound;

use std::path::Path;

use serde_json::{Value, json};

use crate::config::Config;
use crate::settings;
use crate::status::{Finding, has_fault};
use booth_host::clock;
use booth_host::config_file::ConfigError;
use gateway::Running;
use gateway_core::partition::MOVED_ASIDE;
pub use live::{LiveError, Show, live};

/// The result of all looks.
#[derive(Debug, Clone)]
pub struct Examination {
    /// The booth's id, as far as its configuration can be read.
    pub booth_id: Option<String>,
    /// `running`, `silent`, `stopped`, or `unknown` without a configuration.
    pub gateway: &'static str,
    /// The configuration is one that `run` refuses.
    pub is_misconfigured: bool,
    /// The findings.
    pub findings: Vec<Finding>,
}

impl Examination {
    /// The same as JSON: `ok` is 1 if nothing is at fault.
    pub fn to_json(&self) -> Value {
        json!({
            "ok": u8::from(!has_fault(&self.findings)),
            "booth_id": self.booth_id,
            "gateway": self.gateway,
            "misconfigured": u8::from(self.is_misconfigured),
            "findings": self.findings,
        })
    }
}

/// Looks at everything, as far as a bad configuration lets it.
pub fn examine(path: &Path) -> Examination {
    let now = clock::wall();
    let mut findings = Vec::new();
    let config = match Config::read_unchecked(path) {
        Ok((config, checked)) => {
            findings.extend(configuration(path, &checked));
            findings.extend(config.warnings_here().iter().map(|warning| {
                let remedy = warning.remedy.as_deref().unwrap_or_default();
                Finding::warning("configuration", "booth.toml", &warning.what, remedy)
            }));
            Some(config)
        }
        Err(error) => {
            findings.extend(configuration(path, &Err(error)));
            None
        }
    };
    let mut running = None;
    if let Some(config) = &config {
        let found = gateway::find(config);
        findings.extend(gateway::look(&found, config));
        match &found {
            Running::Answers(status) => {
                findings.extend(lines::look(config, Some(status), false));
                findings.extend(sound::look_from_outside(&config.audio));
                if status.capture_ok == 1 {
                    findings.push(sound::heard(&status.microphone));
                }
            }
            Running::Silent(..) => {
                findings.extend(lines::look(config, None, false));
                findings.extend(sound::look_from_outside(&config.audio));
                let sentence =
                    "Not looked at: it would take it from the gateway that may be running.";
                for (area, subject) in [
                    ("sound", "microphone"),
                    ("sound", "earpiece"),
                    ("broker", "connect"),
                ] {
                    findings.push(Finding::not_checked(area, subject, sentence));
                }
            }
            Running::Stopped => {
                findings.extend(lines::look(config, None, true));
                findings.extend(sound::look(&config.audio));
                findings.extend(broker::look(config, now));
            }
        }
        findings.extend(sound::look_at_mixer(config));
        findings.extend(paths::look(config, found == Running::Stopped));
        findings.extend(credentials::look(config, now));
        running = Some(found);
    }
    let is_run = matches!(running, Some(Running::Answers(_)));
    if !is_run {
        findings.push(machine::look_at_clock());
    }
    let place = config
        .as_ref()
        .map_or(Path::new("/"), |config| &config.spool.dir);
    let note = path.with_file_name(MOVED_ASIDE);
    findings.extend(machine::look(place, &note, is_run));
    Examination {
        booth_id: config.as_ref().map(|config| config.booth.id.to_string()),
        gateway: running.as_ref().map_or("unknown", Running::word),
        is_misconfigured: settings::check(path).is_err(),
        findings,
    }
}

fn configuration(path: &Path, checked: &Result<(), ConfigError>) -> Vec<Finding> {
    let subject = path
        .file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy();
    match checked {
        Ok(()) => vec![Finding::ok(
            "configuration",
            &subject,
            format!("{} can be read and every value can work.", path.display()),
        )],
        Err(ConfigError(faults)) => faults
            .iter()
            .map(|why| {
                let remedy = "Correct it; `booth-gateway check-config` tells the same without touching anything.";
                Finding::fault("configuration", &subject, why.to_string(), remedy)
            })
            .collect(),
    }
}
