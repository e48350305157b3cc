//! Tokens of an hour, and the one refresh token behind them.

use std::time::Duration;

use ccproxy_plugin_sdk::{ErrorCode, Reason, Target};
use pretty_assertions::assert_eq;
use serde_json::json;

use super::google::{DRIVE, EMAIL, Google, SECRET, bearer, tokens};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_refresh_has_no_new_refresh_token_and_keeps_the_old_one() {
    let google = Google::start();
    let bench = google.logged_in(json!({})).await;
    for round in 2..4 {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", "1//r"),
            ("client_id", "app.test"),
            ("client_secret", SECRET),
        ];
        let answer = json!({
            "access_token": format!("ya29.{round}"), "expires_in": 3599, "token_type": "Bearer",
            "scope": format!("{EMAIL} openid {DRIVE}"), "id_token": google.id_token(&bench, json!({})),
        });
        let mut refresh = google.answer("/token", &form, 200, answer);
        bench.advance(HOUR);
        assert_eq!(bench.acquire().await.unwrap().fields, bearer(&format!("ya29.{round}")));
        refresh.assert();
        refresh.delete();
        assert_eq!(bench.record().unwrap()["refresh_token"], "1//r");
    }
    assert_eq!(bench.snapshot().unwrap().account.unwrap().display_name, "ann@gmail.com");
}

#[tokio::test]
async fn a_refresh_that_turns_out_to_be_of_somebody_else_is_refused() {
    let google = Google::start();
    let bench = google.logged_in(json!({})).await;
    let answer =
        json!({ "access_token": "ya29.evil", "id_token": google.id_token(&bench, json!({ "sub": "2" })) });
    google.answer("/token", &[("grant_type", "refresh_token")], 200, answer);
    bench.advance(HOUR);
    assert_eq!(bench.acquire().await.err().unwrap().code, ErrorCode::InvalidResponse);
}

#[tokio::test]
async fn a_dead_refresh_token_tells_the_likely_causes() {
    let google = Google::start();
    let bench = google.logged_in(json!({})).await;
    let answer =
        json!({ "error": "invalid_grant", "error_description": "Token has been expired or revoked." });
    google.answer("/token", &[("grant_type", "refresh_token")], 400, answer);
    bench.advance(HOUR);
    let error = bench.acquire().await.err().unwrap();
    assert_eq!(error.code, ErrorCode::ReauthRequired);
    assert_eq!(error.message, "Google answered `invalid_grant`: Token has been expired or revoked.");
    let hint = error.hint.unwrap();
    assert_eq!(hint.lines().next(), Some("ccproxy auth login test"));
    for cause in ["withdrawn", "7 days", "\"Testing\"", "6 months", "password", "more than 100 times"] {
        assert!(hint.contains(cause), "{cause}: {hint}");
    }
    assert_eq!(bench.record().unwrap()["refresh_token"], "1//r");
}

#[tokio::test]
async fn session_control_of_a_workspace_is_told_apart() {
    let google = Google::start();
    let bench = google.logged_in(json!({})).await;
    let answer = json!({
        "error": "invalid_grant", "error_description": "reauth related error (invalid_rapt)",
        "error_subtype": "invalid_rapt", "error_uri": "https://support.google.com/a/answer/9368756",
    });
    google.answer("/token", &[("grant_type", "refresh_token")], 400, answer);
    bench.advance(HOUR);
    let error = bench.acquire().await.err().unwrap();
    assert_eq!(error.code, ErrorCode::ReauthRequired);
    assert!(error.hint.unwrap().contains("session control"));
}

#[tokio::test]
async fn one_token_serves_every_route_whose_scopes_were_granted() {
    let google = Google::start();
    let bench = google.logged_in(json!({})).await;
    let target = |scopes: &[&str]| Target {
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        ..Target::default()
    };
    let sent = bench.acquire_with(&target(&[DRIVE, "email"]), Reason::Missing, None).await.unwrap();
    assert_eq!(sent.fields, bearer("ya29.1"));

    let gmail = "https://www.googleapis.com/auth/gmail.readonly";
    let error = bench.acquire_with(&target(&[DRIVE, gmail]), Reason::Missing, None).await.err().unwrap();
    assert_eq!(error.code, ErrorCode::ConsentRequired);
    assert_eq!(error.message, format!("the login of `test` was not granted: {gmail}"));
}

#[tokio::test]
async fn without_a_refresh_token_the_end_is_said_without_a_word_to_google() {
    let google = Google::start();
    let bench = google.bench_with(json!({ "access_type": "online" }));
    let mut answer = tokens();
    answer.as_object_mut().unwrap().remove("refresh_token");
    let done = google.log_in(&bench, answer, json!({})).await.unwrap();
    assert!(!done.view.as_ref().unwrap().refreshable);
    bench.commit(&done);
    let bench = bench.with_http(|_| panic!("no request"));
    bench.advance(HOUR);
    let error = bench.acquire().await.err().unwrap();
    assert_eq!(
        (error.code, error.hint.as_deref()),
        (ErrorCode::TokenExpired, Some("ccproxy auth login test"))
    );
}

#[tokio::test]
async fn a_refresh_token_goes_to_no_other_authority_or_client() {
    for (key, value) in [("authority", "https://google.evil.example"), ("client_id", "other.test")] {
        let google = Google::start();
        let mut bench = google.logged_in(json!({})).await.with_http(|_| panic!("no request"));
        let mut settings = json!({ "client_id": "app.test", "authority": google.server.base_url() });
        settings[key] = value.into();
        bench.set_settings(settings);
        let error = bench.acquire().await.err().unwrap();
        assert_eq!(error.code, ErrorCode::ReauthRequired);
        assert!(error.message.contains(value), "{}", error.message);
    }
}
