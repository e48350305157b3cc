//! An HTTP/1.1 connection to an upstream.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use ccproxy_h1::{Buffers, Inbox};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::conn::read_ahead_first;
use crate::upstream::connect::Stream;

/// A connection to an upstream.
pub(super) struct Wire {
    pub(super) stream: Stream,
    pub(super) inbox: Inbox,
    pub(super) buffers: Rc<Buffers>,
}

impl Wire {
    pub(super) fn new(stream: Stream, buffers: Rc<Buffers>) -> Self {
        Self { stream, inbox: Inbox::default(), buffers }
    }

    /// Whether a kept connection can be used: the upstream has neither closed it nor said anything unasked.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        self.inbox.poll_read(&mut self.stream, &self.buffers, &mut cx).is_pending()
    }

    /// A buffer for a head.
    pub(super) fn lend_buffer(&self) -> Vec<u8> {
        self.buffers.lend()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.inbox.clear(&self.buffers);
    }
}

/// The connection as a tunnel sees it: what was read ahead, then the socket.
impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, inbox, buffers } = &mut *self;
        if read_ahead_first(inbox, buffers, buf) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(Pin::new(&mut self.stream).poll_shutdown(cx)) {
            // The other end was faster.
            Err(error) if error.kind() == ErrorKind::NotConnected => Poll::Ready(Ok(())),
            done => Poll::Ready(done),
        }
    }
}
