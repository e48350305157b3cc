//! One client connection: which protocol, then requests until it closes or the host drains.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::task::{JoinHandle, spawn_local};

use super::alarm::Alarm;
use super::connection::Connection;
use super::http2;
use super::leave::Leave;
use super::stream::ClientStream;
use super::worker::{Active, Worker};
use crate::message::Via;

/// Idle or silent client connections are closed after this long.
pub(super) const CLIENT_IDLE: Duration = Duration::from_secs(75);
/// RFC 9113 section 3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Serves a connection to its end, which is near once it is time to leave, in a task of its own on this worker.
pub(crate) fn serve(worker: Rc<Worker>, via: Rc<Via>, stream: ClientStream, leave: Leave) -> JoinHandle<()> {
    let client = Connected::to(worker);
    if via.http2 || client.worker().shared.rules.load().http2 {
        spawn_local(serve_either(client, via, stream, leave))
    } else {
        spawn_local(Connection::new(client, via, (stream, Vec::new()), leave))
    }
}

/// Finds out which protocol it is. The task for HTTP/1.1 is another: this one has more room than that needs.
async fn serve_either(client: Connected, via: Rc<Via>, mut stream: ClientStream, leave: Leave) {
    let mut read_ahead = Vec::new();
    let sniffed = tokio::time::timeout(CLIENT_IDLE, speaks_http2(&mut stream, &mut read_ahead));
    match sniffed.await {
        Ok(Ok(true)) => {}
        Ok(Ok(false)) => {
            spawn_local(Connection::new(client, via, (stream, read_ahead), leave));
            return;
        }
        Ok(Err(_)) | Err(_) => return,
    }
    let leave = leave.when_it_comes(Alarm::new(&client.worker().alarms));
    let rewound = Rewound { read_ahead, taken: 0, stream };
    if let Err(error) = http2::serve(client.worker().clone(), via, rewound, leave).await {
        // A client that breaks off or talks nonsense is its own affair.
        tracing::debug!(%error, "client connection ended");
    }
}

/// A client, for as long as its connection is served: it is counted, and the worker waits for it when it drains.
pub(super) struct Connected(Active);

impl Connected {
    fn to(worker: Rc<Worker>) -> Self {
        if let Some(cells) = worker.shared.meter.of_worker(worker.number) {
            cells.open();
        }
        Self(worker.active())
    }

    pub(super) fn worker(&self) -> &Rc<Worker> {
        self.0.worker()
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        let worker = self.worker();
        if let Some(cells) = worker.shared.meter.of_worker(worker.number) {
            cells.close();
        }
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
pub(super) struct Rewound {
    read_ahead: Vec<u8>,
    taken: usize,
    stream: ClientStream,
}

impl AsyncRead for Rewound {
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

impl AsyncWrite for Rewound {
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
