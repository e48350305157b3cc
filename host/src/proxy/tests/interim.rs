//! Interim responses of an upstream (RFC 9110 section 15.2): early words that pass, before the answer.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::Upstream;
use super::house::{Events, Issuer, Plan, token};
use super::inside::{Inside, ROOM, quiet, run};
use pretty_assertions::assert_eq;

const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn early_hints_are_with_the_client_before_the_answer_is_written() {
    let upstream = Upstream::start().await;
    let house = Plan::to(upstream.url("")).start();
    let mut client = house.client().await;
    client.send("GET", "/up/", "").await;
    let mut wire = upstream.accept().await;
    wire.read_head().await;
    wire.write("HTTP/1.1 102 Processing\r\n\r\n").await;
    assert_eq!(client.wire.read_head().await.start, "HTTP/1.1 102 Processing");
    wire.write(HINTS).await;
    let hints = client.wire.read_head().await;
    let link = format!("<http://{}/up/style.css>; rel=preload", client.authority);
    assert_eq!((hints.start.as_str(), hints.get("link")), ("HTTP/1.1 103 Early Hints", Some(link.as_str())));
    wire.write(OK).await;
    assert_eq!(client.response().await.1, "ok");

    // The connections stay, and what was counted counts for one exchange.
    for _ in 0..2 {
        client.send("GET", "/up/again", "").await;
        wire.read_head().await;
        wire.write(HINTS.repeat(8) + OK).await;
        for _ in 0..8 {
            assert_eq!(client.wire.read_head().await.status(), 103);
        }
        assert_eq!(client.response().await.1, "ok");
    }
}

#[tokio::test]
async fn what_no_answer_may_say_no_early_word_may() {
    let upstream = Upstream::start().await;
    let house = Plan::to(upstream.url("")).start();
    let mut client = house.client().await;
    client.send("GET", "/up/", "").await;
    let mut wire = upstream.accept().await;
    wire.read_head().await;
    let fields = "Connection: x-hop\r\nX-Hop: 1\r\nSet-Cookie: a=b\r\nContent-Length: 5\r\n\
                  Transfer-Encoding: chunked\r\nStrict-Transport-Security: max-age=1\r\n\
                  X-Echo: Bearer secret-token-1\r\nX-Kept: 1\r\n";
    wire.write(format!("HTTP/1.1 103 Early Hints\r\n{fields}\r\n{OK}")).await;
    assert_eq!(client.wire.read_head().await.names(), ["x-kept"]);
    assert_eq!(client.response().await.1, "ok");
}

#[tokio::test]
async fn a_client_of_http_1_0_hears_the_answer_alone() {
    let upstream = Upstream::start().await;
    let house = Plan::to(upstream.url("")).start();
    let mut client = house.client().await;
    let head = format!("GET /up/ HTTP/1.0\r\nHost: {}\r\n\r\n", client.authority);
    client.wire.write(head).await;
    let mut wire = upstream.accept().await;
    wire.read_head().await;
    wire.write(HINTS.to_owned() + OK).await;
    assert_eq!(client.response().await.0.start, "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn an_upstream_that_goes_on_and_on_or_says_nonsense_is_broken() {
    let large = format!("HTTP/1.1 103 Early Hints\r\nX-Large: {}\r\n\r\n", "a".repeat(40_000));
    for (said, passed) in [
        (HINTS.repeat(9), 8),
        (large.repeat(2), 1),
        ("HTTP/1.1 103 Early Hints\r\nX-Bad : 1\r\n\r\n".to_owned(), 0),
        ("HTTP/1.1 100 Continue\r\nX-Bad : 1\r\n\r\n".to_owned(), 0),
        ("HTTP/1.1 99 Early\r\n\r\n".to_owned(), 0),
    ] {
        let upstream = Upstream::start().await;
        let house = Plan::to(upstream.url("")).start();
        let mut client = house.client().await;
        client.send("GET", "/up/", "").await;
        let mut wire = upstream.accept().await;
        wire.read_head().await;
        wire.write(said + OK).await;
        for _ in 0..passed {
            assert_eq!(client.wire.read_head().await.status(), 103);
        }
        let (head, _) = client.response().await;
        assert_eq!((head.status(), head.get("ccproxy-error")), (502, Some("upstream_protocol")));
    }
}

/// The hints of the first attempt have reached the client when its 401 comes. They are hints: those of the second follow.
#[tokio::test]
async fn a_request_that_is_sent_again_may_bring_hints_again() {
    let upstream = Upstream::start().await;
    let house = Plan::to(upstream.url("")).start();
    house.issuer.will_answer(Ok(token(2)));
    let mut client = house.client().await;
    client.send("GET", "/up/", "").await;
    let mut first = upstream.accept().await;
    first.read_head().await;
    first.write(HINTS).await;
    assert_eq!(client.wire.read_head().await.status(), 103);
    first.write("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno").await;
    let mut second = upstream.accept().await;
    assert_eq!(second.read_head().await.get("authorization"), Some("Bearer secret-token-2"));
    second.write(HINTS.to_owned() + OK).await;
    assert_eq!(client.wire.read_head().await.status(), 103);
    assert_eq!(client.response().await.1, "ok");
}

/// However little of it the client's socket holds, and at whatever byte that is cut: the upstream is heard to the end of
/// its answer, and all of it comes in its order.
#[test]
fn a_client_that_does_not_read_holds_nothing_up_and_misses_nothing() {
    for room in 1..120 {
        run(async {
            let plan = Plan::to("http://127.0.0.1:4000");
            let inside = Inside::new(plan, Arc::new(Issuer::default()), Arc::new(Events::default()));
            let mut asked = inside.asked();
            let mut client = inside.client(room);
            let (head, body) = ("PUT /up/ HTTP/1.1\r\nHost: 127.0.0.1:8462\r\n", "hello");
            let expects = "Expect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\n";
            client.write_all(format!("{head}{expects}").as_bytes()).await.unwrap();
            let mut upstream = Inside::connect(asked.recv().await.unwrap(), ROOM).unwrap();
            let hints = "HTTP/1.1 103 Early Hints\r\nX-Hint: 1\r\n\r\n";
            upstream.write_all(hints.as_bytes()).await.unwrap();
            quiet().await;
            // It does not wait for the 100, of which it has not read a byte.
            client.write_all(body.as_bytes()).await.unwrap();
            upstream.write_all(hints.as_bytes()).await.unwrap();
            quiet().await;
            upstream.write_all(OK.as_bytes()).await.unwrap();
            let mut sent = vec![0; 1024];
            let count = upstream.read(&mut sent).await.unwrap();
            assert!(sent[..count].ends_with(body.as_bytes()), "{room}");
            let mut got = String::new();
            client.read_to_string(&mut got).await.unwrap();
            let early = format!("HTTP/1.1 100 Continue\r\n\r\n{hints}{hints}");
            let (early_part, answer) = got.split_at(early.len());
            assert_eq!(early_part, early, "{room}");
            assert!(
                answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok"),
                "{room}: {got}"
            );
        });
    }
}

/// A hint may be left out; the memory of a client that does not read is bounded, though links grow when they are
/// rewritten.
#[test]
fn what_a_client_does_not_read_is_not_kept_without_end() {
    run(async {
        let plan = Plan::to("http://127.0.0.1:4000");
        let inside = Inside::new(plan, Arc::new(Issuer::default()), Arc::new(Events::default()));
        let mut asked = inside.asked();
        let mut client = inside.client(512);
        client
            .write_all(b"GET /up/ HTTP/1.1\r\nHost: 127.0.0.1:8462\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut upstream = Inside::connect(asked.recv().await.unwrap(), ROOM).unwrap();
        let links = format!("HTTP/1.1 103 Early Hints\r\nLink: {}\r\n\r\n", "</>,".repeat(1_500));
        upstream.write_all((links.repeat(8) + OK).as_bytes()).await.unwrap();
        quiet().await;
        let mut got = String::new();
        client.read_to_string(&mut got).await.unwrap();
        let one = got.find("\r\n\r\n").unwrap() + 4;
        let hints = got.matches("HTTP/1.1 103 ").count();
        assert!(hints >= 1 && hints * one <= 64 * 1024 && (hints + 1) * one > 64 * 1024, "{hints} of {one}");
        assert!(got[hints * one..].starts_with("HTTP/1.1 200 OK\r\n"));
    });
}
