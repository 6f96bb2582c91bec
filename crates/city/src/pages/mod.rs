//! The pages that citizens read without an account.
//!
//! Owns: City, Campaign, Question, Area, Message, About, kiosk and print, the feed, graphics as files, sounds that are published, reports.
//! Never does: decide, or show what is not published. Numbers come from one [`picture`], words of citizens from [`shown`] alone.
//!
//! A page of numbers is drawn once for each picture and sent from memory, packed where the browser takes it.

mod about;
mod area;
mod campaign;
mod charts;
mod city;
mod data;
mod exposed;
mod feed;
mod kiosk;
mod known;
mod list;
mod message;
mod numbers;
mod picture;
mod print;
mod question;
mod shown;
mod sounds;
mod tally;
pub(crate) mod texts;
mod voice;

use std::io::Write;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use maud::Markup;

use crate::City;
use crate::web::{Citizen, Fault, door, get, post, style};
pub(crate) use known::{LeftOut, at_this_moment};
pub(crate) use message::Reports;
pub(crate) use picture::Pictures;
use picture::{Picture, Ready};
pub(crate) use shown::SHOWN;
pub(crate) use voice::segment;

/// The pages' addresses.
pub(crate) fn routes() -> Router<Arc<City>> {
    Router::new()
        .route("/", get(door))
        .route("/style.css", get(style))
        .route("/{lang}", get(with_slash))
        .route("/{lang}/", get(city::page))
        .route("/{lang}/messages", get(list::page))
        .route("/{lang}/campaign/{id}", get(campaign::page))
        .route(
            "/{lang}/question/{campaign}/{question}",
            get(question::page),
        )
        .route("/{lang}/area/{id}", get(area::page))
        .route("/{lang}/message/{id}", get(message::page))
        .route("/{lang}/message/{id}/report", post(message::report))
        .route("/{lang}/about", get(about::page))
        .route("/{lang}/data", get(data::page))
        .route("/{lang}/kiosk", get(kiosk::page))
        .route("/{lang}/print/{campaign}", get(print::page))
        .route("/chart/{lang}/{scope}/{file}", get(chart_file))
        .route("/feed/{file}", get(feed::feed))
        .route("/sound/{file}", get(sounds::published))
        .route("/prompt/{file}", get(sounds::prompt))
}

/// The areas with an outline or without: id, name, shape. The shapes are kept from picture to picture.
pub(crate) fn areas_drawn(
    city: &City,
    db: &booth_database::Connection,
) -> booth_database::Result<Vec<(String, String, Arc<crate::draw::Shape>)>> {
    let areas = known::areas(city, db)?.into_iter();
    Ok(areas.map(|area| (area.id, area.name, area.shape)).collect())
}

/// `/da` is `/da/`.
async fn with_slash(citizen: Citizen) -> Redirect {
    // Relative to `/da`.
    Redirect::permanent(&format!("./{}/", citizen.language))
}

/// A page of the newest picture: from memory where it was drawn before, else drawn aside.
async fn drawn(
    city: &Arc<City>,
    citizen: Citizen,
    headers: &HeaderMap,
    draw: impl FnOnce(&City, &Picture, &Citizen) -> Result<Markup, Fault> + Send + 'static,
) -> Result<Response, Fault> {
    let picture = city.picture().await?;
    let key = format!("{}/{}", citizen.language, citizen.rest);
    let since = match picture.ready(&key) {
        Ok(page) => return Ok(answer(&page, headers)),
        Err(since) => since,
    };
    let page = city
        .aside(move |city| {
            Ok(draw(city, &picture, &citizen).map(|markup| {
                let plain = markup.into_string().into_bytes();
                let page = Ready {
                    gzip: packed(&plain).into(),
                    plain: plain.into(),
                };
                picture.keep(since, key, page.clone());
                page
            }))
        })
        .await??;
    Ok(answer(&page, headers))
}

/// A page that is made for this request alone.
async fn fresh(
    city: &Arc<City>,
    citizen: Citizen,
    draw: impl FnOnce(&City, &Picture, &Citizen) -> Result<Markup, Fault> + Send + 'static,
) -> Result<Response, Fault> {
    let picture = city.picture().await?;
    let markup = city
        .aside(move |city| Ok(draw(city, &picture, &citizen)))
        .await??;
    Ok(axum::response::Html(markup.into_string()).into_response())
}

fn packed(plain: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::with_capacity(plain.len() / 4), Compression::new(6));
    // Writing to memory does not fail; were it to, the browser would get the page as it is.
    let written = packer.write_all(plain).and_then(|()| packer.finish());
    written.unwrap_or_default()
}

fn answer(page: &Ready, headers: &HeaderMap) -> Response {
    let takes_gzip = headers
        .get(header::ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|said| {
            said.split(',').any(|one| {
                let mut parts = one.split(';').map(str::trim);
                parts.next() == Some("gzip") && parts.next() != Some("q=0")
            })
        });
    let (body, is_packed): (Bytes, bool) = match takes_gzip && !page.gzip.is_empty() {
        true => (page.gzip.clone(), true),
        false => (page.plain.clone(), false),
    };
    let mut response = (StatusCode::OK, body).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    // Kept by the browser for going back, and asked for again each time: what is withdrawn must go.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if is_packed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// `/chart/{lang}/{scope}/{name}.svg` and `.csv`.
async fn chart_file(
    State(city): State<Arc<City>>,
    citizen: Citizen,
    Path((_, scope, file)): Path<(String, String, String)>,
) -> Result<Response, Fault> {
    let picture = city.picture().await?;
    let made = city
        .aside(move |city| {
            let voice = voice::Voice::new(city, &citizen);
            let made = || {
                let (name, end) = file.rsplit_once('.')?;
                let scope = charts::Scope::read(&scope, &picture)?;
                let chart = charts::chart(name, &scope, &picture, &voice)?;
                match end {
                    "svg" => Some(("image/svg+xml", chart.file().into_bytes())),
                    "csv" => Some(("text/csv; charset=utf-8", chart.table.csv().ok()?)),
                    _ => None,
                }
            };
            Ok(made())
        })
        .await?;
    let (kind, bytes) = made.ok_or_else(Fault::not_here)?;
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    Ok((headers, bytes).into_response())
}

#[cfg(test)]
mod tests;
