//! The page on which a visit is played before anything is sent to a booth.
//!
//! Owns: what an editor sees and presses there. Without scripts each press is a form, what is said can be heard one after the other, and a
//! button says that it was heard. Never does: decide anything of the visit; the booth's own core does (`preview`).

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, Method, header};
use axum::response::{Html, IntoResponse, Response};
use booth_host::clock;
use gateway_core::prompt::Language;
use gateway_core::session::{Lamp, Phase};
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;

use super::fields::Fields;
use super::pages::{Say, opened, page, see};
use super::preview::{self, Deed, Heard, News, Sound, Visit};
use super::voice;
use crate::City;
use crate::people::{Person, Right};
use crate::web::{Fault, get, post, sound, staff_page_with, token_field};

pub(super) fn routes() -> Router<Arc<City>> {
    Router::new()
        .route("/editor/{id}/preview", get(visit).merge(post(act)))
        .route("/editor/voice/{language}/{name}", get(word))
        .route("/editor/preview.js", get(script))
}

async fn script() -> Response {
    let kind = [(header::CONTENT_TYPE, "text/javascript; charset=utf-8")];
    (kind, include_str!("preview.js")).into_response()
}

async fn word(
    person: Person,
    Path((language, name)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    person.must(Right::Edit, None)?;
    let word = name
        .strip_suffix(".opus")
        .and_then(voice::word)
        .ok_or_else(Fault::not_here)?;
    let ogg = voice::recording(word, Language::of(&language)).to_vec();
    Ok(sound::answer(ogg, Timestamp::UNIX_EPOCH, &method, &headers))
}

#[derive(Deserialize)]
struct Which {
    visit: Option<String>,
}

/// A visit is its person's own.
fn key_of(person: &Person, id: &str, visit: &str) -> String {
    format!("{} {id} {visit}", person.account)
}

async fn visit(
    State(city): State<Arc<City>>,
    person: Person,
    Path(id): Path<String>,
    Query(which): Query<Which>,
) -> Result<Response, Fault> {
    person.must(Right::Edit, None)?;
    let opened = opened(&city, &id).await?;
    let words = Say(&city, &person);
    let Some(wanted) = opened.checked.wanted.clone() else {
        let body = html! {
            h1 { (words.say("editor-preview")) ": " (id) }
            p.note.bad { (words.say("editor-preview-not-yet")) }
            p { a href=(person.here.to(&format!("editor/{id}"))) { (words.say("editor-back-to-form")) } }
        };
        return Ok(page(&city, &person, &id, &body));
    };
    let now = clock::mono();
    let known = which.visit.filter(|visit| {
        let there = city
            .editing
            .visits
            .with(&key_of(&person, &id, visit), Deed::Wait, now, |_| ());
        there.is_some()
    });
    let visit = match known {
        Some(visit) => visit,
        None => {
            #[allow(clippy::disallowed_methods)] // a visit's key is nobody else's
            let visit = uuid::Uuid::new_v4().simple().to_string();
            let language = &opened.checked.language;
            city.editing
                .visits
                .begin(&key_of(&person, &id, &visit), wanted, language, now);
            visit
        }
    };
    let drawn =
        drawn(&words, &id, &visit, Deed::Wait, &opened.checked).ok_or_else(Fault::not_here)?;
    let to_make = opened
        .checked
        .sayings
        .iter()
        .filter(|saying| saying.made.is_none())
        .count();
    let body = html! {
        p { a href=(person.here.to(&format!("editor/{id}"))) { (words.say("editor-back-to-form")) } }
        h1 { (words.say("editor-preview")) ": " (opened.checked.title) }
        p { (words.say("editor-preview-hint")) }
        @if to_make > 0 { p.note { (words.with("editor-preview-to-make", "n", &to_make.to_string())) } }
        p.note id="no-script" { (words.say("editor-preview-no-script")) }
        (drawn)
        p { a href=(person.here.to(&format!("editor/{id}/preview"))) { (words.say("editor-preview-again")) } }
    };
    let markup = staff_page_with(&city, &person, &id, &["editor/preview.js"], &body);
    Ok(Html(markup.into_string()).into_response())
}

async fn act(
    State(city): State<Arc<City>>,
    person: Person,
    Path(id): Path<String>,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, Fault> {
    person.must(Right::Edit, None)?;
    let deed = Deed::of(fields.get("do")).ok_or_else(Fault::not_here)?;
    let visit = fields.get("visit").to_owned();
    if !headers.contains_key("x-form-token") {
        let done =
            city.editing
                .visits
                .with(&key_of(&person, &id, &visit), deed, clock::mono(), |_| ());
        let which = if done.is_some() {
            format!("?visit={visit}")
        } else {
            String::new()
        };
        return Ok(see(&person.here.to(&format!("editor/{id}/preview{which}"))));
    }
    let opened = opened(&city, &id).await?;
    let words = Say(&city, &person);
    let drawn = drawn(&words, &id, &visit, deed, &opened.checked).ok_or_else(Fault::not_here)?;
    Ok(Html(drawn.into_string()).into_response())
}

/// The visit after a deed; `None` when it is over.
fn drawn(
    words: &Say<'_>,
    id: &str,
    visit: &str,
    deed: Deed,
    checked: &crate::centre::Checked,
) -> Option<Markup> {
    let texts = preview::texts(checked);
    let now = clock::mono();
    let key = key_of(words.1, id, visit);
    words.0.editing.visits.with(&key, deed, now, |seen| {
        let to = |page: &str| words.1.here.to(page);
        let act = to(&format!("editor/{id}/preview"));
        let play = seen.playing.as_ref().map(|(play, _)| play.0.to_string());
        let due = seen.due_in_ms(now).map(|due| due.to_string());
        html! {
            div.visit id="visit" data-visit=(visit) data-act=(act) data-play=[play.clone()] data-due=[due] {
                form method="post" action=(act) {
                    (token_field(words.1))
                    input type="hidden" name="visit" value=(visit);
                    (standing(words, seen))
                    div.phone {
                        @match seen.is_off_hook() {
                            false => { button.main name="do" value="lift" { (words.say("preview-lift")) } }
                            true => { button.danger name="do" value="hang-up" { (words.say("preview-hang-up")) } }
                        }
                        div.keys role="group" aria-label=(words.say("preview-keys")) {
                            @for key in ["1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "0", "#"] {
                                button name="do" value=(format!("key:{key}")) { (key) }
                            }
                        }
                    }
                    h2 { (words.say("preview-heard")) }
                    @match &seen.playing {
                        None => { p.soft { (words.say("preview-silence")) } }
                        Some((play, heard)) => {
                            ol.heard { @for one in heard { (said(words, one, &texts)) } }
                            button name="do" value=(format!("heard:{}", play.0)) { (words.say("preview-heard-out")) }
                        }
                    }
                }
                h2 { (words.say("preview-news")) }
                div role="log" { ol { @for news in &seen.news { li { (news_word(words, *news)) } } } }
            }
        }
    })
}

fn standing(words: &Say<'_>, seen: &Visit) -> Markup {
    let scene = seen.scene();
    let phase = match scene.phase {
        Phase::Ready => "preview-phase-ready",
        Phase::OutOfOrder => "preview-phase-out-of-order",
        Phase::NothingAsked => "preview-phase-nothing",
        Phase::Notice => "preview-phase-notice",
        Phase::Asking => "preview-phase-asking",
        Phase::Choosing => "preview-phase-choosing",
        Phase::Chosen => "preview-phase-chosen",
        Phase::Coding => "preview-phase-coding",
        Phase::Casting => "preview-phase-casting",
        Phase::Voted => "preview-phase-voted",
        Phase::Tone => "preview-phase-tone",
        Phase::Recording => "preview-phase-recording",
        Phase::Saving => "preview-phase-saving",
        Phase::After => "preview-phase-after",
        Phase::PlayingBack => "preview-phase-playing-back",
        Phase::Receipt => "preview-phase-receipt",
        Phase::Withdrawing => "preview-phase-withdrawing",
        Phase::Goodbye => "preview-phase-goodbye",
        Phase::OffHook => "preview-phase-off-hook",
        Phase::Service => "preview-phase-service",
    };
    let lamp = match seen.lamp {
        Lamp::Listening => "preview-lamp-listening",
        Lamp::Saved => "preview-lamp-saved",
        Lamp::OutOfOrder => "preview-lamp-out-of-order",
        Lamp::Ready | Lamp::Starting | Lamp::Service | Lamp::Update => "preview-lamp-ready",
    };
    html! {
        p.note role="status" { strong { (words.say(phase)) } " · " (words.say("preview-lamp")) " " (words.say(lamp)) " · " (words.with("preview-language", "language", &scene.lang)) }
    }
}

fn said(
    words: &Say<'_>,
    heard: &Heard,
    texts: &std::collections::BTreeMap<booth_contract::MediaHash, String>,
) -> Markup {
    let to = |page: &str| words.1.here.to(page);
    let (kind, src, text) = match &heard.sound {
        Sound::Prompt(hash) => {
            let text = texts.get(hash);
            // What is not made yet has a hash that belongs to no sound.
            let src = text.map(|_| to(&format!("editor/prompt/{hash}.opus")));
            (
                "prompt",
                src,
                text.cloned()
                    .unwrap_or_else(|| words.say("preview-not-made")),
            )
        }
        Sound::Word(name, language, text) => (
            "word",
            Some(to(&format!("editor/voice/{language}/{name}.opus"))),
            (*text).to_owned(),
        ),
        Sound::Own(name) => ("own", None, words.with("preview-own", "name", name)),
        Sound::OwnWords => ("words", None, words.say("preview-own-words")),
        Sound::Silence => ("silence", None, words.say("preview-pause")),
    };
    let name = match &heard.sound {
        Sound::Own(name) => Some(name.as_str()),
        _ => None,
    };
    html! {
        li data-heard="yes" data-kind=(kind) data-src=[src.clone()] data-pause=(heard.pause_ms) data-name=[name] {
            (text)
            @if let Some(src) = src { noscript { " " audio controls preload="none" src=(src) {} } }
        }
    }
}

fn news_word(words: &Say<'_>, news: News) -> String {
    match news {
        News::Begins => words.say("preview-news-begins"),
        News::Records => words.say("preview-news-records"),
        News::Ends => words.say("preview-news-ends"),
        News::Kept => words.say("preview-news-kept"),
        News::Deleted => words.say("preview-news-deleted"),
        News::Cast(digit) => words.with("preview-news-cast", "digit", &digit.to_string()),
        News::Withdrawn => words.say("preview-news-withdrawn"),
        News::Over => words.say("preview-news-over"),
    }
}
