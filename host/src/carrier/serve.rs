//! One client connection: which protocol, then requests until it closes or the host drains.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use super::exchange::exchange;
use super::pool::LocalExecutor;
use super::unparsed::{Spoken, Turn, Voiced};
use super::worker::Worker;
use crate::guard::{MAX_FIELD_BYTES, MAX_FIELDS, MAX_TARGET};
use crate::message::Via;

/// Idle or silent client connections are closed after this long.
const CLIENT_IDLE: Duration = Duration::from_secs(75);
/// Requests that one HTTP/2 client may have under way.
const MAX_STREAMS: u32 = 100;
/// RFC 9113 section 3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a client's bytes come over: TCP, or a Unix socket. `Send` because hyper wants it of what can be
/// upgraded; no other thread ever looks.
pub(crate) trait ClientStream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> ClientStream for S {}

/// Serves a connection to its end, which is near once `leave` resolves.
pub(crate) async fn serve<S: ClientStream>(
    worker: Rc<Worker>,
    via: Rc<Via>,
    mut stream: S,
    leave: impl Future<Output = ()>,
) {
    let _counted = Connected::to(worker.clone());
    let mut read_ahead = Vec::new();
    let is_http2 = (via.http2 || worker.shared.rules.load().http2) && {
        let sniffed = tokio::time::timeout(CLIENT_IDLE, speaks_http2(&mut stream, &mut read_ahead)).await;
        match sniffed {
            Ok(Ok(is_http2)) => is_http2,
            Ok(Err(_)) | Err(_) => return,
        }
    };
    let turn = Arc::new(Turn::default());
    if is_http2 {
        turn.leave_http1();
    }
    let rewound = Rewound { read_ahead, taken: 0, stream };
    let io = TokioIo::new(Voiced::new(rewound, turn.clone()));
    let service = TowerToHyperService::new(Exchange { worker, via, turn });
    let ended =
        if is_http2 { serve_http2(io, service, leave).await } else { serve_http1(io, service, leave).await };
    if let Err(error) = ended {
        // A client that breaks off or talks nonsense is its own affair.
        tracing::debug!(%error, "client connection ended");
    }
}

/// A client, for as long as its connection is served.
struct Connected(Rc<Worker>);

impl Connected {
    fn to(worker: Rc<Worker>) -> Self {
        if let Some(cells) = worker.shared.meter.of_worker(worker.number) {
            cells.open();
        }
        Self(worker)
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        if let Some(cells) = self.0.shared.meter.of_worker(self.0.number) {
            cells.close();
        }
    }
}

async fn serve_http1<S: ClientStream>(
    io: TokioIo<Voiced<Rewound<S>>>,
    service: TowerToHyperService<Exchange>,
    leave: impl Future<Output = ()>,
) -> hyper::Result<()> {
    // Wider than the guard's limits, so that the guard answers: it knows more than hyper does.
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(CLIENT_IDLE)
        .max_headers(MAX_FIELDS + 28)
        .max_header_size(2 * (MAX_FIELD_BYTES + MAX_TARGET))
        .serve_connection(io, service)
        .with_upgrades();
    let (mut connection, mut leave) = (pin!(connection), pin!(leave));
    tokio::select! {
        ended = connection.as_mut() => return ended,
        () = leave.as_mut() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

async fn serve_http2<S: ClientStream>(
    io: TokioIo<Voiced<Rewound<S>>>,
    service: TowerToHyperService<Exchange>,
    leave: impl Future<Output = ()>,
) -> hyper::Result<()> {
    let connection = http2::Builder::new(LocalExecutor)
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(2 * MAX_FIELD_BYTES).unwrap_or(u32::MAX))
        .keep_alive_interval(CLIENT_IDLE)
        .serve_connection(io, service);
    let (mut connection, mut leave) = (pin!(connection), pin!(leave));
    tokio::select! {
        ended = connection.as_mut() => return ended,
        () = leave.as_mut() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

/// The proxy as a tower service: where hyper and the stages meet. Layers go around it.
#[derive(Clone)]
struct Exchange {
    worker: Rc<Worker>,
    via: Rc<Via>,
    turn: Arc<Turn>,
}

impl tower::Service<Request<Incoming>> for Exchange {
    type Response = Response<Spoken>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let under_way = self.turn.begin();
        let answered = exchange(self.worker.clone(), self.via.clone(), request);
        Box::pin(async move { Ok(Spoken::reply(answered.await, under_way)) })
    }
}

/// Reads until the first bytes are the HTTP/2 preface or cannot become it.
async fn speaks_http2(stream: &mut (impl AsyncRead + Unpin), read: &mut Vec<u8>) -> io::Result<bool> {
    loop {
        let compared = read.len().min(PREFACE.len());
        if read[..compared] != PREFACE[..compared] {
            return Ok(false);
        }
        if compared == PREFACE.len() {
            return Ok(true);
        }
        if stream.read_buf(read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// A stream with what was read from it put back in front.
struct Rewound<S> {
    read_ahead: Vec<u8>,
    taken: usize,
    stream: S,
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.taken < self.read_ahead.len() {
            let left = &self.read_ahead[self.taken..];
            let count = left.len().min(buf.remaining());
            buf.put_slice(&left[..count]);
            self.taken += count;
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
