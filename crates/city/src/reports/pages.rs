//! `/reports`: making a report, reading it, and taking it out as a print, a document or a table.
//!
//! Owns: these pages. Never does: show a report to somebody without a right in its campaign.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Form, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};
use serde::Deserialize;

use super::blocks::{self, Block};
use super::{Frozen, all, freeze, may, odt, one, taken, written};
use crate::City;
use crate::pages::texts;
use crate::people::{Person, Right};
use crate::store::CityError;
use crate::web::{Fault, get, post, see_other, staff_page, token_field};
use crate::words::Sentence;

pub(super) fn routes() -> Router<Arc<City>> {
    Router::new()
        .route("/reports", get(list).merge(post(make)))
        .route("/reports/print.css", get(style))
        .route("/reports/{id}", get(page))
        .route("/reports/{id}/print", get(print))
        .route("/reports/{id}/report.odt", get(document))
        .route("/reports/{id}/report.csv", get(table))
}

const STYLE: &str = include_str!("print.css");

async fn style() -> Response {
    let headers = [(header::CONTENT_TYPE, "text/css; charset=utf-8")];
    (headers, STYLE).into_response()
}

/// The campaigns of which this person may make reports: id and title.
fn campaigns(city: &City, person: &Person) -> Result<BTreeMap<String, String>, CityError> {
    let mut found = BTreeMap::new();
    for campaign in city.centre.campaigns()? {
        found.insert(campaign.id, campaign.title);
    }
    let known: Vec<(String, String)> = city.store.read(|db| {
        db.prepare_cached("SELECT id, title FROM campaign")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect()
    })?;
    let offers = &city.config.offers;
    for (id, title) in known {
        let title = texts::read(Some(&title), &offers[0]);
        let shown = texts::text_or(&title, &person.here.language, offers, "").to_owned();
        let entry = found.entry(id.clone()).or_insert(id);
        if !shown.is_empty() {
            *entry = shown;
        }
    }
    found.retain(|id, _| may(person, id));
    Ok(found)
}

async fn list(State(city): State<Arc<City>>, person: Person) -> Result<Response, Fault> {
    person.must_somewhere(Right::Export)?;
    list_page(&city, &person, StatusCode::OK, None).await
}

async fn list_page(
    city: &Arc<City>,
    person: &Person,
    status: StatusCode,
    why: Option<Sentence>,
) -> Result<Response, Fault> {
    let who = person.clone();
    let (campaigns, reports) = city
        .aside(move |city| Ok((campaigns(city, &who)?, city.store.read(all)?)))
        .await?;
    let language = person.here.language.as_str();
    let say = |name: &str| city.words.say(language, name);
    let own: Vec<_> = reports
        .iter()
        .filter(|report| may(person, &report.campaign))
        .collect();
    let body = html! {
        h1 { (say("reports-title")) }
        @if let Some(why) = &why { p.note.bad role="alert" { (city.words.tell(language, why)) } }
        p { (say("reports-about")) }
        form method="post" action=(person.to("reports")) {
            (token_field(person))
            label for="campaign" { (say("reports-campaign")) }
            select id="campaign" name="campaign" required {
                @for (id, title) in &campaigns { option value=(id) { (title) } }
            }
            p.actions { button.main { (say("reports-freeze")) } }
        }
        h2 { (say("reports-made")) }
        @if own.is_empty() { p { (say("reports-none")) } } @else {
            div.wide tabindex="0" role="region" aria-label=(say("reports-made")) { table {
                thead { tr { th scope="col" { (say("reports-campaign")) } th scope="col" { (say("reports-day")) } } }
                tbody { @for report in own { tr {
                    th scope="row" { a href=(person.to(&format!("reports/{}", report.id))) { bdi { (campaigns.get(&report.campaign).unwrap_or(&report.campaign)) } } }
                    td { (report.made_at.get(..16).unwrap_or(&report.made_at).replace('T', " ")) " UTC" }
                } } }
            } }
        }
    };
    let page = staff_page(city, person, &say("reports-title"), &body);
    Ok((status, Html(page.into_string())).into_response())
}

#[derive(Debug, Deserialize)]
struct Wanted {
    campaign: String,
}

async fn make(
    State(city): State<Arc<City>>,
    person: Person,
    Form(wanted): Form<Wanted>,
) -> Result<Response, Fault> {
    person.must(Right::Export, Some(&wanted.campaign))?;
    let who = person.clone();
    let made = city
        .aside(move |city| freeze(city, &who, &wanted.campaign))
        .await;
    match made {
        Ok(id) => Ok(see_other(&format!("reports/{id}"))),
        Err(CityError::Refused(why)) => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            list_page(&city, &person, status, Some(why)).await
        }
        Err(error) => Err(error.into()),
    }
}

/// A report in the person's language.
async fn told(
    city: &Arc<City>,
    person: &Person,
    id: i64,
    form: Option<&'static str>,
) -> Result<(Frozen, Vec<Block>), Fault> {
    person.must_somewhere(Right::Export)?;
    let who = person.clone();
    let told = city
        .aside(move |city| {
            let frozen = one(city, &who, id)?;
            let blocks = blocks::of(city, &frozen, &who.here.language)?;
            if let Some(form) = form {
                taken(city, &who, id, form)?;
            }
            Ok((frozen, blocks))
        })
        .await?;
    Ok(told)
}

async fn page(
    State(city): State<Arc<City>>,
    person: Person,
    Path(id): Path<i64>,
) -> Result<Html<String>, Fault> {
    let (frozen, blocks) = told(&city, &person, id, None).await?;
    let language = person.here.language.as_str();
    let say = |name: &str| city.words.say(language, name);
    let to = |what: &str| person.to(&format!("reports/{id}/{what}"));
    let body = html! {
        p { a href=(person.to("reports")) { (say("reports-title")) } }
        p.actions {
            a href=(to("print")) { (say("reports-print")) }
            a href=(to("report.odt")) { (say("reports-odt")) }
            a href=(to("report.csv")) { (say("reports-csv")) }
        }
        (written::html_of(&blocks))
    };
    let title = blocks::title(&city, &frozen, language);
    Ok(Html(
        staff_page(&city, &person, &title, &body).into_string(),
    ))
}

async fn print(
    State(city): State<Arc<City>>,
    person: Person,
    Path(id): Path<i64>,
) -> Result<Html<String>, Fault> {
    let (frozen, blocks) = told(&city, &person, id, Some("print")).await?;
    let language = person.here.language.as_str();
    let title = blocks::title(&city, &frozen, language);
    let page: Markup = html! {
        (DOCTYPE)
        html lang=(language) dir=(city.words.say(language, "direction")) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                link rel="stylesheet" href=(person.to("reports/print.css"));
                link rel="icon" href="data:,";
            }
            body { main { p.from { (city.config.name) } (written::html_of(&blocks)) } }
        }
    };
    Ok(Html(page.into_string()))
}

async fn document(
    State(city): State<Arc<City>>,
    person: Person,
    Path(id): Path<i64>,
) -> Result<Response, Fault> {
    let (frozen, blocks) = told(&city, &person, id, Some("odt")).await?;
    let language = person.here.language.as_str();
    let title = blocks::title(&city, &frozen, language);
    let bytes = odt::of(&blocks, &title, &frozen.made_on, language)?;
    Ok(file(
        &frozen,
        "odt",
        "application/vnd.oasis.opendocument.text",
        bytes,
    ))
}

async fn table(
    State(city): State<Arc<City>>,
    person: Person,
    Path(id): Path<i64>,
) -> Result<Response, Fault> {
    let (frozen, blocks) = told(&city, &person, id, Some("csv")).await?;
    let bytes = written::csv_of(&blocks)?;
    Ok(file(&frozen, "csv", "text/csv; charset=utf-8", bytes))
}

fn file(frozen: &Frozen, end: &str, kind: &'static str, bytes: Vec<u8>) -> Response {
    let plain = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
    let name: String = frozen.campaign.chars().filter(plain).collect();
    let name = format!(
        "attachment; filename=\"report-{name}-{}.{end}\"",
        frozen.made_on
    );
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_DISPOSITION, name),
    ];
    (headers, bytes).into_response()
}
