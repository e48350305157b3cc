//! One exchange, decided by its number.

use std::time::Duration;

use super::super::half::{Framing, Random};
use super::super::inside::AUTHORITY;

pub(super) struct Script {
    pub(super) number: u64,
    /// Both ends behave and are quick.
    pub(super) is_calm: bool,
    pub(super) method: &'static str,
    pub(super) is_http10: bool,
    pub(super) request: Framing,
    pub(super) sent: Vec<u8>,
    /// The client sends the body when it is told to, or has waited so long.
    pub(super) expects: Option<Duration>,
    pub(super) client: Client,
    pub(super) status: u16,
    pub(super) response: Framing,
    pub(super) answer: Vec<u8>,
    pub(super) upstream: Upstream,
    /// The upstream has had enough of the first credential.
    pub(super) rejects: bool,
    /// Before its response.
    pub(super) thinks: Duration,
    pub(super) interim: usize,
    /// Says that it closes behind its response, and does.
    pub(super) closes: bool,
    pub(super) random: Random,
}

/// How a client behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    Well,
    /// Pauses between the pieces of its request.
    Pauses,
    /// Reads little at a time, and pauses.
    ReadsSlowly,
    /// Goes after so many bytes of its request, or of the response.
    Goes(How, usize),
    GoesWhileReading(How),
    /// Ends its half of the connection after so many bytes, and waits.
    Stops(usize),
    /// Says nothing any more, and waits.
    FallsSilent(usize),
    /// One byte of the request is another one.
    Garbles(usize, u8),
}

/// How an upstream behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upstream {
    Well,
    /// Pauses between the pieces of its response.
    Pauses,
    /// Does not wait for the body.
    AnswersEarly,
    /// Closes after so many bytes of its response.
    Breaks(How, usize),
    /// Says nothing any more after so many.
    FallsSilent(usize),
    /// Another response behind its own.
    SaysMore,
    /// What is no response.
    Babbles(&'static str),
}

/// How somebody goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    Closes,
    Resets,
}

const BABBLE: &[&str] = &[
    "HTTP/1.1 200 OK\nX-Marker: 1\nContent-Length: 0\n\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: secret-token\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX: a\r\n secret-token\r\n\r\n",
    "HTTP/2.0 200 OK\r\n\r\n",
    "secret-token\r\n\r\n",
    "\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
];

/// What is decided, for who looks into a failure.
impl std::fmt::Display for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { number, is_calm, method, is_http10, request, expects, client, .. } = self;
        let (sent, answer) = (self.sent.len(), self.answer.len());
        write!(
            f,
            "{number}: {method}, calm {is_calm}, HTTP/1.0 {is_http10}, {request:?} of {sent}, {expects:?}, {client:?}; "
        )?;
        let Self { status, response, upstream, rejects, thinks, interim, closes, .. } = self;
        write!(
            f,
            "{status} {response:?} of {answer}, {upstream:?}, rejects {rejects}, {thinks:?}, {interim} interim, closes {closes}"
        )
    }
}

impl Script {
    pub(super) fn of(number: u64) -> Self {
        let mut random = Random(number.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let is_calm = random.below(2) == 0;
        let method = random.one(&["GET", "GET", "POST", "PUT", "HEAD", "DELETE"]);
        let is_http10 = random.below(10) == 0;
        let request = match method {
            "POST" | "PUT" if is_http10 => Framing::Length,
            "POST" | "PUT" => random.one(&[Framing::Length, Framing::Chunks]),
            _ => Framing::Nothing,
        };
        let status = random.one(&[200, 200, 200, 200, 404, 204, 304]);
        let response = match (method, status) {
            ("HEAD", _) | (_, 204 | 304) => Framing::Nothing,
            _ => random.one(&[Framing::Length, Framing::Chunks, Framing::Chunks, Framing::Close]),
        };
        let body = |framing, random: &mut Random| match framing {
            Framing::Nothing => Vec::new(),
            _ => random.bytes(),
        };
        let (sent, answer) = (body(request, &mut random), body(response, &mut random));
        let waits = Duration::from_secs(random.one(&[1, 1, 5, 90]));
        let (client, upstream) =
            (client(&mut random, sent.len() + 200), upstream(&mut random, answer.len() + 120));
        Self {
            number,
            is_calm,
            method,
            is_http10,
            request,
            expects: (!is_http10 && request != Framing::Nothing && random.below(4) == 0).then_some(waits),
            sent,
            client: if is_calm { Client::Well } else { client },
            status,
            response,
            answer,
            upstream: if is_calm { Upstream::Well } else { upstream },
            rejects: !is_calm && random.below(30) == 0,
            thinks: if is_calm { Duration::ZERO } else { random.pause() },
            interim: if is_calm { 0 } else { random.one(&[0, 0, 0, 1, 3, 9]) },
            closes: random.below(8) == 0,
            random,
        }
    }

    /// Whether the request may reach the upstream twice.
    pub(super) fn is_repeatable(&self) -> bool {
        matches!(self.method, "GET" | "HEAD")
    }

    /// The head of the request.
    pub(super) fn request_head(&mut self) -> Vec<u8> {
        let version = if self.is_http10 { "1.0" } else { "1.1" };
        let mut head = format!("{} /up/{} HTTP/{version}\r\nHost: {AUTHORITY}\r\n", self.method, self.number);
        let secrets = [
            "Authorization: Bearer client-secret\r\n",
            "X_Vendor-Key: client-secret\r\n",
            "Cookie: client-secret\r\n",
        ];
        if !matches!(self.client, Client::Garbles(..)) {
            // Under another name nobody would take it for what it is.
            head.push_str(self.random.one(&["", secrets[0], secrets[1], secrets[2]]));
        }
        head.push_str(self.random.one(&["", "", "Connection: authorization\r\n"]));
        if self.is_http10 {
            head.push_str("Connection: keep-alive\r\n");
        }
        if self.expects.is_some() {
            head.push_str("Expect: 100-continue\r\n");
        }
        match self.request {
            Framing::Chunks => head.push_str("Transfer-Encoding: chunked\r\n"),
            Framing::Length => head.push_str(&format!("Content-Length: {}\r\n", self.sent.len())),
            Framing::Nothing | Framing::Close => {}
        }
        (head + "\r\n").into_bytes()
    }

    /// What follows that head.
    pub(super) fn request_body(&mut self) -> Vec<u8> {
        self.random.framed(self.request, &self.sent, "client-secret")
    }

    /// The whole response. It reflects the credential wherever nobody should pass it on.
    pub(super) fn response_bytes(&mut self, credential: &str) -> Vec<u8> {
        let Self { number, status, .. } = *self;
        let interim =
            format!("HTTP/1.1 103 Early Hints\r\nX-Echo: {credential}\r\n\r\n").repeat(self.interim);
        let mut head =
            format!("{interim}HTTP/1.1 {status} x\r\nX-Marker: {number}\r\nX-Echo: {credential}\r\n");
        match self.response {
            Framing::Nothing if status == 204 => {}
            Framing::Nothing => head.push_str("Content-Length: 5\r\n"),
            Framing::Length => head.push_str(&format!("Content-Length: {}\r\n", self.answer.len())),
            Framing::Chunks => head.push_str("Transfer-Encoding: chunked\r\n"),
            Framing::Close => {}
        }
        if self.closes {
            head.push_str("Connection: close\r\n");
        }
        let mut bytes = (head + "\r\n").into_bytes();
        bytes.extend(self.random.framed(self.response, &self.answer, credential));
        bytes
    }
}

fn client(random: &mut Random, length: usize) -> Client {
    let at = random.below(length);
    let how = random.one(&[How::Closes, How::Resets]);
    match random.below(9) {
        0..3 => Client::Well,
        3 => Client::Pauses,
        4 => Client::ReadsSlowly,
        5 => random.one(&[Client::Goes(how, at), Client::GoesWhileReading(how)]),
        6 => Client::Stops(at),
        7 => Client::FallsSilent(at),
        _ => Client::Garbles(random.below(200), random.below(256) as u8),
    }
}

fn upstream(random: &mut Random, length: usize) -> Upstream {
    let at = random.below(length);
    match random.below(9) {
        0..3 => Upstream::Well,
        3 => Upstream::Pauses,
        4 => Upstream::AnswersEarly,
        5 => Upstream::Breaks(random.one(&[How::Closes, How::Resets]), at),
        6 => Upstream::FallsSilent(at),
        7 => Upstream::SaysMore,
        _ => Upstream::Babbles(random.one(BABBLE)),
    }
}
