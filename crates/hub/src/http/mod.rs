//! The pages over HTTP: the two pages and what belongs to them, the clips with ranges, and the page on which a citizen takes a message
//! back, which is the only one that takes anything.
//!
//! Owns: routes and headers. Never does: a third-party request, a script. Views may block for
//! milliseconds, so they are asked on a thread of their own.
//!
//! Every address in a page is relative to the page's own (RFC 3986 §4.2), so that a reverse proxy may put the pages under any
//! prefix and the hub does not need to know it.

mod clip;
mod guests;
mod names;
mod range;
mod validators;
mod withdraw;

use booth_contract::ClipId;
use std::future::Future;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;

pub use names::Names;

use booth_sealing::{EnvelopeError, OpenError};
use clip::Unplayable;

use super::pages::{self, Base};
use super::view::{Cursor, Place, Views};
use super::withdrawing::Withdrawing;
use booth_host::crew::{self, Death};

/// Entries on one page.
const PER_PAGE: usize = 50;
/// Most entries that one page shows.
const MOST: usize = 1000;

/// Questions that the store is asked at a time. Further requests wait their turn, and occupy no thread meanwhile.
const MOST_QUESTIONS: usize = 4;

/// Serves the pages until `stop`, to requests that use one of their names.
pub async fn serve(
    listener: tokio::net::TcpListener,
    views: Arc<dyn Views>,
    names: Names,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    guests::serve(listener, router(views, names, None), stop).await;
}

/// The same with the page on which citizens take messages back.
pub async fn serve_with(
    listener: tokio::net::TcpListener,
    views: Arc<dyn Views>,
    names: Names,
    withdrawing: Arc<Withdrawing>,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    guests::serve(listener, router(views, names, Some(withdrawing)), stop).await;
}

/// Answers requests on one stream, like those of an accepted connection, until it ends.
pub async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    views: Arc<dyn Views>,
    names: Names,
) {
    // A failure concerns this client only.
    let _ = guests::answer(stream, router(views, names, None)).await;
}

fn router(views: Arc<dyn Views>, names: Names, withdrawing: Option<Arc<Withdrawing>>) -> Router {
    Router::new()
        .route("/", get(answers))
        .route("/operations", get(operations))
        .route("/look-at", get(look_at))
        .route("/clips/{id}", get(a_clip))
        .route(
            "/withdraw",
            get(withdraw::page)
                .post(withdraw::typed)
                .with_state(withdrawing),
        )
        .fallback(|uri: Uri| async move { missing(&uri, "There is no such page.") })
        .layer(middleware::from_fn_with_state(Arc::new(names), guard))
        .with_state(Store {
            views,
            places: Arc::new(Semaphore::new(MOST_QUESTIONS)),
        })
}

/// The source of the pages' content, and how many requests may ask it at a time.
#[derive(Clone)]
struct Store {
    views: Arc<dyn Views>,
    places: Arc<Semaphore>,
}

impl Store {
    async fn ask<T: Send + 'static>(
        self,
        question: impl FnOnce(&dyn Views) -> T + Send + 'static,
    ) -> Result<T, Death> {
        // This semaphore is never closed.
        let _place = self.places.acquire().await;
        let views = self.views;
        crew::aside("pages", move || question(&*views)).await
    }
}

/// Requests under a name that is not the pages' are refused. The headers forbid browsers to load anything from elsewhere, to frame
/// a page, to guess a content type and to cache a page.
async fn guard(State(names): State<Arc<Names>>, request: Request, next: Next) -> Response {
    let mut response = match names.are_asked(request.uri(), request.headers()) {
        true => next.run(request).await,
        false => plain(
            StatusCode::MISDIRECTED_REQUEST,
            request.uri(),
            "Not under this name",
            "The pages are not known under the host that this request names. If a reverse proxy passes its own name on, \
             add that name to [http] names in hub.toml.",
        ),
    };
    let headers = response.headers_mut();
    const ALWAYS: [(HeaderName, &str); 5] = [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; media-src 'self'; img-src data:; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in ALWAYS {
        // A page with a form names what it may send in a policy of its own.
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

fn plain(status: StatusCode, uri: &Uri, title: &str, what: &str) -> Response {
    let page = pages::plain(Base::of(uri.path()), title, what);
    (status, Html(page.into_string())).into_response()
}

fn missing(uri: &Uri, what: &str) -> Response {
    plain(StatusCode::NOT_FOUND, uri, "Not here", what)
}

fn broken(uri: &Uri) -> Response {
    let what = "The store did not answer. Try again in a moment.";
    plain(StatusCode::INTERNAL_SERVER_ERROR, uri, "Not now", what)
}

/// Which page of a list an address asks for.
struct Wanted {
    per_page: usize,
    place: Place,
}

impl Wanted {
    /// `?clips=` how many, `&older=` or `&newer=` than which; the first of each counts, and what is not known is ignored.
    ///
    /// # Errors
    /// A sentence about a place that cannot be read.
    fn read(query: &[(String, String)]) -> Result<Self, &'static str> {
        let value = |name: &str| query.iter().find(|(key, _)| key == name);
        let per_page = match value("clips") {
            Some((_, text)) => text
                .parse()
                .map_err(|_| "The number of clips in this address is none.")?,
            None => PER_PAGE,
        };
        let cursor =
            |text: &str| Cursor::parse(text).ok_or("This address names no place in the list.");
        let place = match (value("older"), value("newer")) {
            (Some((_, text)), _) => Place::OlderThan(cursor(text)?),
            (None, Some((_, text))) => Place::NewerThan(cursor(text)?),
            (None, None) => Place::Newest,
        };
        Ok(Self {
            per_page: usize::clamp(per_page, 1, MOST),
            place,
        })
    }

    /// The page size for the page's links, if the address gives one.
    fn size(&self) -> Option<usize> {
        (self.per_page != PER_PAGE).then_some(self.per_page)
    }
}

type Pairs = Query<Vec<(String, String)>>;

async fn answers(State(store): State<Store>, uri: Uri, Query(query): Pairs) -> Response {
    let wanted = match Wanted::read(&query) {
        Ok(wanted) => wanted,
        Err(what) => return plain(StatusCode::BAD_REQUEST, &uri, "Not understood", what),
    };
    let size = wanted.size();
    let asked = store.ask(move |views| views.answers_at(wanted.per_page, &wanted.place));
    match asked.await {
        Ok(view) => Html(pages::answers(&view, size).into_string()).into_response(),
        Err(_) => broken(&uri),
    }
}

async fn look_at(State(store): State<Store>, uri: Uri, Query(query): Pairs) -> Response {
    let wanted = match Wanted::read(&query) {
        Ok(wanted) => wanted,
        Err(what) => return plain(StatusCode::BAD_REQUEST, &uri, "Not understood", what),
    };
    let size = wanted.size();
    let asked = store.ask(move |views| views.refused(wanted.per_page, &wanted.place));
    match asked.await {
        Ok(page) => Html(pages::look_at(&page, size).into_string()).into_response(),
        Err(_) => broken(&uri),
    }
}

async fn operations(State(store): State<Store>, uri: Uri) -> Response {
    match store.ask(|views| views.fleet()).await {
        Ok(view) => Html(pages::operations(&view).into_string()).into_response(),
        Err(_) => broken(&uri),
    }
}

async fn a_clip(
    State(store): State<Store>,
    Path(id): Path<String>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let id = ClipId::from(id.strip_suffix(".opus").unwrap_or(&id));
    if uuid::Uuid::try_parse(&id).is_err() {
        return missing(&uri, "That is no clip's id.");
    }
    let found = store.ask(move |views| views.clip_file(&id)).await;
    let Ok(found) = found else {
        return broken(&uri);
    };
    let Some(file) = found else {
        return missing(&uri, "There is no such clip, or it may not be played.");
    };
    let path = file.files.body.clone();
    match clip::answer(file, &method, &headers).await {
        Ok(response) => response,
        Err(error) => {
            log::warn!(about = "clip"; "a clip cannot be played: {}: {error}", path.display());
            match error {
                Unplayable::File(_) => broken(&uri),
                Unplayable::Sealed(OpenError::Envelope(EnvelopeError::NotForUs)) => missing(
                    &uri,
                    "This clip is sealed to a key that this hub does not have. Open it where that key is, with booth-hub open.",
                ),
                Unplayable::Busy => plain(
                    StatusCode::SERVICE_UNAVAILABLE,
                    &uri,
                    "Busy",
                    "Many are listening to sealed clips. Try again in a minute.",
                ),
                Unplayable::Sealed(_)
                | Unplayable::OtherClip
                | Unplayable::NotWhole(_)
                | Unplayable::TooLong(_) => missing(
                    &uri,
                    "This clip is not what its booth sealed, or not whole. Operations should look at it; booth-hub open says more.",
                ),
            }
        }
    }
}
