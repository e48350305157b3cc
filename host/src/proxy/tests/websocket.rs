use tokio::io::AsyncWriteExt as _;

use super::Upstream;
use super::house::{Plan, token};
use crate::hook::Kind;
use pretty_assertions::assert_eq;

const HANDSHAKE: &str = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: chat\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n";

#[tokio::test]
async fn bytes_flow_both_ways_after_the_handshake_and_each_end_closes_its_half() {
    let upstream = Upstream::start().await;
    let house = Plan::to(upstream.url("")).start();
    let mut client = house.client().await;
    client.send("GET", "/up/ws", HANDSHAKE).await;
    let mut wire = upstream.accept().await;
    let head = wire.read_head().await;
    assert_eq!((head.get("connection"), head.get("upgrade")), (Some("Upgrade"), Some("websocket")));
    assert_eq!(head.get("sec-websocket-key"), Some("dGhlIHNhbXBsZSBub25jZQ=="));
    assert_eq!(head.get("authorization"), Some("Bearer secret-token-1"));

    // The first message may come in the same segment as the 101.
    wire.write(format!("{SWITCH}hello")).await;
    let head = client.wire.read_head().await;
    assert_eq!((head.status(), head.get("upgrade")), (101, Some("websocket")));
    assert_eq!(head.get("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(head.get("sec-websocket-protocol"), Some("chat"));
    assert_eq!(client.wire.read_exact(5).await, b"hello");
    client.wire.write("ping").await;
    assert_eq!(wire.read_exact(4).await, b"ping");

    client.wire.stream.shutdown().await.unwrap();
    assert_eq!(wire.read_to_end().await, "");
    wire.write("last words").await;
    drop(wire);
    assert_eq!(client.wire.read_to_end().await, "last words");
    assert_eq!(house.events.until(Kind::ProviderStreamEnd).await.fields["bytes"], 15);
}

#[tokio::test]
async fn what_the_client_sends_early_waits_for_the_101() {
    let upstream = Upstream::start().await;
    let house = Plan::to(upstream.url("")).start();
    let mut client = house.client().await;
    client.send("GET", "/up/ws", HANDSHAKE).await;
    client.wire.write("GET /up/smuggled HTTP/1.1\r\n\r\n").await;
    let mut wire = upstream.accept().await;
    wire.read_head().await;
    wire.write("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(client.response().await.0.status(), 403);
    // The bytes were a request of their own, and one without a Host.
    assert_eq!(client.response().await.0.get("ccproxy-error"), Some("malformed_request"));
    assert!(upstream.is_untouched().await);
}

#[tokio::test]
async fn a_handshake_is_replayed_like_any_request() {
    let upstream = Upstream::start().await;
    let house = Plan::to(upstream.url("")).start();
    house.issuer.will_answer(Ok(token(2)));
    let mut client = house.client().await;
    client.send("GET", "/up/ws", HANDSHAKE).await;
    let mut first = upstream.accept().await;
    first.read_head().await;
    first.write("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n").await;
    let mut second = upstream.accept().await;
    assert_eq!(second.read_head().await.get("authorization"), Some("Bearer secret-token-2"));
    second.write(SWITCH).await;
    assert_eq!(client.wire.read_head().await.status(), 101);
    client.wire.write("ping").await;
    assert_eq!(second.read_exact(4).await, b"ping");
}

#[tokio::test]
async fn another_protocol_is_not_offered_to_the_upstream() {
    let upstream = Upstream::start().await;
    let house = Plan::to(upstream.url("")).start();
    let mut client = house.client().await;
    client
        .send("GET", "/up/", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM\r\n")
        .await;
    let mut wire = upstream.accept().await;
    assert_eq!(wire.read_head().await.names(), ["authorization", "host"]);
    wire.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(client.response().await.0.status(), 200);
}
