use std::time::Duration;

use super::house::{Plan, token, token_acquired};
use super::{House, Upstream};
use crate::credential::Reason;
use crate::fault::{Code, Fault};
use crate::hook::Kind;
use crate::model::UnixMillis;
use pretty_assertions::assert_eq;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const UNAUTHORIZED: &str = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer error=\"invalid_token\"\r\nContent-Length: 2\r\n\r\nno";

async fn house(upstream: &Upstream) -> House {
    Plan::to(upstream.url("")).start()
}

#[tokio::test]
async fn a_missing_credential_is_acquired_once_for_the_request() {
    let upstream = Upstream::start().await;
    let house = Plan::to(upstream.url("")).start_without_credential();
    house.issuer.will_answer(Ok(token(7)));
    let mut client = house.client().await;
    client.send("GET", "/up/", "").await;
    let mut wire = upstream.accept().await;
    assert_eq!(wire.read_head().await.get("authorization"), Some("Bearer secret-token-7"));
    wire.write(OK).await;
    assert_eq!(client.response().await.1, "ok");
    assert_eq!(house.issuer.asked(), [Reason::Missing]);
}

#[tokio::test]
async fn without_a_credential_nothing_reaches_the_upstream() {
    let upstream = Upstream::start().await;
    let house = Plan::to(upstream.url("")).start_without_credential();
    house.issuer.will_answer(Err(Fault::new(Code::NotLoggedIn, "up is not logged in")));
    let mut client = house.client().await;
    client.send("GET", "/up/", "").await;
    let (head, body) = client.response().await;
    assert_eq!((head.status(), head.get("ccproxy-error")), (401, Some("not_logged_in")));
    assert!(body.contains("\"hint\":\"ccproxy auth login up\""), "{body}");
    assert!(upstream.is_untouched().await);
}

#[tokio::test]
async fn a_rejected_credential_is_renewed_and_the_request_sent_again() {
    let upstream = Upstream::start().await;
    let house = house(&upstream).await;
    house.issuer.will_answer(Ok(token(2)));
    let mut client = house.client().await;
    client.send_body("POST", "/up/items", "Content-Type: text/plain\r\n", b"hello").await;
    let mut first = upstream.accept().await;
    assert_eq!(first.read_head().await.get("authorization"), Some("Bearer secret-token-1"));
    assert_eq!(first.read_exact(5).await, b"hello");
    first.write(UNAUTHORIZED).await;

    let mut second = upstream.accept().await;
    let head = second.read_head().await;
    assert_eq!(head.start, "POST /items HTTP/1.1");
    assert_eq!(head.get("authorization"), Some("Bearer secret-token-2"));
    assert_eq!(head.get("content-length"), Some("5"));
    assert_eq!(second.read_exact(5).await, b"hello");
    second.write(OK).await;
    assert_eq!(client.response().await.1, "ok");
    assert_eq!(house.issuer.asked(), [Reason::Rejected { generation: 1 }]);
}

#[tokio::test]
async fn a_replay_goes_on_with_what_the_client_had_not_sent_yet() {
    let upstream = Upstream::start().await;
    let house = house(&upstream).await;
    house.issuer.will_answer(Ok(token(2)));
    let mut client = house.client().await;
    client.send("POST", "/up/items", "Content-Length: 11\r\n").await;
    client.wire.write("hello").await;
    let mut first = upstream.accept().await;
    first.read_head().await;
    first.read_exact(5).await;
    first.write(UNAUTHORIZED).await;

    let mut second = upstream.accept().await;
    assert_eq!(second.read_head().await.get("content-length"), Some("11"));
    assert_eq!(second.read_exact(5).await, b"hello");
    client.wire.write(" world").await;
    assert_eq!(second.read_exact(6).await, b" world");
    second.write(OK).await;
    assert_eq!(client.response().await.1, "ok");
}

#[tokio::test]
async fn a_second_401_is_the_clients() {
    let upstream = Upstream::start().await;
    let house = house(&upstream).await;
    house.issuer.will_answer(Ok(token(2)));
    let mut client = house.client().await;
    client.send("GET", "/up/", "").await;
    for _ in 0..2 {
        let mut wire = upstream.accept().await;
        wire.read_head().await;
        wire.write(UNAUTHORIZED).await;
    }
    let (head, body) = client.response().await;
    assert_eq!((head.status(), body.as_str()), (401, "no"));
    assert_eq!(head.get("www-authenticate"), Some("Bearer error=\"invalid_token\""));
    assert_eq!(head.get("ccproxy-error"), None, "the upstream spoke");
    assert_eq!(house.issuer.asked().len(), 1);
}

#[tokio::test]
async fn a_401_passes_if_there_is_nothing_newer() {
    let upstream = Upstream::start().await;
    let house = house(&upstream).await;
    house.issuer.will_answer(Err(Fault::new(Code::ReauthRequired, "invalid_grant")));
    let mut client = house.client().await;
    client.send("GET", "/up/", "").await;
    let mut wire = upstream.accept().await;
    wire.read_head().await;
    wire.write(UNAUTHORIZED).await;
    let (head, body) = client.response().await;
    assert_eq!((head.status(), body.as_str(), head.get("ccproxy-error")), (401, "no", None));
}

#[tokio::test]
async fn a_403_and_a_401_to_a_new_token_renew_nothing() {
    let upstream = Upstream::start().await;
    let house = house(&upstream).await;
    let mut client = house.client().await;
    client.send("GET", "/up/", "").await;
    let mut wire = upstream.accept().await;
    wire.read_head().await;
    wire.write("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(client.response().await.0.status(), 403);

    house.cell.publish(token_acquired(2, UnixMillis::now().minus(Duration::from_secs(1))));
    client.send("GET", "/up/", "").await;
    wire.read_head().await;
    wire.write(UNAUTHORIZED).await;
    assert_eq!(client.response().await.0.status(), 401);
    assert!(house.issuer.asked().is_empty());
}

#[tokio::test]
async fn a_large_body_is_not_sent_again_but_the_credential_is_renewed_for_others() {
    let upstream = Upstream::start().await;
    let house = house(&upstream).await;
    house.issuer.will_answer(Ok(token(2)));
    let mut client = house.client().await;
    let body = vec![b'x'; 64 * 1024 + 1];
    client.send_body("POST", "/up/", "", &body).await;
    let mut wire = upstream.accept().await;
    wire.read_head().await;
    wire.read_exact(body.len()).await;
    wire.write(UNAUTHORIZED).await;
    assert_eq!(client.response().await.0.status(), 401);

    client.send("GET", "/up/", "").await;
    assert_eq!(wire.read_head().await.get("authorization"), Some("Bearer secret-token-2"));
    assert_eq!(house.issuer.asked(), [Reason::Rejected { generation: 1 }]);
}

#[tokio::test]
async fn a_chunked_body_that_grows_past_the_limit_is_not_sent_again() {
    let upstream = Upstream::start().await;
    let house = house(&upstream).await;
    house.issuer.will_answer(Ok(token(2)));
    let mut client = house.client().await;
    client.send("POST", "/up/", "Transfer-Encoding: chunked\r\n").await;
    let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
    for _ in 0..3 {
        client.wire.write(&chunk).await;
    }
    client.wire.write("0\r\n\r\n").await;
    let mut wire = upstream.accept().await;
    wire.read_head().await;
    wire.read_until("0\r\n\r\n").await;
    wire.write(UNAUTHORIZED).await;
    assert_eq!(client.response().await.0.status(), 401);
    assert!(upstream.is_untouched().await);
}

#[tokio::test]
async fn a_kept_connection_that_died_is_replaced_once() {
    let upstream = Upstream::start().await;
    let house = house(&upstream).await;
    let mut client = house.client().await;
    client.send("GET", "/up/1", "").await;
    let mut kept = upstream.accept().await;
    kept.read_head().await;
    kept.write(OK).await;
    client.response().await;

    client.send("GET", "/up/2", "").await;
    kept.read_head().await;
    drop(kept);
    let mut fresh = upstream.accept().await;
    assert_eq!(fresh.read_head().await.start, "GET /2 HTTP/1.1");
    fresh.write(OK).await;
    assert_eq!(client.response().await.1, "ok");
}

#[tokio::test]
async fn what_is_not_safe_is_not_sent_twice_to_a_dead_connection() {
    let upstream = Upstream::start().await;
    let house = house(&upstream).await;
    let mut client = house.client().await;
    client.send("GET", "/up/1", "").await;
    let mut kept = upstream.accept().await;
    kept.read_head().await;
    kept.write(OK).await;
    client.response().await;

    client.send_body("POST", "/up/2", "", b"pay").await;
    kept.read_head().await;
    kept.read_exact(3).await;
    drop(kept);
    let (head, _) = client.response().await;
    assert_eq!((head.status(), head.get("ccproxy-error")), (502, Some("upstream_protocol")));
    assert!(upstream.is_untouched().await);
}

#[tokio::test]
async fn a_new_connection_that_dies_is_not_tried_again() {
    let upstream = Upstream::start().await;
    let house = house(&upstream).await;
    let mut client = house.client().await;
    client.send("GET", "/up/1", "").await;
    let mut wire = upstream.accept().await;
    wire.read_head().await;
    drop(wire);
    let (head, _) = client.response().await;
    assert_eq!(head.get("ccproxy-error"), Some("upstream_protocol"));
    assert!(upstream.is_untouched().await);
}

#[tokio::test]
async fn what_happened_is_told_in_order_and_without_a_secret() {
    let upstream = Upstream::start().await;
    let house = house(&upstream).await;
    let mut client = house.client().await;
    client.send("GET", "/up/me?canary=1", "X-Canary: canary\r\n").await;
    let mut wire = upstream.accept().await;
    wire.read_head().await;
    wire.write(OK).await;
    client.response().await;
    let completed = house.events.until(Kind::RequestCompleted).await;
    assert_eq!(
        house.events.kinds(),
        [
            "request.started",
            "provider.request.prepared",
            "provider.request.sent",
            "provider.response.received",
            "request.completed",
        ]
    );
    assert_eq!((&completed.fields["status"], &completed.fields["bytes"]), (&200.into(), &2.into()));
    assert_eq!((&completed.fields["route"], &completed.fields["method"]), (&"up".into(), &"GET".into()));
    let started = house.events.until(Kind::RequestStarted).await;
    assert_eq!(started.fields["path"], "/me");
    let told = format!("{:?}", house.events.all());
    assert!(!told.contains("canary") && !told.contains("secret-token-1"), "{told}");
}
