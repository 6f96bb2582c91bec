//! A screen in a library: slides that follow each other by themselves.
//!
//! Each slide is a page of its own, and a header of its answer says when the browser is to go on. So it needs no script, and it goes on
//! after any fault. Whoever stands before it can stop it.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use maud::{Markup, html};

use super::charts::{Scope, figure};
use super::picture::Picture;
use super::print::code;
use super::shown::{self, Message, Wanted};
use super::voice::{Voice, segment};
use super::{drawn, numbers};
use crate::City;
use crate::web::{Citizen, Extra, Fault, citizens_page_with, site_name};

/// Seconds of a slide.
const SECONDS: u32 = 20;
/// Messages and questions that are shown in turn.
const MOST_MESSAGES: usize = 6;
const MOST_QUESTIONS: usize = 4;

/// `/{lang}/kiosk?slide=&stay=`
pub(super) async fn page(
    State(city): State<Arc<City>>,
    mut citizen: Citizen,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let slide: usize = query
        .get("slide")
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let stays = query.contains_key("stay");
    citizen.rest = format!("kiosk?slide={slide}{}", if stays { "&stay=1" } else { "" });
    let next = slide.wrapping_add(1) % 10_000;
    let mut response = drawn(&city, citizen, &headers, move |city, picture, citizen| {
        draw(city, picture, citizen, slide, stays)
    })
    .await?;
    if !stays
        && let Ok(value) = HeaderValue::from_str(&format!("{SECONDS}; url=kiosk?slide={next}"))
    {
        response.headers_mut().insert("refresh", value);
    }
    Ok(response)
}

fn draw(
    city: &City,
    picture: &Picture,
    citizen: &Citizen,
    slide: usize,
    stays: bool,
) -> Result<Markup, Fault> {
    let voice = Voice::new(city, citizen);
    let messages = city
        .store
        .read(|db| shown::list(city, db, picture, &Wanted::default(), MOST_MESSAGES))?;
    let slides = slides(&voice, picture, &messages);
    let (title, content) = slides
        .get(slide % slides.len().max(1))
        .cloned()
        .unwrap_or_else(|| {
            (
                site_name(city, voice.language()),
                html! { p { (voice.say("city-lead")) } },
            )
        });
    let shown = slide % slides.len().max(1) + 1;
    let of = voice.with(
        "kiosk-slide",
        &[
            ("slide", &voice.tongue.number(shown as u64)),
            ("of", &voice.tongue.number(slides.len() as u64)),
        ],
    );
    let body = html! {
        p class="meta" { (site_name(city, voice.language())) }
        h1 { (title) }
        div class="slide" { (content) }
        nav class="steer" aria-label=(voice.say("kiosk-steer")) {
            span { (of) }
            @if stays { a href=(format!("kiosk?slide={slide}")) { (voice.say("kiosk-go")) } }
            @else { a href=(format!("kiosk?slide={slide}&stay=1")) { (voice.say("kiosk-stop")) } }
            a href=(format!("kiosk?slide={}{}", slide.wrapping_add(1) % 10_000, if stays { "&stay=1" } else { "" })) { (voice.say("kiosk-next")) }
            a href=(voice.here("")) { (voice.say("nav-city")) }
        }
    };
    let extra = Extra {
        feed: None,
        bare: Some("kiosk"),
    };
    Ok(citizens_page_with(
        city,
        citizen,
        &voice.say("foot-kiosk"),
        &body,
        &extra,
    ))
}

type Slide = (String, Markup);

fn slides(voice: &Voice<'_>, picture: &Picture, messages: &[Message]) -> Vec<Slide> {
    let mut slides: Vec<Slide> = Vec::new();
    let open = picture.campaigns.iter().filter(|one| one.is_open());
    let questions = open.flat_map(|one| {
        one.asked
            .questions
            .iter()
            .map(move |question| (one, question))
    });
    let asked: Vec<Slide> = questions
        .take(MOST_QUESTIONS)
        .map(|(one, question)| {
            let page = format!("question/{}/{}", segment(&one.asked.id), segment(&question.id));
            let address = voice.whole_address(&page);
            let here: Vec<&str> = picture
                .stands
                .iter()
                .filter(|stand| stand.until.is_none() && one.asked.booths.as_ref().is_none_or(|booths| booths.contains(&stand.booth)))
                .map(|stand| stand.place.as_str())
                .take(8)
                .collect();
            let content = html! {
                div class="pair" {
                    div {
                        p class="lead" { (voice.said(&one.title)) }
                        @if !here.is_empty() { h2 { (voice.say("kiosk-speak")) } ul { @for place in here { li { bdi { (place) } } } } }
                    }
                    div { (code(voice, &address)) p { (voice.say("print-scan")) } }
                }
            };
            (voice.text(&question.text, &question.id).to_owned(), content)
        })
        .collect();
    let said = messages.iter().map(|message| {
        (
            voice.say("kiosk-said"),
            shown::card(voice, picture, message),
        )
    });
    let mut said: Vec<Slide> = said.collect();
    let scope = Scope::City;
    for name in ["map", "themes", "hours"] {
        let drawn = figure(name, &scope, picture, voice, false);
        if !drawn.0.is_empty() {
            said.push((voice.say("city-seen"), drawn));
        }
    }
    said.push((
        voice.say("city-heard"),
        numbers::figures(voice, picture.whole(), true),
    ));
    for one in picture
        .campaigns
        .iter()
        .filter(|one| !one.reply.is_empty())
        .take(3)
    {
        let content = html! { h2 { (voice.said(&one.title)) } div class="reply" { p class="words" { (voice.said(&one.reply)) } } };
        said.push((voice.say("came-of-it"), content));
    }
    // A question comes back after every second slide of the others.
    let mut next = asked.iter().cycle();
    for pair in said.chunks(2) {
        slides.extend(next.next().cloned());
        slides.extend(pair.iter().cloned());
    }
    slides
}
