//! Serving the socket, and the connections of every listener: one request after the other.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::AdminSocket;
use super::control::Control;
use super::entrance::{Visit, Visitor};
use super::reply::{Body, Reply};
use super::request::{self, Call, Visiting};
use super::routes;
use crate::refusal::ApiRefusal;
use crate::respond;

/// How long an answer may take after the host has ended otherwise.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(2);
/// After EMFILE and its like.
pub(super) const PAUSE: Duration = Duration::from_millis(500);

/// How a connection came in, and so who may be at its other end.
pub(super) enum Way {
    /// By the Unix socket: our own user, who may do everything.
    Socket,
    /// By TCP: anybody.
    Port(Visit),
}

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
                    connections.spawn(connection(stream, Way::Socket, Arc::clone(&control), stop.clone()));
                }
                _ => tracing::warn!("refused a peer of another user on the admin socket"),
            },
            Err(error) => {
                // Out of descriptors, most likely: a pause, or this loop would spin.
                tracing::warn!(%error, "the admin socket cannot accept");
                tokio::time::sleep(PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(socket);
    // Beyond it the reader is at fault; dropped, a connection is cut.
    let _ = timeout(LAST_WORDS, connections.join_all()).await;
}

/// Serves a connection to its end.
pub(super) async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    way: Way,
    control: Arc<dyn Control>,
    mut stop: watch::Receiver<()>,
) {
    let way = Arc::new(way);
    let service = service_fn(move |request| {
        let (control, way) = (Arc::clone(&control), Arc::clone(&way));
        async move { Ok::<_, Infallible>(answer(request, &way, &control).await) }
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

async fn answer(request: Request<Incoming>, way: &Way, control: &Arc<dyn Control>) -> Response<Body> {
    let reply = match dispatch(request, way, control).await {
        Ok(reply) => reply,
        Err(refused) => Reply::Made(respond::api_problem(&refused)),
    };
    reply.into_response()
}

async fn dispatch(
    request: Request<Incoming>,
    way: &Way,
    control: &Arc<dyn Control>,
) -> Result<Reply, ApiRefusal> {
    let (parts, body) = request.into_parts();
    let caller = match way {
        Way::Socket => None,
        Way::Port(visit) => Some((visit, visit.check_source(&parts)?)),
    };
    let (operation, parameters) = routes::find(parts.method.as_str(), parts.uri.path())?;
    let visit = match caller {
        Some((visit, caller)) => Some((visit, visit.admit(&parts, caller, operation)?)),
        None => None,
    };
    let body = match operation.method {
        "GET" | "DELETE" => Value::Null,
        _ => request::body(&parts.headers, body).await?,
    };
    let query = parts.uri.query();
    let visit =
        visit.as_ref().map(|(visit, visitor): &(&Visit, Visitor)| Visiting { visit, visitor, parts: &parts });
    (operation.handler)(Call { control, parameters, query, body, visit }).await
}
