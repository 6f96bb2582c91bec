//! The first page: what is asked and where, what the city hears, and what came of it.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use maud::{Markup, html};

use super::charts::{Scope, figure};
use super::known::{CampaignNow, Phase};
use super::picture::Picture;
use super::shown::{self, Wanted};
use super::voice::{Voice, segment};
use super::{drawn, numbers};
use crate::City;
use crate::centre::Question;
use crate::draw::Amount;
use crate::web::{Citizen, Fault, citizens_page, site_name};

/// Questions that the first page shows; further ones stand on their campaigns' pages.
const MOST_QUESTIONS: usize = 6;
/// Messages on the first page.
const MOST_MESSAGES: usize = 9;

/// `/{lang}/`
pub(super) async fn page(
    State(city): State<Arc<City>>,
    citizen: Citizen,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    drawn(&city, citizen, &headers, draw).await
}

fn draw(city: &City, picture: &Picture, citizen: &Citizen) -> Result<Markup, Fault> {
    let voice = Voice::new(city, citizen);
    let newest = city
        .store
        .read(|db| shown::list(city, db, picture, &Wanted::default(), MOST_MESSAGES))?;
    let scope = Scope::City;
    let open: Vec<(&CampaignNow, &Question)> = picture
        .campaigns
        .iter()
        .filter(|one| one.is_open())
        .flat_map(|one| {
            one.asked
                .questions
                .iter()
                .map(move |question| (one, question))
        })
        .collect();
    let body = html! {
        h1 { (voice.with("city-title", &[("city", &city.config.name)])) }
        p class="lead" { (voice.say("city-lead")) }
        section aria-labelledby="asked" {
            h2 id="asked" { (voice.say("city-asked")) }
            @if open.is_empty() { p { (voice.say("city-nothing-asked")) } }
            div class="grid" { @for (one, question) in open.iter().take(MOST_QUESTIONS) { (ask(&voice, one, question)) } }
            (stands(&voice, picture))
        }
        section aria-labelledby="heard" {
            h2 id="heard" { (voice.say("city-heard")) }
            (numbers::figures(&voice, picture.whole(), true))
        }
        section aria-labelledby="said" {
            h2 id="said" { (voice.say("city-said")) }
            @if newest.is_empty() { p { (voice.say("messages-none")) } }
            div class="grid" { @for message in &newest { (shown::card(&voice, picture, message)) } }
            @if newest.len() == MOST_MESSAGES { p { a class="button quiet" href=(voice.here("messages")) { (voice.say("messages-all")) } } }
        }
        section aria-labelledby="campaigns" {
            h2 id="campaigns" { (voice.say("city-campaigns")) }
            div class="grid" { @for one in &picture.campaigns { (campaign(&voice, picture, one)) } }
        }
        section aria-labelledby="seen" {
            h2 id="seen" { (voice.say("city-seen")) }
            div class="pair" {
                (figure("map", &scope, picture, &voice, true))
                (figure("themes", &scope, picture, &voice, false))
                (figure("hours", &scope, picture, &voice, false))
                (figure("weeks", &scope, picture, &voice, false))
                (figure("trends", &scope, picture, &voice, false))
                (figure("matrix", &scope, picture, &voice, false))
            }
        }
    };
    Ok(citizens_page(
        city,
        citizen,
        &site_name(city, voice.language()),
        &body,
    ))
}

/// A question that can be answered at this moment.
pub(super) fn ask(voice: &Voice<'_>, one: &CampaignNow, question: &Question) -> Markup {
    let (campaign, id) = (segment(&one.asked.id), segment(&question.id));
    let address = voice.here(&format!("question/{campaign}/{id}"));
    let answers = if question.options.is_empty() {
        "answer-here"
    } else {
        "vote-here"
    };
    html! {
        article class="ask" {
            p class="meta" { (voice.said(&one.title)) }
            h3 { a href=(address) { (voice.said(&question.text)) @if question.text.is_empty() { (question.id) } } }
            a class="button" href=(voice.here(&format!("answer/{campaign}/{id}"))) aria-label=(format!("{}: {}", voice.say(answers), voice.text(&question.text, &question.id))) {
                (voice.say(answers))
            }
        }
    }
}

/// Where booths stand at this moment.
fn stands(voice: &Voice<'_>, picture: &Picture) -> Markup {
    let here: Vec<_> = picture
        .stands
        .iter()
        .filter(|stand| stand.until.is_none())
        .collect();
    html! {
        @if !here.is_empty() {
            h3 { (voice.say("city-stands")) }
            ul class="plain stands" {
                @for stand in here {
                    li {
                        strong { bdi { (stand.place) } }
                        @if let Some(area) = stand.area.as_deref().and_then(|id| picture.area(id)) {
                            ", " a href=(voice.here(&format!("area/{}", segment(&area.id)))) { bdi { (area.name) } }
                        }
                        br;
                        span class="soft" {
                            @match stand.is_ready {
                                Some(true) => { "● " (voice.say("booth-ready")) },
                                Some(false) => { "○ " (voice.say("booth-not-ready")) },
                                None => { "○ " (voice.say("booth-unknown")) },
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The word of a phase.
pub(super) fn phase(voice: &Voice<'_>, phase: Phase) -> Markup {
    html! { span class=(format!("phase {}", phase.word())) { (voice.say(&format!("phase-{}", phase.word()))) } }
}

/// A campaign in a list, with what came of it.
fn campaign(voice: &Voice<'_>, picture: &Picture, one: &CampaignNow) -> Markup {
    let tally = picture.of_campaign(&one.asked.id);
    let address = voice.here(&format!("campaign/{}", segment(&one.asked.id)));
    html! {
        article class="card" {
            p { (phase(voice, one.phase)) }
            h3 { a href=(address) { (voice.said(&one.title)) @if one.title.is_empty() { (one.asked.id) } } }
            @if !one.summary.is_empty() { p { (voice.said(&one.summary)) } }
            p class="meta" {
                (voice.counted("messages-n", Amount::of(tally.received())))
                @if tally.votes_cast() > 0 { " · " (voice.counted("votes-n", Amount::of(tally.votes_cast()))) }
            }
            @if !one.reply.is_empty() {
                div class="reply" { p { strong { (voice.say("came-of-it")) } } p class="words" { (voice.said(&one.reply)) } }
            }
        }
    }
}
