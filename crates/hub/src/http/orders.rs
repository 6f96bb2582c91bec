//! The forms with which an operator tells a booth what to do.
//!
//! Owns: `POST /booth/{id}/order` and the text that is to be signed. Each command stands in the log of acts, with who sent it. Never does: wait
//! for the answer; it comes as an event of the booth.

use std::sync::Arc;

use axum::Form;
use axum::extract::{Extension, Path, Query};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use booth_city::City;
use booth_city::people::{Person, Right};
use booth_contract::BoothId;
use booth_host::clock;

use super::{Pairs, missing, plain};
use crate::orders::{Orders, order_of, text_to_sign};

pub(super) async fn send(
    Path(id): Path<String>,
    uri: Uri,
    orders: Option<Extension<Orders>>,
    city: Option<Extension<Arc<City>>>,
    person: Option<Extension<Person>>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Response {
    let (Some(Extension(orders)), Some(Extension(city)), Some(Extension(person))) =
        (orders, city, person)
    else {
        let why = "Commands need a login. Make an account on the command line: booth-hub people add --help.";
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
    let Ok(booth) = BoothId::parse(&id) else {
        return missing(&uri, "There is no such booth.");
    };
    let given = order_of(&booth, &fields).and_then(|order| {
        let command = order.command;
        orders.give(order).map(|()| command)
    });
    match given {
        Err(why) => plain(
            StatusCode::UNPROCESSABLE_ENTITY,
            &uri,
            "Not sent",
            &why.to_string(),
        ),
        Ok(command) => {
            let about = format!("{command} to {booth}");
            let noted =
                booth_host::crew::aside("orders", move || city.note_order(&person, &about)).await;
            if let Ok(Err(error)) = noted {
                log::error!("a command was sent, and the log of acts does not say so: {error}");
            }
            Redirect::to(&format!("../{booth}?sent={command}")).into_response()
        }
    }
}

/// The text for the city's secret key, as a file.
pub(super) async fn to_sign(Path(id): Path<String>, uri: Uri, Query(query): Pairs) -> Response {
    let value = |name: &str| {
        let found = query.iter().find(|(own, _)| own == name);
        found.map_or("", |(_, value)| value.trim())
    };
    let command = value("command");
    if !["reboot", "purge"].contains(&command)
        || (command == "purge" && value("clip_id").is_empty())
    {
        let why = "reboot needs nothing more, purge the id of a clip. What recipients needs is in docs/commands.md.";
        return plain(StatusCode::BAD_REQUEST, &uri, "Not understood", why);
    }
    let Ok(booth) = BoothId::parse(&id) else {
        return missing(&uri, "There is no such booth.");
    };
    #[allow(clippy::disallowed_methods)] // a nonce is chance
    let nonce = uuid::Uuid::new_v4().to_string();
    let text = text_to_sign(&booth, command, &nonce, value("clip_id"), clock::wall());
    let fields = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"body.json\"".to_owned(),
        ),
    ];
    (fields, text.to_string()).into_response()
}
