//! The pages over HTTP.

use std::future::Future;
use std::sync::Arc;

use super::view::Views;

/// Serves the pages until `stop`.
pub async fn serve(
    listener: tokio::net::TcpListener,
    views: Arc<dyn Views>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let router = axum::Router::new().route(
        "/",
        axum::routing::get(move || {
            let views = views.clone();
            async move { format!("{:?}\n{:?}", views.answers(100), views.fleet()) }
        }),
    );
    axum::serve(listener, router)
        .with_graceful_shutdown(stop)
        .await
}
