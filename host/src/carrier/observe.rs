//! What is told about a request: counts, hook events and the access log.
//!
//! Names, numbers and the path without its query; never a field, a query or a body.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use http::Method;
use tokio::time::Instant;

use super::request_id::RequestId;
use super::source::Source;
use super::worker::Worker;
use crate::access_log::{AccessLog, Line};
use crate::hook::{Event, Kind};
use crate::meter::{Cells, Outcome};
use crate::proxy::RequestPlan;
use crate::refusal::Refusal;
use crate::respond;
use crate::route::Route;

/// One request, from its admission to the end of its response.
pub(super) struct Record {
    worker: Rc<Worker>,
    id: RequestId,
    started: Instant,
    /// When the last attempt to reach the upstream began.
    asked: Instant,
    method: Method,
    /// Whether the access log has it.
    logged: bool,
    route: Option<Arc<Route>>,
    path: Option<String>,
    upstream: Option<String>,
    status: u16,
    /// What the client sent, if it is forwarded.
    body: Option<Source>,
    bytes: u64,
    streams: bool,
    /// Its end has been told, or nobody was told of its beginning.
    ended: bool,
    /// When all of the response was with the client.
    completed: Option<Instant>,
}

impl Record {
    /// A request that arrives now.
    pub(super) fn new(worker: Rc<Worker>, id: RequestId, method: Method, logged: bool) -> Self {
        let started = worker.clock.read();
        if let Some(cells) = worker.shared.meter.of_worker(worker.number) {
            cells.begin();
        }
        Self {
            worker,
            id,
            started,
            asked: started,
            method,
            logged,
            route: None,
            path: None,
            upstream: None,
            status: 0,
            body: None,
            bytes: 0,
            streams: false,
            ended: true,
            completed: None,
        }
    }

    /// The request was admitted to a route.
    pub(super) fn admitted(&mut self, plan: &RequestPlan<'_>) {
        self.route = Some(plan.route.clone());
        self.ended = false;
        if self.logged {
            self.path = Some(String::from_utf8_lossy(plan.rest()).into_owned());
        }
        self.tell(Kind::RequestStarted, |event| event.with("path", String::from_utf8_lossy(plan.rest())));
    }

    /// The request was refused, on this route if it got that far.
    pub(super) fn refused(mut self, status: u16, code: &'static str, route: Option<Arc<Route>>) {
        self.ended = true;
        self.status = status;
        self.route = self.route.take().or(route);
        if let Some(cells) = self.cells() {
            cells.refuse(code);
        }
        self.tell(Kind::RequestFailed, |event| self.outcome(event).with("code", code));
        self.log(code);
    }

    /// It was answered here, on a path of ours.
    pub(super) fn answered(mut self, status: u16) {
        self.status = status;
    }

    /// The credential is attached, and the request is about to go out.
    pub(super) fn prepared(&mut self, plan: &RequestPlan<'_>) {
        let wanted =
            [Kind::ProviderRequestPrepared, Kind::ProviderRequestSent, Kind::ProviderResponseReceived];
        if wanted.into_iter().chain([Kind::ProviderError]).any(|kind| self.worker.shared.hooks.wants(kind)) {
            self.upstream = Some(plan.to.base.origin().to_string());
        }
        self.tell(Kind::ProviderRequestPrepared, |event| self.towards(event));
    }

    /// Its body is on its way to the upstream.
    pub(super) fn carries(&mut self, body: &Source) {
        self.body = Some(body.clone());
    }

    /// What follows is a tunnel, in which no body has an end.
    pub(super) fn tunnels(&mut self) {
        self.body = None;
        self.stream_started();
    }

    /// An attempt to reach the upstream begins.
    pub(super) fn asking(&mut self) {
        self.asked = self.worker.clock.last();
    }

    /// The request goes out once more.
    pub(super) fn again(&self, reason: &'static str) {
        if let Some(cells) = self.cells() {
            cells.replay(reason);
        }
    }

    /// It is on a connection, new or from the pool.
    pub(super) fn sent(&self, reused: bool) {
        self.tell(Kind::ProviderRequestSent, |event| self.towards(event).with("connection_reused", reused));
    }

    /// The upstream answered.
    pub(super) fn received(&mut self, status: u16) {
        self.status = status;
        self.count_upstream(Outcome::Status(status));
        self.tell(Kind::ProviderResponseReceived, |event| self.outcome(self.towards(event)));
    }

    /// The upstream did not, or not in HTTP.
    pub(super) fn upstream_failed(&self, refusal: &Refusal, reason: &str) {
        self.count_upstream(Outcome::Error(respond::code(refusal)));
        self.tell(Kind::ProviderError, |event| self.towards(event).with("reason", reason));
    }

    /// The response is a stream: events, or a tunnel.
    pub(super) fn stream_started(&mut self) {
        self.streams = true;
        self.tell(Kind::ProviderStreamStart, |event| self.towards(event));
    }

    /// Bytes that went to the client.
    pub(super) fn count(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// The response is with the client. Answers when.
    pub(super) fn completed(mut self) -> Instant {
        let now = self.worker.clock.read();
        (self.ended, self.completed) = (true, Some(now));
        self.stream_ended();
        self.tell(Kind::RequestCompleted, |event| self.outcome(event).with("bytes", self.bytes));
        self.log("ok");
        now
    }

    /// The response broke off on either side.
    pub(super) fn broke_off(mut self, reason: &str) {
        self.tell_broken_off(reason);
    }

    fn tell_broken_off(&mut self, reason: &str) {
        self.ended = true;
        self.stream_ended();
        self.tell(Kind::RequestFailed, |event| {
            self.outcome(event).with("bytes", self.bytes).with("reason", reason)
        });
        self.log(reason.to_owned());
    }

    /// Where this worker counts for the request's route, or for the host if it has none.
    fn cells(&self) -> Option<&Cells> {
        let meter = self.route.as_ref().map_or(&self.worker.shared.meter, |route| &route.meter);
        meter.of_worker(self.worker.number)
    }

    fn count_upstream(&self, outcome: Outcome) {
        if let Some(cells) = self.cells() {
            cells.forward(&self.method, outcome, self.worker.clock.read() - self.asked);
        }
    }

    fn stream_ended(&self) {
        if self.streams {
            self.tell(Kind::ProviderStreamEnd, |event| self.outcome(event).with("bytes", self.bytes));
        }
    }

    /// Builds and passes an event on, if anybody listens.
    fn tell(&self, kind: Kind, fill: impl FnOnce(Event) -> Event) {
        let hooks = &self.worker.shared.hooks;
        if !hooks.wants(kind) {
            return;
        }
        let mut event = Event::new(kind).of_request(&self.id.text()).with("method", self.method.as_str());
        if let Some(route) = &self.route {
            event = event.with("route", route.name.as_str());
            if let Some(connection) = &route.connection {
                event = event.about(connection, route.provider.as_ref().map_or("", |name| name.as_str()));
            }
        }
        hooks.emit(fill(event));
    }

    fn towards(&self, event: Event) -> Event {
        match &self.upstream {
            Some(upstream) => event.with("upstream", upstream.as_str()),
            None => event,
        }
    }

    fn outcome(&self, event: Event) -> Event {
        let event = if self.status == 0 { event } else { event.with("status", self.status) };
        event.with("duration_ms", self.milliseconds())
    }

    fn milliseconds(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Hands the line over; the path goes with it.
    fn log(&mut self, result: impl Into<Cow<'static, str>>) {
        if self.logged && AccessLog::is_seen() {
            self.worker.shared.access_log.record(Line {
                request_id: self.id.text(),
                method: self.method.clone(),
                route: self.route.clone(),
                path: self.path.take(),
                status: self.status,
                bytes: self.bytes,
                duration: self.started.elapsed(),
                result: result.into(),
            });
        }
    }
}

/// Whoever asked is gone, and hyper dropped the exchange: before the response head nothing else ends it.
impl Drop for Record {
    fn drop(&mut self) {
        if !self.ended {
            self.tell_broken_off("the client went away");
        }
        if let Some(cells) = self.cells() {
            let outcome = match self.status {
                0 => Outcome::Error("client_gone"),
                status => Outcome::Status(status),
            };
            let ended = self.completed.unwrap_or_else(|| self.worker.clock.read());
            cells.serve(&self.method, outcome, ended - self.started);
            if let Some(body) = &self.body {
                cells.measure(body.received(), self.bytes);
            }
        }
        if let Some(cells) = self.worker.shared.meter.of_worker(self.worker.number) {
            cells.end();
        }
    }
}
