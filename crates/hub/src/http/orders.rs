//! The forms with which an operator tells a booth what to do.
//!
//! Owns: `POST /booth/{id}/order` and the text that is to be signed. Each command stands in the log of acts, with who sent it, before it is
//! sent: nothing is commanded unseen. Never does: wait for the answer; it comes as an event of the booth.

use axum::Form;
use axum::extract::{Extension, Path, Query};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use booth_city::web;
use booth_contract::BoothId;
use booth_host::{clock, crew};

use super::{Operator, Pairs, broken, missing, plain};
use crate::orders::{NotSent, Orders, order_of, text_to_sign};

pub(super) async fn send(
    Operator { city, person }: Operator,
    Extension(orders): Extension<Orders>,
    Path(id): Path<String>,
    uri: Uri,
    Form(fields): Form<Vec<(String, String)>>,
) -> Response {
    let Ok(booth) = BoothId::parse(&id) else {
        return missing(&uri, "There is no such booth.");
    };
    let not_sent = |why: NotSent| {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        plain(status, &uri, "Not sent", &why.to_string())
    };
    let order = order_of(&booth, &fields).and_then(|order| orders.are_taken().map(|()| order));
    let order = match order {
        Ok(order) => order,
        Err(why) => return not_sent(why),
    };
    let command = order.command;
    let about = format!("{command} to {booth}");
    let noted = crew::aside("orders", move || city.note_order(&person, &about)).await;
    match noted {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            log::error!("a command is not sent, because the log of acts does not take it: {error}");
            return broken(&uri);
        }
        Err(_) => return broken(&uri),
    }
    match orders.give(order) {
        Ok(()) => Redirect::to(&format!("../{booth}?sent={command}")).into_response(),
        Err(why) => not_sent(why),
    }
}

/// The text for the city's secret key, as a file.
pub(super) async fn to_sign(Path(id): Path<String>, uri: Uri, Query(query): Pairs) -> Response {
    let value = |name: &str| web::value(&query, name);
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
