//! `/{lang}/withdraw`: a citizen takes a message back by its receipt, wherever it was left.
//!
//! Owns: the page. Never does: tell whether there is such a message. How often somebody may try is the hub's to say, for its own page and
//! this one together.

use std::sync::Arc;

use axum::Form;
use axum::extract::{FromRequest, Request, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;

use crate::City;
use crate::centre::Withdrawal;
use crate::sentence;
use crate::web::peer::visitor;
use crate::web::{Citizen, Fault, citizens_page};

/// What was typed.
#[derive(Deserialize)]
struct Typed {
    #[serde(default)]
    receipt: String,
}

/// `GET /{lang}/withdraw`
pub(super) async fn page(State(city): State<Arc<City>>, citizen: Citizen) -> Response {
    Html(draw(&city, &citizen, None).into_string()).into_response()
}

/// `POST /{lang}/withdraw`
pub(super) async fn typed(
    State(city): State<Arc<City>>,
    citizen: Citizen,
    request: Request,
) -> Result<Response, Fault> {
    let from = visitor(request.extensions(), request.headers());
    let request = request.map(crate::web::patient);
    let Ok(Form(Typed { receipt })) = Form::from_request(request, &()).await else {
        return Err(Fault::new(
            StatusCode::BAD_REQUEST,
            sentence!("home-unread"),
        ));
    };
    let receipt: String = receipt.chars().take(64).collect();
    let became = city
        .aside(move |city| Ok(city.centre.withdraw(from, &receipt)?))
        .await?;
    let (status, told) = match became {
        Withdrawal::Noted => (StatusCode::OK, "withdraw-noted"),
        Withdrawal::NoReceipt => (StatusCode::UNPROCESSABLE_ENTITY, "withdraw-no-receipt"),
        Withdrawal::TooMany => (StatusCode::TOO_MANY_REQUESTS, "withdraw-too-many"),
    };
    let page = draw(&city, &citizen, Some((told, status.is_success())));
    Ok((status, Html(page.into_string())).into_response())
}

fn draw(city: &City, citizen: &Citizen, told: Option<(&str, bool)>) -> Markup {
    let say = |name: &str| city.words.say(&citizen.language, name);
    let title = say("withdraw-title");
    let body = html! {
        link rel="stylesheet" href=(citizen.to("answer.css"));
        h1 { (title) }
        @if let Some((told, is_good)) = told {
            p class=(if is_good { "told good" } else { "told bad" }) role=(if is_good { "status" } else { "alert" }) { (say(told)) }
        }
        @if told.is_none_or(|(_, is_good)| !is_good) {
            p class="text" { (say("withdraw-lead")) }
            form method="post" action="withdraw" {
                label for="receipt" { (say("withdraw-receipt")) }
                input id="receipt" name="receipt" class="digits" inputmode="numeric" autocomplete="off" spellcheck="false" required
                    maxlength="40" dir="ltr" aria-describedby="receipt-how";
                p id="receipt-how" class="soft text" { (say("withdraw-how")) }
                p { button { (say("withdraw-do")) } }
            }
        } @else {
            p { a href=(citizen.here("withdraw")) { (say("withdraw-another")) } }
        }
        p class="soft text" { (say("withdraw-without")) @if !city.config.contact.is_empty() { " " bdi { (city.config.contact) } } }
    };
    citizens_page(city, citizen, &title, &body)
}
