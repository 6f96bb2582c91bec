//! `/healthz`, `/readyz` and `/metrics`, on the staff's listener and outside of its door: machines have no login.
//!
//! Owns: these three routes, who may scrape, and how often the store is asked for it: whatever the number of scrapes, one at a time looks at
//! the database, and all that come meanwhile and for nine times as long as it took get the same text. Never does: ask the store's thread.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::Semaphore;

use super::figures::{self, Scrape};
use super::meters::Meters;
use super::token::Token;
use crate::config::HubConfig;
use crate::store::measures::{Free, Measurer, free_at};
use crate::store::{BrokerStatus, StoreError};
use crate::view::Views;
use booth_city::City;
use booth_host::{clock, crew};

/// After so many seconds without a sign of the link's loop and the store's thread the hub does not count as alive: systemd ends it then, too
/// (`WatchdogSec` of booth-hub.service).
const SILENT_AT_MOST_S: u64 = 60;

/// OpenMetrics 1.0 §3.2.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// See the module's comment.
#[derive(Clone)]
pub struct Monitoring(Arc<Parts>);

struct Parts {
    meters: Arc<Meters>,
    broker: Arc<Mutex<BrokerStatus>>,
    views: Arc<dyn Views>,
    city: Arc<City>,
    dir: PathBuf,
    reserve_bytes: u64,
    token: Option<Token>,
    measurer: Mutex<Measurer>,
    /// One scrape at a time looks; the others wait here, and occupy no thread.
    turn: Arc<Semaphore>,
    /// The last text, and until when it is told, in ms.
    kept: Mutex<Option<(u64, Bytes)>>,
}

impl Monitoring {
    /// Of a running hub; without a token there are no figures.
    ///
    /// # Errors
    /// A database that cannot be opened.
    pub fn new(
        config: &HubConfig,
        token: Option<Token>,
        meters: Arc<Meters>,
        broker: Arc<Mutex<BrokerStatus>>,
        views: Arc<dyn Views>,
        city: Arc<City>,
    ) -> Result<Self, StoreError> {
        Ok(Self(Arc::new(Parts {
            meters,
            broker,
            views,
            city,
            dir: config.store.dir.clone(),
            reserve_bytes: config.store.reserve_bytes,
            token,
            measurer: Mutex::new(Measurer::open(&config.store.dir)?),
            turn: Arc::new(Semaphore::new(1)),
            kept: Mutex::new(None),
        })))
    }

    pub(crate) fn router(self) -> Router {
        Router::new()
            .route("/healthz", get(healthz))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(self)
    }
}

/// What is wrong with the room on the store's disk, if anything is.
fn no_room(free: Option<&Free>, reserve_bytes: u64) -> Option<String> {
    match free {
        Some(free) if free.is_enough => None,
        Some(free) => Some(format!(
            "Only {} MB and {} more files are free on the store's disk, and {} MB are to stay free: the booths keep their clips; make room.",
            free.bytes / 1_000_000,
            free.files,
            reserve_bytes.div_ceil(1_000_000)
        )),
        None => Some("The store's disk does not say how much is free.".to_owned()),
    }
}

impl Parts {
    /// Why the hub takes no messages now, one sentence each; none where it does.
    fn unready(&self, free: Option<&Free>) -> Vec<String> {
        let broker = self
            .broker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let away = (!broker.connected)
            .then(|| format!("The hub is not connected to its broker: {}.", broker.detail));
        let fault = self.meters.fault();
        let fault = fault.map(|fault| format!("The store takes no writes: {fault}."));
        let room = no_room(free, self.reserve_bytes);
        let workers = (self.meters.living_workers() == Some(0)).then(|| {
            "No worker takes messages in: start booth-hub-ingest@1 (docs/hub-workers.md)."
                .to_owned()
        });
        [away, fault, room, workers].into_iter().flatten().collect()
    }

    /// Looks at everything.
    fn scrape(&self) -> Result<String, String> {
        let free = free_at(&self.dir, self.reserve_bytes).ok();
        let measurer = self.measurer.lock().unwrap_or_else(PoisonError::into_inner);
        let measures = measurer.measure().map_err(|error| error.to_string())?;
        drop(measurer);
        let fleet = self.views.fleet();
        if fleet.is_unknown {
            return Err(fleet.broker_detail);
        }
        let now = clock::wall();
        let desk = self
            .city
            .waiting_for_a_decision()
            .ok()
            .map(|(messages, oldest)| {
                let waits = oldest.map_or(0, |since| now.duration_since(since).as_secs());
                (messages, u64::try_from(waits).unwrap_or(0))
            });
        let broker = self.broker.lock().unwrap_or_else(PoisonError::into_inner);
        let is_connected = broker.connected;
        drop(broker);
        let scrape = Scrape {
            meters: Arc::clone(&self.meters),
            is_connected,
            is_ready: self.unready(free.as_ref()).is_empty(),
            measures,
            fleet,
            reserve_bytes: self.reserve_bytes,
            free,
            desk,
        };
        figures::text(scrape).map_err(|error| error.to_string())
    }

    fn kept(&self) -> Option<Bytes> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, text) = kept.as_ref()?;
        (clock::mono().0 < *until).then(|| text.clone())
    }

    /// The text of before, while it is young enough, or a new one.
    fn text(&self) -> Result<Bytes, String> {
        if let Some(text) = self.kept() {
            return Ok(text);
        }
        let began = clock::mono().0;
        let text = Bytes::from(self.scrape()?);
        let now = clock::mono().0;
        let until = now + 9 * (now - began);
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some((until, text.clone()));
        Ok(text)
    }
}

fn plain(status: StatusCode, text: impl Into<String>) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (status, kind, text.into()).into_response()
}

async fn healthz(State(Monitoring(parts)): State<Monitoring>) -> Response {
    match parts.meters.silent_s(clock::mono()) {
        0..=SILENT_AT_MOST_S => plain(StatusCode::OK, "ok\n"),
        silent_s => plain(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("The hub's loop or its store has not turned for {silent_s} s.\n"),
        ),
    }
}

async fn readyz(State(Monitoring(parts)): State<Monitoring>) -> Response {
    let asked = crew::aside("monitoring", move || {
        let free = free_at(&parts.dir, parts.reserve_bytes).ok();
        parts.unready(free.as_ref())
    });
    match asked.await {
        Ok(why) if why.is_empty() => plain(StatusCode::OK, "ok\n"),
        Ok(why) => {
            // One sentence a line, whatever a broker or a system writes.
            let lines = why.iter().map(|why| why.replace(['\n', '\r'], " ") + "\n");
            plain(StatusCode::SERVICE_UNAVAILABLE, lines.collect::<String>())
        }
        Err(death) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("{death}\n")),
    }
}

async fn metrics(State(Monitoring(parts)): State<Monitoring>, headers: HeaderMap) -> Response {
    let Some(token) = &parts.token else {
        return plain(
            StatusCode::NOT_FOUND,
            "There are no figures: name a file with a token in [http] metrics_token_file of hub.toml.\n",
        );
    };
    if !token.is_shown(&headers) {
        let mut refused = plain(
            StatusCode::UNAUTHORIZED,
            "Show the token of [http] metrics_token_file: Authorization: Bearer TOKEN.\n",
        );
        let challenge = header::HeaderValue::from_static("Bearer");
        refused
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, challenge);
        return refused;
    }
    // This semaphore is never closed. The turn ends with the look, also of one who has gone meanwhile.
    let turn = Arc::clone(&parts.turn).acquire_owned().await;
    let looked = crew::aside("metrics", move || {
        let _turn = turn;
        parts.text()
    });
    match looked.await {
        Ok(Ok(text)) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Ok(Err(why)) => {
            log::warn!(about = "metrics"; "the figures cannot be read: {why}");
            plain(
                StatusCode::INTERNAL_SERVER_ERROR,
                "The store did not answer. Try again in a moment.\n",
            )
        }
        Err(_) => plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The figures could not be put together.\n",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_with_less_than_the_reserve_is_not_ready() {
        let free = |is_enough| Free {
            bytes: 150_000_000,
            files: 9,
            is_enough,
        };
        assert_eq!(no_room(Some(&free(true)), 100_000_000), None);
        let why = no_room(Some(&free(false)), 200_000_000).expect("a sentence");
        assert!(
            why.contains("150 MB") && why.contains("200 MB") && why.contains("make room"),
            "{why}"
        );
        assert!(no_room(None, 0).is_some());
    }
}
