//! What Entra says no with: `error` and `suberror` decide, the AADSTS line is shown, the rest is not.

use std::time::Duration;

use ccproxy_plugin_sdk::{Error, ErrorCode, Flow};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use super::entra::{Entra, refusal};

/// What a refresh ends with that Entra answers like this.
async fn refresh_error(status: u16, body: Value) -> Error {
    let entra = Entra::start();
    let bench = entra.logged_in().await;
    entra.tokens(&[("grant_type", "refresh_token")], status, body);
    bench.advance(Duration::from_secs(3600));
    bench.acquire().await.err().unwrap()
}

/// What a device login ends with whose poll Entra answers like this.
async fn device_error(error: &str, suberror: &str) -> Error {
    let entra = Entra::start();
    entra.device_code();
    entra.tokens(&[], 400, refusal(error, suberror, "AADSTS70000: Why."));
    let bench = entra.bench();
    let shown = bench.login_begin(Flow::Device, "", "").await.unwrap();
    bench.login_poll(&shown).await.err().unwrap()
}

fn hint(error: &Error) -> &str {
    error.hint.as_deref().unwrap_or_default()
}

#[tokio::test]
async fn only_the_first_line_is_shown() {
    let dead = "AADSTS700082: The refresh token has expired due to inactivity.";
    let error = refresh_error(400, refusal("invalid_grant", "", dead)).await;
    assert_eq!(error.code, ErrorCode::ReauthRequired);
    assert_eq!(error.message, format!("Entra answered `invalid_grant`: {dead}"));
    assert_eq!(hint(&error), "ccproxy auth login test --force");
}

#[tokio::test]
async fn suberror_says_what_error_does_not() {
    for (suberror, code, advice) in [
        ("consent_required", ErrorCode::ConsentRequired, "/adminconsent?client_id=app"),
        ("basic_action", ErrorCode::ReauthRequired, "--flow browser"),
        ("additional_action", ErrorCode::ReauthRequired, "--flow browser"),
        ("message_only", ErrorCode::AccessDenied, "sign-in logs"),
        ("protection_policy_required", ErrorCode::AccessDenied, "managed device"),
        ("device_authentication_failed", ErrorCode::AccessDenied, "managed device"),
        ("user_password_expired", ErrorCode::ReauthRequired, "change the password"),
        ("bad_token", ErrorCode::ReauthRequired, "ccproxy auth login test"),
        ("token_expired", ErrorCode::ReauthRequired, "ccproxy auth login test"),
        ("of_next_year", ErrorCode::ReauthRequired, "ccproxy auth login test"),
    ] {
        let error = refresh_error(400, refusal("invalid_grant", suberror, "AADSTS1: Why.")).await;
        assert_eq!(error.code, code, "{suberror}");
        assert!(hint(&error).contains(advice), "{suberror}: {}", hint(&error));
    }
}

#[tokio::test]
async fn errors_beyond_the_rfc_have_a_meaning_and_a_remedy() {
    for (error, code, advice) in [
        ("interaction_required", ErrorCode::ReauthRequired, "--flow browser"),
        ("consent_required", ErrorCode::ConsentRequired, "an administrator agrees for everybody: http"),
        ("invalid_resource", ErrorCode::InvalidConfig, "check the resource in `scopes`"),
        ("user_password_expired", ErrorCode::ReauthRequired, "change the password"),
        ("unauthorized_client", ErrorCode::CredentialsRejected, "check `client_id` and `tenant`"),
        ("invalid_scope", ErrorCode::InvalidConfig, "RESOURCE/.default"),
        ("invalid_request", ErrorCode::InvalidConfig, "check `tenant`"),
        ("invalid_client", ErrorCode::CredentialsRejected, "Allow public client flows"),
    ] {
        let error_of = refresh_error(400, refusal(error, "", "AADSTS2: Why.")).await;
        assert_eq!(error_of.code, code, "{error}");
        assert!(hint(&error_of).contains(advice), "{error}: {}", hint(&error_of));
    }
}

#[tokio::test]
async fn the_number_of_an_aadsts_code_decides_nothing() {
    let line = "AADSTS700082: looks like a dead refresh token";
    let error = refresh_error(400, refusal("temporarily_unavailable", "", line)).await;
    assert_eq!(error.code, ErrorCode::ProviderUnavailable);
    let error = refresh_error(503, json!({ "error": "server_error", "error_codes": [65_001] })).await;
    assert_eq!(error.code, ErrorCode::ProviderUnavailable);
}

#[tokio::test]
async fn a_claims_challenge_asks_for_the_person_and_is_not_shown() {
    let mut body = refusal(
        "interaction_required",
        "basic_action",
        "AADSTS50076: You must use multi-factor authentication.",
    );
    body["claims"] = json!("{\"access_token\":{\"capolids\":{\"essential\":true,\"values\":[\"canary\"]}}}");
    let error = refresh_error(400, body).await;
    assert_eq!(error.code, ErrorCode::ReauthRequired);
    assert!(!format!("{error:?}").contains("canary"));
}

#[tokio::test]
async fn a_device_login_has_words_of_its_own_for_no() {
    let declined = device_error("authorization_declined", "").await;
    assert_eq!(declined.code, ErrorCode::AccessDenied);
    assert_eq!(declined.message, "Entra answered `authorization_declined`: AADSTS70000: Why.");
    assert!(hint(&declined).contains("ccproxy auth login azure --connection test"), "{}", hint(&declined));

    let bad = device_error("bad_verification_code", "").await;
    assert_eq!(bad.code, ErrorCode::CredentialsRejected);
    assert!(hint(&bad).contains("a device code works once"));

    assert_eq!(device_error("expired_token", "").await.code, ErrorCode::TokenExpired);
}

#[tokio::test]
async fn a_tenant_that_blocks_one_flow_may_let_the_other_in() {
    for (error, suberror) in [("access_denied", ""), ("invalid_grant", "message_only")] {
        let blocked = device_error(error, suberror).await;
        assert_eq!(blocked.code, ErrorCode::AccessDenied);
        assert!(hint(&blocked).contains("--flow browser"), "{}", hint(&blocked));
    }
    let bench = Entra::start().bench();
    let open = bench.login_begin(Flow::Browser, "http://localhost:1", "s").await.unwrap();
    let query = "error=access_denied&error_subcode=cancel&error_description=AADSTS53003%3a+Blocked.&state=s";
    let blocked = bench.login_redirect(&open, query).await.err().unwrap();
    assert_eq!(blocked.code, ErrorCode::AccessDenied);
    assert!(hint(&blocked).contains("--flow device"), "{}", hint(&blocked));
}

#[tokio::test]
async fn an_app_without_device_flow_is_told_when_the_code_is_asked_for() {
    let entra = Entra::start();
    let body = refusal(
        "invalid_client",
        "",
        "AADSTS7000218: The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
    );
    entra.answer("oauth2/v2.0/devicecode", |when| when, 401, body);
    let error = entra.bench().login_begin(Flow::Device, "", "").await.err().unwrap();
    assert_eq!(error.code, ErrorCode::CredentialsRejected);
    assert!(hint(&error).contains("Allow public client flows"));
}
