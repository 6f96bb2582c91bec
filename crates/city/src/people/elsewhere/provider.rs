//! The provider: what is asked of it, and what is believed of its answers.
//!
//! Owns: its metadata and keys, which are kept for five minutes, and the connections to it. Never does: follow a redirect, believe a token
//! whose signature, issuer, audience, nonce or time is wrong.

use std::io::Read;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use booth_contract::time::Mono;
use booth_host::{causes, clock, password, tls};
use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreGenderClaim, CoreProviderMetadata,
};
use openidconnect::{
    AdditionalClaims, AuthorizationCode, ClientId, ClientSecret, CsrfToken, HttpRequest,
    HttpResponse, IssuerUrl, Nonce, OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, Scope, TokenResponse, UserInfoClaims,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use ureq::Agent;

use super::config::LoginConfig;
use crate::sentence;
use crate::store::CityError;

/// How long metadata and keys are believed.
const KEPT: Duration = Duration::from_secs(5 * 60);
/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest answer, bytes.
const LONGEST: u64 = 1024 * 1024;
/// Most groups that are looked at.
const MOST_GROUPS: usize = 1_000;

/// See the module's comment.
pub(super) struct Provider {
    issuer: IssuerUrl,
    client_id: ClientId,
    secret: Option<ClientSecret>,
    back: RedirectUrl,
    scopes: Vec<Scope>,
    groups_claim: String,
    agent: Agent,
    metadata: Mutex<Option<(Mono, CoreProviderMetadata)>>,
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provider")
            .field("issuer", &self.issuer.as_str())
            .finish_non_exhaustive()
    }
}

/// What a login begins with.
pub(super) struct AskedFor {
    /// Where the browser goes.
    pub(super) address: String,
    pub(super) state: String,
    pub(super) nonce: Nonce,
    pub(super) verifier: PkceCodeVerifier,
}

/// Whom the provider knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    /// Issuer and subject: who it is, for ever.
    pub(super) subject: String,
    /// A name to log in with: the preferred name, or the address of mail.
    pub(super) name: String,
    /// A name for colleagues.
    pub(super) shown_name: String,
    /// Groups.
    pub(super) groups: Vec<String>,
}

/// Claims beyond the standard ones.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
struct Further {
    #[serde(flatten)]
    all: Map<String, Value>,
}

impl AdditionalClaims for Further {}

#[derive(Debug, thiserror::Error)]
enum Away {
    #[error("{0}")]
    Line(#[from] Box<ureq::Error>),
    #[error("{0}")]
    Read(#[from] std::io::Error),
    #[error("{0}")]
    Http(#[from] ureq::http::Error),
}

fn refused(what: &str, why: &dyn std::fmt::Display) -> CityError {
    // The reason may hold what the provider sent: it goes to the log, not to whoever asked.
    log::warn!(about = "login"; "the city's own login: {what}: {why}");
    sentence!("login-elsewhere-silent").into()
}

impl Provider {
    pub(super) fn of(config: &LoginConfig) -> Result<Self, CityError> {
        let wrong =
            |key: &str, why: String| CityError::Failed(format!("[city.login] {key}: {why}"));
        let secret = config.client_secret_file.as_deref().map(password::read);
        let secret = secret
            .transpose()
            .map_err(|why| wrong("client_secret_file", why.to_string()))?;
        let back = format!("{}/login/return", config.address.trim_end_matches('/'));
        let tls = tls::for_http(config.ca_file.as_deref());
        let tls = tls.map_err(|why| wrong("ca_file", why.to_string()))?;
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .tls_config(tls)
            .user_agent(concat!("booth-hub/", env!("CARGO_PKG_VERSION")))
            .timeout_global(Some(PATIENCE))
            .build();
        Ok(Self {
            issuer: IssuerUrl::new(config.issuer.clone())
                .map_err(|why| wrong("issuer", why.to_string()))?,
            client_id: ClientId::new(config.client_id.clone()),
            secret: secret.map(ClientSecret::new),
            back: RedirectUrl::new(back).map_err(|why| wrong("address", why.to_string()))?,
            scopes: config.scopes.iter().cloned().map(Scope::new).collect(),
            groups_claim: config.groups_claim.clone(),
            agent: agent.into(),
            metadata: Mutex::default(),
        })
    }

    fn call(&self, request: HttpRequest) -> Result<HttpResponse, Away> {
        let (parts, body) = request.into_parts();
        let request = ureq::http::Request::from_parts(parts, body);
        let response = self.agent.run(request).map_err(Box::new)?;
        let (parts, body) = response.into_parts();
        let mut read = Vec::new();
        body.into_reader().take(LONGEST).read_to_end(&mut read)?;
        Ok(ureq::http::Response::from_parts(parts, read))
    }

    fn metadata(&self) -> Result<CoreProviderMetadata, CityError> {
        let now = clock::mono();
        let mut kept = self.metadata.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, metadata)) = kept.as_ref()
            && now.since(*at) < KEPT
        {
            return Ok(metadata.clone());
        }
        let call = |request| self.call(request);
        let metadata = CoreProviderMetadata::discover(&self.issuer, &call)
            .map_err(|why| refused("its metadata", &told(&why)))?;
        *kept = Some((now, metadata.clone()));
        Ok(metadata)
    }

    fn forget_metadata(&self) {
        *self.metadata.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Begins a login.
    pub(super) fn ask(&self) -> Result<AskedFor, CityError> {
        let metadata = self.metadata()?;
        let client = CoreClient::from_provider_metadata(
            metadata,
            self.client_id.clone(),
            self.secret.clone(),
        )
        .set_redirect_uri(self.back.clone());
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let (address, state, nonce) = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                CsrfToken::new_random,
                Nonce::new_random,
            )
            .add_scopes(self.scopes.clone())
            .set_pkce_challenge(challenge)
            .url();
        Ok(AskedFor {
            address: address.to_string(),
            state: state.secret().clone(),
            nonce,
            verifier,
        })
    }

    /// Whom the provider knows by this code.
    pub(super) fn known(
        &self,
        code: String,
        verifier: PkceCodeVerifier,
        nonce: &Nonce,
    ) -> Result<Known, CityError> {
        let client = CoreClient::from_provider_metadata(
            self.metadata()?,
            self.client_id.clone(),
            self.secret.clone(),
        )
        .set_redirect_uri(self.back.clone());
        let call = |request| self.call(request);
        let token = client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|why| refused("its metadata", &why))?
            .set_pkce_verifier(verifier)
            .request(&call)
            .map_err(|why| refused("the code", &told(&why)))?;
        let id_token = token
            .id_token()
            .ok_or_else(|| refused("the answer", &"there is no ID token in it"))?;
        let checked = id_token.claims(&client.id_token_verifier(), nonce);
        let claims = checked.map_err(|why| {
            // Its keys may have changed: the next try reads them again.
            self.forget_metadata();
            refused("the ID token", &why)
        })?;
        let subject = claims.subject().clone();
        // The token was checked as a whole, its further claims included.
        let mut further = further_claims(&id_token.to_string());
        let about = client.user_info(token.access_token().clone(), Some(subject.clone()));
        let mut said: Option<UserInfoClaims<Further, CoreGenderClaim>> = None;
        if let Ok(about) = about {
            let answer = about.request(&call);
            said = Some(answer.map_err(|why| refused("who it is", &told(&why)))?);
        }
        if let Some(said) = &said {
            further.extend(said.additional_claims().all.clone());
        }
        let preferred = said.as_ref().and_then(|said| said.preferred_username());
        let preferred = preferred.or(claims.preferred_username());
        let is_proven = |proven: Option<bool>| proven != Some(false);
        let mail = said
            .as_ref()
            .and_then(|said| said.email().filter(|_| is_proven(said.email_verified())));
        let mail = mail.or(claims
            .email()
            .filter(|_| is_proven(claims.email_verified())));
        let shown = said.as_ref().and_then(|said| said.name()).or(claims.name());
        let shown = shown.and_then(|names| names.get(None));
        let name = preferred
            .map(|name| name.as_str().to_owned())
            .or_else(|| mail.map(|mail| mail.as_str().to_owned()));
        Ok(Known {
            subject: format!("{} {}", self.issuer.as_str(), subject.as_str()),
            name: name.unwrap_or_default(),
            shown_name: shown
                .map(|name| name.as_str().to_owned())
                .unwrap_or_default(),
            groups: groups_in(further.get(&self.groups_claim)),
        })
    }
}

/// The whole chain of reasons.
fn told(error: &(dyn std::error::Error + 'static)) -> String {
    let reasons: Vec<String> = causes::of(error).map(ToString::to_string).collect();
    reasons.join(": ")
}

/// The claims of a token that was checked.
fn further_claims(token: &str) -> Map<String, Value> {
    let payload = token.split('.').nth(1).unwrap_or_default();
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

/// Groups are a list of names, or one name.
fn groups_in(claim: Option<&Value>) -> Vec<String> {
    match claim {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(many)) => many
            .iter()
            .filter_map(Value::as_str)
            .take(MOST_GROUPS)
            .map(str::to_owned)
            .collect(),
        _ => Vec::new(),
    }
}
