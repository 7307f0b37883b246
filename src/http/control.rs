//! `POST /sinks/NAME/{detach,attach,pause,resume,drain,throttle}` and `POST /throttle`.
//!
//! These change what a run does, so beside the token they are closed to web pages: a browser sends `Origin` with every
//! POST, and no tool of an operator does. With `?dry_run=true` they only say what they would do. The answer is a list of
//! what was done to which sink.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::{Deserialize, Serialize};

use super::Sources;
use crate::attachment::Command;
use crate::governor::Done;
use crate::sink::throttle::{Rate, Unit};

/// The routes.
pub(super) fn routes() -> Router<Sources> {
    Router::new()
        .route("/sinks/{name}/throttle", post(throttle_one))
        .route("/sinks/{name}/{verb}", post(command))
        .route("/throttle", post(throttle_all))
        .layer(middleware::from_fn(refuse_pages))
}

#[derive(Debug, Deserialize)]
struct Mode {
    #[serde(default)]
    dry_run: bool,
}

/// What was done to one sink.
#[derive(Debug, Default, Serialize)]
struct Answer {
    sink: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<String>,
    dry_run: bool,
}

/// The body of a throttle: one of the two; 0 removes the limit.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limit {
    rows_per_second: Option<u64>,
    bytes_per_second: Option<u64>,
}

impl Limit {
    fn rate(body: &[u8]) -> Result<Option<Rate>, String> {
        let hint = "the body must be {\"rows_per_second\": N} or {\"bytes_per_second\": N}; 0 removes the limit";
        let limit: Self = serde_json::from_slice(body).map_err(|error| format!("{hint}: {error}"))?;
        let (unit, per_second) = match (limit.rows_per_second, limit.bytes_per_second) {
            (Some(rows), None) => (Unit::Rows, rows),
            (None, Some(bytes)) => (Unit::Bytes, bytes),
            _ => return Err(hint.to_owned()),
        };
        Ok((per_second > 0).then_some(Rate { unit, per_second }))
    }
}

async fn refuse_pages(request: axum::extract::Request, next: Next) -> Response {
    if is_page(request.headers()) {
        return (StatusCode::FORBIDDEN, "not for web pages\n").into_response();
    }
    next.run(request).await
}

fn is_page(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN)
}

async fn command(
    State(sources): State<Sources>,
    Path((name, verb)): Path<(String, String)>,
    Query(Mode { dry_run }): Query<Mode>,
) -> Response {
    let Some(command) = Command::ALL.into_iter().find(|command| command.name() == verb) else {
        let known = Command::ALL.map(Command::name).join(", ");
        return refuse(StatusCode::NOT_FOUND, &format!("no verb `{verb}`; there are {known}, throttle"));
    };
    match sources.governor.command(&name, command, dry_run) {
        Ok(Done { sink, before, after, reason }) => Json([Answer {
            sink: sink.to_string(),
            before: Some(before.name()),
            after: Some(after.name()),
            reason,
            limit: None,
            dry_run,
        }])
        .into_response(),
        Err(known) => unknown(&name, &known),
    }
}

async fn throttle_one(
    State(sources): State<Sources>,
    Path(name): Path<String>,
    Query(mode): Query<Mode>,
    body: Bytes,
) -> Response {
    throttle(&sources, Some(&name), &mode, &body)
}

async fn throttle_all(State(sources): State<Sources>, Query(mode): Query<Mode>, body: Bytes) -> Response {
    throttle(&sources, None, &mode, &body)
}

fn throttle(sources: &Sources, name: Option<&str>, mode: &Mode, body: &[u8]) -> Response {
    let rate = match Limit::rate(body) {
        Ok(rate) => rate,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &error),
    };
    let limit = rate.map_or_else(|| "none".to_owned(), |rate| rate.to_string());
    match sources.governor.throttle(name, rate, mode.dry_run) {
        Ok(sinks) => {
            let answer = |sink: Arc<str>| Answer {
                sink: sink.to_string(),
                limit: Some(limit.clone()),
                dry_run: mode.dry_run,
                ..Answer::default()
            };
            Json(sinks.into_iter().map(answer).collect::<Vec<_>>()).into_response()
        }
        Err(known) => unknown(name.unwrap_or_default(), &known),
    }
}

fn unknown(name: &str, known: &[Arc<str>]) -> Response {
    let known: Vec<&str> = known.iter().map(|name| &**name).collect();
    refuse(StatusCode::NOT_FOUND, &format!("no sink `{name}`; there are {}", known.join(", ")))
}

fn refuse(code: StatusCode, sentence: &str) -> Response {
    (code, format!("{sentence}\n")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_one_of_two_units_and_zero_removes_it() {
        assert_eq!(Limit::rate(br#"{"rows_per_second": 5}"#), Ok(Some(Rate { unit: Unit::Rows, per_second: 5 })));
        assert_eq!(Limit::rate(br#"{"bytes_per_second": 7}"#), Ok(Some(Rate { unit: Unit::Bytes, per_second: 7 })));
        assert_eq!(Limit::rate(br#"{"rows_per_second": 0}"#), Ok(None));
        for wrong in [
            "",
            "{}",
            r#"{"rows_per_second": 1, "bytes_per_second": 1}"#,
            r#"{"rows": 1}"#,
            r#"{"rows_per_second": -1}"#,
        ] {
            assert!(Limit::rate(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_web_page_is_told_by_its_origin() {
        let mut headers = HeaderMap::new();
        assert!(!is_page(&headers));
        headers.insert(header::ORIGIN, "http://elsewhere".parse().expect("a header"));
        assert!(is_page(&headers));
    }
}
