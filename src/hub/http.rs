//! The pages over HTTP: two pages, the clips with ranges, and nothing that can be changed.
//!
//! Owns: routes and headers. Never does: a third-party request, a script, a write. Views may block for
//! milliseconds, so they are asked on a thread of their own.

use std::future::Future;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use tower_http::services::ServeFile;

use super::pages;
use super::view::Views;

/// Clips on one page.
const PER_PAGE: usize = 50;
/// Most clips that one page shows.
const MOST: usize = 1000;

/// Serves the pages until `stop`.
pub async fn serve(
    listener: tokio::net::TcpListener,
    views: Arc<dyn Views>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, router(views))
        .with_graceful_shutdown(stop)
        .await
}

fn router(views: Arc<dyn Views>) -> Router {
    Router::new()
        .route("/", get(answers))
        .route("/operations", get(operations))
        .route("/clips/{id}", get(clip))
        .fallback(|| async { missing("There is no such page.") })
        .layer(middleware::from_fn(guard))
        .with_state(views)
}

/// Nothing is loaded from elsewhere, nothing is framed, nothing is guessed; pages are never cached.
async fn guard(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
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
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn missing(what: &str) -> Response {
    (
        StatusCode::NOT_FOUND,
        Html(pages::plain("Not here", what).into_string()),
    )
        .into_response()
}

fn broken() -> Response {
    let page = pages::plain(
        "Not now",
        "The store did not answer. Try again in a moment.",
    );
    (StatusCode::INTERNAL_SERVER_ERROR, Html(page.into_string())).into_response()
}

#[derive(serde::Deserialize)]
struct Wanted {
    clips: Option<usize>,
}

async fn answers(State(views): State<Arc<dyn Views>>, Query(wanted): Query<Wanted>) -> Response {
    let limit = wanted.clips.unwrap_or(PER_PAGE).clamp(1, MOST);
    match tokio::task::spawn_blocking(move || views.answers(limit)).await {
        Ok(view) => Html(pages::answers(&view, limit + PER_PAGE).into_string()).into_response(),
        Err(_) => broken(),
    }
}

async fn operations(State(views): State<Arc<dyn Views>>) -> Response {
    match tokio::task::spawn_blocking(move || views.fleet()).await {
        Ok(view) => Html(pages::operations(&view).into_string()).into_response(),
        Err(_) => broken(),
    }
}

async fn clip(
    State(views): State<Arc<dyn Views>>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let id = id.strip_suffix(".opus").unwrap_or(&id).to_owned();
    if uuid::Uuid::try_parse(&id).is_err() {
        return missing("That is no clip's id.");
    }
    let found = tokio::task::spawn_blocking(move || views.clip_file(&id)).await;
    let Ok(found) = found else { return broken() };
    let Some(path) = found else {
        return missing("There is no such clip, or it may not be played.");
    };
    let Ok(mime) = "audio/ogg".parse() else {
        return broken();
    };
    match ServeFile::new_with_mime(path, &mime)
        .try_call(request)
        .await
    {
        Ok(response) => response.map(axum::body::Body::new),
        Err(_) => broken(),
    }
}
