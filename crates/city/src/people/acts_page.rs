//! `/acts`: the log of acts, to be read and searched, with what its chain of hashes says.
//!
//! Owns: this page. Never does: change the log, but for the act that somebody looked at it.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::response::Html;
use maud::html;
use serde::Deserialize;

use super::{Person, Right};
use crate::City;
use crate::store::{acts_before, check_acts};
use crate::web::{Fault, get, staff_page};

/// Acts on one page.
const PER_PAGE: u32 = 100;

pub(super) fn routes() -> Router<Arc<City>> {
    Router::new().route("/acts", get(page))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    about: String,
    before: Option<String>,
    check: Option<String>,
}

async fn page(
    State(city): State<Arc<City>>,
    person: Person,
    Query(asked): Query<Asked>,
) -> Result<Html<String>, Fault> {
    person.must(Right::Administer, None)?;
    let before = asked.before.as_deref().and_then(|text| text.parse().ok());
    let about = asked.about.trim().to_owned();
    let (wanted, is_check) = (about.clone(), asked.check.is_some());
    let (acts, checked) = city
        .aside(move |city| {
            let acts = city
                .store
                .read(|db| acts_before(db, before, &wanted, PER_PAGE))?;
            let checked = is_check.then(|| city.store.read(check_acts)).transpose()?;
            Ok((acts, checked))
        })
        .await?;
    let say = |name: &str| city.words.say(&person.here.language, name);
    let gap = |name: &str, gap: &str, value: String| {
        let language = &person.here.language;
        city.words.say_with(language, name, &[(gap, value.into())])
    };
    let body = html! {
        h1 { (say("acts-title")) }
        p.soft { (say("acts-about")) }
        form method="get" {
            label for="about" { (say("acts-filter")) }
            input type="search" id="about" name="about" value=(about) maxlength="100";
            p.actions {
                button.main { (say("acts-show")) }
                button name="check" value="yes" { (say("acts-check")) }
            }
        }
        @if let Some(checked) = checked {
            @match checked.first_bad {
                None => p.note role="status" { (gap("acts-whole", "n", checked.number.to_string())) " " code { (checked.last_hash) } },
                Some(seq) => p.note.bad role="alert" { (gap("acts-bad", "seq", seq.to_string())) },
            }
        }
        @if acts.is_empty() { p { (say("acts-none")) } } @else {
            div.wide tabindex="0" role="region" aria-label=(say("acts-title")) {
                table {
                    thead { tr {
                        th scope="col" { "#" }
                        th scope="col" { (say("acts-at")) }
                        th scope="col" { (say("acts-who")) }
                        th scope="col" { (say("acts-what")) }
                        th scope="col" { (say("acts-about-what")) }
                    } }
                    tbody {
                        @for act in &acts { tr {
                            td { (act.seq) }
                            td { (act.at) }
                            td { bdi { (act.who) } }
                            td { (act.what) }
                            td { bdi { (act.about) } @if !act.detail.is_empty() { " " code { (act.detail) } } }
                        } }
                    }
                }
            }
            @if let Some(last) = acts.last().filter(|_| acts.len() == PER_PAGE as usize) {
                form method="get" {
                    input type="hidden" name="about" value=(about);
                    p.actions { button name="before" value=(last.seq) { (say("acts-older")) } }
                }
            }
        }
    };
    Ok(Html(
        staff_page(&city, &person, &say("acts-title"), &body).into_string(),
    ))
}
