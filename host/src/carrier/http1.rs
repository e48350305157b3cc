//! One client that speaks HTTP/1.1: its requests, one after the other.
//!
//! In two stages. Between requests the task holds the socket and little else; what a request needs is boxed and exists
//! while it is under way.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use ccproxy_h1::{Fields, FramingError, HeadEnd, HeadError, Inbox, Outbox, Version as H1Version, framing};
use tokio::time::Instant;

use super::body::RelayedBody;
use super::conn::{Conn, Heard, LIMITS, Shared};
use super::cue::Cue;
use super::exchange::{Answered, Outcome, Passing, exchange, is_event_stream};
use super::head::{self, Follows, Persistence};
use super::observe::Record;
use super::own::BufferedReply;
use super::pour::{Coding, Spilled, pour};
use super::request_id::RequestId;
use super::serve::CLIENT_IDLE;
use super::source::Source;
use super::stream::ClientStream;
use super::timer::Timer;
use super::tunnel;
use super::worker::Worker;
use crate::message::{Known, RequestHead, Version, Via};
use crate::proxy::{Decision, subject};
use crate::refusal::Refusal;
use crate::respond::problem;
use crate::route::Route;

/// How long, and for how much, a client is read from that was told that nothing more is read: until it has seen that.
const FAREWELL: Duration = Duration::from_secs(2);
const FAREWELL_BYTES: usize = 16 * 1024 * 1024;

/// What follows a request on its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Another may.
    Request,
    /// Nothing, once the client has what was written.
    Farewell,
    /// Nothing, at once.
    Nothing,
}

/// Serves a connection to its end, which is near once `leave` resolves.
pub(super) async fn serve(
    worker: Rc<Worker>,
    via: Rc<Via>,
    (stream, read_ahead): (ClientStream, Vec<u8>),
    leave: impl Future<Output = ()> + Unpin,
) {
    let conn = Conn::new(stream, worker.buffers.clone(), Inbox::from(read_ahead));
    let conn = Rc::new(RefCell::new(conn));
    let (mut leave, mut timer) = (Cue::new(leave), Timer::default());
    let leaves = Cell::new(false);
    let body = Source::http1(conn.clone());
    let request = Request { worker: &worker, via: &via, conn: &conn, body: &body, leaves: &leaves };
    loop {
        let heard = heard(&request, &mut leave, &mut timer).await;
        let mut answered = match heard {
            Some(Heard::Closed) | None => return,
            Some(Heard::Head(head)) => Box::pin(request.serve(Ok(head))),
            Some(Heard::Nonsense(error)) => Box::pin(request.serve(Err(refusal_of_head(error)))),
            Some(Heard::Late) => Box::pin(request.serve(Err(Refusal::RequestTimeout))),
        };
        let next = poll_fn(|cx| {
            leaves.set(leave.poll(cx));
            answered.as_mut().poll(cx)
        })
        .await;
        match next {
            Next::Request => {}
            Next::Nothing => return,
            Next::Farewell => {
                let (mut left, deadline) = (FAREWELL_BYTES, Instant::now() + FAREWELL);
                poll_fn(|cx| match conn.borrow_mut().poll_farewell(&mut left, cx) {
                    Poll::Ready(()) => Poll::Ready(()),
                    Poll::Pending => timer.poll(deadline, cx),
                })
                .await;
                return;
            }
        }
    }
}

/// Waits for a head. Nothing comes of it if the client is silent for too long, or is between two requests when it is
/// time to leave.
async fn heard<F: Future<Output = ()> + Unpin>(
    request: &Request<'_>,
    leave: &mut Cue<F>,
    timer: &mut Timer,
) -> Option<Heard> {
    let deadline = Instant::now() + CLIENT_IDLE;
    let mut search = HeadEnd::default();
    poll_fn(|cx| {
        let mut conn = request.conn.borrow_mut();
        if let Poll::Ready(heard) = conn.poll_head(&mut search, cx) {
            return Poll::Ready(Some(heard));
        }
        if leave.poll(cx) && conn.is_silent() {
            return Poll::Ready(None);
        }
        timer.poll(deadline, cx).map(|()| (!conn.is_silent()).then_some(Heard::Late))
    })
    .await
}

/// What a request on a connection works with.
struct Request<'a> {
    worker: &'a Rc<Worker>,
    via: &'a Via,
    conn: &'a Shared,
    body: &'a Source,
    /// No further request is taken.
    leaves: &'a Cell<bool>,
}

/// How a request is to be answered, whatever is answered.
#[derive(Clone, Copy)]
struct Terms<'a> {
    id: RequestId,
    method: &'a [u8],
    version: H1Version,
    keeps_alive: bool,
}

impl Request<'_> {
    /// Answers the request with this head.
    async fn serve(&self, head: Result<Vec<u8>, Refusal>) -> Next {
        let bytes = match head {
            Ok(bytes) => bytes,
            Err(refusal) => return self.refuse(refusal).await,
        };
        let next = {
            let mut fields = Fields::new();
            match ccproxy_h1::request(&bytes, &LIMITS, &mut fields) {
                Ok(head) => self.answer(&head).await,
                Err(error) => self.refuse(refusal_of_head(error)).await,
            }
        };
        self.body.release();
        self.worker.buffers.give_back(bytes);
        next
    }

    /// Answers what is no head, or no whole one.
    async fn refuse(&self, refusal: Refusal) -> Next {
        let terms =
            Terms { id: self.worker.ids.next(), method: b"", version: H1Version::Http11, keeps_alive: false };
        let record = self.record(terms);
        self.refused(terms, record, refusal, None).await
    }

    fn record(&self, terms: Terms<'_>) -> Record {
        let access_log = self.worker.shared.rules.load().access_log;
        Record::new(
            self.worker.clone(),
            terms.id,
            method(terms.method),
            std::time::Instant::now(),
            access_log,
        )
    }

    async fn answer(&self, head: &ccproxy_h1::RequestHead<'_>) -> Next {
        let terms = Terms {
            id: self.worker.ids.next(),
            method: head.method,
            version: head.version,
            keeps_alive: framing::keeps_alive(head.version, &head.fields),
        };
        let mut record = self.record(terms);
        let framing = match framing::of_request(head.version, &head.fields) {
            Ok(framing) => framing,
            Err(error) => return self.refused(terms, record, refusal_of_framing(error), None).await,
        };
        let expects = head.version == H1Version::Http11 && head.fields.has(Known::Expect);
        let length = self.conn.borrow_mut().begin(framing, expects);
        self.body.restart(length);
        let view = RequestHead {
            method: head.method,
            target: head.target,
            version: match head.version {
                H1Version::Http10 => Version::Http10,
                H1Version::Http11 => Version::Http11,
            },
            authority: None,
            fields: head.fields,
        };
        let decision: Decision<'_> = self.worker.shared.rules.load().decide(&view, self.via);
        let outcome = {
            let mut exchange = pin!(exchange(self.worker, &view, decision, self.body, &mut record));
            poll_fn(|cx| match exchange.as_mut().poll(cx) {
                Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
                Poll::Pending => self.conn.borrow_mut().poll_gone(cx).map(|()| None),
            })
            .await
        };
        match outcome {
            Some(Ok(Outcome::Relay(answered))) => self.relay(terms, record, answered).await,
            Some(Ok(Outcome::Own(reply))) => {
                record.answered(reply.status);
                self.own(terms, &reply, false).await
            }
            Some(Err((refusal, route))) => self.refused(terms, record, refusal, route).await,
            // Whoever asked is gone; dropping the record tells so.
            None => Next::Nothing,
        }
    }

    async fn refused(
        &self,
        terms: Terms<'_>,
        record: Record,
        refusal: Refusal,
        route: Option<Arc<Route>>,
    ) -> Next {
        let reply = problem(&refusal, subject(route.as_deref()), &terms.id.text());
        record.refused(reply.status, reply.error.unwrap_or_default(), route);
        self.own(terms, &reply.into(), refusal.ends_connection()).await
    }

    /// Gives an answer of ours.
    async fn own(&self, terms: Terms<'_>, reply: &BufferedReply, ends: bool) -> Next {
        let is_read = {
            let mut conn = self.conn.borrow_mut();
            conn.answers();
            conn.discard_rest()
        };
        let keeps = terms.keeps_alive && !ends && is_read && !self.leaves.get();
        let mut out = self.worker.buffers.lend();
        head::write_own(&mut out, reply, terms.method == b"HEAD", terms.id, terms.persistence(keeps));
        let mut outbox = Outbox::new(out);
        let mut idle = Timer::default();
        let deadline = Instant::now() + CLIENT_IDLE;
        let written = poll_fn(|cx| {
            while !outbox.is_empty() {
                match self.conn.borrow_mut().poll_write(&mut outbox, &[], cx) {
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(_)) => return Poll::Ready(false),
                    Poll::Pending => return idle.poll(deadline, cx).map(|()| false),
                }
            }
            Poll::Ready(true)
        })
        .await;
        self.worker.buffers.give_back(outbox.into_buffer());
        match written {
            true if keeps => Next::Request,
            true => Next::Farewell,
            false => Next::Nothing,
        }
    }

    /// Passes the upstream's answer on.
    async fn relay(&self, terms: Terms<'_>, mut record: Record, answered: Answered<'_>) -> Next {
        self.conn.borrow_mut().answers();
        let mut out = self.worker.buffers.lend();
        let (mut coding, mut events) = (Coding::AS_IT_IS, false);
        // A response that begins before its request has ended is the last on its connection, and says so (RFC 9112
        // section 9.6): whether the rest of the request comes is not known yet.
        let mut keeps = terms.keeps_alive && !self.leaves.get() && self.conn.borrow().is_complete();
        let route = answered.route();
        let rest = answered.relay(terms.method, &mut record, |passing| {
            coding = Coding::of(&passing, terms.version);
            events = is_event_stream(&passing);
            keeps &= coding.follows != Follows::UntilClose;
            let persistence = if passing.is_tunnel { Persistence::Upgrade } else { terms.persistence(keeps) };
            let Passing { status, reason, fields, relay, .. } = passing;
            head::write_relayed(
                &mut out,
                (status, reason),
                fields,
                &relay,
                (terms.id, coding.follows, persistence),
            );
        });
        let rest = match rest {
            Ok(rest) => rest,
            Err(refusal) => return self.refused(terms, record, refusal, Some(route)).await,
        };
        if rest.is_tunnel {
            record.tunnels();
        } else if events {
            record.stream_started();
        }
        let mut body = RelayedBody::new(rest.inflow, record, false, rest.links);
        let mut outbox = Outbox::new(out);
        let poured = pour(self.conn, &mut outbox, &mut body, coding).await;
        self.worker.buffers.give_back(outbox.into_buffer());
        match poured {
            Ok(()) if rest.is_tunnel => {
                if let Some((upstream, record)) = body.into_tunnel() {
                    tunnel::join(self.conn.clone(), upstream, record).await;
                }
                Next::Nothing
            }
            Ok(()) => {
                body.finish();
                if keeps { Next::Request } else { Next::Farewell }
            }
            Err(Spilled::ClientGone) => Next::Nothing,
            Err(Spilled::Upstream(reason)) => {
                body.fail(&reason);
                if coding.follows == Follows::UntilClose {
                    self.conn.borrow_mut().reset_when_closed();
                }
                Next::Nothing
            }
        }
    }
}

impl Terms<'_> {
    fn persistence(&self, keeps: bool) -> Persistence {
        match (keeps, self.version) {
            (false, _) => Persistence::Close,
            (true, H1Version::Http11) => Persistence::Stays,
            (true, H1Version::Http10) => Persistence::KeepAlive,
        }
    }
}

/// The method for those who count; what is none is called as OpenTelemetry does.
fn method(bytes: &[u8]) -> http::Method {
    let other = || http::Method::from_bytes(b"_OTHER").unwrap_or_default();
    http::Method::from_bytes(bytes).unwrap_or_else(|_| other())
}

fn refusal_of_head(error: HeadError) -> Refusal {
    match error {
        HeadError::Malformed(what) => Refusal::Malformed(what),
        HeadError::TargetTooLong => Refusal::TargetTooLong,
        HeadError::TooLarge => Refusal::HeadTooLarge,
        HeadError::Version => Refusal::Version,
    }
}

fn refusal_of_framing(error: FramingError) -> Refusal {
    match error {
        FramingError::Ambiguous(what) => Refusal::Malformed(what),
        FramingError::Coding => Refusal::TransferCoding,
    }
}
