//! The city's own login: OpenID Connect 1.0, code flow with PKCE (RFC 7636), state and nonce.
//!
//! ```text
//! browser ──/login/elsewhere──▶ hub ──303──▶ provider ──303──▶ /login/return?code&state ──▶ hub ──code, verifier──▶ provider
//! ```
//!
//! Owns: the logins that have begun, in memory, each for ten minutes and for the browser that began it alone (a cookie), and what follows
//! from a group. Never does: keep a token of the provider, believe a token that it has not checked, give somebody the account of another
//! person who has the same name.

pub(crate) mod config;
mod provider;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::{RequestExt, Router};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use booth_contract::time::Mono;
use booth_host::clock;
use openidconnect::{Nonce, PkceCodeVerifier};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::accounts::{self, NewAccount};
use super::sessions::Secret;
use super::{Role, changes};
use crate::City;
use crate::limits::{Limits, one_visitor};
use crate::sentence;
use crate::store::{Act, Actor, CityError};
use crate::web::peer::visitor;
use crate::web::{self, Fault, get, see_other};
use config::LoginConfig;
use provider::{Known, Provider};

/// How long a login may take at the provider.
const PATIENCE: Duration = Duration::from_secs(10 * 60);
/// Most logins that have begun; the oldest is forgotten for a new one.
const MOST_BEGUN: usize = 1_000;

/// See the module's comment.
#[derive(Debug)]
pub(crate) struct Elsewhere {
    provider: Provider,
    begun: Mutex<HashMap<String, Begun>>,
    visitors: Limits<IpAddr>,
}

/// A login that has begun.
struct Begun {
    at: Mono,
    /// SHA-256 of the cookie of the browser that began it.
    browser: [u8; 32],
    nonce: Nonce,
    verifier: PkceCodeVerifier,
    next: String,
}

impl std::fmt::Debug for Begun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Begun")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl Elsewhere {
    /// The city's own login, if the configuration names one.
    ///
    /// # Errors
    /// A secret's file that cannot be read, or an address that is none.
    pub(crate) fn of(config: &LoginConfig) -> Result<Option<Self>, CityError> {
        if config.issuer.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self {
            provider: Provider::of(config)?,
            begun: Mutex::default(),
            visitors: Limits::new(20, 30_000),
        }))
    }

    fn remember(&self, state: String, begun: Begun) {
        let mut all = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let now = begun.at;
        all.retain(|_, begun| now.since(begun.at) < PATIENCE);
        if all.len() >= MOST_BEGUN {
            let oldest = all.iter().min_by_key(|(_, begun)| begun.at.0);
            if let Some(oldest) = oldest.map(|(state, _)| state.clone()) {
                all.remove(&oldest);
            }
        }
        all.insert(state, begun);
    }

    /// Takes the login that has begun under this state in this browser. Each can be ended once.
    fn take(&self, now: Mono, state: &str, browser: &str) -> Option<Begun> {
        let mut all = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let shown: [u8; 32] = Sha256::digest(browser).into();
        let is_it = all.get(state).is_some_and(|begun| {
            bool::from(begun.browser.ct_eq(&shown)) && now.since(begun.at) < PATIENCE
        });
        // A stranger who guesses at states ends nobody's login.
        if is_it { all.remove(state) } else { None }
    }
}

pub(crate) fn routes() -> Router<Arc<City>> {
    Router::new()
        .route("/login/elsewhere", get(begin))
        .route("/login/return", get(come_back))
}

#[derive(Debug, Deserialize)]
struct Asked {
    #[serde(default)]
    next: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Returned {
    code: String,
    state: String,
    error: String,
}

/// The cookie that binds a login to the browser that began it. It lives ten minutes, and comes back with the provider's redirect (Lax).
fn cookie_name(is_behind_tls: bool) -> &'static str {
    match is_behind_tls {
        true => "__Host-booth-hub-login",
        false => "booth-hub-login",
    }
}

fn cookie(value: &str, is_behind_tls: bool) -> Option<HeaderValue> {
    let name = cookie_name(is_behind_tls);
    let secure = if is_behind_tls { "; Secure" } else { "" };
    let age = if value.is_empty() {
        0
    } else {
        PATIENCE.as_secs()
    };
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={age}{secure}");
    HeaderValue::from_str(&text).ok()
}

async fn begin(
    State(city): State<Arc<City>>,
    Query(asked): Query<Asked>,
    request: Request,
) -> Result<Response, Fault> {
    let from = one_visitor(visitor(request.extensions(), request.headers()));
    let (address, browser) = city
        .aside(move |city| {
            let Some(elsewhere) = &city.elsewhere else {
                return Err(sentence!("login-no-elsewhere").into());
            };
            let now = clock::mono();
            elsewhere.visitors.forget(now);
            if !elsewhere.visitors.take(now, from) {
                return Err(sentence!("login-too-many").into());
            }
            let mut bytes = [0_u8; 32];
            getrandom::fill(&mut bytes)
                .map_err(|why| CityError::Failed(format!("the system gives no chance: {why}")))?;
            let browser = BASE64_URL_SAFE_NO_PAD.encode(bytes);
            let asked_for = elsewhere.provider.ask()?;
            elsewhere.remember(
                asked_for.state,
                Begun {
                    at: now,
                    browser: Sha256::digest(&browser).into(),
                    nonce: asked_for.nonce,
                    verifier: asked_for.verifier,
                    next: asked.next,
                },
            );
            Ok((asked_for.address, browser))
        })
        .await?;
    let mut response = see_other(&address);
    if let Some(cookie) = cookie(&browser, city.config.is_behind_tls) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

async fn come_back(State(city): State<Arc<City>>, mut request: Request) -> Result<Response, Fault> {
    let not_begun = || Fault::new(StatusCode::BAD_REQUEST, sentence!("login-not-begun"));
    let Ok(Query(returned)) = request.extract_parts::<Query<Returned>>().await else {
        return Err(not_begun());
    };
    let before = request.extensions().get::<Secret>().cloned();
    let name = cookie_name(city.config.is_behind_tls);
    let browser = web::cookie(request.headers(), name)
        .unwrap_or_default()
        .to_owned();
    let entered = city
        .aside(move |city| {
            let Some(elsewhere) = &city.elsewhere else {
                return Ok(None);
            };
            let Some(begun) = elsewhere.take(clock::mono(), &returned.state, &browser) else {
                return Ok(None);
            };
            if !returned.error.is_empty() || returned.code.is_empty() {
                log::warn!(about = "login"; "the city's own login let nobody in");
                return Ok(None);
            }
            let known = elsewhere
                .provider
                .known(returned.code, begun.verifier, &begun.nonce)?;
            let id = account_of(city, &known)?;
            let entered = web::enter(city, id, before.as_ref(), "logged in elsewhere")?;
            Ok(entered.map(|(secret, person)| (secret, person, begun.next)))
        })
        .await;
    let (secret, person, next) = match entered {
        Ok(Some(entered)) => entered,
        Ok(None) => return Err(not_begun()),
        Err(CityError::Refused(why)) => return Err(Fault::new(StatusCode::FORBIDDEN, why)),
        Err(error) => return Err(error.into()),
    };
    let address = web::on_to(&next, &person);
    let mut response = web::let_in(
        &city,
        &secret,
        &format!("../{}", address.trim_start_matches("./")),
    );
    if let Some(cookie) = cookie("", city.config.is_behind_tls) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// The account of whom the provider knows, with the roles that follow from the groups.
fn account_of(city: &City, known: &Known) -> Result<i64, CityError> {
    let config = &city.config.login;
    let roles = config.roles_of(&known.groups);
    let found = city
        .store
        .read(|db| accounts::by_subject(db, &known.subject))?;
    let refused = || CityError::from(sentence!("login-no-role"));
    let Some(account) = found else {
        return first_time(city, known, &roles);
    };
    if account.closed_at.is_some() {
        return Err(refused());
    }
    if config.roles.is_empty() {
        return Ok(account.id);
    }
    // What an administrator gave a partner stays; all else follows from the groups, each time.
    let partner = account
        .roles
        .iter()
        .copied()
        .filter(|role| *role == Role::Partner);
    let wanted: BTreeSet<Role> = roles.iter().copied().chain(partner).collect();
    if wanted != account.roles {
        let detail =
            json!({ "was": accounts::words_of(&account.roles), "is": accounts::words_of(&wanted) });
        let about = format!("account {} {}", account.id, account.name);
        let act = Act::new(Actor::Hub, "changed roles by groups", about).with(detail);
        city.store.change(act, |tx| {
            accounts::set_roles_by_groups(tx, account.id, &wanted)
        })?;
    }
    match wanted.is_empty() {
        false => Ok(account.id),
        true => Err(refused()),
    }
}

/// Whom the provider knows and the hub does not: the account that an administrator made for a login elsewhere under this name, or a new one.
fn first_time(city: &City, known: &Known, roles: &BTreeSet<Role>) -> Result<i64, CityError> {
    let name = accounts::checked_name(&known.name).unwrap_or_else(|_| {
        let hash = booth_contract::hex(&Sha256::digest(&known.subject));
        format!("person-{}", &hash[..12])
    });
    if let Some(account) = city.store.read(|db| accounts::by_name(db, &name))? {
        let waits = !account.has_password && !account.is_elsewhere && account.closed_at.is_none();
        if !waits {
            return Err(sentence!("login-name-taken", name = name).into());
        }
        let about = format!("account {} {}", account.id, account.name);
        let act = Act::new(
            Actor::Hub,
            "bound an account to the city's own login",
            about,
        );
        let subject = &known.subject;
        city.store.change(act, |tx| {
            accounts::bind(tx, account.id, subject)?;
            match roles.is_empty() {
                true => Ok(()),
                false => {
                    let all = roles.union(&account.roles).copied().collect();
                    accounts::set_roles_by_groups(tx, account.id, &all)
                }
            }
        })?;
        return Ok(account.id);
    }
    if roles.is_empty() {
        return Err(sentence!("login-unknown-here").into());
    }
    let new = NewAccount {
        name,
        shown_name: known.shown_name.clone(),
        roles: roles.clone(),
        languages: city.config.offers.clone(),
        kept_password: None,
        subject: Some(known.subject.clone()),
    };
    changes::add(&city.store, Actor::Hub, &new)
}
