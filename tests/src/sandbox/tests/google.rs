use std::time::Duration;

use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use super::*;
use crate::sandbox::TokenState;
use crate::sandbox::token::DEVICE_GRANT;

const DESKTOP: [(&str, &str); 2] = [("client_id", "desktop.apps.test"), ("client_secret", "GOCSPX-desktop")];
const TV: [(&str, &str); 2] = [("client_id", "tv.apps.test"), ("client_secret", "GOCSPX-tv")];
const DRIVE: &str = "https://www.googleapis.com/auth/drive.readonly";

async fn token(sandbox: &Sandbox, app: &[(&str, &str)], fields: &[(&str, &str)]) -> Answer {
    Call::form(&format!("{}/token", sandbox.google()), &[app, fields].concat()).send().await
}

/// Where an account is sent back to.
async fn approve(sandbox: &Sandbox, user: &str, parameters: &[(&str, &str)]) -> Url {
    let mut url = Url::parse(&format!("{}/o/oauth2/v2/auth", sandbox.google())).unwrap();
    let usual = [
        ("client_id", "desktop.apps.test"),
        ("redirect_uri", REDIRECT),
        ("scope", "openid email"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    let set = |name: &str| parameters.iter().any(|(given, _)| *given == name);
    url.query_pairs_mut().extend_pairs(parameters).extend_pairs(usual.iter().filter(|(name, _)| !set(name)));
    sandbox.approve(url.as_str(), user).await
}

async fn login(sandbox: &Sandbox, user: &str, parameters: &[(&str, &str)]) -> Value {
    let code =
        parameter(&approve(sandbox, user, parameters).await, "code").expect("an approval yields a code");
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
    ];
    token(sandbox, &DESKTOP, &fields).await.json()
}

#[tokio::test]
async fn a_refresh_token_comes_with_the_first_consent_or_with_one_that_is_asked_for() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let offline = ("access_type", "offline");
    let has = async |parameters: &[(&str, &str)]| {
        login(&sandbox, "ann", parameters).await["refresh_token"].is_string()
    };
    assert!(!has(&[]).await);
    // Ann has let the client in by now.
    assert!(!has(&[offline]).await);
    assert!(has(&[offline, ("prompt", "select_account consent")]).await);
    assert!(login(&sandbox, "ben", &[offline]).await["refresh_token"].is_string());
}

#[tokio::test]
async fn an_installed_app_needs_its_secret_in_the_body() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let answer = token(&sandbox, &DESKTOP[..1], &[("grant_type", "authorization_code"), ("code", "c")]).await;
    assert_eq!(
        answer.json(),
        json!({ "error": "invalid_request", "error_description": "client_secret is missing." })
    );
}

#[tokio::test]
async fn a_refresh_repeats_no_refresh_token_and_the_old_one_goes_on() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let first = login(&sandbox, "ann", &[("access_type", "offline")]).await;
    let fields = [("grant_type", "refresh_token"), ("refresh_token", text(&first, "refresh_token"))];
    for _ in 0..2 {
        let next = token(&sandbox, &DESKTOP, &fields).await.json();
        assert!(
            text(&next, "access_token").starts_with("ya29.") && next.get("refresh_token").is_none(),
            "{next}"
        );
    }
    assert_eq!(sandbox.counts().refreshes(), 2);
    sandbox.revoke_refresh_tokens(None);
    let dead = token(&sandbox, &DESKTOP, &fields).await.json();
    assert_eq!(dead["error_description"], json!("Token has been expired or revoked."));
}

#[tokio::test]
async fn scopes_come_back_in_another_order_in_full_and_maybe_fewer() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let scope = ("scope", &*format!("openid email {DRIVE}"));
    let email = "https://www.googleapis.com/auth/userinfo.email";
    let granted = login(&sandbox, "ann", &[scope]).await;
    assert_eq!(granted["scope"], json!(format!("{DRIVE} {email} openid")));
    assert_eq!(login(&sandbox, "wary", &[scope]).await["scope"], json!(format!("{email} openid")));
}

#[tokio::test]
async fn a_device_login_has_googles_names_and_statuses() {
    let settings = Settings { device_interval: Duration::from_secs(1), ..Settings::default() };
    let sandbox = Sandbox::start(SandboxConfig { settings, ..SandboxConfig::default() }).await.unwrap();
    let code = async |client: &str, scope: &str| {
        let url = format!("{}/device/code", sandbox.google());
        Call::form(&url, &[("client_id", client), ("scope", scope)]).send().await
    };
    let login = code("tv.apps.test", "openid email").await.json();
    assert_eq!(text(&login, "verification_url"), format!("{}/device", sandbox.google()));
    assert!(login.get("verification_uri").is_none());
    let poll = async || {
        let fields = [("grant_type", DEVICE_GRANT), ("device_code", text(&login, "device_code"))];
        let answer = token(&sandbox, &TV, &fields).await;
        (answer.status.as_u16(), answer.json()["error"].clone())
    };
    assert_eq!(poll().await, (428, json!("authorization_pending")));
    assert_eq!(poll().await, (403, json!("slow_down")));
    let wrong_type = code("desktop.apps.test", "openid").await;
    assert_eq!((wrong_type.status.as_u16(), &wrong_type.json()["error"]), (401, &json!("invalid_client")));
    let wrong_scope = code("tv.apps.test", DRIVE).await.json();
    assert_eq!(wrong_scope["error_description"], json!(format!("Invalid device flow scope: {DRIVE}")));
}

#[tokio::test]
async fn a_denied_device_login_is_forbidden() {
    let settings = Settings { device_interval: Duration::ZERO, ..Settings::default() };
    let sandbox = Sandbox::start(SandboxConfig { settings, ..SandboxConfig::default() }).await.unwrap();
    let url = format!("{}/device/code", sandbox.google());
    let login = Call::form(&url, &[("client_id", "tv.apps.test"), ("scope", "openid")]).send().await.json();
    assert!(sandbox.deny_device(text(&login, "user_code")));
    let fields = [("grant_type", DEVICE_GRANT), ("device_code", text(&login, "device_code"))];
    let answer = token(&sandbox, &TV, &fields).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["error"]), (403, &json!("access_denied")));
}

#[tokio::test]
async fn accounts_are_barred_by_their_organisation_or_by_the_apps() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let barred = async |user: &str, client: &str| {
        parameter(&approve(&sandbox, user, &[("client_id", client)]).await, "error")
    };
    assert_eq!(
        barred("eve@strict.test", "desktop.apps.test").await.as_deref(),
        Some("admin_policy_enforced")
    );
    assert_eq!(barred("ann", "internal.apps.test").await.as_deref(), Some("org_internal"));
    assert_eq!(barred("bea@corp.test", "internal.apps.test").await, None);
}

#[tokio::test]
async fn a_revoked_grant_is_gone_and_says_so_the_second_time() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let tokens = login(&sandbox, "ann", &[("access_type", "offline")]).await;
    let revoke = async || {
        let fields = [("token", text(&tokens, "refresh_token"))];
        let answer = Call::form(&format!("{}/revoke", sandbox.google()), &fields).send().await;
        (answer.status.as_u16(), answer.json()["error"].clone())
    };
    assert_eq!(revoke().await, (200, Value::Null));
    assert_eq!(sandbox.token_state(text(&tokens, "access_token")), TokenState::Revoked);
    assert_eq!(revoke().await, (400, json!("invalid_token")));
}

#[tokio::test]
async fn userinfo_knows_the_workspace_of_an_account() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let tokens = login(&sandbox, "bea@corp.test", &[]).await;
    let url = format!("{}/oauth2/v3/userinfo", sandbox.google());
    let claims = Call::get(&url).bearer(text(&tokens, "access_token")).send().await.json();
    assert_eq!((&claims["hd"], &claims["email"]), (&json!("corp.test"), &json!("bea@corp.test")));
    assert_eq!(text(&claims, "sub").len(), 21);
    assert_eq!(Call::get(&url).bearer("ya29.nonsense").send().await.status, 401);
}
