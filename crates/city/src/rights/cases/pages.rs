//! `/rights` and the pages of one case.
//!
//! Owns: these pages and their forms. Never does: show what somebody said before it is written down who looks at it.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Form, Path, Query, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;

use booth_host::clock;

use super::{Asked, Case, Found, MOST_FOUND, OUTCOMES, Opening, local, taking};
use crate::City;
use crate::people::{Person, Right};
use crate::sentence;
use crate::store::CityError;
use crate::web::{Fault, get, post, see_other, sound, staff_page, token_field};
use crate::words::Sentence;

pub(in crate::rights) fn routes() -> Router<Arc<City>> {
    Router::new()
        .route("/rights", get(cases).merge(post(open)))
        .route("/rights/{case}", get(case).merge(post(elsewhere)))
        .route("/rights/{case}/close", post(close))
        .route("/rights/{case}/message/{id}", get(message))
        .route("/rights/{case}/sound/{id}", get(heard))
        .route("/rights/{case}/export/{id}", post(export))
        .route("/rights/{case}/delete/{id}", post(delete))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Typed {
    received: String,
    asked: String,
    place: String,
    day: String,
    time: String,
    minutes: String,
    note: String,
    outcome: String,
    sure: String,
}

impl Typed {
    fn opening(&self) -> Opening {
        Opening {
            received: self.received.clone(),
            asked: self.asked.clone(),
            place: self.place.clone(),
            day: self.day.clone(),
            time: self.time.clone(),
            minutes: self.minutes.clone(),
            note: self.note.clone(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Done {
    done: String,
}

/// A form's refusal on the page itself, so that what was typed can be sent again.
fn refused(city: &City, person: &Person, why: &Sentence) -> Markup {
    html! { p.note.bad role="alert" { (city.words.tell(&person.here.language, why)) } }
}

/// The fields that say where and when.
fn fields(say: &dyn Fn(&str) -> String, typed: &Typed, places: &[(String, String)]) -> Markup {
    html! {
        label for="place" { (say("rights-place")) }
        select id="place" name="place" required {
            option value="" { (say("rights-choose")) }
            @for (value, name) in places { option value=(value) selected[*value == typed.place] { (name) } }
            option value="home" selected[typed.place == "home"] { (say("rights-home")) }
        }
        label for="day" { (say("rights-day-spoken")) }
        input type="date" id="day" name="day" required value=(typed.day);
        label for="time" { (say("rights-time")) }
        input type="time" id="time" name="time" required value=(typed.time);
        label for="minutes" { (say("rights-minutes")) }
        input type="number" id="minutes" name="minutes" min="1" max="720" required value=(typed.minutes);
    }
}

async fn cases(State(city): State<Arc<City>>, person: Person) -> Result<Response, Fault> {
    person.must(Right::Search, None)?;
    let typed = Typed {
        received: city.day_of(clock::wall()),
        minutes: "60".into(),
        ..Typed::default()
    };
    cases_page(&city, &person, StatusCode::OK, html! {}, &typed).await
}

async fn cases_page(
    city: &Arc<City>,
    person: &Person,
    status: StatusCode,
    note: Markup,
    typed: &Typed,
) -> Result<Response, Fault> {
    let (cases, places) = city
        .aside(|city| {
            city.store
                .read(|db| Ok((super::all(db)?, super::places(city, db)?)))
        })
        .await?;
    let today = city.day_of(clock::wall());
    let language = person.here.language.as_str();
    let say = |name: &str| city.words.say(language, name);
    let (open, closed): (Vec<&Case>, Vec<&Case>) =
        cases.iter().partition(|case| case.closed.is_none());
    let body = html! {
        h1 { (say("rights-title")) }
        (note)
        p { (say("rights-about")) }
        p { a href=(person.to("rights/retention")) { (say("rights-retention")) } }
        h2 { (say("rights-open-cases")) }
        @if open.is_empty() { p { (say("rights-no-open")) } } @else {
            div.wide tabindex="0" role="region" aria-label=(say("rights-open-cases")) { table {
                thead { tr {
                    th scope="col" { (say("rights-case")) } th scope="col" { (say("rights-asked")) }
                    th scope="col" { (say("rights-received")) } th scope="col" { (say("rights-deadline")) }
                } }
                tbody { @for case in &open { tr {
                    th scope="row" { a href=(person.to(&format!("rights/{}", case.id))) { (say("rights-case")) " " (case.id) } }
                    td { (say(&format!("rights-asked-{}", case.asked.word()))) }
                    td { (case.opened) }
                    td { (case.due) @if case.due < today { " " strong.bad { (say("rights-late")) } } }
                } } }
            } }
        }
        h2 { (say("rights-new")) }
        p.soft { (say("rights-new-about")) }
        form method="post" action=(person.to("rights")) {
            (token_field(person))
            label for="received" { (say("rights-received")) }
            input type="date" id="received" name="received" required value=(typed.received);
            fieldset {
                legend { (say("rights-asked")) }
                @for asked in Asked::ALL {
                    label { input type="radio" name="asked" value=(asked.word()) required checked[asked.word() == typed.asked]; (say(&format!("rights-asked-{}", asked.word()))) }
                }
            }
            (fields(&say, typed, &places))
            label for="note" { (say("rights-note")) }
            input type="text" id="note" name="note" maxlength="500" autocomplete="off" aria-describedby="note-rule" value=(typed.note);
            p.soft id="note-rule" { (say("rights-note-rule")) }
            p.actions { button.main { (say("rights-open")) } }
        }
        @if !closed.is_empty() {
            h2 { (say("rights-closed-cases")) }
            div.wide tabindex="0" role="region" aria-label=(say("rights-closed-cases")) { table {
                thead { tr {
                    th scope="col" { (say("rights-case")) } th scope="col" { (say("rights-asked")) }
                    th scope="col" { (say("rights-received")) } th scope="col" { (say("rights-closed")) } th scope="col" { (say("rights-outcome")) }
                } }
                tbody { @for case in &closed { tr {
                    th scope="row" { (case.id) }
                    td { (say(&format!("rights-asked-{}", case.asked.word()))) }
                    td { (case.opened) } td { (case.closed.as_deref().unwrap_or_default()) }
                    td { (said_outcome(&say, case.outcome.as_deref())) }
                } } }
            } }
        }
    };
    let page = staff_page(city, person, &say("rights-title"), &body);
    Ok((status, Html(page.into_string())).into_response())
}

fn said_outcome(say: &dyn Fn(&str) -> String, outcome: Option<&str>) -> String {
    let known = OUTCOMES.iter().find(|known| Some(**known) == outcome);
    known.map_or_else(String::new, |word| {
        say(&format!("rights-outcome-{}", word.replace('_', "-")))
    })
}

async fn open(
    State(city): State<Arc<City>>,
    person: Person,
    Form(typed): Form<Typed>,
) -> Result<Response, Fault> {
    person.must(Right::Search, None)?;
    let (opening, who) = (typed.opening(), person.clone());
    let opened = city
        .aside(move |city| super::open(city, &who, &opening))
        .await;
    match opened {
        Ok(id) => Ok(see_other(&format!("rights/{id}"))),
        Err(CityError::Refused(why)) => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            let note = refused(&city, &person, &why);
            cases_page(&city, &person, status, note, &typed).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn case(
    State(city): State<Arc<City>>,
    person: Person,
    Path(id): Path<i64>,
    Query(done): Query<Done>,
) -> Result<Response, Fault> {
    person.must(Right::Search, None)?;
    let note = match done.done.as_str() {
        "deleted" => {
            html! { p.note role="status" { (city.words.say(&person.here.language, "rights-is-deleted")) } }
        }
        _ => html! {},
    };
    case_page(&city, &person, id, StatusCode::OK, note).await
}

async fn case_page(
    city: &Arc<City>,
    person: &Person,
    id: i64,
    status: StatusCode,
    note: Markup,
) -> Result<Response, Fault> {
    let who = person.clone();
    let (case, found, places) = city
        .aside(move |city| {
            let case = super::open_one(city, id)?;
            let found = super::search(city, &who, &case)?;
            let places = city.store.read(|db| super::places(city, db))?;
            Ok((case, found, places))
        })
        .await?;
    let language = person.here.language.as_str();
    let say = |name: &str| city.words.say(language, name);
    let typed = Typed {
        place: case.place.clone(),
        day: case.day.clone(),
        time: case.time.clone(),
        minutes: case.minutes.to_string(),
        ..Typed::default()
    };
    let is_late = case.due < city.day_of(clock::wall());
    let title = format!("{} {}", say("rights-case"), case.id);
    let body = html! {
        p { a href=(person.to("rights")) { (say("rights-title")) } }
        h1 { (title) }
        (note)
        p {
            (say(&format!("rights-asked-{}", case.asked.word()))) " · " (say("rights-received")) " " (case.opened) " · "
            strong { (say("rights-deadline")) " " (case.due) } @if is_late { " " strong.bad { (say("rights-late")) } }
        }
        p.soft { (say("rights-deadline-about")) }
        @if !case.note.is_empty() { p { (say("rights-note")) ": " bdi { (case.note) } } }
        h2 { (say("rights-found")) }
        p.soft { (say("rights-found-about")) }
        @if found.len() > MOST_FOUND { p.note { (say("rights-too-many")) } }
        @if found.is_empty() { p { (say("rights-found-none")) } } @else {
            div.wide tabindex="0" role="region" aria-label=(say("rights-found")) { table {
                thead { tr {
                    th scope="col" { (say("rights-time")) } th scope="col" { (say("rights-place")) } th scope="col" { (say("rights-kind")) }
                    th scope="col" { (say("rights-seconds")) } th scope="col" { (say("rights-state")) } th scope="col" { (say("rights-look")) }
                } }
                tbody { @for one in found.iter().take(MOST_FOUND) { (row(city, person, &say, case.id, one)) } }
            } }
        }
        details {
            summary { (say("rights-search-again")) }
            form method="post" action=(person.to(&format!("rights/{id}"))) {
                (token_field(person))
                (fields(&say, &typed, &places))
                p.actions { button { (say("rights-search")) } }
            }
        }
        h2 { (say("rights-close")) }
        p.soft { (say("rights-close-about")) }
        form method="post" action=(person.to(&format!("rights/{id}/close"))) {
            (token_field(person))
            label for="outcome" { (say("rights-outcome")) }
            select id="outcome" name="outcome" required {
                option value="" { (say("rights-choose")) }
                @for outcome in OUTCOMES { option value=(outcome) { (said_outcome(&say, Some(outcome))) } }
            }
            p.actions { button.danger { (say("rights-close")) } }
        }
    };
    let page = staff_page(city, person, &title, &body);
    Ok((status, Html(page.into_string())).into_response())
}

fn kind_of(say: &dyn Fn(&str) -> String, one: &Found) -> String {
    say(match one.kind.as_str() {
        "audio" => "rights-kind-spoken",
        "text" => "rights-kind-written",
        _ => "rights-kind-vote",
    })
}

fn state_of(say: &dyn Fn(&str) -> String, one: &Found) -> String {
    match one.kind.as_str() {
        "choice" => String::new(),
        _ => say(match one.state.as_str() {
            "published" => "rights-class-published",
            "heard" => "rights-class-heard",
            "rejected" => "rights-class-rejected",
            _ => "rights-class-waiting",
        }),
    }
}

fn row(
    city: &City,
    person: &Person,
    say: &dyn Fn(&str) -> String,
    case: i64,
    one: &Found,
) -> Markup {
    let at = local(city, &one.said_at);
    let place = one.place.as_deref().or(one.booth.as_deref());
    html! { tr {
        td { (at) }
        td { bdi { (place.unwrap_or(&one.source)) } }
        td { (kind_of(say, one)) }
        td { @if one.duration_ms > 0 { (one.duration_ms.div_ceil(1_000)) } }
        td { (state_of(say, one)) }
        td { a href=(person.to(&format!("rights/{case}/message/{}", one.id))) aria-label=(format!("{} {at}", say("rights-look"))) { (say("rights-look")) } }
    } }
}

async fn elsewhere(
    State(city): State<Arc<City>>,
    person: Person,
    Path(id): Path<i64>,
    Form(typed): Form<Typed>,
) -> Result<Response, Fault> {
    person.must(Right::Search, None)?;
    let who = person.clone();
    let searched = city
        .aside(move |city| super::search_elsewhere(city, &who, id, &typed.opening()))
        .await;
    match searched {
        Ok(()) => Ok(see_other(&format!("{id}"))),
        Err(CityError::Refused(why)) => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            let note = refused(&city, &person, &why);
            case_page(&city, &person, id, status, note).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn close(
    State(city): State<Arc<City>>,
    person: Person,
    Path(id): Path<i64>,
    Form(typed): Form<Typed>,
) -> Result<Response, Fault> {
    person.must(Right::Search, None)?;
    let who = person.clone();
    city.aside(move |city| super::close(city, &who, id, &typed.outcome))
        .await?;
    Ok(see_other("../../rights"))
}

async fn message(
    State(city): State<Arc<City>>,
    person: Person,
    Path((case, id)): Path<(i64, String)>,
) -> Result<Html<String>, Fault> {
    person.must(Right::Search, None)?;
    let (who, wanted) = (person.clone(), id.clone());
    let (case, found, kept, written) = city
        .aside(move |city| {
            let (case, found) = super::within(city, case, &wanted)?;
            super::did(city, &who, "read for a case", case.id, &wanted)?;
            let kept = city.store.read(|db| taking::kept(db, &wanted))?;
            let written = match found.kind.as_str() {
                "text" => Some(city.centre.text(&super::clip(&wanted))?),
                _ => None,
            };
            Ok((case, found, kept, written))
        })
        .await?;
    let kept = kept.ok_or_else(Fault::not_here)?;
    let language = person.here.language.as_str();
    let say = |name: &str| city.words.say(language, name);
    let to = |what: &str| person.to(&format!("rights/{}/{what}/{id}", case.id));
    let place = found.place.as_deref().or(found.booth.as_deref());
    let words = [
        ("rights-written", written.as_ref()),
        ("rights-transcript", kept.transcript.as_ref()),
        ("rights-translation", kept.translation.as_ref()),
        ("rights-draft", kept.draft.as_ref()),
    ];
    let title = format!(
        "{}: {}",
        say("rights-message"),
        local(&city, &found.said_at)
    );
    let body = html! {
        p { a href=(person.to(&format!("rights/{}", case.id))) { (say("rights-case")) " " (case.id) } }
        h1 { (title) }
        p { bdi { (place.unwrap_or(&found.source)) } " · " (kind_of(&say, &found)) " · " (state_of(&say, &found)) }
        p.soft { (say("rights-is-logged")) }
        @if found.kind == "audio" { p { audio controls preload="none" src=(to("sound")) {} } }
        @for (name, text) in words {
            @if let Some(text) = text.filter(|text| !text.trim().is_empty()) { h2 { (say(name)) } blockquote dir="auto" { (text) } }
        }
        h2 { (say("rights-facts")) }
        details { summary { (say("rights-facts")) } table { tbody { @for (name, value) in &kept.facts { tr {
            th scope="row" { code { (name) } } td { bdi { (value.as_str().map_or_else(|| value.to_string(), str::to_owned)) } }
        } } } } }
        h2 { (say("rights-access")) }
        p.soft { (say("rights-access-about")) }
        form method="post" action=(to("export")) { (token_field(&person)) p.actions { button { (say("rights-export")) } } }
        h2 { (say("rights-correct")) }
        p { (say("rights-correct-about")) }
        h2 { (say("rights-delete")) }
        p.soft { (say("rights-delete-about")) }
        form method="post" action=(to("delete")) {
            (token_field(&person))
            label { input type="checkbox" name="sure" value="yes" required; (say("rights-delete-sure")) }
            p.actions { button.danger { (say("rights-delete")) } }
        }
    };
    Ok(Html(
        staff_page(&city, &person, &title, &body).into_string(),
    ))
}

async fn heard(
    State(city): State<Arc<City>>,
    person: Person,
    Path((case, id)): Path<(i64, String)>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    person.must(Right::Search, None)?;
    // A player that seeks asks for parts of what it began to play: one act for one listening.
    let range = headers.get(header::RANGE).map(|range| range.as_bytes());
    let is_beginning = range.is_none_or(|range| range.starts_with(b"bytes=0-"));
    let ogg = city
        .aside(move |city| {
            let (case, _) = super::within(city, case, &id)?;
            let ogg = city.centre.sound(&super::clip(&id))?;
            if is_beginning || !super::is_noted(city, case.id, &id)? {
                super::did(city, &person, "heard for a case", case.id, &id)?;
            }
            Ok(ogg)
        })
        .await?;
    let epoch = jiff::Timestamp::UNIX_EPOCH;
    Ok(sound::answer(ogg, epoch, &method, &headers))
}

async fn export(
    State(city): State<Arc<City>>,
    person: Person,
    Path((case, id)): Path<(i64, String)>,
) -> Result<Response, Fault> {
    person.must(Right::Search, None)?;
    let zip = city
        .aside(move |city| {
            let zip = taking::zip(city, case, &id)?;
            super::did(city, &person, "exported for a case", case, &id)?;
            Ok(zip)
        })
        .await?;
    let name = format!("attachment; filename=\"case-{case}.zip\"");
    let headers = [
        (header::CONTENT_TYPE, "application/zip".to_owned()),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((headers, zip).into_response())
}

async fn delete(
    State(city): State<Arc<City>>,
    person: Person,
    Path((case, id)): Path<(i64, String)>,
    Form(typed): Form<Typed>,
) -> Result<Response, Fault> {
    person.must(Right::Search, None)?;
    if typed.sure != "yes" {
        return Err(CityError::from(sentence!("rights-not-sure")).into());
    }
    city.aside(move |city| super::delete(city, &person, case, &id))
        .await?;
    Ok(see_other(&format!("../../{case}?done=deleted")))
}
