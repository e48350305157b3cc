//! Whose token it is, and what the API says no with.

use std::time::Duration;

use ccproxy_plugin_sdk::testing::Bench;
use ccproxy_plugin_sdk::{Account, Error, ErrorCode};
use httpmock::{MockServer, Then};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use super::{api, device_app, stored};

fn bench(server: &MockServer) -> Bench {
    let bench = device_app(server);
    bench.set_record(&stored(json!({ "tokens": { "default": { "access_token": "gho_1" } } })));
    bench
}

fn octo(display_name: &str) -> Account {
    Account { subject: "octo".into(), display_name: display_name.into(), host: "127.0.0.1".into() }
}

fn user(server: &MockServer, email: Value) {
    let user = json!({ "login": "octo", "id": 583_231, "type": "User", "email": email });
    api(server, "/user", "gho_1", |then| then.status(200).json_body(user));
}

#[tokio::test]
async fn a_published_address_is_taken() {
    let server = MockServer::start();
    user(&server, json!("public@example.test"));
    assert_eq!(bench(&server).probe().await.unwrap(), octo("public@example.test"));
}

#[tokio::test]
async fn an_unpublished_address_is_the_primary_and_verified_one() {
    let server = MockServer::start();
    user(&server, Value::Null);
    let emails = json!([
        { "email": "old@example.test", "primary": false, "verified": true, "visibility": null },
        { "email": "octo@example.test", "primary": true, "verified": true, "visibility": "private" },
    ]);
    api(&server, "/user/emails", "gho_1", |then| then.status(200).json_body(emails));
    assert_eq!(bench(&server).probe().await.unwrap(), octo("octo@example.test"));
}

#[tokio::test]
async fn an_unverified_primary_address_is_not_taken() {
    let server = MockServer::start();
    user(&server, Value::Null);
    let emails = json!([{ "email": "new@example.test", "primary": true, "verified": false }]);
    api(&server, "/user/emails", "gho_1", |then| then.status(200).json_body(emails));
    assert_eq!(bench(&server).probe().await.unwrap(), octo("octo"));
}

#[tokio::test]
async fn without_the_scope_for_addresses_the_login_is_enough() {
    for status in [404, 403] {
        let server = MockServer::start();
        user(&server, Value::Null);
        api(&server, "/user/emails", "gho_1", |then| {
            then.status(status).json_body(json!({ "message": "no" }))
        });
        assert_eq!(bench(&server).probe().await.unwrap(), octo("octo"));
    }
}

async fn refused(answer: impl FnOnce(Then) -> Then) -> Error {
    let server = MockServer::start();
    api(&server, "/user", "gho_1", answer);
    bench(&server).probe().await.unwrap_err()
}

#[tokio::test]
async fn bad_credentials_are_rejected() {
    let error = refused(|then| then.status(401).json_body(json!({ "message": "Bad credentials" }))).await;
    assert_eq!(error.code, ErrorCode::CredentialsRejected);
    assert_eq!(error.message, "`127.0.0.1` answered 401: Bad credentials");
}

#[tokio::test]
async fn a_403_with_nothing_remaining_is_a_rate_limit_until_its_reset() {
    let error = refused(|then| {
        then.status(403)
            .header("x-ratelimit-remaining", "0")
            // The bench's clock stands at 1767225600.
            .header("x-ratelimit-reset", "1767225690")
            .json_body(json!({ "message": "API rate limit exceeded for user ID 1." }))
    })
    .await;
    assert_eq!((error.code, error.retry_after), (ErrorCode::RateLimited, Some(Duration::from_secs(90))));
}

#[tokio::test]
async fn a_403_with_retry_after_is_a_rate_limit_too() {
    let error = refused(|then| {
        then.status(403)
            .header("retry-after", "60")
            .header("x-ratelimit-remaining", "4999")
            .json_body(json!({ "message": "You have exceeded a secondary rate limit." }))
    })
    .await;
    assert_eq!((error.code, error.retry_after), (ErrorCode::RateLimited, Some(Duration::from_secs(60))));
}

#[tokio::test]
async fn a_403_with_x_github_sso_wants_single_sign_on() {
    let error = refused(|then| {
        then.status(403)
            .header(
                "x-github-sso",
                "required; url=https://github.com/orgs/octo/sso?authorization_request=canary",
            )
            .json_body(json!({ "message": "Resource protected by organization SAML enforcement." }))
    })
    .await;
    assert_eq!(error.code, ErrorCode::ConsentRequired);
    assert_eq!(
        error.hint.as_deref(),
        Some(
            "start a single sign-on session at https://github.com/orgs/octo/sso, then log in again with --force"
        )
    );
}

#[tokio::test]
async fn any_other_403_is_a_no() {
    let error = refused(|then| {
        then.status(403)
            .header("x-ratelimit-remaining", "4999")
            .json_body(json!({ "message": "Resource not accessible by personal access token" }))
    })
    .await;
    assert_eq!(error.code, ErrorCode::AccessDenied);
    assert_eq!(error.retry_after, None);
}

#[tokio::test]
async fn a_host_without_an_api_is_named() {
    let error = refused(|then| then.status(404).body("<html>not here</html>")).await;
    assert_eq!(
        (error.code, error.message.as_str(), error.hint.as_deref()),
        (ErrorCode::InvalidResponse, "`127.0.0.1` answered 404", Some("check `host` and `api_url`"))
    );
    let error = refused(|then| then.status(200).body("<html>a captive portal</html>")).await;
    assert_eq!(error.message, "`127.0.0.1` did not answer with a user");
}

#[tokio::test]
async fn a_broken_github_is_unavailable() {
    assert_eq!(refused(|then| then.status(502)).await.code, ErrorCode::ProviderUnavailable);
}
