//! The authorization server is down, slow or lying: what still works keeps working, nothing stored is lost,
//! and whoever is refused learns why and when to come back.

use std::time::Duration;

use ccproxy_tests::corp::Corp;
use ccproxy_tests::http_client::{Answer, Call};
use ccproxy_tests::login::status;
use ccproxy_tests::program::Host;
use ccproxy_tests::sandbox::{Endpoint, Fault, FaultRule, TokenState};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// More requests than any story sends.
const ALWAYS: u32 = 10_000;

fn status_fault(status: u16) -> Fault {
    Fault::Status { status, retry_after: None, error: None }
}

fn body(status: u16, content_type: &str, body: &str) -> Fault {
    Fault::Body { status, content_type: content_type.into(), body: body.into(), headers: Default::default() }
}

fn refreshes_meet(corp: &Corp, times: u32, fault: Fault) {
    corp.sandbox.add_fault(FaultRule {
        endpoint: Endpoint::Token,
        times,
        grant_type: Some("refresh_token".into()),
        client: None,
        fault,
    });
}

async fn get(host: &Host) -> Answer {
    Call::get(&host.url("/corp/strict/x")).send().await
}

/// What the client gets is a problem of ours with this status and code.
fn is_problem(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
    assert_eq!(answer.header("ccproxy-error"), code);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.json()["code"], code);
}

/// The payload of the stored grant.
fn stored(corp: &Corp) -> Value {
    let record = std::fs::read(corp.home.credential("corp")).unwrap();
    serde_json::from_slice::<Value>(&record).unwrap()["payload"].clone()
}

#[tokio::test]
async fn a_valid_token_is_served_while_the_provider_is_down() {
    let corp = Corp::new(Corp::rotating()).await;
    // Due for renewal a third of its life before its end, or earlier.
    corp.sandbox.add_fault(FaultRule {
        endpoint: Endpoint::Token,
        times: 1,
        grant_type: Some("authorization_code".into()),
        client: None,
        fault: Fault::Set { fields: json!({ "expires_in": 24 }).as_object().cloned().unwrap() },
    });
    corp.login().await;
    refreshes_meet(&corp, ALWAYS, status_fault(503));
    let host = corp.home.serve().await;

    // Until a refresh has failed, and then on.
    let deadline = Instant::now() + Duration::from_secs(22);
    let mut served_after_failure = 0;
    while served_after_failure < 5 {
        let answer = get(&host).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        served_after_failure += u32::from(corp.refreshes() > 0);
        assert!(Instant::now() < deadline, "no refresh was tried ahead of time");
        sleep(Duration::from_millis(100)).await;
    }
    let now = status(&corp.home, "corp").await;
    assert!(["ok", "expiring", "refreshing"].contains(&now["state"].as_str().unwrap()), "{now:#}");
    corp.home.ccproxy(&["auth", "status", "corp"]).await.expect_success();
}

#[tokio::test]
async fn an_expired_token_is_never_sent_and_the_client_learns_when_to_come_back() {
    let corp = Corp::new(Corp::rotating()).await;
    corp.login_and_let_expire().await;
    let before = stored(&corp);
    let fault = Fault::Status { status: 503, retry_after: Some(7), error: None };
    refreshes_meet(&corp, ALWAYS, fault);
    let host = corp.home.serve().await;

    let answer = get(&host).await;
    is_problem(&answer, 503, "credential_unavailable");
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "retry after {wait} s");
    assert_eq!(corp.sandbox.requests().total, 0, "nothing went upstream");
    assert_eq!(stored(&corp), before);
    // Nobody asks a server that is down once per request.
    for _ in 0..20 {
        is_problem(&get(&host).await, 503, "credential_unavailable");
    }
    assert!(corp.refreshes() <= 3, "{} refreshes", corp.refreshes());
}

#[tokio::test]
async fn a_provider_that_comes_back_is_used_without_a_restart_or_a_login() {
    let corp = Corp::new(Corp::rotating()).await;
    corp.login_and_let_expire().await;
    refreshes_meet(&corp, 1, status_fault(500));
    let host = corp.home.serve().await;
    is_problem(&get(&host).await, 503, "credential_unavailable");

    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let answer = get(&host).await;
        if answer.status == 200 {
            break;
        }
        is_problem(&answer, 503, "credential_unavailable");
        assert!(Instant::now() < deadline, "it never recovered");
        sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(status(&corp.home, "corp").await["state"], "ok");
}

#[tokio::test]
async fn every_failure_has_its_status_and_exit_code_and_loses_nothing() {
    let cases: [(&str, Fault, u16, &str, i32, &str); 8] = [
        ("500", status_fault(500), 503, "credential_unavailable", 5, "provider_unavailable"),
        (
            "429",
            body(429, "application/json", "{\"message\":\"too many requests\"}"),
            503,
            "credential_unavailable",
            5,
            "rate_limited",
        ),
        ("cut", Fault::Close, 503, "credential_unavailable", 5, "network"),
        (
            "html",
            body(200, "text/html", "<html>Sign in to the Wi-Fi</html>"),
            502,
            "credential_provider",
            5,
            "invalid_response",
        ),
        ("empty", body(200, "application/json", ""), 502, "credential_provider", 5, "invalid_response"),
        (
            "no token",
            body(200, "application/json", "{\"token_type\":\"Bearer\"}"),
            502,
            "credential_provider",
            5,
            "invalid_response",
        ),
        (
            "garbage",
            body(502, "text/plain", "Bad Gateway"),
            503,
            "credential_unavailable",
            5,
            "provider_unavailable",
        ),
        (
            "client",
            body(401, "application/json", "{\"error\":\"invalid_client\"}"),
            401,
            "credentials_rejected",
            4,
            "credentials_rejected",
        ),
    ];
    let corp = Corp::new(Corp::rotating()).await;
    corp.login_and_let_expire().await;
    let before = stored(&corp);
    for (name, fault, http, http_code, exit, code) in cases {
        eprintln!("case {name}");
        refreshes_meet(&corp, ALWAYS, fault);
        let told = corp.home.ccproxy(&["auth", "refresh", "corp", "--json"]).await.expect_code(exit);
        assert_eq!(told.json_error()["code"], code, "{name}: {told}");
        let host = corp.home.serve().await;
        is_problem(&get(&host).await, http, http_code);
        host.stop().await;
        assert_eq!(stored(&corp), before, "{name}");
        corp.sandbox.clear_faults();
    }
    // After all of that the stored grant is still worth a token.
    let host = corp.home.serve().await;
    assert_eq!(get(&host).await.status, 200);
    assert_eq!(corp.sandbox.counts().reuse_detected, 0);
    assert_eq!(corp.sandbox.requests().with_state(TokenState::Valid), corp.sandbox.requests().total);
}

#[tokio::test]
async fn nobody_waits_longer_than_half_a_minute_for_a_credential() {
    let corp = Corp::new(Corp::rotating()).await;
    corp.login_and_let_expire().await;
    // Each call stays within its own limit of 20 s; together they do not.
    corp.sandbox.fault(Endpoint::Discovery, ALWAYS, Fault::Delay { ms: 17_000 });
    refreshes_meet(&corp, ALWAYS, Fault::Delay { ms: 17_000 });
    let host = corp.home.serve().await;
    let started = Instant::now();
    let answer = get(&host).await;
    is_problem(&answer, 504, "credential_timeout");
    let waited = started.elapsed();
    assert!((29..34).contains(&waited.as_secs()), "answered after {waited:?}");
    // What was under way has gone on, and is there for whoever asks next.
    corp.wait_for_state("corp", "ok").await;
    assert_eq!(get(&host).await.status, 200);
    assert_eq!(corp.refreshes(), 1);
}

#[tokio::test]
async fn a_provider_that_does_not_answer_is_one_that_is_down() {
    let corp = Corp::new(Corp::rotating()).await;
    corp.login_and_let_expire().await;
    refreshes_meet(&corp, ALWAYS, Fault::Delay { ms: 60_000 });
    let host = corp.home.serve().await;
    let started = Instant::now();
    is_problem(&get(&host).await, 503, "credential_unavailable");
    let waited = started.elapsed();
    assert!((19..29).contains(&waited.as_secs()), "answered after {waited:?}");
}

#[tokio::test]
async fn a_dead_refresh_token_needs_a_login_and_says_so_everywhere() {
    let corp = Corp::new(Corp::rotating()).await;
    corp.login_and_let_expire().await;
    corp.sandbox.revoke_refresh_tokens(None);
    let host = corp.home.serve().await;
    for _ in 0..5 {
        let answer = get(&host).await;
        is_problem(&answer, 401, "reauth_required");
        assert_eq!(answer.json()["hint"], "ccproxy auth login corp");
    }
    assert_eq!(corp.refreshes(), 1, "a server that said no is not asked again");
    assert_eq!(status(&corp.home, "corp").await["state"], "reauth_required");
    corp.home.ccproxy(&["auth", "status", "corp"]).await.expect_code(4);
    corp.login().await;
    assert_eq!(get(&host).await.status, 200);
}

#[tokio::test]
async fn an_unreachable_provider_is_named_by_a_login() {
    let corp = Corp::new(Corp::rotating()).await;
    corp.sandbox.fault(Endpoint::Discovery, ALWAYS, Fault::Close);
    let login =
        corp.home.ccproxy(&["auth", "login", "corp", "--json", "--no-browser", "--flow", "browser"]).await;
    let login = login.expect_code(5);
    let error = login.json_error();
    assert_eq!(error["code"], "network", "{login}");
    assert!(error["message"].as_str().unwrap().contains("127.0.0.1"), "{error}");
}

#[tokio::test]
async fn an_issuer_that_lies_about_its_name_is_refused() {
    let corp = Corp::new(Corp::rotating()).await;
    let fields = json!({ "issuer": "https://evil.example" }).as_object().cloned().unwrap();
    corp.sandbox.fault(Endpoint::Discovery, ALWAYS, Fault::Set { fields });
    let login =
        corp.home.ccproxy(&["auth", "login", "corp", "--json", "--no-browser", "--flow", "browser"]).await;
    let login = login.expect_code(5);
    assert_eq!(login.json_error()["code"], "invalid_response", "{login}");
    assert!(!corp.home.credential("corp").exists());
}
