//! How far the booths are with what was published.
//!
//! Owns: the sentence about each booth, and when the waiting is over. Pure. Never does: ask a broker or a database.

use std::collections::BTreeMap;

use booth_contract::ConfigReport;
use serde::Serialize;

/// What a booth has made of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub(super) enum Stand {
    /// It has said nothing of this version.
    Unheard {
        /// What is in force there, if it has ever said so.
        applied: Option<u64>,
    },
    /// It knows the version and fetches its prompts.
    Fetching {
        /// Prompts that it lacks.
        missing: usize,
    },
    /// It is in force there.
    Applied {
        /// Since when, as the booth says, RFC 3339 UTC.
        since: Option<String>,
    },
    /// It cannot take it.
    Refused {
        /// Why, a sentence for each key.
        errors: Vec<String>,
    },
}

impl Stand {
    /// What a report says of this version.
    pub(super) fn of(version: u64, report: Option<&ConfigReport>) -> Self {
        let Some(report) = report else {
            return Self::Unheard { applied: None };
        };
        if report.applied.is_some_and(|applied| applied >= version) {
            return Self::Applied {
                since: report.ts.clone(),
            };
        }
        if report.wanted != Some(version) {
            return Self::Unheard {
                applied: report.applied,
            };
        }
        if !report.errors.is_empty() {
            let errors = report.errors.iter().map(|fault| clean(&fault.to_string()));
            return Self::Refused {
                errors: errors.collect(),
            };
        }
        Self::Fetching {
            missing: report.missing.len(),
        }
    }

    /// Whether nothing more is to come by itself.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Applied { .. } | Self::Refused { .. })
    }

    /// For people, behind the booth's name.
    pub(super) fn sentence(&self) -> String {
        match self {
            Self::Unheard { applied: None } => {
                "has said nothing yet; it takes it as soon as it is connected".into()
            }
            Self::Unheard {
                applied: Some(applied),
            } => {
                format!("has version {applied} in force, and has not said that it knows this one")
            }
            Self::Fetching { missing: 0 } => "has all prompts, and puts it in force".into(),
            Self::Fetching { missing: 1 } => "fetches the prompts: one is missing".into(),
            Self::Fetching { missing } => format!("fetches the prompts: {missing} are missing"),
            Self::Applied { since: Some(since) } => format!("has it in force since {since}"),
            Self::Applied { since: None } => "has it in force".into(),
            Self::Refused { errors } => format!(
                "refuses it, and keeps what was in force: {}",
                errors.join("; ")
            ),
        }
    }
}

/// What comes from a booth, with its control characters written out and not endless.
fn clean(text: &str) -> String {
    let written = text.chars().take(300).map(|c| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    });
    written.collect()
}

/// The booths that are waited for.
#[derive(Debug)]
pub(super) struct Progress {
    versions: BTreeMap<String, u64>,
    stands: BTreeMap<String, Stand>,
}

impl Progress {
    /// Waits for these booths to have these versions.
    pub(super) fn new(versions: BTreeMap<String, u64>) -> Self {
        let nothing = Stand::Unheard { applied: None };
        let stands = versions
            .keys()
            .map(|booth| (booth.clone(), nothing.clone()))
            .collect();
        Self { versions, stands }
    }

    /// Takes a booth's report; the line to be shown where something is new.
    pub(super) fn heard(&mut self, booth: &str, report: &ConfigReport) -> Option<String> {
        let version = *self.versions.get(booth)?;
        let stand = Stand::of(version, Some(report));
        let known = self.stands.get_mut(booth)?;
        // What is in force stays so: an old report may come from another side later.
        if *known == stand || matches!(known, Stand::Applied { .. }) {
            return None;
        }
        *known = stand;
        Some(format!("{booth}: {}", known.sentence()))
    }

    /// Whether every booth has it in force, or refuses it.
    pub(super) fn is_over(&self) -> bool {
        self.stands.values().all(Stand::is_final)
    }

    /// Each booth, with its version and where it stands.
    pub(super) fn stands(&self) -> impl Iterator<Item = (&str, u64, &Stand)> {
        let each = self.stands.iter();
        each.map(|(booth, stand)| {
            (
                booth.as_str(),
                self.versions.get(booth).copied().unwrap_or(0),
                stand,
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use booth_contract::MediaHash;
    use booth_contract::wanted::KeyFault;

    fn report(wanted: u64, applied: u64, missing: usize, errors: &[&str]) -> ConfigReport {
        ConfigReport {
            wanted: Some(wanted),
            applied: Some(applied),
            missing: (0..missing)
                .filter_map(|n| MediaHash::parse(&format!("{n:064}")))
                .collect(),
            errors: errors
                .iter()
                .map(|why| KeyFault::new("campaigns[0].id", *why))
                .collect(),
            ts: None,
        }
    }

    #[test]
    fn each_booth_is_followed_to_its_end_and_told_once_for_each_news() {
        let versions = BTreeMap::from([("a-1".to_owned(), 7), ("b-2".to_owned(), 7)]);
        let mut progress = Progress::new(versions);
        assert_eq!(
            progress.heard("c-3", &report(7, 7, 0, &[])),
            None,
            "nobody waits for it"
        );
        let said = progress.heard("a-1", &report(6, 6, 0, &[])).expect("news");
        assert!(said.contains("has version 6 in force"), "{said}");
        let said = progress.heard("a-1", &report(7, 6, 2, &[])).expect("news");
        assert!(said.contains("2 are missing"), "{said}");
        assert_eq!(progress.heard("a-1", &report(7, 6, 2, &[])), None);
        assert!(progress.heard("a-1", &report(7, 7, 0, &[])).is_some());
        assert_eq!(
            progress.heard("a-1", &report(6, 6, 0, &[])),
            None,
            "an old report"
        );
        assert!(!progress.is_over());
        let said = progress
            .heard("b-2", &report(7, 6, 0, &["has \u{1b}[31mred"]))
            .expect("news");
        assert!(
            said.contains("refuses it") && !said.contains('\u{1b}'),
            "{said}"
        );
        assert!(progress.is_over());
    }
}
