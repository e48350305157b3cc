//! Device logins, one poll at a time.

use std::time::Duration;

use ccproxy_plugin_sdk::{ErrorCode, Flow};
use pretty_assertions::assert_eq;
use serde_json::json;

use super::issuer::Issuer;

const POLL: [(&str, &str); 3] = [
    ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
    ("device_code", "dc-1"),
    ("client_id", "cli"),
];

fn offer(issuer: &Issuer) {
    issuer.answer(
        "/device",
        &[("client_id", "cli"), ("scope", "openid offline_access")],
        200,
        json!({
            "device_code": "dc-1",
            "user_code": "WDJB-MJHT",
            "verification_uri": "https://id.example.com/device",
            "verification_uri_complete": "https://id.example.com/device?user_code=WDJB-MJHT",
            "expires_in": 600,
        }),
    );
}

#[tokio::test]
async fn a_device_login_from_code_to_token() {
    let issuer = Issuer::start();
    offer(&issuer);
    let bench = issuer.bench();
    let shown = bench.login_begin(Flow::Device, "", "").await.unwrap();
    assert_eq!(shown.kind, "user_code");
    assert_eq!(
        shown.data,
        json!({
            "verification_uri": "https://id.example.com/device",
            "verification_uri_complete": "https://id.example.com/device?user_code=WDJB-MJHT",
            "user_code": "WDJB-MJHT",
        })
    );
    assert_eq!(shown.poll_after, Duration::from_secs(5), "the default of RFC 8628");

    let mut pending = issuer.answer("/token", &POLL, 400, json!({"error": "authorization_pending"}));
    let step = bench.login_poll(&shown).await.unwrap();
    assert_eq!((step.kind, step.poll_after), ("wait", Duration::from_secs(5)));
    pending.delete();

    let mut slow = issuer.answer("/token", &POLL, 400, json!({"error": "slow_down"}));
    let step = bench.login_poll(&step).await.unwrap();
    assert_eq!((step.kind, step.poll_after), ("wait", Duration::from_secs(10)));
    slow.delete();

    let id_token = issuer.id_token(&bench, json!({}));
    issuer.answer(
        "/token",
        &POLL,
        200,
        json!({"access_token": "at-1", "refresh_token": "rt-1", "id_token": id_token, "token_type": "bearer"}),
    );
    let done = bench.login_poll(&step).await.unwrap();
    assert_eq!(done.kind, "done");
    assert_eq!(done.view.unwrap().account.unwrap().subject, "alice");
}

#[tokio::test]
async fn a_device_login_ends_when_it_is_denied_or_expires() {
    let issuer = Issuer::start();
    offer(&issuer);
    let bench = issuer.bench();
    let shown = bench.login_begin(Flow::Device, "", "").await.unwrap();
    let mut denied = issuer.answer("/token", &POLL, 400, json!({"error": "access_denied"}));
    assert_eq!(bench.login_poll(&shown).await.err().unwrap().code, ErrorCode::AccessDenied);
    denied.delete();

    let pending = issuer.answer("/token", &POLL, 400, json!({"error": "authorization_pending"}));
    bench.advance(Duration::from_secs(600));
    assert_eq!(bench.login_poll(&shown).await.err().unwrap().code, ErrorCode::TokenExpired);
    pending.assert_calls(0);
}

#[tokio::test]
async fn an_outage_during_polling_is_sat_out() {
    let issuer = Issuer::start();
    offer(&issuer);
    let bench = issuer.bench();
    let shown = bench.login_begin(Flow::Device, "", "").await.unwrap();
    let _down = issuer.answer("/token", &POLL, 503, json!("<html>maintenance</html>"));
    let step = bench.login_poll(&shown).await.unwrap();
    assert_eq!((step.kind, step.poll_after), ("wait", Duration::from_secs(10)));
}

#[tokio::test]
async fn an_issuer_without_a_device_endpoint_says_which_flow_works() {
    let issuer = Issuer::start_with(json!({"device_authorization_endpoint": null}));
    let error = issuer.bench().login_begin(Flow::Device, "", "").await.err().unwrap();
    assert_eq!(error.code, ErrorCode::Unsupported);
    assert!(error.hint.unwrap().contains("--flow browser"));
}

#[tokio::test]
async fn a_page_that_no_browser_should_be_sent_to_is_refused() {
    for uri in
        ["http://id.example.com/device", "javascript:alert(1)", "https://me@id.example.com/", "file:///etc"]
    {
        let issuer = Issuer::start();
        issuer.answer(
            "/device",
            &[],
            200,
            json!({"device_code": "dc-1", "user_code": "X", "verification_uri": uri, "expires_in": 600}),
        );
        let error = issuer.bench().login_begin(Flow::Device, "", "").await.err().unwrap();
        assert_eq!(error.code, ErrorCode::InvalidResponse, "{uri}");
    }
}
