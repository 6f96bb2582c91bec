//! The button that stops a question at all booths, and the one that gives it back.
//!
//! Owns: `/questions` and its confirmation. Each press stands in the log of acts. Never does: send anything; what is pressed is durable when
//! the answer comes, and the hub sends it.

use std::sync::Arc;

use axum::Form;
use axum::extract::{Extension, Query, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use booth_city::people::Person;
use booth_city::web;
use booth_host::crew;
use maud::Markup;

use super::{Operator, POLICY_WITH_FORM, Pairs, Reader, Store, broken, missing};
use crate::campaign::stops::{self, Asked, Wish};
use crate::config::HubConfig;
use crate::pages::{self, Asking, Head};

/// What the hub is configured to, for what is pressed here.
pub(super) type Hub = Option<Extension<Arc<HubConfig>>>;

pub(super) async fn page(
    State(store): State<Store>,
    Reader(head): Reader,
    hub: Hub,
    uri: Uri,
    Query(query): Pairs,
) -> Response {
    let is_done = query.iter().any(|(name, _)| name == "done");
    match all(store, hub).await {
        Some(all) => Html(pages::questions(&head, &all, is_done).into_string()).into_response(),
        None => broken(&uri),
    }
}

/// Every question; `None` where the register or the store does not answer, which is in the log.
async fn all(store: Store, hub: Hub) -> Option<Vec<Asked>> {
    let Extension(hub) = hub?;
    let fleet = store.clone().fleet().await?;
    let asked = store.ask(move |_| stops::all(&hub.store.dir, &fleet));
    match asked.await.ok()? {
        Ok(all) => Some(all),
        Err(why) => {
            log::error!("{why}");
            None
        }
    }
}

async fn one(store: Store, hub: Hub, fields: &[(String, String)]) -> Option<Asked> {
    let (campaign, question) = (
        web::value(fields, "campaign"),
        web::value(fields, "question"),
    );
    let mut all = all(store, hub).await?.into_iter();
    all.find(|asked| asked.campaign == campaign && asked.question == question)
}

fn shown(status: StatusCode, page: Markup) -> Response {
    let policy = [(header::CONTENT_SECURITY_POLICY, POLICY_WITH_FORM.clone())];
    (status, policy, Html(page.into_string())).into_response()
}

fn asking(person: &Person) -> Asking {
    Asking {
        form_token: person.here.form_token.clone(),
        sent: None,
    }
}

/// Asks once whether it is meant.
pub(super) async fn confirm(
    State(store): State<Store>,
    Reader(head): Reader,
    Operator { person, .. }: Operator,
    hub: Hub,
    uri: Uri,
    Query(query): Pairs,
) -> Response {
    match one(store, hub, &query).await {
        Some(asked) => shown(
            StatusCode::OK,
            pages::change(&head, &asked, &asking(&person), None),
        ),
        None => missing(&uri, "There is no such question."),
    }
}

/// Does it.
pub(super) async fn press(
    State(store): State<Store>,
    Reader(head): Reader,
    Operator { city, person }: Operator,
    hub: Hub,
    uri: Uri,
    Form(fields): Form<Vec<(String, String)>>,
) -> Response {
    let Some(asked) = one(store.clone(), hub.clone(), &fields).await else {
        return missing(&uri, "There is no such question.");
    };
    let Some(Extension(hub)) = hub else {
        return broken(&uri);
    };
    // What the form said, and not what has become of the question meanwhile: two presses stop it once.
    let why = match web::value(&fields, "do") {
        "stop" => Some(web::value(&fields, "why").to_owned()),
        "resume" => None,
        _ => return missing(&uri, "There is nothing like that to be done."),
    };
    let (token, own) = (asking(&person), asked.clone());
    let again = (store.clone(), Some(Extension(hub.clone())));
    let pressed = crew::aside("questions", move || {
        let wish = Wish {
            campaign: &own.campaign,
            question: &own.question,
            by: &person.shown_name,
            why: why.as_deref(),
        };
        let unsigned = stops::press(&hub, wish)?;
        if let Err(error) = city.note_stop(&person, wish.act()) {
            log::error!(
                "{}/{}: the log of acts does not say what was done: {error}",
                wish.campaign,
                wish.question
            );
        }
        Ok::<_, crate::campaign::CampaignError>(unsigned)
    });
    match pressed.await {
        Ok(Ok(unsigned)) if unsigned.is_empty() => {
            Redirect::to("../questions?done").into_response()
        }
        Ok(Ok(unsigned)) => {
            let (store, hub) = again;
            let now = one(store, hub, &fields).await.unwrap_or(asked);
            let why = format!(
                "It is done, but not yet at {}: what is asked there holds the notice or the emergency prompt, which booths take only with the \
                 city's signature. Have it signed, and publish again: booth-hub campaign publish --to-sign FILE (docs/campaigns.md).",
                unsigned.join(", ")
            );
            shown(StatusCode::OK, change_refused(&head, &now, &token, &why))
        }
        Ok(Err(why)) => shown(
            StatusCode::UNPROCESSABLE_ENTITY,
            change_refused(&head, &asked, &token, &why.to_string()),
        ),
        Err(_) => broken(&uri),
    }
}

fn change_refused(head: &Head, asked: &Asked, asking: &Asking, why: &str) -> Markup {
    pages::change(head, asked, asking, Some(why))
}
