//! The client's side of an HTTP/1.1 connection: heads and bodies out of the socket, answers into it.
//!
//! Shared by the loop that serves the connection and by whoever reads the body of the request under way, on the same
//! thread; nobody holds the borrow over a wait.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use ccproxy_h1::{Body, Buffers, Form, HeadEnd, HeadError, Inbox, Limits, Outbox, RequestFraming};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::stream::ClientStream;
use crate::guard::{MAX_FIELD_BYTES, MAX_FIELDS, MAX_TARGET};

/// Wider than the guard's, so that the guard answers what it has an answer to.
pub(super) const LIMITS: Limits =
    Limits { start_line: 2 * MAX_TARGET, fields: MAX_FIELDS + 28, bytes: 2 * (MAX_FIELD_BYTES + MAX_TARGET) };

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The most that is kept of what a client does not read before its answer.
const MAX_EARLY: usize = 64 * 1024;

/// A connection with a client.
pub(super) type Shared = Rc<RefCell<Conn>>;

pub(super) struct Conn {
    stream: ClientStream,
    inbox: Inbox,
    buffers: Rc<Buffers>,
    /// The body of the request under way.
    body: Body,
    /// How much of the inbox is content of it.
    content: usize,
    /// The client waits for a word before it sends the body (RFC 9110 section 10.1.1).
    waits_for_continue: bool,
    /// Interim responses that the socket has not taken yet. Whatever is written next comes after them.
    early: Vec<u8>,
}

/// What came of waiting for a head.
pub(super) enum Heard {
    /// A head, whole: the request line to the empty line.
    Head(Vec<u8>),
    /// Bytes that are none.
    Nonsense(HeadError),
    /// The rest of it does not come.
    Late,
    /// The client has closed, between two requests or within one.
    Closed,
}

/// Why a body does not end as announced.
#[derive(Debug, thiserror::Error)]
pub(super) enum CutShort {
    #[error("the client broke off its request")]
    Closed,
    #[error(transparent)]
    Broken(#[from] ccproxy_h1::ChunkError),
    #[error("the client cannot be read from: {0}")]
    Io(#[from] io::Error),
}

impl Conn {
    pub(super) fn new(stream: ClientStream, buffers: Rc<Buffers>, inbox: Inbox) -> Self {
        let (body, content, waits_for_continue) = (Body::empty(), 0, false);
        Self { stream, inbox, buffers, body, content, waits_for_continue, early: Vec::new() }
    }

    /// The next head. Nothing is held while the client is silent but the socket.
    pub(super) fn poll_head(&mut self, search: &mut HeadEnd, cx: &mut Context<'_>) -> Poll<Heard> {
        loop {
            if !self.inbox.is_empty() {
                match search.find(self.inbox.bytes(), &LIMITS) {
                    Ok(Some(end)) => {
                        return Poll::Ready(Heard::Head(self.inbox.split_off_front(end, &self.buffers)));
                    }
                    Ok(None) => {}
                    Err(error) => return Poll::Ready(Heard::Nonsense(error)),
                }
            }
            match ready!(self.inbox.poll_read(&mut self.stream, &self.buffers, cx)) {
                Ok(0) | Err(_) => return Poll::Ready(Heard::Closed),
                Ok(_) => {}
            }
        }
    }

    /// Whether nothing of another request has come.
    pub(super) fn is_silent(&self) -> bool {
        self.inbox.is_empty()
    }

    /// A request begins whose body is framed like this. How long it is, where that is known.
    pub(super) fn begin(&mut self, framing: RequestFraming, expects_continue: bool) -> Option<u64> {
        self.body = Body::of_request(framing);
        self.content = 0;
        self.waits_for_continue = expects_continue && !self.body.is_done();
        self.body.left()
    }

    /// Bytes of content are there, or the body has ended (`None`).
    pub(super) fn poll_content(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<(), CutShort>>> {
        loop {
            if self.content > 0 {
                return Poll::Ready(Some(Ok(())));
            }
            if self.body.is_done() {
                return Poll::Ready(None);
            }
            if !self.inbox.is_empty() {
                let piece = match self.body.next(self.inbox.bytes(), Form::Data) {
                    Ok(piece) => piece,
                    Err(error) => return Poll::Ready(Some(Err(error.into()))),
                };
                self.inbox.consume(piece.skip, &self.buffers);
                self.content = piece.take;
                if piece.skip + piece.take > 0 {
                    continue;
                }
            }
            if self.waits_for_continue {
                self.waits_for_continue = false;
                self.say_early(|out| out.extend_from_slice(CONTINUE));
            }
            if let Err(error) = self.write_early(cx) {
                return Poll::Ready(Some(Err(error.into())));
            }
            self.inbox.expect(self.body.left(), &self.buffers);
            match ready!(self.inbox.poll_read(&mut self.stream, &self.buffers, cx)) {
                Ok(0) => return Poll::Ready(Some(Err(CutShort::Closed))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
        }
    }

    /// The content that is there.
    pub(super) fn content(&self) -> &[u8] {
        &self.inbox.bytes()[..self.content]
    }

    /// So much of it was used.
    pub(super) fn consume(&mut self, count: usize) {
        let count = count.min(self.content);
        self.content -= count;
        self.inbox.consume(count, &self.buffers);
    }

    /// Whether all of the request's body was read.
    pub(super) fn is_complete(&self) -> bool {
        self.content == 0 && self.body.is_done()
    }

    /// Puts an interim response behind what waits to be written. One that a client who does not read leaves no room for
    /// is left out, as any may be (RFC 9110 section 15.2).
    pub(super) fn say_early(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.early.is_empty() {
            self.early = self.buffers.lend();
        }
        let before = self.early.len();
        write(&mut self.early);
        if self.early.len() > MAX_EARLY {
            self.early.truncate(before);
        }
    }

    /// Writes interim responses as far as the socket takes them, and asks to be woken when it takes more.
    #[inline]
    pub(super) fn write_early(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.early.is_empty() { Ok(()) } else { self.write_some_early(cx) }
    }

    #[cold]
    fn write_some_early(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while !self.early.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, &self.early) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => drop(self.early.drain(..count)),
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(()),
            }
        }
        self.buffers.give_back(std::mem::take(&mut self.early));
        Ok(())
    }

    /// From now on an answer is written: no 100 may come in between. Answers the buffer to write it to, with what is left
    /// of interim responses.
    pub(super) fn begin_answer(&mut self) -> Vec<u8> {
        self.waits_for_continue = false;
        if self.early.is_empty() { self.buffers.lend() } else { std::mem::take(&mut self.early) }
    }

    /// Reads what is left of a body as far as it is there already: whether that was all of it.
    pub(super) fn discard_rest(&mut self) -> bool {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        while let Poll::Ready(Some(Ok(()))) = self.poll_content(&mut cx) {
            self.consume(self.content);
        }
        self.is_complete()
    }

    /// Whether the client has closed. Only asked once the body was read; what comes of the next request is kept.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_complete() || !self.inbox.is_empty() {
            // Whoever reads the body finds out; and who has sent more is there.
            return Poll::Pending;
        }
        match ready!(self.inbox.poll_read(&mut self.stream, &self.buffers, cx)) {
            Ok(0) | Err(_) => Poll::Ready(()),
            Ok(_) => Poll::Pending,
        }
    }

    /// Writes once; see [`Outbox::poll_write`].
    pub(super) fn poll_write(
        &mut self,
        outbox: &mut Outbox,
        piece: &[u8],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        outbox.poll_write(&mut self.stream, piece, cx)
    }

    /// Ends our side, and then reads until the client ends its own: closing a socket with unread bytes would take from
    /// the client what was written last.
    pub(super) fn poll_farewell(&mut self, left: &mut usize, cx: &mut Context<'_>) -> Poll<()> {
        if ready!(Pin::new(&mut self.stream).poll_shutdown(cx)).is_err() {
            return Poll::Ready(());
        }
        loop {
            self.inbox.clear(&self.buffers);
            match ready!(self.inbox.poll_read(&mut self.stream, &self.buffers, cx)) {
                Ok(count @ 1..) if count <= *left => *left -= count,
                _ => return Poll::Ready(()),
            }
        }
    }

    /// See [`ClientStream::reset_when_closed`].
    pub(super) fn reset_when_closed(&mut self) {
        self.stream.reset_when_closed();
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        self.inbox.clear(&self.buffers);
    }
}

/// The connection as a tunnel sees it: what was read ahead, then the socket.
pub(super) struct Raw(pub(super) Shared);

impl AsyncRead for Raw {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut conn = self.0.borrow_mut();
        let Conn { stream, inbox, buffers, .. } = &mut *conn;
        if read_ahead_first(inbox, buffers, buf) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(stream).poll_read(cx, buf)
    }
}

/// Moves bytes that were read ahead; whether there were any.
pub(super) fn read_ahead_first(inbox: &mut Inbox, buffers: &Buffers, buf: &mut ReadBuf<'_>) -> bool {
    let count = inbox.bytes().len().min(buf.remaining());
    buf.put_slice(&inbox.bytes()[..count]);
    inbox.consume(count, buffers);
    count > 0
}

impl AsyncWrite for Raw {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0.borrow_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.borrow_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.borrow_mut().stream).poll_shutdown(cx)
    }
}
