//! One request to the upstream, and one more on a new connection if a kept one was dead.

use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use http::Response;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use tokio::time::Instant;

use super::body::IDLE;
use super::call::{Call, CallError};
use super::head::UpstreamRequest;
use super::observe::Record;
use super::pool::{Checkout, Pool, PoolError, Sender, Slot, Wanted};
use super::source::{Attempt, Source};
use super::wire::Wire;
use crate::credential::Prepared;
use crate::message::RequestHead;
use crate::proxy::RequestPlan;
use crate::refusal::Refusal;

/// A client's request, as every attempt to send it needs it.
pub(super) struct Sending<'a> {
    pub(super) pool: &'a Pool,
    pub(super) plan: &'a RequestPlan<'a>,
    pub(super) head: &'a RequestHead<'a>,
    pub(super) body: &'a Source,
}

/// The upstream's answer: its head has come.
pub(super) enum Answer {
    /// The head is still where it was read to; it ends there.
    Http1 {
        call: Call,
        slot: Rc<Slot>,
        status: u16,
        head_end: usize,
    },
    Http2(Response<Incoming>),
}

impl Answer {
    pub(super) fn status(&self) -> u16 {
        match self {
            Self::Http1 { status, .. } => *status,
            Self::Http2(response) => response.status().as_u16(),
        }
    }
}

/// How one try ended without an answer.
enum Failure {
    /// The connection was from the pool and dead; nothing came back.
    DeadConnection(String),
    Final(Refusal, String),
}

impl Sending<'_> {
    /// Sends the request with this credential.
    pub(super) async fn send(&self, credential: &Prepared, record: &mut Record) -> Result<Answer, Refusal> {
        record.asking();
        let failure = match self.try_once(credential, record, false).await {
            // Named loop 2 of the design: once, and on a connection that cannot be dead.
            Err(Failure::DeadConnection(_)) => {
                record.again("connection_dead");
                match self.try_once(credential, record, true).await {
                    Ok(answer) => return Ok(answer),
                    Err(failure) => failure,
                }
            }
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        let (refusal, reason) = match failure {
            Failure::DeadConnection(reason) => (Refusal::UpstreamProtocol, reason),
            Failure::Final(refusal, reason) => (refusal, reason),
        };
        tracing::debug!(route = %self.plan.route.name, %reason, "no answer from the upstream");
        record.upstream_failed(&refusal, &reason);
        Err(refusal)
    }

    async fn try_once(
        &self,
        credential: &Prepared,
        record: &mut Record,
        fresh: bool,
    ) -> Result<Answer, Failure> {
        let wanted =
            Wanted { websocket: self.plan.admitted.websocket, http2: self.plan.route.policy.http2, fresh };
        let Checkout { sender, reused, slot } =
            self.pool.checkout(&self.plan.to, wanted).await.map_err(unconnected)?;
        record.sent(reused);
        match sender {
            Sender::Http1(wire) => self.by_http1(credential, wire, slot, reused).await,
            Sender::Http2(sender) => self.by_http2(credential, sender, reused).await,
        }
    }

    fn request<'s>(&'s self, credential: &'s Prepared) -> UpstreamRequest<'s> {
        UpstreamRequest {
            head: self.head,
            outgoing: self.plan.outgoing(self.head.fields, credential),
            to: &self.plan.to,
            credential,
            websocket: self.plan.admitted.websocket,
            te_trailers: self.plan.admitted.te_trailers,
            uncompressed: self.plan.route.policy.reads_bodies(),
        }
    }

    async fn by_http1(
        &self,
        credential: &Prepared,
        wire: Wire,
        slot: Rc<Slot>,
        reused: bool,
    ) -> Result<Answer, Failure> {
        let mut head = wire.lend_buffer();
        self.request(credential).write(&mut head);
        let mut call = Call::new(wire, head, self.body.attempt(), self.head.method);
        let answered = tokio::select! {
            answered = poll_fn(|cx| call.poll_head(cx)) => answered,
            late = self.too_late() => return Err(too_late(late)),
        };
        match answered {
            Ok((status, head_end)) => Ok(Answer::Http1 { call, slot, status, head_end }),
            Err(error) => {
                let unsent = call.is_unsent();
                let repeatable = error.is_silence() && (unsent || self.is_repeatable());
                if reused && repeatable && self.body.can_replay() {
                    return Err(Failure::DeadConnection(chain(&error)));
                }
                let refusal = match error {
                    CallError::Request(_) => CUT_SHORT,
                    _ => Refusal::UpstreamProtocol,
                };
                Err(Failure::Final(refusal, chain(&error)))
            }
        }
    }

    async fn by_http2(
        &self,
        credential: &Prepared,
        mut sender: http2::SendRequest<Attempt>,
        reused: bool,
    ) -> Result<Answer, Failure> {
        let request = self
            .request(credential)
            .build(self.body.attempt())
            .map_err(|refusal| Failure::Final(refusal, "the request cannot be built".into()))?;
        let answered = tokio::select! {
            answered = sender.try_send_request(request) => answered,
            late = self.too_late() => return Err(too_late(late)),
        };
        answered.map(Answer::Http2).map_err(|mut failed| {
            let unsent = failed.take_message().is_some();
            let error = failed.into_error();
            let repeatable = unsent || self.is_repeatable() && !error.is_parse() && !error.is_timeout();
            if reused && repeatable && self.body.can_replay() {
                return Failure::DeadConnection(chain(&error));
            }
            // Who is at fault when a request broke off.
            let refusal = if error.is_user() { CUT_SHORT } else { Refusal::UpstreamProtocol };
            Failure::Final(refusal, chain(&error))
        })
    }

    /// Whether the request may be sent again although the upstream may have seen it: a safe method
    /// without a body (RFC 9110 section 9.2.1).
    fn is_repeatable(&self) -> bool {
        matches!(self.head.method, b"GET" | b"HEAD" | b"OPTIONS") && self.body.is_empty()
    }

    /// Ends when the upstream has had its time. It runs from the end of the request: an upload may
    /// take as long as it moves.
    async fn too_late(&self) -> Refusal {
        let limit = self.plan.route.policy.timeout;
        let started = Instant::now();
        loop {
            let moved = self.body.last_moved().max(started);
            let patience = if self.body.is_complete() { limit } else { limit.max(IDLE) };
            let deadline = moved + patience;
            if deadline <= Instant::now() {
                let client_stalled = !self.body.is_complete() && self.body.waits_for_client();
                return if client_stalled { Refusal::RequestTimeout } else { Refusal::UpstreamTimeout };
            }
            // Looked at again while an upload runs: its end starts the shorter time.
            let look = if self.body.is_complete() { deadline } else { deadline.min(Instant::now() + STEP) };
            tokio::time::sleep_until(look).await;
        }
    }
}

/// What is wrong with a request that broke off.
const CUT_SHORT: Refusal = Refusal::Malformed("the request body broke off or is not framed as announced");

fn too_late(refusal: Refusal) -> Failure {
    Failure::Final(refusal, "no response head in time".into())
}

/// How often an upload under way is looked at.
const STEP: Duration = Duration::from_secs(1);

fn unconnected(error: PoolError) -> Failure {
    let refusal = match &error {
        PoolError::Connect(error) if error.is_tls() => Refusal::UpstreamTls,
        PoolError::Connect(_) => Refusal::UpstreamConnect,
        PoolError::Handshake(_) => Refusal::UpstreamProtocol,
    };
    Failure::Final(refusal, chain(&error))
}

/// An error with its causes, for the log.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
