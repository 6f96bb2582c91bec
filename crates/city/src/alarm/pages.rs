//! The page of an alarm: who was told, and the button that takes it on.
//!
//! Owns: the addresses below `/desk/alarm`. Never does: show what the message says; the desk does.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use booth_database::{Connection, OptionalExtension};
use jiff::Timestamp;
use maud::html;

use crate::City;
use crate::people::{Person, Right};
use crate::web::{Fault, get, post, staff_page, token_field};

/// The pages for staff.
pub(crate) fn routes() -> Router<Arc<City>> {
    Router::new()
        .route("/desk/alarms", get(show_all))
        .route("/desk/alarm/{id}", get(show).merge(post(take_on)))
}

struct Shown {
    id: i64,
    message: String,
    is_there: bool,
    campaign: Option<String>,
    at: String,
    by: String,
    why: String,
    answered: Option<(String, String)>,
}

struct Notice {
    contact: String,
    way: String,
    tries: i64,
    sent_at: Option<String>,
    fault: Option<String>,
}

const COLUMNS: &str = "a.id, a.message_id, m.id IS NOT NULL, m.campaign_id, a.at, a.by, a.why, a.answered_at, a.answered_by";

fn shown(row: &booth_database::Row<'_>) -> booth_database::Result<Shown> {
    let answered_at: Option<String> = row.get(7)?;
    let answered_by: Option<String> = row.get(8)?;
    Ok(Shown {
        id: row.get(0)?,
        message: row.get(1)?,
        is_there: row.get(2)?,
        campaign: row.get(3)?,
        at: row.get(4)?,
        by: row.get(5)?,
        why: row.get(6)?,
        answered: answered_at.zip(answered_by),
    })
}

fn one(db: &Connection, id: i64) -> booth_database::Result<Option<Shown>> {
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM alarm a LEFT JOIN message m ON m.id = a.message_id WHERE a.id = ?1"
    ))?
    .query_row([id], shown)
    .optional()
}

fn latest(db: &Connection) -> booth_database::Result<Vec<Shown>> {
    let mut statement = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM alarm a LEFT JOIN message m ON m.id = a.message_id
         ORDER BY a.answered_at IS NOT NULL, a.id DESC LIMIT 200"
    ))?;
    statement.query_map([], shown)?.collect()
}

fn notices(db: &Connection, id: i64) -> booth_database::Result<Vec<Notice>> {
    let mut statement = db.prepare_cached(
        "SELECT contact, way, tries, sent_at, fault FROM alarm_notice WHERE alarm = ?1 ORDER BY contact, way",
    )?;
    let rows = statement.query_map([id], |row| {
        Ok(Notice {
            contact: row.get(0)?,
            way: row.get(1)?,
            tries: row.get(2)?,
            sent_at: row.get(3)?,
            fault: row.get(4)?,
        })
    })?;
    rows.collect()
}

/// A message that is gone has no campaign any more; then the right in all of them counts.
fn may_see(person: &Person, alarm: &Shown) -> bool {
    person.may(Right::Listen, alarm.campaign.as_deref())
}

fn local(city: &City, at: &str) -> String {
    let Ok(at) = at.parse::<Timestamp>() else {
        return at.to_owned();
    };
    let local = at.to_zoned_datetime(city.zone.clone());
    local.strftime("%Y-%m-%d %H:%M").to_string()
}

async fn show_all(State(city): State<Arc<City>>, person: Person) -> Result<Response, Fault> {
    person.must_somewhere(Right::Listen)?;
    let all = city.aside(|city| city.store.read(latest)).await?;
    let all: Vec<Shown> = all
        .into_iter()
        .filter(|alarm| may_see(&person, alarm))
        .collect();
    let say = |name: &str| city.words.say(&person.here.language, name);
    let title = say("alarm-all");
    let body = html! {
        h1 { (title) }
        @if all.is_empty() { p { (say("alarm-none")) } }
        ul {
            @for alarm in &all {
                li {
                    a href=(person.here.to(&format!("desk/alarm/{}", alarm.id))) { (local(&city, &alarm.at)) " · " (alarm.by) }
                    " · "
                    @match &alarm.answered {
                        Some((_, by)) => { (say("alarm-answered-by")) " " bdi { (by) } }
                        None => { strong { (say("alarm-open")) } }
                    }
                }
            }
        }
    };
    Ok(Html(staff_page(&city, &person, &title, &body).into_string()).into_response())
}

async fn show(
    State(city): State<Arc<City>>,
    person: Person,
    Path(id): Path<i64>,
) -> Result<Response, Fault> {
    person.must_somewhere(Right::Listen)?;
    let found = city.aside(move |city| {
        city.store
            .read(|db| Ok(one(db, id)?.map(|alarm| (alarm, notices(db, id)))))
    });
    let found = found.await?.filter(|(alarm, _)| may_see(&person, alarm));
    let (alarm, notices) = found.ok_or_else(Fault::not_here)?;
    let notices = notices.map_err(crate::store::CityError::from)?;
    let language = person.here.language.as_str();
    let say = |name: &str| city.words.say(language, name);
    let config = &city.config.alarm;
    let name_of = |contact: &str| {
        let (contact, name) = match contact {
            "first" => (say("alarm-first"), &config.first.name),
            _ => (say("alarm-second"), &config.second.name),
        };
        match name.is_empty() {
            true => contact,
            false => format!("{contact} ({name})"),
        }
    };
    let title = say("alarm-title");
    let body = html! {
        h1 { (title) }
        p { (local(&city, &alarm.at)) " · " (say("alarm-raised-by")) " "
            bdi { @if alarm.by == "word list" { (say("alarm-word-list")) } @else { (alarm.by) } } }
        @if !alarm.why.is_empty() { blockquote dir="auto" { (alarm.why) } }
        p {
            @match alarm.is_there {
                true => { a href=(person.here.to(&format!("desk/message/{}", alarm.message))) { (say("alarm-message")) } }
                false => { (say("alarm-message-gone")) }
            }
        }
        @match &alarm.answered {
            Some((at, by)) => { p.note role="status" { (say("alarm-answered-by")) " " bdi { (by) } " · " (local(&city, at)) } }
            None => {
                form method="post" action=(person.here.to(&format!("desk/alarm/{}", alarm.id))) {
                    (token_field(&person))
                    p { (city.words.say_with(language, "alarm-take-on-explained", &[("minutes", config.wait_minutes.into())])) }
                    button.main { (say("alarm-take-on")) }
                }
            }
        }
        h2 { (say("alarm-told")) }
        @if notices.is_empty() { p.note.bad { (say("alarm-nobody")) } }
        ul {
            @for notice in &notices {
                li {
                    (name_of(&notice.contact)) " · " (say(&format!("alarm-way-{}", notice.way))) " · "
                    @match (&notice.sent_at, &notice.fault) {
                        (Some(at), _) => { (say("alarm-sent")) " " (local(&city, at)) }
                        (None, Some(fault)) => {
                            (city.words.say_with(language, "alarm-tried", &[("n", notice.tries.into())])) " " span lang="en" { (fault) }
                        }
                        (None, None) => { (say("alarm-being-sent")) }
                    }
                }
            }
        }
        p { a href=(person.here.to("desk/alarms")) { (say("alarm-all")) } " · " a href=(person.here.to("desk")) { (say("desk-title")) } }
    };
    Ok(Html(staff_page(&city, &person, &title, &body).into_string()).into_response())
}

async fn take_on(
    State(city): State<Arc<City>>,
    person: Person,
    Path(id): Path<i64>,
) -> Result<Response, Fault> {
    person.must_somewhere(Right::Listen)?;
    let asker = person.clone();
    let is_there = city.aside(move |city| {
        let alarm = city.store.read(|db| one(db, id))?;
        let is_there = alarm.is_some_and(|alarm| may_see(&asker, &alarm));
        if is_there {
            super::answer(city, &asker, id)?;
        }
        Ok(is_there)
    });
    match is_there.await? {
        true => {
            let address = person.here.to(&format!("desk/alarm/{id}"));
            Ok(Redirect::to(&address).into_response())
        }
        false => Err(Fault::not_here()),
    }
}
