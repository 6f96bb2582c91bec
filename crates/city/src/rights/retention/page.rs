//! `/rights/retention`: what will be deleted, when, and what was.
//!
//! Owns: this page. Never does: name a message, or stop one from being deleted: the configuration and the decision about it do.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Html;
use maud::html;

use booth_host::clock;

use super::{Class, what_is_due, what_was_deleted};
use crate::City;
use crate::people::{Person, Right};
use crate::web::{Fault, get, staff_page};

/// Rows of what was deleted.
const MOST: u32 = 400;

pub(in crate::rights) fn routes() -> Router<Arc<City>> {
    Router::new().route("/rights/retention", get(page))
}

async fn page(State(city): State<Arc<City>>, person: Person) -> Result<Html<String>, Fault> {
    person.must(Right::Search, None)?;
    let (due, deleted) = city
        .aside(|city| {
            city.store.read(|db| {
                let due = what_is_due(city, db, clock::wall())?;
                Ok((due, what_was_deleted(city, db, MOST)?))
            })
        })
        .await?;
    let language = person.here.language.clone();
    let say = |name: &str| city.words.say(&language, name);
    let with = |name: &str, n: u32| city.words.say_with(&language, name, &[("n", n.into())]);
    let class = |class: Class| say(&format!("rights-class-{}", class.word()));
    let rules = &city.config.retention;
    let body = html! {
        p { a href=(person.to("rights")) { (say("rights-title")) } }
        h1 { (say("rights-retention")) }
        p { (say("rights-retention-about")) }
        ul {
            @for (one, name) in Class::ALL.into_iter().zip(["rights-keeps-waiting", "rights-keeps-rejected", "rights-keeps-heard", "rights-keeps-published"]) {
                li { (with(name, one.days(rules))) }
            }
            li { (say("rights-keeps-votes")) }
            li { (with("rights-warns", rules.warn_days)) }
        }
        h2 { (say("rights-due")) }
        @if due.is_empty() { p { (say("rights-due-none")) } } @else {
            p.note role="status" { (say("rights-due-about")) }
            div.wide tabindex="0" role="region" aria-label=(say("rights-due")) { table {
                thead { tr {
                    th scope="col" { (say("rights-due-day")) } th scope="col" { (say("rights-class")) }
                    th scope="col" { (say("rights-number")) } th scope="col" { (say("rights-warned-since")) }
                } }
                tbody { @for row in &due { tr {
                    td { (row.day) } td { (class(row.class)) } td { (row.number) } td { (row.since.get(..10).unwrap_or(&row.since)) }
                } } }
            } }
        }
        h2 { (say("rights-deleted")) }
        @if deleted.is_empty() { p { (say("rights-deleted-none")) } } @else {
            div.wide tabindex="0" role="region" aria-label=(say("rights-deleted")) { table {
                thead { tr { th scope="col" { (say("rights-day")) } th scope="col" { (say("rights-class")) } th scope="col" { (say("rights-number")) } } }
                tbody { @for (day, one, number) in &deleted { tr { td { (day) } td { (class(*one)) } td { (number) } } } }
            } }
        }
    };
    let title = say("rights-retention");
    Ok(Html(
        staff_page(&city, &person, &title, &body).into_string(),
    ))
}
