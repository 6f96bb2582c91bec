//! One message as a page: what it is, its sound, its words, and the buttons that decide.
//!
//! Owns: the HTML, and the keys that stand on it. Never does: ask the database.

use maud::{Markup, html};

use super::decide::State;
use super::form::query_of;
use super::pages::{MessagePage, Notice};
use super::reasons::reason_label;
use super::view_queue::{done_note, length, local, question_text};
use super::waveform;
use crate::City;
use crate::centre::Kind;
use crate::ideas::Idea;
use crate::people::{Person, Right};
use crate::web::{staff_page_with, token_field};
use booth_contract::Publish;

/// The keys of the page, with the names of the texts that say what they do. The first column is what the script listens to.
const KEYS: [(&str, &str); 22] = [
    ("Space", "desk-key-play"),
    ("← →", "desk-key-skip"),
    ("0", "desk-key-start"),
    ("s", "desk-key-speed"),
    ("m", "desk-key-pauses"),
    ("e", "desk-key-edit"),
    ("Esc", "desk-key-leave"),
    ("1 … 9", "desk-key-theme"),
    ("t", "desk-key-new-theme"),
    ("c", "desk-key-child"),
    ("p", "desk-key-text"),
    ("v", "desk-key-voice"),
    ("Ctrl+Enter", "desk-key-text-from-box"),
    ("h", "desk-key-heard"),
    ("r 1 … 9", "desk-key-reject"),
    ("k", "desk-key-keep"),
    ("n", "desk-key-next"),
    ("u", "desk-key-undo"),
    ("!", "desk-key-danger"),
    ("[ ]", "desk-key-trim"),
    ("x x", "desk-key-silence"),
    ("z", "desk-key-unsilence"),
];

pub(super) fn page(city: &City, person: &Person, page: &MessagePage) -> Markup {
    let language = person.here.language.as_str();
    let say = |name: &str| city.words.say(language, name);
    let message = &page.message;
    let text = question_text(
        &page.campaigns,
        language,
        message.campaign_id.as_deref(),
        message.question_id.as_deref(),
    );
    let title = text.unwrap_or_else(|| say("desk-no-question"));
    let query = query_of(&page.filter, &[("behind", &page.behind)]);
    let action = person
        .here
        .to(&format!("desk/message/{}{query}", message.id));
    let skip = query_of(&page.filter, &[("behind", &message.id)]);
    let skip = person.here.to(&format!("desk/next{skip}"));
    let may_publish = person.may(Right::Publish, message.campaign_id.as_deref());
    let may_transcribe = person.may(Right::Transcribe, message.campaign_id.as_deref());
    let body = html! {
        link rel="stylesheet" href=(person.here.to("desk/desk.css"));
        @if let Some(done) = &page.done { (done_note(city, person, &page.filter, done)) }
        @if let Some(notice) = &page.notice { (notice_of(city, person, notice)) }
        h1 { (title) }
        (facts(city, person, page))
        @if page.is_sealed {
            p.note { (say("desk-sealed")) }
            @if message.kind == Kind::Written {
                p { a href=(person.here.to(&format!("desk/message/{}/written.txt", message.id))) target="_blank" rel="noopener" { (say("desk-sealed-text")) } }
            }
        }
        @if let Some(fault) = &page.fault { p.note role="alert" { (say("desk-cannot-be-heard")) " " (city.words.tell(language, fault)) } }
        (sound_of(city, person, page))
        form #decide method="post" action=(action) {
            (token_field(person))
            input type="hidden" name="version" value=(page.typed.version);
            // The first button is what Enter in a field does: it only keeps.
            @if may_transcribe { button.hidden name="do" value="keep" tabindex="-1" aria-hidden="true" { (say("desk-keep")) } }
            (words_of(city, person, page))
            (themes_of(city, person, page))
            @if message.kind == Kind::Spoken { (cuts_of(city, person, page)) }
            p { label {
                input #child type="checkbox" name="child" value="1" checked[page.typed.is_child || message.is_childs_at_hub];
                " " (say("desk-child")) " " kbd { "c" }
            } }
            @if message.is_childs_at_hub { p.note { (say("desk-child-at-hub")) } }
            @if let Some(newest) = page.complaints.last().filter(|_| may_publish) {
                fieldset #reports {
                    input type="hidden" name="newest_report" value=(newest.id);
                    legend { (say("desk-reported")) }
                    ul { @for complaint in &page.complaints { li { (complaint.at.get(..10).unwrap_or_default()) " · " bdi { (complaint.why) } } } }
                    button name="do" value="looked" { (say("desk-reported-done")) }
                }
            }
            @if may_publish { (buttons(city, person, page)) }
            p.buttons {
                @if may_transcribe { button #keep name="do" value="keep" { (say("desk-keep")) " " kbd { "k" } } " " }
                a #next href=(skip) { (say("desk-skip")) " " kbd { "n" } }
            }
            fieldset.help {
                legend { (say("desk-danger-title")) }
                label { (say("desk-danger-remark")) " " input #remark name="remark" maxlength="500" autocomplete="off"; } " "
                button #danger name="do" value="danger" { (say("desk-danger")) " " kbd { "!" } }
            }
        }
        details.keys {
            summary { (say("desk-keys")) }
            p #single hidden { label { input #single-keys type="checkbox" checked; " " (say("desk-single-keys")) } }
            dl { @for (key, name) in KEYS { div { dt { kbd { (key) } } dd { (say(name)) } } } }
        }
    };
    staff_page_with(city, person, &title, &["desk/desk.js"], &body)
}

fn notice_of(city: &City, person: &Person, notice: &Notice) -> Markup {
    let language = person.here.language.as_str();
    let say = |name: &str| city.words.say(language, name);
    match notice {
        Notice::Refused(refusal) => {
            html! { p.note #notice role="alert" { (city.words.tell(language, &refusal.sentence())) } }
        }
        Notice::Failed => html! { p.note #notice role="alert" { (say("desk-failed")) } },
        Notice::Overtaken(overtaken) => {
            let by = overtaken.by.clone().unwrap_or_else(|| say("desk-somebody"));
            let standing = &overtaken.message.standing;
            let state = match (standing.state, standing.decided_by) {
                (State::Waiting, Some(_)) => say("desk-state-proposed"),
                (state, _) => say(&format!("desk-state-{}", state.word())),
            };
            let words = overtaken.message.content.transcript.as_ref();
            html! {
                div.note #notice role="alert" {
                    p { (city.words.say_with(language, "desk-overtaken", &[("by", by.into()), ("state", state.into())])) }
                    @if let Some(reason) = &standing.reason { p { (say("desk-reason")) ": " (reason_label(city, language, reason)) } }
                    @if let Some(words) = words {
                        p { (say("desk-overtaken-words")) }
                        blockquote dir="auto" lang=(words.lang) { (words.words) }
                    }
                }
            }
        }
    }
}

fn facts(city: &City, person: &Person, page: &MessagePage) -> Markup {
    let language = person.here.language.as_str();
    let say = |name: &str| city.words.say(language, name);
    let message = &page.message;
    let place = message.place.as_ref().or(message.booth_id.as_ref());
    let said_at = message
        .said_at
        .parse()
        .map_or_else(|_| message.said_at.clone(), |at| local(city, at));
    let allowed = match message.may_publish {
        Publish::No => "desk-allowed-no",
        Publish::Text => "desk-allowed-text",
        Publish::Voice => "desk-allowed-voice",
    };
    let waiting = city
        .words
        .say_with(language, "desk-waiting", &[("n", page.waiting.into())]);
    let flagged = message
        .draft
        .as_ref()
        .and_then(|draft| draft.flagged.as_ref());
    html! {
        p.facts {
            @if let Some(place) = place { bdi { (place) } " · " }
            (said_at) " · " (say(&format!("source-{}", message.source.word())))
            @if message.kind == Kind::Spoken { " · " (length(message.duration_ms)) }
            @if let Some(lang) = &message.lang { " · " (lang) }
            @if message.recovered { " · " (say("desk-recovered")) }
            " · " strong { (say(allowed)) } " · " (waiting)
        }
        @if message.standing.state != State::Waiting {
            p.note {
                (say(&format!("desk-state-{}", message.standing.state.word())))
                @if let Some(reason) = &message.standing.reason { " · " (reason_label(city, language, reason)) }
                @if message.standing.with_voice { " · " (say("desk-with-voice")) }
            }
        }
        @if let Some(name) = &page.proposed_by {
            p.note { (city.words.say_with(language, "desk-proposed-by", &[("by", name.as_str().into())])) }
        }
        @if let Some((name, until)) = &page.claimed_by {
            p.note #claimed { (city.words.say_with(language, "desk-claimed-until", &[("by", name.as_str().into()), ("until", local(city, *until).into())])) }
        }
        @if let Some(word) = flagged { p.danger { (say("desk-flagged")) " " q { (word) } } }
        @if let Some(alarm) = page.open_alarm {
            p.danger { a href=(person.here.to(&format!("desk/alarm/{alarm}"))) { (say("desk-alarm-open")) } }
        }
        @if !page.own_ideas.is_empty() {
            p { (say("desk-in-ideas"))
                @for idea in &page.own_ideas {
                    " " a href=(person.here.to(&format!("ideas/{}", idea.id))) { (Idea::in_language(&idea.title, language)) }
                }
            }
        }
    }
}

fn sound_of(city: &City, person: &Person, page: &MessagePage) -> Markup {
    let say = |name: &str| city.words.say(&person.here.language, name);
    let message = &page.message;
    if message.kind != Kind::Spoken {
        return html! {};
    }
    let address = person
        .here
        .to(&format!("desk/message/{}/sound.opus", message.id));
    let pauses = page.portrait.as_ref().map(|portrait| {
        let pauses = portrait
            .pauses
            .iter()
            .map(|(from, to)| format!("{from}-{to}"));
        pauses.collect::<Vec<_>>().join(" ")
    });
    html! {
        figure #player data-pauses=[pauses] {
            @if let Some(portrait) = &page.portrait { (waveform::drawing(portrait, &message.content, &say("desk-waveform"))) }
            audio #sound controls preload="auto" src=(address) {}
            figcaption #sound-state aria-live="off" {}
        }
    }
}

fn languages(city: &City, page: &MessagePage, chosen: &str) -> Vec<String> {
    let campaigns = page
        .campaigns
        .iter()
        .flat_map(|campaign| campaign.languages.iter());
    let mut all: Vec<String> = campaigns.chain(&city.config.offers).cloned().collect();
    all.extend(page.message.lang.clone());
    all.push(chosen.to_owned());
    all.retain(|lang| !lang.is_empty());
    all.sort_unstable();
    all.dedup();
    all
}

fn words_of(city: &City, person: &Person, page: &MessagePage) -> Markup {
    let say = |name: &str| city.words.say(&person.here.language, name);
    let typed = &page.typed;
    let draft = page.message.draft.as_ref();
    let model = draft
        .and_then(|draft| draft.model.clone())
        .unwrap_or_default();
    let is_empty =
        draft.is_some_and(|draft| draft.likely_empty) && page.message.kind == Kind::Spoken;
    let select = |name: &str, label: &str, chosen: &str| {
        html! {
            label { (say(label)) " " select name=(name) {
                @if chosen.is_empty() { option value="" { "–" } }
                @for lang in languages(city, page, chosen) { option value=(lang) selected[lang == chosen] { (lang) } }
            } }
        }
    };
    html! {
        p.words {
            label for="transcript" { (say("desk-transcript")) " " kbd { "e" } }
            textarea #transcript name="transcript" rows="5" dir="auto" lang=[Some(&typed.transcript_lang).filter(|lang| !lang.is_empty())]
                class=(if page.is_draft { "machine" } else { "" }) { (typed.transcript) }
        }
        @if page.is_draft { p.machine-note #machine { (city.words.say_with(&person.here.language, "desk-machines-draft", &[("model", model.into())])) } }
        @if is_empty { p.note { (say("desk-likely-empty-long")) } }
        @if let Some(why) = page.why_no_draft.as_ref().filter(|_| draft.is_none()) { p.note { (say("desk-no-draft")) " " span lang="en" { (why) } } }
        @if let Some(written) = page.written.as_ref().filter(|written| **written != typed.transcript) {
            details { summary { (say("desk-written-original")) } blockquote dir="auto" { (written) } }
        }
        p { (select("transcript_lang", "desk-language", &typed.transcript_lang)) }
        details open[!typed.translation.is_empty()] {
            summary { (say("desk-translation")) }
            p.words {
                label for="translation" { (say("desk-translation-label")) }
                textarea #translation name="translation" rows="4" dir="auto" { (typed.translation) }
            }
            p { (select("translation_lang", "desk-language", &typed.translation_lang)) }
        }
    }
}

fn themes_of(city: &City, person: &Person, page: &MessagePage) -> Markup {
    let language = person.here.language.as_str();
    let say = |name: &str| city.words.say(language, name);
    let typed = &page.typed;
    html! {
        fieldset.themes {
            legend { (say("desk-themes")) }
            @for (number, theme) in (1..).zip(&page.themes) {
                label {
                    input type="checkbox" name="theme" value=(theme.id) checked[typed.themes.contains(&theme.id)];
                    " " bdi { (theme.in_language(language)) }
                    @if number <= 9 { " " kbd { (number) } }
                } " "
            }
            label { (say("desk-new-theme")) " " kbd { "t" } " "
                input #new-theme name="new_theme" maxlength="200" autocomplete="off" value=(typed.new_theme); }
        }
        @if !page.ideas.is_empty() {
            p { label { (say("desk-idea")) " " select name="idea" {
                option value="" { "–" }
                @for idea in &page.ideas {
                    option value=(idea.id) selected[typed.idea == Some(idea.id)] { (Idea::in_language(&idea.title, language)) }
                }
            } } }
        }
    }
}

fn cuts_of(city: &City, person: &Person, page: &MessagePage) -> Markup {
    let say = |name: &str| city.words.say(&person.here.language, name);
    let typed = &page.typed;
    let is_cut =
        !(typed.trim_from.is_empty() && typed.trim_to.is_empty() && typed.silenced.is_empty());
    html! {
        details #cuts open[is_cut] {
            summary { (say("desk-cuts")) }
            p { (say("desk-cuts-explained")) }
            p {
                label { (say("desk-trim-from")) " " kbd { "[" } " " input #trim-from name="trim_from" size="7" inputmode="decimal" autocomplete="off" value=(typed.trim_from); } " "
                label { (say("desk-trim-to")) " " kbd { "]" } " " input #trim-to name="trim_to" size="7" inputmode="decimal" autocomplete="off" value=(typed.trim_to); }
            }
            p { label { (say("desk-silenced")) " " kbd { "x" } " " input #silenced name="silenced" size="30" autocomplete="off" value=(typed.silenced); } }
        }
    }
}

fn buttons(city: &City, person: &Person, page: &MessagePage) -> Markup {
    let language = person.here.language.as_str();
    let say = |name: &str| city.words.say(language, name);
    let message = &page.message;
    let text = message.may_publish != Publish::No;
    let voice = message.may_publish == Publish::Voice && message.kind == Kind::Spoken;
    html! {
        p.buttons {
            @if text { button #text name="do" value="text" { (say("desk-publish-text")) " " kbd { "p" } } " " }
            @if voice { button #voice name="do" value="voice" { (say("desk-publish-voice")) " " kbd { "v" } } " " }
            button #heard name="do" value="heard" { (say("desk-heard")) " " kbd { "h" } }
        }
        fieldset.reasons #reasons {
            legend { (say("desk-reject")) " " kbd { "r" } }
            @for (number, reason) in (1..).zip(&city.config.desk.reasons) {
                button name="do" value=(format!("reject:{reason}")) {
                    (reason_label(city, language, reason))
                    @if number <= 9 { " " kbd { (number) } }
                } " "
            }
        }
    }
}
