//! The forms of a rollout.
//!
//! Owns: `/updates`. What is begun, stopped or goes on stands in the log of acts. Never does: decide who is next.

use std::sync::Arc;

use axum::Form;
use axum::extract::{Extension, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use booth_city::City;
use booth_city::people::Person;
use booth_city::web;
use booth_host::{clock, crew};

use super::{Operator, POLICY_WITH_FORM, Reader, Store, UpdateFiles, broken, plain};
use crate::pages::{self, Asking};
use crate::rollout::{RolloutError, Rollouts};

pub(super) async fn page(
    State(store): State<Store>,
    Reader(head): Reader,
    uri: Uri,
    person: Option<Extension<Person>>,
    rollouts: Option<Extension<Arc<Rollouts>>>,
    files: Option<Extension<Option<UpdateFiles>>>,
) -> Response {
    let Some(view) = store.fleet().await else {
        return broken(&uri);
    };
    // A look holds the rollout while it asks the database: nobody waits for it on the thread of the connections.
    let rollout = crew::aside("updates", move || {
        rollouts.and_then(|Extension(rollouts)| rollouts.now())
    });
    let Ok(rollout) = rollout.await else {
        return broken(&uri);
    };
    let asking = person.map(|Extension(person)| Asking {
        form_token: person.here.form_token,
        sent: None,
    });
    let files = files.and_then(|Extension(files)| files);
    let Ok(files) = crew::aside("updates", move || addresses(files)).await else {
        return broken(&uri);
    };
    let page = pages::updates(&head, &view, rollout.as_ref(), asking.as_ref(), &files);
    let policy = [(header::CONTENT_SECURITY_POLICY, POLICY_WITH_FORM.clone())];
    (policy, Html(page.into_string())).into_response()
}

/// The addresses of the files that this hub sends.
fn addresses(files: Option<UpdateFiles>) -> Vec<String> {
    let Some(files) = files else {
        return Vec::new();
    };
    files.addresses().unwrap_or_else(|error| {
        log::error!(about = "updates"; "[updates] folder cannot be read: {error}");
        Vec::new()
    })
}

pub(super) async fn change(
    Operator { city, person }: Operator,
    Extension(rollouts): Extension<Arc<Rollouts>>,
    uri: Uri,
    Form(fields): Form<Vec<(String, String)>>,
) -> Response {
    let done = crew::aside("updates", move || done(&city, &person, &rollouts, &fields)).await;
    match done {
        Ok(Ok(())) => Redirect::to("updates").into_response(),
        Ok(Err(RolloutError::Not(why))) => {
            plain(StatusCode::UNPROCESSABLE_ENTITY, &uri, "Not done", &why)
        }
        Ok(Err(error)) => {
            log::error!("{error}");
            broken(&uri)
        }
        Err(_) => broken(&uri),
    }
}

fn done(
    city: &City,
    person: &Person,
    rollouts: &Rollouts,
    fields: &[(String, String)],
) -> Result<(), RolloutError> {
    let value = |name: &str| web::value(fields, name);
    let by = person.shown_name.as_str();
    match value("do") {
        "begin" => {
            let booths: Vec<String> = value("booths")
                .split_whitespace()
                .map(str::to_owned)
                .collect();
            let about = format!("rollout of {} from {}", value("version"), value("url"));
            noted_first(city, person, &about, || {
                rollouts.begin(clock::wall(), by, value("version"), value("url"), &booths)
            })
        }
        "go-on" => noted_first(city, person, "the rollout goes on", || rollouts.stop(None)),
        "stop" => {
            // To stop must be possible whatever the log does.
            rollouts.stop(Some(format!("by {by}")))?;
            if let Err(error) = city.note_order(person, "stop of the rollout") {
                log::error!("stop of the rollout: the log of acts does not say so: {error}");
            }
            Ok(())
        }
        other => Err(RolloutError::Not(format!(
            "There is nothing like {other:?} to be done."
        ))),
    }
}

/// What changes booths stands in the log of acts before it begins; without that nothing begins.
fn noted_first(
    city: &City,
    person: &Person,
    about: &str,
    act: impl FnOnce() -> Result<(), RolloutError>,
) -> Result<(), RolloutError> {
    if let Err(error) = city.note_order(person, about) {
        log::error!(about = "updates"; "{about}: the log of acts cannot say so: {error}");
        let why = "Nothing was done, because the log of acts cannot be written: see the hub's log.";
        return Err(RolloutError::Not(why.to_owned()));
    }
    let done = act();
    if done.is_err()
        && let Err(error) = city.note_order(person, &format!("{about}: refused"))
    {
        log::error!(about = "updates"; "{about}: the log of acts does not say that it was refused: {error}");
    }
    done
}
