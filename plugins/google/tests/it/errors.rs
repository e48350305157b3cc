//! Every refusal that has a remedy of its own.

use ccproxy_plugin_sdk::{Error, ErrorCode, Flow};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use super::google::{Google, REDIRECT_URI};

/// What a redirect with this error ends in.
async fn redirected(error: &str) -> Error {
    let bench = Google::start().bench();
    let step = bench.login_begin(Flow::Browser, REDIRECT_URI, "s").await.unwrap();
    bench.login_redirect(&step, &format!("error={error}&state=s")).await.err().unwrap()
}

/// What a code is answered with.
async fn code_answered(status: u16, answer: Value) -> Error {
    let google = Google::start();
    google.answer("/token", &[("code", "4/0c0de")], status, answer);
    let bench = google.bench();
    let step = bench.login_begin(Flow::Browser, REDIRECT_URI, "s").await.unwrap();
    bench.login_redirect(&step, "code=4%2F0c0de&state=s").await.err().unwrap()
}

/// What the request for a device code is answered with.
async fn device_answered(status: u16, answer: Value) -> Error {
    let google = Google::start();
    google.answer("/device/code", &[], status, answer);
    google.bench().login_begin(Flow::Device, "", "").await.err().unwrap()
}

fn has_remedy(error: &Error, code: ErrorCode, remedy: &str) {
    assert_eq!(error.code, code, "{error:?}");
    assert!(error.message.starts_with("Google answered `"), "{error:?}");
    assert!(error.hint.as_ref().is_some_and(|hint| hint.contains(remedy)), "{error:?}");
}

#[tokio::test]
async fn errors_of_the_page_that_come_in_the_redirect_each_have_a_remedy() {
    use ErrorCode::{AccessDenied, InvalidConfig};
    for (error, code, remedy) in [
        ("org_internal", AccessDenied, "make its audience External"),
        ("admin_policy_enforced", AccessDenied, "Workspace administrator must trust the client id"),
        ("access_denied", AccessDenied, "nobody but its test users"),
        ("disallowed_useragent", AccessDenied, "open the link in a browser"),
        ("redirect_uri_mismatch", InvalidConfig, "type \"Desktop app\""),
    ] {
        has_remedy(&redirected(error).await, code, remedy);
    }
}

#[tokio::test]
async fn a_client_of_another_type_is_told_which_one_devices_need() {
    let only = "Only clients of type 'TVs and Limited Input devices' can use the OAuth 2.0 flow for TV and \
                Limited-Input Device Applications. Please create and use an appropriate client.";
    let error = device_answered(401, json!({ "error": "invalid_client", "error_description": only })).await;
    has_remedy(&error, ErrorCode::InvalidConfig, "or --flow paste where there is no browser");
}

#[tokio::test]
async fn any_other_client_that_is_refused_is_to_be_checked() {
    for error in ["invalid_client", "deleted_client", "disabled_client", "unauthorized_client"] {
        let error = code_answered(401, json!({ "error": error, "error_description": "Unauthorized" })).await;
        has_remedy(&error, ErrorCode::CredentialsRejected, "check `client_id` and `client_secret`");
    }
}

#[tokio::test]
async fn a_secret_that_google_misses_is_named() {
    let answer = json!({ "error": "invalid_request", "error_description": "client_secret is missing." });
    has_remedy(&code_answered(400, answer).await, ErrorCode::InvalidConfig, "set `client_secret`");
}

#[tokio::test]
async fn a_scope_that_devices_may_not_ask_for_is_told_where_it_may_be() {
    let described = "Invalid device flow scope: https://www.googleapis.com/auth/drive.readonly";
    let answer = json!({ "error": "invalid_scope", "error_description": described });
    has_remedy(&device_answered(400, answer).await, ErrorCode::InvalidConfig, "log in with --flow browser");
}

#[tokio::test]
async fn the_quota_of_device_codes_is_in_a_member_of_its_own() {
    let error = device_answered(403, json!({ "error_code": "rate_limit_exceeded" })).await;
    has_remedy(&error, ErrorCode::RateLimited, "too many codes");
}

#[tokio::test]
async fn a_code_that_is_spent_is_no_ended_login() {
    let error =
        code_answered(400, json!({ "error": "invalid_grant", "error_description": "Bad Request" })).await;
    assert_eq!((error.code, error.hint), (ErrorCode::ReauthRequired, None));
}
