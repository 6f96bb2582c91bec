//! Sounds that citizens may hear: published voices, and the prompts of questions.
//!
//! Never does: send a voice that is not published, or a prompt of a question that is stopped. What a moderator cut off or silenced is not in
//! what is sent.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::Response;
use booth_contract::{ClipId, MediaHash};
use jiff::Timestamp;

use super::shown;
use crate::City;
use crate::web::{Fault, sound};

/// `/sound/{id}.opus`
pub(super) async fn published(
    State(city): State<Arc<City>>,
    Path(file): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let id = file
        .strip_suffix(".opus")
        .ok_or_else(Fault::not_here)?
        .to_owned();
    let picture = city.picture().await?;
    let found = city
        .aside(move |city| {
            let message = city.store.read(|db| shown::one(city, db, &picture, &id))?;
            match message.filter(|message| message.has_voice) {
                Some(message) => {
                    let ogg = crate::desk::published_sound(city, &ClipId::from(id))?;
                    Ok(Some((ogg, message.published_at)))
                }
                None => Ok(None),
            }
        })
        .await?;
    let (ogg, since) = found.ok_or_else(Fault::not_here)?;
    let since = since.parse().unwrap_or(Timestamp::UNIX_EPOCH);
    Ok(with_cache(
        sound::answer(ogg, since, &method, &headers),
        "no-cache",
    ))
}

/// `/prompt/{hash}.opus`: what a hash names never changes.
pub(super) async fn prompt(
    State(city): State<Arc<City>>,
    Path(file): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let hash = file.strip_suffix(".opus").and_then(MediaHash::parse);
    let hash = hash.ok_or_else(Fault::not_here)?;
    if city.picture().await?.silent.contains(&hash) {
        return Err(Fault::not_here());
    }
    let ogg = city
        .aside(move |city| Ok(city.centre.prompt(&hash)?))
        .await?;
    let answer = sound::answer(ogg, Timestamp::UNIX_EPOCH, &method, &headers);
    Ok(with_cache(answer, "public, max-age=31536000, immutable"))
}

fn with_cache(mut response: Response, how: &'static str) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(how));
    response
}
