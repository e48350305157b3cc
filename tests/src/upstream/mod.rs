//! The recording upstream: the API behind the proxy. It says what reached it, and knows from the authorization
//! server whether the token in a request was good at that moment.
//!
//! | path | answer |
//! |---|---|
//! | `/strict/...` | the echo if the token is good now, else 401 |
//! | `/once-401/ID` | 401 to the first request with this ID, then the echo |
//! | `/sse?events=N&gap_ms=M` | N events, each sent on its own |
//! | `/ws` | a WebSocket that echoes |
//! | `/slow?ms=N` | the echo, late |
//! | `/large?bytes=N` | N bytes; with `chunked` without a length, with `break_at=M` cut there |
//! | `/status/CODE` | that status; with `retry_after=S` |
//! | `/redirect?to=URL&code=N` | a redirect |
//! | `/links?location=KIND` | `Link` and `Location` with this server's own absolute URLs |
//! | `/upload` | length and digest of the body, read as a stream; with `early=CODE` an answer before it |
//! | `/trailers` | a body and trailers |
//! | `/close` | the connection closes without an answer |
//! | `/openai/v1/...`, `/anthropic/v1/...`, `/hf/api/...` | what those SDKs expect, for a key that is good |
//! | `/graph/v1.0/...`, `/drive/v3/...`, `/pypi/legacy/` | the same, of APIs that page and take uploads |
//! | `/git/REPOSITORY/...` | git over HTTP, for a token that is good |
//! | anything else | the echo: method, path, query, fields, body digest, token state |

mod echo;
mod git;
mod links;
mod pages;
mod recorder;
mod stream;
mod vendors;
mod websocket;

use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::params::Params;
use crate::sandbox::TokenState;
use crate::server::{Body, Cut, full};

pub(crate) use recorder::Recorder;
pub use recorder::{Requests, Seen};

/// Answers as the server that the listener is known by.
pub(crate) async fn answer(
    recorder: Arc<Recorder>,
    base: Arc<str>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Cut> {
    let path = request.uri().path().to_owned();
    let query = Params::parse(request.uri().query().unwrap_or_default().as_bytes());
    if let Some(resource) = path.strip_prefix("/_sandbox/") {
        return Ok(control(&recorder, request.method().as_str(), resource));
    }
    let state = recorder.record(&request);
    let mut segments = path.trim_start_matches('/').splitn(2, '/');
    match (segments.next().unwrap_or_default(), segments.next()) {
        ("strict", _) if state != TokenState::Valid => Ok(unauthorized()),
        ("once-401", Some(id)) if recorder.is_first(id) => Ok(unauthorized()),
        ("sse", _) => {
            Ok(stream::events(query.number("events").unwrap_or(3), milliseconds(&query, "gap_ms", 100)))
        }
        ("ws", _) => websocket::echo(request),
        ("slow", _) => {
            tokio::time::sleep(milliseconds(&query, "ms", 1000)).await;
            echo::answer(request, state).await
        }
        ("large", _) => Ok(stream::large(&query)),
        ("status", Some(code)) => Ok(status(code, query.number("retry_after"))),
        ("redirect", _) => Ok(links::redirect(&query)),
        ("links", _) => Ok(links::links(&base, &path, &query)),
        ("upload", _) => match query.get("early") {
            Some(code) => Ok(status(code, None)),
            None => stream::upload(request).await,
        },
        ("trailers", _) => Ok(stream::trailers()),
        ("close", _) => Err(Cut),
        ("openai" | "anthropic" | "hf", _) => vendors::answer(request, state).await,
        ("graph" | "drive" | "pypi", _) => pages::answer(&base, request, state).await,
        ("git", _) => match recorder.git_root() {
            Some(root) => git::answer(root, request, state).await,
            None => Ok(status("404", None)),
        },
        _ => echo::answer(request, state).await,
    }
}

fn control(recorder: &Recorder, method: &str, resource: &str) -> Response<Body> {
    match (method, resource) {
        ("GET", "requests") => json_answer(&json!(recorder.requests())),
        ("POST", "reset") => {
            recorder.reset();
            json_answer(&json!({ "ok": true }))
        }
        _ => with_status(StatusCode::NOT_FOUND, json_answer(&json!({ "error": "not_found" }))),
    }
}

fn milliseconds(query: &Params, name: &str, default: u64) -> Duration {
    Duration::from_millis(query.number(name).unwrap_or(default))
}

fn status(code: &str, retry_after: Option<u64>) -> Response<Body> {
    let Ok(code) = code.parse::<StatusCode>() else {
        return with_status(StatusCode::BAD_REQUEST, json_answer(&json!({ "error": "not a status" })));
    };
    let mut response = with_status(code, json_answer(&json!({ "status": code.as_u16() })));
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn unauthorized() -> Response<Body> {
    let mut response =
        with_status(StatusCode::UNAUTHORIZED, json_answer(&json!({ "error": "invalid_token" })));
    let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
    response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    response
}

fn json_answer(value: &Value) -> Response<Body> {
    let mut response = Response::new(full(value.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn with_status(status: StatusCode, mut response: Response<Body>) -> Response<Body> {
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests;
