//! Bodies that take their time or their space, and uploads read as they come.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, TRAILER, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::echo::hex;
use super::json_answer;
use crate::params::Params;
use crate::server::{Body, Cut};
use crate::time::epoch_ms;

/// Server-sent events. Each carries the time at which it left, so a client can tell how long it was held up.
pub(super) fn events(count: u64, gap: Duration) -> Response<Body> {
    let events = stream::iter(0..count).then(move |n| async move {
        if n > 0 {
            tokio::time::sleep(gap).await;
        }
        let data = json!({ "n": n, "sent_ms": epoch_ms(SystemTime::now()) });
        Ok::<_, Cut>(Frame::data(Bytes::from(format!("id: {n}\nevent: tick\ndata: {data}\n\n"))))
    });
    let mut response = Response::new(StreamBody::new(events).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

const CHUNK: u64 = 64 * 1024;

/// A body of so many bytes, which repeat `0123456789abcdef`.
pub(super) fn large(query: &Params) -> Response<Body> {
    let bytes = query.number("bytes").unwrap_or(1 << 20);
    let break_at = query.number("break_at");
    let sent = break_at.unwrap_or(bytes).min(bytes);
    let pattern = Bytes::from(b"0123456789abcdef".repeat(usize::try_from(CHUNK / 16).unwrap_or_default()));
    let whole = stream::iter(0..sent.div_ceil(CHUNK)).map(move |n| {
        let length = (sent - n * CHUNK).min(CHUNK);
        Ok(Frame::data(pattern.slice(..usize::try_from(length).unwrap_or_default())))
    });
    let end = stream::iter(break_at.map(|_| Err(Cut)));
    let mut response = Response::new(StreamBody::new(whole.chain(end)).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    if query.get("chunked").is_none() {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(bytes));
    }
    response
}

/// Reads a body without keeping it. The first read is what sends `100 Continue`.
pub(super) async fn upload(request: Request<Incoming>) -> Result<Response<Body>, Cut> {
    let (parts, mut body) = request.into_parts();
    let mut digest = Sha256::new();
    let (mut length, mut frames) = (0, 0);
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(|_| Cut)?.into_data() {
            digest.update(&data);
            length += data.len();
            frames += 1;
        }
    }
    let field = |name| parts.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    Ok(json_answer(&json!({
        "body_len": length,
        "body_sha256": hex(&digest.finalize()),
        "frames": frames,
        "expect": field(EXPECT),
        "transfer_encoding": field(TRANSFER_ENCODING),
        "content_length": field(CONTENT_LENGTH),
    })))
}

/// A body with trailers: in HTTP/2 always, in HTTP/1.1 for a client that says `TE: trailers`.
pub(super) fn trailers() -> Response<Body> {
    let trailers =
        HeaderMap::from_iter([(http::HeaderName::from_static("x-trail"), HeaderValue::from_static("t1"))]);
    let frames = [Frame::data(Bytes::from_static(b"before the trailers")), Frame::trailers(trailers)];
    let mut response = Response::new(StreamBody::new(stream::iter(frames.map(Ok::<_, Cut>))).boxed_unsync());
    response.headers_mut().insert(TRAILER, HeaderValue::from_static("x-trail"));
    response
}
