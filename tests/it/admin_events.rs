//! Somebody follows what happens over the admin socket: what they asked for, as it happens, at nobody's cost.

use std::path::Path;
use std::time::Duration;

use ccproxy_tests::api::Script;
use ccproxy_tests::crowd::Regular;
use ccproxy_tests::home::Home;
use ccproxy_tests::keyed::KeyedApi;
use pretty_assertions::assert_eq;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// A reader of the event stream.
struct Follower(Lines<BufReader<UnixStream>>);

impl Follower {
    /// Asks for events, and returns once the host says that it listens.
    async fn of(socket: &Path, query: &str) -> Self {
        let mut stream = UnixStream::connect(socket).await.unwrap();
        let head = format!("GET /api/v1/events{query} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut follower = Self(BufReader::new(stream).lines());
        assert_eq!(follower.line().await, "HTTP/1.1 200 OK");
        while follower.line().await != ": listening" {}
        follower
    }

    async fn line(&mut self) -> String {
        let line = timeout(Duration::from_secs(30), self.0.next_line()).await.expect("the stream is silent");
        line.unwrap().expect("the stream goes on")
    }

    /// The next event.
    async fn event(&mut self) -> Value {
        loop {
            if let Some(data) = self.line().await.strip_prefix("data: ") {
                return serde_json::from_str(data).unwrap();
            }
        }
    }
}

/// How many events have found a queue full.
async fn dropped(home: &Home) -> f64 {
    let page = Regular::connect_unix(&home.admin_socket()).await.get("/metrics").await.text();
    let line = page.lines().find_map(|line| line.strip_prefix("ccproxy_hook_events_dropped_total "));
    line.expect("the counter is always there").parse().unwrap()
}

#[tokio::test]
async fn only_the_kinds_that_were_asked_for_arrive() {
    let api = KeyedApi::new().await;
    let host = api.home.serve().await;
    let mut some = Follower::of(&api.home.admin_socket(), "?kinds=request.failed,request.completed").await;
    let mut all = Follower::of(&api.home.admin_socket(), "").await;
    let mut client = Regular::connect(host.authority()).await;
    assert_eq!(client.get("/api/echo?q=secret-query").await.status, 200);
    assert_eq!(client.get("/nowhere/x").await.status, 404);
    let (first, second) = (some.event().await, some.event().await);
    assert_eq!((&first["event"], &second["event"]), (&"request.completed".into(), &"request.failed".into()));
    assert_eq!((&first["schema"], &first["route"]), (&"ccproxy.event/1".into(), &"api".into()), "{first}");
    let mut kinds = Vec::new();
    while kinds.last().is_none_or(|kind| kind != "request.failed") {
        let event = all.event().await;
        assert!(!event.to_string().contains("secret-query"), "{event}");
        kinds.push(event["event"].as_str().unwrap().to_owned());
    }
    for kind in ["request.started", "provider.request.sent", "request.completed"] {
        assert!(kinds.iter().any(|seen| seen == kind), "no {kind} in {kinds:?}");
    }
    let refused = Script::at(&api.home).await.get("/api/v1/events?kinds=request.complete").await;
    assert_eq!(
        (refused.status.as_u16(), &refused.json()["hint"]),
        (400, &"did you mean `request.completed`?".into())
    );
}

#[tokio::test]
async fn a_reader_that_does_not_read_loses_events_and_slows_nobody_until_it_is_gone() {
    const ROUND: usize = 500;
    let api = KeyedApi::new().await;
    let host = api.home.serve().await;
    let silent = Follower::of(&api.home.admin_socket(), "").await;
    let mut client = Regular::connect(host.authority()).await;
    let mut round = async || {
        for _ in 0..ROUND {
            assert_eq!(client.get("/api/echo").await.status, 200);
        }
    };
    for _ in 0..20 {
        round().await;
        if dropped(&api.home).await > 0.0 {
            break;
        }
    }
    let lost = dropped(&api.home).await;
    assert!(lost > 0.0, "a queue without a bound");
    round().await;
    assert!(dropped(&api.home).await > lost, "who reads nothing goes on losing");

    // Nobody listens any more, so nothing can be lost.
    drop(silent);
    let mut before = dropped(&api.home).await;
    for _ in 0..20 {
        round().await;
        let now = dropped(&api.home).await;
        if now == before {
            return;
        }
        before = now;
    }
    panic!("the queue of a reader that has gone is still there");
}
