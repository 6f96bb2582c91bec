//! The two doors: citizens' pages on one listener, everything that needs a login on another, so that a firewall can part them.
//!
//! Owns: which room answers which address, and the headers of every answer. Never does: draw a page.
//!
//! Every address in a page is relative to the page's own, so that a reverse proxy may put the pages under a prefix.

mod citizen;
mod door;
#[cfg(test)]
mod every_route;
mod fault;
mod login;
mod method;
pub mod peer;
pub mod range;
mod seen;
pub mod sound;
mod staff;
#[cfg(test)]
mod tests;
mod upload;
pub mod validators;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};

use crate::City;
use crate::sentence;
use door::Door;

use citizen::framed;
pub(crate) use citizen::{
    Citizen, Extra, door, liked, page as citizens_page, page_with as citizens_page_with, site_name,
    style,
};
pub use door::Need;
pub(crate) use door::{cookie, see_other};
pub(crate) use fault::Fault;
pub(crate) use login::{LoginLimits, enter, let_in, on_to};
pub(crate) use method::{get, post};
pub(crate) use seen::{SEEN, is_as_seen, seen_field};
pub use staff::head_of;
pub(crate) use staff::{page as staff_page, page_with as staff_page_with, token_field};
pub(crate) use upload::patient;

/// The citizens' pages.
pub fn for_citizens(city: &Arc<City>) -> Router {
    Router::new()
        .merge(crate::open::routes())
        .merge(crate::pages::routes())
        .fallback(async || Fault::not_here())
        .merge(crate::home::routes())
        .with_state(Arc::clone(city))
        .layer(middleware::from_fn(readable))
        .layer(middleware::from_fn_with_state(Arc::clone(city), framed))
        .layer(middleware::from_fn(headers))
}

/// The pages that need a login. The hub puts them beside its own two.
pub fn for_staff(city: &Arc<City>) -> Router {
    let door = Door {
        city: Arc::clone(city),
        need_of: door::need_of_staff,
        opens_before_the_first_account: false,
    };
    Router::new()
        .merge(staff::routes())
        .merge(crate::home::staff_routes())
        .merge(login::routes())
        .merge(crate::people::routes())
        .merge(crate::desk::routes())
        .merge(crate::alarm::routes())
        .merge(crate::ideas::routes())
        .merge(crate::editor::routes())
        .merge(crate::places::routes())
        .merge(crate::rights::routes())
        .merge(crate::reports::routes())
        .merge(crate::watch::routes())
        .with_state(Arc::clone(city))
        .layer(middleware::from_fn(readable))
        .layer(middleware::from_fn_with_state(door, door::door))
        .layer(middleware::from_fn(headers))
        .layer(middleware::from_fn(own_origin))
}

/// The hub's own pages behind the same door. Before there is an account, they are for whoever reaches this machine itself, unless a
/// proxy passes others on.
pub fn behind_the_door(city: &Arc<City>, pages: Router, need_of: fn(&str) -> Need) -> Router {
    let door = Door {
        city: Arc::clone(city),
        need_of,
        opens_before_the_first_account: !city.config.is_behind_tls,
    };
    pages
        .layer(middleware::from_fn_with_state(door, door::door))
        .layer(middleware::from_fn(own_origin))
}

/// Forms of staff say where they come from, to their own site alone: with the policy of the other pages a browser says `Origin: null`.
async fn own_origin(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let policy = HeaderValue::from_static("same-origin");
    response
        .headers_mut()
        .insert(header::REFERRER_POLICY, policy);
    response
}

/// What a page may load: what is ours.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; media-src 'self' blob:; \
     img-src 'self' data:; worker-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The first field of a form or an address with this name, without spaces around; empty where there is none.
pub fn value<'a>(fields: &'a [(String, String)], name: &str) -> &'a str {
    let found = fields.iter().find(|(own, _)| own == name);
    found.map_or("", |(_, value)| value.trim())
}

/// Whether the library refused what it could not read, in words of its own that repeat what was sent.
fn is_unread(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_plain = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    is_plain && response.status().is_client_error()
}

/// What the library could not read is told in words of ours, which the door around this puts into its frame and the reader's language.
async fn readable(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    match is_unread(&response) {
        true => Fault::new(response.status(), sentence!("fault-unread")).into_response(),
        false => response,
    }
}

/// No page loads anything from elsewhere, runs a script or a style that stands in it, is framed, or says where its reader came from.
async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    const ALWAYS: [(HeaderName, &str); 5] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}
