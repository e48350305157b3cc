//! An authorization server that cannot be reached, and ones that lie. Each has its code and exit, and what is
//! stored stays.

use std::collections::BTreeMap;
use std::time::Duration;

use ccproxy_tests::corp::{Corp, connection};
use ccproxy_tests::home::Home;
use ccproxy_tests::http_client::Call;
use ccproxy_tests::login::{BrowserLogin, status};
use ccproxy_tests::program::Finished;
use ccproxy_tests::sandbox::{Change, Endpoint, Fault, Mutation, Settings};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

/// A port of loopback on which nobody listens.
fn nowhere() -> String {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", taken.local_addr().unwrap())
}

#[tokio::test]
async fn a_login_at_a_server_that_is_not_there_says_so_and_saves_nothing() {
    let issuer = nowhere();
    let home = Home::with_config(&connection("corp", &issuer, &issuer, "native"));
    let told =
        home.ccproxy(&["auth", "login", "corp", "--web", "--no-browser", "--json"]).await.expect_code(5);
    let error = told.json_error();
    assert_eq!(error["code"], json!("network"), "{error}");
    assert!(error["message"].as_str().unwrap().contains(issuer.trim_start_matches("http://")), "{error}");
    assert!(!home.credential("corp").exists());
}

/// A stored login outlives any outage: the token endpoint closes, stalls or fails, and comes back.
#[tokio::test]
async fn an_outage_answers_503_and_passes() {
    let corp = Corp::new(Corp::rotating()).await;
    corp.login_and_let_expire().await;
    let before = std::fs::read(corp.home.credential("corp")).unwrap();
    let host = corp.home.serve().await;
    corp.sandbox.fault(Endpoint::Token, 1000, Fault::Close);

    let answer = Call::get(&host.url("/corp/hello")).send().await;
    assert_eq!((answer.status.as_u16(), answer.header("ccproxy-error")), (503, "credential_unavailable"));
    assert!(answer.header("retry-after").parse::<u64>().is_ok());
    let error = corp.home.ccproxy(&["auth", "refresh", "corp", "--json"]).await.expect_code(5).json_error();
    assert_eq!(error["code"], json!("network"), "{error}");
    let told = status(&corp.home, "corp").await;
    assert_eq!((&told["state"], &told["refreshable"]), (&json!("expired"), &json!(true)), "{told:#}");
    assert_eq!(told["problem"]["code"], json!("network"), "{told:#}");
    assert_eq!(grant(&std::fs::read(corp.home.credential("corp")).unwrap()), grant(&before));

    corp.sandbox.clear_faults();
    corp.home.ccproxy(&["auth", "refresh", "corp"]).await.expect_success();
    let answer = Call::get(&host.url("/corp/hello")).send().await;
    assert_eq!(answer.json()["token_state"], json!("valid"));
    assert_eq!(corp.sandbox.counts().reuse_detected, 0);
}

/// The part of a record that a failure must not touch.
fn grant(record: &[u8]) -> Value {
    let record: Value = serde_json::from_slice(record).unwrap();
    record["payload"].clone()
}

#[tokio::test]
async fn a_refusal_for_good_asks_for_a_login_and_keeps_the_record() {
    let corp = Corp::new(Corp::rotating()).await;
    corp.login_and_let_expire().await;
    corp.sandbox.revoke_refresh_tokens(None);
    let host = corp.home.serve().await;
    let answer = Call::get(&host.url("/corp/hello")).send().await;
    assert_eq!((answer.status.as_u16(), answer.header("ccproxy-error")), (401, "reauth_required"));
    assert!(answer.json()["hint"].as_str().unwrap().contains("ccproxy auth login corp"), "{}", answer.text());
    let error = corp.home.ccproxy(&["auth", "token", "corp", "--json"]).await.expect_code(4).json_error();
    assert_eq!(error["code"], json!("reauth_required"), "{error}");
    assert_eq!(status(&corp.home, "corp").await["state"], json!("reauth_required"));
    assert!(corp.home.credential("corp").exists());
}

fn body(status: u16, content_type: &str, body: &str) -> Fault {
    let content_type = content_type.to_owned();
    Fault::Body { status, content_type, body: body.to_owned(), headers: BTreeMap::new() }
}

fn set(fields: Value) -> Fault {
    Fault::Set { fields: fields.as_object().cloned().unwrap_or_default() }
}

/// What a server says, the endpoint where it says it, and what becomes of the login.
fn lies() -> Vec<(&'static str, Endpoint, Fault, i32, &'static str)> {
    let token = Endpoint::Token;
    vec![
        ("a page", token, body(200, "text/html", "<html>hi"), 5, "invalid_response"),
        ("nothing", token, body(200, "application/json", ""), 5, "invalid_response"),
        ("no token", token, Fault::Omit { fields: vec!["access_token".into()] }, 5, "invalid_response"),
        ("an odd type", token, set(json!({ "token_type": "mac" })), 5, "invalid_response"),
        ("two lines", token, set(json!({ "access_token": "a\nb" })), 5, "invalid_response"),
        ("a bad gateway", token, body(502, "text/html", "<html>"), 5, "provider_unavailable"),
        ("busy", token, body(429, "application/json", "{}"), 5, "rate_limited"),
        (
            "another issuer",
            Endpoint::Discovery,
            set(json!({ "issuer": "https://evil.test" })),
            5,
            "invalid_response",
        ),
        ("no metadata", Endpoint::Discovery, body(200, "application/json", "[]"), 5, "invalid_response"),
    ]
}

#[tokio::test]
async fn each_lie_at_a_login_has_its_code_and_nothing_is_saved() {
    for (lie, endpoint, fault, exit, code) in lies() {
        let corp = Corp::new(Settings::default()).await;
        corp.sandbox.fault(endpoint, 9, fault);
        let told = try_to_log_in(&corp, endpoint, lie).await;
        assert_eq!((told.code(), &told.json_error()["code"]), (exit, &json!(code)), "{lie}: {told}");
        assert!(!corp.home.credential("corp").exists(), "{lie}");
    }
}

/// What is wrong with an ID token of a first login, of which there is no earlier one to compare with.
const FORGERIES: [Mutation; 12] = [
    Mutation::AlgNone,
    Mutation::BadSig,
    Mutation::WrongIss,
    Mutation::WrongAud,
    Mutation::WrongAzp,
    Mutation::WrongNonce,
    Mutation::Expired,
    Mutation::FutureIat,
    Mutation::MissingSub,
    Mutation::BadAtHash,
    Mutation::Hs256,
    Mutation::KidUnknown,
];

#[tokio::test]
async fn an_id_token_that_proves_nothing_is_refused() {
    for mutation in FORGERIES {
        let corp = Corp::new(Settings::default()).await;
        corp.sandbox.fault(Endpoint::Token, 9, Fault::IdToken { mutation });
        let told = try_to_log_in(&corp, Endpoint::Token, &format!("{mutation:?}")).await.expect_code(5);
        assert_eq!(told.json_error()["code"], json!("invalid_response"), "{mutation:?}: {told}");
        assert!(!corp.home.credential("corp").exists(), "{mutation:?}");
    }
}

/// Discovery fails before a browser is sent anywhere, everything else afterwards.
async fn try_to_log_in(corp: &Corp, endpoint: Endpoint, lie: &str) -> Finished {
    if endpoint == Endpoint::Discovery {
        return corp.home.ccproxy(&["auth", "login", "corp", "--web", "--no-browser", "--json"]).await;
    }
    let login = BrowserLogin::start(&corp.home, &["corp"]).await;
    let back = corp.sandbox.approve(&login.url, "alice").await;
    let page = Call::get(back.as_str()).send().await;
    assert_eq!(page.status, 400, "{lie}: {}", page.text());
    login.finish().await
}

/// The same lies when a login is renewed: the grant stays as it was, and the next refresh uses it.
#[tokio::test]
async fn a_lie_at_a_refresh_costs_that_refresh_only() {
    for (lie, endpoint, fault, exit, code) in lies() {
        if endpoint != Endpoint::Token {
            continue;
        }
        // Without rotation: a rotating server that lies has spent the token, whatever we do.
        let corp = Corp::new(Settings { rotate: false, ..Corp::rotating() }).await;
        corp.login().await;
        let before = std::fs::read(corp.home.credential("corp")).unwrap();
        corp.sandbox.fault(endpoint, 1, fault);
        let told = corp.home.ccproxy(&["auth", "refresh", "corp", "--json"]).await;
        assert_eq!((told.code(), &told.json_error()["code"]), (exit, &json!(code)), "{lie}: {told}");
        let after = std::fs::read(corp.home.credential("corp")).unwrap();
        assert_eq!(grant(&after), grant(&before), "{lie}");
        corp.home.ccproxy(&["auth", "refresh", "corp"]).await.expect_success();
    }
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let corp = Corp::new(Corp::rotating()).await;
    corp.login_and_let_expire().await;
    corp.sandbox.change_settings(Change { token_delay: Some(Duration::from_secs(45)), ..Change::default() });
    let host = corp.home.serve().await;
    let answer = Call::get(&host.url("/corp/hello")).send().await;
    let code = answer.header("ccproxy-error");
    assert!(
        (answer.status == 503 && code == "credential_unavailable")
            || (answer.status == 504 && code == "credential_timeout"),
        "{} {code}",
        answer.status
    );
    assert_eq!(status(&corp.home, "corp").await["refreshable"], json!(true));
}
