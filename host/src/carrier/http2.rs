//! Requests that come over HTTP/2: hyper reads and writes, the exchange is the same.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;

use http::{HeaderName, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};

use super::alarm::Alarm;
use super::body::{RelayedBody, ReplyBody};
use super::exchange::{Answered, Asked, Outcome, Rest, exchange, is_event_stream};
use super::head;
use super::observe::Record;
use super::pool::LocalExecutor;
use super::request_id::RequestId;
use super::serve::{CLIENT_IDLE, Rewound};
use super::source::Source;
use super::worker::Worker;
use crate::guard::MAX_FIELD_BYTES;
use crate::message::Via;
use crate::proxy::subject;
use crate::refusal::Refusal;
use crate::respond::{REQUEST_ID_FIELD, problem};

/// Requests that one client may have under way.
const MAX_STREAMS: u32 = 100;

/// Serves a connection to its end, which is near once `leave` resolves.
pub(super) async fn serve(
    worker: Rc<Worker>,
    via: Rc<Via>,
    stream: Rewound,
    leave: impl Future<Output = ()>,
) -> hyper::Result<()> {
    let service = service_fn(move |request| {
        let (worker, via) = (worker.clone(), via.clone());
        // Boxed: hyper moves it five times on its way into a task, and it is large.
        Box::pin(async move { Ok::<_, Infallible>(answer(worker, via, request).await) })
    });
    let connection = http2::Builder::new(LocalExecutor)
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(2 * MAX_FIELD_BYTES).unwrap_or(u32::MAX))
        .keep_alive_interval(CLIENT_IDLE)
        .serve_connection(TokioIo::new(stream), service);
    let (mut connection, mut leave) = (pin!(connection), pin!(leave));
    tokio::select! {
        ended = connection.as_mut() => return ended,
        () = leave.as_mut() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

async fn answer(worker: Rc<Worker>, via: Rc<Via>, request: Request<Incoming>) -> Response<ReplyBody> {
    let id = worker.ids.next();
    let (parts, incoming) = request.into_parts();
    let target = head::target(&parts);
    let fields = head::fields(&parts.headers);
    let view = head::view(&parts, &target, &fields);
    let (decision, access_log) = {
        let rules = worker.shared.rules.load();
        (rules.decide(&view, &via), rules.access_log)
    };
    let mut record = Record::new(worker.clone(), id, parts.method.clone(), access_log);
    let (source, alarm) = (Source::http2(incoming), Alarm::new(&worker.alarms));
    // hyper sends no interim responses.
    let asked = Asked { worker: &worker, head: &view, body: &source, alarm: &alarm, interim: None };
    let (refusal, route) = match exchange(&asked, &decision, &mut record).await {
        Ok(Outcome::Relay(answered)) => {
            let route = answered.route();
            match relayed(answered, view.method, &mut record) {
                Ok((response, rest)) => return named(with_body(response, rest, record, alarm), id),
                Err(refusal) => (refusal, Some(route)),
            }
        }
        Ok(Outcome::Own(reply)) => {
            record.answered(reply.status);
            return named(head::own(reply, ReplyBody::Own), id);
        }
        Err(refused) => refused,
    };
    let reply = problem(&refusal, subject(route.as_deref()), &id.text());
    record.refused(reply.status, reply.error.unwrap_or_default(), route);
    named(head::own(reply.into(), ReplyBody::Own), id)
}

/// The head of a relayed response, and what follows it.
fn relayed(
    answered: Answered<'_, '_>,
    method: &[u8],
    record: &mut Record,
) -> Result<(Response<()>, Rest), Refusal> {
    let mut response = Response::new(());
    let mut events = false;
    let rest = answered.relay(method, record, |passing| {
        events = is_event_stream(&passing);
        *response.status_mut() = StatusCode::from_u16(passing.status).unwrap_or_default();
        *response.headers_mut() = head::relayed(passing.fields, passing.relay);
    })?;
    if events {
        record.stream_started();
    }
    Ok((response, rest))
}

fn with_body(head: Response<()>, rest: Rest, record: Record, alarm: Alarm) -> Response<ReplyBody> {
    let both_http2 = rest.inflow.is_http2();
    let mut body = RelayedBody::new(rest, record, both_http2);
    if body.is_complete() {
        // hyper does not ask a body that has ended.
        body.finish();
    }
    head.map(|()| ReplyBody::Relayed(Box::new((body, alarm))))
}

fn named(mut response: Response<ReplyBody>, id: RequestId) -> Response<ReplyBody> {
    response.headers_mut().insert(HeaderName::from_static(REQUEST_ID_FIELD), id.value());
    response
}
