//! The client's request body, readable once by each attempt to send it.
//!
//! It streams; up to 64 KiB of what has gone by are kept, so that a request whose credential was
//! rejected can be sent again. What is kept are references to buffers, not copies.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::head::clean_trailers;

/// The most that is kept for a replay.
const REPLAY_LIMIT: usize = 64 * 1024;

/// The body as it comes from the client. Shared by the exchange and the attempt under way.
#[derive(Clone)]
pub(super) struct Source(Rc<RefCell<State>>);

/// The body as one attempt sends it: what was kept, then the rest.
pub(super) struct Attempt {
    source: Source,
    number: u32,
    next: usize,
    trailers_sent: bool,
}

/// Why a body cannot be sent on.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyCutShort {
    /// The client broke off.
    #[error("the client broke off its request")]
    Client(#[from] hyper::Error),
    /// A later attempt reads the body now; this one's connection is to be closed.
    #[error("the request is sent on another connection")]
    Superseded,
}

struct State {
    incoming: Incoming,
    attempts: u32,
    kept: Vec<Bytes>,
    kept_bytes: usize,
    /// No longer everything is kept: an attempt from the start is not possible.
    incomplete: bool,
    ended: bool,
    trailers: Option<HeaderMap>,
    pass_trailers: bool,
    waiting_for_client: bool,
    last_moved: Instant,
    received: u64,
}

impl Source {
    /// A body that may be read. Trailers pass only between two HTTP/2 hops: HTTP/1.1 peers rarely
    /// expect any, and some merge them into the head.
    pub(super) fn new(incoming: Incoming, pass_trailers: bool) -> Self {
        let too_large = incoming.size_hint().lower() > REPLAY_LIMIT as u64;
        let ended = incoming.is_end_stream();
        Self(Rc::new(RefCell::new(State {
            incoming,
            attempts: 0,
            kept: Vec::new(),
            kept_bytes: 0,
            incomplete: too_large,
            ended,
            trailers: None,
            pass_trailers,
            waiting_for_client: false,
            last_moved: Instant::now(),
            received: 0,
        })))
    }

    /// The body from its start. Only the first attempt may ask without [`Self::can_replay`].
    pub(super) fn attempt(&self) -> Attempt {
        let mut state = self.0.borrow_mut();
        state.attempts += 1;
        Attempt { source: self.clone(), number: state.attempts, next: 0, trailers_sent: false }
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

    /// Lets go of what was kept: the answer is there, nothing will be replayed.
    pub(super) fn forget(&self) {
        let mut state = self.0.borrow_mut();
        state.incomplete = true;
        state.kept.clear();
    }
}

impl State {
    /// The next piece from the client, remembered.
    fn poll_client(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, hyper::Error>>> {
        loop {
            if self.ended {
                return Poll::Ready(None);
            }
            let polled = Pin::new(&mut self.incoming).poll_frame(cx);
            self.waiting_for_client = polled.is_pending();
            let Some(frame) = ready!(polled) else {
                self.ended = true;
                continue;
            };
            self.last_moved = Instant::now();
            match frame?.into_data() {
                Ok(data) => {
                    self.received += data.len() as u64;
                    self.keep(&data);
                    self.ended = self.incoming.is_end_stream();
                    return Poll::Ready(Some(Ok(data)));
                }
                Err(frame) => {
                    self.trailers =
                        frame.into_trailers().ok().filter(|_| self.pass_trailers).map(clean_trailers);
                }
            }
        }
    }

    fn keep(&mut self, data: &Bytes) {
        if self.incomplete {
            return;
        }
        self.kept_bytes += data.len();
        if self.kept_bytes > REPLAY_LIMIT {
            self.incomplete = true;
            self.kept.clear();
        } else {
            self.kept.push(data.clone());
        }
    }
}

impl Body for Attempt {
    type Data = Bytes;
    type Error = BodyCutShort;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyCutShort>>> {
        let source = self.source.clone();
        let mut state = source.0.borrow_mut();
        if state.attempts != self.number {
            return Poll::Ready(Some(Err(BodyCutShort::Superseded)));
        }
        if let Some(kept) = state.kept.get(self.next) {
            self.next += 1;
            return Poll::Ready(Some(Ok(Frame::data(kept.clone()))));
        }
        if let Some(data) = ready!(state.poll_client(cx)?) {
            self.next += 1;
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        let trailers = state.trailers.clone().filter(|_| !self.trailers_sent);
        self.trailers_sent = true;
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        let state = self.source.0.borrow();
        let trailers_due = state.trailers.is_some() && !self.trailers_sent;
        state.ended && self.next >= state.kept.len() && !trailers_due
    }

    fn size_hint(&self) -> SizeHint {
        let state = self.source.0.borrow();
        let again: u64 = state.kept.iter().skip(self.next).map(|data| data.len() as u64).sum();
        let rest = state.incoming.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(again + rest.lower());
        if let Some(upper) = rest.upper() {
            hint.set_upper(again + upper);
        }
        hint
    }
}
