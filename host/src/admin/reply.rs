//! Answers as they go out.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval};
use zeroize::Zeroizing;

use super::control::Events;
use crate::respond;
use crate::secret::Secret;

/// A reader that hears nothing cannot tell a quiet host from a dead one, nor can what lies between.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What a handler answers.
pub(super) enum Reply {
    /// A JSON document.
    Document(Value),
    /// What was made, and its path.
    Created(String, Value),
    /// A document that holds a secret.
    Secret(Zeroizing<Vec<u8>>),
    /// What begins or ends a session.
    Session {
        /// The status code.
        status: u16,
        /// What is told of it.
        document: Value,
        /// The value of `Set-Cookie`.
        cookie: Secret,
    },
    /// Text of some media type.
    Text(&'static str, String),
    /// Hook events, as they happen.
    Events(Events),
    /// A reply that another stage made.
    Made(respond::Reply),
}

impl Reply {
    pub(super) fn into_response(self) -> Response<Body> {
        match self {
            Self::Document(document) => whole("application/json", document.to_string()),
            Self::Created(location, document) => {
                let mut response = whole("application/json", document.to_string());
                *response.status_mut() = StatusCode::CREATED;
                let location = HeaderValue::try_from(location).expect("names make a path");
                response.headers_mut().insert(header::LOCATION, location);
                response
            }
            Self::Secret(document) => whole("application/json", Bytes::from_owner(document)),
            Self::Session { status, document, cookie } => {
                let mut response = whole("application/json", document.to_string());
                *response.status_mut() =
                    StatusCode::from_u16(status).expect("handlers name statuses that are");
                let mut cookie =
                    HeaderValue::from_bytes(cookie.expose()).expect("names and base64 make a value");
                cookie.set_sensitive(true);
                response.headers_mut().insert(header::SET_COOKIE, cookie);
                response
            }
            Self::Text(media, text) => whole(media, text),
            Self::Events(events) => {
                let mut response = Response::new(StreamBody::new(frames(events)).boxed_unsync());
                describe(&mut response, "text/event-stream");
                response
            }
            Self::Made(reply) => made(reply),
        }
    }
}

fn frames(events: Events) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> {
    let mut ticks = interval(KEEP_ALIVE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is at once: the head goes out with it, and a reader knows that it listens.
    let texts = stream::unfold((events, ticks), |(mut events, mut ticks)| async {
        let text = tokio::select! {
            event = events.next() => format!("data: {}\n\n", event?),
            _ = ticks.tick() => ": listening\n\n".to_owned(),
        };
        Some((text, (events, ticks)))
    });
    texts.map(|text| Ok(Frame::data(text.into())))
}

fn whole(media: &'static str, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(text.into()).boxed_unsync());
    describe(&mut response, media);
    response
}

fn describe(response: &mut Response<Body>, media: &'static str) {
    for (name, value) in [
        (header::CONTENT_TYPE, media),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
}

fn made(reply: respond::Reply) -> Response<Body> {
    let mut response = Response::new(Full::new(reply.body).boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(reply.status).expect("`respond` chooses statuses that are");
    for (name, value) in reply.fields {
        let value = HeaderValue::from_bytes(&value).expect("`respond` writes fields that are");
        response.headers_mut().append(HeaderName::from_static(name), value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn a_reader_hears_at_once_that_somebody_listens_and_then_every_quarter_minute() {
        let mut frames = Box::pin(frames(stream::pending().boxed()));
        let began = Instant::now();
        let mut heard = Vec::new();
        for _ in 0..3 {
            let Some(Ok(frame)) = frames.next().await else { panic!("the stream has ended") };
            heard.push((began.elapsed().as_secs(), frame.into_data().unwrap()));
        }
        let comment = Bytes::from_static(b": listening\n\n");
        assert_eq!(heard, [0, 15, 30].map(|at| (at, comment.clone())));
    }
}
