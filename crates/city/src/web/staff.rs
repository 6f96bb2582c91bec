//! The frame of every page for staff: navigation by rights, language, name, and the way out.
//!
//! Owns: head, navigation, foot, `/staff.css` and `/staff.js`. Never does: look at the database.

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use maud::{DOCTYPE, Markup, html};

use crate::City;
use crate::people::{Here, Person, Right};
use crate::web::get;

/// The pages that have a place in the navigation: text, address, right.
const PLACES: [(&str, &str, Right); 11] = [
    ("staff-nav-answers", "", Right::Listen),
    ("staff-nav-desk", "desk", Right::Listen),
    ("staff-nav-ideas", "ideas", Right::Publish),
    ("staff-nav-editor", "editor", Right::Edit),
    ("staff-nav-places", "places", Right::Edit),
    ("staff-nav-reports", "reports", Right::Export),
    ("staff-nav-rights", "rights", Right::Search),
    ("staff-nav-operations", "operations", Right::Operate),
    ("staff-nav-watch", "watch", Right::Operate),
    ("staff-nav-people", "people", Right::Administer),
    ("staff-nav-acts", "acts", Right::Administer),
];

/// Those of them that are the hub's own, and show all campaigns.
const WHOLE: [&str; 5] = ["", "operations", "watch", "people", "acts"];

pub(super) fn routes() -> Router<Arc<City>> {
    let file = |kind: &'static str, text: &'static str| {
        get(move || async move {
            let headers = [
                (header::CONTENT_TYPE, kind),
                (header::CACHE_CONTROL, "public, max-age=300"),
            ];
            (headers, text).into_response()
        })
    };
    Router::new()
        .route("/staff.css", file("text/css; charset=utf-8", STYLE))
        .route("/staff.js", file("text/javascript; charset=utf-8", SCRIPT))
}

const STYLE: &str = include_str!("staff.css");
const SCRIPT: &str = include_str!("staff.js");

/// A whole page for somebody who is logged in. Every form in it that changes something begins with [`token_field`].
pub(crate) fn page(city: &City, person: &Person, title: &str, body: &Markup) -> Markup {
    frame(city, &person.here, Some(person), title, &[], body)
}

/// The same with further scripts of ours, by their addresses without a leading slash.
pub(crate) fn page_with(
    city: &City,
    person: &Person,
    title: &str,
    scripts: &[&str],
    body: &Markup,
) -> Markup {
    frame(city, &person.here, Some(person), title, scripts, body)
}

/// The first field of every form that changes something.
pub(crate) fn token_field(person: &Person) -> Markup {
    html! { input type="hidden" name="form_token" value=(person.here.form_token); }
}

/// A page for whoever comes to the login.
pub(super) fn bare_page(city: &City, here: &Here, title: &str, body: &Markup) -> Markup {
    frame(city, here, None, title, &[], body)
}

/// A page of one sentence: why something is not shown or was not done.
pub(super) fn sentence_page(
    city: &City,
    here: &Here,
    person: Option<&Person>,
    sentence: &str,
) -> Markup {
    let title = city.words.say(&here.language, "staff-not-done");
    let body = html! {
        h1 { (title) }
        p { (sentence) }
        p { a href=(here.to(person.map_or("login", first_place))) { (city.words.say(&here.language, "staff-back")) } }
    };
    frame(city, here, person, &title, &[], &body)
}

/// Where a person begins: the first page that the person may see; whoever may see none may still change the password.
pub(super) fn first_place(person: &Person) -> &'static str {
    let seen = PLACES.into_iter().filter(|(_, page, _)| !page.is_empty());
    let mut seen = seen.filter(|(_, page, right)| is_shown(person, page, *right));
    seen.next().map_or("account", |(_, page, _)| page)
}

fn is_shown(person: &Person, page: &str, right: Right) -> bool {
    match WHOLE.contains(&page) {
        true => person.may(right, None),
        false => person.may_somewhere(right),
    }
}

/// The navigation by a person's rights.
fn places(city: &City, person: &Person, here: &Here) -> Markup {
    let language = here.language.as_str();
    let say = |name: &str| city.words.say(language, name);
    html! {
        nav aria-label=(say("staff-nav")) lang=(language) dir=(say("direction")) {
            ul {
                @for (name, page, right) in PLACES {
                    @if is_shown(person, page, right) { li { a href=(here.to(page)) { (say(name)) } } }
                }
            }
        }
    }
}

/// The head of a page for staff that another crate draws: the navigation, and the way to the person's own page, where the way out is.
pub fn head_of(city: &City, person: &Person) -> Markup {
    let here = &person.here;
    html! {
        (places(city, person, here))
        a href=(here.to("account")) { bdi { (person.shown_name) } }
    }
}

fn frame(
    city: &City,
    here: &Here,
    person: Option<&Person>,
    title: &str,
    scripts: &[&str],
    body: &Markup,
) -> Markup {
    let language = here.language.as_str();
    let say = |name: &str| city.words.say(language, name);
    html! {
        (DOCTYPE)
        html lang=(language) dir=(say("direction")) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                @if let Some(person) = person { meta name="form-token" content=(person.here.form_token); }
                title { (title) " – " (city.config.name) }
                link rel="stylesheet" href=(here.to("staff.css"));
                link rel="icon" href="data:,";
                script src=(here.to("staff.js")) defer {}
                @for script in scripts { script src=(here.to(script)) defer {} }
            }
            body {
                a.skip href="#main" { (say("staff-skip")) }
                header.top {
                    strong { (city.config.name) }
                    @if let Some(person) = person {
                        (places(city, person, here))
                        form.out method="post" action=(here.to("logout")) {
                            (token_field(person))
                            a href=(here.to("account")) { bdi { (person.shown_name) } }
                            button { (say("staff-log-out")) }
                        }
                    }
                }
                main id="main" { (body) }
                footer { p { (say("staff-internal")) } }
            }
        }
    }
}

/// The language that a browser asks for among those that there are, by its order (RFC 9110 §12.5.4); the city's first one without.
pub(super) fn accepted(city: &City, headers: &HeaderMap) -> String {
    let asked = headers.get(header::ACCEPT_LANGUAGE);
    let asked = asked
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let tags = asked.split(',').map(|tag| {
        let tag = tag.split(';').next().unwrap_or_default().trim();
        tag.split('-')
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase()
    });
    let mut offered = tags.filter(|tag| city.config.offers.contains(tag));
    offered
        .next()
        .or_else(|| city.config.offers.first().cloned())
        .unwrap_or_else(|| "en".into())
}
