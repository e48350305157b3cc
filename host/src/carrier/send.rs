//! One request to the upstream, and one more on a new connection if a kept one was dead.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ccproxy_h1::ResponseHead;
use http::Response;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use tokio::time::Instant;

use super::body::IDLE;
use super::call::{Call, CallError};
use super::exchange::{Asked, pass_interim};
use super::head::UpstreamRequest;
use super::observe::Record;
use super::pool::{Checkout, PoolError, Sender, Slot, Wanted};
use super::source::Attempt;
use crate::credential::Prepared;
use crate::proxy::RequestPlan;
use crate::refusal::Refusal;

/// A client's request, as every attempt to send it needs it.
pub(super) struct Sending<'r, 'a> {
    pub(super) asked: &'r Asked<'r, 'a>,
    pub(super) plan: &'r RequestPlan<'a>,
}

/// The upstream's answer: its head has come.
pub(super) enum Answer {
    /// The head is still where it was read to; it ends there.
    Http1 { call: Box<Call>, slot: Rc<Slot>, status: u16, head_end: usize },
    /// Boxed: its head is many times the size of the other.
    Http2(Box<Response<Incoming>>),
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

impl<'a> Sending<'_, 'a> {
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
        let Checkout { sender, reused, slot } = self
            .asked
            .worker
            .pool
            .checkout(&self.plan.to, wanted, self.asked.worker.clock.last())
            .await
            .map_err(unconnected)?;
        if !reused {
            // To open it took its time.
            self.asked.worker.clock.read();
        }
        record.sent(reused);
        match sender {
            Sender::Http1(call) => self.by_http1(credential, call, slot, reused).await,
            Sender::Http2(sender) => self.boxed_by_http2(credential, sender, reused).await,
        }
    }

    fn request<'s>(&'s self, credential: &'s Prepared) -> UpstreamRequest<'s> {
        UpstreamRequest {
            head: self.asked.head,
            outgoing: self.plan.outgoing(self.asked.head.fields, credential),
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
        mut call: Box<Call>,
        slot: Rc<Slot>,
        reused: bool,
    ) -> Result<Answer, Failure> {
        call.begin(self.asked.body.attempt(), self.asked.head.method, |head| {
            self.request(credential).write(head)
        });
        let started = self.asked.worker.clock.last();
        let interim = |status, head: &ResponseHead<'_>| {
            if let Some(client) = self.asked.interim {
                pass_interim(client, self.plan, credential, (status, head));
            }
        };
        let answered = poll_fn(|cx| match call.poll_head(interim, cx) {
            Poll::Ready(answered) => Poll::Ready(Ok(answered)),
            Poll::Pending => self.poll_meanwhile(started, cx).map(Err),
        })
        .await
        .map_err(too_late)?;
        match answered {
            Ok((status, head_end)) => Ok(Answer::Http1 { call, slot, status, head_end }),
            Err(error) => {
                let unsent = call.is_unsent();
                let repeatable = error.is_silence() && (unsent || self.is_repeatable());
                if reused && repeatable && self.asked.body.can_replay() {
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

    /// [`Self::by_http2`], boxed apart from the requests that go by HTTP/1.1, for whose state and stack it is too large.
    #[inline(never)]
    fn boxed_by_http2<'s>(
        &'s self,
        credential: &'s Prepared,
        sender: http2::SendRequest<Attempt>,
        reused: bool,
    ) -> Pin<Box<dyn Future<Output = Result<Answer, Failure>> + 's>> {
        Box::pin(self.by_http2(credential, sender, reused))
    }

    async fn by_http2(
        &self,
        credential: &Prepared,
        mut sender: http2::SendRequest<Attempt>,
        reused: bool,
    ) -> Result<Answer, Failure> {
        let request = self
            .request(credential)
            .build(self.asked.body.attempt())
            .map_err(|refusal| Failure::Final(refusal, "the request cannot be built".into()))?;
        let started = self.asked.worker.clock.last();
        let mut answered = pin!(sender.try_send_request(request));
        let answered = poll_fn(|cx| match answered.as_mut().poll(cx) {
            Poll::Ready(answered) => Poll::Ready(Ok(answered)),
            Poll::Pending => self.poll_meanwhile(started, cx).map(Err),
        })
        .await
        .map_err(too_late)?;
        answered.map(|response| Answer::Http2(Box::new(response))).map_err(|mut failed| {
            let unsent = failed.take_message().is_some();
            let error = failed.into_error();
            let repeatable = unsent || self.is_repeatable() && !error.is_parse() && !error.is_timeout();
            if reused && repeatable && self.asked.body.can_replay() {
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
        matches!(self.asked.head.method, b"GET" | b"HEAD" | b"OPTIONS") && self.asked.body.is_empty()
    }

    /// What there is to do while no answer has come: early words reach the client early. Ready when it is too late.
    fn poll_meanwhile(&self, started: Instant, cx: &mut Context<'_>) -> Poll<Refusal> {
        if let Some(client) = self.asked.interim {
            // Whoever reads from a client that is gone finds out.
            let _ = client.borrow_mut().write_early(cx);
        }
        self.poll_too_late(started, cx)
    }

    /// Ready when the upstream has had its time. It runs from the end of the request: an upload may
    /// take as long as it moves.
    fn poll_too_late(&self, started: Instant, cx: &mut Context<'_>) -> Poll<Refusal> {
        let Asked { body, alarm, .. } = self.asked;
        let limit = self.plan.route.policy.timeout;
        loop {
            let is_complete = body.is_complete();
            let patience = if is_complete { limit } else { limit.max(IDLE) };
            let deadline = body.last_moved().max(started) + patience;
            // Looked at again while an upload runs: its end starts the shorter time.
            let look = if is_complete { deadline } else { deadline.min(Instant::now() + STEP) };
            ready!(alarm.poll(look, cx));
            if deadline <= Instant::now() {
                let client_stalled = !is_complete && body.waits_for_client();
                return Poll::Ready(if client_stalled {
                    Refusal::RequestTimeout
                } else {
                    Refusal::UpstreamTimeout
                });
            }
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
