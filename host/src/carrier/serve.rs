//! One client connection: which protocol, then requests until it closes or the host drains.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use super::stream::ClientStream;
use super::worker::Worker;
use super::{http1, http2};
use crate::message::Via;

/// Idle or silent client connections are closed after this long.
pub(super) const CLIENT_IDLE: Duration = Duration::from_secs(75);
/// RFC 9113 section 3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Serves a connection to its end, which is near once `leave` resolves.
pub(crate) async fn serve(
    worker: Rc<Worker>,
    via: Rc<Via>,
    mut stream: ClientStream,
    leave: impl Future<Output = ()> + Unpin,
) {
    let _counted = Connected::to(worker.clone());
    let mut read_ahead = Vec::new();
    let is_http2 = (via.http2 || worker.shared.rules.load().http2) && {
        // Boxed, as is what HTTP/2 needs below: it would otherwise be part of every connection to its end.
        let sniffed = Box::pin(tokio::time::timeout(CLIENT_IDLE, speaks_http2(&mut stream, &mut read_ahead)));
        match sniffed.await {
            Ok(Ok(is_http2)) => is_http2,
            Ok(Err(_)) | Err(_) => return,
        }
    };
    if !is_http2 {
        return http1::serve(worker, via, (stream, read_ahead), leave).await;
    }
    let rewound = Rewound { read_ahead, taken: 0, stream };
    if let Err(error) = Box::pin(http2::serve(worker, via, rewound, leave)).await {
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
