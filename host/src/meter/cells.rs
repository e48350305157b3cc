//! What one worker counts for one route.

use std::time::Duration;

use http::Method;

use super::series::{Counter, Histogram, Series, Total};

/// A request method as a label: those that the OpenTelemetry conventions know, and `_OTHER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Verb(&'static str);

impl Verb {
    /// What a client may invent must not make a series.
    const OTHER: Self = Self("_OTHER");

    /// The label of a method.
    pub fn of(method: &Method) -> Self {
        Self(match *method {
            Method::GET => "GET",
            Method::POST => "POST",
            Method::PUT => "PUT",
            Method::PATCH => "PATCH",
            Method::DELETE => "DELETE",
            Method::HEAD => "HEAD",
            Method::OPTIONS => "OPTIONS",
            Method::TRACE => "TRACE",
            Method::CONNECT => "CONNECT",
            _ => return Self::OTHER,
        })
    }

    /// As a label.
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// With a response.
    Status(u16),
    /// Without one, and why.
    Error(&'static str),
}

/// Requests that are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// Their method.
    pub verb: Verb,
    /// How they ended.
    pub outcome: Outcome,
}

impl Seen {
    /// Where those are counted for which there is no room.
    const OTHER: Self = Self { verb: Verb::OTHER, outcome: Outcome::Error("_OTHER") };

    fn new(method: &Method, outcome: Outcome) -> Self {
        Self { verb: Verb::of(method), outcome }
    }
}

/// The counters of one worker. On a cache line that no other worker writes.
#[derive(Default)]
#[repr(align(64))]
pub struct Cells {
    served: Series<Seen, Histogram>,
    forwarded: Series<Seen, Histogram>,
    refused: Series<&'static str, Counter>,
    replayed: Series<&'static str, Counter>,
    request_sizes: Histogram,
    response_sizes: Histogram,
    begun: Counter,
    ended: Counter,
    opened: Counter,
    closed: Counter,
}

impl Cells {
    /// A request began.
    pub fn begin(&self) {
        self.begun.add(1);
    }

    /// One that began has ended.
    pub fn end(&self) {
        self.ended.add(1);
    }

    /// A client's request has ended.
    pub fn serve(&self, method: &Method, outcome: Outcome, took: Duration) {
        self.served.at(Seen::new(method, outcome), Seen::OTHER).observe(took);
    }

    /// The upstream answered, or did not.
    pub fn forward(&self, method: &Method, outcome: Outcome, took: Duration) {
        self.forwarded.at(Seen::new(method, outcome), Seen::OTHER).observe(took);
    }

    /// A client connected.
    pub fn open(&self) {
        self.opened.add(1);
    }

    /// One that connected is gone.
    pub fn close(&self) {
        self.closed.add(1);
    }

    /// How large the bodies of a request and of its response were, as far as they got.
    pub fn measure(&self, request: u64, response: u64) {
        self.request_sizes.observe_size(request);
        self.response_sizes.observe_size(response);
    }

    /// A request is sent to the upstream once more, and why.
    pub fn replay(&self, reason: &'static str) {
        self.replayed.at(reason, "_OTHER").add(1);
    }

    /// A request was refused.
    pub fn refuse(&self, code: &'static str) {
        self.refused.at(code, "_OTHER").add(1);
    }

    pub(super) fn served(&self) -> impl Iterator<Item = (Seen, Total)> {
        self.served.iter().map(|(seen, histogram)| (*seen, histogram.total()))
    }

    pub(super) fn forwarded(&self) -> impl Iterator<Item = (Seen, Total)> {
        self.forwarded.iter().map(|(seen, histogram)| (*seen, histogram.total()))
    }

    pub(super) fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.refused.iter().map(|(code, count)| (*code, count.get()))
    }

    pub(super) fn replayed(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.replayed.iter().map(|(reason, count)| (*reason, count.get()))
    }

    pub(super) fn sizes(&self) -> [Total; 2] {
        [self.request_sizes.total(), self.response_sizes.total()]
    }

    pub(super) fn connected(&self) -> u64 {
        let closed = self.closed.get();
        self.opened.get().saturating_sub(closed)
    }

    pub(super) fn active(&self) -> u64 {
        // The end is read first: the difference is never negative.
        let ended = self.ended.get();
        self.begun.get().saturating_sub(ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn a_client_cannot_invent_a_series() {
        let cells = Cells::default();
        for word in ["BREW", "PROPFIND", "get"] {
            cells.serve(&word.parse().unwrap(), Outcome::Status(404), Duration::ZERO);
        }
        let served: Vec<_> =
            cells.served().map(|(seen, total)| (seen.verb.as_str(), total.count())).collect();
        assert_eq!(served, [("_OTHER", 3)]);
    }

    #[test]
    fn an_upstream_that_invents_statuses_fills_one_last_series() {
        let cells = Cells::default();
        for status in 100..999 {
            cells.forward(&Method::GET, Outcome::Status(status), Duration::ZERO);
        }
        let all: Vec<_> = cells.forwarded().collect();
        assert!(all.len() < 100, "{} series", all.len());
        assert_eq!(all.iter().map(|(_, total)| total.count()).sum::<u64>(), 899);
        assert_eq!(all.last().unwrap().0, Seen::OTHER);
    }
}
