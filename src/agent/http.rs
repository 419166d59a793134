//! The agent's own endpoints: `/metrics`, `/livez`, `/readyz`.
//!
//! They have no password and say nothing of any record, so they are for this machine by default.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use tokio::net::TcpListener;

use crate::telemetry::Page;

use super::run::Health;

/// Why the endpoints cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("could not listen on {address}; set `listen` in [agent] to a free address, or port 0")]
pub struct ListenError {
    address: SocketAddr,
    source: io::Error,
}

#[derive(Clone)]
struct Endpoints {
    health: Arc<Health>,
    page: Page,
}

/// Serves the endpoints in the background; gives the address, whose port may have been drawn.
pub async fn serve(
    address: SocketAddr,
    health: Arc<Health>,
    page: Page,
) -> Result<SocketAddr, ListenError> {
    let unbound = |source| ListenError { address, source };
    let listener = TcpListener::bind(address).await.map_err(unbound)?;
    let bound = listener.local_addr().map_err(unbound)?;
    let router = router(health, page);
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the endpoints are gone");
        }
    });
    Ok(bound)
}

fn router(health: Arc<Health>, page: Page) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .with_state(Endpoints { health, page })
}

async fn metrics(State(endpoints): State<Endpoints>) -> impl IntoResponse {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], endpoints.page.render())
}

async fn live(State(endpoints): State<Endpoints>) -> impl IntoResponse {
    let stuck = endpoints.health.stuck();
    let status = status(stuck.is_empty());
    (status, Json(json!({ "live": stuck.is_empty(), "stuck": stuck })))
}

async fn ready(State(endpoints): State<Endpoints>) -> impl IntoResponse {
    let reasons = endpoints.health.unready();
    let role = if endpoints.health.is_leading() { "leader" } else { "standby" };
    let body = json!({ "ready": reasons.is_empty(), "role": role, "reasons": reasons });
    (status(reasons.is_empty()), Json(body))
}

fn status(good: bool) -> StatusCode {
    if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}
