//! `/login` and `/logout`.
//!
//! Owns: how often a name and a visitor may try, and the way back to the page that was asked for. Never does: tell whether a name exists, by
//! word, by time or by limit; write down a name that was typed and is none.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Form, Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::{Extension, RequestExt, Router};
use booth_contract::time::Mono;
use booth_host::clock;
use maud::{Markup, html};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::door::{see_other, set_cookie};
use super::peer::visitor;
use super::{Fault, staff};
use crate::City;
use crate::limits::{Limits, one_visitor};
use crate::people::sessions::{self, Secret};
use crate::people::{Here, Person, accounts, passwords};
use crate::sentence;
use crate::store::{Act, Actor, CityError};
use crate::web::{get, post};

/// How often somebody may try to log in.
#[derive(Debug)]
pub(crate) struct LoginLimits {
    /// By the name that was typed and the visitor: 10 at once, one more a minute.
    names: Limits<([u8; 32], IpAddr)>,
    /// By the name alone, for whoever tries it from many places: no visitor uses this up, and keeps somebody out by that.
    names_from_anywhere: Limits<[u8; 32]>,
    /// By visitor: 20 at once, one more in 30 s.
    visitors: Limits<IpAddr>,
    /// All together: hashing takes a core and 19 MiB.
    all: Limits<()>,
}

impl Default for LoginLimits {
    fn default() -> Self {
        Self {
            names: Limits::new(10, 60_000),
            names_from_anywhere: Limits::new(100, 20_000),
            visitors: Limits::new(20, 30_000),
            all: Limits::new(40, 200),
        }
    }
}

impl LoginLimits {
    pub(super) fn take(&self, now: Mono, from: IpAddr, name: [u8; 32]) -> bool {
        self.visitors.forget(now);
        self.visitors.take(now, one_visitor(from))
            && self.names.take(now, (name, one_visitor(from)))
            && self.names_from_anywhere.take(now, name)
            && self.all.take(now, ())
    }

    fn give_back(&self, from: IpAddr, name: &[u8; 32]) {
        self.visitors.give_back(&one_visitor(from));
        self.names.give_back(&(*name, one_visitor(from)));
        self.names_from_anywhere.give_back(name);
    }
}

pub(super) fn routes() -> Router<Arc<City>> {
    Router::new()
        .route("/login", get(form).merge(post(typed)))
        .route("/logout", post(logout))
}

/// Whether this is a page of the staff's pages, without its leading slash: the way back from the login leads nowhere else.
pub(super) fn is_page_of_ours(page: &str) -> bool {
    let path = page.split(['?', '#']).next().unwrap_or_default();
    let are_plain = page
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.~/?&=%+,".contains(&byte));
    page.len() <= 512
        && are_plain
        && !path.starts_with('/')
        && !path.contains("//")
        && !path.contains('%')
        && !path.split('/').any(|step| step == ".." || step == ".")
        && !path.starts_with("log")
}

#[derive(Debug, Deserialize)]
struct Asked {
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
struct Typed {
    #[serde(default)]
    name: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    next: String,
}

async fn form(
    State(city): State<Arc<City>>,
    here: Option<Extension<Here>>,
    person: Option<Extension<Person>>,
    Query(asked): Query<Asked>,
) -> Result<Response, Fault> {
    if let Some(Extension(person)) = person {
        return Ok(see_other(&on_to(&asked.next, &person)));
    }
    let here = here.map(|Extension(here)| here).unwrap_or_default();
    let are_there = city.aside(|city| city.has_accounts()).await?;
    let page = login_page(&city, &here, &asked.next, None, are_there);
    Ok(Html(page.into_string()).into_response())
}

/// The page after the login, relative to the login's own.
pub(crate) fn on_to(next: &str, person: &Person) -> String {
    match !next.is_empty() && is_page_of_ours(next) {
        true => format!("./{next}"),
        false => format!("./{}", staff::first_place(person)),
    }
}

fn login_page(
    city: &City,
    here: &Here,
    next: &str,
    wrong: Option<&str>,
    are_there: bool,
) -> Markup {
    let say = |name: &str| city.words.say(&here.language, name);
    let next = if is_page_of_ours(next) { next } else { "" };
    let body = html! {
        h1 { (say("login-title")) }
        @if !are_there { p.note { (say("login-no-account")) } }
        @if let Some(wrong) = wrong { p.note.bad role="alert" id="wrong" { (say(wrong)) } }
        form method="post" action=(here.to("login")) {
            input type="hidden" name="next" value=(next);
            label for="name" { (say("login-name")) }
            input type="text" id="name" name="name" autocomplete="username" autocapitalize="none" spellcheck="false" required maxlength="64";
            label for="password" { (say("login-password")) }
            input type="password" id="password" name="password" autocomplete="current-password" required maxlength="1024";
            p.actions { button.main { (say("login-enter")) } }
        }
        @if city.elsewhere.is_some() {
            form method="get" action=(here.to("login/elsewhere")) {
                input type="hidden" name="next" value=(next);
                p.actions { button { (say("login-elsewhere")) } }
            }
        }
    };
    staff::bare_page(city, here, &say("login-title"), &body)
}

/// What became of a try.
enum Tried {
    In(Secret, Box<Person>),
    Wrong,
    TooMany,
}

async fn typed(State(city): State<Arc<City>>, request: Request) -> Result<Response, Fault> {
    let from = visitor(request.extensions(), request.headers());
    let here = request
        .extensions()
        .get::<Here>()
        .cloned()
        .unwrap_or_default();
    let before = request.extensions().get::<Secret>().cloned();
    let Ok(Form(typed)) = request.extract::<Form<Typed>, _>().await else {
        return Err(Fault::new(
            StatusCode::BAD_REQUEST,
            sentence!("login-wrong"),
        ));
    };
    let (name, next) = (typed.name, typed.next);
    let password = Zeroizing::new(typed.password);
    let tried = city
        .aside(move |city| try_password(city, from, &name, &password, before.as_ref()))
        .await?;
    let (status, wrong) = match tried {
        Tried::In(secret, person) => return Ok(let_in(&city, &secret, &on_to(&next, &person))),
        Tried::Wrong => (StatusCode::UNPROCESSABLE_ENTITY, "login-wrong"),
        Tried::TooMany => (StatusCode::TOO_MANY_REQUESTS, "login-too-many"),
    };
    let page = login_page(&city, &here, &next, Some(wrong), true);
    Ok((status, Html(page.into_string())).into_response())
}

/// To a page, with a new session.
pub(crate) fn let_in(city: &City, secret: &Secret, address: &str) -> Response {
    let mut response = see_other(address);
    let cookie = set_cookie(Some(secret), city.config.is_behind_tls);
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

fn try_password(
    city: &City,
    from: IpAddr,
    name: &str,
    password: &str,
    before: Option<&Secret>,
) -> Result<Tried, CityError> {
    let key: [u8; 32] = Sha256::digest(accounts::plain_name(name)).into();
    if !city.login_limits.take(clock::mono(), from, key) {
        return Ok(Tried::TooMany);
    }
    let login = city.store.read(|db| accounts::login(db, name))?;
    let kept = login.as_ref().and_then(|(_, kept)| kept.as_deref());
    let is_right = passwords::fits(password, kept);
    let (true, Some((id, _))) = (is_right, login) else {
        log::warn!(about = "login"; "a login failed");
        return Ok(Tried::Wrong);
    };
    city.login_limits.give_back(from, &key);
    match enter(city, id, before, "logged in")? {
        Some((secret, person)) => Ok(Tried::In(secret, Box::new(person))),
        None => Ok(Tried::Wrong),
    }
}

/// Begins a session of an account under a secret that no browser had before; the browser's former session ends (session fixation). `None`
/// if the account was closed meanwhile.
pub(crate) fn enter(
    city: &City,
    id: i64,
    before: Option<&Secret>,
    how: &'static str,
) -> Result<Option<(Secret, Person)>, CityError> {
    let now = clock::wall();
    let today = city.day_of(now);
    let Some(person) = city.store.read(|db| accounts::person(db, &today, id))? else {
        return Ok(None);
    };
    let act = Act::new(
        Actor::Account(id, person.name.clone()),
        how,
        format!("account {id}"),
    );
    let secret = city.store.change(act, |tx| {
        if let Some(before) = before {
            sessions::end(tx, before)?;
        }
        sessions::begin(tx, now, id)
    })?;
    Ok(Some((secret, person)))
}

impl City {
    /// Counts a try of a password by whoever is logged in under this name.
    ///
    /// # Errors
    /// Too many of late.
    pub(crate) fn password_tries(&self, name: &str) -> Result<(), CityError> {
        let key: [u8; 32] = Sha256::digest(accounts::plain_name(name)).into();
        // Of no visitor: nobody at the login uses these up.
        let key = (key, IpAddr::from([0; 16]));
        match self.login_limits.names.take(clock::mono(), key) {
            true => Ok(()),
            false => Err(sentence!("login-too-many").into()),
        }
    }
}

async fn logout(
    State(city): State<Arc<City>>,
    person: Person,
    Extension(secret): Extension<Secret>,
) -> Result<Response, Fault> {
    let address = person.to("login");
    city.aside(move |city| {
        let about = format!("account {}", person.account);
        let act = Act::new(person.actor(), "logged out", about);
        city.store.change(act, |tx| sessions::end(tx, &secret))
    })
    .await?;
    let mut response = see_other(&address);
    let cookie = set_cookie(None, city.config.is_behind_tls);
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}
