//! The HTTP server under both halves of the sandbox: HTTP/1.1 and cleartext HTTP/2 on loopback, on a thread
//! of its own, so that a test which blocks its runtime does not stop the servers it is waiting for.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

/// The body of an answer; its error cuts the connection in the middle.
pub(crate) type Body = UnsyncBoxBody<Bytes, Cut>;

/// A connection is closed without an answer, or in the middle of one, on purpose.
#[derive(Debug, thiserror::Error)]
#[error("the connection is cut on purpose")]
pub(crate) struct Cut;

pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// A socket bound on loopback, not yet served.
pub(crate) struct Bound {
    pub(crate) address: SocketAddr,
    listener: std::net::TcpListener,
}

impl Bound {
    pub(crate) async fn on_port(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        Ok(Self { address: listener.local_addr()?, listener: listener.into_std()? })
    }

    /// Serves until the returned guard is dropped; over TLS, where an acceptor is given.
    pub(crate) fn serve<H, F>(self, name: &str, tls: Option<TlsAcceptor>, handler: H) -> io::Result<Running>
    where
        H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
        F: Future<Output = Result<Response<Body>, Cut>> + Send + 'static,
    {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let listener = self.listener;
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
            runtime.block_on(async {
                let listener =
                    TcpListener::from_std(listener).expect("a nonblocking socket and a running reactor");
                tokio::select! {
                    never = accept(listener, tls, handler) => match never {},
                    _ = stopped => (),
                }
            });
        })?;
        Ok(Running { stop: Some(stop), thread: Some(thread) })
    }
}

/// A server on its thread. Dropping it closes the socket and every connection.
pub(crate) struct Running {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the server thread has already been printed; a second one here would hide it.
            _ = thread.join();
        }
    }
}

async fn accept<H, F>(listener: TcpListener, tls: Option<TlsAcceptor>, handler: H) -> Infallible
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<Body>, Cut>> + Send + 'static,
{
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Loopback only, and events are timed: Nagle's delay would be measured as buffering.
                _ = stream.set_nodelay(true);
                let handler = handler.clone();
                match tls.clone() {
                    None => tokio::spawn(connection(stream, handler)),
                    Some(tls) => tokio::spawn(async move {
                        // A client that does not trust the CA has said so itself.
                        if let Ok(stream) = tls.accept(stream).await {
                            connection(stream, handler).await;
                        }
                    }),
                };
            }
            // Out of descriptors: give the connections that hold them a moment to end.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

async fn connection<S, H, F>(stream: S, handler: H)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<Body>, Cut>> + Send + 'static,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder.http2().timer(TokioTimer::new());
    // An error is a client that went away or a cut on purpose: nothing to report.
    _ = builder.serve_connection_with_upgrades(TokioIo::new(stream), service_fn(handler)).await;
}
