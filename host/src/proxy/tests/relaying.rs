use super::house::Plan;
use super::{Client, Upstream};
use crate::route::{Cookies, Policy};
use pretty_assertions::assert_eq;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn a_request_goes_out_with_our_credential_and_without_the_clients() {
    let upstream = Upstream::start().await;
    let house = Plan::to(upstream.url("/v1.0")).start();
    let mut client = house.client().await;
    let fields = "Accept: */*\r\nAuthorization: Bearer dummy\r\nX_VENDOR_KEY: dummy\r\nCookie: a=b\r\n\
                  Connection: keep-alive, authorization\r\nX-Forwarded-For: 10.0.0.1\r\n";
    client.send("GET", "/up//a%2Fb?x=%20", fields).await;

    let mut wire = upstream.accept().await;
    let head = wire.read_head().await;
    assert_eq!(head.start, "GET /v1.0//a%2Fb?x=%20 HTTP/1.1");
    assert_eq!(head.names(), ["accept", "authorization", "host"]);
    assert_eq!(head.get("authorization"), Some("Bearer secret-token-1"));
    assert_eq!(head.get("host"), Some(upstream.address.to_string().as_str()));

    wire.write(OK).await;
    let (head, body) = client.response().await;
    assert_eq!((head.status(), body.as_str()), (200, "ok"));
    assert_eq!(head.get("ccproxy-error"), None);
    assert_eq!(head.get("ccproxy-request-id").unwrap().len(), 16);
    assert!(house.issuer.asked().is_empty(), "a cached credential needs nobody");
}

#[tokio::test]
async fn a_response_without_a_date_gets_that_of_its_arrival() {
    let upstream = Upstream::start().await;
    let house = Plan::to(upstream.url("")).start();
    let mut client = house.client().await;
    client.send("GET", "/up/undated", "").await;
    let mut wire = upstream.accept().await;
    wire.read_head().await;
    wire.write(OK).await;
    let (head, _) = client.response().await;
    let dated = httpdate::parse_http_date(head.get("date").unwrap()).unwrap();
    assert!(dated.elapsed().unwrap().as_secs() < 60);

    let said = "Sun, 06 Nov 1994 08:49:37 GMT";
    client.send("GET", "/up/dated", "").await;
    wire.read_head().await;
    wire.write(format!("HTTP/1.1 200 OK\r\nDate: {said}\r\nContent-Length: 2\r\n\r\nok")).await;
    let (head, _) = client.response().await;
    assert_eq!(head.get("date"), Some(said));
    assert_eq!(head.names().iter().filter(|name| **name == "date").count(), 1);
}

#[tokio::test]
async fn a_connection_is_kept_on_both_sides() {
    let upstream = Upstream::start().await;
    let house = Plan::to(upstream.url("")).start();
    let mut client = house.client().await;
    client.send("GET", "/up/1", "").await;
    let mut wire = upstream.accept().await;
    for number in 1..=3 {
        assert_eq!(wire.read_head().await.start, format!("GET /{number} HTTP/1.1"));
        wire.write(OK).await;
        assert_eq!(client.response().await.1, "ok");
        client.send("GET", &format!("/up/{}", number + 1), "").await;
    }
}

#[tokio::test]
async fn a_route_can_be_a_host_of_its_own() {
    let upstream = Upstream::start().await;
    let house = Plan::to(upstream.url("")).start();
    let mut client = house.client().await;
    client.authority = format!("up.localhost:{}", house.address().port());
    client.send("GET", "/upload/x", "").await;
    let mut wire = upstream.accept().await;
    assert_eq!(wire.read_head().await.start, "GET /upload/x HTTP/1.1");
    let location = format!(
        "HTTP/1.1 201 Created\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n",
        upstream.url("/upload/y?id=1")
    );
    wire.write(location).await;
    let (head, _) = client.response().await;
    assert_eq!(head.get("location"), Some(format!("http://{}/upload/y?id=1", client.authority).as_str()));
}

#[tokio::test]
async fn links_into_the_upstream_lead_back_here() {
    let upstream = Upstream::start().await;
    let house = Plan::to(upstream.url("/api")).start();
    let mut client = house.client().await;
    client.send("GET", "/up/items", "").await;
    let mut wire = upstream.accept().await;
    wire.read_head().await;
    let next = upstream.url("/api/items?page=2");
    wire.write(format!("HTTP/1.1 200 OK\r\nLink: <{next}>; rel=\"next\"\r\nContent-Length: 0\r\n\r\n")).await;
    let (head, _) = client.response().await;
    let expected = format!("<http://{}/up/items?page=2>; rel=\"next\"", house.address());
    assert_eq!(head.get("link"), Some(expected.as_str()));
}

#[tokio::test]
async fn what_concerns_one_hop_or_one_origin_does_not_reach_the_client() {
    let upstream = Upstream::start().await;
    let house = Plan::to(upstream.url("")).start();
    let mut client = house.client().await;
    client.send("GET", "/up/", "").await;
    let mut wire = upstream.accept().await;
    wire.read_head().await;
    wire.write(
        "HTTP/1.1 200 OK\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nSet-Cookie: a=b\r\n\
         Alt-Svc: h3=\":443\"\r\nAccess-Control-Allow-Origin: *\r\nccproxy-error: forged\r\n\
         X-Echo: got Bearer secret-token-1\r\nETag: \"e\"\r\nDate: Sat, 21 Nov 2026 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    let (head, _) = client.response().await;
    assert_eq!(head.names(), ["ccproxy-request-id", "content-length", "date", "etag"]);
}

#[tokio::test]
async fn cookies_pass_both_ways_where_the_route_says_so() {
    let upstream = Upstream::start().await;
    let mut plan = Plan::to(upstream.url(""));
    plan.policy = Policy { cookies: Cookies::Pass, ..Policy::default() };
    let house = plan.start();
    let mut client = house.client().await;
    client.send("GET", "/up/", "Cookie: a=b\r\n").await;
    let mut wire = upstream.accept().await;
    assert_eq!(wire.read_head().await.get("cookie"), Some("a=b"));
    wire.write("HTTP/1.1 200 OK\r\nSet-Cookie: c=d\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(client.response().await.0.get("set-cookie"), Some("c=d"));
}

#[tokio::test]
async fn a_head_request_and_a_304_have_a_length_and_no_body() {
    let upstream = Upstream::start().await;
    let house = Plan::to(upstream.url("")).start();
    let mut client = house.client().await;
    client.send("HEAD", "/up/a", "").await;
    let mut wire = upstream.accept().await;
    assert_eq!(wire.read_head().await.start, "HEAD /a HTTP/1.1");
    wire.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").await;
    let head = client.wire.read_head().await;
    assert_eq!(head.get("content-length"), Some("5"));

    client.send("GET", "/up/b", "If-None-Match: \"e\"\r\n").await;
    wire.read_head().await;
    wire.write("HTTP/1.1 304 Not Modified\r\nETag: \"e\"\r\n\r\n").await;
    assert_eq!(client.wire.read_head().await.status(), 304);

    client.send("DELETE", "/up/c", "").await;
    wire.read_head().await;
    wire.write("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(client.wire.read_head().await.status(), 204);

    client.send("GET", "/up/d", "").await;
    wire.read_head().await;
    wire.write(OK).await;
    assert_eq!(client.response().await.1, "ok");
}

#[tokio::test]
async fn a_redirect_is_relayed_and_never_followed() {
    let (upstream, elsewhere) = (Upstream::start().await, Upstream::start().await);
    let house = Plan::to(upstream.url("")).start();
    let mut client = house.client().await;
    client.send("GET", "/up/file", "").await;
    let mut wire = upstream.accept().await;
    wire.read_head().await;
    let location = elsewhere.url("/signed?x=1");
    wire.write(format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")).await;
    let (head, _) = client.response().await;
    assert_eq!((head.status(), head.get("location")), (302, Some(location.as_str())));
    assert!(elsewhere.is_untouched().await);
}

#[tokio::test]
async fn a_length_beside_chunks_does_not_cut_the_response() {
    let upstream = Upstream::start().await;
    let house = Plan::to(upstream.url("")).start();
    let mut client = house.client().await;
    client.send("GET", "/up/", "").await;
    let mut wire = upstream.accept().await;
    wire.read_head().await;
    wire.write(
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    )
    .await;
    let head = client.wire.read_head().await;
    assert_eq!((head.status(), head.get("content-length")), (200, None));
    assert_eq!(client.wire.read_until("0\r\n\r\n").await, "3\r\nabc\r\n0\r\n\r\n");
}

#[tokio::test]
async fn every_request_has_an_id_of_its_own() {
    let upstream = Upstream::start().await;
    let house = Plan::to(upstream.url("")).start();
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let mut client = Client::connect(house.address()).await;
        client.send("GET", "/_ccproxy/livez", "").await;
        let (head, _) = client.response().await;
        ids.insert(head.get("ccproxy-request-id").unwrap().to_owned());
    }
    assert_eq!(ids.len(), 3);
}
