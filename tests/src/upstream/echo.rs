//! The echo: everything about a request that a test may want to compare.

use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::json_answer;
use crate::sandbox::TokenState;
use crate::server::{Body, Cut};

pub(super) async fn answer(request: Request<Incoming>, state: TokenState) -> Result<Response<Body>, Cut> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    Ok(json_answer(&json!({
        "method": parts.method.as_str(),
        "path": parts.uri.path(),
        "query": parts.uri.query(),
        "version": format!("{:?}", parts.version),
        "headers": fields(&parts.headers),
        "body_len": body.len(),
        "body_sha256": hex(&Sha256::digest(&body)),
        "authorization_ok": state == TokenState::Valid,
        "authorization_count": parts.headers.get_all(AUTHORIZATION).iter().count(),
        "token_state": state,
    })))
}

/// Name to value; a field that comes several times is a list.
fn fields(headers: &HeaderMap) -> Map<String, Value> {
    let text = |value: &http::HeaderValue| json!(String::from_utf8_lossy(value.as_bytes()));
    let named = headers.keys().map(|name| {
        let mut values: Vec<Value> = headers.get_all(name).iter().map(text).collect();
        let value = if values.len() == 1 { values.remove(0) } else { Value::Array(values) };
        (name.as_str().to_owned(), value)
    });
    named.collect()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
