//! `/health`, `/ready`, `/metrics` and `/status`, and the operator's control of sinks (`control`), off the data path.
//!
//! Only on a loopback address, unless a token is configured; then every request must carry it as `Bearer`.

mod control;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::governor::Governor;
use crate::status::StatusSource;

/// Why the listener is not there.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Anybody could read it.
    #[error("--listen {address} can be reached from other machines; set --listen-token, or use 127.0.0.1")]
    Open {
        /// The address.
        address: SocketAddr,
    },
    /// The address is taken or is not ours.
    #[error("listen on {address}; choose another --listen address")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// What requests are answered from.
#[derive(Clone)]
pub struct Sources {
    /// The run.
    pub status: Arc<dyn StatusSource>,
    /// What controls its sinks.
    pub governor: Arc<Governor>,
    /// The metrics.
    pub metrics: PrometheusHandle,
    /// The token that requests must carry, if any.
    pub token: Option<Arc<str>>,
}

impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources").finish_non_exhaustive()
    }
}

/// Binds the address, before anything else of a run is started.
///
/// # Errors
/// [`HttpError`].
pub async fn bind(address: SocketAddr, has_token: bool) -> Result<TcpListener, HttpError> {
    if !address.ip().is_loopback() && !has_token {
        return Err(HttpError::Open { address });
    }
    TcpListener::bind(address).await.map_err(|source| HttpError::Bind { address, source })
}

/// Answers until the task is aborted.
#[must_use]
pub fn serve(listener: TcpListener, sources: Sources) -> JoinHandle<()> {
    let router = Router::new()
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .merge(control::routes())
        .layer(middleware::from_fn_with_state(sources.clone(), authorise))
        .with_state(sources);
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the listener ended");
        }
    })
}

async fn authorise(State(sources): State<Sources>, request: axum::extract::Request, next: Next) -> Response {
    match &sources.token {
        Some(token) if !carries(request.headers(), token) => {
            (StatusCode::UNAUTHORIZED, "a Bearer token is needed\n").into_response()
        }
        _ => next.run(request).await,
    }
}

fn carries(headers: &HeaderMap, token: &str) -> bool {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    // All bytes are compared whatever the first ones are: the time tells nothing about the token.
    let differences = given.bytes().zip(token.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b));
    given.len() == token.len() && differences == 0
}

async fn health(State(sources): State<Sources>) -> Response {
    verdict(sources.status.healthy())
}

async fn ready(State(sources): State<Sources>) -> Response {
    verdict(sources.status.ready())
}

fn verdict(verdict: Result<(), String>) -> Response {
    match verdict {
        Ok(()) => (StatusCode::OK, "ok\n").into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

async fn metrics(State(sources): State<Sources>) -> Response {
    // Gauges that are derived are set when somebody looks.
    publish(&sources.status.status());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], sources.metrics.render()).into_response()
}

fn publish(status: &crate::status::Status) {
    use ::metrics::gauge;

    use crate::metrics as name;
    use crate::sink::throttle::Unit;
    for sink in &status.sinks {
        if let Some(bytes) = sink.window_bytes {
            gauge!(name::SINK_WINDOW_BYTES, "sink" => sink.name.clone()).set(bytes as f64);
        }
        let private = sink.private_memory_bytes.unwrap_or(0);
        gauge!(name::PRIVATE_MEMORY_BYTES, "sink" => sink.name.clone()).set(private as f64);
        for unit in [Unit::Rows, Unit::Bytes] {
            let limit = sink.limit.as_ref().filter(|limit| limit.unit == unit.name());
            let limit = limit.map_or(0.0, |limit| limit.per_second as f64);
            gauge!(name::SINK_LIMIT_PER_SECOND, "sink" => sink.name.clone(), "unit" => unit.name()).set(limit);
        }
    }
    for held in &status.partitions {
        for lag in &held.sinks {
            let labels =
                [("topic", held.topic.clone()), ("partition", held.partition.to_string()), ("sink", lag.sink.clone())];
            if let Some(offsets) = lag.lag_offsets {
                gauge!(name::LAG_OFFSETS, &labels).set(offsets as f64);
            }
            if let Some(seconds) = lag.lag_seconds {
                gauge!(name::LAG_SECONDS, &labels).set(seconds);
            }
            if let Some(offsets) = lag.headroom_offsets {
                gauge!(name::HEADROOM_OFFSETS, &labels).set(offsets as f64);
            }
            if let Some(seconds) = lag.headroom_seconds {
                gauge!(name::HEADROOM_SECONDS, &labels).set(seconds);
            }
            if let Some(is_short) = lag.headroom_short {
                gauge!(name::HEADROOM_SHORT, &labels).set(if is_short { 1.0 } else { 0.0 });
            }
        }
    }
    gauge!(name::MEMORY_BUDGET_BYTES).set(status.memory_budget_bytes.unwrap_or(0) as f64);
    gauge!(name::MEMORY_USED_BYTES).set(status.memory_used_bytes.unwrap_or(0) as f64);
}

#[derive(Deserialize)]
struct StatusQuery {
    format: Option<String>,
}

async fn status(State(sources): State<Sources>, Query(query): Query<StatusQuery>) -> Response {
    let status = sources.status.status();
    match query.format.as_deref() {
        Some("text") => status.table().into_response(),
        Some("line") => format!("{}\n", status.line()).into_response(),
        _ => axum::Json(status).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_that_others_can_reach_needs_a_token() {
        let open: SocketAddr = "0.0.0.0:0".parse().expect("an address");
        assert!(matches!(bind(open, false).await, Err(HttpError::Open { .. })));
        assert!(bind(open, true).await.is_ok());
    }

    #[test]
    fn only_the_very_token_is_accepted() {
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().expect("a header"));
            headers
        };
        assert!(carries(&with("Bearer secret"), "secret"));
        for wrong in ["Bearer secre", "Bearer secret2", "Bearer Secret", "secret", "Basic secret", ""] {
            assert!(!carries(&with(wrong), "secret"), "{wrong}");
        }
        assert!(!carries(&HeaderMap::new(), "secret"));
    }
}
