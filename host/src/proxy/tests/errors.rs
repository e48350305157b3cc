use std::time::Duration;

use super::Upstream;
use super::house::Plan;
use crate::guard::Guard;
use crate::upstream::connect::ConnectorOptions;
use pretty_assertions::assert_eq;
use serde_json::Value;

/// Sends one raw request head and answers the status and code of the reply.
async fn code(plan: Plan, head: &str) -> (u16, String) {
    let house = plan.start();
    let mut client = house.client().await;
    client.wire.write(head.replace("AUTHORITY", &client.authority)).await;
    let (head, body) = client.response().await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["status"], head.status());
    assert_eq!(body["code"].as_str(), head.get("ccproxy-error"));
    assert_eq!(body["request_id"].as_str(), head.get("ccproxy-request-id"));
    assert_eq!(head.get("content-type"), Some("application/problem+json"));
    (head.status(), body["code"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn what_the_guard_or_the_table_refuses_never_reaches_the_upstream() {
    let upstream = Upstream::start().await;
    for (head, expected) in [
        ("GET /up/ HTTP/1.1\r\nHost: evil.example\r\n\r\n", (403, "host_not_allowed")),
        (
            "GET /up/ HTTP/1.1\r\nHost: AUTHORITY\r\nOrigin: https://evil.example\r\n\r\n",
            (403, "origin_not_allowed"),
        ),
        (
            "GET /up/ HTTP/1.1\r\nHost: AUTHORITY\r\nSec-Fetch-Site: cross-site\r\n\r\n",
            (403, "origin_not_allowed"),
        ),
        ("GET /up/ HTTP/1.1\r\n\r\n", (400, "malformed_request")),
        ("GET /up/ HTTP/1.1\r\nHost: AUTHORITY\r\nHost: AUTHORITY\r\n\r\n", (400, "malformed_request")),
        ("GET http://evil.example/up/ HTTP/1.1\r\nHost: AUTHORITY\r\n\r\n", (403, "host_not_allowed")),
        ("GET /up/..%2f HTTP/1.1\r\nHost: AUTHORITY\r\n\r\n", (400, "malformed_request")),
        ("TRACE /up/ HTTP/1.1\r\nHost: AUTHORITY\r\n\r\n", (405, "method_not_allowed")),
        ("CONNECT evil.example:443 HTTP/1.1\r\nHost: AUTHORITY\r\n\r\n", (405, "method_not_allowed")),
        ("OPTIONS * HTTP/1.1\r\nHost: AUTHORITY\r\n\r\n", (400, "malformed_request")),
        ("GET /up/ HTTP/1.1\r\nHost: AUTHORITY\r\nExpect: junk\r\n\r\n", (417, "expectation_failed")),
        (
            "POST /up/ HTTP/1.1\r\nHost: AUTHORITY\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            (501, "unsupported"),
        ),
        ("trace /up/ HTTP/1.1\r\nHost: AUTHORITY\r\n\r\n", (405, "method_not_allowed")),
        // These hyper cannot parse, and would answer with a bare status.
        ("GET /up/a b HTTP/1.1\r\nHost: AUTHORITY\r\n\r\n", (400, "malformed_request")),
        ("GET /up/\u{e9} HTTP/1.1\r\nHost: AUTHORITY\r\n\r\n", (400, "malformed_request")),
        ("GET /up/ HTTP/1.1\r\nHost: AUTHORITY\r\nX: a\0b\r\n\r\n", (400, "malformed_request")),
        (
            "POST /up/ HTTP/1.1\r\nHost: AUTHORITY\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            (400, "malformed_request"),
        ),
        ("garbage\r\n\r\n", (400, "malformed_request")),
        ("GET /other/ HTTP/1.1\r\nHost: AUTHORITY\r\n\r\n", (404, "no_such_route")),
        ("GET /_ccproxy/callback HTTP/1.1\r\nHost: AUTHORITY\r\n\r\n", (404, "no_such_route")),
        ("POST /_ccproxy/livez HTTP/1.1\r\nHost: AUTHORITY\r\n\r\n", (405, "method_not_allowed")),
    ] {
        let (status, found) = code(Plan::to(upstream.url("")), head).await;
        assert_eq!((status, found.as_str()), expected, "{head}");
    }
    let long = format!("GET /up/{} HTTP/1.1\r\nHost: AUTHORITY\r\n\r\n", "a".repeat(17 * 1024));
    assert_eq!(code(Plan::to(upstream.url("")), &long).await.0, 414);
    let longer = format!("GET /up/{} HTTP/1.1\r\nHost: AUTHORITY\r\n\r\n", "a".repeat(70_000));
    assert_eq!(code(Plan::to(upstream.url("")), &longer).await, (414, "target_too_long".to_owned()));
    let large = format!("GET /up/ HTTP/1.1\r\nHost: AUTHORITY\r\nX: {}\r\n\r\n", "a".repeat(65 * 1024));
    assert_eq!(code(Plan::to(upstream.url("")), &large).await.0, 431);
    let many = format!("GET /up/ HTTP/1.1\r\nHost: AUTHORITY\r\n{}\r\n", "x: y\r\n".repeat(100));
    assert_eq!(code(Plan::to(upstream.url("")), &many).await.0, 431);
    assert!(upstream.is_untouched().await);
}

#[tokio::test]
async fn an_upstream_that_is_not_there_cannot_be_reached() {
    let upstream = Upstream::start().await;
    let plan = Plan::to(upstream.url(""));
    drop(upstream);
    let answer = code(plan, "GET /up/ HTTP/1.1\r\nHost: AUTHORITY\r\n\r\n").await;
    assert_eq!(answer, (502, "upstream_connect".into()));
}

#[tokio::test]
async fn an_upstream_without_tls_fails_as_tls() {
    let upstream = Upstream::start().await;
    let mut plan = Plan::to(format!("https://{}", upstream.address));
    let ca = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("ca.pem"), ca.cert.pem()).unwrap();
    plan.connector = ConnectorOptions { extra_ca: Some(dir.path().join("ca.pem")), ..plan.connector };
    let nonsense = async {
        let mut wire = upstream.accept().await;
        wire.write("220 this is mail\r\n").await;
        wire
    };
    let (answer, _wire) = tokio::join!(code(plan, "GET /up/ HTTP/1.1\r\nHost: AUTHORITY\r\n\r\n"), nonsense);
    assert_eq!(answer, (502, "upstream_tls".into()));
}

#[tokio::test]
async fn an_upstream_that_does_not_speak_http_breaks_the_protocol() {
    for nonsense in [
        "220 this is mail\r\n\r\n",
        "HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ] {
        let upstream = Upstream::start().await;
        let plan = Plan::to(upstream.url(""));
        let answer = async {
            let mut wire = upstream.accept().await;
            wire.read_head().await;
            wire.write(nonsense).await;
            wire
        };
        let (answer, _wire) =
            tokio::join!(code(plan, "GET /up/ HTTP/1.1\r\nHost: AUTHORITY\r\n\r\n"), answer);
        assert_eq!(answer, (502, "upstream_protocol".into()), "{nonsense}");
    }
}

#[tokio::test]
async fn a_broken_chunk_is_the_clients_fault_and_the_upstream_never_sees_an_end() {
    for chunk in ["zz\r\n", "-1\r\n", "0x2\r\nab\r\n", "fffffffffffffffff\r\n"] {
        let upstream = Upstream::start().await;
        let plan = Plan::to(upstream.url(""));
        let head =
            format!("POST /up/ HTTP/1.1\r\nHost: AUTHORITY\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}");
        let seen = async { upstream.accept().await.read_to_end().await };
        let (answer, seen) = tokio::join!(code(plan, &head), seen);
        assert_eq!(answer, (400, "malformed_request".into()), "{chunk}");
        assert!(!seen.contains("0\r\n\r\n"), "{chunk}: {seen}");
    }
}

#[tokio::test]
async fn an_upstream_that_stays_silent_runs_out_of_time() {
    let upstream = Upstream::start().await;
    let mut plan = Plan::to(upstream.url(""));
    plan.policy.timeout = Duration::from_millis(100);
    let silent = async {
        let mut wire = upstream.accept().await;
        wire.read_head().await;
        wire
    };
    let (answer, mut wire) = tokio::join!(code(plan, "GET /up/ HTTP/1.1\r\nHost: AUTHORITY\r\n\r\n"), silent);
    assert_eq!(answer, (504, "upstream_timeout".into()));
    assert_eq!(wire.read_to_end().await, "", "the request was given up");
}

#[tokio::test]
async fn a_route_without_its_slash_is_moved_and_the_index_is_there() {
    let upstream = Upstream::start().await;
    let house = Plan::to(upstream.url("/v1")).start();
    let mut client = house.client().await;
    client.send("POST", "/up?a=b", "").await;
    let (head, _) = client.response().await;
    assert_eq!((head.status(), head.get("location")), (308, Some("/up/?a=b")));
    assert_eq!(head.get("ccproxy-error"), None);

    client.send("GET", "/", "").await;
    let (head, body) = client.response().await;
    assert_eq!(head.status(), 200);
    assert_eq!(body, format!("ccproxy\n\nhttp://{}/up/ -> {}\n", house.address(), upstream.url("/v1")));
}

#[tokio::test]
async fn an_allowed_page_gets_its_preflight_and_its_answer() {
    let upstream = Upstream::start().await;
    let mut plan = Plan::to(upstream.url(""));
    plan.guard = Guard { allowed_origins: vec!["https://app.example".into()], ..Guard::default() };
    let house = plan.start();
    let mut client = house.client().await;
    let page = "Origin: https://app.example\r\nSec-Fetch-Site: cross-site\r\n";
    let asks = "Access-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: x-a\r\n\
                Access-Control-Request-Private-Network: true\r\n";
    client.send("OPTIONS", "/up/", &format!("{page}{asks}")).await;
    let (head, _) = client.response().await;
    assert_eq!(head.status(), 204);
    assert_eq!(head.get("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(head.get("access-control-allow-methods"), Some("PUT"));
    assert_eq!(head.get("access-control-allow-headers"), Some("x-a"));
    assert_eq!(head.get("access-control-allow-private-network"), None);

    client.send("PUT", "/up/", &format!("{page}Content-Length: 0\r\n")).await;
    let mut wire = upstream.accept().await;
    let seen = wire.read_head().await;
    assert_eq!((seen.get("origin"), seen.get("sec-fetch-site")), (None, None));
    wire.write("HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nContent-Length: 0\r\n\r\n").await;
    let (head, _) = client.response().await;
    assert_eq!(head.get("access-control-allow-origin"), Some("https://app.example"));
}
