//! One request, from its head to the head of its response: the stages in their order, whatever carries it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ccproxy_h1::{Fields, ResponseFraming, framing};
use http_body::Body as _;

use super::alarm::Alarm;
use super::call::may_be_kept;
use super::conn;
use super::frames::Frames;
use super::head;
use super::inflow::Inflow;
use super::observe::Record;
use super::own::{self, BufferedReply};
use super::send::{Answer, Sending};
use super::source::Source;
use super::worker::Worker;
use crate::credential::{Acquire, Cell, Prepared, Reason};
use crate::message::{Known, Lines, RequestHead, ResponseHead};
use crate::model::UnixMillis;
use crate::proxy::{Decision, RequestPlan};
use crate::refusal::Refusal;
use crate::respond::{JsonLinks, Rejection, Relay, ResponsePlan, rejection, relay};
use crate::route::Route;

/// The longest a request waits for a credential (interface, section 7).
const CREDENTIAL_WAIT: Duration = Duration::from_secs(30);

/// What a request comes to.
pub(super) enum Outcome<'d, 'a> {
    /// The upstream answered.
    Relay(Answered<'d, 'a>),
    /// We did.
    Own(BufferedReply),
}

/// An upstream's answer and what the decisions on it need.
pub(super) struct Answered<'d, 'a> {
    plan: &'d RequestPlan<'a>,
    answer: Answer,
    credential: Arc<Prepared>,
}

/// The head of a response on its way to the client.
pub(super) struct Passing<'a> {
    pub(super) status: u16,
    /// The reason phrase.
    pub(super) reason: &'a [u8],
    pub(super) fields: Lines<'a>,
    /// Which of the fields pass, and what is added. `Content-Length` is not among them if `framing` says it.
    pub(super) relay: Relay,
    /// How the body ends; [`ResponseFraming::UntilClose`] if only its end will tell.
    pub(super) framing: ResponseFraming,
    /// Whether links in the body are rewritten: its length is not known then.
    pub(super) rewritten: bool,
    /// Whether both connections become a tunnel behind it.
    pub(super) is_tunnel: bool,
}

/// What follows that head.
pub(super) struct Rest {
    pub(super) inflow: Inflow,
    /// Boxed: seldom there.
    pub(super) links: Option<Box<JsonLinks>>,
    pub(super) is_tunnel: bool,
}

/// A request as it came in, whatever it came over.
pub(super) struct Asked<'r, 'a> {
    pub(super) worker: &'r Rc<Worker>,
    pub(super) head: &'r RequestHead<'a>,
    pub(super) body: &'r Source,
    /// What waits for a response.
    pub(super) alarm: &'r Alarm,
    /// Who is told of interim responses, if anybody can be.
    pub(super) interim: Option<&'r conn::Shared>,
}

/// Carries a decision out, as far as the head of the answer. The decision stays where it was made: it is large.
pub(super) async fn exchange<'d, 'a>(
    asked: &Asked<'_, 'a>,
    decision: &'d Decision<'a>,
    record: &mut Record,
) -> Result<Outcome<'d, 'a>, (Refusal, Option<Arc<Route>>)> {
    let Asked { worker, head, body, .. } = *asked;
    match decision {
        Decision::Forward(plan) if worker.is_draining() => Err((Refusal::Draining, Some(plan.route.clone()))),
        Decision::Forward(plan) => {
            record.admitted(plan);
            record.carries(body);
            match (Forwarding { worker, sending: Sending { asked, plan } }).run(record).await {
                Ok((answer, credential)) => Ok(Outcome::Relay(Answered { plan, answer, credential })),
                Err(refusal) => Err((refusal, Some(plan.route.clone()))),
            }
        }
        Decision::Own(own) => {
            // Boxed: rare, and it would be part of every request.
            let reply = Box::pin(own::answer(worker, head, own, body)).await;
            reply.map(Outcome::Own).map_err(|refusal| (refusal, None))
        }
        Decision::Refuse(refusal, route) => Err((refusal.clone(), route.clone())),
    }
}

/// A request on its way.
struct Forwarding<'r, 'a> {
    worker: &'r Rc<Worker>,
    sending: Sending<'r, 'a>,
}

impl Forwarding<'_, '_> {
    async fn run(self, record: &mut Record) -> Result<(Answer, Arc<Prepared>), Refusal> {
        let cell = &self.sending.plan.to.cell;
        let mut credential = self.credential(cell).await?;
        record.prepared(self.sending.plan);
        let mut answer = self.sending.send(&credential, record).await?;
        // Named loop 1 of the design: one renewal and one replay after an upstream 401.
        if rejected(&answer, &credential, false)
            && let Some(renewed) = self.renewed(cell, &credential).await
        {
            drop(answer);
            record.again("credential_rejected");
            credential = renewed;
            answer = self.sending.send(&credential, record).await?;
        }
        self.sending.asked.body.forget();
        Ok((answer, credential))
    }

    /// The credential to attach: normally one atomic load.
    async fn credential(&self, cell: &Arc<Cell>) -> Result<Arc<Prepared>, Refusal> {
        if let Some(live) = cell.live(UnixMillis::now()) {
            return Ok(live);
        }
        let acquired = acquired(&*self.worker.shared.acquire, cell, Reason::Missing).await;
        self.worker.clock.read();
        acquired
    }

    /// A credential newer than the rejected one, if the request can be sent again with it. If it
    /// cannot, the renewal still happens, for the requests to come.
    async fn renewed(&self, cell: &Arc<Cell>, rejected: &Prepared) -> Option<Arc<Prepared>> {
        let reason = Reason::Rejected { generation: rejected.generation };
        let shared = self.worker.shared.clone();
        if !self.sending.asked.body.can_replay() {
            let cell = cell.clone();
            tokio::task::spawn_local(async move {
                // Its failure is reported by the credential stage; this client has its 401.
                let _ = shared.acquire.acquire(&cell, reason).await;
            });
            return None;
        }
        let renewed = acquired(&*shared.acquire, cell, reason).await.ok()?;
        self.worker.clock.read();
        (renewed.generation != rejected.generation).then_some(renewed)
    }
}

/// The slow path of the credential stage, with an end. The refresh itself goes on.
async fn acquired(acquire: &dyn Acquire, cell: &Arc<Cell>, reason: Reason) -> Result<Arc<Prepared>, Refusal> {
    match tokio::time::timeout(CREDENTIAL_WAIT, acquire.acquire(cell, reason)).await {
        Ok(acquired) => acquired.map_err(Refusal::Credential),
        Err(_) => Err(Refusal::CredentialTimeout),
    }
}

fn rejected(answer: &Answer, credential: &Prepared, is_replay: bool) -> bool {
    answer.status() == 401
        && rejection(answer.status(), credential, is_replay, UnixMillis::now()) == Rejection::Renew
}

impl Answered<'_, '_> {
    /// The route it came by.
    pub(super) fn route(&self) -> Arc<Route> {
        self.plan.route.clone()
    }

    /// Decides on the response. `write` is given its head, once, if it passes.
    pub(super) fn relay(
        self,
        method: &[u8],
        record: &mut Record,
        write: impl FnOnce(Passing<'_>),
    ) -> Result<Rest, Refusal> {
        let Self { plan, answer, credential } = self;
        match answer {
            Answer::Http1 { mut call, slot, status, head_end } => {
                let (framing, kept, (links, is_tunnel)) = {
                    let mut fields = Fields::new();
                    let head =
                        call.head(head_end, &mut fields).map_err(|error| broken(plan, record, &error))?;
                    let framing = framing::of_response(method, head.version, status, &head.fields)
                        .map_err(|error| broken(plan, record, &error))?;
                    record.received(status);
                    let said = (status, head.reason, head.fields);
                    let decide = Decide { plan, credential: &credential };
                    let passed = decide.pass(said, framing, write);
                    (framing, may_be_kept(&head), passed.map_err(|refusal| no_head(record, refusal))?)
                };
                call.begin_body(head_end, framing, kept);
                Ok(Rest { inflow: Inflow::Http1(call, slot), links, is_tunnel })
            }
            Answer::Http2(response) => {
                let (head, incoming) = response.into_parts();
                let status = head.status.as_u16();
                record.received(status);
                let fields = head::fields(&head.headers);
                let framing = match incoming.size_hint().exact() {
                    _ if method == b"HEAD" || matches!(status, 204 | 304) => ResponseFraming::None,
                    Some(length) => ResponseFraming::Length(length),
                    None => ResponseFraming::UntilClose,
                };
                let said = (
                    status,
                    head.status.canonical_reason().unwrap_or_default().as_bytes(),
                    Lines::of(&fields),
                );
                let (links, is_tunnel) = Decide { plan, credential: &credential }
                    .pass(said, framing, write)
                    .map_err(|refusal| no_head(record, refusal))?;
                let inflow = Inflow::Http2(Box::new(Frames::new(incoming)));
                Ok(Rest { inflow, links, is_tunnel })
            }
        }
    }
}

/// The upstream said what is no HTTP.
fn broken(plan: &RequestPlan<'_>, record: &Record, reason: &dyn std::fmt::Display) -> Refusal {
    tracing::debug!(route = %plan.route.name, %reason, "the upstream broke the protocol");
    record.upstream_failed(&Refusal::UpstreamProtocol, &reason.to_string());
    Refusal::UpstreamProtocol
}

/// What it said is HTTP, but nothing that passes.
fn no_head(record: &Record, refusal: Refusal) -> Refusal {
    record.upstream_failed(&refusal, "the response head is not one");
    refusal
}

/// What a decision on a response is made from.
struct Decide<'a> {
    plan: &'a RequestPlan<'a>,
    credential: &'a Prepared,
}

/// Passes an interim response on to a client: by the decision that is made on every head.
pub(super) fn pass_interim(
    client: &conn::Shared,
    plan: &RequestPlan<'_>,
    credential: &Prepared,
    (status, head): (u16, &ccproxy_h1::ResponseHead<'_>),
) {
    // The client has, or has had, its 100 from us: the upstream was not told that it waits for one.
    if status == 100 {
        return;
    }
    let said = (status, head.reason, head.fields);
    let passed = Decide { plan, credential }.pass(said, ResponseFraming::None, |passing| {
        let Passing { status, reason, fields, relay, .. } = passing;
        client.borrow_mut().say_early(|out| head::write_interim(out, (status, reason), fields, &relay));
    });
    // It may be left out, and the answer does not depend on it.
    if passed.is_err() {
        tracing::debug!(route = %plan.route.name, status, "an interim response cannot be passed on");
    }
}

impl Decide<'_> {
    fn pass(
        &self,
        (status, reason, fields): (u16, &[u8], Lines<'_>),
        framing: ResponseFraming,
        write: impl FnOnce(Passing<'_>),
    ) -> Result<(Option<Box<JsonLinks>>, bool), Refusal> {
        let plan = self.plan;
        let view = ResponseHead { status, fields };
        let decision = relay(&view, &plan.client(), &plan.to.base, &plan.route.policy, self.credential);
        let (mut relay, is_tunnel) = match decision {
            ResponsePlan::Relay(relay) => (relay, false),
            ResponsePlan::Tunnel(relay) => (relay, true),
            ResponsePlan::Fail(refusal) => return Err(refusal),
        };
        // Where there is a body, its length is what the framing says; a 204 or what is interim has none to speak of.
        if framing != ResponseFraming::None || matches!(status, 100..=199 | 204) {
            fields.named(Known::ContentLength).for_each(|(index, _)| relay.fields.remove(index));
        }
        let rewritten = relay.json_links;
        let links =
            rewritten.then(|| Box::new(JsonLinks::new(&plan.client(), &plan.to.base, &plan.route.policy)));
        write(Passing { status, reason, fields, relay, framing, rewritten, is_tunnel });
        Ok((links, is_tunnel))
    }
}

/// Whether a response is a stream of events.
pub(super) fn is_event_stream(passing: &Passing<'_>) -> bool {
    let is_events =
        |media: &[u8]| media.get(..17).is_some_and(|start| start.eq_ignore_ascii_case(b"text/event-stream"));
    passing.fields.values(Known::ContentType).any(is_events)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::Pin;

    use crate::fault::Fault;
    use crate::model::{ConnectionId, CredentialKey, Target};

    struct Never;

    impl Acquire for Never {
        fn acquire<'a>(
            &'a self,
            _: &'a Arc<Cell>,
            _: Reason,
        ) -> Pin<Box<dyn Future<Output = Result<Arc<Prepared>, Fault>> + Send + 'a>> {
            Box::pin(std::future::pending())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_waits_half_a_minute_for_a_credential_and_no_longer() {
        let connection = ConnectionId::global("up".parse().unwrap());
        let cell = Arc::new(Cell::new(CredentialKey { connection, target: Target::default() }));
        let start = tokio::time::Instant::now();
        let refusal = acquired(&Never, &cell, Reason::Missing).await.err();
        assert_eq!(refusal, Some(Refusal::CredentialTimeout));
        assert_eq!(start.elapsed(), CREDENTIAL_WAIT);
    }
}
