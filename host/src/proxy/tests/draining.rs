use std::time::Duration;

use super::house::Plan;
use super::{Client, Upstream, soon};
use pretty_assertions::assert_eq;

#[tokio::test]
async fn a_request_under_way_ends_and_then_the_house_is_empty() {
    let upstream = Upstream::start().await;
    let mut house = Plan::to(upstream.url("")).start();
    let address = house.address();
    let mut idle = house.client().await;
    idle.send("GET", "/_ccproxy/readyz", "").await;
    assert_eq!(idle.response().await.0.status(), 200);
    let mut busy = house.client().await;
    busy.send("GET", "/up/", "").await;
    let mut wire = upstream.accept().await;
    wire.read_head().await;

    let stopping = tokio::spawn(async move {
        house.running.shutdown().await;
    });
    assert_eq!(idle.wire.read_to_end().await, "", "an idle connection is closed");
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nobody new gets in");
    wire.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let (head, body) = busy.response().await;
    assert_eq!((body.as_str(), head.get("connection")), ("ok", Some("close")));
    soon(stopping).await.unwrap();
}

#[tokio::test]
async fn what_takes_too_long_is_broken_off() {
    let upstream = Upstream::start().await;
    let mut plan = Plan::to(upstream.url(""));
    plan.drain_timeout = Duration::from_millis(50);
    let mut house = plan.start();
    let mut busy = house.client().await;
    busy.send("GET", "/up/", "").await;
    let mut wire = upstream.accept().await;
    wire.read_head().await;
    soon(house.running.shutdown()).await;
    assert_eq!(busy.wire.read_to_end().await, "");
    assert_eq!(wire.read_to_end().await, "");
}

#[tokio::test]
async fn a_second_order_to_stop_does_not_wait() {
    let upstream = Upstream::start().await;
    let mut house = Plan::to(upstream.url("")).start();
    let mut busy = Client::connect(house.address()).await;
    busy.send("GET", "/up/", "").await;
    let mut wire = upstream.accept().await;
    wire.read_head().await;
    house.running.abort();
    soon(house.running.shutdown()).await;
    assert_eq!(busy.wire.read_to_end().await, "");
}
