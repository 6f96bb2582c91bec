//! The page for operations: one sentence first, then the fleet, worst first.

use maud::{Markup, html};

use super::campaigns::asked;
use super::look_at::list;
use super::map::map;
use super::spark::number;
use super::standing::Chosen;
use super::{Base, Head, count, grouped, moment, more, page};
use crate::view::{AlertView, BoothView, FleetView, GapView, UnreadableView};
use booth_city::places::Whereabouts;
use booth_contract::fleet::{self, SORTS, Seen, Standing, span};
use booth_contract::{AlertId, Presence};

/// How often a page loads itself anew, in seconds, where its reader has asked for that.
pub const RELOAD_S: u32 = 15;
/// Most ranges of missing numbers shown of one card.
const MAX_RANGES: usize = 10;
/// Most senders shown that are no booths.
const MAX_STRANGERS: usize = 50;
/// Most booths shown, the worst first.
const MAX_BOOTHS: usize = 200;
/// Most alerts shown of one booth, the worst first.
const MAX_ALERTS: usize = 12;
/// Most of an alert's text that is shown, in characters.
const MAX_TEXT: usize = 200;

/// The fleet in one sentence.
pub fn sentence(view: &FleetView) -> String {
    fleet::sentence(&view.booths)
}

/// The page, of the booths that its reader has chosen.
pub fn operations(
    head: &Head,
    view: &FleetView,
    whereabouts: Option<&Whereabouts>,
    chosen: &Chosen,
) -> Markup {
    let wanted = chosen.of(&view.booths);
    let number = wanted.len();
    let on_map = whereabouts.map(|whereabouts| map(&wanted, whereabouts));
    let booths = wanted.into_iter().skip(chosen.from).take(MAX_BOOTHS);
    let booths: Vec<&BoothView> = booths.collect();
    let unsealed = view
        .booths
        .iter()
        .filter(|booth| booth.sealed == Some(false))
        .count() as u64;
    let is_shown = |sender: &str| view.booths.iter().any(|booth| booth.booth_id == sender);
    let strangers = view.unreadable.entries.iter();
    let strangers: Vec<&UnreadableView> = strangers
        .filter(|said| !is_shown(&said.sender))
        .take(MAX_STRANGERS)
        .collect();
    let body = html! {
        h1 { (sentence(view)) }
        @if !view.broker_connected {
            p.note role="alert" { span.bad { "The hub has no connection to the broker: " } (view.broker_detail)
                " What follows is the last that was known." }
        }
        @if let Some(rival) = &view.broker_rival {
            p.note role="alert" { span.bad { "Two hubs. " } (rival) }
        }
        @if unsealed > 0 {
            p.note { (count(unsealed, "booth keeps", "booths keep")) " clips unsealed: not for public placement." }
        }
        @let strange_keys = view.booths.iter().filter(|booth| !booth.unknown_keys.is_empty()).count() as u64;
        @if strange_keys > 0 {
            p.note role="alert" { span.bad { (count(strange_keys, "booth seals", "booths seal")) " to a key that this hub does not know. " }
                "Somebody may have changed its card, and hear what is said there. Look at the booth; if the key is the city's, name it in [privacy] recipients of hub.toml." }
        }
        @let implied = view.booths.iter().filter(|booth| booth.consent_is_implied).count() as u64;
        @if implied > 0 {
            p.note { (count(implied, "booth records", "booths record")) " without asking: for closed events alone." }
        }
        @if view.withdrawals_waiting > 0 {
            p.note { (count(view.withdrawals_waiting, "withdrawal waits", "withdrawals wait")) ": for its turn, or for the desk where the city's key is (booth-hub serve --sealed). None is dropped." }
        }
        @if !view.over_budget.entries.is_empty() {
            (over_budget(view))
        }
        p.soft { "As of " (view.generated_at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()) ". "
            @let other = Chosen { reloads: !chosen.reloads, ..chosen.clone() };
            @if chosen.reloads {
                "This page loads anew every " (RELOAD_S) " s. " a href=(address(&other)) { "Let it stand" } "."
            } @else {
                a href=(address(&other)) { "Load it anew every " (RELOAD_S) " s" } ", for a screen on the wall."
            }
        }
        (choice(view, chosen))
        div.scroll tabindex="0" { table {
            thead { tr { th { "Booth" } th { "Can take messages" } th { "Last health" } th { "Unsent" } th { "Card" } th { "Power and heat" }
                th { "Network" } th { "Clock and keys" } th { "Last clip" } th { "Software" } } }
            tbody { @for booth in &booths { (row(booth, &view.unreadable.entries)) } }
        } }
        (turning(number, booths.len(), chosen))
        @if let Some(on_map) = &on_map { (on_map) }
        (asked(&booths))
        @if !strangers.is_empty() {
            (unread(&strangers))
        }
        @if !view.gaps.is_empty() {
            (gaps(view))
        }
        @if !view.refused.is_empty() {
            h2 { "Clips to look at" }
            (list(&view.refused))
            @if (view.refused.len() as u64) < view.refused_total {
                p { a href="look-at" { "All " (count(view.refused_total, "entry", "entries")) } }
            }
        }
    };
    page(head, "Operations", Base::BESIDE, &body)
}

/// The address of the page with this choice.
fn address(chosen: &Chosen) -> String {
    match chosen.query() {
        query if query.is_empty() => Base::BESIDE.to("operations"),
        query => Base::BESIDE.to("operations") + "?" + &query,
    }
}

/// What a reader may choose: a standing, an order, and what to look for.
fn choice(view: &FleetView, chosen: &Chosen) -> Markup {
    let number = |standing: Standing| {
        view.booths
            .iter()
            .filter(|booth| booth.standing() == standing)
            .count() as u64
    };
    html! {
        @if view.booths.len() > 1 || *chosen != Chosen::default() {
            form.choice method="get" action=(Base::BESIDE.to("operations")) {
                label { "Show " select name="show" {
                    option value="" { "all " (grouped(view.booths.len() as u64)) }
                    @for standing in Standing::ALL {
                        option value=(standing.key()) selected[chosen.show == Some(standing)] { (grouped(number(standing))) " " (standing.word()) }
                    }
                } }
                label { "in this order " select name="sort" {
                    @for (n, (key, word)) in SORTS.iter().enumerate() { option value=(key) selected[chosen.sort == n] { (word) } }
                } }
                label { "whose id, name or place has " input name="find" value=(chosen.find); }
                @if chosen.reloads { input type="hidden" name="reload" value=""; }
                button { "Show" }
                a href=(Base::BESIDE.to("operations.csv")) download { "All as CSV" }
                a href=(Base::BESIDE.to("updates")) { "Updates" }
                a href=(Base::BESIDE.to("questions")) { "Questions" }
            }
        }
    }
}

/// How many booths are wanted, and the way to those that are not on this page.
fn turning(number: usize, shown: usize, chosen: &Chosen) -> Markup {
    let at = |from: usize| {
        address(&Chosen {
            from,
            ..chosen.clone()
        })
    };
    let end = chosen.from + shown;
    html! {
        @if number > shown {
            nav.pages aria-label="More booths" {
                @if chosen.from > 0 { a rel="prev" href=(at(chosen.from.saturating_sub(MAX_BOOTHS))) { "The " (MAX_BOOTHS) " before" } }
                span { @if shown > 0 { "Booths " (grouped(chosen.from as u64 + 1)) " to " (grouped(end as u64)) " of " } @else { "None of " } (grouped(number as u64)) }
                @if end < number && shown > 0 { a rel="next" href=(at(end)) { "The next" } }
            }
        }
    }
}

/// What the last health said of the machine: the card, the power, the network, the clock and what ends some day.
fn machine(booth: &BoothView) -> Markup {
    let said = |name: &str| booth.health.as_ref().and_then(|health| health.get(name));
    let some = |name: &str, before: &str, after: &str| {
        said(name).map(|value| format!("{before}{}{after}", number(value)))
    };
    let many = |name: &str, one: &str, many: &str| match said(name) {
        Some(value) if value >= 1.0 => Some(count(value as u64, one, many)),
        _ => None,
    };
    let card = [
        some("data_used_pct", "", " % full"),
        some("sd_written_mb_today", "", " MB written today"),
        many("sd_io_errors", "error", "errors"),
        many("quarantined_clips", "clip set aside", "clips set aside"),
        said("root_ro")
            .filter(|on| *on == 1.0)
            .map(|_| "read-only".to_owned()),
    ];
    let power = [
        some("cpu_temp_c", "", " °C"),
        many("undervolt_count", "dip of the supply", "dips of the supply"),
        said("throttled_now")
            .filter(|on| *on == 1.0)
            .map(|_| "slowed down by the firmware".to_owned()),
    ];
    let network = [
        some("wifi_rssi_dbm", "", " dBm"),
        many("reconnects", "lost connection", "lost connections"),
        said("tx_bytes_today").map(|bytes| format!("{} MB sent today", number(bytes / 1e6))),
    ];
    let days = |name: &str, what: &str| {
        said(name).map(|left| match left < 0.0 {
            true => format!("{what} has ended"),
            false => format!("{what} {} days", number(left)),
        })
    };
    let clock = [
        said("clock_synced")
            .filter(|on| *on == 0.0)
            .map(|_| "clock not set".to_owned()),
        days("cert_days_left", "certificate"),
        days("key_days_left", "key"),
    ];
    html! {
        @for facts in [&card[..], &power[..], &network[..], &clock[..]] {
            td { @for fact in facts.iter().flatten() { div { (fact) } } }
        }
    }
}

/// The senders that have used up what the hub takes from one.
fn over_budget(view: &FleetView) -> Markup {
    html! {
        h2 { "Look at these senders" }
        p.note role="alert" { "Each has used up what the hub takes from one sender. Its messages beyond that are dropped, and the others are served. "
            "No booth needs so much: its password may be in other hands. Look at the booth, and give it another password at the broker. "
            "A sender leaves this list after a quiet day." }
        div.scroll tabindex="0" { table {
            thead { tr { th { "Last" } th { "Sender" } th { "Dropped" } th { "Why" } } }
            tbody { @for said in &view.over_budget.entries { tr {
                td { (moment(&said.last_at)) } td { code { (said.sender) } }
                td { (count(said.times, "message", "messages")) } td { (said.why) }
            } } }
        } }
        (more(view.over_budget.more(), "senders"))
    }
}

/// What cannot be read of senders that are in no row.
fn unread(strangers: &[&UnreadableView]) -> Markup {
    html! {
        h2 { "Messages that cannot be read" }
        p.soft { "From senders that are no booth of the table above. What cannot be read changes nothing." }
        div.scroll tabindex="0" { table {
            thead { tr { th { "Last" } th { "Sender" } th { "What" } th { "How often" } th { "Why" } } }
            tbody { @for said in strangers { tr {
                td { (moment(&said.last_at)) } td { code { (said.sender) } } td { (said.kind) }
                td { (grouped(said.times)) } td { (said.why) }
            } } }
        } }
    }
}

/// The numbers of clips that are not here.
fn gaps(view: &FleetView) -> Markup {
    html! {
        h2 { "Clips that are not here" }
        (gap_table(&view.gaps))
        (more(view.gaps_total.saturating_sub(view.gaps.len() as u64), "entries"))
    }
}

pub(super) fn gap_table(gaps: &[GapView]) -> Markup {
    html! {
        div.scroll tabindex="0" { table {
            thead { tr { th { "Card" } th { "Booth" } th { "Numbers" } th { "Where they are" } th { "Card last heard" } } }
            tbody { @for gap in gaps { tr {
                td { code { (gap.card_id.chars().take(8).collect::<String>()) } }
                td { (gap.booth_id) }
                td { (count(gap.numbers, "clip", "clips")) div.soft { (ranges(&gap.missing, gap.numbers)) } }
                td { (whereabouts(&gap.kind)) }
                td { (moment(&gap.last_seen)) }
            } } }
        } }
    }
}

fn whereabouts(kind: &str) -> &str {
    match kind {
        "missing_between" => "missing in between: neither here nor on the booth",
        "still_on_booth" => "still on the booth",
        "card_gone" => "on a card that went away",
        other => other,
    }
}

/// The first missing numbers, and how many more there are.
fn ranges(missing: &[(u64, u64)], numbers: u64) -> String {
    let each = |(first, last): &(u64, u64)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}–{last}")
        }
    };
    let first = &missing[..missing.len().min(MAX_RANGES)];
    let named: u64 = first.iter().map(|(from, to)| to - from + 1).sum();
    let mut shown: Vec<String> = first.iter().map(each).collect();
    if named < numbers {
        shown.push(format!("and {} more", grouped(numbers - named)));
    }
    shown.join(", ")
}

/// Whether the booth can take messages, what it has raised with the remedies, and what of it could not be read.
pub(super) fn standing_of(booth: &BoothView, unreadable: &[UnreadableView]) -> Markup {
    let unread = |said: &&UnreadableView| said.sender == booth.booth_id;
    html! {
        @match booth.standing() {
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
                @for AlertView { id, text, since, confirmed, .. } in booth.alerts.iter().take(MAX_ALERTS) {
                    li { (text.chars().take(MAX_TEXT).collect::<String>()) div.soft {
                        @if !since.is_empty() { "since " (moment(since)) " · " }
                        @if !confirmed { "said before, and not yet confirmed · " }
                        @if let Some(id) = AlertId::parse(id) { (id.remedy()) } } }
                }
                @if booth.alerts.len() > MAX_ALERTS { li { "and " (booth.alerts.len() - MAX_ALERTS) " more alerts" } }
                @if booth.two_serials { li { "Two machines use this booth's id." } }
            }
        }
        @for said in unreadable.iter().filter(unread) {
            div.warn { (count(said.times, "message", "messages")) " (" (said.kind) ") could not be read" }
            div.soft { "the last " (moment(&said.last_at)) ": " (said.why) }
        }
    }
}

fn row(booth: &BoothView, unreadable: &[UnreadableView]) -> Markup {
    html! {
        tr {
            td {
                strong { a href={ (Base::BESIDE.to("booth/")) (booth.booth_id) } { (booth.called()) } }
                div.soft { (booth.booth_id) @if !booth.place.is_empty() { " · " (booth.place) }
                    @if !booth.expected { " · not expected" } }
            }
            td { (standing_of(booth, unreadable)) }
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
            (machine(booth))
            td { @match &booth.last_clip_at { Some(at) => (moment(at)), None => "none yet" } }
            td { (booth.sw_version.as_deref().unwrap_or("unknown"))
                @if booth.sealed == Some(false) { div.warn { "unsealed: not for public placement" } }
                @if booth.consent_is_implied { div.warn { "consent is implied: for closed events alone" } }
                @if !booth.unknown_keys.is_empty() { div.bad { "seals to a key that is not known here: " (booth.unknown_keys.join(", ")) } } }
        }
    }
}

#[cfg(test)]
mod tests {
    use booth_contract::Severity;

    use super::*;
    use crate::pages::look_at;
    use crate::view::{RefusedPage, RefusedView};

    fn booth(id: &str) -> BoothView {
        BoothView {
            heard: true,
            presence: Some(Presence::Online),
            ready: Some(true),
            health_age_s: Some(10),
            oldest_unsent_s: Some(0),
            spool_clips: Some(0),
            sealed: Some(true),
            ..BoothView::never_heard(id)
        }
    }

    fn fleet(booths: Vec<BoothView>) -> FleetView {
        FleetView {
            broker_connected: true,
            booths,
            ..FleetView::empty(jiff::Timestamp::UNIX_EPOCH)
        }
    }

    fn alert(id: &str, severity: Severity) -> AlertView {
        AlertView {
            id: id.into(),
            severity,
            text: String::new(),
            since: String::new(),
            confirmed: true,
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
        let card = AlertId::SpoolFull.as_str();
        full.alerts = vec![alert(card, Severity::CitizenCannotSpeak)];
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
        let page = operations(&Head::Own, &view, None, &Chosen::default()).into_string();
        assert!(page.find("zz-9") < page.find("aa-1"));
        assert_eq!(page.matches("no connection to the broker").count(), 1);
        assert!(!page.contains("Two hubs"));
    }

    #[test]
    fn a_second_hub_is_told_while_this_one_is_connected() {
        let mut view = fleet(vec![booth("aa-1")]);
        view.broker_rival = Some("Another hub took the connection over.".into());
        let page = operations(&Head::Own, &view, None, &Chosen::default()).into_string();
        assert!(page.contains("Two hubs. </span>Another hub took"), "{page}");
    }

    #[test]
    fn a_booth_that_keeps_clips_unsealed_is_told_to_be_none_for_the_public_at_the_booth_itself() {
        let mut open = booth("open-1");
        open.sealed = Some(false);
        let told = |view| {
            let page = operations(&Head::Own, &view, None, &Chosen::default()).into_string();
            page.matches("not for public placement").count()
        };
        // The warning stands once for the fleet and once for each such booth; not for a booth that seals or one that was never
        // heard.
        let mut unknown = booth("new-1");
        unknown.sealed = None;
        assert_eq!(told(fleet(vec![booth("a-1"), unknown.clone()])), 0);
        assert_eq!(
            told(fleet(vec![open.clone(), booth("a-1"), unknown, open])),
            3
        );
    }

    #[test]
    fn what_a_booth_said_and_nobody_could_read_stands_beside_it_and_strangers_below() {
        let unread = |sender: &str, times: u64| UnreadableView {
            sender: sender.into(),
            kind: "health".into(),
            times,
            last_at: "2026-03-01T10:00:00.000Z".into(),
            why: "it is no object".into(),
        };
        let mut view = fleet(vec![booth("a-1")]);
        assert!(
            !operations(&Head::Own, &view, None, &Chosen::default())
                .into_string()
                .contains("read")
        );
        view.unreadable.entries = vec![unread("a-1", 1_060), unread("operations", 2)];
        let page = operations(&Head::Own, &view, None, &Chosen::default()).into_string();
        assert!(
            page.contains("1,060 messages (health) could not be read"),
            "{page}"
        );
        let strangers = page.split("Messages that cannot be read").nth(1);
        let strangers = strangers.expect("a table of its own");
        assert!(strangers.contains("operations") && !strangers.contains("1,060"));
    }

    #[test]
    fn a_sender_beyond_its_budget_is_named_with_what_to_do() {
        let mut view = fleet(vec![booth("a-1")]);
        assert!(
            !operations(&Head::Own, &view, None, &Chosen::default())
                .into_string()
                .contains("Look at these")
        );
        view.over_budget.entries = vec![UnreadableView {
            sender: "a-1".into(),
            kind: "budget".into(),
            times: 1_234,
            last_at: "2026-03-01T10:00:00.000Z".into(),
            why: "it sends faster than any booth".into(),
        }];
        view.over_budget.total = 8;
        let page = operations(&Head::Own, &view, None, &Chosen::default()).into_string();
        for said in [
            "<code>a-1</code>",
            "1,234 messages",
            "another password",
            "and 7 more senders",
        ] {
            assert!(page.contains(said), "{said} in {page}");
        }
        assert!(!page.contains("could not be read"), "{page}");
    }

    #[test]
    fn an_alert_that_the_booth_has_not_said_again_is_shown_as_such() {
        let mut back = booth("a-1");
        back.alerts = vec![
            alert("power", Severity::NeedsVisit),
            AlertView {
                confirmed: false,
                ..alert("spool_damaged", Severity::NeedsVisit)
            },
        ];
        let page =
            operations(&Head::Own, &fleet(vec![back]), None, &Chosen::default()).into_string();
        assert_eq!(page.matches("not yet confirmed").count(), 1);
    }

    #[test]
    fn how_many_clips_are_missing_is_said_whatever_is_shown_of_their_numbers() {
        assert_eq!(ranges(&[(1, 1), (4, 6)], 4), "1, 4–6");
        let many: Vec<(u64, u64)> = (0..12).map(|n| (10 * n + 1, 10 * n + 2)).collect();
        let shown = ranges(&many, 2_024);
        assert!(shown.ends_with("91–92, and 2,004 more"), "{shown}");
    }

    #[test]
    fn no_address_on_the_pages_of_operations_is_absolute() {
        let mut view = fleet(vec![booth("a-1")]);
        let cursor = crate::view::Cursor {
            at: "2026-03-01T10:00:00.000Z".into(),
            id: "7".into(),
        };
        view.refused = vec![RefusedView {
            at: cursor.at.clone(),
            booth_id: "a-1".into(),
            clip_id: "c".into(),
            reason: "why".into(),
            cursor,
        }];
        view.refused_total = 31;
        let list = RefusedPage {
            entries: view.refused.clone(),
            newer: 10,
            total: 31,
        };
        for page in [
            operations(&Head::Own, &view, None, &Chosen::default()),
            look_at(&Head::Own, &list, None),
        ] {
            let page = page.into_string();
            assert!(!page.contains("=\"/"), "{page}");
        }
        let page = operations(&Head::Own, &view, None, &Chosen::default()).into_string();
        assert!(page.contains("href=\"look-at\"") && page.contains("All 31 entries"));
    }

    #[test]
    fn names_and_texts_cannot_break_out_of_the_page() {
        let mut evil = booth("a-1");
        evil.name = "<script>alert(1)</script>".into();
        evil.alerts = vec![AlertView {
            text: "\"><img src=x>".into(),
            since: "<b>".into(),
            ..alert("x", Severity::Watch)
        }];
        let mut view = fleet(vec![evil]);
        let unread = |sender: &str| UnreadableView {
            sender: sender.into(),
            kind: "<b>".into(),
            times: 1,
            last_at: "<b>".into(),
            why: "<script>".into(),
        };
        view.unreadable.entries = vec![unread("a-1"), unread("<img src=x>")];
        view.over_budget.entries = view.unreadable.entries.clone();
        let page = operations(&Head::Own, &view, None, &Chosen::default()).into_string();
        assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("<b>"));
    }
}
