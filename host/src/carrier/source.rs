//! The client's request body, readable once by each attempt to send it.
//!
//! It streams; up to 64 KiB of what has gone by are kept, so that a request whose credential was
//! rejected can be sent again.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::conn::{self, CutShort};
use super::frames::Frames;

/// The most that is kept for a replay.
const REPLAY_LIMIT: usize = 64 * 1024;

/// The body as it comes from the client. Shared by the exchange and the attempt under way.
#[derive(Clone)]
pub(super) struct Source(Rc<RefCell<State>>);

/// The body as one attempt sends it: what was kept, then the rest.
pub(super) struct Attempt {
    source: Source,
    number: u32,
    /// How much of what was kept it has used.
    used: usize,
    sent: u64,
    trailers_sent: bool,
}

/// Why a body cannot be sent on.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyCutShort {
    /// The client broke off.
    #[error("the client broke off its request")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A later attempt reads the body now; this one's connection is to be closed.
    #[error("the request is sent on another connection")]
    Superseded,
}

/// Where the bytes come from.
enum Client {
    Http1(conn::Shared),
    /// Boxed: an idle connection of HTTP/1.1 need not have the room.
    Http2(Box<Frames>),
    /// Nothing comes: a request over HTTP/2 that ended with its head, as most do.
    Nothing,
}

struct State {
    client: Client,
    /// As announced.
    length: Option<u64>,
    attempts: u32,
    kept: Vec<u8>,
    /// Nothing more is kept: an attempt from the start is not possible.
    incomplete: bool,
    ended: bool,
    waiting_for_client: bool,
    last_moved: Instant,
    received: u64,
}

impl Source {
    /// A body that hyper reads: HTTP/2.
    pub(super) fn http2(incoming: Incoming) -> Self {
        let (length, ended) = (incoming.size_hint().exact(), incoming.is_end_stream());
        let client = if ended { Client::Nothing } else { Client::Http2(Box::new(Frames::new(incoming))) };
        Self::new(client, length, ended)
    }

    /// The bodies of the requests on an HTTP/1.1 connection, one after the other: see [`Self::restart`].
    pub(super) fn http1(conn: conn::Shared) -> Self {
        Self::new(Client::Http1(conn), Some(0), true)
    }

    /// The next request of the connection has begun. Whoever still sends the last one gets nothing of it.
    pub(super) fn restart(&self, length: Option<u64>, now: Instant) {
        let mut state = self.0.borrow_mut();
        state.attempts += 1;
        state.length = length;
        state.ended = length == Some(0);
        state.incomplete = is_too_long(length);
        state.waiting_for_client = false;
        state.received = 0;
        state.last_moved = now;
    }

    /// The request has been answered: nothing of it is kept.
    pub(super) fn release(&self) {
        self.0.borrow_mut().kept = Vec::new();
    }

    fn new(client: Client, length: Option<u64>, ended: bool) -> Self {
        Self(Rc::new(RefCell::new(State {
            client,
            length,
            attempts: 0,
            kept: Vec::new(),
            incomplete: is_too_long(length),
            ended,
            waiting_for_client: false,
            last_moved: Instant::now(),
            received: 0,
        })))
    }

    /// The body from its start. Only the first attempt may ask without [`Self::can_replay`].
    pub(super) fn attempt(&self) -> Attempt {
        let mut state = self.0.borrow_mut();
        state.attempts += 1;
        Attempt { source: self.clone(), number: state.attempts, used: 0, sent: 0, trailers_sent: false }
    }

    /// Whether an attempt from the start is still possible.
    pub(super) fn can_replay(&self) -> bool {
        !self.0.borrow().incomplete
    }

    /// Whether there is no body at all.
    pub(super) fn is_empty(&self) -> bool {
        let state = self.0.borrow();
        state.ended && state.kept.is_empty() && !state.incomplete
    }

    /// How long it is, as announced.
    pub(super) fn length(&self) -> Option<u64> {
        self.0.borrow().length
    }

    /// Whether the client has sent everything.
    pub(super) fn is_complete(&self) -> bool {
        self.0.borrow().ended
    }

    /// Whether the upstream wants more than the client has sent.
    pub(super) fn waits_for_client(&self) -> bool {
        self.0.borrow().waiting_for_client
    }

    /// How many bytes have come from the client.
    pub(super) fn received(&self) -> u64 {
        self.0.borrow().received
    }

    /// When the last piece went by.
    pub(super) fn last_moved(&self) -> Instant {
        self.0.borrow().last_moved
    }

    /// Keeps nothing more: the answer is there, nothing will be replayed.
    pub(super) fn forget(&self) {
        self.0.borrow_mut().incomplete = true;
    }
}

fn is_too_long(length: Option<u64>) -> bool {
    length.is_some_and(|length| length > REPLAY_LIMIT as u64)
}

impl State {
    /// Bytes of the client are there, or it has sent all of them (`None`).
    fn poll_client(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<(), BodyCutShort>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let polled = self.client.poll(cx);
        self.waiting_for_client = polled.is_pending();
        let polled = ready!(polled);
        self.ended = polled.is_none();
        self.last_moved = Instant::now();
        Poll::Ready(polled)
    }

    /// Moves what is there to what is kept, if it still fits.
    fn keep(&mut self) {
        let room = REPLAY_LIMIT - self.kept.len();
        let kept = &mut self.kept;
        let count = self.client.with_piece(|piece| {
            let fits = piece.len() <= room;
            fits.then(|| kept.extend_from_slice(piece)).map(|()| piece.len())
        });
        match count {
            Some(count) => self.consume(count),
            None => self.incomplete = true,
        }
    }

    fn consume(&mut self, count: usize) {
        self.client.consume(count);
        self.received += count as u64;
        self.ended = self.ended || self.client.is_complete();
    }
}

impl Client {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<(), BodyCutShort>>> {
        match self {
            Self::Http1(conn) => {
                let polled = ready!(conn.borrow_mut().poll_content(cx));
                Poll::Ready(polled.map(|content| content.map_err(BodyCutShort::from)))
            }
            Self::Http2(frames) => {
                let polled = ready!(frames.poll_piece(cx));
                Poll::Ready(polled.map(|piece| piece.map_err(|error| BodyCutShort::Client(error.into()))))
            }
            Self::Nothing => Poll::Ready(None),
        }
    }

    fn with_piece<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            Self::Http1(conn) => f(conn.borrow().content()),
            Self::Http2(frames) => f(frames.piece()),
            Self::Nothing => f(&[]),
        }
    }

    fn consume(&mut self, count: usize) {
        match self {
            Self::Http1(conn) => conn.borrow_mut().consume(count),
            Self::Http2(frames) => frames.consume(count),
            Self::Nothing => {}
        }
    }

    fn is_complete(&self) -> bool {
        match self {
            Self::Http1(conn) => conn.borrow().is_complete(),
            Self::Http2(frames) => frames.is_complete(),
            Self::Nothing => true,
        }
    }
}

impl From<CutShort> for BodyCutShort {
    fn from(error: CutShort) -> Self {
        Self::Client(error.into())
    }
}

impl Attempt {
    /// Bytes to send are there, or all were sent (`None`).
    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<(), BodyCutShort>>> {
        let mut state = self.source.0.borrow_mut();
        if state.attempts != self.number {
            return Poll::Ready(Some(Err(BodyCutShort::Superseded)));
        }
        if self.used < state.kept.len() {
            return Poll::Ready(Some(Ok(())));
        }
        let polled = ready!(state.poll_client(cx));
        if !matches!(polled, Some(Ok(()))) {
            return Poll::Ready(polled);
        }
        if !state.incomplete {
            state.keep();
        }
        if state.incomplete {
            // From here on it is sent from where it was read to.
            state.kept.clear();
            self.used = 0;
        }
        Poll::Ready(Some(Ok(())))
    }

    /// The bytes to send.
    pub(super) fn with_piece<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        let state = self.source.0.borrow();
        match state.kept.get(self.used..) {
            Some(kept) if !kept.is_empty() => f(kept),
            _ => state.client.with_piece(f),
        }
    }

    /// So many were sent.
    pub(super) fn consume(&mut self, count: usize) {
        let mut state = self.source.0.borrow_mut();
        self.sent += count as u64;
        if self.used < state.kept.len() {
            self.used += count;
        } else {
            state.consume(count);
        }
    }

    /// Whether all were sent, as far as one can tell without asking the client.
    pub(super) fn is_complete(&self) -> bool {
        let state = self.source.0.borrow();
        state.ended && self.used >= state.kept.len()
    }

    /// How long the body is, as announced.
    pub(super) fn length(&self) -> Option<u64> {
        self.source.length()
    }

    fn take_trailers(&mut self) -> Option<HeaderMap> {
        if std::mem::replace(&mut self.trailers_sent, true) {
            return None;
        }
        match &mut self.source.0.borrow_mut().client {
            Client::Http2(frames) => frames.trailers().clone(),
            Client::Http1(_) | Client::Nothing => None,
        }
    }
}

/// For HTTP/2 upstreams, which hyper speaks to. Trailers pass only between two HTTP/2 hops: HTTP/1.1 peers rarely expect
/// any, and some merge them into the head.
impl Body for Attempt {
    type Data = Bytes;
    type Error = BodyCutShort;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyCutShort>>> {
        match ready!(self.poll_piece(cx)) {
            Some(Ok(())) => {
                let piece = self.with_piece(Bytes::copy_from_slice);
                self.consume(piece.len());
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            None => Poll::Ready(self.take_trailers().map(|trailers| Ok(Frame::trailers(trailers)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        let trailers_due = match &mut self.source.0.borrow_mut().client {
            Client::Http2(frames) => frames.trailers().is_some() && !self.trailers_sent,
            Client::Http1(_) | Client::Nothing => false,
        };
        self.is_complete() && !trailers_due
    }

    fn size_hint(&self) -> SizeHint {
        match self.length() {
            Some(length) => SizeHint::with_exact(length.saturating_sub(self.sent)),
            None => SizeHint::default(),
        }
    }
}
