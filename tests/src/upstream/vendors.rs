//! The few endpoints that vendors' SDKs call in the stories, in the shapes that those SDKs parse.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use serde_json::{Value, json};

use super::{json_answer, with_status};
use crate::sandbox::TokenState;
use crate::server::{Body, Cut};

const WORDS: [&str; 3] = ["Hel", "lo", "!"];
/// Between two events: long enough to be told from none, should something buffer them.
const GAP: Duration = Duration::from_millis(100);

pub(super) async fn answer(request: Request<Incoming>, state: TokenState) -> Result<Response<Body>, Cut> {
    if state != TokenState::Valid {
        let refusal =
            json!({ "type": "error", "error": { "type": "authentication_error", "message": "invalid key" } });
        return Ok(with_status(StatusCode::UNAUTHORIZED, json_answer(&refusal)));
    }
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.map_err(|_| Cut)?.to_bytes();
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let streams = asked["stream"] == json!(true);
    Ok(match path.as_str() {
        "/openai/v1/chat/completions" if streams => events(completion_chunks()),
        "/openai/v1/chat/completions" => json_answer(&completion()),
        "/openai/v1/models" | "/anthropic/v1/models" => json_answer(&models()),
        "/anthropic/v1/messages" if streams => events(message_events()),
        "/anthropic/v1/messages" => json_answer(&message(&WORDS.concat())),
        "/hf/api/whoami-v2" => json_answer(&json!({
            "type": "user",
            "name": "alice",
            "auth": { "type": "access_token", "accessToken": { "displayName": "t", "role": "read" } },
        })),
        _ => with_status(
            StatusCode::NOT_FOUND,
            json_answer(&json!({ "error": { "message": "no such endpoint" } })),
        ),
    })
}

fn models() -> Value {
    json!({ "object": "list", "has_more": false, "data": [
        { "id": "m", "object": "model", "type": "model", "display_name": "M", "owned_by": "sandbox",
          "created": 1, "created_at": "2026-01-01T00:00:00Z" },
    ] })
}

fn completion() -> Value {
    let message = json!({ "role": "assistant", "content": WORDS.concat() });
    json!({ "id": "c1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{ "index": 0, "finish_reason": "stop", "message": message }] })
}

/// Unnamed events, ended by a word that is not JSON.
fn completion_chunks() -> Vec<String> {
    let chunk = |word: &&str| {
        let choice = json!({ "index": 0, "delta": { "content": word }, "finish_reason": null });
        let chunk = json!({ "id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [choice] });
        format!("data: {chunk}\n\n")
    };
    WORDS.iter().map(chunk).chain(["data: [DONE]\n\n".to_owned()]).collect()
}

fn message(text: &str) -> Value {
    let content = if text.is_empty() { json!([]) } else { json!([{ "type": "text", "text": text }]) };
    json!({ "id": "m1", "type": "message", "role": "assistant", "model": "m", "content": content,
        "stop_reason": if text.is_empty() { Value::Null } else { json!("end_turn") }, "stop_sequence": null,
        "usage": { "input_tokens": 1, "output_tokens": 1 } })
}

/// Named events; each repeats its name as `type`.
fn message_events() -> Vec<String> {
    let words = WORDS.iter().map(|word| {
        json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": word } })
    });
    let start = json!({ "type": "message_start", "message": message("") });
    let block =
        json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } });
    let end = [
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn", "stop_sequence": null },
            "usage": { "output_tokens": 2 } }),
        json!({ "type": "message_stop" }),
    ];
    let events = [start, block].into_iter().chain(words).chain(end);
    events
        .map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default()))
        .collect()
}

fn events(events: Vec<String>) -> Response<Body> {
    let frames = stream::iter(events).then(|event| async {
        tokio::time::sleep(GAP).await;
        Ok::<_, Cut>(Frame::data(Bytes::from(event)))
    });
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}
