//! One request that came over HTTP/1.1, from its head to the last byte of its answer.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use ccproxy_h1::{Fields, FramingError, HeadError, Outbox, Version as H1Version, framing};

use super::alarm::Alarm;
use super::body::RelayedBody;
use super::conn::{LIMITS, Shared};
use super::exchange::{Answered, Asked, Outcome, Passing, exchange, is_event_stream};
use super::head::{self, Follows, Persistence};
use super::leave::Leave;
use super::observe::Record;
use super::own::BufferedReply;
use super::pour::{Coding, Spilled, pour};
use super::request_id::RequestId;
use super::serve::{CLIENT_IDLE, Connected};
use super::source::Source;
use super::tunnel;
use super::worker::Worker;
use crate::message::{Known, RequestHead, Version, Via};
use crate::proxy::{Decision, subject};
use crate::refusal::Refusal;
use crate::respond::problem;
use crate::route::Route;

/// What follows a request on its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Another may.
    Request,
    /// Nothing, once the client has what was written.
    Farewell,
    /// Nothing, at once.
    Nothing,
}

/// What every request of a connection works with.
pub(super) struct Request {
    pub(super) client: Connected,
    pub(super) via: Rc<Via>,
    pub(super) conn: Shared,
    pub(super) body: Source,
    /// For all that the connection waits for, one after the other.
    pub(super) alarm: Alarm,
    pub(super) leave: Leave,
}

/// How a request is to be answered, whatever is answered.
#[derive(Clone, Copy)]
struct Terms<'a> {
    id: RequestId,
    method: &'a [u8],
    version: H1Version,
    keeps_alive: bool,
}

/// What is rare is boxed where it is awaited: it would otherwise be part of every request's state.
impl Request {
    fn worker(&self) -> &Rc<Worker> {
        self.client.worker()
    }

    /// Answers the request with this head.
    pub(super) async fn serve(self: Rc<Self>, head: Result<Vec<u8>, Refusal>) -> Next {
        let bytes = match head {
            Ok(bytes) => bytes,
            Err(refusal) => return Box::pin(self.refuse(refusal)).await,
        };
        let next = {
            let mut fields = Fields::new();
            match ccproxy_h1::request(&bytes, &LIMITS, &mut fields) {
                Ok(head) => self.answer(&head).await,
                Err(error) => Box::pin(self.refuse(refusal_of_head(error))).await,
            }
        };
        self.body.release();
        self.worker().buffers.give_back(bytes);
        next
    }

    /// Answers what is no head, or no whole one.
    async fn refuse(&self, refusal: Refusal) -> Next {
        let terms = Terms {
            id: self.worker().ids.next(),
            method: b"",
            version: H1Version::Http11,
            keeps_alive: false,
        };
        let record = self.record(terms);
        self.refused(terms, record, refusal, None).await
    }

    fn record(&self, terms: Terms<'_>) -> Record {
        let access_log = self.worker().shared.rules.load().access_log;
        Record::new(self.worker().clone(), terms.id, method(terms.method), access_log)
    }

    async fn answer(&self, head: &ccproxy_h1::RequestHead<'_>) -> Next {
        let terms = Terms {
            id: self.worker().ids.next(),
            method: head.method,
            version: head.version,
            keeps_alive: framing::keeps_alive(head.version, &head.fields),
        };
        let mut record = self.record(terms);
        let framing = match framing::of_request(head.version, &head.fields) {
            Ok(framing) => framing,
            Err(error) => {
                return Box::pin(self.refused(terms, record, refusal_of_framing(error), None)).await;
            }
        };
        let expects = head.version == H1Version::Http11 && head.fields.has(Known::Expect);
        let length = self.conn.borrow_mut().begin(framing, expects);
        self.body.restart(length, self.worker().clock.last());
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
        let decision: Decision<'_> = self.worker().shared.rules.load().decide(&view, &self.via);
        let outcome = {
            let asked = Asked {
                worker: self.worker(),
                head: &view,
                body: &self.body,
                alarm: &self.alarm,
                // RFC 9110 section 15.2: a client of HTTP/1.0 knows none.
                interim: (head.version == H1Version::Http11).then_some(&self.conn),
            };
            let mut exchange = pin!(exchange(&asked, &decision, &mut record));
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
                Box::pin(self.own(terms, &reply, false)).await
            }
            Some(Err((refusal, route))) => Box::pin(self.refused(terms, record, refusal, route)).await,
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
        let (mut out, is_read) = {
            let mut conn = self.conn.borrow_mut();
            (conn.begin_answer(), conn.discard_rest())
        };
        let keeps = terms.keeps_alive && !ends && is_read && !self.leave.has_come();
        head::write_own(&mut out, reply, terms.method == b"HEAD", terms.id, terms.persistence(keeps));
        let mut outbox = Outbox::new(out);
        let deadline = self.worker().clock.read() + CLIENT_IDLE;
        let written = poll_fn(|cx| {
            while !outbox.is_empty() {
                match self.conn.borrow_mut().poll_write(&mut outbox, &[], cx) {
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(_)) => return Poll::Ready(false),
                    Poll::Pending => return self.alarm.poll(deadline, cx).map(|()| false),
                }
            }
            Poll::Ready(true)
        })
        .await;
        self.worker().buffers.give_back(outbox.into_buffer());
        self.worker().clock.read();
        match written {
            true if keeps => Next::Request,
            true => Next::Farewell,
            false => Next::Nothing,
        }
    }

    /// Passes the upstream's answer on.
    async fn relay(&self, terms: Terms<'_>, mut record: Record, answered: Answered<'_, '_>) -> Next {
        let mut out = Vec::new();
        let (mut coding, mut events) = (Coding::AS_IT_IS, false);
        // A response that begins before its request has ended is the last on its connection, and says so (RFC 9112
        // section 9.6): whether the rest of the request comes is not known yet.
        let mut keeps = terms.keeps_alive && !self.leave.has_come() && self.conn.borrow().is_complete();
        let route = answered.route();
        let rest = answered.relay(terms.method, &mut record, |passing| {
            coding = Coding::of(&passing, terms.version);
            events = is_event_stream(&passing);
            keeps &= coding.follows != Follows::UntilClose;
            let persistence = if passing.is_tunnel { Persistence::Upgrade } else { terms.persistence(keeps) };
            let Passing { status, reason, fields, relay, .. } = passing;
            out = self.conn.borrow_mut().begin_answer();
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
            Err(refusal) => return Box::pin(self.refused(terms, record, refusal, Some(route))).await,
        };
        let is_tunnel = rest.is_tunnel;
        if is_tunnel {
            record.tunnels();
        } else if events {
            record.stream_started();
        }
        let mut body = RelayedBody::new(rest, record, false);
        let mut outbox = Outbox::new(out);
        let poured = pour(&self.conn, &mut outbox, &mut body, (coding, &self.alarm)).await;
        self.worker().buffers.give_back(outbox.into_buffer());
        match poured {
            Ok(()) if is_tunnel => {
                if let Some((upstream, record)) = body.into_tunnel() {
                    Box::pin(tunnel::join(self.conn.clone(), upstream, record)).await;
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

pub(super) fn refusal_of_head(error: HeadError) -> Refusal {
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
