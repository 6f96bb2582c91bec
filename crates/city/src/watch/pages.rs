//! The page of what is wrong: open alerts, who has taken them on, pauses, and what is over.
//!
//! Owns: the addresses below `/watch`, and how an alert reads in a reader's language. A booth's own alerts read as the contract has them, in
//! English. Never does: end an alert; it is over when it is no longer seen.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use booth_contract::AlertId;
use booth_contract::time::rfc3339;
use booth_database::{Connection, params};
use booth_host::clock;
use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use super::KINDS;
use crate::City;
use crate::people::{Person, Right};
use crate::sentence;
use crate::store::{Act, CityError};
use crate::web::{Fault, get, post, staff_page, token_field, value};

/// Alerts that are over and shown.
const SHOWN_OVER: i64 = 100;
/// Most open alerts that are shown, the worst first.
const SHOWN_OPEN: i64 = 500;
/// Longest note, and longest name of whoever is to look after an alert, in characters.
const LONGEST: usize = 500;
/// How long an alert can be put off, hours: the texts are `watch-hours`.
const SNOOZES: [i64; 5] = [1, 4, 12, 24, 168];
/// How long a booth can be paused, hours.
const PAUSES: [i64; 6] = [2, 8, 24, 72, 168, 720];

/// The pages for staff.
pub(crate) fn routes() -> Router<Arc<City>> {
    Router::new()
        .route("/watch", get(show))
        .route("/watch/pause", post(pause))
        .route("/watch/alert/{id}", post(change))
}

/// An alert's first words: where it is, and what.
pub(super) fn headline(city: &City, language: &str, subject: &str, kind: &str) -> String {
    let what = match AlertId::parse(kind) {
        Some(id) => id.meaning().trim_end_matches('.').to_owned(),
        None if KINDS.contains(&kind) => city.words.say(language, &format!("watch-title-{kind}")),
        None => kind.to_owned(),
    };
    match subject.is_empty() {
        true => format!("{}: {what}", city.words.say(language, "watch-hub")),
        false => format!("{subject}: {what}"),
    }
}

/// What is to be said of it.
pub(super) fn sentence(
    city: &City,
    language: &str,
    kind: &str,
    text: &str,
    since: Option<Timestamp>,
    number: i64,
) -> String {
    if !KINDS.contains(&kind) {
        return text.to_owned();
    }
    let since = since.map_or_else(|| "–".to_owned(), |at| local(city, at));
    let gaps = [
        ("since", since.into()),
        ("n", number.into()),
        ("text", text.into()),
    ];
    city.words
        .say_with(language, &format!("watch-is-{kind}"), &gaps)
}

/// What to do about it.
pub(super) fn remedy(city: &City, language: &str, kind: &str) -> String {
    match AlertId::parse(kind) {
        Some(id) => id.remedy().to_owned(),
        None if KINDS.contains(&kind) => city.words.say(language, &format!("watch-do-{kind}")),
        None => String::new(),
    }
}

fn local(city: &City, at: Timestamp) -> String {
    let local = at.to_zoned_datetime(city.zone.clone());
    local.strftime("%Y-%m-%d %H:%M").to_string()
}

struct Alert {
    id: i64,
    subject: String,
    kind: String,
    severity: String,
    text: String,
    since: Option<Timestamp>,
    number: i64,
    raised_at: Option<Timestamp>,
    over_at: Option<Timestamp>,
    taken: Option<(String, Option<Timestamp>)>,
    assigned_to: String,
    note: String,
    snoozed_until: Option<Timestamp>,
    /// Who was told, and by which way; what is being tried.
    told: String,
}

fn alerts(db: &Connection, condition: &str, limit: i64) -> booth_database::Result<Vec<Alert>> {
    let mut statement = db.prepare_cached(&format!(
        "SELECT id, subject, kind, severity, text, since, number, raised_at, over_at, taken_by, taken_at, assigned_to, note, snoozed_until,
           (SELECT coalesce(group_concat(duty || CASE WHEN sent_at IS NULL THEN ' …' ELSE '' END, ', '), '') FROM watch_notice
            WHERE watch = watch.id AND is_over = 0)
         FROM watch WHERE raised_at IS NOT NULL AND {condition} LIMIT ?1"
    ))?;
    let at = |text: Option<String>| text.and_then(|text| text.parse().ok());
    let rows = statement.query_map([limit], |row| {
        let taken_by: Option<String> = row.get(9)?;
        let taken_at = at(row.get(10)?);
        Ok(Alert {
            id: row.get(0)?,
            subject: row.get(1)?,
            kind: row.get(2)?,
            severity: row.get(3)?,
            text: row.get(4)?,
            since: at(row.get(5)?),
            number: row.get(6)?,
            raised_at: at(row.get(7)?),
            over_at: at(row.get(8)?),
            taken: taken_by.map(|by| (by, taken_at)),
            assigned_to: row.get(11)?,
            note: row.get(12)?,
            snoozed_until: at(row.get(13)?),
            told: row.get(14)?,
        })
    })?;
    rows.collect()
}

/// A booth that is paused: until when, why, and who said so.
type Pause = (String, String, String, String);

fn pauses(db: &Connection, now: Timestamp) -> booth_database::Result<Vec<Pause>> {
    let mut statement = db.prepare_cached(
        "SELECT booth_id, until, why, by FROM watch_pause WHERE until > ?1 ORDER BY booth_id",
    )?;
    let rows = statement.query_map([rfc3339(now)], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    })?;
    rows.collect()
}

async fn show(State(city): State<Arc<City>>, person: Person) -> Result<Response, Fault> {
    person.must(Right::Operate, None)?;
    let found = city.aside(|city| {
        let now = clock::wall();
        let booths = city.centre.booths()?;
        let found = city.store.read(|db| {
            let open = alerts(
                db,
                "over_at IS NULL ORDER BY severity, raised_at",
                SHOWN_OPEN,
            )?;
            let over = alerts(db, "over_at IS NOT NULL ORDER BY over_at DESC", SHOWN_OVER)?;
            Ok((open, over, pauses(db, now)?))
        })?;
        Ok((found, booths, now))
    });
    let ((open, over, paused), booths, now) = found.await?;
    let language = person.here.language.as_str();
    let say = |name: &str| city.words.say(language, name);
    let title = say("watch-title");
    let body = html! {
        h1 { (title) }
        p { (city.words.say_with(language, "watch-open", &[("n", open.len().into())])) }
        @if city.config.watch.duty.is_empty() { p.note { (say("watch-nobody")) } }
        @for alert in &open { (card(&city, &person, alert, now)) }
        h2 { (say("watch-pauses")) }
        p { (say("watch-pauses-explained")) }
        @if !paused.is_empty() {
            ul { @for (booth, until, why, by) in &paused {
                li {
                    form.row method="post" action=(person.here.to("watch/pause")) {
                        (token_field(&person))
                        input type="hidden" name="booth" value=(booth);
                        strong { (booth) } " · " (say("watch-until")) " " (until.parse().map_or_else(|_| until.clone(), |at| local(&city, at))) " · "
                        bdi { (why) } " · " bdi { (by) } " "
                        button name="hours" value="0" { (say("watch-pause-ends")) }
                    }
                }
            } }
        }
        form method="post" action=(person.here.to("watch/pause")) {
            (token_field(&person))
            p { label for="booth" { (say("watch-booth")) } " "
                select #booth name="booth" { @for booth in &booths { option value=(booth.id) { (booth.id) @if !booth.name.is_empty() { " · " (booth.name) } } } } }
            p { label for="hours" { (say("watch-how-long")) } " " (hours(&city, language, "hours", &PAUSES)) }
            p { label for="why" { (say("watch-why")) } " " input #why type="text" name="why" maxlength=(LONGEST) dir="auto"; }
            p { button { (say("watch-pause")) } }
        }
        h2 { (say("watch-over")) }
        @if over.is_empty() { p { (say("watch-none-over")) } }
        @else {
            div.wide { table {
                thead { tr { th { (say("watch-what")) } th { (say("watch-raised")) } th { (say("watch-ended")) } th { (say("watch-note")) } } }
                tbody { @for alert in &over { tr {
                    td { (headline(&city, language, &alert.subject, &alert.kind)) }
                    td { (alert.raised_at.map_or_else(String::new, |at| local(&city, at))) }
                    td { (alert.over_at.map_or_else(String::new, |at| local(&city, at))) }
                    td { bdi { (alert.note) } @if let Some((by, _)) = &alert.taken { " · " bdi { (by) } } }
                } } }
            } }
        }
    };
    Ok(Html(staff_page(&city, &person, &title, &body).into_string()).into_response())
}

fn hours(city: &City, language: &str, id: &str, choices: &[i64]) -> Markup {
    html! {
        select id=(id) name="hours" {
            @for hours in choices { option value=(hours) { (city.words.say_with(language, "watch-hours", &[("n", (*hours).into())])) } }
        }
    }
}

/// One open alert with what can be done about it.
fn card(city: &City, person: &Person, alert: &Alert, now: Timestamp) -> Markup {
    let language = person.here.language.as_str();
    let say = |name: &str| city.words.say(language, name);
    let severity = alert
        .severity
        .split_once(' ')
        .map_or("watch", |(_, word)| word);
    let own = KINDS.contains(&alert.kind.as_str());
    let of_text = (!own).then_some("en");
    html! {
        section.card id=(format!("alert-{}", alert.id)) {
            h2 lang=[of_text] { (headline(city, language, &alert.subject, &alert.kind)) }
            p { strong { (say(&format!("watch-severity-{severity}"))) }
                @if let Some(at) = alert.raised_at { " · " (say("watch-raised")) " " (local(city, at)) } }
            p lang=[of_text] { (sentence(city, language, &alert.kind, &alert.text, alert.since, alert.number)) }
            p lang=[of_text] { "→ " (remedy(city, language, &alert.kind)) }
            @if !alert.subject.is_empty() { p { a href=(person.here.to(&format!("booth/{}", alert.subject))) { (say("watch-to-booth")) } } }
            p {
                @match &alert.taken {
                    Some((by, at)) => { (say("watch-taken-by")) " " bdi { (by) } @if let Some(at) = at { " · " (local(city, *at)) } }
                    None => { (say("watch-not-taken")) }
                }
                @if let Some(until) = alert.snoozed_until.filter(|until| *until > now) { " · " (say("watch-snoozed")) " " (local(city, until)) }
                @if !alert.told.is_empty() { " · " (say("watch-told")) " " bdi { (alert.told) } }
            }
            form method="post" action=(person.here.to(&format!("watch/alert/{}", alert.id))) {
                (token_field(person))
                @let field = |name: &str| format!("{name}-{}", alert.id);
                p { label for=(field("assigned")) { (say("watch-assigned")) } " "
                    input id=(field("assigned")) type="text" name="assigned" value=(alert.assigned_to) maxlength=(LONGEST) dir="auto"; }
                p { label for=(field("note")) { (say("watch-note")) } " "
                    input id=(field("note")) type="text" name="note" value=(alert.note) maxlength=(LONGEST) dir="auto"; }
                p {
                    button.main name="do" value="keep" { (say("watch-keep")) } " "
                    @match alert.taken.is_none() {
                        true => { button name="do" value="take" { (say("watch-take")) } }
                        false => { button name="do" value="leave" { (say("watch-leave")) } }
                    }
                }
                p { label for=(field("hours")) { (say("watch-snooze-for")) } " " (hours(city, language, &field("hours"), &SNOOZES)) " "
                    button name="do" value="snooze" { (say("watch-snooze")) } }
            }
        }
    }
}

type Fields = Vec<(String, String)>;

async fn change(
    State(city): State<Arc<City>>,
    person: Person,
    Path(id): Path<i64>,
    Form(fields): Form<Fields>,
) -> Result<Response, Fault> {
    person.must(Right::Operate, None)?;
    let asker = person.clone();
    let is_there = city
        .aside(move |city| change_alert(city, &asker, id, &fields))
        .await?;
    match is_there {
        true => Ok(Redirect::to(&person.here.to(&format!("watch#alert-{id}"))).into_response()),
        false => Err(Fault::not_here()),
    }
}

/// Whether the alert is there and open.
fn change_alert(city: &City, asker: &Person, id: i64, fields: &Fields) -> Result<bool, CityError> {
    let now = clock::wall();
    let note = crate::desk::plain(value(fields, "note"), LONGEST);
    let assigned = crate::desk::plain(value(fields, "assigned"), LONGEST);
    let hours: i64 = value(fields, "hours").parse().unwrap_or(0);
    let snooze = SNOOZES
        .contains(&hours)
        .then(|| rfc3339(now + SignedDuration::from_hours(hours)));
    city.store.change_telling(|tx| {
        let there = tx
            .prepare_cached(
                "UPDATE watch SET note = ?2, assigned_to = ?3 WHERE id = ?1 AND over_at IS NULL",
            )?
            .execute(params![id, note, assigned])?;
        if there == 0 {
            return Ok((false, Vec::new()));
        }
        let what = match (value(fields, "do"), snooze) {
            ("take", _) => {
                tx.prepare_cached("UPDATE watch SET taken_by = ?2, taken_at = ?3 WHERE id = ?1")?
                    .execute(params![id, asker.shown_name, rfc3339(now)])?;
                "took an alert on"
            }
            ("leave", _) => {
                tx.prepare_cached(
                    "UPDATE watch SET taken_by = NULL, taken_at = NULL WHERE id = ?1",
                )?
                .execute([id])?;
                "left an alert"
            }
            ("snooze", Some(until)) => {
                tx.prepare_cached("UPDATE watch SET snoozed_until = ?2 WHERE id = ?1")?
                    .execute(params![id, until])?;
                "put an alert off"
            }
            _ => "noted something about an alert",
        };
        Ok((
            true,
            vec![Act::new(asker.actor(), what, format!("alert {id}"))],
        ))
    })
}

async fn pause(
    State(city): State<Arc<City>>,
    person: Person,
    Form(fields): Form<Fields>,
) -> Result<Response, Fault> {
    person.must(Right::Operate, None)?;
    let asker = person.clone();
    let is_known = city.aside(move |city| {
        let now = clock::wall();
        let booth = value(&fields, "booth").to_owned();
        let hours: i64 = value(&fields, "hours").parse().unwrap_or(-1);
        let why = crate::desk::plain(value(&fields, "why"), LONGEST);
        let is_known = city.centre.booths()?.iter().any(|one| one.id == booth);
        if hours == 0 {
            let act = Act::new(asker.actor(), "ended a booth's pause", booth.clone());
            city.store.change(act, |tx| {
                tx.prepare_cached("DELETE FROM watch_pause WHERE booth_id = ?1")?
                    .execute([&booth])?;
                Ok(())
            })?;
            return Ok(true);
        }
        if !is_known || !PAUSES.contains(&hours) {
            return Ok(false);
        }
        let act = Act::new(asker.actor(), "paused a booth's alerts", booth.clone());
        city.store.change(act, |tx| {
            tx.prepare_cached(
                "INSERT INTO watch_pause (booth_id, until, why, by) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET until = excluded.until, why = excluded.why, by = excluded.by",
            )?
            .execute(params![
                booth,
                rfc3339(now + SignedDuration::from_hours(hours)),
                why,
                asker.shown_name
            ])?;
            Ok(())
        })?;
        Ok(true)
    });
    match is_known.await? {
        true => Ok(Redirect::to(&person.here.to("watch")).into_response()),
        false => Err(Fault::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            sentence!("watch-no-booth"),
        )),
    }
}
