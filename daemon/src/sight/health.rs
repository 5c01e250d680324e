//! `/metrics`, `/healthz`, `/readyz`.
//!
//! `healthz` says that the process answers; `readyz` is red when renewals would stop: the scheduler stands still, or the store or
//! the audit journal takes nothing.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

use super::scrape::Scrape;
use crate::shared::Shared;

/// Routes of the metrics listener.
pub fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(shared)
}

/// Collected beside the runtime: with many thousands of objects it takes a while.
async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let clock = Arc::clone(&shared.clock);
    let collected = tokio::task::spawn_blocking(move || Scrape::of(&shared).collect(|| clock.now())).await;
    match collected
        .map_err(|error| error.to_string())
        .and_then(|collected| collected.map_err(|error| error.to_string()))
    {
        Ok(exposition) => {
            let body = Body::from_stream(futures::stream::iter(exposition));
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], body).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("metrics: {error}\n")).into_response(),
    }
}

async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    let journal = || shared.journal.trouble(shared.clock.now()).map(|why| format!("nothing is done unaudited: {why}"));
    match shared.driver.trouble().or_else(journal) {
        None => "ready\n".into_response(),
        Some(trouble) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {trouble}\n")).into_response(),
    }
}

/// Serves the routes until the token is cancelled.
///
/// # Errors
/// When the address cannot be listened at.
pub async fn serve(
    address: &str,
    routes: Router,
    stop: tokio_util::sync::CancellationToken,
) -> std::io::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    tokio::spawn(crate::serve::tcp(listener, routes, stop));
    Ok(bound)
}
