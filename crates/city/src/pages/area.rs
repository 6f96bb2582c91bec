//! An area: where booths stood there, what was asked, and what was said.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use maud::{Markup, html};

use super::charts::{Scope, figure};
use super::picture::Picture;
use super::shown::{self, Wanted};
use super::voice::{Voice, segment};
use super::{drawn, numbers};
use crate::City;
use crate::web::{Citizen, Fault, citizens_page};

const MOST_MESSAGES: usize = 9;

/// `/{lang}/area/{id}`
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
    let area = picture.area(id).ok_or_else(Fault::not_here)?;
    let tally = picture.of_area(id);
    let scope = Scope::Area(id.to_owned());
    let wanted = Wanted {
        area: Some(id),
        ..Wanted::default()
    };
    let messages = city
        .store
        .read(|db| shown::list(city, db, picture, &wanted, MOST_MESSAGES))?;
    let stands: Vec<_> = picture
        .stands
        .iter()
        .filter(|stand| stand.area.as_deref() == Some(id))
        .collect();
    let body = html! {
        p class="crumbs" { a href=(voice.here("")) { (voice.say("nav-city")) } }
        h1 { bdi { (area.name) } }
        section aria-labelledby="stands" {
            h2 id="stands" { (voice.say("area-stands")) }
            @if stands.is_empty() { p { (voice.say("area-no-booth")) } }
            ul {
                @for stand in stands {
                    li {
                        strong { bdi { (stand.place) } } " "
                        span class="soft" {
                            @match &stand.until {
                                Some(until) => { (voice.with("from-until", &[("from", &voice.day(&stand.since)), ("until", &voice.day(until))])) },
                                None => { (voice.with("from-on", &[("from", &voice.day(&stand.since))])) },
                            }
                        }
                    }
                }
            }
        }
        section aria-labelledby="heard" {
            h2 id="heard" { (voice.say("city-heard")) }
            (numbers::figures(&voice, &tally, true))
        }
        section aria-labelledby="said" {
            h2 id="said" { (voice.say("city-said")) }
            @if messages.is_empty() { p { (voice.say("messages-none")) } }
            div class="grid" { @for message in &messages { (shown::card(&voice, picture, message)) } }
            @if messages.len() == MOST_MESSAGES { p { a class="button quiet" href=(voice.here(&format!("messages?area={}", segment(id)))) { (voice.say("messages-all-area")) } } }
        }
        section aria-labelledby="seen" {
            h2 id="seen" { (voice.say("city-seen")) }
            div class="pair" {
                (figure("themes", &scope, picture, &voice, false))
                (figure("weeks", &scope, picture, &voice, false))
                (figure("hours", &scope, picture, &voice, false))
                (figure("trends", &scope, picture, &voice, false))
            }
        }
    };
    Ok(citizens_page(city, citizen, &area.name, &body))
}
