//! Logging out.

use ccproxy_plugin_sdk::Revocation;
use pretty_assertions::assert_eq;
use serde_json::json;

use super::issuer::Issuer;

fn outcome(revoked: bool, message: &str) -> Revocation {
    Revocation { revoked, message: message.into() }
}

#[tokio::test]
async fn the_refresh_token_is_revoked_and_then_its_access_tokens() {
    let issuer = Issuer::start();
    let bench = issuer.logged_in(json!({})).await;
    // RFC 7009 section 2.2: the body of a success says nothing, and is often empty.
    let refresh = issuer.server.mock(|when, then| {
        when.path("/revoke")
            .form_urlencoded_tuple("token", "rt-1")
            .form_urlencoded_tuple("token_type_hint", "refresh_token")
            .form_urlencoded_tuple("client_id", "cli");
        then.status(200);
    });
    let unsupported = json!({"error": "unsupported_token_type"});
    let access = issuer.answer("/revoke", &[("token", "at-1")], 400, unsupported);
    assert_eq!(bench.logout(true).await.unwrap(), outcome(true, ""));
    refresh.assert();
    access.assert();
    assert_eq!(bench.record(), None);
}

#[tokio::test]
async fn a_token_that_is_gone_already_counts_as_revoked() {
    let issuer = Issuer::start();
    let bench = issuer.logged_in(json!({})).await;
    issuer.answer("/revoke", &[], 400, json!({"error": "invalid_token"}));
    assert!(bench.logout(true).await.unwrap().revoked);
}

#[tokio::test]
async fn a_failed_revocation_deletes_all_the_same_and_says_so() {
    let issuer = Issuer::start();
    let bench = issuer.logged_in(json!({})).await;
    issuer.answer("/revoke", &[], 503, json!("<html>"));
    assert_eq!(
        bench.logout(true).await.unwrap(),
        outcome(
            false,
            "deleted here, but not revoked at the authorization server: the authorization server answered status 503"
        )
    );
    assert_eq!(bench.record(), None);
}

#[tokio::test]
async fn without_a_revocation_endpoint_the_record_is_deleted() {
    let issuer = Issuer::start_with(json!({"revocation_endpoint": null}));
    let bench = issuer.logged_in(json!({})).await;
    let outcome = bench.logout(true).await.unwrap();
    assert!(!outcome.revoked);
    assert!(outcome.message.ends_with("there is no revocation endpoint"), "{}", outcome.message);
    assert_eq!(bench.record(), None);
}

#[tokio::test]
async fn no_revoke_means_no_request() {
    let issuer = Issuer::start();
    let bench = issuer.logged_in(json!({})).await;
    let revoke = issuer.answer("/revoke", &[], 200, json!({}));
    assert_eq!(bench.logout(false).await.unwrap(), outcome(false, "not revoked at the authorization server"));
    revoke.assert_calls(0);
    assert_eq!(bench.logout(true).await.unwrap(), outcome(false, "nothing was stored"));
    revoke.assert_calls(0);
}
