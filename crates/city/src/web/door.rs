//! The door of everything that needs a login: who comes in, and whether a change comes from a page of ours.
//!
//! Owns: the session's cookie, and the three proofs that every change needs, whatever room it is for: the browser says that it comes from a
//! page of this site (Sec-Fetch-Site, Origin), there is a session, and the form carries the token of that session. A room cannot forget
//! them, because it is reached through here alone. Never does: decide what a person may do; each handler asks [`Person::must`].
//!
//! The token stands in the field `form_token` of a form, which is the first field where the form carries files, or in the header
//! `X-Form-Token` of a script's request.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use booth_host::clock;
use subtle::ConstantTimeEq;

use super::upload::{self, Upload};
use super::{Fault, staff};
use crate::City;
use crate::desk::note_hearing;
use crate::people::sessions::{self, Secret};
use crate::people::{Here, Person, Right, accounts};
use crate::sentence;
use crate::store::{Act, CityError};

/// Longest form without files, bytes.
const LONGEST_FORM: usize = 1024 * 1024;
/// How long a form without files may take to come.
const PATIENCE: Duration = Duration::from_secs(30);
/// Most levels that a page lies below the first one.
const DEEPEST: usize = 32;
/// Where a script puts the token of its session.
pub(crate) const TOKEN_HEADER: HeaderName = HeaderName::from_static("x-form-token");

/// What an address asks of whoever comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing: everybody may come, as far as this door goes. Nothing is looked at.
    Nothing,
    /// A login, where there is one: the page itself is for everybody.
    Whoever,
    /// A login.
    Login,
    /// A login with this right in every campaign.
    Right(Right),
    /// A login with this right in one campaign at least; the room asks for which.
    Somewhere(Right),
}

/// The door, and what the addresses behind it need.
#[derive(Clone)]
pub(super) struct Door {
    pub city: Arc<City>,
    pub need_of: fn(&str) -> Need,
    /// Before there is an account, these pages are for whoever reaches this machine itself.
    pub opens_before_the_first_account: bool,
}

/// What the staff's rooms need, by the first step of their addresses. A room asks again, for the campaign that something belongs to; this
/// table holds also where a room has forgotten it, and refuses before a body is read.
pub(super) const ROOMS: [(&str, Need); 14] = [
    ("staff.css", Need::Nothing),
    ("staff.js", Need::Nothing),
    ("login", Need::Whoever),
    ("logout", Need::Login),
    ("account", Need::Login),
    ("desk", Need::Somewhere(Right::Listen)),
    ("ideas", Need::Somewhere(Right::Publish)),
    ("workshop", Need::Somewhere(Right::Transcribe)),
    ("reports", Need::Somewhere(Right::Export)),
    ("editor", Need::Right(Right::Edit)),
    ("places", Need::Right(Right::Edit)),
    ("rights", Need::Right(Right::Search)),
    ("watch", Need::Right(Right::Operate)),
    ("people", Need::Right(Right::Administer)),
];

/// What an address of the staff's needs; one that no room has needs what the log of acts does.
pub(super) fn need_of_staff(path: &str) -> Need {
    let first = path.trim_start_matches('/').split('/').next();
    let room = ROOMS.iter().find(|(room, _)| Some(*room) == first);
    room.map_or(Need::Right(Right::Administer), |(_, need)| *need)
}

/// See the module's comment.
pub(super) async fn door(State(door): State<Door>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let need = (door.need_of)(&path);
    if need == Need::Nothing {
        return next.run(request).await;
    }
    let is_script = request.headers().contains_key(TOKEN_HEADER);
    let mut here = Here {
        language: staff::accepted(&door.city, request.headers()),
        form_token: String::new(),
        depth: path.matches('/').count().saturating_sub(1).min(DEEPEST),
    };
    let city = Arc::clone(&door.city);
    let (person, mut response) = match come_in(&door, need, &mut here, request).await {
        Ok((request, person)) => (person, next.run(request).await),
        Err(Refused::Elsewhere(response)) => (None, response),
        Err(Refused::Person(person, fault)) => (Some(person), fault.into_response()),
        Err(Refused::Fault(fault)) => (None, fault.into_response()),
    };
    if let Some(fault) = response.extensions_mut().remove::<Fault>() {
        let sentence = city.words.tell(&here.language, &fault.sentence);
        let body = match is_script {
            true => sentence.into_response(),
            false => {
                let page = staff::sentence_page(&city, &here, person.as_ref(), &sentence);
                Html(page.into_string()).into_response()
            }
        };
        let status = response.status();
        response = body;
        *response.status_mut() = status;
        // The hub's own pages have another policy, and no form.
        let policy = HeaderValue::from_static(super::POLICY);
        response
            .headers_mut()
            .insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// Why somebody does not come in.
enum Refused {
    Elsewhere(Response),
    Person(Person, Fault),
    Fault(Fault),
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

async fn come_in(
    door: &Door,
    need: Need,
    here: &mut Here,
    request: Request,
) -> Result<(Request, Option<Person>), Refused> {
    let (mut parts, body) = request.into_parts();
    let is_change = !matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
    if is_change && !is_from_our_page(&parts.headers) {
        return Err(Fault::new(StatusCode::FORBIDDEN, sentence!("staff-other-site")).into());
    }
    let secret = secret_in(&parts.headers, door.city.config.is_behind_tls);
    let found = seat_of(&door.city, secret.as_ref()).await?;
    let Some(mut person) = found else {
        let is_open = match need {
            Need::Nothing | Need::Whoever => true,
            Need::Login | Need::Somewhere(_) => false,
            Need::Right(_) => door.opens_before_the_first_account && !has_accounts(door).await?,
        };
        if is_open {
            parts.extensions.insert(here.clone());
            return Ok((Request::from_parts(parts, Upload::of(body)), None));
        }
        return Err(Refused::Elsewhere(to_login(&parts, here)));
    };
    if !door.city.words.has(&person.here.language) {
        person.here.language.clone_from(&here.language);
    }
    person.here.depth = here.depth;
    person.here.form_token = secret.as_ref().map(Secret::form_token).unwrap_or_default();
    here.clone_from(&person.here);
    let may = match need {
        Need::Right(right) => person.must(right, None),
        Need::Somewhere(right) => person.must_somewhere(right),
        Need::Nothing | Need::Whoever | Need::Login => Ok(()),
    };
    if let Err(fault) = may {
        return Err(Refused::Person(person, fault));
    }
    if let Some((clip, is_start)) = heard(&parts) {
        let (clip, who) = (clip.to_owned(), person.clone());
        let noted = door.city.aside(move |city| match is_start {
            true => city.note_look(&who, "listened", &clip),
            false => note_hearing(city, &who, "listened", &clip),
        });
        // Nobody hears unseen: what cannot be written down is not played.
        noted.await.map_err(Fault::from)?;
    }
    let body = match is_change && need != Need::Whoever {
        false => Upload::of(body),
        true => match with_token(&parts, body, &person.here.form_token).await {
            Ok(body) => body,
            Err(fault) => return Err(Refused::Person(person, fault)),
        },
    };
    parts.extensions.insert(here.clone());
    parts.extensions.insert(person.clone());
    if let Some(secret) = secret {
        parts.extensions.insert(secret);
    }
    Ok((Request::from_parts(parts, body), Some(person)))
}

/// The clip of the hub's own page that is played, and whether from its beginning; the further pieces that a player asks for are no new hearing, but
/// none is heard without one.
fn heard(parts: &Parts) -> Option<(&str, bool)> {
    let clip = parts.uri.path().strip_prefix("/clips/")?;
    let clip = clip.strip_suffix(".opus").unwrap_or(clip);
    let range = parts.headers.get(header::RANGE);
    let is_start = range.is_none_or(|range| range.as_bytes().starts_with(b"bytes=0-"));
    (parts.method == Method::GET).then_some((clip, is_start))
}

/// Who has this secret. The use of the session is written down now and then.
async fn seat_of(city: &Arc<City>, secret: Option<&Secret>) -> Result<Option<Person>, Fault> {
    let Some(secret) = secret.cloned() else {
        return Ok(None);
    };
    let person = city.aside(move |city| {
        let now = clock::wall();
        let today = city.day_of(now);
        let found = city
            .store
            .read(|db| sessions::look(db, now, &today, &secret))?;
        if found.as_ref().is_some_and(|found| found.is_due) {
            city.store
                .change_quietly(|tx| sessions::noted(tx, now, &secret))?;
        }
        Ok(found.map(|found| found.person))
    });
    Ok(person.await?)
}

async fn has_accounts(door: &Door) -> Result<bool, Fault> {
    let there = door.city.aside(|city| city.has_accounts());
    Ok(there.await?)
}

/// To the login, and back from there to a page. What was sent without a session is not sent again by itself.
fn to_login(parts: &Parts, here: &Here) -> Response {
    if parts.headers.contains_key(TOKEN_HEADER) {
        return Fault::new(StatusCode::UNAUTHORIZED, sentence!("staff-logged-out")).into_response();
    }
    let mut address = here.to("login");
    if parts.method == Method::GET
        && let Some(page) = parts.uri.path_and_query()
        && let page = page.as_str().trim_start_matches('/')
        && super::login::is_page_of_ours(page)
        && !page.is_empty()
    {
        let encoded = page.bytes().map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'/' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        });
        address.push_str("?next=");
        address.extend(encoded);
    }
    see_other(&address)
}

/// 303: the browser goes on with GET.
pub(crate) fn see_other(address: &str) -> Response {
    match HeaderValue::from_str(address) {
        Ok(address) => (StatusCode::SEE_OTHER, [(header::LOCATION, address)]).into_response(),
        Err(_) => Fault::not_here().into_response(),
    }
}

/// Whether a browser says that a change comes from a page of this site. Whoever is no browser has to say `Origin` as one does.
fn is_from_our_page(headers: &HeaderMap) -> bool {
    let value = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
    if headers.contains_key(SITE) {
        return matches!(value(&SITE), Some("same-origin" | "none"));
    }
    let Some(origin) = value(&header::ORIGIN) else {
        return false;
    };
    let origin = origin
        .strip_prefix("https://")
        .or_else(|| origin.strip_prefix("http://"));
    // A proxy that calls the hub by another name says the name that was asked for. No form of another site can write that header.
    const ASKED_FOR: HeaderName = HeaderName::from_static("x-forwarded-host");
    let names = [value(&header::HOST), value(&ASKED_FOR)];
    origin.is_some_and(|origin| {
        let is_it = |name: &str| name.eq_ignore_ascii_case(origin);
        names.into_iter().flatten().any(is_it)
    })
}

/// The body, if it carries the token or the header does.
async fn with_token(
    parts: &Parts,
    body: axum::body::Body,
    token: &str,
) -> Result<axum::body::Body, Fault> {
    let is_right = |shown: &[u8]| bool::from(shown.ct_eq(token.as_bytes())) && !token.is_empty();
    if let Some(shown) = parts.headers.get(TOKEN_HEADER) {
        return match is_right(shown.as_bytes()) {
            true => Ok(Upload::of(body)),
            false => Err(forged()),
        };
    }
    let kind = parts.headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if let Some(boundary) = upload::boundary_of(kind) {
        let (shown, body) = upload::first_field(&boundary, "form_token", body).await?;
        return match is_right(&shown) {
            true => Ok(body),
            false => Err(forged()),
        };
    }
    let form = read_form(body).await?;
    let mut fields = form.split(|byte| *byte == b'&');
    let shown = fields.find_map(|field| field.strip_prefix(b"form_token="));
    match shown.is_some_and(is_right) {
        true => Ok(axum::body::Body::from(form)),
        false => Err(forged()),
    }
}

async fn read_form(body: axum::body::Body) -> Result<Bytes, Fault> {
    match tokio::time::timeout(PATIENCE, axum::body::to_bytes(body, LONGEST_FORM)).await {
        Ok(Ok(form)) => Ok(form),
        Ok(Err(_)) => Err(Fault::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            sentence!("staff-too-large"),
        )),
        Err(_) => Err(upload::too_slow()),
    }
}

fn forged() -> Fault {
    Fault::new(StatusCode::FORBIDDEN, sentence!("staff-forged"))
}

impl<S: Send + Sync> FromRequestParts<S> for Person {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            Fault::new(StatusCode::UNAUTHORIZED, sentence!("staff-logged-out")).into_response()
        })
    }
}

/// The name of the session's cookie. With TLS its prefix lets no other name of the site set it (RFC 6265bis §4.1.3.2).
fn cookie_name(is_behind_tls: bool) -> &'static str {
    match is_behind_tls {
        true => "__Host-booth-hub",
        false => "booth-hub",
    }
}

/// One cookie of a request.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter();
    let mut pairs = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

fn secret_in(headers: &HeaderMap, is_behind_tls: bool) -> Option<Secret> {
    cookie(headers, cookie_name(is_behind_tls)).and_then(Secret::of)
}

/// The header that gives the browser its secret, or takes it away. The cookie ends with the browser; the session by itself.
pub(super) fn set_cookie(secret: Option<&Secret>, is_behind_tls: bool) -> String {
    let name = cookie_name(is_behind_tls);
    let secure = if is_behind_tls { "; Secure" } else { "" };
    match secret {
        Some(secret) => {
            let secret = secret.text();
            format!("{name}={secret}; Path=/; HttpOnly; SameSite=Lax{secure}")
        }
        None => format!("{name}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0{secure}"),
    }
}

impl City {
    /// Whether there is an account; once there is one, there always is.
    pub(crate) fn has_accounts(&self) -> Result<bool, CityError> {
        use std::sync::atomic::Ordering::Relaxed;
        if self.has_accounts.load(Relaxed) {
            return Ok(true);
        }
        let there = self.store.read(accounts::are_there)?;
        self.has_accounts.store(there, Relaxed);
        Ok(there)
    }

    /// Writes down that a person looked at or listened to something.
    pub(crate) fn note_look(
        &self,
        person: &Person,
        what: &'static str,
        about: &str,
    ) -> Result<(), CityError> {
        let act = Act::new(person.actor(), what, about);
        self.store.change(act, |_| Ok(()))
    }
}
