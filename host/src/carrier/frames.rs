//! A body that hyper reads, piece by piece: HTTP/2, in either direction.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http::HeaderMap;
use http_body::Body as _;
use hyper::body::Incoming;

use super::head::clean_trailers;

/// The body, and what of it was not used yet.
pub(super) struct Frames {
    incoming: Incoming,
    piece: Bytes,
    trailers: Option<HeaderMap>,
}

impl Frames {
    pub(super) fn new(incoming: Incoming) -> Self {
        Self { incoming, piece: Bytes::new(), trailers: None }
    }

    /// Bytes are there, or all have come (`None`).
    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<(), hyper::Error>>> {
        loop {
            if !self.piece.is_empty() {
                return Poll::Ready(Some(Ok(())));
            }
            let Some(frame) = ready!(Pin::new(&mut self.incoming).poll_frame(cx)) else {
                return Poll::Ready(None);
            };
            match frame.map(http_body::Frame::into_data) {
                Ok(Ok(data)) => self.piece = data,
                Ok(Err(frame)) => self.trailers = frame.into_trailers().ok().map(clean_trailers),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }

    /// The bytes that are there.
    pub(super) fn piece(&self) -> &Bytes {
        &self.piece
    }

    /// So many were used.
    pub(super) fn consume(&mut self, count: usize) {
        self.piece.advance(count.min(self.piece.len()));
    }

    /// Whether all of it was used, as far as one can tell without asking.
    pub(super) fn is_complete(&self) -> bool {
        self.piece.is_empty() && self.incoming.is_end_stream()
    }

    /// How many bytes are left, where that is known.
    pub(super) fn left(&self) -> Option<u64> {
        self.incoming.size_hint().exact().map(|left| left + self.piece.len() as u64)
    }

    /// The trailers, if they have come.
    pub(super) fn trailers(&mut self) -> &mut Option<HeaderMap> {
        &mut self.trailers
    }
}
