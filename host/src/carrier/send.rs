//! One request to the upstream, and one more on a new connection if a kept one was dead.

use std::time::Duration;

use http::{Method, Response, request};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::body::IDLE;
use super::head::{Hop, upstream_request};
use super::observe::Record;
use super::pool::{Checkout, Lease, Pool, PoolError, Sender, Wanted};
use super::source::{Attempt, Source};
use crate::credential::Prepared;
use crate::message::Field;
use crate::proxy::RequestPlan;
use crate::refusal::Refusal;
use crate::upstream::connect::Protocol;

/// A client's request, as every attempt to send it needs it.
pub(super) struct Sending<'a> {
    pub(super) pool: &'a Pool,
    pub(super) plan: &'a RequestPlan<'a>,
    pub(super) parts: &'a request::Parts,
    pub(super) fields: &'a [Field<'a>],
    pub(super) body: &'a Source,
}

/// The upstream's answer.
pub(super) struct Answer {
    pub(super) response: Response<Incoming>,
    pub(super) lease: Lease,
    pub(super) protocol: Protocol,
}

/// How one try ended without an answer.
enum Failure {
    /// The connection was from the pool and dead; nothing came back.
    DeadConnection(hyper::Error),
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
            Failure::DeadConnection(error) => (Refusal::UpstreamProtocol, chain(&error)),
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
        let mut checkout = self.pool.checkout(&self.plan.to, wanted).await.map_err(unconnected)?;
        let protocol = match &checkout.sender {
            Sender::Http1(_) => Protocol::Http1,
            Sender::Http2(_) => Protocol::Http2,
        };
        let request = self
            .request(credential, protocol)
            .map_err(|refusal| Failure::Final(refusal, "the request cannot be built".into()))?;
        record.sent(checkout.reused);
        let response = self.exchange(&mut checkout, request).await?;
        let lease = Lease::new(checkout, self.body.clone());
        Ok(Answer { response, lease, protocol })
    }

    fn request(&self, credential: &Prepared, protocol: Protocol) -> Result<http::Request<Attempt>, Refusal> {
        let hop = Hop {
            protocol,
            websocket: self.plan.admitted.websocket,
            te_trailers: self.plan.admitted.te_trailers,
            uncompressed: self.plan.route.policy.reads_bodies(),
        };
        let outgoing = self.plan.outgoing(self.fields, credential);
        upstream_request(
            &self.parts.method,
            &self.parts.headers,
            outgoing,
            &self.plan.to,
            credential,
            hop,
            self.body.attempt(),
        )
    }

    async fn exchange(
        &self,
        checkout: &mut Checkout,
        request: http::Request<Attempt>,
    ) -> Result<Response<Incoming>, Failure> {
        let sent = async {
            match &mut checkout.sender {
                Sender::Http1(sender) => sender.try_send_request(request).await,
                Sender::Http2(sender) => sender.try_send_request(request).await,
            }
        };
        let answered = tokio::select! {
            answered = sent => answered,
            late = self.too_late() => {
                return Err(Failure::Final(late, "no response head in time".into()));
            }
        };
        answered.map_err(|mut failed| {
            let unsent = failed.take_message().is_some();
            let error = failed.into_error();
            if checkout.reused && (unsent || self.is_repeatable(&error)) && self.body.can_replay() {
                return Failure::DeadConnection(error);
            }
            Failure::Final(self.blame(&error), chain(&error))
        })
    }

    /// Whether the request may be sent again although the upstream may have seen it: a safe method
    /// without a body (RFC 9110 section 9.2.1), and not a byte came back.
    fn is_repeatable(&self, error: &hyper::Error) -> bool {
        let safe = matches!(self.parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
        safe && self.body.is_empty() && !error.is_parse() && !error.is_timeout()
    }

    /// Who is at fault when a request broke off.
    fn blame(&self, error: &hyper::Error) -> Refusal {
        if error.is_user() {
            Refusal::Malformed("the request body broke off or is not framed as announced")
        } else {
            Refusal::UpstreamProtocol
        }
    }

    /// Ends when the upstream has had its time. It runs from the end of the request: an upload may
    /// take as long as it moves.
    async fn too_late(&self) -> Refusal {
        let limit = self.plan.route.policy.timeout;
        let started = Instant::now();
        loop {
            let moved = Instant::from_std(self.body.last_moved()).max(started);
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
