//! Many clients at once, and one that keeps its connection.

use std::future::Future;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
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
    sender: SendRequest<Empty<Bytes>>,
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
        let request = Request::get(path).header("host", &self.authority).body(Empty::new());
        let request = request.expect("a path and an authority make a request");
        self.sender.ready().await.expect("the connection is kept");
        let response = self.sender.send_request(request).await.unwrap_or_else(|e| panic!("{path}: {e}"));
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap_or_else(|e| panic!("{path}: {e}")).to_bytes();
        Answer { status: parts.status, version: parts.version, headers: parts.headers, body }
    }
}
