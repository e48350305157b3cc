use super::Upstream;
use super::house::Plan;
use crate::hook::Kind;
use pretty_assertions::assert_eq;

#[tokio::test]
async fn an_event_is_with_the_client_before_the_next_is_written() {
    let upstream = Upstream::start().await;
    let house = Plan::to(upstream.url("")).start();
    let mut client = house.client().await;
    client.send("GET", "/up/events", "Accept: text/event-stream\r\n").await;
    let mut wire = upstream.accept().await;
    wire.read_head().await;
    wire.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    assert_eq!(client.wire.read_head().await.get("content-type"), Some("text/event-stream"));
    for number in 1..=5 {
        let event = format!("data: {number}\n\n");
        wire.write(format!("{:x}\r\n{event}\r\n", event.len())).await;
        assert!(client.wire.read_until("\n\n").await.ends_with(&event));
    }
    wire.write("0\r\n\r\n").await;
    client.wire.read_until("0\r\n\r\n").await;
    let ended = house.events.until(Kind::ProviderStreamEnd).await;
    assert_eq!(ended.fields["bytes"], 45);
}

#[tokio::test]
async fn a_body_is_with_the_upstream_before_its_end_is_sent() {
    let upstream = Upstream::start().await;
    let house = Plan::to(upstream.url("")).start();
    let mut client = house.client().await;
    client.send("POST", "/up/upload", "Transfer-Encoding: chunked\r\n").await;
    client.wire.write("5\r\nfirst\r\n").await;
    let mut wire = upstream.accept().await;
    let head = wire.read_head().await;
    assert_eq!((head.get("transfer-encoding"), head.get("content-length")), (Some("chunked"), None));
    assert_eq!(wire.read_until("first\r\n").await, "5\r\nfirst\r\n");
    client.wire.write("6\r\nsecond\r\n0\r\n\r\n").await;
    assert_eq!(wire.read_until("0\r\n\r\n").await, "6\r\nsecond\r\n0\r\n\r\n");
    wire.write("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(client.response().await.0.status(), 201);
}

#[tokio::test]
async fn both_directions_flow_at_once() {
    let upstream = Upstream::start().await;
    let house = Plan::to(upstream.url("")).start();
    let mut client = house.client().await;
    client.send("POST", "/up/chat", "Transfer-Encoding: chunked\r\n").await;
    let mut wire = upstream.accept().await;
    wire.read_head().await;
    wire.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    client.wire.read_head().await;
    for word in ["one", "two"] {
        client.wire.write(format!("3\r\n{word}\r\n")).await;
        wire.read_until(word).await;
        wire.write(format!("3\r\n{word}\r\n")).await;
        client.wire.read_until(word).await;
    }
}

#[tokio::test]
async fn a_truncated_length_stays_truncated() {
    let upstream = Upstream::start().await;
    let house = Plan::to(upstream.url("")).start();
    let mut client = house.client().await;
    client.send("GET", "/up/", "").await;
    let mut wire = upstream.accept().await;
    wire.read_head().await;
    wire.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").await;
    drop(wire);
    assert_eq!(client.wire.read_head().await.get("content-length"), Some("10"));
    assert_eq!(client.wire.read_to_end().await, "hello");
    let failed = house.events.until(Kind::RequestFailed).await;
    assert_eq!(failed.fields["reason"], "the upstream broke off its response");
}

#[tokio::test]
async fn truncated_chunks_do_not_get_a_last_one() {
    let upstream = Upstream::start().await;
    let house = Plan::to(upstream.url("")).start();
    let mut client = house.client().await;
    client.send("GET", "/up/", "").await;
    let mut wire = upstream.accept().await;
    wire.read_head().await;
    wire.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").await;
    client.wire.read_head().await;
    client.wire.read_until("hello").await;
    drop(wire);
    assert_eq!(client.wire.read_to_end().await, "\r\n");
}

#[tokio::test]
async fn an_upstream_that_ends_its_body_by_closing_is_heard_to_the_end() {
    let upstream = Upstream::start().await;
    let house = Plan::to(upstream.url("")).start();
    let mut client = house.client().await;
    client.send("GET", "/up/", "").await;
    let mut wire = upstream.accept().await;
    wire.read_head().await;
    wire.write("HTTP/1.0 200 OK\r\n\r\nall of it").await;
    drop(wire);
    assert_eq!(client.wire.read_head().await.get("transfer-encoding"), Some("chunked"));
    assert!(client.wire.read_until("0\r\n\r\n").await.contains("all of it"));
}

#[tokio::test]
async fn a_client_that_goes_away_takes_its_upstream_request_along() {
    let upstream = Upstream::start().await;
    let house = Plan::to(upstream.url("")).start();
    let mut waiting = house.client().await;
    waiting.send("GET", "/up/slow", "").await;
    let mut wire = upstream.accept().await;
    wire.read_head().await;
    drop(waiting);
    assert_eq!(wire.read_to_end().await, "");
    let told = house.events.until(Kind::RequestFailed).await;
    assert_eq!(told.fields["reason"], "the client went away");
    assert_eq!(told.fields.get("status"), None, "there was no response");

    let mut reading = house.client().await;
    reading.send("GET", "/up/stream", "").await;
    let mut wire = upstream.accept().await;
    wire.read_head().await;
    wire.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n").await;
    reading.wire.read_until("a\r\n").await;
    drop(reading);
    assert_eq!(wire.read_to_end().await, "");
}

#[tokio::test]
async fn a_continue_is_sent_only_once_the_upstream_has_the_head() {
    let upstream = Upstream::start().await;
    let house = Plan::to(upstream.url("")).start();
    let mut client = house.client().await;
    client.send("PUT", "/up/big", "Expect: 100-continue\r\nContent-Length: 5\r\n").await;
    let mut wire = upstream.accept().await;
    let head = wire.read_head().await;
    assert_eq!(head.get("expect"), None);
    assert_eq!(client.wire.read_head().await.start, "HTTP/1.1 100 Continue");
    client.wire.write("hello").await;
    assert_eq!(wire.read_exact(5).await, b"hello");
    wire.write("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(client.response().await.0.status(), 201);
}

#[tokio::test]
async fn a_refused_upload_is_refused_before_it_is_sent() {
    let upstream = Upstream::start().await;
    let house = Plan::to(upstream.url("")).start();
    let mut client = house.client().await;
    client.send("PUT", "/nowhere/big", "Expect: 100-continue\r\nContent-Length: 1000000\r\n").await;
    assert_eq!(client.wire.read_head().await.start, "HTTP/1.1 404 Not Found");
    assert!(upstream.is_untouched().await);
}
