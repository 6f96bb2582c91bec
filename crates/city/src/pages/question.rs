//! A question: to hear it, to answer it, and what others said.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use maud::{Markup, html};

use super::charts::{Scope, figure};
use super::city::phase;
use super::picture::Picture;
use super::shown::{self, Wanted};
use super::voice::{Voice, segment};
use super::{drawn, numbers, texts};
use crate::City;
use crate::editor::Asked;
use crate::web::{Citizen, Fault, citizens_page};

const MOST_MESSAGES: usize = 9;

/// `/{lang}/question/{campaign}/{question}`
pub(super) async fn page(
    State(city): State<Arc<City>>,
    citizen: Citizen,
    Path((_, campaign, question)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    drawn(&city, citizen, &headers, move |city, picture, citizen| {
        draw(city, picture, citizen, &campaign, &question)
    })
    .await
}

fn draw(
    city: &City,
    picture: &Picture,
    citizen: &Citizen,
    campaign: &str,
    id: &str,
) -> Result<Markup, Fault> {
    let voice = Voice::new(city, citizen);
    let one = picture.campaign(campaign).ok_or_else(Fault::not_here)?;
    let question = one.question(id).ok_or_else(Fault::not_here)?;
    let is_vote = !question.options.is_empty();
    let tally = picture.of_question(campaign, id);
    let scope = Scope::Question(campaign.to_owned(), id.to_owned());
    let wanted = Wanted {
        campaign: Some(campaign),
        question: Some(id),
        ..Wanted::default()
    };
    let messages = city
        .store
        .read(|db| shown::list(city, db, picture, &wanted, MOST_MESSAGES))?;
    let asked = city
        .store
        .read(|db| crate::editor::asked_as(db, campaign, id))?;
    let text = voice.text(&question.text, id).to_owned();
    let languages = &city.config.offers;
    let prompt = texts::prompt_of(&question.prompt, voice.language(), languages);
    let (in_path, id_in_path) = (segment(campaign), segment(id));
    let body = html! {
        p class="crumbs" { a href=(voice.here(&format!("campaign/{in_path}"))) { (voice.said(&one.title)) @if one.title.is_empty() { (campaign) } } " " (phase(&voice, one.phase)) }
        h1 { (voice.said(&question.text)) @if question.text.is_empty() { (id) } }
        @if let Some((language, hash)) = prompt {
            p {
                audio controls preload="none" src=(citizen.to(&format!("prompt/{hash}.opus"))) aria-label=(voice.say("question-hear")) {}
                @if language != voice.language() { br; span class="soft" { (voice.with("question-hear-in", &[("language", &city.words.say(language, "language-name"))])) } }
            }
        }
        (wordings(&voice, &asked))
        @if is_vote {
            h2 { (voice.say("question-options")) }
            ol { @for option in &question.options { li value=(option.digit) { (voice.said(&option.text)) @if option.text.is_empty() { (option.id) } } } }
        }
        @if one.is_open() {
            p { a class="button" href=(voice.here(&format!("answer/{in_path}/{id_in_path}"))) { (voice.say(if is_vote { "vote-here" } else { "answer-here" })) } }
        } @else {
            p class="soft" { (voice.say("question-closed")) }
        }
        (reply(&voice, picture, campaign, id))
        @if is_vote {
            section aria-labelledby="result" {
                h2 id="result" { (voice.say("question-result")) }
                (figure("votes", &scope, picture, &voice, true))
                p class="soft text" { (voice.say("votes-not-voters")) }
            }
        } @else {
            section aria-labelledby="heard" {
                h2 id="heard" { (voice.say("city-heard")) }
                (numbers::figures(&voice, &tally, false))
            }
            section aria-labelledby="said" {
                h2 id="said" { (voice.say("question-said")) }
                @if messages.is_empty() { p { (voice.say("messages-none")) } }
                div class="grid" { @for message in &messages { (shown::card(&voice, picture, message)) } }
                @if messages.len() == MOST_MESSAGES { p { a class="button quiet" href=(voice.here(&format!("messages?campaign={in_path}&question={id_in_path}"))) { (voice.say("messages-all-question")) } } }
            }
            section aria-labelledby="seen" {
                h2 id="seen" { (voice.say("city-seen")) }
                div class="pair" {
                    (figure("themes", &scope, picture, &voice, false))
                    (figure("weeks", &scope, picture, &voice, false))
                    (figure("map", &scope, picture, &voice, false))
                    (figure("trends", &scope, picture, &voice, false))
                }
            }
        }
    };
    Ok(citizens_page(city, citizen, &text, &body))
}

/// In which words a question was asked, and when: whoever reads the answers must know what was answered.
fn wordings(voice: &Voice<'_>, asked: &[Asked]) -> Markup {
    let day = |since: &str| match since.parse() {
        Ok(since) => voice.day(&voice.city.day_of(since)),
        Err(_) => since.to_owned(),
    };
    let ends = asked.iter().skip(1).map(|next| Some(day(&next.since)));
    let ends = ends.chain([None]);
    html! {
        @if asked.len() > 1 {
            section aria-labelledby="wordings" {
                h2 id="wordings" { (voice.say("question-wordings")) }
                p class="soft text" { (voice.say("question-wordings-how")) }
                ul {
                    @for (one, end) in asked.iter().zip(ends) {
                        li {
                            p {
                                (voice.said(&one.text)) br;
                                span class="soft" {
                                    @match end {
                                        Some(end) => { (voice.with("from-until", &[("from", &day(&one.since)), ("until", &end)])) },
                                        None => { (voice.with("from-on", &[("from", &day(&one.since))])) },
                                    }
                                }
                            }
                            @if !one.options.is_empty() {
                                ol { @for (digit, option) in &one.options { li value=(digit) { (voice.said(option)) } } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What the city replied to a question: what editors wrote, else what the booths say.
fn reply(voice: &Voice<'_>, picture: &Picture, campaign: &str, id: &str) -> Markup {
    let Some(one) = picture.campaign(campaign) else {
        return html! {};
    };
    let written = one.replies.get(id);
    let question = one.question(id);
    let spoken = question
        .map(|question| &question.answer)
        .filter(|answer| !answer.is_empty());
    let sound = question.and_then(|question| {
        texts::prompt_of(
            &question.answer_prompt,
            voice.language(),
            &voice.city.config.offers,
        )
    });
    html! {
        @if written.is_some() || spoken.is_some() {
            section aria-labelledby="came" {
                h2 id="came" { (voice.say("came-of-it")) }
                div class="reply" {
                    @if let Some((text, day)) = written {
                        p class="words" { (voice.said(text)) }
                        p class="meta" { (voice.with("replied-on", &[("day", &voice.day(day))])) }
                    } @else if let Some(text) = spoken {
                        p class="words" { (voice.said(text)) }
                    }
                    @if let Some((_, hash)) = sound {
                        p { audio controls preload="none" src=(voice.citizen.to(&format!("prompt/{hash}.opus"))) aria-label=(voice.say("reply-hear")) {} }
                    }
                }
            }
        }
    }
}
