use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use http::{StatusCode, Version};
use pretty_assertions::assert_eq;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::http_client::Call;
use crate::sandbox::{Sandbox, TokenState};

async fn sandbox() -> Sandbox {
    Sandbox::start_default().await.unwrap()
}

async fn access_token(sandbox: &Sandbox) -> String {
    let fields =
        [("grant_type", "client_credentials"), ("client_id", "webpost"), ("client_secret", "webpost-secret")];
    let answer = Call::form(&format!("{}/token", sandbox.issuer()), &fields).send().await.json();
    answer["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_echo_tells_what_arrived_and_what_the_token_is_worth() {
    let sandbox = sandbox().await;
    let url = format!("{}/v1/things?a=1&b", sandbox.upstream());
    let token = access_token(&sandbox).await;
    let echo = Call::new("PUT".parse().unwrap(), &url).bearer(&token).body("hello").send().await.json();
    assert_eq!(
        (&echo["method"], &echo["path"], &echo["query"]),
        (&json!("PUT"), &json!("/v1/things"), &json!("a=1&b"))
    );
    assert_eq!(echo["headers"]["authorization"], json!(format!("Bearer {token}")));
    assert_eq!(echo["body_len"], json!(5));
    let digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    assert_eq!(echo["body_sha256"], json!(digest));
    assert_eq!((&echo["authorization_ok"], &echo["token_state"]), (&json!(true), &json!("valid")));
}

#[tokio::test]
async fn strict_paths_want_a_token_that_is_good_now() {
    let sandbox = sandbox().await;
    let url = format!("{}/strict/x", sandbox.upstream());
    let token = access_token(&sandbox).await;
    assert_eq!(Call::get(&url).bearer(&token).send().await.status, StatusCode::OK);
    sandbox.expire_access_tokens(None);
    let expired = Call::get(&url).bearer(&token).send().await;
    assert_eq!(expired.header("www-authenticate"), "Bearer error=\"invalid_token\"");
    assert_eq!(Call::get(&url).bearer("made-up").send().await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(Call::get(&url).send().await.status, StatusCode::UNAUTHORIZED);
    let requests = sandbox.requests();
    let states = [TokenState::Valid, TokenState::Expired, TokenState::Unknown, TokenState::Absent];
    assert_eq!(states.map(|state| requests.with_state(state)), [1, 1, 1, 1]);
    assert_eq!((requests.total, requests.distinct_tokens), (4, 2));
}

#[tokio::test]
async fn what_is_recorded_holds_no_token() {
    let sandbox = sandbox().await;
    let token = access_token(&sandbox).await;
    Call::get(&format!("{}/x?access_token={token}", sandbox.upstream())).send().await;
    Call::get(&format!("{}/x", sandbox.upstream())).bearer(&token).send().await;
    let recorded = Call::get(&format!("{}/_sandbox/requests", sandbox.upstream())).send().await.text();
    assert!(recorded.contains("\"valid\":2") && !recorded.contains("sbxat_"), "{recorded}");
}

#[tokio::test]
async fn an_api_key_is_good_once_it_is_accepted() {
    let sandbox = sandbox().await;
    let url = format!("{}/strict/x", sandbox.upstream());
    assert_eq!(Call::get(&url).header("x-api-key", "sk-1").send().await.status, StatusCode::UNAUTHORIZED);
    sandbox.accept_key("sk-1");
    assert_eq!(Call::get(&url).header("x-api-key", "sk-1").send().await.status, StatusCode::OK);
}

#[tokio::test]
async fn once_401_challenges_each_id_once() {
    let sandbox = sandbox().await;
    let status =
        async |id: &str| Call::get(&format!("{}/once-401/{id}", sandbox.upstream())).send().await.status;
    assert_eq!(
        [status("a").await, status("a").await, status("b").await].map(|s| s.as_u16()),
        [401, 200, 401]
    );
}

#[tokio::test]
async fn it_speaks_cleartext_http2_with_trailers() {
    let sandbox = sandbox().await;
    let answer = Call::get(&format!("{}/echo", sandbox.upstream())).http2().send().await;
    assert_eq!((answer.version, &answer.json()["version"]), (Version::HTTP_2, &json!("HTTP/2.0")));
    let raw = raw_exchange(&sandbox, "GET /trailers HTTP/1.1\r\nte: trailers\r\n").await;
    assert!(raw.ends_with("0\r\nx-trail: t1\r\n\r\n"), "{raw:?}");
}

/// Sends a request as it is written and reads until the server closes.
async fn raw_exchange(sandbox: &Sandbox, head: &str) -> String {
    let address = sandbox.upstream().trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{head}host: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn events_leave_one_by_one() {
    let sandbox = sandbox().await;
    let started = Instant::now();
    let answer = Call::get(&format!("{}/sse?events=3&gap_ms=60", sandbox.upstream())).send().await;
    assert!(started.elapsed() >= Duration::from_millis(120));
    assert_eq!(answer.header("content-type"), "text/event-stream");
    let text = answer.text();
    let sent: Vec<u64> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str::<serde_json::Value>(data).unwrap()["sent_ms"].as_u64().unwrap())
        .collect();
    assert_eq!(sent.len(), 3);
    assert!(sent.windows(2).all(|pair| pair[1] - pair[0] >= 55), "{sent:?}");
}

#[tokio::test]
async fn large_bodies_are_as_long_as_asked_for_or_cut_where_asked_for() {
    let sandbox = sandbox().await;
    let url = |query: &str| format!("{}/large?{query}", sandbox.upstream());
    let whole = Call::get(&url("bytes=200001")).send().await;
    assert_eq!((whole.body.len(), whole.header("content-length")), (200_001, "200001"));
    assert!(whole.body.ends_with(b"abcdef0"));
    let chunked = Call::get(&url("bytes=200001&chunked=1")).send().await;
    assert_eq!((chunked.body.len(), chunked.headers.get("content-length")), (200_001, None));
    assert!(Call::get(&url("bytes=200001&break_at=100000")).try_send().await.is_err());
}

#[tokio::test]
async fn uploads_are_counted_and_expectations_met() {
    let sandbox = sandbox().await;
    let upload = Call::new("POST".parse().unwrap(), &format!("{}/upload", sandbox.upstream()));
    let seen = upload.body(vec![7; 300_000]).header("expect", "100-continue").send().await.json();
    assert_eq!((&seen["body_len"], &seen["expect"]), (&json!(300_000), &json!("100-continue")));
}

#[tokio::test]
async fn a_web_socket_sends_back_text_and_binary() {
    let sandbox = sandbox().await;
    let address = sandbox.upstream().trim_start_matches("http://");
    let stream = TcpStream::connect(address).await.unwrap();
    let url = format!("ws://{address}/ws");
    let (mut socket, answer) = tokio_tungstenite::client_async(url, stream).await.unwrap();
    assert_eq!(answer.status().as_u16(), 101);
    for message in [Message::text("hello"), Message::binary(vec![1; 70_000])] {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), message);
    }
    socket.close(None).await.unwrap();
}

#[tokio::test]
async fn links_are_absolute_and_its_own() {
    let sandbox = sandbox().await;
    let base = sandbox.upstream();
    let answer = Call::get(&format!("{base}/links?location=absolute")).send().await;
    let next = format!("{base}/links?page=2");
    assert_eq!(answer.header("location"), format!("{base}/made/1?x=1#part"));
    assert_eq!(answer.header("link"), format!("<{next}>; rel=\"next\", <{next}>; rel=\"last\""));
    assert_eq!(answer.json()["@odata.nextLink"], json!(next));
}
