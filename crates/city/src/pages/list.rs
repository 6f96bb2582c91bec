//! All published messages, newest first: of the city, a campaign, a question or an area.
//!
//! A page holds its place while new messages are published, because the next one is named by the last message and not by a number.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use maud::{Markup, html};

use super::drawn;
use super::picture::Picture;
use super::shown::{self, Wanted};
use super::voice::{Voice, segment};
use crate::City;
use crate::web::{Citizen, Fault, citizens_page};

const MOST: usize = 24;

/// `/{lang}/messages?campaign=&question=&area=&theme=&before=`
pub(super) async fn page(
    State(city): State<Arc<City>>,
    citizen: Citizen,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    drawn(&city, citizen, &headers, move |city, picture, citizen| {
        draw(city, picture, citizen, &query)
    })
    .await
}

fn draw(
    city: &City,
    picture: &Picture,
    citizen: &Citizen,
    query: &HashMap<String, String>,
) -> Result<Markup, Fault> {
    let voice = Voice::new(city, citizen);
    let asked = |name: &str| {
        query
            .get(name)
            .map(String::as_str)
            .filter(|text| !text.is_empty())
    };
    let theme = asked("theme").map(|name| {
        let named = picture.themes.iter();
        let of_name = named.filter(|(_, theme)| voice.text(&theme.name, "") == name);
        of_name.map(|(id, _)| *id).collect::<Vec<i64>>()
    });
    let wanted = Wanted {
        campaign: asked("campaign"),
        question: asked("question"),
        area: asked("area"),
        theme: theme.as_deref(),
        before: asked("before").and_then(|text| text.split_once('_')),
    };
    let messages = city
        .store
        .read(|db| shown::list(city, db, picture, &wanted, MOST))?;
    let one = wanted.campaign.and_then(|id| picture.campaign(id));
    let question = one.and_then(|one| one.question(wanted.question?));
    let area = wanted.area.and_then(|id| picture.area(id));
    let themes = theme_names(&voice, picture, wanted.campaign);
    let older = messages
        .last()
        .filter(|_| messages.len() == MOST)
        .map(|last| {
            let kept = ["campaign", "question", "area", "theme"]
                .iter()
                .filter_map(|name| asked(name).map(|value| format!("{name}={}&", segment(value))));
            let kept: String = kept.collect();
            let before = segment(&format!("{}_{}", last.published_at, last.id));
            voice.here(&format!("messages?{kept}before={before}"))
        });
    let body = html! {
        h1 { (voice.say("nav-messages")) }
        @if let Some(one) = one {
            p class="lead" { a href=(voice.here(&format!("campaign/{}", segment(&one.asked.id)))) { (voice.said(&one.title)) } @if let Some(question) = question { ": " (voice.said(&question.text)) } }
        }
        @if let Some(area) = area {
            p class="lead" { a href=(voice.here(&format!("area/{}", segment(&area.id)))) { bdi { (area.name) } } }
        }
        p class="text soft" { (voice.say("messages-what")) }
        @if !themes.is_empty() {
            form method="get" action=(voice.here("messages")) {
                @for name in ["campaign", "question", "area"] { @if let Some(value) = asked(name) { input type="hidden" name=(name) value=(value); } }
                label for="theme" { (voice.say("messages-by-theme")) }
                select id="theme" name="theme" {
                    option value="" { (voice.say("themes-all")) }
                    @for name in &themes { option selected[asked("theme") == Some(name)] { (name) } }
                }
                " " button { (voice.say("messages-show")) }
            }
        }
        h2 { (voice.say("messages-newest")) }
        @if messages.is_empty() { p { (voice.say("messages-none")) } }
        div class="grid" { @for message in &messages { (shown::card(&voice, picture, message)) } }
        @if let Some(older) = older { p { a class="button quiet" href=(older) rel="next" { (voice.say("messages-older")) } } }
    };
    Ok(citizens_page(
        city,
        citizen,
        &voice.say("nav-messages"),
        &body,
    ))
}

/// The names of themes, of one campaign or of all.
fn theme_names(voice: &Voice<'_>, picture: &Picture, campaign: Option<&str>) -> Vec<String> {
    let themes = picture.themes.values();
    let of_campaign = themes.filter(|theme| {
        !picture.hidden.contains(&theme.campaign) && campaign.is_none_or(|id| theme.campaign == id)
    });
    let mut names: Vec<String> = of_campaign
        .map(|theme| voice.text(&theme.name, "?").to_owned())
        .collect();
    names.sort();
    names.dedup();
    names.truncate(60);
    names
}
