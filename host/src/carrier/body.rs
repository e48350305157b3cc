//! The body of a reply: ours, or the upstream's as it comes.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use ccproxy_h1::Form;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::alarm::Alarm;
use super::exchange::Rest;
use super::inflow::Inflow;
use super::observe::Record;
use super::wire::Wire;
use crate::respond::JsonLinks;

/// A response that stays silent this long is dead. Longer than any model thinks between two tokens.
pub(super) const IDLE: Duration = Duration::from_secs(5 * 60);

/// Why a relayed body ended early. The client's framing is then broken, so that nobody takes the part for the whole.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    /// The upstream broke off.
    #[error("the upstream broke off its response")]
    Upstream(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Silence for [`IDLE`].
    #[error("the upstream was silent for {} s", IDLE.as_secs())]
    Idle,
}

/// An upstream's body on its way to the client.
pub(super) struct RelayedBody {
    inflow: Option<Inflow>,
    pass_trailers: bool,
    /// Links in it that lead to us; normally it is not looked into.
    links: Option<Box<JsonLinks>>,
    /// What became of a piece with such links.
    rewritten: Bytes,
    last_moved: Option<Instant>,
    record: Option<Record>,
}

impl RelayedBody {
    pub(super) fn new(rest: Rest, record: Record, pass_trailers: bool) -> Self {
        Self {
            inflow: Some(rest.inflow),
            pass_trailers,
            links: rest.links,
            rewritten: Bytes::new(),
            last_moved: None,
            record: Some(record),
        }
    }

    /// Bytes for the client are there, or it has all of them (`None`). The alarm is for as long as none come.
    pub(super) fn poll_piece(
        &mut self,
        form: Form,
        alarm: &Alarm,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<(), BodyError>>> {
        loop {
            if !self.rewritten.is_empty() {
                return Poll::Ready(Some(Ok(())));
            }
            let Some(inflow) = &mut self.inflow else { return Poll::Ready(None) };
            match inflow.poll_piece(form, cx) {
                Poll::Pending => return self.poll_silence(alarm, cx).map(|error| Some(Err(error))),
                Poll::Ready(Some(Ok(()))) => {
                    self.last_moved = None;
                    let Some(links) = &mut self.links else { return Poll::Ready(Some(Ok(()))) };
                    let mut piece = links.piece(inflow.piece());
                    inflow.consume(inflow.piece().len());
                    if inflow.is_complete() {
                        piece.extend(links.rest());
                    }
                    self.rewritten = piece.into();
                }
                // It ended within a link: what was held back goes out as it came.
                Poll::Ready(None) => match self.links.take() {
                    Some(mut links) => self.rewritten = links.rest().into(),
                    None => return Poll::Ready(None),
                },
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
            }
        }
    }

    /// Sends more of the request, where that goes on.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) {
        if let Some(Inflow::Http1(call, _)) = &mut self.inflow {
            // A failure is told by the next piece.
            let _ = call.poll_send(cx);
        }
    }

    /// Nothing moves: since when, and for how long yet.
    pub(super) fn poll_silence(&mut self, alarm: &Alarm, cx: &mut Context<'_>) -> Poll<BodyError> {
        let since = *self.last_moved.get_or_insert_with(Instant::now);
        alarm.poll(since + IDLE, cx).map(|()| BodyError::Idle)
    }

    /// The bytes for the client.
    pub(super) fn piece(&self) -> &[u8] {
        match &self.inflow {
            _ if !self.rewritten.is_empty() => &self.rewritten,
            Some(inflow) if self.links.is_none() => inflow.piece(),
            _ => &[],
        }
    }

    /// So many were used.
    pub(super) fn consume(&mut self, count: usize) {
        self.last_moved = None;
        if !self.rewritten.is_empty() {
            self.rewritten.advance(count.min(self.rewritten.len()));
            self.count(count);
        } else if let Some(inflow) = &mut self.inflow {
            inflow.consume(count);
            match inflow {
                // Its pieces may hold framing, too: it knows.
                Inflow::Http1(call, _) => {
                    let counted = call.take_counted();
                    self.count(counted);
                }
                Inflow::Http2(_) => self.count(count),
            }
        }
    }

    fn count(&mut self, bytes: usize) {
        if let Some(record) = &mut self.record {
            record.count(bytes);
        }
    }

    /// Whether the client has all of it, as far as one can tell without asking the upstream.
    pub(super) fn is_complete(&self) -> bool {
        self.rewritten.is_empty()
            && self.links.is_none()
            && self.inflow.as_ref().is_none_or(|inflow| inflow.is_complete())
    }

    /// The whole body went by: the connection is free, the request is done.
    pub(super) fn finish(&mut self) {
        let Some(record) = self.record.take() else { return };
        let ended = record.completed();
        if let Some(Inflow::Http1(call, slot)) = self.inflow.take()
            && let Some(call) = call.ended()
        {
            slot.keep(call, ended);
        }
    }

    /// It will not be whole. The connection that it came over is closed.
    pub(super) fn fail(&mut self, reason: &str) {
        self.inflow = None;
        if let Some(record) = self.record.take() {
            record.broke_off(reason);
        }
    }

    /// The upstream's connection and what is told of the request, where both become a tunnel.
    pub(super) fn into_tunnel(mut self) -> Option<(Wire, Record)> {
        match (self.inflow.take(), self.record.take()) {
            (Some(Inflow::Http1(call, _)), Some(record)) => Some((call.into_tunnel(), record)),
            _ => None,
        }
    }

    fn trailers(&mut self) -> Option<HeaderMap> {
        match &mut self.inflow {
            Some(Inflow::Http2(frames)) if self.pass_trailers => frames.trailers().take(),
            _ => None,
        }
    }

    fn take_piece(&mut self) -> Bytes {
        let data = match &mut self.inflow {
            _ if !self.rewritten.is_empty() => self.rewritten.clone(),
            Some(Inflow::Http2(frames)) => frames.piece().clone(),
            _ => Bytes::copy_from_slice(self.piece()),
        };
        self.consume(data.len());
        data
    }

    /// How many bytes are left, where that is known.
    pub(super) fn left(&self) -> Option<u64> {
        match &self.inflow {
            _ if self.links.is_some() || !self.rewritten.is_empty() => None,
            Some(inflow) => inflow.left(),
            None => Some(0),
        }
    }
}

impl Drop for RelayedBody {
    fn drop(&mut self) {
        if let Some(record) = self.record.take() {
            record.broke_off("the client went away");
        }
    }
}

/// The body of a reply that hyper sends.
pub(super) enum ReplyBody {
    /// Ours.
    Own(Bytes),
    /// The upstream's. Boxed: a reply without one should be small.
    Relayed(Box<(RelayedBody, Alarm)>),
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let (body, alarm) = match self.get_mut() {
            Self::Own(bytes) if bytes.is_empty() => return Poll::Ready(None),
            Self::Own(bytes) => return Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Relayed(both) => (&mut both.0, &both.1),
        };
        match ready!(body.poll_piece(Form::Data, alarm, cx)) {
            Some(Ok(())) => {
                let data = body.take_piece();
                if body.is_complete() {
                    body.finish();
                }
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Some(Err(error)) => {
                body.fail(&error.to_string());
                Poll::Ready(Some(Err(error)))
            }
            None => {
                let trailers = body.trailers();
                body.finish();
                Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(bytes) => bytes.is_empty(),
            Self::Relayed(both) => both.0.is_complete(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Relayed(both) => match both.0.left() {
                Some(left) => SizeHint::with_exact(left),
                None => SizeHint::default(),
            },
        }
    }
}
