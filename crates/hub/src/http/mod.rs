//! The pages over HTTP: the two pages and what belongs to them, the clips with ranges, and the page on which a citizen takes a message
//! back, which is the only one that takes anything.
//!
//! Owns: routes and headers. Never does: a third-party request, a script. Views may block for
//! milliseconds, so they are asked on a thread of their own.
//!
//! Every address in a page is relative to the page's own (RFC 3986 §4.2), so that a reverse proxy may put the pages under any
//! prefix and the hub does not need to know it.

mod clip;
mod fleet;
pub(crate) mod guests;
mod names;
mod orders;
mod questions;
mod ranged;
mod update_files;
mod updates;
mod withdraw;

use booth_contract::ClipId;
use std::future::Future;
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::{Extension, FromRequestParts, Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};

use base64::Engine;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

pub use names::Names;
pub use update_files::UpdateFiles;

use booth_city::City;
use booth_city::centre::CentreError;
use booth_city::people::{Person, Right};
use booth_city::web::Need;
use booth_sealing::{EnvelopeError, OpenError};
use clip::Unplayable;

use super::config::HubConfig;
use super::monitoring::Monitoring;
use super::orders::Orders;
use super::pages::{self, Base, Head};
use super::rollout::Rollouts;
use super::view::{ClipFile, Cursor, FleetView, Place, Views};
use super::withdrawing::Withdrawing;
use booth_host::crew::{self, Death};

/// Entries on one page.
const PER_PAGE: usize = 50;
/// Most entries that one page shows.
const MOST: usize = 1000;

/// Questions that the store is asked at a time. Further requests wait their turn, and occupy no thread meanwhile.
const MOST_QUESTIONS: usize = 4;

/// The sound of a clip, a complete Ogg Opus file.
///
/// # Errors
/// A clip that cannot be read, opened, or that is not what its booth sealed.
pub(crate) fn sound_of(clip: &ClipFile) -> Result<Vec<u8>, CentreError> {
    clip::whole(clip).map_err(told)
}

/// The text of a written message.
///
/// # Errors
/// A clip that cannot be read or opened, or is none.
pub(crate) fn text_of(clip: &ClipFile) -> Result<String, CentreError> {
    clip::text(clip).map_err(told)
}

fn told(error: Unplayable) -> CentreError {
    match error {
        Unplayable::Sealed(OpenError::Envelope(EnvelopeError::NotForUs)) => CentreError::Sealed,
        Unplayable::Busy => CentreError::Busy,
        error => CentreError::Failed(error.to_string()),
    }
}

/// Serves the pages until `stop`, to requests that use one of their names.
pub async fn serve(
    listener: tokio::net::TcpListener,
    views: Arc<dyn Views>,
    names: Names,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let pages = router(views, None).layer(Extension(Hearing::InTheJournal));
    guests::serve(listener, None, guarded(pages, names), stop).await;
}

/// The same, and every other address is somebody else's.
pub(crate) async fn serve_before(
    others: Router,
    listener: tokio::net::TcpListener,
    views: Arc<dyn Views>,
    names: Names,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let pages = router(views, None).layer(Extension(Hearing::AtTheHub));
    let pages = pages.fallback_service(others);
    guests::serve(listener, None, guarded(pages, names), stop).await;
}

/// The same with the page on which citizens take messages back, and the pages of the city's staff. As soon as there is an account, the
/// hub's own pages need a login, too.
pub async fn serve_with(
    listener: tokio::net::TcpListener,
    tls: Option<TlsAcceptor>,
    pages: Pages,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    guests::serve(listener, tls, with_staff(pages), stop).await;
}

/// What the staff's listener shows.
pub struct Pages {
    /// Where the hub's own pages take their content from.
    pub views: Arc<dyn Views>,
    /// Under which names they may be asked for.
    pub names: Names,
    /// What becomes of what is taken back on a page.
    pub withdrawing: Arc<Withdrawing>,
    /// The pages of the city's staff.
    pub city: Arc<City>,
    /// What machines ask.
    pub monitoring: Monitoring,
    /// The way to the booths.
    pub orders: Orders,
    /// The new version on its way through the fleet.
    pub rollouts: Arc<Rollouts>,
    /// The files of updates that this hub sends to booths.
    pub update_files: Option<UpdateFiles>,
    /// What the hub is configured to.
    pub hub: Arc<HubConfig>,
}

pub(crate) fn with_staff(pages: Pages) -> Router {
    let city = &pages.city;
    let own = router(pages.views, Some(pages.withdrawing))
        .layer(Extension(Arc::clone(city)))
        .layer(Extension(pages.orders))
        .layer(Extension(pages.rollouts))
        .layer(Extension(pages.update_files))
        .layer(Extension(pages.hub));
    let own = booth_city::web::behind_the_door(city, own, need_of);
    let staff = own.merge(booth_city::web::for_staff(city));
    // Machines have no login: what they may see stands in the figures' own comment.
    guarded(staff.merge(pages.monitoring.router()), pages.names)
}

/// What the hub's own pages need of whoever comes: they show all campaigns.
fn need_of(path: &str) -> Need {
    match path {
        "/" => Need::Right(Right::Listen),
        "/operations" | "/operations.csv" | "/look-at" | "/updates" | "/questions"
        | "/questions/change" => Need::Right(Right::Operate),
        _ if path.starts_with("/booth/") => Need::Right(Right::Operate),
        _ if path.starts_with("/clips/") => Need::Right(Right::Listen),
        // What citizens take back, and what is not there.
        _ => Need::Nothing,
    }
}

/// Answers requests on one stream, like those of an accepted connection, until it ends.
pub async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    views: Arc<dyn Views>,
    names: Names,
) {
    // A failure concerns this client only.
    let _ = guests::answer(stream, guarded(router(views, None), names)).await;
}

/// Where it is written down that somebody hears a clip at a desk.
#[derive(Clone, Copy)]
enum Hearing {
    /// Nobody logs in there: the journal says what was opened.
    InTheJournal,
    /// The hub is asked, which knows who asks, and writes it into its log of acts; what it may not open is opened at the desk.
    AtTheHub,
}

/// Pages that answer to their names alone.
fn guarded(pages: Router, names: Names) -> Router {
    pages.layer(middleware::from_fn_with_state(Arc::new(names), guard))
}

fn router(views: Arc<dyn Views>, withdrawing: Option<Arc<Withdrawing>>) -> Router {
    Router::new()
        .route("/", get(answers))
        .route("/operations", get(fleet::operations))
        .route("/operations.csv", get(fleet::csv))
        .route("/look-at", get(look_at))
        .route("/updates", get(updates::page).post(updates::change))
        .route("/questions", get(questions::page))
        .route(
            "/questions/change",
            get(questions::confirm).post(questions::press),
        )
        .route("/booth/{id}", get(fleet::booth))
        .route("/booth/{id}/order", post(orders::send))
        .route("/booth/{id}/to-sign", get(orders::to_sign))
        .route("/clips/{id}", get(a_clip))
        .route(
            "/withdraw",
            get(withdraw::page)
                .post(withdraw::typed)
                .with_state(withdrawing),
        )
        .fallback(|uri: Uri| async move { missing(&uri, "There is no such page.") })
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

    /// The fleet; nothing where the database does not answer, which is no fleet without booths.
    async fn fleet(self) -> Option<FleetView> {
        let asked = self.ask(|views| views.fleet()).await;
        asked.ok().filter(|fleet| !fleet.is_unknown)
    }
}

/// What the pages may load: nothing but the style that stands in them, which is named by its hash (CSP 3 §6.7.2.3), and sound.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| page_policy("'none'"));

/// The same for a page that sends its form here.
static POLICY_WITH_FORM: LazyLock<HeaderValue> = LazyLock::new(|| page_policy("'self'"));

fn page_policy(forms: &str) -> HeaderValue {
    let style = hash_of(&[pages::STYLE]);
    policy(&format!(
        "default-src 'none'; style-src '{style}'; media-src 'self'; img-src data:; base-uri 'none'; form-action {forms}; \
         frame-ancestors 'none'"
    ))
}

/// The hash of an inline style, as a policy names it.
fn hash_of(style: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in style {
        hash.update(part);
    }
    let hash = base64::prelude::BASE64_STANDARD.encode(hash.finalize());
    format!("sha256-{hash}")
}

fn policy(text: &str) -> HeaderValue {
    // Without any policy a page would be open; this one loads nothing at all.
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("default-src 'none'"))
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
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert_with(|| POLICY.clone());
    const ALWAYS: [(HeaderName, &str); 4] = [
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

/// Somebody who is logged in and may look after the booths, and the city whose log of acts says what was done.
struct Operator {
    city: Arc<City>,
    person: Person,
}

impl<S: Send + Sync> FromRequestParts<S> for Operator {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let refused = |title: &str, why: &str| plain(StatusCode::FORBIDDEN, &parts.uri, title, why);
        let city = parts.extensions.get::<Arc<City>>().cloned();
        let person = parts.extensions.get::<Person>().cloned();
        match city.zip(person) {
            None => Err(refused(
                "Not without a login",
                "This needs a login. Make an account on the command line: booth-hub people add --help.",
            )),
            Some((_, person)) if !person.may(Right::Operate, None) => Err(refused(
                "Not yours",
                "Your account may not look after the booths.",
            )),
            Some((city, person)) => Ok(Self { city, person }),
        }
    }
}

/// The head of a page for whoever asks: with the navigation of the city's staff, where somebody is logged in.
struct Reader(Head);

impl<S: Send + Sync> FromRequestParts<S> for Reader {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let city = parts.extensions.get::<Arc<City>>();
        let person = parts.extensions.get::<Person>();
        Ok(Self(match city.zip(person) {
            Some((city, person)) => Head::Staff(booth_city::web::head_of(city, person)),
            None => Head::Own,
        }))
    }
}

async fn answers(
    State(store): State<Store>,
    Reader(head): Reader,
    uri: Uri,
    Query(query): Pairs,
) -> Response {
    let wanted = match Wanted::read(&query) {
        Ok(wanted) => wanted,
        Err(what) => return plain(StatusCode::BAD_REQUEST, &uri, "Not understood", what),
    };
    let size = wanted.size();
    let asked = store.ask(move |views| views.answers_at(wanted.per_page, &wanted.place));
    match asked.await {
        Ok(view) => Html(pages::answers(&head, &view, size).into_string()).into_response(),
        Err(_) => broken(&uri),
    }
}

async fn look_at(
    State(store): State<Store>,
    Reader(head): Reader,
    uri: Uri,
    Query(query): Pairs,
) -> Response {
    let wanted = match Wanted::read(&query) {
        Ok(wanted) => wanted,
        Err(what) => return plain(StatusCode::BAD_REQUEST, &uri, "Not understood", what),
    };
    let size = wanted.size();
    let asked = store.ask(move |views| views.refused(wanted.per_page, &wanted.place));
    match asked.await {
        Ok(page) => Html(pages::look_at(&head, &page, size).into_string()).into_response(),
        Err(_) => broken(&uri),
    }
}

async fn a_clip(
    State(store): State<Store>,
    hearing: Option<Extension<Hearing>>,
    Path(id): Path<String>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let id = ClipId::from(id.strip_suffix(".opus").unwrap_or(&id));
    if uuid::Uuid::try_parse(&id).is_err() {
        return missing(&uri, "That is no clip's id.");
    }
    let asked = id.clone();
    let found = store.ask(move |views| views.clip_file(&asked)).await;
    let Ok(found) = found else {
        return broken(&uri);
    };
    let Some(file) = found else {
        return missing(&uri, "There is no such clip, or it may not be played.");
    };
    let path = file.files.place();
    let hearing = hearing.map(|Extension(hearing)| hearing);
    if let Some(Hearing::AtTheHub) = hearing {
        let what = if file.is_text {
            "written.txt"
        } else {
            "sound.opus"
        };
        return Redirect::temporary(&format!("../desk/message/{id}/{what}")).into_response();
    }
    match clip::answer(file, &method, &headers).await {
        Ok(response) => {
            if hearing.is_some() && method == Method::GET && response.status() == StatusCode::OK {
                log::info!(clip_id = id.as_str(); "clip {id} was opened, and heard or read on this machine");
            }
            response
        }
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
                | Unplayable::NoText
                | Unplayable::TooLong(_) => missing(
                    &uri,
                    "This clip is not what its booth sealed, or not whole. Operations should look at it; booth-hub open says more.",
                ),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_of_the_hub_needs_a_right_but_the_one_where_citizens_take_back() {
        let listen = Need::Right(Right::Listen);
        let operate = Need::Right(Right::Operate);
        for (path, need) in [
            ("/", listen),
            ("/clips/0190b6b1-0000-7000-8000-000000000000.opus", listen),
            ("/operations", operate),
            ("/operations.csv", operate),
            ("/updates", operate),
            ("/questions", operate),
            ("/questions/change", operate),
            ("/look-at", operate),
            ("/booth/rundhoej-1", operate),
            ("/booth/rundhoej-1/order", operate),
            ("/withdraw", Need::Nothing),
            ("/no-such-page", Need::Nothing),
        ] {
            assert_eq!(need_of(path), need, "{path}");
        }
        // A route that is added has to be decided here.
        let source = include_str!("mod.rs");
        let source = source.split("#[cfg(test)]").next().unwrap_or_default();
        let routes = source.split(".route(").skip(1).filter_map(|rest| {
            let path = rest.trim_start().strip_prefix('"')?;
            path.split('"').next()
        });
        let routes: Vec<&str> = routes.collect();
        assert_eq!(
            routes,
            [
                "/",
                "/operations",
                "/operations.csv",
                "/look-at",
                "/updates",
                "/questions",
                "/questions/change",
                "/booth/{id}",
                "/booth/{id}/order",
                "/booth/{id}/to-sign",
                "/clips/{id}",
                "/withdraw"
            ]
        );
    }

    #[test]
    fn a_style_is_named_by_its_hash_and_none_is_let_in_otherwise() {
        // sha256 of "abc" (FIPS 180-2), in base64.
        let abc = "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
        assert_eq!(hash_of(&["a", "bc"]), abc);
        let policy = POLICY.to_str().expect("text");
        assert!(policy.contains("style-src 'sha256-") && !policy.contains("unsafe"));
    }
}
