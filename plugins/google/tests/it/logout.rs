//! Giving the grant back.

use ccproxy_plugin_sdk::{Error, ErrorCode};
use pretty_assertions::assert_eq;
use serde_json::json;

use super::google::Google;

#[tokio::test]
async fn the_grant_is_revoked_and_a_token_that_went_with_it_is_no_failure() {
    let google = Google::start();
    let bench = google.logged_in(json!({})).await;
    let refresh = google.answer("/revoke", &[("token", "1//r")], 200, json!({}));
    let gone = json!({ "error": "invalid_token", "error_description": "Token expired or revoked" });
    let access = google.answer("/revoke", &[("token", "ya29.1")], 400, gone);
    let outcome = bench.logout(true).await.unwrap();
    assert_eq!((outcome.revoked, outcome.message.as_str(), bench.record()), (true, "", None));
    refresh.assert();
    access.assert();
}

#[tokio::test]
async fn a_grant_that_is_gone_already_counts_as_revoked() {
    let google = Google::start();
    let bench = google.logged_in(json!({})).await;
    google.answer("/revoke", &[], 400, json!({ "error": "invalid_token" }));
    assert!(bench.logout(true).await.unwrap().revoked);
}

#[tokio::test]
async fn a_google_that_is_away_keeps_nobody_logged_in() {
    let bench = Google::start().logged_in(json!({})).await;
    let bench = bench.with_http(|_| Err(Error::new(ErrorCode::Network, "connection refused")));
    let outcome = bench.logout(true).await.unwrap();
    assert_eq!((outcome.revoked, bench.record()), (false, None));
    assert!(outcome.message.contains("connection refused"), "{}", outcome.message);
}

#[tokio::test]
async fn nothing_is_revoked_unasked() {
    let bench = Google::start().logged_in(json!({})).await.with_http(|_| panic!("no request"));
    assert!(!bench.logout(false).await.unwrap().revoked);
    assert_eq!(bench.record(), None);
}
