//! Heads that hyper cannot parse: it answers them itself, with a bare status. Here that answer gets our
//! form, so that every reply of ours has its code and its id (interface, section 2).
//!
//! hyper has no hook for it, but what it writes while no exchange is under way and nothing is left of
//! the last one can only be such an answer. [`Turn`] knows when that is.

use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::body::ReplyBody;
use super::request_id::RequestIds;
use crate::refusal::Refusal;
use crate::respond::{REQUEST_ID_FIELD, Reply, Subject, problem};

/// Whose turn it is to write on a connection: an exchange's, or hyper's own. Atomic only because hyper
/// wants streams that can be upgraded to be `Send`; no other thread ever looks.
#[derive(Default)]
pub(super) struct Turn {
    exchanges: AtomicUsize,
    /// Something of an exchange may still wait in hyper's buffer.
    unflushed: AtomicBool,
    left_http1: AtomicBool,
}

/// An exchange under way, until its reply is with hyper to the last byte.
pub(super) struct UnderWay(Arc<Turn>);

impl Turn {
    pub(super) fn begin(self: &Arc<Self>) -> UnderWay {
        self.exchanges.fetch_add(1, Relaxed);
        self.unflushed.store(true, Relaxed);
        UnderWay(self.clone())
    }

    /// HTTP/2, or a tunnel: whatever is written from now on, it is no HTTP/1 head.
    pub(super) fn leave_http1(&self) {
        self.left_http1.store(true, Relaxed);
    }

    /// hyper calls for a flush when its own buffer is empty, and only then.
    fn flushed(&self) {
        if self.exchanges.load(Relaxed) == 0 {
            self.unflushed.store(false, Relaxed);
        }
    }

    fn is_hypers(&self) -> bool {
        !self.unflushed.load(Relaxed) && !self.left_http1.load(Relaxed)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.exchanges.fetch_sub(1, Relaxed);
    }
}

/// The body of a reply, which keeps its exchange under way until hyper has all of it.
pub(super) struct Spoken {
    body: ReplyBody,
    _under_way: UnderWay,
}

impl Spoken {
    pub(super) fn reply(reply: Response<ReplyBody>, under_way: UnderWay) -> Response<Self> {
        if reply.status() == StatusCode::SWITCHING_PROTOCOLS {
            under_way.0.leave_http1();
        }
        reply.map(|body| Self { body, _under_way: under_way })
    }
}

impl Body for Spoken {
    type Data = Bytes;
    type Error = <ReplyBody as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A client connection on which hyper's own answers are put into our form.
pub(super) struct Voiced<S> {
    stream: S,
    turn: Arc<Turn>,
    instead: Option<Instead>,
}

/// Our answer, on its way in the place of hyper's.
struct Instead {
    bytes: Vec<u8>,
    written: usize,
    /// How much of hyper's it stands for.
    replaces: usize,
}

impl<S: AsyncWrite + Unpin> Voiced<S> {
    pub(super) fn new(stream: S, turn: Arc<Turn>) -> Self {
        Self { stream, turn, instead: None }
    }

    /// Writes our answer if this is one of hyper's own; `None` if it is not.
    fn poll_instead(
        &mut self,
        cx: &mut Context<'_>,
        first: &[u8],
        length: usize,
    ) -> Option<Poll<io::Result<usize>>> {
        if self.instead.is_none() && self.turn.is_hypers() {
            let bytes = answer(&refusal(first)?);
            self.instead = Some(Instead { bytes, written: 0, replaces: length });
        }
        let instead = self.instead.as_mut()?;
        while instead.written < instead.bytes.len() {
            let rest = &instead.bytes[instead.written..];
            match Pin::new(&mut self.stream).poll_write(cx, rest) {
                Poll::Ready(Ok(0)) => return Some(Poll::Ready(Err(io::ErrorKind::WriteZero.into()))),
                Poll::Ready(Ok(count)) => instead.written += count,
                other => return Some(other),
            }
        }
        let replaces = instead.replaces;
        self.instead = None;
        Some(Poll::Ready(Ok(replaces)))
    }
}

/// What hyper refused, by the status it chose.
fn refusal(head: &[u8]) -> Option<Refusal> {
    match head.strip_prefix(b"HTTP/1.1 ")?.get(..3)? {
        b"400" => Some(Refusal::Malformed("the request head is not HTTP/1.1")),
        b"414" => Some(Refusal::TargetTooLong),
        b"431" => Some(Refusal::HeadTooLarge),
        _ => None,
    }
}

fn answer(refusal: &Refusal) -> Vec<u8> {
    let id = RequestIds::new().next().text();
    let Reply { status, fields, body, .. } = problem(refusal, Subject::default(), &id);
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let mut bytes = Vec::with_capacity(512);
    // Writing to memory cannot fail.
    let _ = write!(bytes, "HTTP/1.1 {status} {}\r\n", reason.unwrap_or_default());
    for (name, value) in fields {
        let _ = write!(bytes, "{name}: {}\r\n", String::from_utf8_lossy(&value));
    }
    let _ = write!(
        bytes,
        "{REQUEST_ID_FIELD}: {id}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    bytes.extend_from_slice(&body);
    bytes
}

impl<S: AsyncRead + Unpin> AsyncRead for Voiced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Voiced<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.poll_instead(cx, buf, buf.len()) {
            Some(written) => written,
            None => Pin::new(&mut self.stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| &**buf);
        match self.poll_instead(cx, first, bufs.iter().map(|buf| buf.len()).sum()) {
            Some(written) => written,
            None => Pin::new(&mut self.stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.turn.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
