//! The pages of a sealed hub's staff, shown where the key is: what a moderator asks goes to the hub, and what the hub cannot open is opened
//! here (docs/hub-sealed.md).
//!
//! Owns: the way to the hub, and sound and text of one message in memory. Never does: decide who may hear what, keep a login, or hand the hub
//! a sound: the hub is asked first, looks at login and rights, and writes the hearing down; only where it answers that the message is sealed
//! is it opened here. A hub that is away is said on the page; nothing is half done.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use booth_audio::{at_level, portrait};
use booth_contract::ClipId;
use booth_host::config_file::ConfigFault;
use booth_host::crew;
use booth_host::tls;
use jiff::Timestamp;
use ureq::Agent;

use crate::config::HubDesk;
use crate::http::{sound_of, text_of};
use crate::view::Views;

/// How long the hub may take for one page.
const PATIENCE: Duration = Duration::from_secs(60);
/// Most bytes that are sent to the hub at once: an editor's recording.
const MOST_SENT: usize = 32 << 20;
/// Most bytes of an answer of the hub.
const MOST_TAKEN: u64 = 256 << 20;
/// Bars of a sound whose loudness is measured.
const BARS: usize = 600;
/// What concerns one connection alone (RFC 9110 §7.6.1), and what is said anew on the next one.
const OF_THE_CONNECTION: [HeaderName; 8] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::CONTENT_LENGTH,
    header::HOST,
    header::ACCEPT_ENCODING,
];

/// See the module's comment.
pub(crate) struct Relay {
    agent: Agent,
    /// The hub's address without a slash at its end.
    hub: String,
    views: Arc<dyn Views>,
}

/// What the hub cannot open.
enum Sealed {
    Sound(ClipId),
    Text(ClipId),
}

impl Relay {
    /// To the hub of this configuration; `None` where none is named.
    ///
    /// # Errors
    /// A certificate's file that cannot be read, or an address that is none.
    pub(crate) fn of(
        config: &HubDesk,
        views: Arc<dyn Views>,
    ) -> Result<Option<Arc<Self>>, ConfigFault> {
        let Some(hub) = &config.hub else {
            return Ok(None);
        };
        let tls = tls::for_http(config.ca_file.as_deref());
        let tls = tls.map_err(|why| ConfigFault::of("[desk] ca_file", why.to_string()))?;
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            // The hub is on this machine or answers for itself.
            .proxy(None)
            .tls_config(tls)
            .user_agent(concat!("booth-hub/", env!("CARGO_PKG_VERSION")))
            .timeout_global(Some(PATIENCE))
            .build();
        Ok(Some(Arc::new(Self {
            agent: agent.into(),
            hub: hub.trim_end_matches('/').to_owned(),
            views,
        })))
    }

    /// Everything that the desk has no page of its own for.
    pub(crate) fn router(self: &Arc<Self>) -> Router {
        Router::new().fallback(relayed).with_state(Arc::clone(self))
    }

    /// The same request, at the hub. What a browser says of where its form comes from is said of the hub's own page: whoever could send
    /// another site's form here was refused before.
    fn asked(&self, parts: &Parts, sent: Bytes) -> Result<ureq::http::Request<Vec<u8>>, String> {
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = ureq::http::Request::builder()
            .method(parts.method.as_str())
            .uri(format!("{}{path}", self.hub));
        for (name, value) in &parts.headers {
            let is_said_anew = [header::ORIGIN, header::REFERER].contains(name);
            if !OF_THE_CONNECTION.contains(name) && !is_said_anew {
                request = request.header(name.as_str(), value.as_bytes());
            }
        }
        if parts.headers.contains_key(header::ORIGIN) {
            request = request.header("origin", self.hub.as_str());
        }
        request.body(sent.to_vec()).map_err(|why| why.to_string())
    }

    /// Asks the hub, and opens here what it cannot.
    fn answer(&self, parts: &Parts, sent: Bytes) -> Result<Response, String> {
        let asked = self.asked(parts, sent)?;
        let answered = self.agent.run(asked).map_err(|why| why.to_string())?;
        let (head, body) = answered.into_parts();
        if head.status == StatusCode::LOCKED.as_u16()
            && let Some(sealed) = sealed_of(parts)
        {
            return Ok(self.opened(&sealed, &parts.method, &parts.headers));
        }
        let mut bytes = Vec::new();
        let mut reader = body.into_reader().take(MOST_TAKEN);
        reader
            .read_to_end(&mut bytes)
            .map_err(|why| why.to_string())?;
        let mut response = Response::new(Body::from(bytes));
        *response.status_mut() =
            StatusCode::from_u16(head.status.as_u16()).map_err(|why| why.to_string())?;
        for (name, value) in &head.headers {
            let name = HeaderName::from_bytes(name.as_str().as_bytes());
            let value = HeaderValue::from_bytes(value.as_bytes());
            let (Ok(name), Ok(value)) = (name, value) else {
                continue;
            };
            if !OF_THE_CONNECTION.contains(&name) {
                response.headers_mut().append(name, value);
            }
        }
        Ok(response)
    }

    /// A message that the hub lets this person hear or read, opened with the key of this machine.
    fn opened(&self, sealed: &Sealed, method: &Method, headers: &HeaderMap) -> Response {
        let (Sealed::Sound(id) | Sealed::Text(id)) = sealed;
        let not_here = "The hub's store is not here with this message, or its key is another one.";
        let Some(file) = self.views.clip_file(id) else {
            return said(StatusCode::NOT_FOUND, not_here);
        };
        let opened = match sealed {
            Sealed::Sound(_) if !file.is_text => sound_of(&file).map(|sound| {
                let gain_db = portrait(&sound, BARS).map_or(0.0, |seen| seen.gain_db);
                let sound = at_level(sound, gain_db);
                booth_city::web::sound::answer(sound, Timestamp::UNIX_EPOCH, method, headers)
            }),
            Sealed::Text(_) if file.is_text => text_of(&file).map(|text| {
                let plain = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
                (plain, text).into_response()
            }),
            _ => return said(StatusCode::NOT_FOUND, not_here),
        };
        opened.unwrap_or_else(|why| said(StatusCode::SERVICE_UNAVAILABLE, &why.to_string()))
    }
}

fn said(status: StatusCode, what: &str) -> Response {
    let plain = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (status, plain, format!("{what}\n")).into_response()
}

/// Which message's sound or text an address is.
fn sealed_of(parts: &Parts) -> Option<Sealed> {
    let rest = parts.uri.path().strip_prefix("/desk/message/")?;
    let (id, what) = rest.split_once('/')?;
    uuid::Uuid::try_parse(id).ok()?;
    match what {
        "sound.opus" => Some(Sealed::Sound(id.into())),
        "written.txt" => Some(Sealed::Text(id.into())),
        _ => None,
    }
}

/// Whether a browser says that a change comes from a page of this address.
fn is_from_our_page(parts: &Parts) -> bool {
    let value = |name: &HeaderName| parts.headers.get(name)?.to_str().ok();
    let host = value(&header::HOST).unwrap_or_default();
    let is_ours = |origin: &str| origin.strip_prefix("http://") == Some(host);
    value(&header::ORIGIN).is_none_or(is_ours)
}

async fn relayed(State(relay): State<Arc<Relay>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if !is_from_our_page(&parts) {
        return said(
            StatusCode::FORBIDDEN,
            "This came from a page of another site, so nothing was changed.",
        );
    }
    let Ok(sent) = to_bytes(body, MOST_SENT).await else {
        return said(StatusCode::PAYLOAD_TOO_LARGE, "That is too much to send.");
    };
    let asked = crew::aside("relay", move || relay.answer(&parts, sent)).await;
    match asked {
        Ok(Ok(response)) => response,
        Ok(Err(why)) => {
            log::warn!(about = "relay"; "the hub does not answer the desk: {why}");
            said(
                StatusCode::BAD_GATEWAY,
                "The hub does not answer. See whether it runs and whether the way to it is open ([desk] hub); nothing was changed.",
            )
        }
        Err(death) => said(StatusCode::INTERNAL_SERVER_ERROR, &death.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(path: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = axum::http::Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request").into_parts().0
    }

    #[test]
    fn only_a_messages_own_sound_and_text_are_opened_here() {
        const ID: &str = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff";
        let is_one = |path: &str| sealed_of(&parts(path, &[])).is_some();
        assert!(is_one(&format!("/desk/message/{ID}/sound.opus")));
        assert!(is_one(&format!("/desk/message/{ID}/written.txt?x=1")));
        for path in [
            format!("/desk/message/{ID}"),
            format!("/desk/message/{ID}/"),
            format!("/desk/message/../{ID}/sound.opus"),
            format!("/editor/message/{ID}/sound.opus"),
            "/desk/message/..%2f..%2fetc/sound.opus".into(),
            "/desk/message//sound.opus".into(),
        ] {
            assert!(!is_one(&path), "{path}");
        }
    }

    #[test]
    fn a_form_of_another_site_goes_no_further() {
        let from = |origin: &str| {
            let headers = [("host", "127.0.0.1:8080"), ("origin", origin)];
            is_from_our_page(&parts("/desk", &headers))
        };
        assert!(from("http://127.0.0.1:8080"));
        assert!(is_from_our_page(&parts(
            "/desk",
            &[("host", "127.0.0.1:8080")]
        )));
        for origin in ["http://127.0.0.1:9090", "https://evil.example", "null", ""] {
            assert!(!from(origin), "{origin}");
        }
    }
}
