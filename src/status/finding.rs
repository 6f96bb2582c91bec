//! The doctor's findings: one type for people, who see a table, and for programs, which read JSON.
//!
//! Owns: verdicts, their order and their table. Never does: hold a secret; a sentence says where a password is, never the
//! password.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use booth_contract::{AlertId, Severity};
use booth_host::text::one_line;

/// Longest sentence or remedy of a finding, characters; some come from outside.
const LONGEST: usize = 600;

/// The state of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is as it should be.
    Ok,
    /// It could not be looked at; the sentence says why.
    NotChecked,
    /// It should be watched; the booth does its work.
    Warning,
    /// It needs somebody to do something.
    Fault,
}

impl Verdict {
    /// The word in the table.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::NotChecked => "not checked",
            Verdict::Warning => "WARNING",
            Verdict::Fault => "FAULT",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// `configuration`, `gateway`, `contacts`, `sound`, `mixer`, `prompts`, `card`, `credentials`, `broker`, `hub`, `clock`
    /// or `machine`.
    pub area: String,
    /// What in that area: a key of booth.toml, a file, an alert's id …
    pub subject: String,
    /// Its state.
    pub verdict: Verdict,
    /// What was found, one sentence.
    pub sentence: String,
    /// What to do; none where there is nothing to do.
    pub remedy: Option<String>,
}

impl Finding {
    fn new(
        area: &str,
        subject: &str,
        verdict: Verdict,
        sentence: &str,
        remedy: Option<&str>,
    ) -> Self {
        Self {
            area: one_line(area, LONGEST),
            subject: one_line(subject, LONGEST),
            verdict,
            sentence: one_line(sentence, LONGEST),
            remedy: remedy
                .map(|text| one_line(text, LONGEST))
                .filter(|text| !text.is_empty()),
        }
    }

    /// A finding that all is as it should be.
    pub fn ok(area: &str, subject: &str, sentence: impl AsRef<str>) -> Self {
        Self::new(area, subject, Verdict::Ok, sentence.as_ref(), None)
    }

    /// A finding that something could not be looked at.
    pub fn not_checked(area: &str, subject: &str, sentence: impl AsRef<str>) -> Self {
        Self::new(area, subject, Verdict::NotChecked, sentence.as_ref(), None)
    }

    /// A finding that something should be watched.
    pub fn warning(
        area: &str,
        subject: &str,
        sentence: impl AsRef<str>,
        remedy: impl AsRef<str>,
    ) -> Self {
        let remedy = Some(remedy.as_ref());
        Self::new(area, subject, Verdict::Warning, sentence.as_ref(), remedy)
    }

    /// A finding that somebody must do something.
    pub fn fault(
        area: &str,
        subject: &str,
        sentence: impl AsRef<str>,
        remedy: impl AsRef<str>,
    ) -> Self {
        let remedy = Some(remedy.as_ref());
        Self::new(area, subject, Verdict::Fault, sentence.as_ref(), remedy)
    }

    /// A finding of another program, made safe for a terminal.
    pub fn tidied(self) -> Self {
        let remedy = self.remedy.as_deref();
        Self::new(
            &self.area,
            &self.subject,
            self.verdict,
            &self.sentence,
            remedy,
        )
    }

    /// A raised alert as a finding, with the remedy of the table of alerts.
    pub fn of_alert(id: AlertId, text: &str) -> Self {
        let verdict = match id.severity() {
            Severity::CitizenCannotSpeak | Severity::NeedsVisit => Verdict::Fault,
            Severity::Watch => Verdict::Warning,
        };
        Self::new(area_of(id), id.as_str(), verdict, text, Some(id.remedy()))
    }
}

/// The area of an alert. Alerts that are not named here are the gateway's.
fn area_of(id: AlertId) -> &'static str {
    match id {
        AlertId::CaptureLost | AlertId::PlaybackLost | AlertId::MicrophoneSilent => "sound",
        AlertId::MixerFaulty => "mixer",
        AlertId::SpoolFull
        | AlertId::SpoolUnwritable
        | AlertId::SpoolDamaged
        | AlertId::DiskErrors => "card",
        AlertId::HandsetFailed
        | AlertId::ControlsFaulty
        | AlertId::KeyStuck
        | AlertId::CaseOpen
        | AlertId::HandsetLeftOff
        | AlertId::HookNeverOn => "contacts",
        AlertId::NotConnected | AlertId::DuplicateIdentity | AlertId::ClipRefusedByBroker => {
            "broker"
        }
        AlertId::HubNotListening | AlertId::HubUnreadable | AlertId::ClipRejected => "hub",
        AlertId::PromptMissing => "prompts",
        AlertId::ClockUnset => "clock",
        AlertId::HardwareChanged | AlertId::Power | AlertId::Temperature => "machine",
        _ => "gateway",
    }
}

/// Whether any of them is a fault.
pub fn has_fault(findings: &[Finding]) -> bool {
    findings
        .iter()
        .any(|finding| finding.verdict == Verdict::Fault)
}

/// The table for a person: faults come last, where the reader looks first, each with its remedy below it.
pub fn table(findings: &[Finding]) -> String {
    let mut ordered: Vec<&Finding> = findings.iter().collect();
    ordered.sort_by_key(|finding| finding.verdict);
    let width = |text: fn(&Finding) -> &str| {
        let widths = findings.iter().map(|finding| text(finding).chars().count());
        widths.max().unwrap_or(0).min(28)
    };
    let (area, subject) = (width(|f| &f.area), width(|f| &f.subject));
    let mut table = String::new();
    for finding in ordered {
        let _ = writeln!(
            table,
            "{:<11}  {:<area$}  {:<subject$}  {}",
            finding.verdict.word(),
            finding.area,
            finding.subject,
            finding.sentence
        );
        if let Some(remedy) = &finding.remedy {
            let _ = writeln!(table, "{:<11}  do: {remedy}", "");
        }
    }
    let count = |verdict| findings.iter().filter(|f| f.verdict == verdict).count();
    let _ = writeln!(
        table,
        "\n{} looked at: {} at fault, {} worth an eye, {} not checked.",
        findings.len(),
        count(Verdict::Fault),
        count(Verdict::Warning),
        count(Verdict::NotChecked)
    );
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_stand_last_with_their_remedy_and_nothing_drives_the_terminal() {
        let findings = [
            Finding::fault(
                "broker",
                "connect",
                "refused\u{1b}[2J\nby it",
                "ask the broker",
            ),
            Finding::ok("clock", "synchronised", "it is"),
        ];
        let text = table(&findings);
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[0].starts_with("ok") && lines[1].starts_with("FAULT"),
            "{text}"
        );
        assert!(lines[1].ends_with("refused [2J by it"), "{text}");
        assert!(lines[2].ends_with("do: ask the broker"), "{text}");
        assert!(text.contains("2 looked at: 1 at fault"), "{text}");
        assert!(has_fault(&findings) && !has_fault(&findings[1..]));
    }

    #[test]
    fn every_alert_is_a_finding_with_its_own_remedy() {
        for id in AlertId::ALL {
            let finding = Finding::of_alert(*id, id.meaning());
            assert_eq!(finding.remedy.as_deref(), Some(id.remedy()));
            assert_eq!(
                finding.verdict == Verdict::Fault,
                id.severity() != Severity::Watch
            );
        }
    }

    #[test]
    fn a_finding_survives_json() {
        let finding = Finding::warning("card", "room", "little", "swap it");
        let text = serde_json::to_string(&finding).expect("text");
        assert!(text.contains("\"verdict\":\"warning\""), "{text}");
        assert_eq!(
            serde_json::from_str::<Finding>(&text).expect("the same"),
            finding
        );
    }
}
