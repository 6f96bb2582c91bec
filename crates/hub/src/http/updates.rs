//! The forms of a rollout.
//!
//! Owns: `/updates`. What is begun, stopped or goes on stands in the log of acts. Never does: decide who is next.

use std::sync::Arc;

use axum::Form;
use axum::extract::{Extension, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use booth_city::City;
use booth_city::people::{Person, Right};
use booth_host::{clock, crew};

use super::{POLICY_WITH_FORM, Reader, Store, broken, plain};
use crate::pages::{self, Asking};
use crate::rollout::{RolloutError, Rollouts};

pub(super) async fn page(
    State(store): State<Store>,
    Reader(head): Reader,
    uri: Uri,
    person: Option<Extension<Person>>,
    rollouts: Option<Extension<Arc<Rollouts>>>,
) -> Response {
    let Ok(view) = store.ask(|views| views.fleet()).await else {
        return broken(&uri);
    };
    let rollout = rollouts.and_then(|Extension(rollouts)| rollouts.now());
    let asking = person.map(|Extension(person)| Asking {
        form_token: person.here.form_token,
        sent: None,
    });
    let page = pages::updates(&head, &view, rollout.as_ref(), asking.as_ref());
    let policy = [(header::CONTENT_SECURITY_POLICY, POLICY_WITH_FORM.clone())];
    (policy, Html(page.into_string())).into_response()
}

pub(super) async fn change(
    uri: Uri,
    city: Option<Extension<Arc<City>>>,
    person: Option<Extension<Person>>,
    rollouts: Option<Extension<Arc<Rollouts>>>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Response {
    let (Some(Extension(city)), Some(Extension(person)), Some(Extension(rollouts))) =
        (city, person, rollouts)
    else {
        let why = "Updates need a login. Make an account on the command line: booth-hub people add --help.";
        return plain(StatusCode::FORBIDDEN, &uri, "Not without a login", why);
    };
    if !person.may(Right::Operate, None) {
        return plain(
            StatusCode::FORBIDDEN,
            &uri,
            "Not yours",
            "Your account may not look after the booths.",
        );
    }
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
    let value = |name: &str| {
        let found = fields.iter().find(|(own, _)| own == name);
        found.map_or("", |(_, value)| value.trim())
    };
    let by = person.shown_name.as_str();
    let about = match value("do") {
        "begin" => {
            let booths: Vec<String> = value("booths")
                .split_whitespace()
                .map(str::to_owned)
                .collect();
            rollouts.begin(clock::wall(), by, value("version"), value("url"), &booths)?;
            format!("rollout of {} from {}", value("version"), value("url"))
        }
        "stop" => {
            rollouts.stop(Some(format!("by {by}")))?;
            "stop of the rollout".to_owned()
        }
        "go-on" => {
            rollouts.stop(None)?;
            "the rollout goes on".to_owned()
        }
        other => {
            return Err(RolloutError::Not(format!(
                "There is nothing like {other:?} to be done."
            )));
        }
    };
    if let Err(error) = city.note_order(person, &about) {
        log::error!("{about}: the log of acts does not say so: {error}");
    }
    Ok(())
}
