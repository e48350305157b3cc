//! The body of a reply: ours, or the upstream's as it comes.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use super::head::clean_trailers;
use super::observe::Record;
use super::pool::Lease;
use crate::respond::JsonLinks;

/// A response that stays silent this long is dead. Longer than any model thinks between two tokens.
pub(super) const IDLE: Duration = Duration::from_secs(5 * 60);

/// The body of a reply.
pub(super) enum ReplyBody {
    /// Ours.
    Own(Bytes),
    /// The upstream's. Boxed: a reply without one should be small.
    Relayed(Box<RelayedBody>),
}

/// Why a relayed body ended early. hyper then breaks the client's framing, so that nobody takes the
/// part for the whole.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    /// The upstream broke off.
    #[error("the upstream broke off its response")]
    Upstream(#[from] hyper::Error),
    /// Silence for [`IDLE`].
    #[error("the upstream was silent for {} s", IDLE.as_secs())]
    Idle,
}

/// An upstream's body on its way to the client.
pub(super) struct RelayedBody {
    incoming: Incoming,
    pass_trailers: bool,
    /// Links in it that lead to us; normally it is not looked into.
    links: Option<JsonLinks>,
    idle: IdleTimer,
    lease: Option<Lease>,
    record: Option<Record>,
}

impl RelayedBody {
    pub(super) fn new(
        incoming: Incoming,
        lease: Lease,
        record: Record,
        pass_trailers: bool,
        links: Option<JsonLinks>,
    ) -> Self {
        let mut body = Self {
            incoming,
            pass_trailers,
            links,
            idle: IdleTimer::default(),
            lease: Some(lease),
            record: Some(record),
        };
        if body.incoming.is_end_stream() {
            body.finish();
        }
        body
    }

    /// The whole body went by: the connection is free, the request is done.
    fn finish(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
        if let Some(record) = self.record.take() {
            record.completed();
        }
    }

    fn fail(&mut self, error: &BodyError) {
        // Dropping the lease closes the connection.
        self.lease = None;
        if let Some(record) = self.record.take() {
            record.broke_off(&error.to_string());
        }
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            match Pin::new(&mut self.incoming).poll_frame(cx) {
                Poll::Pending => {
                    ready!(self.idle.poll(cx));
                    return Poll::Ready(Some(Err(BodyError::Idle)));
                }
                Poll::Ready(Some(Ok(frame))) => {
                    self.idle.touch();
                    let frame = match frame.into_trailers() {
                        Ok(trailers) if self.pass_trailers => Frame::trailers(clean_trailers(trailers)),
                        Ok(_) => continue,
                        Err(frame) => frame,
                    };
                    let Some(frame) = self.with_our_links(frame) else { continue };
                    if let (Some(data), Some(record)) = (frame.data_ref(), &mut self.record) {
                        record.count(data.len());
                    }
                    return Poll::Ready(Some(Ok(frame)));
                }
                // It ended within a link: what was held back goes out as it came.
                Poll::Ready(None) if self.links.is_some() => {
                    let rest = self.links.take().map(|mut links| links.rest()).unwrap_or_default();
                    if !rest.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(rest.into()))));
                    }
                }
                Poll::Ready(other) => return Poll::Ready(other.map(|end| end.map_err(BodyError::from))),
            }
        }
    }

    /// The frame as the client gets it; nothing if all of it is held back.
    fn with_our_links(&mut self, frame: Frame<Bytes>) -> Option<Frame<Bytes>> {
        let Some(links) = &mut self.links else { return Some(frame) };
        let Some(data) = frame.data_ref() else { return Some(frame) };
        let mut piece = links.piece(data);
        if self.incoming.is_end_stream() {
            piece.extend(links.rest());
        }
        (!piece.is_empty()).then(|| Frame::data(piece.into()))
    }
}

impl Drop for RelayedBody {
    fn drop(&mut self) {
        if let Some(record) = self.record.take() {
            record.broke_off("the client went away");
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let body = match self.get_mut() {
            Self::Own(bytes) if bytes.is_empty() => return Poll::Ready(None),
            Self::Own(bytes) => return Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Relayed(body) => body,
        };
        let polled = ready!(body.poll_data(cx));
        match &polled {
            None => body.finish(),
            Some(Err(error)) => body.fail(error),
            Some(Ok(_)) if body.incoming.is_end_stream() => body.finish(),
            Some(Ok(_)) => {}
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(bytes) => bytes.is_empty(),
            Self::Relayed(body) => body.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Relayed(body) if body.links.is_some() => SizeHint::default(),
            Self::Relayed(body) => body.incoming.size_hint(),
        }
    }
}

/// Fires after [`IDLE`] of silence. Nothing is armed while data flows: a piece costs a clock reading.
#[derive(Default)]
struct IdleTimer {
    last: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl IdleTimer {
    fn touch(&mut self) {
        self.last = Some(Instant::now());
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = *self.last.get_or_insert_with(Instant::now) + IDLE;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            // It was set before the last piece came.
            sleep.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;
    use std::future::poll_fn;

    #[tokio::test(start_paused = true)]
    async fn silence_counts_from_the_last_piece() {
        let start = Instant::now();
        let mut timer = IdleTimer::default();
        timer.touch();
        let early = tokio::time::timeout(IDLE / 2, poll_fn(|cx| timer.poll(cx))).await;
        assert!(early.is_err());
        timer.touch();
        poll_fn(|cx| timer.poll(cx)).await;
        assert_eq!(start.elapsed().as_secs(), (IDLE + IDLE / 2).as_secs());
    }
}
