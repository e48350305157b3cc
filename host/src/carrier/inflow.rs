//! A response's body as it comes from the upstream, whatever it comes over.

use std::rc::Rc;
use std::task::{Context, Poll, ready};

use ccproxy_h1::Form;

use super::body::BodyError;
use super::call::Call;
use super::frames::Frames;
use super::pool::Slot;

/// The upstream's side of a body.
pub(super) enum Inflow {
    /// HTTP/1.1: the exchange, and where its connection goes afterwards.
    Http1(Box<Call>, Rc<Slot>),
    /// HTTP/2.
    Http2(Box<Frames>),
}

impl Inflow {
    /// Whether hyper reads it.
    pub(super) fn is_http2(&self) -> bool {
        matches!(self, Self::Http2(_))
    }

    /// Bytes are there, or all have come (`None`).
    pub(super) fn poll_piece(
        &mut self,
        form: Form,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<(), BodyError>>> {
        match self {
            Self::Http1(call, _) => {
                let polled = ready!(call.poll_piece(form, cx));
                Poll::Ready(polled.map(|piece| piece.map_err(|error| BodyError::Upstream(error.into()))))
            }
            Self::Http2(frames) => {
                let polled = ready!(frames.poll_piece(cx));
                Poll::Ready(polled.map(|piece| piece.map_err(|error| BodyError::Upstream(error.into()))))
            }
        }
    }

    /// The bytes that are there.
    pub(super) fn piece(&self) -> &[u8] {
        match self {
            Self::Http1(call, _) => call.piece(),
            Self::Http2(frames) => frames.piece(),
        }
    }

    /// So many were used.
    pub(super) fn consume(&mut self, count: usize) {
        match self {
            Self::Http1(call, _) => call.consume(count),
            Self::Http2(frames) => frames.consume(count),
        }
    }

    /// Whether all of it was used, as far as one can tell without asking.
    pub(super) fn is_complete(&self) -> bool {
        match self {
            Self::Http1(call, _) => call.is_complete(),
            Self::Http2(frames) => frames.is_complete(),
        }
    }

    /// How many bytes are left, where that is known.
    pub(super) fn left(&self) -> Option<u64> {
        match self {
            Self::Http1(call, _) => call.left(),
            Self::Http2(frames) => frames.left(),
        }
    }
}
