//! Device logins, in Google's words of before RFC 8628.

use std::time::Duration;

use ccproxy_plugin_sdk::testing::{Bench, BenchStep};
use ccproxy_plugin_sdk::{Error, ErrorCode, Flow};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use super::google::{Google, SECRET, bearer, tokens};

fn offers_codes(google: &Google) {
    let body = json!({
        "device_code": "AH-1Ng", "user_code": "GQVQ-JKEC", "verification_url": "https://www.google.com/device",
        "expires_in": 1800, "interval": 5,
    });
    google.answer("/device/code", &[("client_id", "app.test")], 200, body);
}

async fn shown(google: &Google) -> (Bench, BenchStep) {
    offers_codes(google);
    let bench = google.bench();
    let step = bench.login_begin(Flow::Device, "", "").await.unwrap();
    (bench, step)
}

/// A poll that is answered like this.
async fn polled(status: u16, answer: Value) -> Result<BenchStep, Error> {
    let google = Google::start();
    let (bench, step) = shown(&google).await;
    google.answer("/token", &[("device_code", "AH-1Ng")], status, answer);
    bench.login_poll(&step).await
}

#[tokio::test]
async fn the_page_is_called_verification_url() {
    let (_, step) = shown(&Google::start()).await;
    assert_eq!(step.kind, "user_code");
    assert_eq!(
        step.data,
        json!({
            "verification_uri": "https://www.google.com/device",
            "verification_uri_complete": null,
            "user_code": "GQVQ-JKEC",
        })
    );
}

#[tokio::test]
async fn a_device_is_asked_for_no_consent_and_no_access_type() {
    let google = Google::start();
    let code = google.server.mock(|when, then| {
        when.path("/device/code")
            .form_urlencoded_tuple_missing("access_type")
            .form_urlencoded_tuple_missing("prompt");
        then.status(200).json_body(json!({
            "device_code": "d", "user_code": "u", "verification_url": "https://www.google.com/device",
        }));
    });
    google.bench().login_begin(Flow::Device, "", "").await.unwrap();
    code.assert();
}

#[tokio::test]
async fn pending_comes_with_428() {
    let answer = json!({ "error": "authorization_pending", "error_description": "Precondition Required" });
    let wait = polled(428, answer).await.unwrap();
    assert_eq!((wait.kind, wait.poll_after), ("wait", Duration::from_secs(5)));
}

#[tokio::test]
async fn slow_down_comes_with_403_and_adds_five_seconds() {
    let answer = json!({ "error": "slow_down", "error_description": "Forbidden" });
    let wait = polled(403, answer).await.unwrap();
    assert_eq!((wait.kind, wait.poll_after), ("wait", Duration::from_secs(10)));
}

#[tokio::test]
async fn a_denial_comes_with_403_too_and_is_one() {
    let error = polled(403, json!({ "error": "access_denied", "error_description": "Forbidden" })).await;
    let error = error.err().unwrap();
    assert_eq!(error.code, ErrorCode::AccessDenied);
    assert!(error.hint.unwrap().contains("test users"));
}

#[tokio::test]
async fn the_poll_carries_the_client_secret() {
    let google = Google::start();
    let (bench, step) = shown(&google).await;
    let mut answer = tokens();
    answer["id_token"] = google.id_token(&bench, json!({})).into();
    let form = [
        ("client_id", "app.test"),
        ("client_secret", SECRET),
        ("device_code", "AH-1Ng"),
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
    ];
    let poll = google.answer("/token", &form, 200, answer);
    let done = bench.login_poll(&step).await.unwrap();
    poll.assert();
    bench.commit(&done);
    assert_eq!(bench.acquire().await.unwrap().fields, bearer("ya29.1"));
    assert_eq!(bench.snapshot().unwrap().account.unwrap().display_name, "ann@gmail.com");
}
