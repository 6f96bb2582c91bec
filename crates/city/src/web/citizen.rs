//! The frame of every page for citizens, and the language that a citizen reads.
//!
//! Owns: head, skip link, navigation, the switch of languages, foot, the style sheet. Never does: set a cookie, or load anything from
//! elsewhere. The language stands first in the address (`/da/…`), so that every link keeps it.

use std::sync::{Arc, LazyLock};

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::HeaderMap;
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use booth_contract::hex;

use super::Fault;
use crate::City;

/// The style sheet of the citizens' pages.
const STYLE: &str = include_str!("citizen.css");

/// Another style sheet has another address, so that a browser may keep each for ever.
static STYLE_MARK: LazyLock<String> = LazyLock::new(|| {
    hex(&Sha256::digest(STYLE.as_bytes()))
        .chars()
        .take(8)
        .collect()
});

/// Who reads: the language of the address, and where in it the reader is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Citizen {
    /// One of `[city] offers`.
    pub(crate) language: String,
    /// How many levels the page lies below the first one: `../` for each.
    pub(crate) depth: usize,
    /// The address behind the language, with its query: `campaign/square-2026`.
    pub(crate) rest: String,
}

impl Citizen {
    /// A relative address of a page of the citizens' pages, given without a leading slash.
    pub(crate) fn to(&self, page: &str) -> String {
        let up = "../".repeat(self.depth);
        match (up.is_empty(), page.is_empty()) {
            (true, true) => "./".into(),
            _ => format!("{up}{page}"),
        }
    }

    /// The relative address of a page in the reader's own language: `campaign/x` becomes `../../da/campaign/x`.
    pub(crate) fn here(&self, page: &str) -> String {
        self.to(&format!("{}/{page}", self.language))
    }
}

/// The reader of a page `/{lang}/…`. A language that is not offered is no page.
impl FromRequestParts<Arc<City>> for Citizen {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, city: &Arc<City>) -> Result<Self, Fault> {
        let path = parts.uri.path().to_owned();
        let named = RawPathParams::from_request_parts(parts, city).await;
        let named = named.map_err(|_| Fault::not_here())?;
        let language = named.iter().find(|(name, _)| *name == "lang");
        let language = language.map(|(_, value)| value.to_owned());
        let language = language.filter(|language| city.config.offers.contains(language));
        let language = language.ok_or_else(Fault::not_here)?;
        let rest = path.strip_prefix(&format!("/{language}/")).unwrap_or("");
        let query = parts.uri.query().map(|query| format!("?{query}"));
        Ok(Self {
            depth: path.matches('/').count().saturating_sub(1),
            rest: format!("{rest}{}", query.unwrap_or_default()),
            language,
        })
    }
}

/// The offered language that a browser likes best (RFC 9110 §12.5.4): its first one that is offered, or the city's first.
pub(crate) fn liked(city: &City, headers: &HeaderMap) -> String {
    let offers = &city.config.offers;
    let said = headers.get(header::ACCEPT_LANGUAGE);
    let said = said.and_then(|value| value.to_str().ok()).unwrap_or("");
    let mut wishes: Vec<(f32, &str)> = said
        .split(',')
        .take(20)
        .filter_map(|wish| {
            let mut parts = wish.trim().split(';');
            let language = parts.next()?.split('-').next()?;
            let weight = parts.find_map(|part| part.trim().strip_prefix("q=")?.parse().ok());
            Some((weight.unwrap_or(1.0), language))
        })
        .filter(|(weight, _)| *weight > 0.0)
        .collect();
    wishes.sort_by(|a, b| b.0.total_cmp(&a.0));
    let liked = wishes.iter().find_map(|(_, language)| {
        let same = |offer: &&String| offer.eq_ignore_ascii_case(language);
        offers.iter().find(same)
    });
    liked.or(offers.first()).cloned().unwrap_or_default()
}

/// `/`: to the language that the browser likes.
pub(crate) async fn door(
    axum::extract::State(city): axum::extract::State<Arc<City>>,
    headers: HeaderMap,
) -> Response {
    // Relative, so that a proxy may put the pages under a prefix.
    Redirect::temporary(&format!("./{}/", liked(&city, &headers))).into_response()
}

/// A fault in the pages' frame and in the reader's language.
pub(crate) async fn framed(
    axum::extract::State(city): axum::extract::State<Arc<City>>,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Response {
    let path = request.uri().path().to_owned();
    let in_path = path.split('/').nth(1).unwrap_or("").to_owned();
    let language = match city.config.offers.contains(&in_path) {
        true => in_path,
        false => liked(&city, request.headers()),
    };
    let response = next.run(request).await;
    let Some(fault) = response.extensions().get::<Fault>().cloned() else {
        return response;
    };
    let citizen = Citizen {
        language,
        depth: path.matches('/').count().saturating_sub(1),
        rest: String::new(),
    };
    let say = |name: &str| city.words.say(&citizen.language, name);
    let said = city.words.tell(&citizen.language, &fault.sentence);
    let (title, what) = match fault.status.as_u16() {
        404 => (say("fault-404"), say("fault-404-what")),
        500.. => (say("fault-503"), said),
        _ => (say("fault-other"), said),
    };
    let body = html! {
        h1 { (title) }
        p class="lead" { (what) }
        p { a href=(citizen.here("")) { (say("fault-home")) } }
    };
    let page = page(&city, &citizen, &title, &body);
    (fault.status, axum::response::Html(page.into_string())).into_response()
}

/// `/style.css`
pub(crate) async fn style() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/css; charset=utf-8"),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    (headers, STYLE).into_response()
}

/// What else the head of a page says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Extra {
    /// The address of a feed, below the pages' root, and its title.
    pub(crate) feed: Option<(String, String)>,
    /// Without navigation and foot: a screen on a wall, a sheet of paper. The word is the body's class.
    pub(crate) bare: Option<&'static str>,
}

/// A whole page.
pub(crate) fn page(city: &City, citizen: &Citizen, title: &str, body: &Markup) -> Markup {
    page_with(city, citizen, title, body, &Extra::default())
}

/// A whole page whose head says more.
pub(crate) fn page_with(
    city: &City,
    citizen: &Citizen,
    title: &str,
    body: &Markup,
    extra: &Extra,
) -> Markup {
    let say = |name: &str| city.words.say(&citizen.language, name);
    let language = &citizen.language;
    let site = site_name(city, language);
    let style = citizen.to(&format!("style.css?{}", *STYLE_MARK));
    html! {
        (DOCTYPE)
        html lang=(language) dir=(say("direction")) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="theme-color" content="#b3122b";
                title { @if title == site { (site) } @else { (title) " · " (site) } }
                link rel="stylesheet" href=(style);
                link rel="icon" href="data:,";
                @if let Some((address, of_what)) = &extra.feed {
                    link rel="alternate" type="application/atom+xml" title=(of_what) href=(citizen.to(address));
                }
            }
            body class=[extra.bare] {
                @if extra.bare.is_some() {
                    main id="main" { (body) }
                } @else {
                    a class="skip" href="#main" { (say("skip")) }
                    header class="top" { (top(city, citizen, &site)) }
                    main id="main" tabindex="-1" { (body) }
                    footer { (foot(city, citizen)) }
                }
            }
        }
    }
}

/// "Aarhus is listening"
pub(crate) fn site_name(city: &City, language: &str) -> String {
    let name = city.config.name.clone();
    city.words
        .say_with(language, "site-name", &[("city", name.into())])
}

/// A telephone booth, as the mark of the pages. Its colours are the style sheet's.
const MARK: PreEscaped<&str> = PreEscaped(
    "<svg class=\"mark\" viewBox=\"0 0 24 36\" width=\"24\" height=\"36\" aria-hidden=\"true\" focusable=\"false\">\
     <path class=\"booth\" fill=\"#b3122b\" d=\"M2 7q10-9 20 0v27h1v2H1v-2h1z\"/>\
     <path class=\"glass\" fill=\"#fff\" d=\"M5 10h14v3H5zm0 5h6v4H5zm8 0h6v4h-6zm-8 6h6v4H5zm8 0h6v4h-6zm-8 6h6v4H5zm8 0h6v4h-6z\"/></svg>",
);

fn top(city: &City, citizen: &Citizen, site: &str) -> Markup {
    let say = |name: &str| city.words.say(&citizen.language, name);
    let pages = [
        ("", "nav-city"),
        ("messages", "nav-messages"),
        ("data", "nav-data"),
        ("about", "nav-about"),
    ];
    html! {
        div class="wide" {
            a class="home" href=(citizen.here("")) { (MARK) span { (site) } }
            nav aria-label=(say("nav")) {
                ul {
                    @for (page, name) in pages {
                        @let is_here = citizen.rest.split('?').next() == Some(page);
                        li { a href=(citizen.here(page)) aria-current=[is_here.then_some("page")] { (say(name)) } }
                    }
                }
            }
            @if city.config.offers.len() > 1 {
                nav class="languages" aria-label=(say("nav-languages")) {
                    ul {
                        @for offer in &city.config.offers {
                            @let name = city.words.say(offer, "language-name");
                            @let there = citizen.to(&format!("{offer}/{}", citizen.rest));
                            li {
                                a href=(there) lang=(offer) hreflang=(offer) dir=(city.words.say(offer, "direction"))
                                    aria-current=[(*offer == citizen.language).then_some("true")] { (name) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn foot(city: &City, citizen: &Citizen) -> Markup {
    let say = |name: &str| city.words.say(&citizen.language, name);
    let licence = city.config.licence.clone();
    html! {
        div class="wide" {
            p { (say("foot-what")) }
            ul {
                li { a href=(citizen.here("about")) { (say("nav-about")) } }
                li { a href=(citizen.here("withdraw")) { (say("foot-withdraw")) } }
                li { a href=(citizen.here("data")) { (say("nav-data")) } }
                li { a href=(citizen.here("kiosk")) { (say("foot-kiosk")) } }
            }
            @if !city.config.contact.is_empty() {
                p { (say("foot-contact")) " " bdi { (city.config.contact) } }
            }
            p { (city.words.say_with(&citizen.language, "foot-licence", &[("licence", licence.into())])) }
            p { (say("foot-no-cookie")) }
        }
    }
}
