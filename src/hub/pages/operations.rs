//! The page for operations: one sentence first, then the fleet, worst first.

use maud::{Markup, html};

use super::{count, moment, page, span};
use crate::contract::{AlertId, Presence, Severity};
use crate::hub::view::{BoothView, FleetView};

/// What a booth is, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    CannotSpeak,
    Silent,
    NeverHeard,
    NeedsVisit,
    Watch,
    Fine,
}

fn standing(booth: &BoothView) -> Standing {
    if !booth.heard {
        return Standing::NeverHeard;
    }
    // What is stale or gone says nothing about now.
    if booth.stale || !matches!(booth.presence, Some(Presence::Online)) {
        return Standing::Silent;
    }
    if booth.ready == Some(false) {
        return Standing::CannotSpeak;
    }
    let worst = booth.alerts.iter().map(|(_, severity, ..)| *severity).min();
    match worst {
        Some(Severity::CitizenCannotSpeak | Severity::NeedsVisit) => Standing::NeedsVisit,
        Some(Severity::Watch) => Standing::Watch,
        None if booth.two_serials => Standing::NeedsVisit,
        None if booth.ready.is_none() => Standing::Silent,
        None => Standing::Fine,
    }
}

fn name(booth: &BoothView) -> &str {
    if booth.name.is_empty() {
        &booth.booth_id
    } else {
        &booth.name
    }
}

/// The fleet in one sentence.
pub fn sentence(view: &FleetView) -> String {
    if view.booths.is_empty() {
        return "No booth is expected and none has been heard.".into();
    }
    let of = |wanted: Standing| {
        view.booths
            .iter()
            .filter(move |booth| standing(booth) == wanted)
    };
    let speaks = |booth: &&BoothView| {
        matches!(
            standing(booth),
            Standing::NeedsVisit | Standing::Watch | Standing::Fine
        )
    };
    let can = view.booths.iter().filter(speaks).count();
    let all = view.booths.len();
    let mut parts = vec![if can == all && all == 1 {
        "The booth can take messages".to_owned()
    } else if can == all {
        format!("All {all} booths can take messages")
    } else {
        format!("{can} of {all} can take messages")
    }];
    let cannot: Vec<&BoothView> = of(Standing::CannotSpeak).collect();
    if !cannot.is_empty() {
        let mut reasons: Vec<String> = cannot.iter().map(|booth| reason(booth)).collect();
        reasons.sort();
        reasons.dedup();
        parts.push(format!(
            "{} cannot, because {}",
            cannot.len(),
            reasons.join(", or ")
        ));
    }
    let silent: Vec<&BoothView> = of(Standing::Silent).collect();
    if !silent.is_empty() {
        let longest = silent.iter().filter_map(|booth| booth.health_age_s).max();
        let since = longest.map_or_else(String::new, |age| format!(" for {}", span(age)));
        parts.push(format!("{} silent{since}", silent.len()));
    }
    let never = of(Standing::NeverHeard).count();
    if never > 0 {
        parts.push(format!("{never} never heard"));
    }
    let oldest = view
        .booths
        .iter()
        .filter_map(|booth| Some((booth.oldest_unsent_s?, booth)))
        .max_by_key(|(age, _)| *age);
    if let Some((age, booth)) = oldest.filter(|(age, _)| *age > 0) {
        parts.push(format!("oldest unsent {} at {}", span(age), name(booth)));
    }
    parts.join("; ") + "."
}

fn reason(booth: &BoothView) -> String {
    let preventing = booth
        .alerts
        .iter()
        .find(|(_, severity, ..)| *severity == Severity::CitizenCannotSpeak);
    match preventing.and_then(|(id, ..)| AlertId::parse(id)) {
        Some(id) => {
            let text = id.meaning().trim_end_matches('.');
            let mut letters = text.chars();
            letters.next().map_or_else(String::new, |first| {
                first.to_lowercase().collect::<String>() + letters.as_str()
            })
        }
        None => "it does not say why".into(),
    }
}

/// The page.
pub fn operations(view: &FleetView) -> Markup {
    let mut booths: Vec<&BoothView> = view.booths.iter().collect();
    booths.sort_by(|a, b| {
        let key = |booth: &BoothView| (standing(booth), std::cmp::Reverse(booth.oldest_unsent_s));
        key(a)
            .cmp(&key(b))
            .then_with(|| a.booth_id.cmp(&b.booth_id))
    });
    let unsealed = view
        .booths
        .iter()
        .filter(|booth| booth.sealed == Some(false))
        .count() as u64;
    let body = html! {
        h1 { (sentence(view)) }
        @if !view.broker_connected {
            p.note role="alert" { span.bad { "The hub has no connection to the broker: " } (view.broker_detail)
                " What follows is the last that was known." }
        }
        @if unsealed > 0 {
            p.note { (count(unsealed, "booth keeps", "booths keep")) " clips unsealed: not for public placement." }
        }
        p.soft { "As of " (view.generated_at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()) ". The page reloads every 15 s." }
        div.scroll { table {
            thead { tr { th { "Booth" } th { "Can take messages" } th { "Last health" } th { "Unsent" } th { "Last clip" } th { "Software" } } }
            tbody { @for booth in booths { (row(booth)) } }
        } }
        @if !view.gaps.is_empty() {
            h2 { "Clips that are not here" }
            div.scroll { table {
                thead { tr { th { "Card" } th { "Booth" } th { "Numbers" } th { "Where they are" } th { "Card last heard" } } }
                tbody { @for gap in &view.gaps { tr {
                    td { code { (gap.card_id.chars().take(8).collect::<String>()) } }
                    td { (gap.booth_id) }
                    td { (ranges(&gap.missing)) }
                    td { (whereabouts(&gap.kind)) }
                    td { (moment(&gap.last_seen)) }
                } } }
            } }
        }
        @if !view.refused.is_empty() {
            h2 { "Clips to look at" }
            div.scroll { table {
                thead { tr { th { "When" } th { "Booth" } th { "Clip" } th { "Why" } } }
                tbody { @for refused in &view.refused { tr {
                    td { (moment(&refused.at)) } td { (refused.booth_id) }
                    td { code { (refused.clip_id) } } td { (refused.reason) }
                } } }
            } }
        }
    };
    page("Operations", true, &body)
}

fn whereabouts(kind: &str) -> &str {
    match kind {
        "missing_between" => "missing in between: neither here nor on the booth",
        "still_on_booth" => "still on the booth",
        "card_gone" => "on a card that went away",
        other => other,
    }
}

fn ranges(missing: &[(u64, u64)]) -> String {
    let each = |(first, last): &(u64, u64)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}–{last}")
        }
    };
    let mut shown: Vec<String> = missing.iter().take(10).map(each).collect();
    if missing.len() > 10 {
        shown.push("…".into());
    }
    shown.join(", ")
}

fn row(booth: &BoothView) -> Markup {
    html! {
        tr {
            td {
                strong { (name(booth)) }
                div.soft { (booth.booth_id) @if !booth.place.is_empty() { " · " (booth.place) }
                    @if !booth.expected { " · not expected" } }
            }
            td {
                @match standing(booth) {
                    Standing::CannotSpeak => span.bad { "✕ No" },
                    Standing::Silent => span.bad { "? Silent" },
                    Standing::NeverHeard => span.warn { "? Never heard" },
                    Standing::NeedsVisit => span.warn { "✓ Yes, but needs a visit" },
                    Standing::Watch => span.good { "✓ Yes, to be watched" },
                    Standing::Fine => span.good { "✓ Yes" },
                }
                @if booth.heard && booth.presence != Some(Presence::Online) {
                    div.soft { @match booth.presence {
                        Some(Presence::Offline) => "stopped cleanly",
                        Some(Presence::Lost) => "connection lost",
                        Some(Presence::Online) | None => "presence unknown",
                    } }
                }
                @if !booth.alerts.is_empty() || booth.two_serials {
                    ul {
                        @for (id, _, text, since) in &booth.alerts {
                            li { (text) div.soft { "since " (moment(since))
                                @if let Some(id) = AlertId::parse(id) { " · " (id.remedy()) } } }
                        }
                        @if booth.two_serials { li { "Two machines use this booth's id." } }
                    }
                }
            }
            td { @match booth.health_age_s {
                Some(age) if booth.stale => span.bad { (span(age)) " ago, stale" },
                Some(age) => { (span(age)) " ago" },
                None => "never",
            } }
            td { @match (booth.spool_clips, booth.oldest_unsent_s) {
                (Some(0) | None, _) => "none",
                (Some(clips), Some(age)) => { (count(clips, "clip", "clips")) ", oldest " (span(age)) },
                (Some(clips), None) => (count(clips, "clip", "clips")),
            } }
            td { @match &booth.last_clip_at { Some(at) => (moment(at)), None => "none yet" } }
            td { (booth.sw_version.as_deref().unwrap_or("unknown"))
                @if booth.sealed == Some(false) { div.warn { "unsealed: not for public placement" } } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn booth(id: &str) -> BoothView {
        BoothView {
            booth_id: id.into(),
            name: String::new(),
            place: String::new(),
            expected: true,
            heard: true,
            presence: Some(Presence::Online),
            ready: Some(true),
            stale: false,
            health_age_s: Some(10),
            health_interval_s: 60,
            oldest_unsent_s: Some(0),
            spool_clips: Some(0),
            alerts: Vec::new(),
            sw_version: None,
            last_clip_at: None,
            sealed: Some(true),
            two_serials: false,
        }
    }

    fn fleet(booths: Vec<BoothView>) -> FleetView {
        FleetView {
            generated_at: jiff::Timestamp::UNIX_EPOCH,
            broker_connected: true,
            broker_detail: String::new(),
            booths,
            gaps: Vec::new(),
            refused: Vec::new(),
        }
    }

    #[test]
    fn one_sentence_says_it_all() {
        assert_eq!(
            sentence(&fleet(Vec::new())),
            "No booth is expected and none has been heard."
        );
        assert_eq!(
            sentence(&fleet(vec![booth("a-1")])),
            "The booth can take messages."
        );
        let mut full = booth("b-2");
        full.ready = Some(false);
        full.oldest_unsent_s = Some(3 * 3600);
        let card = (
            AlertId::SpoolFull.as_str().to_owned(),
            Severity::CitizenCannotSpeak,
            String::new(),
            String::new(),
        );
        full.alerts = vec![card];
        let mut stale = booth("c-3");
        stale.stale = true;
        stale.health_age_s = Some(600);
        let mut never = booth("d-4");
        never.heard = false;
        assert_eq!(
            sentence(&fleet(vec![booth("a-1"), full, stale, never])),
            "1 of 4 can take messages; 1 cannot, because the card has no room for another message; \
             1 silent for 10 min; 1 never heard; oldest unsent 3 h at b-2."
        );
    }

    #[test]
    fn the_worst_booth_comes_first_and_a_lost_broker_is_one_line() {
        let mut broken = booth("zz-9");
        broken.ready = Some(false);
        let mut view = fleet(vec![booth("aa-1"), broken]);
        view.broker_connected = false;
        let page = operations(&view).into_string();
        assert!(page.find("zz-9") < page.find("aa-1"));
        assert_eq!(page.matches("no connection to the broker").count(), 1);
    }

    #[test]
    fn a_booth_that_keeps_clips_unsealed_is_told_to_be_none_for_the_public_at_the_booth_itself() {
        let mut open = booth("open-1");
        open.sealed = Some(false);
        let told = |view| {
            let page = operations(&view).into_string();
            page.matches("not for public placement").count()
        };
        // Once for the fleet, once for each such booth; a booth that seals and one that was never heard say nothing.
        let mut unknown = booth("new-1");
        unknown.sealed = None;
        assert_eq!(told(fleet(vec![booth("a-1"), unknown.clone()])), 0);
        assert_eq!(
            told(fleet(vec![open.clone(), booth("a-1"), unknown, open])),
            3
        );
    }

    #[test]
    fn names_and_texts_cannot_break_out_of_the_page() {
        let mut evil = booth("a-1");
        evil.name = "<script>alert(1)</script>".into();
        evil.alerts = vec![(
            "x".into(),
            Severity::Watch,
            "\"><img src=x>".into(),
            "<b>".into(),
        )];
        let page = operations(&fleet(vec![evil])).into_string();
        assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("<b>"));
    }
}
