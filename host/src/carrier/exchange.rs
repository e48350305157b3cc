//! One request, from its head to the head of its response: the stages in their order.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{CONNECTION, CONTENT_TYPE, UPGRADE};
use http::{HeaderName, HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use super::body::{RelayedBody, ReplyBody};
use super::head;
use super::observe::Record;
use super::pool::Lease;
use super::send::{Answer, Sending};
use super::source::Source;
use super::worker::Worker;
use super::{own, tunnel};
use crate::credential::{Acquire, Cell, Prepared, Reason};
use crate::message::{ResponseHead, Via};
use crate::model::UnixMillis;
use crate::proxy::{Decision, subject};
use crate::refusal::Refusal;
use crate::respond::{JsonLinks, REQUEST_ID_FIELD, Rejection, ResponsePlan, problem, rejection, relay};
use crate::route::Route;
use crate::upstream::connect::Protocol;

/// The longest a request waits for a credential (interface, section 7).
const CREDENTIAL_WAIT: Duration = Duration::from_secs(30);

/// Answers a request.
pub(super) async fn exchange(
    worker: Rc<Worker>,
    via: Rc<Via>,
    request: Request<Incoming>,
) -> Response<ReplyBody> {
    let id = worker.ids.next();
    let (mut parts, body) = request.into_parts();
    let upgrade = parts.extensions.remove::<OnUpgrade>();
    let started = Instant::now();
    let target = head::target(&parts);
    let fields = head::fields(&parts.headers);
    let view = head::view(&parts, &target, &fields);
    let (decision, access_log) = {
        let rules = worker.shared.rules.load();
        (rules.decide(&view, &via), rules.access_log)
    };
    let mut record = Record::new(worker.clone(), id, parts.method.clone(), started, access_log);
    let answered = match decision {
        Decision::Forward(plan) if worker.is_draining() => Err((Refusal::Draining, Some(plan.route.clone()))),
        Decision::Forward(plan) => {
            record.admitted(&plan);
            let source = Source::new(body, parts.version == http::Version::HTTP_2);
            record.carries(&source);
            let sending =
                Sending { pool: &worker.pool, plan: &plan, parts: &parts, fields: &fields, body: &source };
            let forwarded = Forwarding { worker: &worker, sending, upgrade }.run(&mut record).await;
            forwarded.map_err(|refusal| (refusal, Some(plan.route.clone())))
        }
        Decision::Own(own) => {
            own::answer(&worker, &view, own, body).await.map(Finished::Own).map_err(|refusal| (refusal, None))
        }
        Decision::Refuse(refusal, route) => Err((refusal, route)),
    };
    let mut response = match answered {
        Ok(Finished::Relay(relayed)) => relayed.into_response(record),
        Ok(Finished::Own(response)) => {
            record.answered(response.status().as_u16());
            response
        }
        Err((refusal, route)) => {
            let ends = refusal.ends_connection() && parts.version < http::Version::HTTP_2;
            let mut response = refuse(record, &id.text(), refusal, route);
            if ends {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            response
        }
    };
    response.headers_mut().insert(HeaderName::from_static(REQUEST_ID_FIELD), id.value());
    response
}

fn refuse(record: Record, id: &str, refusal: Refusal, route: Option<Arc<Route>>) -> Response<ReplyBody> {
    let reply = problem(&refusal, subject(route.as_deref()), id);
    record.refused(reply.status, reply.error.unwrap_or_default(), route);
    head::own(reply, ReplyBody::Own)
}

enum Finished {
    Relay(Box<Relayed>),
    Own(Response<ReplyBody>),
}

/// A request on its way.
struct Forwarding<'a> {
    worker: &'a Rc<Worker>,
    sending: Sending<'a>,
    upgrade: Option<OnUpgrade>,
}

impl Forwarding<'_> {
    async fn run(self, record: &mut Record) -> Result<Finished, Refusal> {
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
        self.sending.body.forget();
        self.respond(answer, &credential, record)
    }

    /// The credential to attach: normally one atomic load.
    async fn credential(&self, cell: &Arc<Cell>) -> Result<Arc<Prepared>, Refusal> {
        if let Some(live) = cell.live(UnixMillis::now()) {
            return Ok(live);
        }
        acquired(&*self.worker.shared.acquire, cell, Reason::Missing).await
    }

    /// A credential newer than the rejected one, if the request can be sent again with it. If it
    /// cannot, the renewal still happens, for the requests to come.
    async fn renewed(&self, cell: &Arc<Cell>, rejected: &Prepared) -> Option<Arc<Prepared>> {
        let reason = Reason::Rejected { generation: rejected.generation };
        let shared = self.worker.shared.clone();
        if !self.sending.body.can_replay() {
            let cell = cell.clone();
            tokio::task::spawn_local(async move {
                // Its failure is reported by the credential stage; this client has its 401.
                let _ = shared.acquire.acquire(&cell, reason).await;
            });
            return None;
        }
        let renewed = acquired(&*shared.acquire, cell, reason).await.ok()?;
        (renewed.generation != rejected.generation).then_some(renewed)
    }

    fn respond(
        self,
        answer: Answer,
        credential: &Prepared,
        record: &mut Record,
    ) -> Result<Finished, Refusal> {
        let (mut head, body) = answer.response.into_parts();
        record.received(head.status.as_u16());
        let plan = self.sending.plan;
        let decision = {
            let fields = head::fields(&head.headers);
            let view = ResponseHead { status: head.status.as_u16(), fields: &fields };
            relay(&view, &plan.client(), &plan.to.base, &plan.route.policy, credential)
        };
        let (relay, is_tunnel) = match decision {
            ResponsePlan::Relay(relay) => (relay, false),
            ResponsePlan::Tunnel(relay) => (relay, true),
            ResponsePlan::Fail(refusal) => {
                record.upstream_failed(&refusal, "the response head is not one");
                return Err(refusal);
            }
        };
        let both_http2 =
            answer.protocol == Protocol::Http2 && self.sending.parts.version == http::Version::HTTP_2;
        let upgrades = match is_tunnel {
            true => Some((
                self.upgrade.ok_or(Refusal::Internal)?,
                head.extensions.remove::<OnUpgrade>().ok_or(Refusal::UpstreamProtocol)?,
            )),
            false => None,
        };
        let links =
            relay.json_links.then(|| JsonLinks::new(&plan.client(), &plan.to.base, &plan.route.policy));
        let mut relayed = Response::new(());
        *relayed.status_mut() = head.status;
        *relayed.headers_mut() = head::relayed(&head.headers, relay);
        Ok(Finished::Relay(Box::new(Relayed {
            head: relayed,
            body,
            lease: answer.lease,
            links,
            pass_trailers: both_http2,
            upgrades,
        })))
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
    let status = answer.response.status().as_u16();
    rejection(status, credential, is_replay, UnixMillis::now()) == Rejection::Renew
}

/// An upstream response that passed [`relay`], not yet on its way to the client.
struct Relayed {
    head: Response<()>,
    body: Incoming,
    lease: Lease,
    links: Option<JsonLinks>,
    pass_trailers: bool,
    upgrades: Option<(OnUpgrade, OnUpgrade)>,
}

impl Relayed {
    fn into_response(self, mut record: Record) -> Response<ReplyBody> {
        let mut response = self.head.map(|()| ReplyBody::Own(Default::default()));
        let Some((client, upstream)) = self.upgrades else {
            if is_event_stream(&response) {
                record.stream_started();
            }
            let body = RelayedBody::new(self.body, self.lease, record, self.pass_trailers, self.links);
            *response.body_mut() = ReplyBody::Relayed(Box::new(body));
            return response;
        };
        record.tunnels();
        tunnel::spawn(client, upstream, record);
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
        response
    }
}

fn is_event_stream<B>(response: &Response<B>) -> bool {
    let media = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    media.get(..17).is_some_and(|start| start.eq_ignore_ascii_case(b"text/event-stream"))
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
