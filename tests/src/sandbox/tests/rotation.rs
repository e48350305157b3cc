use std::time::Duration;

use http::StatusCode;
use pretty_assertions::assert_eq;
use serde_json::json;

use super::*;
use crate::sandbox::{Endpoint, Fault, TokenState};

#[tokio::test]
async fn a_spent_refresh_token_that_comes_back_revokes_the_whole_family() {
    let sandbox = rotating().await;
    let first = login(&sandbox).await;
    let second = refresh(&sandbox, text(&first, "refresh_token")).await.json();
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    assert_eq!(sandbox.token_state(text(&first, "access_token")), TokenState::Valid);

    let reused = refresh(&sandbox, text(&first, "refresh_token")).await;
    assert_eq!(
        (reused.status, reused.json()["error"].clone()),
        (StatusCode::BAD_REQUEST, json!("invalid_grant"))
    );
    assert_eq!(sandbox.counts().reuse_detected, 1);
    for tokens in [&first, &second] {
        assert_eq!(sandbox.token_state(text(tokens, "access_token")), TokenState::Revoked);
    }
    let latest = refresh(&sandbox, text(&second, "refresh_token")).await;
    assert_eq!(latest.json()["error"], json!("invalid_grant"));
}

#[tokio::test]
async fn another_family_outlives_a_reuse() {
    let sandbox = rotating().await;
    let (broken, other) = (login(&sandbox).await, login(&sandbox).await);
    for _ in 0..2 {
        refresh(&sandbox, text(&broken, "refresh_token")).await;
    }
    assert_eq!(refresh(&sandbox, text(&other, "refresh_token")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn rotation_without_reuse_detection_lets_the_old_token_live() {
    let settings = Settings { rotate: true, ..Settings::default() };
    let sandbox = Sandbox::start(SandboxConfig { settings, ..SandboxConfig::default() }).await.unwrap();
    let first = login(&sandbox).await;
    for _ in 0..2 {
        assert_eq!(refresh(&sandbox, text(&first, "refresh_token")).await.status, StatusCode::OK);
    }
    assert_eq!(sandbox.counts().reuse_detected, 1);
}

#[tokio::test]
async fn without_rotation_a_refresh_answers_no_refresh_token() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let tokens = login(&sandbox).await;
    let answer = refresh(&sandbox, text(&tokens, "refresh_token")).await.json();
    assert_eq!(answer.get("refresh_token"), None);
    assert!(answer["access_token"].is_string());
}

#[tokio::test]
async fn a_refresh_narrows_scopes_but_never_widens_them() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let tokens = login(&sandbox).await;
    let with_scope = async |scope: &str| {
        let refresh_token = text(&tokens, "refresh_token");
        let fields = [
            ("grant_type", "refresh_token"),
            ("client_id", "native"),
            ("refresh_token", refresh_token),
            ("scope", scope),
        ];
        token(&sandbox, &fields).await.json()
    };
    assert_eq!(with_scope("api:read").await["scope"], json!("api:read"));
    assert_eq!(with_scope("api:write").await["error"], json!("invalid_scope"));
}

#[tokio::test]
async fn a_rotation_whose_answer_is_lost_has_happened() {
    let sandbox = rotating().await;
    let tokens = login(&sandbox).await;
    sandbox.fault(Endpoint::Token, 1, Fault::LoseAnswer);
    let url = format!("{}/token", sandbox.issuer());
    let fields = [
        ("grant_type", "refresh_token"),
        ("client_id", "native"),
        ("refresh_token", text(&tokens, "refresh_token")),
    ];
    assert!(Call::form(&url, &fields).try_send().await.is_err());
    assert_eq!(
        refresh(&sandbox, text(&tokens, "refresh_token")).await.json()["error"],
        json!("invalid_grant")
    );
    assert_eq!(sandbox.counts().reuse_detected, 1);
}

#[tokio::test]
async fn tokens_live_as_long_as_chosen_and_expire_on_command() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let tokens = login(&sandbox).await;
    assert_eq!(sandbox.expire_access_tokens(Some("web")), 0);
    assert_eq!(sandbox.token_state(text(&tokens, "access_token")), TokenState::Valid);
    assert_eq!(sandbox.expire_access_tokens(Some("native")), 1);
    assert_eq!(sandbox.token_state(text(&tokens, "access_token")), TokenState::Expired);

    sandbox.change_settings(Change {
        client: Some("native".to_owned()),
        access_token_ttl: Some(Duration::ZERO),
        ..Change::default()
    });
    let at_once = login(&sandbox).await;
    assert_eq!(at_once["expires_in"], json!(0));
    assert_eq!(sandbox.token_state(text(&at_once, "access_token")), TokenState::Expired);
}

#[tokio::test]
async fn revoked_refresh_tokens_refresh_nothing() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let tokens = login(&sandbox).await;
    assert_eq!(sandbox.revoke_refresh_tokens(None), 1);
    assert_eq!(
        refresh(&sandbox, text(&tokens, "refresh_token")).await.json()["error"],
        json!("invalid_grant")
    );
    assert_eq!(sandbox.token_state(text(&tokens, "access_token")), TokenState::Valid);
}

#[tokio::test]
async fn concurrent_token_requests_are_counted() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let tokens = login(&sandbox).await;
    sandbox.change_settings(Change { token_delay: Some(Duration::from_millis(200)), ..Change::default() });
    let refresh_token = text(&tokens, "refresh_token");
    let (one, two) = tokio::join!(refresh(&sandbox, refresh_token), refresh(&sandbox, refresh_token));
    assert_eq!((one.status, two.status), (StatusCode::OK, StatusCode::OK));
    let counts = sandbox.counts();
    assert_eq!((counts.refreshes(), counts.most_concurrent_token_requests), (2, 2));
}

#[tokio::test]
async fn a_reset_forgets_everything() {
    let sandbox = rotating().await;
    let tokens = login(&sandbox).await;
    sandbox.change_settings(Change { rotate: Some(false), ..Change::default() });
    sandbox.reset();
    assert_eq!(sandbox.token_state(text(&tokens, "access_token")), TokenState::Unknown);
    assert_eq!((sandbox.log().len(), sandbox.counts()), (0, Default::default()));
    let tokens = login(&sandbox).await;
    let rotated = refresh(&sandbox, text(&tokens, "refresh_token")).await.json();
    assert!(rotated["refresh_token"].is_string(), "the settings it started with are back: {rotated}");
}
