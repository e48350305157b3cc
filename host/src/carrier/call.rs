//! One exchange with an HTTP/1.1 upstream: a request on its way out, a response on its way in, both at once.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ccproxy_h1::{
    Body, Fields, Form, HeadEnd, HeadError, Limits, Outbox, ResponseFraming, ResponseHead, framing, write,
};
use tokio::io::AsyncWrite as _;

use super::source::{Attempt, BodyCutShort};
use super::wire::Wire;

/// An upstream's head: more fields than a request may have, since nobody types them (security U7).
const LIMITS: Limits = Limits { start_line: 4 * 1024, fields: 128, bytes: 64 * 1024 };
/// Interim responses in front of the one that counts (security U8). All together may be as large as one head.
const MAX_INTERIM: u32 = 8;
const MAX_INTERIM_BYTES: usize = LIMITS.bytes;

/// Why there is no response, or no whole one.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// The connection ended before a byte of the response.
    #[error("the upstream closed the connection")]
    Closed(#[source] Option<io::Error>),
    /// Within it.
    #[error("the upstream broke off its response")]
    BrokenOff,
    /// What it said is no head.
    #[error("the response head is not one: {0}")]
    Head(#[from] HeadError),
    /// Nor are these chunks.
    #[error(transparent)]
    Chunk(#[from] ccproxy_h1::ChunkError),
    /// It only ever promises.
    #[error("more than {MAX_INTERIM} interim responses, or {MAX_INTERIM_BYTES} bytes of them")]
    Interim,
    /// The request could not be sent to its end, which is the client's doing.
    #[error(transparent)]
    Request(#[from] BodyCutShort),
}

/// A connection to an upstream and the exchange on it: a request on its way out, a response on its way in, both at once.
///
/// Boxed for as long as the connection lives, the pool included: an exchange begins and goes from stage to stage without
/// being moved or allocated.
pub(super) struct Call {
    wire: Wire,
    outbox: Outbox,
    /// The request under way, until its response was used.
    request: Option<Attempt>,
    in_chunks: bool,
    /// How much of the request's body is being written: a chunk of that size was announced.
    outgoing: usize,
    sending: Sending,
    sent_any: bool,
    search: HeadEnd,
    heard_any: bool,
    interim: u32,
    interim_bytes: usize,
    body: Body,
    /// How much of the inbox is the next piece of it.
    piece: usize,
    /// How many bytes of content have come.
    counted: usize,
    may_be_kept: bool,
}

/// How far the request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    Body,
    LastBytes,
    Done,
    /// The upstream does not read any further. What it said, or will say, counts.
    Unheard,
}

impl Call {
    /// A connection that was just opened.
    pub(super) fn new(wire: Wire) -> Box<Self> {
        Box::new(Self {
            wire,
            outbox: Outbox::default(),
            request: None,
            in_chunks: false,
            outgoing: 0,
            sending: Sending::Done,
            sent_any: false,
            search: HeadEnd::default(),
            heard_any: false,
            interim: 0,
            interim_bytes: 0,
            body: Body::empty(),
            piece: 0,
            counted: 0,
            may_be_kept: false,
        })
    }

    /// Begins an exchange on a connection that has none under way. `write` gives the head, which lacks only what frames
    /// the body.
    pub(super) fn begin(&mut self, request: Attempt, method: &[u8], write: impl FnOnce(&mut Vec<u8>)) {
        let mut head = self.wire.lend_buffer();
        write(&mut head);
        let length = request.length();
        // RFC 9110 section 8.6: a server may wait for a body where the method suggests one.
        let suggests_body = || matches!(method, b"POST" | b"PUT" | b"PATCH");
        match length {
            Some(0) if !suggests_body() => {}
            Some(length) => write::content_length(&mut head, length),
            None => write::field(&mut head, b"transfer-encoding", b"chunked"),
        }
        write::end(&mut head);
        self.outbox = Outbox::new(head);
        self.request = Some(request);
        self.in_chunks = length.is_none();
        (self.outgoing, self.sending, self.sent_any) = (0, Sending::Body, false);
        (self.search, self.heard_any) = (HeadEnd::default(), false);
        (self.interim, self.interim_bytes) = (0, 0);
        (self.body, self.piece, self.counted) = (Body::empty(), 0, 0);
        self.may_be_kept = false;
    }

    /// Whether a kept connection can be used: see [`Wire::is_quiet`].
    pub(super) fn is_quiet(&mut self) -> bool {
        self.wire.is_quiet()
    }

    /// Whether nothing of the request has left this process.
    pub(super) fn is_unsent(&self) -> bool {
        !self.sent_any
    }

    /// Sends what of the request can be sent now.
    #[inline]
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyCutShort>> {
        match self.sending {
            Sending::Done | Sending::Unheard => Poll::Ready(Ok(())),
            Sending::Body | Sending::LastBytes => self.poll_rest(cx),
        }
    }

    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyCutShort>> {
        loop {
            if matches!(self.sending, Sending::Done | Sending::Unheard) {
                return Poll::Ready(Ok(()));
            }
            if self.sending == Sending::Body && self.outgoing == 0 && self.outbox.takes_piece() {
                match self.request.as_mut().map_or(Poll::Ready(None), |request| request.poll_piece(cx)) {
                    Poll::Ready(Some(Ok(()))) => self.begin_piece(),
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                    Poll::Ready(None) => self.end_pieces(),
                    Poll::Pending => {}
                }
            }
            if self.outgoing > 0 || !self.outbox.is_empty() {
                ready!(self.poll_write(cx));
            } else {
                ready!(self.poll_flush(cx));
                if self.sending == Sending::Body {
                    return Poll::Pending;
                }
                self.sending = Sending::Done;
                // Whoever waits for an answer does so without a buffer in hand: hundreds may.
                self.wire.buffers.give_back(std::mem::take(&mut self.outbox).into_buffer());
            }
        }
    }

    fn begin_piece(&mut self) {
        self.outgoing = self.request.as_ref().map_or(0, |request| request.with_piece(<[u8]>::len));
        if self.in_chunks {
            write::chunk_size(self.outbox.front(), self.outgoing);
            self.outbox.follow_with(b"\r\n");
        }
    }

    fn end_pieces(&mut self) {
        self.sending = Sending::LastBytes;
        if self.in_chunks {
            self.outbox.front().extend_from_slice(write::LAST_CHUNK);
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (outbox, stream, count) = (&mut self.outbox, &mut self.wire.stream, self.outgoing);
        let polled = match &self.request {
            Some(request) if count > 0 => {
                request.with_piece(|piece| outbox.poll_write(stream, &piece[..count], cx))
            }
            _ => outbox.poll_write(stream, &[], cx),
        };
        match ready!(polled) {
            Ok(count) => {
                self.sent_any = true;
                self.outgoing -= count;
                if let Some(request) = &mut self.request
                    && count > 0
                {
                    request.consume(count);
                }
            }
            // It may have answered already: `401` or `413` to an upload, and the connection closed. Reading tells.
            Err(_) => self.sending = Sending::Unheard,
        }
        Poll::Ready(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if ready!(Pin::new(&mut self.wire.stream).poll_flush(cx)).is_err() {
            self.sending = Sending::Unheard;
        }
        Poll::Ready(())
    }

    /// The status of the response, and where its head ends. The request goes on being sent meanwhile. `interim` is shown
    /// every interim response that comes before.
    pub(super) fn poll_head(
        &mut self,
        interim: impl Fn(u16, &ResponseHead<'_>),
        cx: &mut Context<'_>,
    ) -> Poll<Result<(u16, usize), CallError>> {
        if let Poll::Ready(Err(error)) = self.poll_send(cx) {
            return Poll::Ready(Err(error.into()));
        }
        loop {
            if !self.wire.inbox.is_empty()
                && let Some(end) = self.search.find(self.wire.inbox.bytes(), &LIMITS)?
            {
                let status = ccproxy_h1::status(&self.wire.inbox.bytes()[..end])?;
                if status >= 200 || status == 101 {
                    return Poll::Ready(Ok((status, end)));
                }
                self.pass_interim(status, end, &interim)?;
                continue;
            }
            match ready!(self.wire.inbox.poll_read(&mut self.wire.stream, &self.wire.buffers, cx)) {
                Ok(1..) => self.heard_any = true,
                _ if self.heard_any => return Poll::Ready(Err(CallError::BrokenOff)),
                read => return Poll::Ready(Err(CallError::Closed(read.err()))),
            }
        }
    }

    /// Apart from what every response goes through: few upstreams send any.
    #[cold]
    fn pass_interim(
        &mut self,
        status: u16,
        end: usize,
        pass: &dyn Fn(u16, &ResponseHead<'_>),
    ) -> Result<(), CallError> {
        self.interim += 1;
        self.interim_bytes += end;
        if self.interim > MAX_INTERIM || self.interim_bytes > MAX_INTERIM_BYTES {
            return Err(CallError::Interim);
        }
        pass(status, &self.head(end, &mut Fields::new())?);
        self.wire.inbox.consume(end, &self.wire.buffers);
        self.search = HeadEnd::default();
        Ok(())
    }

    /// The head that ends there.
    pub(super) fn head<'f, 'a: 'f>(
        &'a self,
        end: usize,
        room: &'f mut Fields<'a>,
    ) -> Result<ResponseHead<'f>, HeadError> {
        ccproxy_h1::response(&self.wire.inbox.bytes()[..end], &LIMITS, room)
    }

    /// The head has been used; the body follows.
    pub(super) fn begin_body(&mut self, end: usize, framing: ResponseFraming, may_be_kept: bool) {
        self.wire.inbox.consume(end, &self.wire.buffers);
        self.body = Body::of_response(framing);
        self.may_be_kept = may_be_kept && framing != ResponseFraming::UntilClose;
    }

    /// Bytes of the body are there, or it has ended (`None`). The request goes on being sent meanwhile.
    pub(super) fn poll_piece(
        &mut self,
        form: Form,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<(), CallError>>> {
        if let Poll::Ready(Err(error)) = self.poll_send(cx) {
            return Poll::Ready(Some(Err(error.into())));
        }
        loop {
            if self.piece > 0 {
                return Poll::Ready(Some(Ok(())));
            }
            if self.body.is_done() {
                return Poll::Ready(None);
            }
            if !self.wire.inbox.is_empty() {
                let piece = match self.body.next(self.wire.inbox.bytes(), form) {
                    Ok(piece) => piece,
                    Err(error) => return Poll::Ready(Some(Err(error.into()))),
                };
                self.wire.inbox.consume(piece.skip, &self.wire.buffers);
                self.piece = piece.take;
                self.counted += piece.content;
                if piece.skip + piece.take > 0 {
                    continue;
                }
            }
            self.wire.inbox.expect(self.body.left(), &self.wire.buffers);
            match ready!(self.wire.inbox.poll_read(&mut self.wire.stream, &self.wire.buffers, cx)) {
                Ok(1..) => {}
                Ok(0) if self.body.end() => {}
                _ => return Poll::Ready(Some(Err(CallError::BrokenOff))),
            }
        }
    }

    /// The bytes of the body that are there.
    pub(super) fn piece(&self) -> &[u8] {
        &self.wire.inbox.bytes()[..self.piece]
    }

    /// So many were used.
    pub(super) fn consume(&mut self, count: usize) {
        let count = count.min(self.piece);
        self.piece -= count;
        self.wire.inbox.consume(count, &self.wire.buffers);
    }

    /// Whether the whole response was used.
    pub(super) fn is_complete(&self) -> bool {
        self.piece == 0 && self.body.is_done()
    }

    /// How many bytes of content have come since the last call.
    pub(super) fn take_counted(&mut self) -> usize {
        std::mem::take(&mut self.counted)
    }

    /// How many bytes of the body are left, where that is known.
    pub(super) fn left(&self) -> Option<u64> {
        self.body.left()
    }

    /// The connection, for another exchange: only if this one left nothing in either direction.
    pub(super) fn ended(mut self: Box<Self>) -> Option<Box<Self>> {
        let is_clean = self.may_be_kept
            && self.sending == Sending::Done
            && self.is_complete()
            && self.wire.inbox.is_empty();
        self.request = None;
        is_clean.then_some(self)
    }

    /// The connection, for another protocol.
    pub(super) fn into_tunnel(self) -> Wire {
        self.wire
    }
}

/// Whether an upstream that sent this head means to use the connection again, and can be believed.
pub(super) fn may_be_kept(head: &ResponseHead<'_>) -> bool {
    framing::keeps_alive(head.version, &head.fields) && !framing::is_framed_twice(&head.fields)
}

impl CallError {
    /// Whether not a byte came back.
    pub(super) fn is_silence(&self) -> bool {
        matches!(self, Self::Closed(_))
    }
}
