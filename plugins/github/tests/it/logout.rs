//! Giving a token back.

use ccproxy_plugin_sdk::testing::Bench;
use ccproxy_plugin_sdk::{Error, ErrorCode};
use httpmock::{Mock, MockServer};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use super::{device_app, stored, web_app};

fn logged_in(bench: Bench, grant_type: &str) -> Bench {
    let tokens = json!({ "default": { "access_token": "gho_1" } });
    bench.set_record(&stored(json!({ "tokens": tokens, "grant_type": grant_type })));
    bench
}

fn revocation(server: &MockServer, status: u16) -> Mock<'_> {
    server.mock(|when, then| {
        when.method("DELETE")
            .path("/api/applications/Iv1.test/token")
            // Iv1.test and the secret of `web_app`.
            .header("authorization", "Basic SXYxLnRlc3Q6czNjcit0LyYgJQ==")
            .json_body(json!({ "access_token": "gho_1" }));
        then.status(status);
    })
}

async fn outcome(bench: &Bench, revoke: bool) -> (bool, String, Option<Value>) {
    let outcome = bench.logout(revoke).await.unwrap();
    (outcome.revoked, outcome.message, bench.record())
}

#[tokio::test]
async fn with_the_client_secret_the_token_is_revoked() {
    let server = MockServer::start();
    let mock = revocation(&server, 204);
    let bench = logged_in(web_app(&server), "authorization_code");
    assert_eq!(outcome(&bench, true).await, (true, String::new(), None));
    mock.assert();
}

#[tokio::test]
async fn a_token_that_is_gone_already_is_said_to_be() {
    let server = MockServer::start();
    revocation(&server, 404);
    let bench = logged_in(web_app(&server), "authorization_code");
    assert_eq!(outcome(&bench, true).await, (false, "GitHub does not know the token any more".into(), None));
}

#[tokio::test]
async fn without_a_client_secret_it_says_plainly_that_it_did_not() {
    let server = MockServer::start();
    let bench = logged_in(device_app(&server), "device_code").with_http(|_| panic!("no request"));
    let page = format!("{}/settings/applications", server.base_url());
    let message = format!("not revoked: GitHub wants the client secret for that; revoke the app at {page}");
    assert_eq!(outcome(&bench, true).await, (false, message, None));
}

#[tokio::test]
async fn a_personal_token_is_no_apps_to_revoke() {
    let server = MockServer::start();
    let bench = logged_in(web_app(&server), "token").with_http(|_| panic!("no request"));
    let page = format!("{}/settings/tokens", server.base_url());
    assert_eq!(
        outcome(&bench, true).await,
        (false, format!("the token itself lives on: delete it at {page}"), None)
    );
}

#[tokio::test]
async fn nothing_is_revoked_unasked() {
    let server = MockServer::start();
    let bench = logged_in(web_app(&server), "authorization_code").with_http(|_| panic!("no request"));
    assert_eq!(outcome(&bench, false).await, (false, String::new(), None));
}

#[tokio::test]
async fn a_github_that_is_away_keeps_nobody_logged_in() {
    let server = MockServer::start();
    let bench = logged_in(web_app(&server), "authorization_code")
        .with_http(|_| Err(Error::new(ErrorCode::Network, "connection refused")));
    assert_eq!(outcome(&bench, true).await, (false, "not revoked: connection refused".into(), None));
}
