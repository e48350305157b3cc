//! The same bytes to us and to the parsers of hyper: whatever we read, they read too, and as the same. They may read
//! more. Seeded and bounded; `CCPROXY_H1_ROUNDS=1000000` looks longer, `scripts/fuzz` further.

mod random;
mod same;

use std::convert::Infallible;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use pretty_assertions::assert_eq;
use random::Random;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;

/// Pieces that matter to a parser, put where nobody expects them.
const PIECES: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b"\0",
    b":",
    b",",
    b";",
    b"#",
    b"\x0b",
    b"\x7f",
    b"\x80",
    b"0",
    b"5",
    b"f",
    b"0x",
    b"+",
    b"-",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"chunked",
    b"identity",
    b"Content-Length: 3\r\n",
    b"Content-Length: 0\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: ",
    b"\r\n ",
    b"0\r\n\r\n",
    b"a: b\r\n",
    b"GET / HTTP/1.1\r\n",
];

#[test]
fn a_request_head_means_the_same_to_httparse() {
    let (mut read, mut refused) = (0, 0);
    for_mutants(corpus(), |bytes| match same::request(bytes) {
        Some(true) => read += 1,
        Some(false) => refused += 1,
        None => {}
    });
    assert!(read > 500 && refused > 500, "{read} read, {refused} refused: the mutants are of no use");
}

#[test]
fn a_response_head_means_the_same_to_httparse() {
    let mut read = 0;
    for_mutants(corpus(), |bytes| read += usize::from(same::response(bytes) == Some(true)));
    assert!(read > 200, "{read} read: the mutants are of no use");
}

#[test]
fn heads_and_bodies_are_the_same_in_any_pieces() {
    for_mutants(corpus(), |bytes| {
        same::head_in_pieces(bytes);
        same::body_in_pieces(bytes);
    });
}

/// A whole request to hyper's server: the framing we find and the content we take out of it are those that its handler
/// gets.
#[tokio::test]
async fn a_body_is_the_same_to_hyper() {
    let seeds: Vec<_> = corpus().into_iter().filter(|seed| seed.starts_with(b"POST")).collect();
    let (mut read, mut refused) = (0, 0);
    let mut wanted = Vec::new();
    for_mutants(seeds, |bytes| {
        // Of the rest of the head hyper has an opinion of its own: what a URI or a method is.
        if bytes.starts_with(b"POST /a HTTP/1.1\r\n") && wanted.len() < 4000 {
            wanted.push(bytes.to_vec());
        }
    });
    for bytes in wanted {
        match same::content(&bytes) {
            Some(ours) => {
                read += 1;
                assert_eq!(as_hyper_reads(&bytes).await, Some(ours), "{}", bytes.escape_ascii());
            }
            None => refused += 1,
        }
    }
    assert!(read > 100 && refused > 100, "{read} read, {refused} refused: the mutants are of no use");
}

/// The content of the first request as hyper gives it to its handler.
async fn as_hyper_reads(bytes: &[u8]) -> Option<Vec<u8>> {
    let (mut client, server) = tokio::io::duplex(bytes.len() + 1024);
    client.write_all(bytes).await.expect("the pipe has room for it");
    client.shutdown().await.expect("a pipe can be closed");
    let (heard, mut told) = mpsc::unbounded_channel();
    let service = service_fn(move |request: Request<Incoming>| {
        let heard = heard.clone();
        async move {
            let content = request.into_body().collect().await.ok().map(|body| body.to_bytes().to_vec());
            let _ = heard.send(content);
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let mut hyper = hyper::server::conn::http1::Builder::new();
    hyper.half_close(true);
    let _ = hyper.serve_connection(TokioIo::new(server), service).await;
    told.try_recv().ok().flatten()
}

/// Every message of the corpus, whole and in many broken forms.
fn for_mutants(seeds: Vec<Vec<u8>>, mut check: impl FnMut(&[u8])) {
    let rounds = std::env::var("CCPROXY_H1_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    let mut random = Random(0x5eed);
    seeds.iter().for_each(|seed| check(seed));
    for _ in 0..rounds.unwrap_or(20_000_usize) {
        let mut bytes = seeds[random.below(seeds.len())].clone();
        for _ in 0..=random.below(3) {
            mutate(&mut bytes, &seeds, &mut random);
        }
        check(&bytes);
    }
}

fn mutate(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    match random.below(6) {
        0 => drop(bytes.splice(at..at, random.one(PIECES).iter().copied())),
        1 if at < bytes.len() => bytes[at] = random.below(256) as u8,
        2 if at < bytes.len() => drop(bytes.remove(at)),
        3 => {
            let end = (at + random.below(12)).min(bytes.len());
            drop(bytes.splice(at..end, random.one(PIECES).iter().copied()));
        }
        4 => {
            let other = &seeds[random.below(seeds.len())];
            let from = random.below(other.len());
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        _ => {
            // A line again, somewhere else.
            let lines: Vec<_> = bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            if let Some(line) = lines.get(random.below(lines.len().max(1))) {
                bytes.splice(at..at, line.iter().copied());
            }
        }
    }
}

fn corpus() -> Vec<Vec<u8>> {
    let text = include_str!("corpus.txt");
    text.lines().filter(|line| !line.starts_with('#')).map(unescape).collect()
}

fn unescape(line: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = line.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'\\' {
            bytes.push(*byte);
            continue;
        }
        let (kind, after) = rest.split_first().expect("an escape has a letter");
        rest = after;
        bytes.push(match kind {
            b'r' => b'\r',
            b'n' => b'\n',
            b't' => b'\t',
            b'0' => 0,
            b'x' => {
                let digits = std::str::from_utf8(&rest[..2]).expect("two digits");
                rest = &rest[2..];
                u8::from_str_radix(digits, 16).expect("two hexadecimal digits")
            }
            other => panic!("no escape: {}", other.escape_ascii()),
        });
    }
    bytes
}
