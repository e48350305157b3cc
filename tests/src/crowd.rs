//! Many clients at once, and one that keeps its connection.

use std::future::Future;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;

use crate::http_client::{Answer, Call};

/// Every client sends one request on a connection of its own; their answers, when all have one.
pub async fn at_once(clients: usize, url: &str) -> Vec<Answer> {
    all((0..clients).map(|_| Call::get(url).send())).await
}

/// Runs everything at once and returns what came of it, in no order.
pub async fn all<F>(work: impl IntoIterator<Item = F>) -> Vec<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    work.into_iter().collect::<JoinSet<_>>().join_all().await
}

/// A client that sends one request after the other on one connection.
pub struct Regular {
    authority: String,
    sender: SendRequest<Full<Bytes>>,
}

impl Regular {
    /// Connects to `address:port`.
    pub async fn connect(authority: &str) -> Self {
        let stream = TcpStream::connect(authority).await.unwrap_or_else(|e| panic!("{authority}: {e}"));
        stream.set_nodelay(true).expect("a TCP socket");
        Self::speak(stream, authority).await
    }

    /// Connects to a Unix socket.
    pub async fn connect_unix(path: &std::path::Path) -> Self {
        let stream = UnixStream::connect(path).await.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Self::speak(stream, "localhost").await
    }

    async fn speak(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, authority: &str) -> Self {
        let (sender, connection) = handshake(TokioIo::new(stream)).await.expect("a fresh connection");
        tokio::spawn(connection);
        Self { authority: authority.to_owned(), sender }
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(Request::get(path), Bytes::new()).await
    }

    /// Sends a JSON document.
    pub async fn post(&mut self, path: &str, body: &serde_json::Value) -> Answer {
        let request = Request::post(path).header("content-type", "application/json");
        self.send(request, body.to_string().into()).await
    }

    /// Sends a request; the authority is added.
    pub async fn send(&mut self, request: http::request::Builder, body: Bytes) -> Answer {
        let request = request.header("host", &self.authority).body(Full::new(body));
        let request = request.expect("a path and an authority make a request");
        let what = request.uri().path().to_owned();
        self.sender.ready().await.expect("the connection is kept");
        let response = self.sender.send_request(request).await.unwrap_or_else(|e| panic!("{what}: {e}"));
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap_or_else(|e| panic!("{what}: {e}")).to_bytes();
        Answer { status: parts.status, version: parts.version, headers: parts.headers, body }
    }
}
