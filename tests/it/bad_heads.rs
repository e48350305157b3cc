//! Heads that two servers could read differently, byte by byte over a socket: none reaches the upstream.

use std::time::Duration;

use ccproxy_tests::keyed::KeyedApi;
use ccproxy_tests::program::Host;
use pretty_assertions::assert_eq;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Sends bytes and returns the status line of each answer, until the proxy closes.
async fn exchange(host: &Host, bytes: &[u8]) -> Vec<String> {
    let mut socket = TcpStream::connect(host.authority()).await.unwrap();
    // The answer may come, and the connection end, before the last byte is written.
    _ = socket.write_all(bytes).await;
    let mut answer = Vec::new();
    let read = socket.read_to_end(&mut answer);
    if let Err(late) = timeout(Duration::from_secs(20), read).await {
        let said = String::from_utf8_lossy(&answer).into_owned();
        panic!("not closed ({late}): {}\n{said}", String::from_utf8_lossy(bytes));
    }
    let text = String::from_utf8_lossy(&answer).into_owned();
    text.split("\r\n").filter(|line| line.starts_with("HTTP/1.")).map(str::to_owned).collect()
}

fn head(host: &Host, fields: &str) -> String {
    format!("POST /api/echo HTTP/1.1\r\nHost: {}\r\n{fields}\r\n", host.authority())
}

#[tokio::test]
async fn a_body_framed_in_two_ways_is_refused_and_ends_the_connection() {
    let api = KeyedApi::new().await;
    let host = api.home.serve().await;
    let inner = format!("GET /api/smuggled HTTP/1.1\r\nHost: {}\r\n\r\n", host.authority());
    for fields in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length: 99999999999999999999999\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer_Encoding: chunked\r\nContent-Length: 5\r\nContent-Length: 0\r\n",
        "Content-Length: 5\r\n Transfer-Encoding: chunked\r\n",
        "X: a\r\n folded\r\n",
        "X: a\rTransfer-Encoding: chunked\r\n",
        "X: \0\r\n",
        ": empty\r\n",
        "no colon\r\n",
        "X Y: space\r\n",
    ] {
        let request = format!("{}0\r\n\r\n{inner}", head(&host, fields));
        let answers = exchange(&host, request.as_bytes()).await;
        // Closing without a word is an answer, too; a second answer would mean that the rest was read.
        assert!(answers.len() <= 1, "{fields:?}: {answers:?}");
        for answer in answers {
            assert!(answer.contains(" 400 ") || answer.contains(" 501 "), "{fields:?}: {answer}");
        }
    }
    assert_nothing_reached(&api);
}

/// Each deviation has one answer, in our form, and the connection ends with it.
#[tokio::test]
async fn every_deviation_has_its_status_and_its_code() {
    let api = KeyedApi::new().await;
    let host = api.home.serve().await;
    let at = host.authority();
    let post = |fields: &str| format!("POST /api/echo HTTP/1.1\r\nHost: {at}\r\n{fields}\r\n0\r\n\r\n");
    let get = |line: &str| format!("{line}\r\nHost: {at}\r\n\r\n");
    for (request, status, code) in [
        (get("GET /api/echo HTTP/1.1").replace("\r\n", "\n"), 400, "malformed_request"),
        (get("GET /api/echo HTTP/1.1\nX: y"), 400, "malformed_request"),
        (get("GET /api/echo#fragment HTTP/1.1"), 400, "malformed_request"),
        (get("GET /api/\u{e4} HTTP/1.1"), 400, "malformed_request"),
        (get("GET  /api/echo HTTP/1.1"), 400, "malformed_request"),
        (get("\r\n\r\nGET /api/echo HTTP/1.1"), 400, "malformed_request"),
        ("\u{16}\u{3}\u{1}".to_owned(), 400, "malformed_request"),
        (get("GET /api/echo HTTP/1.2"), 505, "unsupported_version"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 505, "unsupported_version"),
        (post("X: a\r\n folded\r\n"), 400, "malformed_request"),
        (post("X : a\r\n"), 400, "malformed_request"),
        (post("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n"), 400, "malformed_request"),
        (post("Transfer-Encoding: chunked\r\nContent-Length: 6\r\n"), 400, "malformed_request"),
        (post("Content-Length: 5\r\nContent-Length: 5\r\n"), 400, "malformed_request"),
        (post("Transfer-Encoding: gzip, chunked\r\n"), 501, "unsupported"),
    ] {
        let mut socket = TcpStream::connect(at).await.unwrap();
        _ = socket.write_all(request.as_bytes()).await;
        let mut answer = String::new();
        let read = timeout(Duration::from_secs(20), socket.read_to_string(&mut answer)).await;
        assert!(read.is_ok(), "{request:?} keeps the connection: {answer}");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {answer}");
        assert!(answer.contains(&format!("ccproxy-error: {code}\r\n")), "{request:?}: {answer}");
        assert!(answer.contains("connection: close\r\n"), "{request:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{request:?}: {answer}");
    }
    assert_nothing_reached(&api);
}

#[tokio::test]
async fn a_request_line_that_is_none_is_refused() {
    let api = KeyedApi::new().await;
    let host = api.home.serve().await;
    let at = host.authority();
    for line in [
        "GET  /api/echo HTTP/1.1",
        "GET /api/echo",
        "GET /api/echo HTTP/1.1 x",
        "GET /api/echo HTTP/1.2",
        "GET /api/echo HTTP/3.0",
        "G@T /api/e\u{1}cho HTTP/1.1",
        "GET api/echo HTTP/1.1",
        "GET /api/../_ccproxy/livez HTTP/1.1",
        "GET /api/%2e%2e/echo HTTP/1.1",
        "GET /api/.%2E/echo HTTP/1.1",
        "GET /api/a/../../echo HTTP/1.1",
        "GET /api/..\\echo HTTP/1.1",
        "TRACE /api/echo HTTP/1.1",
        "CONNECT 127.0.0.1:1 HTTP/1.1",
        "OPTIONS * HTTP/1.1",
    ] {
        let request = format!("{line}\r\nHost: {at}\r\nConnection: close\r\n\r\n");
        for answer in exchange(&host, request.as_bytes()).await {
            let code: u16 = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default();
            assert!((400..600).contains(&code), "{line:?}: {answer}");
        }
    }
    assert_nothing_reached(&api);
}

#[tokio::test]
async fn there_is_one_host_and_no_second_opinion() {
    let api = KeyedApi::new().await;
    let host = api.home.serve().await;
    let at = host.authority();
    for (request, wanted) in [
        ("GET /api/echo HTTP/1.1\r\n\r\n".to_owned(), " 400 "),
        (format!("GET /api/echo HTTP/1.1\r\nHost: {at}\r\nHost: {at}\r\n\r\n"), " 400 "),
        (format!("GET /api/echo HTTP/1.1\r\nHost: {at}\r\nHost: evil.test\r\n\r\n"), " 400 "),
        (
            format!("GET http://evil.test/api/echo HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n"),
            " 403 ",
        ),
        (
            format!("GET http://{at}/api/echo HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n"),
            " 403 ",
        ),
        ("GET /api/echo HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n".to_owned(), " 40"),
    ] {
        let answers = exchange(&host, request.as_bytes()).await;
        assert_eq!(answers.len(), 1, "{request:?}");
        assert!(answers[0].contains(wanted), "{request:?}: {answers:?}");
    }
    assert_nothing_reached(&api);
}

#[tokio::test]
async fn a_head_that_is_too_large_has_a_status_of_its_own() {
    let api = KeyedApi::new().await;
    let host = api.home.serve().await;
    let long_target =
        format!("GET /api/{} HTTP/1.1\r\nHost: {}\r\n\r\n", "a".repeat(17 << 10), host.authority());
    let many: String = (0..120).map(|n| format!("x-{n}: 1\r\n")).collect();
    let large = format!("x: {}\r\n", "a".repeat(70 << 10));
    for (request, wanted) in
        [(long_target, " 414 "), (head(&host, &many), " 431 "), (head(&host, &large), " 431 ")]
    {
        let answers = exchange(&host, request.as_bytes()).await;
        assert!(answers.len() == 1 && answers[0].contains(wanted), "{wanted}: {answers:?}");
    }
    assert_nothing_reached(&api);
}

/// What a client sends beside or in front of our credential never gets there.
#[tokio::test]
async fn no_spelling_of_a_client_credential_passes() {
    let api = KeyedApi::new().await;
    let host = api.home.serve().await;
    let fields = "Authorization: Bearer dummy\r\nauthorization: Basic ZDpk\r\nX-Api-Key: dummy\r\nX_API_KEY: dummy\r\n\
                  Proxy-Authorization: Bearer dummy\r\nCookie: session=dummy\r\nX-Forwarded-For: 10.0.0.1\r\n\
                  Connection: close, authorization, x-kept\r\nX-Kept: no\r\nX-Other: yes\r\nContent-Length: 0\r\n";
    let mut socket = TcpStream::connect(host.authority()).await.unwrap();
    socket.write_all(head(&host, fields).as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(!answer.contains("dummy") && !answer.contains("x-kept"), "{answer}");
    assert!(!answer.contains("x-forwarded") && answer.contains("\"x-other\":\"yes\""), "{answer}");
    api.assert_only_our_key("authorization");
}

fn assert_nothing_reached(api: &KeyedApi) {
    let seen = api.sandbox.requests();
    assert_eq!(seen.total, 0, "{:#?}", seen.requests);
}
