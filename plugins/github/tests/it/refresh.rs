//! Expiring tokens of GitHub Apps, and tokens that cannot be refreshed.

use std::time::Duration;

use ccproxy_plugin_sdk::testing::Bench;
use ccproxy_plugin_sdk::{Credential, Error, ErrorCode, Reason, Target};
use httpmock::MockServer;
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use super::{SECRET, app, bearer, device_app, stored, token_endpoint, web_app};

const NOW: i64 = 1_767_225_600_000;
const HOUR: i64 = 3_600_000;

fn expiring(expires_at: i64) -> Vec<u8> {
    stored(json!({
        "tokens": { "default": { "access_token": "ghu_1", "expires_at": expires_at } },
        "refresh_token": "ghr_1",
        "refresh_expires_at": NOW + 1000 * HOUR,
        "scopes_granted": ["repo"],
    }))
}

fn renewed() -> Value {
    json!({
        "access_token": "ghu_2", "expires_in": 28800, "refresh_token": "ghr_2",
        "refresh_token_expires_in": 15_811_200, "scope": "", "token_type": "bearer",
    })
}

async fn acquire(bench: &Bench, reason: Reason, rejected: Option<u64>) -> Result<Credential, Error> {
    bench.acquire_with(&Target::default(), reason, rejected).await
}

#[tokio::test]
async fn a_live_token_is_used_without_a_word_to_github() {
    let bench = device_app(&MockServer::start()).with_http(|_| panic!("no request"));
    bench.set_record(&expiring(NOW + HOUR));
    let credential = bench.acquire().await.unwrap();
    assert_eq!((credential.fields, credential.generation), (bearer("ghu_1"), 1));
    assert_eq!(credential.expires_at.unwrap().0, NOW + HOUR);
}

#[tokio::test]
async fn an_expired_token_is_refreshed_and_the_new_pair_is_stored() {
    let server = MockServer::start();
    let refresh = token_endpoint(
        &server,
        |when| {
            when.form_urlencoded_tuple("grant_type", "refresh_token")
                .form_urlencoded_tuple("refresh_token", "ghr_1")
                .form_urlencoded_tuple("client_id", "Iv1.test")
                .form_urlencoded_tuple("client_secret", SECRET)
                .header_missing("authorization")
        },
        renewed(),
    );
    let bench = web_app(&server);
    bench.set_record(&expiring(NOW + 1000));
    let credential = bench.acquire().await.unwrap();
    refresh.assert();
    assert_eq!((credential.fields, credential.generation), (bearer("ghu_2"), 2));
    assert_eq!(credential.expires_at.unwrap().0, NOW + 8 * HOUR);

    let record = bench.record().unwrap();
    assert_eq!(record["refresh_token"], "ghr_2");
    assert_eq!(record["refresh_expires_at"], NOW + 15_811_200_000);
    assert_eq!(record["tokens"]["default"]["access_token"], "ghu_2");
    // Single use: the second acquire takes the stored token, and GitHub hears nothing.
    assert_eq!(bench.acquire().await.unwrap().fields, bearer("ghu_2"));
    assert_eq!(refresh.calls(), 1);
}

#[tokio::test]
async fn a_refresh_after_a_device_login_needs_no_secret() {
    let server = MockServer::start();
    let refresh =
        token_endpoint(&server, |when| when.form_urlencoded_tuple_missing("client_secret"), renewed());
    let bench = device_app(&server);
    bench.set_record(&expiring(NOW - 1));
    assert_eq!(bench.acquire().await.unwrap().fields, bearer("ghu_2"));
    refresh.assert();
}

#[tokio::test]
async fn a_new_pair_that_cannot_be_stored_is_not_used() {
    let server = MockServer::start();
    token_endpoint(&server, |when| when, renewed());
    let bench = device_app(&server);
    bench.set_record(&expiring(NOW - 1));
    bench.fail_writes(true);
    assert_eq!(bench.acquire().await.err().unwrap().code, ErrorCode::Storage);
}

#[tokio::test]
async fn what_another_process_renewed_is_used_after_a_401() {
    let bench = device_app(&MockServer::start()).with_http(|_| panic!("no request"));
    bench.set_record(&expiring(NOW + HOUR));
    let sent = bench.acquire().await.unwrap();
    bench.set_record(&stored(json!({
        "tokens": { "default": { "access_token": "ghu_2", "expires_at": NOW + HOUR } },
        "refresh_token": "ghr_2",
    })));
    let next = acquire(&bench, Reason::Rejected, Some(sent.generation)).await.unwrap();
    assert_eq!(next.fields, bearer("ghu_2"));
}

#[tokio::test]
async fn a_401_on_a_live_token_refreshes_it() {
    let server = MockServer::start();
    token_endpoint(&server, |when| when, renewed());
    let bench = device_app(&server);
    bench.set_record(&expiring(NOW + HOUR));
    let sent = bench.acquire().await.unwrap();
    let next = acquire(&bench, Reason::Rejected, Some(sent.generation)).await.unwrap();
    assert_eq!((next.fields, next.generation), (bearer("ghu_2"), 2));
}

#[tokio::test]
async fn a_dead_refresh_token_is_bad_refresh_token_with_status_200() {
    let server = MockServer::start();
    let description = "The refresh token passed is incorrect or expired.";
    let answer = json!({ "error": "bad_refresh_token", "error_description": description });
    token_endpoint(&server, |when| when, answer);
    let bench = device_app(&server);
    let record = expiring(NOW - 1);
    bench.set_record(&record);
    let error = bench.acquire().await.err().unwrap();
    assert_eq!(error.code, ErrorCode::ReauthRequired);
    assert_eq!(error.message, format!("GitHub answered `bad_refresh_token`: {description}"));
    assert_eq!(error.hint.as_deref(), Some("ccproxy auth login test"));
    assert_eq!(bench.record_bytes(), Some(record));
}

#[tokio::test]
async fn a_refresh_token_of_more_than_six_months_is_not_even_tried() {
    let bench = device_app(&MockServer::start()).with_http(|_| panic!("no request"));
    bench.set_record(&expiring(NOW + HOUR));
    bench.advance(Duration::from_secs(1001 * 3600));
    let error = bench.acquire().await.err().unwrap();
    assert_eq!(
        (error.code, error.message.as_str()),
        (ErrorCode::ReauthRequired, "the refresh token expired unused")
    );
}

#[tokio::test]
async fn a_github_that_is_away_leaves_the_record_alone() {
    let bench = device_app(&MockServer::start())
        .with_http(|_| Err(Error::new(ErrorCode::Network, "connection refused")));
    let record = expiring(NOW - 1);
    bench.set_record(&record);
    assert_eq!(bench.acquire().await.err().unwrap().code, ErrorCode::Network);
    assert_eq!(bench.record_bytes(), Some(record));
}

#[tokio::test]
async fn a_token_for_ever_dies_by_a_401_only() {
    let bench = device_app(&MockServer::start()).with_http(|_| panic!("no request"));
    bench.set_record(&stored(json!({ "tokens": { "default": { "access_token": "gho_1" } } })));
    bench.advance(Duration::from_secs(10 * 365 * 86_400));
    let sent = acquire(&bench, Reason::Scheduled, None).await.unwrap();
    assert_eq!((sent.expires_at, sent.fields), (None, bearer("gho_1")));

    let forced = acquire(&bench, Reason::Forced, None).await.err().unwrap();
    assert_eq!(forced.code, ErrorCode::Unsupported);
    assert_eq!(forced.message, "this token needs no refresh: it lives until it is revoked");

    let refused = acquire(&bench, Reason::Rejected, Some(sent.generation)).await.err().unwrap();
    assert_eq!(refused.code, ErrorCode::ReauthRequired);
    assert_eq!(refused.message, "GitHub refused the token, and it has no refresh token");
    assert_eq!(refused.hint.as_deref(), Some("ccproxy auth login test"));
}

#[tokio::test]
async fn a_token_never_goes_to_another_github() {
    let server = MockServer::start();
    let mut bench = device_app(&server).with_http(|_| panic!("no request"));
    bench.set_record(&expiring(NOW + HOUR));
    bench.set_settings(json!({ "client_id": "Iv1.test", "host": "ghe.evil.example" }));
    let error = bench.acquire().await.err().unwrap();
    assert_eq!(error.code, ErrorCode::ReauthRequired);
    assert_eq!(error.message, "the stored token is of `127.0.0.1`, the settings say `ghe.evil.example`");
}

#[tokio::test]
async fn a_refresh_token_never_goes_to_another_app() {
    let server = MockServer::start();
    let mut bench = device_app(&server).with_http(|_| panic!("no request"));
    bench.set_record(&expiring(NOW - 1));
    let mut settings = app(&server);
    settings["client_id"] = json!("Iv1.other");
    bench.set_settings(settings);
    let error = bench.acquire().await.err().unwrap();
    assert_eq!(error.code, ErrorCode::ReauthRequired);
    assert_eq!(error.message, "the stored grant is of client `Iv1.test`, the settings say `Iv1.other`");
}

#[tokio::test]
async fn an_override_is_used_until_it_is_refused() {
    let bench = device_app(&MockServer::start()).with_token_override("ghp_env");
    let sent = bench.acquire().await.unwrap();
    assert_eq!(sent.fields, bearer("ghp_env"));
    let refused = acquire(&bench, Reason::Rejected, Some(sent.generation)).await.err().unwrap();
    assert_eq!(refused.code, ErrorCode::CredentialsRejected);
}
