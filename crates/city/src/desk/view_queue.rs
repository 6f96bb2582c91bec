//! The queue as a page, and what came of a decision about many.
//!
//! Owns: the HTML. Never does: ask the database.

use maud::{Markup, html};

use super::act::Outcome;
use super::decide::State;
use super::form::query_of;
use super::pages::{Done, QueuePage};
use super::queue::{Entry, Filter, Group, Rank};
use super::reasons::reason_label;
use crate::City;
use crate::centre::{Campaign, Kind, Source};
use crate::people::Person;
use crate::web::{staff_page_with, token_field};

/// A local time of day, with its date.
pub(super) fn local(city: &City, at: jiff::Timestamp) -> String {
    let local = at.to_zoned_datetime(city.zone.clone());
    local.strftime("%Y-%m-%d %H:%M").to_string()
}

/// A length as people say it: `0:20`.
pub(super) fn length(ms: u64) -> String {
    let seconds = ms.div_ceil(1_000);
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

/// A text of a question or campaign in the language of the page, or in its first.
pub(super) fn question_text(
    campaigns: &[Campaign],
    language: &str,
    campaign: Option<&str>,
    question: Option<&str>,
) -> Option<String> {
    let campaign = campaigns
        .iter()
        .find(|own| Some(own.id.as_str()) == campaign)?;
    let question = campaign
        .questions
        .iter()
        .find(|own| Some(own.id.as_str()) == question);
    let text = question.and_then(|question| {
        let text = question.text.get(language);
        text.or_else(|| question.text.values().next()).cloned()
    });
    Some(text.unwrap_or_else(|| campaign.title.clone()))
}

/// What was decided a moment ago, with the button that takes it back.
pub(super) fn done_note(city: &City, person: &Person, filter: &Filter, done: &Done) -> Markup {
    let say = |name: &str| city.words.say(&person.here.language, name);
    let action = person
        .here
        .to(&format!("desk/undo{}", query_of(filter, &[])));
    html! {
        form.done method="post" action=(action) role="status" {
            (token_field(person))
            input type="hidden" name="item" value=(format!("{}:{}", done.id, done.version));
            (say(done.said)) " "
            button #undo { (say("desk-undo")) " " kbd { "u" } }
        }
    }
}

pub(super) fn page(city: &City, person: &Person, page: &QueuePage, done: Option<&Done>) -> Markup {
    let language = person.here.language.as_str();
    let say = |name: &str| city.words.say(language, name);
    let filter = &page.filter;
    let is_open = matches!(filter.state, None | Some(State::Waiting));
    let title = say("desk-title");
    let waiting = city
        .words
        .say_with(language, "desk-waiting", &[("n", page.waiting.into())]);
    let begin = person
        .here
        .to(&format!("desk/next{}", query_of(filter, &[])));
    let body = html! {
        link rel="stylesheet" href=(person.here.to("desk/desk.css"));
        @if let Some(done) = done { (done_note(city, person, filter, done)) }
        h1 { (title) }
        p #waiting { (waiting) }
        @if let Some(fault) = &page.recogniser_fault { p.note { (say("desk-no-drafts")) " " span lang="en" { (fault) } } }
        @if page.is_empty_behind { p role="status" { (say("desk-nothing-left")) } }
        @if page.next.is_none() && is_open && !page.groups.is_empty() { p.note { (say("desk-none-for-you")) } }
        @if page.next.is_some() && is_open {
            p { a.begin #next href=(begin) { (say("desk-begin")) " " kbd { "Enter" } } }
        }
        @if !page.complaints.is_empty() {
            h2 { (say("desk-reported")) }
            ul #reported {
                @for complaint in &page.complaints {
                    li {
                        a href=(person.here.to(&format!("desk/message/{}", complaint.message))) { (complaint.at.get(..10).unwrap_or_default()) }
                        " · " bdi { (complaint.why) }
                    }
                }
            }
        }
        (filter_form(city, person, page))
        @if page.groups.is_empty() { p { (say("desk-empty")) } }
        @for group in &page.groups { (group_of(city, person, page, group, is_open)) }
        (further(city, person, page))
        p { a href=(person.here.to("desk/alarms")) { (say("alarm-all")) } }
    };
    staff_page_with(city, person, &title, &["desk/desk.js"], &body)
}

/// The way to the next page of a long queue, and back to its beginning.
fn further(city: &City, person: &Person, page: &QueuePage) -> Markup {
    let say = |name: &str| city.words.say(&person.here.language, name);
    let to = |from: &str| {
        let query = query_of(&page.filter, &[("from", from)]);
        person.here.to(&format!("desk{query}"))
    };
    html! {
        @if page.further.is_some() || !page.is_first {
            nav.pages aria-label=(say("desk-pages")) {
                @if !page.is_first { a href=(to("")) { (say("desk-first-page")) } " " }
                @if let Some(place) = &page.further { a rel="next" href=(to(&place.text())) { (say("desk-next-page")) } }
            }
        }
    }
}

fn filter_form(city: &City, person: &Person, page: &QueuePage) -> Markup {
    let language = person.here.language.as_str();
    let say = |name: &str| city.words.say(language, name);
    let filter = &page.filter;
    let mut languages: Vec<&str> = page
        .campaigns
        .iter()
        .flat_map(|campaign| campaign.languages.iter().map(String::as_str))
        .chain(city.config.offers.iter().map(String::as_str))
        .collect();
    languages.sort_unstable();
    languages.dedup();
    let option = |value: &str, text: &str, chosen: Option<&str>| {
        html! { option value=(value) selected[chosen == Some(value)] { (text) } }
    };
    html! {
        form.filter method="get" action=(person.here.to("desk")) {
            label { (say("desk-language")) " " select name="lang" {
                option value="" { (say("desk-all")) }
                @for lang in languages { (option(lang, lang, filter.lang.as_deref())) }
            } }
            label { (say("desk-campaign")) " " select name="campaign" {
                option value="" { (say("desk-all")) }
                @for campaign in &page.campaigns { (option(&campaign.id, &campaign.title, filter.campaign.as_deref())) }
            } }
            label { (say("desk-source")) " " select name="source" {
                option value="" { (say("desk-all")) }
                @for source in Source::ALL {
                    (option(source.word(), &say(&format!("source-{}", source.word())), filter.source.map(Source::word)))
                }
            } }
            label { (say("desk-state")) " " select name="state" {
                @for state in State::ALL {
                    (option(state.word(), &say(&format!("desk-state-{}", state.word())), filter.state.map(State::word)))
                }
            } }
            button { (say("desk-filter")) }
        }
    }
}

fn group_of(
    city: &City,
    person: &Person,
    page: &QueuePage,
    group: &Group,
    is_open: bool,
) -> Markup {
    let language = person.here.language.as_str();
    let say = |name: &str| city.words.say(language, name);
    let Some(first) = group.entries.first() else {
        return html! {};
    };
    let place = first.stood.as_ref().or(first.booth_id.as_ref());
    let place = place.map_or_else(
        || say(&format!("source-{}", first.source.word())),
        Clone::clone,
    );
    let action = person
        .here
        .to(&format!("desk/reject{}", query_of(&page.filter, &[])));
    let class = match first.rank {
        Rank::Danger => "group danger",
        Rank::Usual => "group",
        Rank::LikelyEmpty => "group empty",
    };
    html! {
        form class=(class) method="post" action=(action) {
            (token_field(person))
            h2 { bdi { (place) } " · " (local(city, first.said_at)) }
            ul {
                @for entry in &group.entries { li { (row_of(city, person, page, entry, is_open && page.may_publish)) } }
            }
            @if is_open && page.may_publish {
                p.many {
                    select name="reason" aria-label=(say("desk-reason")) {
                        @for reason in &city.config.desk.reasons { option value=(reason) { (reason_label(city, language, reason)) } }
                    }
                    " " button { (say("desk-reject-chosen")) }
                }
            }
        }
    }
}

fn row_of(city: &City, person: &Person, page: &QueuePage, entry: &Entry, with_box: bool) -> Markup {
    let language = person.here.language.as_str();
    let say = |name: &str| city.words.say(language, name);
    let query = query_of(&page.filter, &[]);
    let address = person.here.to(&format!("desk/message/{}{query}", entry.id));
    let text = question_text(
        &page.campaigns,
        language,
        entry.campaign_id.as_deref(),
        entry.question_id.as_deref(),
    );
    let text = text.unwrap_or_else(|| say("desk-no-question"));
    let item = format!("{}:{}", entry.id, entry.version);
    let is_others = entry
        .claimed_by
        .as_ref()
        .filter(|(account, _)| *account != person.account);
    html! {
        @if with_box { input type="checkbox" name="item" value=(item) id=(format!("i-{}", entry.id)) aria-label=(say("desk-choose")); " " }
        a href=(address) { (local(city, entry.said_at)) " · " (text) }
        @match entry.kind {
            Kind::Written => { " · " (say("desk-written")) }
            _ => { " · " (length(entry.duration_ms)) }
        }
        @if let Some(lang) = &entry.lang { " · " (lang) }
        @if entry.rank == Rank::Danger { " · " strong { (say("desk-danger-short")) } }
        @if entry.rank == Rank::LikelyEmpty { " · " (say("desk-likely-empty")) }
        @if entry.has_draft && entry.kind == Kind::Spoken { " · " (say("desk-has-draft")) }
        @if entry.proposed_by.is_some() && entry.rank != Rank::Danger { " · " (say("desk-waits-for-second")) }
        @if let Some((_, name)) = is_others { " · " (say("desk-claimed")) " " bdi { (name) } }
    }
}

/// What came of a decision about many messages, with one way back for all of them.
pub(super) fn many_done(
    city: &City,
    person: &Person,
    filter: &Filter,
    outcomes: &[(String, Outcome)],
) -> Markup {
    let language = person.here.language.as_str();
    let say = |name: &str| city.words.say(language, name);
    let title = say("desk-many-title");
    let done = outcomes.iter().filter_map(|(id, outcome)| match outcome {
        Outcome::Done { version, .. } => Some((id, version)),
        _ => None,
    });
    let done: Vec<_> = done.collect();
    let count = city
        .words
        .say_with(language, "desk-many-done", &[("n", done.len().into())]);
    let action = person
        .here
        .to(&format!("desk/undo{}", query_of(filter, &[])));
    let back = person.here.to(&format!("desk{}", query_of(filter, &[])));
    let others = outcomes
        .iter()
        .filter(|(_, outcome)| !matches!(outcome, Outcome::Done { .. }));
    let body = html! {
        link rel="stylesheet" href=(person.here.to("desk/desk.css"));
        h1 { (title) }
        p role="status" { (count) }
        ul {
            @for (id, outcome) in others {
                li {
                    a href=(person.here.to(&format!("desk/message/{id}"))) { (say("desk-one-message")) } ": "
                    @match outcome {
                        Outcome::Refused(refusal) => { (city.words.tell(language, &refusal.sentence())) }
                        Outcome::Overtaken(_) => { (say("desk-overtaken-short")) }
                        _ => { (say("desk-gone")) }
                    }
                }
            }
        }
        @if !done.is_empty() {
            form.done method="post" action=(action) {
                (token_field(person))
                @for (id, version) in &done { input type="hidden" name="item" value=(format!("{id}:{version}")); }
                button #undo { (say("desk-undo-all")) " " kbd { "u" } }
            }
        }
        p { a #next href=(back) { (say("desk-back")) " " kbd { "Enter" } } }
    };
    staff_page_with(city, person, &title, &["desk/desk.js"], &body)
}
