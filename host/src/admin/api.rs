//! What the socket answers. Paths and members are those of interface section 9.

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::fault::{Code, Fault};
use crate::model::ConnectionId;
use crate::refusal::Refusal;
use crate::respond::{self, Subject};

use super::AdminSocket;

/// Rendered event documents, as they happen.
pub type Events = BoxStream<'static, Arc<str>>;

/// An answer in the making.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<Value, Fault>> + Send + 'a>>;

/// What the running host can tell and do. Implemented by `app`.
pub trait Control: Send + Sync + 'static {
    /// pid, directories, listeners.
    fn status(&self) -> Value;
    /// The route table.
    fn routes(&self) -> Value;
    /// Every plugin file and what became of it.
    fn plugins(&self) -> Value;
    /// Every connection, as `auth status` shows it.
    fn connections(&self) -> Answer<'_>;
    /// Hook events from now on.
    fn events(&self) -> Events;
    /// Acquires a new token now.
    fn refresh<'a>(&'a self, id: &'a ConnectionId) -> Answer<'a>;
    /// Revokes if asked to, and forgets the grant.
    fn logout<'a>(&'a self, id: &'a ConnectionId, revoke: bool) -> Answer<'a>;
    /// Reads what a command has just stored, and answers once it is served.
    fn reload<'a>(&'a self, id: &'a ConnectionId) -> Answer<'a>;
    /// Gives a connection another name, its grant with it.
    fn rename<'a>(&'a self, from: &'a ConnectionId, to: &'a ConnectionId) -> Answer<'a>;
    /// Reads the configuration again and puts it in force, if it is good.
    fn reload_configuration(&self) -> Answer<'_>;
    /// Begins the end, without waiting for requests under way if `now`.
    fn stop(&self, now: bool) -> Value;
    /// Acquires and asks the provider whose account it is.
    fn test<'a>(&'a self, id: &'a ConnectionId) -> Answer<'a>;
    /// Pins a plugin file and loads it.
    fn trust<'a>(&'a self, file: &'a str) -> Answer<'a>;
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A request body larger than this has nothing to say to us.
const MAX_BODY: usize = 64 * 1024;
/// How long an answer may take after the host has ended otherwise.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Serves the socket until the other end of `stop` is dropped, and what is being answered then to its end.
pub async fn serve(socket: AdminSocket, control: Arc<dyn Control>, mut stop: watch::Receiver<()>) {
    let ours = rustix::process::geteuid().as_raw();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = socket.listener.accept() => accepted,
            _ = stop.changed() => break,
        };
        match accepted {
            Ok((stream, _)) => match stream.peer_cred() {
                Ok(peer) if peer.uid() == ours => {
                    connections.spawn(connection(stream, Arc::clone(&control), stop.clone()));
                }
                _ => tracing::warn!("refused a peer of another user on the admin socket"),
            },
            Err(error) => {
                // Out of descriptors, most likely: a pause, or this loop would spin.
                tracing::warn!(%error, "the admin socket cannot accept");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(socket);
    // Beyond it the reader is at fault; dropped, a connection is cut.
    let _ = timeout(LAST_WORDS, connections.join_all()).await;
}

async fn connection(stream: UnixStream, control: Arc<dyn Control>, mut stop: watch::Receiver<()>) {
    let service = service_fn(move |request| {
        let control = Arc::clone(&control);
        async move { Ok::<_, Infallible>(answer(request, &*control).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(10))
        .serve_connection(TokioIo::new(stream), service);
    let mut served = pin!(served);
    let ended = tokio::select! {
        ended = &mut served => ended,
        _ = stop.changed() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an admin connection ended");
    }
}

async fn answer(request: Request<Incoming>, control: &dyn Control) -> Response<Body> {
    let path = request.uri().path().to_owned();
    if request.method() == Method::GET && path == "/api/v1/events" {
        return event_stream(control.events());
    }
    match dispatch(request, &path, control).await {
        Ok(value) => document(StatusCode::OK, "application/json", &value),
        Err(fault) => problem(&fault),
    }
}

async fn dispatch(request: Request<Incoming>, path: &str, control: &dyn Control) -> Result<Value, Fault> {
    let method = request.method().clone();
    let segments: Vec<&str> = path.trim_start_matches("/api/v1/").split('/').collect();
    match (&method, segments.as_slice()) {
        // The socket is there from the moment the listeners accept until the last request has ended.
        (&Method::GET, ["", "livez" | "readyz"]) => Ok(json!({ "status": "ok" })),
        (&Method::GET, ["status"]) => Ok(control.status()),
        (&Method::GET, ["routes"]) => Ok(control.routes()),
        (&Method::GET, ["plugins"]) => Ok(control.plugins()),
        (&Method::GET, ["connections"]) => control.connections().await,
        (&Method::POST, ["reload"]) => {
            body(request).await?;
            control.reload_configuration().await
        }
        (&Method::POST, ["stop"]) => Ok(control.stop(body(request).await?["now"] == true)),
        (&Method::POST, ["plugins", "trust"]) => {
            let file = body(request).await?["file"].as_str().unwrap_or_default().to_owned();
            control.trust(&file).await
        }
        (&Method::POST, ["connections", org, name, action]) => {
            let id = named(&format!("{org}/{name}"))?;
            let body = body(request).await?;
            match *action {
                "refresh" => control.refresh(&id).await,
                "logout" => control.logout(&id, body["revoke"].as_bool().unwrap_or(true)).await,
                "reload" => control.reload(&id).await,
                "rename" => control.rename(&id, &named(body["to"].as_str().unwrap_or_default())?).await,
                "test" => control.test(&id).await,
                _ => Err(unknown(path)),
            }
        }
        _ => Err(unknown(path)),
    }
}

/// The connection that a path or a body names.
fn named(text: &str) -> Result<ConnectionId, Fault> {
    text.parse()
        .map_err(|error: crate::model::InvalidName| Fault::new(Code::InvalidConfig, error.to_string()))
}

fn unknown(path: &str) -> Fault {
    Fault::new(Code::Unsupported, format!("the admin API has no `{path}`"))
}

/// Mutations take JSON and nothing else: a form that a web page can send is not JSON.
async fn body(request: Request<Incoming>) -> Result<Value, Fault> {
    let refused = |why: &str| Fault::new(Code::InvalidConfig, format!("request body: {why}"));
    let content_type = request.headers().get(header::CONTENT_TYPE).map(|value| value.as_bytes().to_vec());
    if content_type.as_deref() != Some(b"application/json") {
        return Err(refused("content-type is not application/json"));
    }
    let body = Limited::new(request.into_body(), MAX_BODY).collect().await;
    let bytes = body.map_err(|error| refused(&error.to_string()))?.to_bytes();
    serde_json::from_slice(&bytes).map_err(|error| refused(&error.to_string()))
}

fn event_stream(events: Events) -> Response<Body> {
    let frames = events.map(|event| Ok(Frame::data(Bytes::from(format!("data: {event}\n\n")))));
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static("text/event-stream"));
    response
}

fn problem(fault: &Fault) -> Response<Body> {
    let mut body = json!({
        "type": "about:blank",
        "title": fault.message,
        "code": fault.code.as_str(),
        "hint": fault.hint,
    });
    if let Some(transcript) = &fault.transcript {
        body["detail"] = transcript.as_str().into();
    }
    if let Some(after) = fault.retry_after {
        body["retry_after"] = after.as_secs().into();
    }
    // `respond` alone knows statuses; the body keeps the code of the taxonomy, which commands exit by.
    let reply = respond::problem(&Refusal::Credential(fault.clone()), Subject::default(), "");
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    document(status, "application/problem+json", &body)
}

fn document(status: StatusCode, content_type: &'static str, value: &Value) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(value.to_string())).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    response
}
