//! HTTP: health, readiness, metrics. The only place that knows axum.
//!
//! It answers supervisors and scrapers; it runs no statements.

mod listener;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::listener::Listener;
use crate::telemetry::Metrics;
use crate::tls::Tls;
use crate::{Error, Result};

/// What the handlers see.
#[derive(Debug, Clone)]
pub struct HttpState {
    /// The server's counters.
    pub metrics: Metrics,
    /// Told when the server drains; from then on it is not ready.
    pub draining: CancellationToken,
}

/// Serves until `closing` fires and the open requests are answered: to the end of a drain, so that it can be watched.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    state: HttpState,
    closing: CancellationToken,
) -> Result<()> {
    axum::serve(Listener::new(listener, tls)?, router(state))
        .with_graceful_shutdown(closing.cancelled_owned())
        .await
        .map_err(|error| Error::from(error).context("the HTTP listener failed"))
}

/// All routes.
fn router(state: HttpState) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .with_state(state)
}

/// Alive: the process answers. Says nothing about being able to serve.
async fn health() -> Response {
    axum::Json(json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") })).into_response()
}

/// Ready: the engine is open and the server takes statements. The listener accepts only once the engine is open.
async fn ready(State(state): State<HttpState>) -> Response {
    match state.draining.is_cancelled() {
        true => (StatusCode::SERVICE_UNAVAILABLE, axum::Json(json!({ "status": "draining" }))).into_response(),
        false => axum::Json(json!({ "status": "ready" })).into_response(),
    }
}

/// Prometheus scrapes this.
async fn metrics(State(state): State<HttpState>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], state.metrics.to_prometheus())
        .into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt;

    use super::*;

    async fn answer(state: &HttpState, path: &str) -> (StatusCode, String) {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let response = router(state.clone()).oneshot(request).await.unwrap();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_draining_server_is_alive_but_not_ready() {
        let state = HttpState { metrics: Metrics::default(), draining: CancellationToken::new() };
        assert_eq!(answer(&state, "/ready").await, (StatusCode::OK, r#"{"status":"ready"}"#.into()));
        state.draining.cancel();
        assert_eq!(answer(&state, "/health").await.0, StatusCode::OK);
        let (status, body) = answer(&state, "/ready").await;
        assert_eq!((status, body.as_str()), (StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"draining"}"#));
        assert_eq!(answer(&state, "/nothing").await.0, StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn metrics_are_prometheus_text() {
        let state = HttpState { metrics: Metrics::default(), draining: CancellationToken::new() };
        let (status, body) = answer(&state, "/metrics").await;
        assert_eq!(status, StatusCode::OK);
        assert!(body.contains("# TYPE limn_statements_running gauge\nlimn_statements_running 0\n"));
    }
}
