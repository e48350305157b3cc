//! Every refusal of the login endpoints, each with status 200.

use ccproxy_plugin_sdk::{Error, ErrorCode, Flow};
use httpmock::MockServer;
use pretty_assertions::assert_eq;
use serde_json::json;

use super::{SECRET, device_app, polled, token_endpoint, web_app};

const REDIRECT: &str = "http://127.0.0.1:41999/callback";

/// What a device login ends with.
async fn device_error(error: &str) -> Error {
    polled(json!({ "error": error, "error_description": "Why." })).await.err().unwrap()
}

/// What a code is answered with.
async fn code_error(error: &str) -> Error {
    let server = MockServer::start();
    let answer =
        json!({ "error": error, "error_description": "Why.", "error_uri": "https://docs.github.com/" });
    token_endpoint(&server, |when| when, answer);
    let bench = web_app(&server);
    let open = bench.login_begin(Flow::Browser, REDIRECT, "s").await.unwrap();
    bench.login_redirect(&open, "code=c&state=s").await.err().unwrap()
}

fn said(error: &Error) -> (ErrorCode, &str, &str) {
    (error.code, &error.message, error.hint.as_deref().unwrap_or_default())
}

#[tokio::test]
async fn incorrect_client_credentials_are_a_rejected_secret() {
    assert_eq!(
        said(&code_error("incorrect_client_credentials").await),
        (
            ErrorCode::CredentialsRejected,
            "GitHub answered `incorrect_client_credentials`: Why.",
            "check `client_id` and `client_secret`; without a secret only the device flow works"
        )
    );
}

#[tokio::test]
async fn redirect_uri_mismatch_names_the_callback_to_enter() {
    assert_eq!(
        said(&code_error("redirect_uri_mismatch").await),
        (
            ErrorCode::InvalidConfig,
            "GitHub answered `redirect_uri_mismatch`: Why.",
            "enter http://127.0.0.1/callback as the app's callback URL, or set `redirect_uri` to the one it has"
        )
    );
}

#[tokio::test]
async fn bad_verification_code_is_a_spent_code() {
    assert_eq!(
        said(&code_error("bad_verification_code").await),
        (
            ErrorCode::CredentialsRejected,
            "GitHub answered `bad_verification_code`: Why.",
            "a code lives ten minutes and works once: log in again"
        )
    );
}

#[tokio::test]
async fn unverified_user_email_sends_to_the_address_book() {
    assert_eq!(
        said(&code_error("unverified_user_email").await),
        (
            ErrorCode::AccessDenied,
            "GitHub answered `unverified_user_email`: Why.",
            "verify your primary address at GitHub's settings/emails, then log in again"
        )
    );
}

#[tokio::test]
async fn incorrect_device_code_starts_over() {
    assert_eq!(
        said(&device_error("incorrect_device_code").await),
        (ErrorCode::CredentialsRejected, "GitHub answered `incorrect_device_code`: Why.", "log in again")
    );
}

#[tokio::test]
async fn expired_token_and_token_expired_are_one() {
    let (one, other) = (device_error("expired_token").await, device_error("token_expired").await);
    assert_eq!(one.code, ErrorCode::TokenExpired);
    assert_eq!(said(&one), said(&other));
}

#[tokio::test]
async fn access_denied_is_a_no() {
    assert_eq!(device_error("access_denied").await.code, ErrorCode::AccessDenied);
    let bench = web_app(&MockServer::start());
    let open = bench.login_begin(Flow::Browser, REDIRECT, "s").await.unwrap();
    let denied = bench.login_redirect(&open, "error=access_denied&state=s").await.err().unwrap();
    assert_eq!(denied.code, ErrorCode::AccessDenied);
}

#[tokio::test]
async fn unsupported_grant_type_is_unsupported() {
    assert_eq!(device_error("unsupported_grant_type").await.code, ErrorCode::Unsupported);
}

#[tokio::test]
async fn device_flow_disabled_names_the_box_to_tick() {
    let server = MockServer::start();
    server.mock(|when, then| {
        when.path("/login/device/code");
        then.status(200).json_body(json!({ "error": "device_flow_disabled", "error_description": "Why." }));
    });
    let error = device_app(&server).login_begin(Flow::Device, "", "").await.err().unwrap();
    assert_eq!(
        said(&error),
        (
            ErrorCode::InvalidConfig,
            "GitHub answered `device_flow_disabled`: Why.",
            "tick \"Enable Device Flow\" in the app's settings at GitHub, or log in with --flow browser"
        )
    );
}

#[tokio::test]
async fn an_unknown_client_id_is_not_found() {
    let server = MockServer::start();
    server.mock(|when, then| {
        when.path("/login/device/code");
        then.status(404).json_body(json!({ "error": "Not Found" }));
    });
    let error = device_app(&server).login_begin(Flow::Device, "", "").await.err().unwrap();
    assert_eq!(
        said(&error),
        (
            ErrorCode::CredentialsRejected,
            "GitHub answered `Not Found`",
            "no app has this `client_id` here: check it, and `host`"
        )
    );
}

#[tokio::test]
async fn a_maintenance_page_is_no_verdict() {
    let server = MockServer::start();
    server.mock(|when, then| {
        when.path("/login/device/code");
        then.status(503).header("content-type", "text/html").body("<h1>Unicorn!</h1>");
    });
    let error = device_app(&server).login_begin(Flow::Device, "", "").await.err().unwrap();
    assert_eq!(error.code, ErrorCode::ProviderUnavailable);
}

#[tokio::test]
async fn no_refusal_repeats_a_secret() {
    let server = MockServer::start();
    let quoted = format!("client_secret {SECRET} and code c0de-canary are wrong");
    let answer = json!({ "error": "incorrect_client_credentials", "error_description": quoted });
    token_endpoint(&server, |when| when, answer);
    let bench = web_app(&server);
    let open = bench.login_begin(Flow::Browser, REDIRECT, "s").await.unwrap();
    let error = bench.login_redirect(&open, "code=c0de-canary&state=s").await.err().unwrap();
    assert!(!error.message.contains(SECRET) && !error.message.contains("c0de-canary"), "{}", error.message);
}
