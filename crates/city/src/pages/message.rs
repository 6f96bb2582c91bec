//! One message: to hear and to read it, what became of it, and to report it or take it back.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Form;
use axum::extract::{Path, State};
use axum::http::{Extensions, HeaderMap, StatusCode};
use axum::response::Response;
use booth_database::params;
use booth_host::clock;
use maud::{Markup, html};
use serde::Deserialize;

use booth_contract::time::{Mono, rfc3339};

use super::campaign::idea_card;
use super::fresh;
use super::picture::Picture;
use super::shown::{self, Message, chips, circumstances};
use super::voice::{Voice, segment, start_of};
use crate::City;
use crate::limits::{Limits, one_visitor};
use crate::sentence;
use crate::store::{Act, Actor, CityError};
use crate::web::peer::visitor;
use crate::web::{Citizen, Fault, citizens_page};

/// Reports of one message, and of all together, that may wait for a moderator; further ones are thanked for and not kept.
const MOST_OF_ONE: u64 = 5;
const MOST_OPEN: u64 = 1_000;
/// Reports that may come from one visitor at once, and one more each ten minutes.
const FROM_ONE: (u32, u64) = (10, 600_000);
/// Letters of a report.
const MOST_LETTERS: usize = 1_000;

/// `/{lang}/message/{id}`
pub(super) async fn page(
    State(city): State<Arc<City>>,
    citizen: Citizen,
    Path((_, id)): Path<(String, String)>,
) -> Result<Response, Fault> {
    fresh(&city, citizen, move |city, picture, citizen| {
        draw(city, picture, citizen, &id)
    })
    .await
}

fn draw(city: &City, picture: &Picture, citizen: &Citizen, id: &str) -> Result<Markup, Fault> {
    let voice = Voice::new(city, citizen);
    let (message, ideas) = city
        .store
        .read(|db| Ok((shown::one(city, db, picture, id)?, shown::ideas_of(db, id)?)))?;
    let message = message.ok_or_else(Fault::not_here)?;
    let language = voice.language();
    let one = message
        .campaign
        .as_deref()
        .and_then(|id| picture.campaign(id));
    let question = one.and_then(|one| one.question(message.question.as_deref()?));
    let other = |lang: &Option<String>| lang.clone().filter(|lang| lang != language);
    let name_of = |lang: &Option<String>| match lang {
        Some(lang) if city.words.has(lang) => city.words.say(lang, "language-name"),
        Some(lang) => lang.clone(),
        None => String::new(),
    };
    let in_path = segment(&message.id);
    let title = voice.with("message-title", &[("day", &voice.day(&message.day))]);
    let seconds = (message.duration_ms + 500) / 1000;
    let body = html! {
        @if let Some(one) = one {
            p class="crumbs" {
                a href=(voice.here(&format!("campaign/{}", segment(&one.asked.id)))) { (voice.said(&one.title)) }
                @if let Some(question) = question {
                    " › " a href=(voice.here(&format!("question/{}/{}", segment(&one.asked.id), segment(&question.id)))) { (voice.said(&question.text)) }
                }
            }
        }
        h1 { (title) }
        p class="meta" { (circumstances(&voice, picture, &message)) }
        div class="one" {
            @if message.has_voice {
                p {
                    audio controls preload="none" src=(citizen.to(&format!("sound/{in_path}.opus"))) aria-label=(voice.say("message-hear")) {}
                    br; span class="soft" { (voice.whole("seconds-n", seconds)) }
                }
            }
            h2 { (voice.say(if message.is_spoken { "message-transcript" } else { "message-text" })) }
            blockquote lang=[other(&message.transcript_lang)] dir="auto" { (message.transcript) }
            @if let Some((text, lang)) = &message.translation {
                h2 { (voice.say("message-translation")) }
                p class="soft" { (voice.with("translated-from", &[("language", &name_of(&message.transcript_lang))])) }
                blockquote lang=[other(lang)] dir="auto" { (text) }
            }
            @if message.is_spoken && !message.has_voice { p class="soft" { (voice.say("message-text-only")) } }
            (chips(&voice, picture, &message))
        }
        (became(&voice, picture, &message, &ideas))
        section aria-labelledby="yours" {
            h2 id="yours" { (voice.say("message-yours")) }
            p { (voice.say("message-yours-what")) }
            p { a class="button quiet" href=(voice.here("withdraw")) { (voice.say("message-withdraw")) } }
        }
        section aria-labelledby="report" {
            h2 id="report" { (voice.say("report-title")) }
            p class="text" { (voice.say("report-what")) }
            form method="post" action=(voice.here(&format!("message/{in_path}/report"))) {
                label for="why" { (voice.say("report-why")) }
                textarea id="why" name="why" rows="3" maxlength=(MOST_LETTERS) required {}
                p { button { (voice.say("report-send")) } }
            }
        }
        p class="soft" { (voice.with("message-licence", &[("licence", &city.config.licence)])) }
    };
    let title = format!("{title}: {}", start_of(&message.transcript));
    Ok(citizens_page(city, citizen, &title, &body))
}

/// What became of a message: the ideas that it is part of, and the reply to its campaign.
fn became(voice: &Voice<'_>, picture: &Picture, message: &Message, ideas: &[i64]) -> Markup {
    let one = message
        .campaign
        .as_deref()
        .and_then(|id| picture.campaign(id));
    let own: Vec<_> = one
        .map(|one| {
            one.ideas
                .iter()
                .filter(|idea| ideas.contains(&idea.id))
                .collect()
        })
        .unwrap_or_default();
    html! {
        section aria-labelledby="became" {
            h2 id="became" { (voice.say("message-became")) }
            p { (voice.say("message-read")) }
            @for idea in &own { (idea_card(voice, picture, idea)) }
            @if let Some(one) = one {
                @if one.reply.is_empty() {
                    p { (voice.with("message-phase", &[("phase", &voice.say(&format!("phase-{}", one.phase.word())))])) }
                } @else {
                    div class="reply" { p class="words" { (voice.said(&one.reply)) } }
                }
            }
        }
    }
}

/// How many reports came from whom of late: in memory alone, and not with the report.
pub(crate) struct Reports(Limits<IpAddr>);

impl Default for Reports {
    fn default() -> Self {
        Self(Limits::new(FROM_ONE.0, FROM_ONE.1))
    }
}

impl Reports {
    /// Whether one more may come from here; if so, it counts.
    fn may(&self, now: Mono, from: IpAddr) -> bool {
        self.0.forget(now);
        self.0.take(now, one_visitor(from))
    }
}

/// What a reader finds wrong with a message.
#[derive(Deserialize)]
pub(super) struct Report {
    #[serde(default)]
    why: String,
}

/// `POST /{lang}/message/{id}/report`: keeps it for a moderator. Nothing is known of who sent it.
pub(super) async fn report(
    State(city): State<Arc<City>>,
    citizen: Citizen,
    Path((_, id)): Path<(String, String)>,
    extensions: Extensions,
    headers: HeaderMap,
    Form(form): Form<Report>,
) -> Result<Response, Fault> {
    let from = visitor(&extensions, &headers);
    fresh(&city, citizen, move |city, picture, citizen| {
        let voice = Voice::new(city, citizen);
        let why: String = form.why.trim().chars().take(MOST_LETTERS).collect();
        if why.is_empty() {
            return Err(Fault::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                sentence!("report-empty"),
            ));
        }
        let message = city.store.read(|db| shown::one(city, db, picture, &id))?;
        let message = message.ok_or_else(Fault::not_here)?;
        if !city.reports.may(clock::mono(), from) {
            return Err(Fault::new(
                StatusCode::TOO_MANY_REQUESTS,
                sentence!("report-too-many"),
            ));
        }
        keep_report(city, &message.id, &why)?;
        let back = voice.here(&format!("message/{}", segment(&message.id)));
        let body = html! {
            h1 { (voice.say("report-thanks")) }
            p { (voice.say("report-thanks-what")) }
            p { a href=(back) { (voice.say("report-back")) } }
        };
        Ok(citizens_page(
            city,
            citizen,
            &voice.say("report-thanks"),
            &body,
        ))
    })
    .await
}

fn keep_report(city: &City, id: &str, why: &str) -> Result<(), CityError> {
    let open = |of: Option<&str>| {
        city.store.read(|db| {
            db.prepare_cached(
                "SELECT count(*) FROM complaint WHERE done_at IS NULL AND (?1 IS NULL OR message_id = ?1)",
            )?
            .query_row([of], |row| row.get::<_, u64>(0))
        })
    };
    if open(Some(id))? >= MOST_OF_ONE || open(None)? >= MOST_OPEN {
        return Ok(());
    }
    city.store
        .change(Act::new(Actor::Citizen, "reported", id), |db| {
            db.prepare_cached("INSERT INTO complaint (message_id, at, why) VALUES (?1, ?2, ?3)")?
                .execute(params![id, rfc3339(clock::wall()), why])?;
            Ok(())
        })
}
