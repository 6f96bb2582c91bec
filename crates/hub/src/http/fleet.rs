//! The fleet's page with its table for machines, and the page of one booth.
//!
//! Owns: what these pages are given beside the store: where the booths stand, what the centre wants of one. Never does: change anything.

use std::sync::Arc;

use axum::extract::{Extension, FromRequestParts, Path, Query, State};
use axum::http::request::Parts;
use axum::http::{Uri, header};
use axum::response::{Html, IntoResponse, Response};
use booth_city::City;
use booth_city::people::Person;

use super::{POLICY_WITH_FORM, Pairs, Reader, Store, broken, missing};
use crate::campaign;
use crate::config::HubConfig;
use crate::pages::{self, Asking, Base, Chosen};
use crate::rollout::Rollouts;

/// It loads itself anew only where its reader asked for that: a page that changes under a screen reader cannot be read (WCAG 2.2.1).
pub(super) async fn operations(
    State(store): State<Store>,
    Reader(head): Reader,
    uri: Uri,
    city: Option<Extension<Arc<City>>>,
    Query(query): Pairs,
) -> Response {
    let chosen = Chosen::read(&query);
    let asked = store.ask(move |views| {
        let whereabouts = city.map(|Extension(city)| city.whereabouts()).transpose();
        let whereabouts = whereabouts.unwrap_or_else(|error| {
            log::error!("the map of the booths: {error}");
            None
        });
        (views.fleet(), whereabouts)
    });
    // A database that does not answer is no fleet without booths.
    let asked = asked.await.ok().filter(|(view, _)| !view.is_unknown);
    let Some((view, whereabouts)) = asked else {
        return broken(&uri);
    };
    let page = pages::operations(&head, &view, whereabouts.as_ref(), &chosen).into_string();
    let again = chosen
        .reloads
        .then(|| [(header::REFRESH, pages::RELOAD_S.to_string())]);
    let policy = [(header::CONTENT_SECURITY_POLICY, POLICY_WITH_FORM.clone())];
    (again, policy, Html(page)).into_response()
}

pub(super) async fn csv(State(store): State<Store>, uri: Uri) -> Response {
    let table = store.ask(|views| {
        let fleet = views.fleet();
        (!fleet.is_unknown).then(|| pages::fleet_csv(&fleet))
    });
    match table.await {
        Ok(Some(Ok(table))) => {
            let fields = [
                (
                    header::CONTENT_TYPE,
                    "text/csv; charset=utf-8; header=present",
                ),
                (
                    header::CONTENT_DISPOSITION,
                    "attachment; filename=\"fleet.csv\"",
                ),
            ];
            (fields, table).into_response()
        }
        _ => broken(&uri),
    }
}

/// What the centre wants of a booth; `None` where that is not known: the hub does not run, or its register cannot be read, which the log says.
fn wants_of(booth: &str, beside: &Beside) -> Option<pages::Wants> {
    let hub = beside.hub.as_deref()?;
    let configuration = campaign::wanted_of(&hub.store.dir, booth);
    let configuration = configuration.inspect_err(|why| log::error!("{why}")).ok()?;
    let rollouts = beside.rollouts.as_deref();
    let rollout = rollouts.and_then(Rollouts::now);
    let program = rollout.and_then(|rollout| {
        let mut booths = rollout.booths.into_iter();
        let progress = booths.find(|progress| progress.booth == booth)?;
        Some((rollout.version, progress))
    });
    Some(pages::Wants {
        configuration,
        program,
    })
}

/// What a running hub has beside its store.
pub(super) struct Beside {
    hub: Option<Arc<HubConfig>>,
    rollouts: Option<Arc<Rollouts>>,
}

impl<S: Send + Sync> FromRequestParts<S> for Beside {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self {
            hub: parts.extensions.get().cloned(),
            rollouts: parts.extensions.get().cloned(),
        })
    }
}

pub(super) async fn booth(
    State(store): State<Store>,
    Reader(head): Reader,
    Path(id): Path<String>,
    uri: Uri,
    person: Option<Extension<Person>>,
    beside: Beside,
    Query(query): Pairs,
) -> Response {
    let sent = query.iter().find(|(name, _)| name == "sent");
    let sent = sent.map(|(_, command)| command.clone());
    let asked = store.ask(move |views| {
        let view = views.booth(&id)?;
        let wants = wants_of(&id, &beside);
        Some((view, wants))
    });
    match asked.await {
        Ok(Some((view, wants))) => {
            let asking = person.map(|Extension(person)| Asking {
                form_token: person.here.form_token,
                sent,
            });
            let base = Base::of(uri.path());
            let page = pages::booth(&head, base, &view, wants.as_ref(), asking.as_ref());
            let policy = [(header::CONTENT_SECURITY_POLICY, POLICY_WITH_FORM.clone())];
            (policy, Html(page.into_string())).into_response()
        }
        Ok(None) => missing(&uri, "No such booth is expected or was ever heard."),
        Err(_) => broken(&uri),
    }
}
