//! What the booths have in force of what the centre wants asked, as a table of the operations page.

use maud::{Markup, html};

use super::{count, moment};
use crate::view::BoothView;
use booth_contract::ConfigReport;

/// Most faults shown of one booth.
const MAX_FAULTS: usize = 5;
/// Most of a fault that is shown, in characters.
const MAX_TEXT: usize = 200;

/// The table; nothing while no booth has a configuration of the centre.
pub(super) fn asked(booths: &[&BoothView]) -> Markup {
    let reports = booths
        .iter()
        .filter_map(|booth| Some((*booth, booth.config.as_ref()?)));
    let told: Vec<(&BoothView, &ConfigReport)> = reports
        .filter(|(_, report)| report.wanted.is_some() || report.applied.is_some())
        .collect();
    html! {
        @if !told.is_empty() {
            h2 { "What is asked" }
            p.soft { "What each booth has in force of the campaigns that were published. " code { "booth-hub campaign list" } " tells which they are." }
            div.scroll tabindex="0" { table {
                thead { tr { th { "Booth" } th { "In force" } th { "Said" } th { "Still to come" } } }
                tbody { @for (booth, report) in told { (row(booth, report)) } }
            } }
        }
    }
}

fn row(booth: &BoothView, report: &ConfigReport) -> Markup {
    html! {
        tr {
            td { @if booth.name.is_empty() { (booth.booth_id) } @else { (booth.name) div.soft { (booth.booth_id) } } }
            td { @match report.applied {
                Some(version) => { "version " (version) },
                None => "its own booth.toml",
            } }
            td { @match &report.ts { Some(at) => (moment(at)), None => "unknown" } }
            td {
                @if !report.errors.is_empty() {
                    span.bad { "✕ refuses" @if let Some(wanted) = report.wanted { " version " (wanted) } }
                    ul {
                        @for fault in report.errors.iter().take(MAX_FAULTS) {
                            li { (fault.to_string().chars().take(MAX_TEXT).collect::<String>()) }
                        }
                        @if report.errors.len() > MAX_FAULTS { li { "and " (report.errors.len() - MAX_FAULTS) " more" } }
                    }
                } @else if report.wanted > report.applied {
                    span.warn { "version " (report.wanted.unwrap_or(0)) ": "
                        (count(report.missing.len() as u64, "prompt is", "prompts are")) " still missing" }
                } @else {
                    span.good { "✓ nothing" }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use booth_contract::MediaHash;
    use booth_contract::wanted::KeyFault;

    fn booth(config: Option<ConfigReport>) -> BoothView {
        BoothView {
            heard: true,
            config,
            ..BoothView::never_heard("a-1")
        }
    }

    fn page(report: ConfigReport) -> String {
        asked(&[&booth(Some(report))]).into_string()
    }

    #[test]
    fn each_booth_says_what_is_in_force_and_what_is_still_to_come() {
        assert_eq!(asked(&[&booth(None)]).into_string(), "");
        assert_eq!(page(ConfigReport::default()), "");
        let missing = MediaHash::parse(&"0a".repeat(32)).expect("a hash");
        let fetching = page(ConfigReport {
            wanted: Some(8),
            applied: Some(7),
            missing: vec![missing],
            ..ConfigReport::default()
        });
        assert!(
            fetching.contains("version 7")
                && fetching.contains("version 8: 1 prompt is still missing"),
            "{fetching}"
        );
        let applied = page(ConfigReport {
            wanted: Some(8),
            applied: Some(8),
            ts: Some("2026-03-01T10:00:00.000Z".into()),
            ..ConfigReport::default()
        });
        assert!(
            applied.contains("✓ nothing") && applied.contains("2026-03-01"),
            "{applied}"
        );
        let refused = page(ConfigReport {
            wanted: Some(8),
            errors: (0..9)
                .map(|n| KeyFault::new("<b>", format!("fault {n}")))
                .collect(),
            ..ConfigReport::default()
        });
        assert!(
            refused.contains("refuses version 8") && refused.contains("and 4 more"),
            "{refused}"
        );
        assert!(
            refused.contains("its own booth.toml") && !refused.contains("<b>"),
            "{refused}"
        );
    }
}
