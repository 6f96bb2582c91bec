//! A campaign: its questions and phase, its path, and what came of it.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use maud::{Markup, html};

use super::charts::{Scope, figure};
use super::city::{ask, phase};
use super::known::{CampaignNow, Idea, Phase};
use super::picture::Picture;
use super::shown::{self, Wanted};
use super::voice::{Voice, segment};
use super::{drawn, numbers};
use crate::City;
use crate::draw::Amount;
use crate::web::{Citizen, Extra, Fault, citizens_page_with};

const MOST_MESSAGES: usize = 6;

/// `/{lang}/campaign/{id}`
pub(super) async fn page(
    State(city): State<Arc<City>>,
    citizen: Citizen,
    Path((_, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    drawn(&city, citizen, &headers, move |city, picture, citizen| {
        draw(city, picture, citizen, &id)
    })
    .await
}

fn draw(city: &City, picture: &Picture, citizen: &Citizen, id: &str) -> Result<Markup, Fault> {
    let voice = Voice::new(city, citizen);
    let one = picture.campaign(id).ok_or_else(Fault::not_here)?;
    let tally = picture.of_campaign(id);
    let scope = Scope::Campaign(id.to_owned());
    let wanted = Wanted {
        campaign: Some(id),
        ..Wanted::default()
    };
    let messages = city
        .store
        .read(|db| shown::list(city, db, picture, &wanted, MOST_MESSAGES))?;
    let title = voice.text(&one.title, id).to_owned();
    let all = voice.here(&format!("messages?campaign={}", segment(id)));
    let body = html! {
        p class="crumbs" { (phase(&voice, one.phase)) }
        h1 { (voice.said(&one.title)) @if one.title.is_empty() { (id) } }
        @if !one.summary.is_empty() { p class="lead" { (voice.said(&one.summary)) } }
        (phases(&voice, one))
        (came_of_it(&voice, one))
        section aria-labelledby="asked" {
            h2 id="asked" { (voice.say("campaign-questions")) }
            @if one.asked.questions.is_empty() { p { (voice.say("campaign-no-questions")) } }
            @if one.is_open() {
                div class="grid" { @for question in &one.asked.questions { (ask(&voice, one, question)) } }
            } @else {
                ul { @for question in &one.asked.questions {
                    li { a href=(voice.here(&format!("question/{}/{}", segment(id), segment(&question.id)))) { (voice.said(&question.text)) @if question.text.is_empty() { (question.id) } } }
                } }
            }
        }
        section aria-labelledby="heard" {
            h2 id="heard" { (voice.say("city-heard")) }
            (numbers::figures(&voice, &tally, true))
            @if !one.limits.is_empty() { p class="text soft" { (voice.said(&one.limits)) } }
        }
        div class="pair" { (figure("path", &scope, picture, &voice, false)) (ideas(&voice, picture, one)) }
        section aria-labelledby="said" {
            h2 id="said" { (voice.say("city-said")) }
            @if messages.is_empty() { p { (voice.say("messages-none")) } }
            div class="grid" { @for message in &messages { (shown::card(&voice, picture, message)) } }
            @if messages.len() == MOST_MESSAGES { p { a class="button quiet" href=(all) { (voice.say("messages-all-campaign")) } } }
        }
        section aria-labelledby="seen" {
            h2 id="seen" { (voice.say("city-seen")) }
            div class="pair" {
                (figure("map", &scope, picture, &voice, true))
                (figure("themes", &scope, picture, &voice, false))
                (figure("weeks", &scope, picture, &voice, false))
                (figure("matrix", &scope, picture, &voice, false))
                (figure("trends", &scope, picture, &voice, false))
                (figure("hours", &scope, picture, &voice, false))
            }
        }
        p class="get" {
            a href=(voice.citizen.to(&format!("feed/{}.atom", segment(id)))) { (voice.say("campaign-feed")) }
            a href=(voice.here(&format!("print/{}", segment(id)))) { (voice.say("campaign-print")) }
        }
    };
    let extra = Extra {
        feed: Some((format!("feed/{}.atom", segment(id)), title.clone())),
        bare: None,
    };
    Ok(citizens_page_with(city, citizen, &title, &body, &extra))
}

/// When each phase is, the one of this moment marked.
fn phases(voice: &Voice<'_>, one: &CampaignNow) -> Markup {
    html! {
        @if !one.phases.is_empty() {
            ol class="plain phases" aria-label=(voice.say("campaign-phases")) {
                @for (step, since, until) in &one.phases {
                    li aria-current=[(*step == one.phase).then_some("step")] {
                        @if *step == one.phase { strong { (voice.say(&format!("phase-{}", step.word()))) } }
                        @else { (voice.say(&format!("phase-{}", step.word()))) }
                        " "
                        span class="soft" {
                            @match until {
                                Some(until) => { (voice.with("from-until", &[("from", &voice.day(since)), ("until", &voice.day(until))])) },
                                None => { (voice.with("from-on", &[("from", &voice.day(since))])) },
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The city's reply, or where it will stand.
pub(super) fn came_of_it(voice: &Voice<'_>, one: &CampaignNow) -> Markup {
    html! {
        section aria-labelledby="came" {
            h2 id="came" { (voice.say("came-of-it")) }
            @if one.reply.is_empty() {
                p class="text" { (voice.say(match one.phase {
                    Phase::Soon => "came-soon",
                    Phase::Open => "came-open",
                    Phase::Processing | Phase::Decided => "came-processing",
                    Phase::Vote => "came-vote",
                })) }
            } @else {
                div class="reply" {
                    p class="words" { (voice.said(&one.reply)) }
                    @if let Some(day) = &one.reply_day { p class="meta" { (voice.with("replied-on", &[("day", &voice.day(day))])) } }
                }
            }
        }
    }
}

/// What messages were grouped into.
fn ideas(voice: &Voice<'_>, picture: &Picture, one: &CampaignNow) -> Markup {
    html! {
        @if !one.ideas.is_empty() {
            section aria-labelledby="ideas" {
                h2 id="ideas" { (voice.say("campaign-ideas")) }
                @for idea in &one.ideas { (idea_card(voice, picture, idea)) }
            }
        }
    }
}

pub(super) fn idea_card(voice: &Voice<'_>, picture: &Picture, idea: &Idea) -> Markup {
    let votes = idea.vote.as_ref().map(|(campaign, question, digit)| {
        let tally = picture.of_question(campaign, question);
        Amount::of(tally.choices.get(digit).map_or(0, |row| row.iter().sum()))
    });
    html! {
        article class="card" id=(format!("idea-{}", idea.id)) {
            h3 { (voice.said(&idea.title)) }
            @if !idea.body.is_empty() { p { (voice.said(&idea.body)) } }
            p class="meta" {
                (voice.counted("idea-messages-n", Amount::of(idea.messages)))
                @if let (Some((campaign, question, _)), Some(votes)) = (&idea.vote, votes) {
                    " · " a href=(voice.here(&format!("question/{}/{}", segment(campaign), segment(question)))) { (voice.counted("votes-n", votes)) }
                }
            }
            @if !idea.outcome.is_empty() {
                p class="words" { strong { (voice.say("came-of-it")) } " " (voice.said(&idea.outcome)) }
                @if let Some(day) = &idea.outcome_day { p class="meta" { (voice.with("replied-on", &[("day", &voice.day(day))])) } }
            }
        }
    }
}
