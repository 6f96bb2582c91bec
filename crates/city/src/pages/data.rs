//! What open data there is, each file with what it holds.
//!
//! Owns: the page. Never does: make a file; `open` does.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use maud::{Markup, html};

use super::drawn;
use super::picture::Picture;
use super::voice::{Voice, whole_address};
use crate::City;
use crate::open::columns::TABLES;
use crate::open::{ALL, FILES};
use crate::web::{Citizen, Fault, citizens_page};

/// `/{lang}/data`
pub(super) async fn page(
    State(city): State<Arc<City>>,
    citizen: Citizen,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    drawn(&city, citizen, &headers, draw).await
}

fn draw(city: &City, _picture: &Picture, citizen: &Citizen) -> Result<Markup, Fault> {
    let voice = Voice::new(city, citizen);
    let is_other = (voice.language() != "en").then_some("en");
    let body = html! {
        h1 { (voice.say("nav-data")) }
        p class="lead" { (voice.say("data-lead")) }
        p { a class="button" href=(citizen.to(&format!("data/{ALL}"))) download { (voice.say("data-all")) } }
        p class="soft" { (voice.say("data-address")) " " bdi { (whole_address(city, &format!("data/{ALL}"))) } }
        ul class="text" { @for line in ["data-not", "data-five", "data-stays", "data-withdrawn"] { li { (voice.say(line)) } } }
        p { (voice.with("foot-licence", &[("licence", &city.config.licence)])) }
        h2 { (voice.say("data-files")) }
        div class="grid" {
            @for file in &FILES {
                @let word = format!("data-{}", file.name.replace(['.', '_'], "-").to_lowercase());
                article class="card" {
                    h3 { a href=(citizen.to(&format!("data/{}", file.name))) { bdi { (file.name) } } }
                    p { (voice.say(&word)) }
                    @if let Some(table) = TABLES.iter().find(|table| table.file == file.name) {
                        details {
                            summary aria-label=(format!("{}: {}", voice.say("data-columns"), file.name)) { (voice.say("data-columns")) }
                            dl lang=[is_other] dir="ltr" {
                                @for column in table.columns { dt { code { (column.name) } } dd { (column.says) } }
                            }
                        }
                    }
                }
            }
        }
    };
    Ok(citizens_page(city, citizen, &voice.say("nav-data"), &body))
}
