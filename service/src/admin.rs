//! The admin port: `/healthz`, `/readyz`, `/metrics` and what a process adds.
//!
//! Never the public port: network policies open it to the operator and to
//! monitoring only.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::http;

/// Says whether the process is ready, or what is missing.
pub type Readiness = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Probes and a few scrapers; they are the last to leave and must not hold up
/// the end.
const BOUNDS: http::Bounds =
    http::Bounds { connections: 64, linger: Duration::ZERO, drain: Duration::from_secs(2) };

/// Binds `address` and serves until `shutdown`; `extra` adds routes.
pub async fn serve(
    address: SocketAddr,
    registry: Arc<Registry>,
    readiness: Readiness,
    extra: Router,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("listen on {address}"))?;
    let router = router(registry, readiness).merge(extra);
    http::serve(listener, router, BOUNDS, shutdown).await;
    Ok(())
}

fn router(registry: Arc<Registry>, readiness: Readiness) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route(
            "/readyz",
            get(async move || match readiness() {
                Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
                Err(missing) => (StatusCode::SERVICE_UNAVAILABLE, format!("{missing}\n")),
            }),
        )
        .route("/metrics", get(async move || metrics(&registry)))
}

fn metrics(registry: &Registry) -> impl IntoResponse + use<> {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).expect("writing to a String can't fail");
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
}
