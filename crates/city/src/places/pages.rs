//! The pages of places: where each booth stands, moving it by one form, its history, and the city's areas.
//!
//! Owns: what an editor sees and sends. Never does: change a placement by itself; `placement` does, and counts anew what it concerns.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Multipart, Path, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use maud::{Markup, html};

use super::network::{self, Doubt};
use super::numbers::{self, Numbered};
use super::placement::{self, Placement, Site, shown};
use super::{areas, exposure, read};
use crate::City;
use crate::editor::fields::Fields;
use crate::people::{Person, Right};
use crate::sentence;
use crate::store::{Act, Actor, CityError};
use crate::web::{Fault, get, post, staff_page, token_field};

pub(crate) fn routes() -> Router<Arc<City>> {
    Router::new()
        .route("/places", get(all))
        .route("/places/move", post(move_booth))
        .route("/places/number", post(prepare))
        .route("/places/number/{number}/remove", post(forget))
        .route("/places/placement/{id}", get(one).merge(post(change)))
        .route("/places/placement/{id}/remove", post(remove))
        .route("/places/placement/{id}/still", post(still_there))
        .route(
            "/places/areas",
            post(import).layer(DefaultBodyLimit::max(read::MOST_BYTES + 64_000)),
        )
}

struct Say<'a>(&'a City, &'a Person);

impl Say<'_> {
    fn say(&self, name: &str) -> String {
        self.0.words.say(&self.1.here.language, name)
    }

    fn with(&self, name: &str, gap: &str, text: &str) -> String {
        let gaps = [(gap, text.to_owned().into())];
        self.0.words.say_with(&self.1.here.language, name, &gaps)
    }
}

fn page(city: &City, person: &Person, title: &str, body: &Markup) -> Response {
    Html(staff_page(city, person, title, body).into_string()).into_response()
}

/// Everything that the page shows.
struct Seen {
    /// Id and name.
    booths: Vec<(String, String)>,
    campaigns: Vec<(String, String)>,
    areas: Vec<(String, String)>,
    placements: Vec<Placement>,
    /// Ready minutes and messages of each placement.
    counts: Vec<(u64, u64)>,
    doubts: Vec<Doubt>,
    numbers: Vec<Numbered>,
}

fn seen(city: &City) -> Result<Seen, CityError> {
    let booths = city.centre.booths()?;
    let campaigns = city.centre.campaigns()?;
    let (areas, placements, counts, doubts, numbers) = city.store.read(|db| {
        let placements = placement::all(db)?;
        let messages: HashMap<i64, u64> = db
            .prepare_cached(
                "SELECT placement, count(*) FROM message WHERE placement IS NOT NULL GROUP BY 1",
            )?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<booth_database::Result<_>>()?;
        let minutes = exposure::ready_minutes(db)?;
        let of =
            |counts: &HashMap<i64, u64>, one: &Placement| counts.get(&one.id).copied().unwrap_or(0);
        let counts = placements.iter();
        let counts = counts.map(|one| (of(&minutes, one), of(&messages, one)));
        let counts = counts.collect();
        let doubts = network::doubts(db)?;
        let numbers = numbers::all(db)?;
        Ok((areas::names(db)?, placements, counts, doubts, numbers))
    })?;
    Ok(Seen {
        booths: booths
            .into_iter()
            .map(|booth| (booth.id, booth.name))
            .collect(),
        campaigns: campaigns
            .into_iter()
            .map(|campaign| (campaign.id, campaign.title))
            .collect(),
        areas,
        placements,
        counts,
        doubts,
        numbers,
    })
}

async fn all(State(city): State<Arc<City>>, person: Person) -> Result<Response, Fault> {
    person.must(Right::Edit, None)?;
    let seen = city.aside(seen).await?;
    let words = Say(&city, &person);
    let now = city.local_now();
    let area_name = |id: &Option<String>| {
        let found = id
            .as_ref()
            .and_then(|id| seen.areas.iter().find(|(own, _)| own == id));
        found.map_or_else(|| words.say("places-no-area"), |(_, name)| name.clone())
    };
    let rows = seen.placements.iter().zip(&seen.counts);
    let body = html! {
        h1 { (words.say("places-title")) }
        p { (words.say("places-intro")) }
        @if !seen.doubts.is_empty() { (in_doubt(&city, &person, &words, &seen.doubts)) }
        h2 { (words.say("places-move")) }
        form method="post" action=(person.here.to("places/move")) {
            (token_field(&person))
            label for="booth" { (words.say("places-booth")) }
            input type="text" name="booth" id="booth" list="booths" required;
            datalist id="booths" { @for (id, name) in &seen.booths { option value=(id) { (name) } } }
            (site_fields(&words, &seen, &Site::default(), ""))
            label for="since" { (words.say("places-since")) }
            p.soft id="since-hint" { (words.say("places-since-hint")) }
            input type="datetime-local" name="since" id="since" required value=(now) aria-describedby="since-hint";
            div.actions { button.main { (words.say("places-move-do")) } }
        }
        h2 { (words.say("places-all")) }
        @if seen.placements.is_empty() { p.note { (words.say("places-none")) } }
        @else { div.wide { table {
            thead { tr {
                th scope="col" { (words.say("places-booth")) } th scope="col" { (words.say("places-place")) } th scope="col" { (words.say("places-area")) }
                th scope="col" { (words.say("places-since")) } th scope="col" { (words.say("places-until")) }
                th scope="col" { (words.say("places-ready")) } th scope="col" { (words.say("places-messages")) } th scope="col" { (words.say("places-rate")) }
            } }
            tbody { @for (one, (minutes, messages)) in rows { tr {
                th scope="row" { (one.booth_id) }
                td { a href=(person.here.to(&format!("places/placement/{}", one.id))) { (one.site.place) } }
                td { (area_name(&one.site.area_id)) }
                td { (shown(&city.zone, &one.since)) }
                td { @match &one.until { Some(until) => (shown(&city.zone, until)), None => strong { (words.say("places-stands")) } } }
                td { (words.with("places-hours", "n", &(minutes / 60).to_string())) }
                td { (messages) }
                td { @match exposure::per_booth_day(*messages, *minutes) { Some(rate) => (format!("{rate:.1}")), None => "–" } }
            } } }
        } } p.soft { (words.say("places-rate-what")) } }
        (by_number(&person, &words, &seen))
        h2 { (words.say("places-areas")) }
        p { (words.with("places-areas-n", "n", &seen.areas.len().to_string())) }
        @if !seen.areas.is_empty() { details { summary { (words.say("places-areas-list")) } ul { @for (id, name) in &seen.areas { li { (name) " " code { (id) } } } } } }
        p.soft { (words.say("places-areas-hint")) }
        form method="post" action=(person.here.to("places/areas")) enctype="multipart/form-data" {
            (token_field(&person))
            label for="file" { (words.say("places-areas-file")) }
            input type="file" name="file" id="file" required accept=".geojson,.json,application/geo+json";
            label for="name_property" { (words.say("places-areas-name")) }
            p.soft id="name-hint" { (words.say("places-areas-name-hint")) }
            input type="text" name="name_property" id="name_property" maxlength="60" aria-describedby="name-hint";
            div.actions { button { (words.say("places-areas-import")) } }
        }
    };
    Ok(page(&city, &person, &words.say("places-title"), &body))
}

/// The booths that may have been moved without anybody saying so.
fn in_doubt(city: &City, person: &Person, words: &Say<'_>, doubts: &[Doubt]) -> Markup {
    html! {
        h2 { (words.say("places-doubts")) }
        p { (words.say("places-doubts-what")) }
        ul { @for doubt in doubts { li {
            form method="post" action=(person.here.to(&format!("places/placement/{}/still", doubt.placement))) {
                (token_field(person))
                strong { (doubt.booth_id) } " "
                (words.with("places-doubt-since", "since", &shown(&city.zone, &doubt.since))) " "
                button { (words.with("places-still-there", "place", &doubt.place)) }
            }
        } } }
    }
}

/// The fields of a site; `of` sets the ids of one form apart from those of another on the same page.
fn site_fields(words: &Say<'_>, seen: &Seen, site: &Site, of: &str) -> Markup {
    let id = |name: &str| format!("{name}{of}");
    html! {
        label for=(id("place")) { (words.say("places-place")) }
        input type="text" name="place" id=(id("place")) required maxlength="120" value=(site.place);
        label for=(id("position")) { (words.say("places-position")) }
        p.soft id=(id("position-hint")) { (words.say("places-position-hint")) }
        input type="text" name="position" id=(id("position")) inputmode="decimal" aria-describedby=(id("position-hint"))
            value=(site.at.map(|(lat, lon)| format!("{lat}, {lon}")).unwrap_or_default());
        label for=(id("area")) { (words.say("places-area")) }
        select name="area" id=(id("area")) {
            option value="auto" { (words.say("places-area-auto")) }
            option value="" selected[site.area_id.is_none() && !site.place.is_empty()] { (words.say("places-no-area")) }
            @for (id, name) in &seen.areas { option value=(id) selected[site.area_id.as_ref() == Some(id)] { (name) } }
        }
        label for=(id("campaign")) { (words.say("places-campaign")) }
        select name="campaign" id=(id("campaign")) {
            option value="" { (words.say("places-campaign-any")) }
            @for (id, title) in &seen.campaigns { option value=(id) selected[site.campaign_id.as_ref() == Some(id)] { @if title.is_empty() { (id) } @else { (title) } } }
        }
    }
}

/// The places that a technician names by their number.
fn by_number(person: &Person, words: &Say<'_>, seen: &Seen) -> Markup {
    html! {
        h2 { (words.say("places-numbers")) }
        p { (words.say("places-numbers-what")) }
        @if !seen.numbers.is_empty() { div.wide { table {
            thead { tr { th scope="col" { (words.say("places-number")) } th scope="col" { (words.say("places-place")) } td {} } }
            tbody { @for one in &seen.numbers { tr {
                th scope="row" { (one.number) }
                td { (one.site.place) }
                td { form method="post" action=(person.here.to(&format!("places/number/{}/remove", one.number))) {
                    (token_field(person))
                    button { (words.with("places-number-remove", "n", &one.number.to_string())) }
                } }
            } } }
        } } }
        details {
            summary { (words.say("places-number-do")) }
            form method="post" action=(person.here.to("places/number")) {
                (token_field(person))
                label for="number" { (words.say("places-number")) }
                input type="text" name="number" id="number" inputmode="numeric" required value=(numbers::next(&seen.numbers));
                (site_fields(words, seen, &Site::default(), "-of-number"))
                div.actions { button { (words.say("places-number-do")) } }
            }
        }
    }
}

/// The site that a form has sent; the area by its coordinates where that is wanted.
fn site_of(city: &City, fields: &Fields) -> Result<Site, CityError> {
    let at = match fields.some("position") {
        None => None,
        Some(text) => {
            let mut numbers = text
                .split([',', ';', ' '])
                .filter(|part| !part.is_empty())
                .map(str::parse::<f64>);
            match (numbers.next(), numbers.next(), numbers.next()) {
                (Some(Ok(lat)), Some(Ok(lon)), None) => Some((lat, lon)),
                _ => return Err(sentence!("places-unread-position").into()),
            }
        }
    };
    let area_id = match fields.get("area") {
        "auto" => match at {
            Some((lat, lon)) => city.store.read(|db| areas::at(db, [lon, lat]))?,
            None => None,
        },
        id => Some(id.to_owned()).filter(|id| !id.is_empty()),
    };
    Ok(Site {
        place: fields.get("place").to_owned(),
        area_id,
        at,
        campaign_id: fields.some("campaign").map(str::to_owned),
    })
}

/// Does what an editor has sent, and leads back to the list.
async fn edited<T: Send + 'static>(
    city: &Arc<City>,
    person: &Person,
    work: impl FnOnce(&City, Actor) -> Result<T, CityError> + Send + 'static,
) -> Result<Response, Fault> {
    person.must(Right::Edit, None)?;
    let by = person.actor();
    city.aside(move |city| work(city, by)).await?;
    Ok(Redirect::to(&person.here.to("places")).into_response())
}

async fn move_booth(
    State(city): State<Arc<City>>,
    person: Person,
    fields: Fields,
) -> Result<Response, Fault> {
    edited(&city, &person, move |city, by| {
        let site = site_of(city, &fields)?;
        let at = placement::local(&city.zone, fields.get("since"))?;
        let booth = fields.get("booth");
        let act = Act::new(by, "booth moved", booth);
        city.store.change(act, |db| {
            placement::move_booth(db, &city.zone, booth, at, &site)
        })
    })
    .await
}

async fn one(
    State(city): State<Arc<City>>,
    person: Person,
    Path(id): Path<i64>,
) -> Result<Response, Fault> {
    person.must(Right::Edit, None)?;
    let (found, seen) = city
        .aside(move |city| Ok((city.store.read(|db| placement::one(db, id))?, seen(city)?)))
        .await?;
    let found = found.ok_or_else(Fault::not_here)?;
    let words = Say(&city, &person);
    let field = |at: &str| shown(&city.zone, at).replace(' ', "T");
    let body = html! {
        p { a href=(person.here.to("places")) { (words.say("places-title")) } }
        h1 { (found.booth_id) ": " (found.site.place) }
        p.soft { (words.say("places-change-hint")) }
        form method="post" action=(person.here.to(&format!("places/placement/{id}"))) {
            (token_field(&person))
            (site_fields(&words, &seen, &found.site, ""))
            label for="since" { (words.say("places-since")) }
            input type="datetime-local" name="since" id="since" required value=(field(&found.since));
            label for="until" { (words.say("places-until")) }
            p.soft id="until-hint" { (words.say("places-until-hint")) }
            input type="datetime-local" name="until" id="until" value=(found.until.as_deref().map(field).unwrap_or_default()) aria-describedby="until-hint";
            div.actions { button.main { (words.say("places-change-do")) } }
        }
        details {
            summary { (words.say("places-remove")) }
            p { (words.say("places-remove-hint")) }
            form method="post" action=(person.here.to(&format!("places/placement/{id}/remove"))) {
                (token_field(&person))
                button.danger { (words.say("places-remove-do")) }
            }
        }
    };
    Ok(page(&city, &person, &words.say("places-title"), &body))
}

async fn change(
    State(city): State<Arc<City>>,
    person: Person,
    Path(id): Path<i64>,
    fields: Fields,
) -> Result<Response, Fault> {
    edited(&city, &person, move |city, by| {
        let site = site_of(city, &fields)?;
        let known = city.store.read(|db| placement::one(db, id))?;
        let known = known.ok_or_else(placement::gone)?;
        let since = placement::typed(&city.zone, fields.get("since"), Some(&known.since))?;
        let until = fields
            .some("until")
            .map(|text| placement::typed(&city.zone, text, known.until.as_deref()))
            .transpose()?;
        let act = Act::new(by, "placement changed", id.to_string());
        city.store.change(act, |db| {
            placement::change(db, &city.zone, id, since, until, &site)
        })
    })
    .await
}

async fn prepare(
    State(city): State<Arc<City>>,
    person: Person,
    fields: Fields,
) -> Result<Response, Fault> {
    edited(&city, &person, move |city, by| {
        let site = site_of(city, &fields)?;
        let number = fields.get("number").trim().parse().unwrap_or(0);
        let act = Act::new(by, "place prepared", number.to_string());
        city.store
            .change(act, |db| numbers::prepare(db, number, &site))
    })
    .await
}

async fn forget(
    State(city): State<Arc<City>>,
    person: Person,
    Path(number): Path<u32>,
) -> Result<Response, Fault> {
    edited(&city, &person, move |city, by| {
        let act = Act::new(by, "place number removed", number.to_string());
        city.store.change(act, |db| numbers::forget(db, number))
    })
    .await
}

async fn still_there(
    State(city): State<Arc<City>>,
    person: Person,
    Path(id): Path<i64>,
) -> Result<Response, Fault> {
    edited(&city, &person, move |city, by| {
        let act = Act::new(by, "booth still there", id.to_string());
        city.store
            .change(act, |db| network::still_there(db, &city.zone, id))
    })
    .await
}

async fn remove(
    State(city): State<Arc<City>>,
    person: Person,
    Path(id): Path<i64>,
) -> Result<Response, Fault> {
    edited(&city, &person, move |city, by| {
        let act = Act::new(by, "placement removed", id.to_string());
        city.store
            .change(act, |db| placement::remove(db, &city.zone, id))
    })
    .await
}

async fn import(
    State(city): State<Arc<City>>,
    person: Person,
    mut parts: Multipart,
) -> Result<Response, Fault> {
    person.must(Right::Edit, None)?;
    let broken = |error: axum::extract::multipart::MultipartError| {
        let status = error.status();
        let sentence = match status {
            StatusCode::PAYLOAD_TOO_LARGE => sentence!("places-areas-too-large"),
            _ => sentence!("staff-too-slow"),
        };
        Fault::new(status, sentence)
    };
    let (mut file, mut name) = (Vec::new(), String::new());
    while let Some(part) = parts.next_field().await.map_err(broken)? {
        match part.name() {
            Some("file") => file = part.bytes().await.map_err(broken)?.to_vec(),
            Some("name_property") => name = part.text().await.map_err(broken)?.trim().to_owned(),
            _ => {}
        }
    }
    let who = person.clone();
    let came = city
        .aside(move |city| {
            let new = areas::read(&file, Some(name.as_str()).filter(|name| !name.is_empty()))?;
            let act = Act::new(who.actor(), "areas imported", "areas");
            city.store.change(act, |db| areas::replace(db, &new))?;
            Ok(new.came())
        })
        .await?;
    let words = Say(&city, &person);
    let body = html! {
        h1 { (words.say("places-areas-done")) }
        p.note { (city.words.tell(&person.here.language, &came)) }
        p { a href=(person.here.to("places")) { (words.say("places-title")) } }
    };
    Ok(page(&city, &person, &words.say("places-title"), &body))
}
