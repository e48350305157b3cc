use std::net::SocketAddr;

use super::house::Plan;
use super::{Client, Upstream, soon};
use crate::proxy::{ListenerSpec, Place, Terms};
use pretty_assertions::assert_eq;

fn at(address: &str) -> ListenerSpec {
    ListenerSpec { place: Place::Tcp(address.parse().unwrap()), terms: Terms::default() }
}

/// The addresses in force.
fn addresses(house: &super::house::House) -> Vec<SocketAddr> {
    let urls = house.running.addresses().into_iter();
    urls.map(|url| url.to_string().trim_start_matches("http://").parse().unwrap()).collect()
}

#[tokio::test]
async fn a_listener_that_goes_lets_its_requests_end_and_one_that_comes_serves() {
    let upstream = Upstream::start().await;
    let house = Plan::to(upstream.url("")).start();
    let old = house.address();
    let mut idle = Client::connect(old).await;
    idle.send("GET", "/_ccproxy/livez", "").await;
    assert_eq!(idle.response().await.0.status(), 200);
    let mut busy = Client::connect(old).await;
    busy.send("GET", "/up/", "").await;
    let mut wire = upstream.accept().await;
    wire.read_head().await;

    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    house.doors().change(&[at(&free)]).unwrap();
    assert_eq!(addresses(&house), [free.parse().unwrap()]);
    assert_eq!(idle.wire.read_to_end().await, "", "an idle connection is closed");
    assert!(soon(tokio::net::TcpStream::connect(old)).await.is_err(), "nobody new gets in");
    wire.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let (head, body) = busy.response().await;
    assert_eq!((body.as_str(), head.get("connection")), ("ok", Some("close")));

    let mut new = house.client().await;
    new.send("GET", "/_ccproxy/readyz", "").await;
    assert_eq!(new.response().await.0.status(), 200, "the host itself is not on its way out");
}

#[tokio::test]
async fn a_listener_that_stays_keeps_its_connections() {
    let house = Plan::to("http://127.0.0.1:9").start();
    let kept = house.address();
    let mut client = house.client().await;
    client.send("GET", "/_ccproxy/livez", "").await;
    client.response().await;
    house.doors().change(&[at(&kept.to_string()), at("127.0.0.1:0")]).unwrap();
    let added = addresses(&house)[1];
    let mut other = Client::connect(added).await;
    other.send("GET", "/_ccproxy/livez", "").await;
    assert_eq!(other.response().await.0.status(), 200);
    client.send("GET", "/_ccproxy/livez", "").await;
    assert_eq!(client.response().await.0.status(), 200, "on the same connection as before");
}
