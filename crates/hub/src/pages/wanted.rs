//! What the centre wants of a booth, beside what the booth says is in force there.
//!
//! Owns: the comparison, in words. Never does: guess what is in force: where the booth has not said it, that is what stands there.

use booth_contract::ConfigReport;
use maud::{Markup, html};

use super::{count, moment};
use crate::campaign::WantedOf;
use crate::rollout::{Progress, Standing};
use crate::view::BoothView;

/// Most faults of a configuration that are shown, and most of one, in characters.
const MAX_FAULTS: usize = 5;
const MAX_TEXT: usize = 200;

/// What the centre wants of a booth.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wants {
    /// The configuration that it was sent last.
    pub(crate) configuration: Option<WantedOf>,
    /// The version of the program that a rollout brings it, and how far it is.
    pub(crate) program: Option<(String, Progress)>,
}

/// How what is wanted stands to what is reported.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Same,
    Differs(String),
    Unsaid,
    Nothing,
}

impl Verdict {
    fn shown(&self) -> Markup {
        html! {
            @match self {
                Self::Same => span.good { "✓ the same" },
                Self::Differs(why) => { span.warn { "≠ differs" } @if !why.is_empty() { ": " (why) } },
                Self::Unsaid => span.warn { "? not said by the booth" },
                Self::Nothing => span.soft { "nothing is wanted" },
            }
        }
    }
}

/// The table.
pub(super) fn wanted(booth: &BoothView, wants: &Wants) -> Markup {
    let report = booth.config.as_ref();
    let configuration = wants.configuration.as_ref();
    html! {
        h2 id="wanted" { "Wanted, and in force" }
        div.scroll tabindex="0" { table {
            thead { tr { th scope="col" { "What" } th scope="col" { "The centre wants" } th scope="col" { "The booth says" } th scope="col" { "Together" } } }
            tbody {
                (row("Configuration", version_wanted(configuration), version_said(report), &of_version(configuration, report)))
                (row("Campaigns", campaigns_wanted(configuration), campaigns_said(configuration, report), &of_campaigns(configuration, report)))
                (row("Prompts", prompts_wanted(configuration), prompts_said(configuration, report), &of_prompts(configuration, report)))
                (row("Program", program_wanted(wants), program_said(booth), &of_program(wants, booth)))
                @if !booth.unknown_keys.is_empty() {
                    (row("Keys", html! { "the city's keys, which this hub knows" }, html! { @for key in &booth.unknown_keys { div { code { (key) } } } },
                        &Verdict::Differs("it seals to a key that this hub does not know".into())))
                }
            }
        } }
        @if let Some(report) = report { (faults(report)) }
    }
}

fn row(what: &str, wanted: Markup, said: Markup, verdict: &Verdict) -> Markup {
    html! { tr { th scope="row" { (what) } td { (wanted) } td { (said) } td { (verdict.shown()) } } }
}

fn version_wanted(wanted: Option<&WantedOf>) -> Markup {
    html! {
        @match wanted {
            None => span.soft { "its own booth.toml" },
            Some(wanted) => {
                "version " (wanted.version) div.soft { "made " (moment(&wanted.at)) }
                @if wanted.is_owed { div.warn { "the broker does not have it yet" } }
            },
        }
    }
}

fn version_said(report: Option<&ConfigReport>) -> Markup {
    html! {
        @match report {
            None => span.soft { "nothing" },
            Some(report) => {
                @match report.applied { Some(version) => { "version " (version) }, None => "its own booth.toml" }
                @if let Some(at) = &report.ts { div.soft { "said " (moment(at)) } }
            },
        }
    }
}

fn of_version(wanted: Option<&WantedOf>, report: Option<&ConfigReport>) -> Verdict {
    let (Some(wanted), Some(report)) = (wanted, report) else {
        return match (wanted, report.and_then(|report| report.applied)) {
            (None, None) => Verdict::Nothing,
            (None, Some(_)) => {
                Verdict::Differs("this hub knows nothing of that version; publish again".into())
            }
            (Some(_), _) => Verdict::Unsaid,
        };
    };
    match report.applied {
        Some(applied) if applied == wanted.version => Verdict::Same,
        Some(applied) if applied > wanted.version => {
            Verdict::Differs("it knows a later version than this hub; publish again".into())
        }
        _ if report.wanted != Some(wanted.version) => {
            Verdict::Differs("it has not said that it knows the wanted one".into())
        }
        _ if !report.errors.is_empty() => {
            Verdict::Differs("it refuses the wanted one, for the reasons below".into())
        }
        _ if report.missing.is_empty() => Verdict::Differs("it is about to put it in force".into()),
        _ => Verdict::Differs("it fetches the prompts".into()),
    }
}

/// Whether what the centre wants is what is in force.
fn is_in_force(wanted: &WantedOf, report: Option<&ConfigReport>) -> bool {
    report.is_some_and(|report| report.applied == Some(wanted.version))
}

fn campaigns_wanted(wanted: Option<&WantedOf>) -> Markup {
    html! {
        @match wanted {
            None => span.soft { "none" },
            Some(wanted) => {
                @if wanted.campaigns.is_empty() { span.soft { "none" } }
                @for campaign in &wanted.campaigns { div { (campaign) } }
                @for question in &wanted.stopped { div.warn { "✕ " (question) " is stopped" } }
            },
        }
    }
}

fn campaigns_said(wanted: Option<&WantedOf>, report: Option<&ConfigReport>) -> Markup {
    html! {
        @match (wanted, report.and_then(|report| report.applied)) {
            (Some(wanted), _) if is_in_force(wanted, report) => {
                @if wanted.campaigns.is_empty() { span.soft { "none" } }
                @for campaign in &wanted.campaigns { div { (campaign) } }
            },
            (_, Some(version)) => { "those of version " (version) },
            (_, None) if report.is_some() => "the questions of its own booth.toml",
            _ => span.soft { "nothing" },
        }
    }
}

fn of_campaigns(wanted: Option<&WantedOf>, report: Option<&ConfigReport>) -> Verdict {
    match wanted {
        None => Verdict::Nothing,
        Some(_) if report.is_none() => Verdict::Unsaid,
        Some(wanted) if is_in_force(wanted, report) => Verdict::Same,
        Some(_) => Verdict::Differs(String::new()),
    }
}

fn hashes<S: AsRef<str>>(of: &str, hashes: &[S]) -> Markup {
    html! {
        @if hashes.is_empty() { span.soft { "none" } } @else {
            details {
                summary { (count(hashes.len() as u64, "prompt", "prompts")) (of) }
                @for hash in hashes { div { code { (hash.as_ref()) } } }
            }
        }
    }
}

fn prompts_wanted(wanted: Option<&WantedOf>) -> Markup {
    hashes(
        "",
        wanted.map_or(&[][..], |wanted| wanted.prompts.as_slice()),
    )
}

/// The prompts of the wanted version that the booth says it lacks.
fn missing(report: &ConfigReport) -> Vec<String> {
    report.missing.iter().map(ToString::to_string).collect()
}

fn prompts_said(wanted: Option<&WantedOf>, report: Option<&ConfigReport>) -> Markup {
    html! {
        @match (wanted, report) {
            (Some(wanted), Some(report)) if report.wanted == Some(wanted.version) => {
                @if report.missing.is_empty() { "has all of them" } @else { (hashes(" still missing", &missing(report))) }
            },
            _ => span.soft { "nothing of these" },
        }
    }
}

fn of_prompts(wanted: Option<&WantedOf>, report: Option<&ConfigReport>) -> Verdict {
    let Some(wanted) = wanted.filter(|wanted| !wanted.prompts.is_empty()) else {
        return Verdict::Nothing;
    };
    match report.filter(|report| report.wanted == Some(wanted.version)) {
        None => Verdict::Unsaid,
        Some(report) if report.missing.is_empty() => Verdict::Same,
        Some(report) => {
            let lacks = count(report.missing.len() as u64, "prompt is", "prompts are");
            Verdict::Differs(format!("{lacks} still missing"))
        }
    }
}

fn program_wanted(wants: &Wants) -> Markup {
    html! {
        @match &wants.program {
            None => span.soft { "no version in particular" },
            Some((version, progress)) => {
                (version)
                div.soft { @match &progress.standing {
                    Standing::Waits => "its turn has not come",
                    Standing::Told => { "told" @if progress.wave > 0 { " in wave " (progress.wave) } @if let Some(phase) = &progress.phase { ": " (phase) } },
                    Standing::Done => "done",
                    Standing::Failed(why) => { "failed: " (why) },
                } }
            },
        }
    }
}

fn program_said(booth: &BoothView) -> Markup {
    html! { @match &booth.sw_version { Some(version) => (version), None => span.soft { "nothing" } } }
}

fn of_program(wants: &Wants, booth: &BoothView) -> Verdict {
    match (&wants.program, &booth.sw_version) {
        (None, _) => Verdict::Nothing,
        (Some(_), None) => Verdict::Unsaid,
        (Some((wanted, _)), Some(said)) if wanted == said => Verdict::Same,
        (Some(_), Some(_)) => Verdict::Differs(String::new()),
    }
}

fn faults(report: &ConfigReport) -> Markup {
    html! {
        @if !report.errors.is_empty() {
            p { span.bad { "✕ It refuses" } @if let Some(wanted) = report.wanted { " version " (wanted) } ":" }
            ul {
                @for fault in report.errors.iter().take(MAX_FAULTS) { li { (fault.to_string().chars().take(MAX_TEXT).collect::<String>()) } }
                @if report.errors.len() > MAX_FAULTS { li { "and " (report.errors.len() - MAX_FAULTS) " more" } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use booth_contract::MediaHash;
    use booth_contract::wanted::KeyFault;

    fn wants(version: u64) -> WantedOf {
        WantedOf {
            version,
            at: "2026-03-01T10:00:00.000Z".into(),
            campaigns: vec!["square".into()],
            prompts: vec!["ab".repeat(32)],
            stopped: Vec::new(),
            is_owed: false,
        }
    }

    fn said(wanted: u64, applied: Option<u64>) -> ConfigReport {
        ConfigReport {
            wanted: Some(wanted),
            applied,
            ..ConfigReport::default()
        }
    }

    #[test]
    fn what_differs_is_said_in_words_and_what_was_not_said_is_not_guessed() {
        let wanted = wants(8);
        let differs = |why: &str| Verdict::Differs(why.into());
        let of = |report: Option<&ConfigReport>| of_version(Some(&wanted), report);
        assert_eq!(of(None), Verdict::Unsaid);
        assert_eq!(of(Some(&said(8, Some(8)))), Verdict::Same);
        let later = differs("it knows a later version than this hub; publish again");
        assert_eq!(of(Some(&said(9, Some(9)))), later);
        let old = differs("it has not said that it knows the wanted one");
        assert_eq!(of(Some(&said(7, Some(7)))), old);
        let mut fetching = said(8, Some(7));
        fetching.missing = vec![MediaHash::parse(&"0a".repeat(32)).expect("a hash")];
        assert_eq!(of(Some(&fetching)), differs("it fetches the prompts"));
        let lacks = differs("1 prompt is still missing");
        assert_eq!(of_prompts(Some(&wanted), Some(&fetching)), lacks);
        assert_eq!(of_campaigns(Some(&wanted), Some(&fetching)), differs(""));
        let mut refusing = said(8, None);
        refusing.errors = vec![KeyFault::new("prompts.notice.en", "is missing")];
        let refuses = differs("it refuses the wanted one, for the reasons below");
        assert_eq!(of(Some(&refusing)), refuses);
        assert_eq!(of_version(None, None), Verdict::Nothing);
        assert!(matches!(
            of_version(None, Some(&said(3, Some(3)))),
            Verdict::Differs(_)
        ));
    }

    #[test]
    fn the_table_names_hashes_stops_versions_and_each_difference() {
        let mut booth = BoothView::never_heard("a-1");
        booth.sw_version = Some("0.2.0".into());
        let mut report = said(8, Some(7));
        let lacking = "0a".repeat(32);
        report.missing = vec![MediaHash::parse(&lacking).expect("a hash")];
        booth.config = Some(report);
        let mut configuration = wants(8);
        configuration.stopped = vec!["square/colour".into()];
        let progress = serde_json::json!({
            "booth": "a-1", "standing": "waits", "since": null, "phase": null, "was_ready": true, "unready_since": null, "wave": 0,
        });
        let progress: Progress = serde_json::from_value(progress).expect("one booth of a rollout");
        let wants = Wants {
            configuration: Some(configuration),
            program: Some(("0.3.0".into(), progress)),
        };
        let page = wanted(&booth, &wants).into_string();
        for part in [
            "version 8",
            "version 7",
            "those of version 7",
            "square/colour is stopped",
            &lacking,
            "0.3.0",
            "0.2.0",
            "its turn has not come",
            "1 prompt still missing",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert_eq!(page.matches("≠ differs").count(), 4, "{page}");
        booth.config = Some(said(8, Some(8)));
        booth.sw_version = Some("0.3.0".into());
        let page = wanted(&booth, &wants).into_string();
        assert_eq!(page.matches("✓ the same").count(), 4, "{page}");
    }
}
