use std::time::Duration;

use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use super::*;
use crate::sandbox::token::DEVICE_GRANT;

async fn begin(sandbox: &Sandbox) -> Value {
    let fields = [("client_id", "native"), ("scope", "openid offline_access")];
    Call::form(&format!("{}/device_authorization", sandbox.issuer()), &fields).send().await.json()
}

async fn poll(sandbox: &Sandbox, login: &Value) -> Value {
    let device_code = text(login, "device_code");
    let fields = [("grant_type", DEVICE_GRANT), ("client_id", "native"), ("device_code", device_code)];
    token(sandbox, &fields).await.json()
}

async fn polled_at_will() -> Sandbox {
    let settings = Settings { device_interval: Duration::ZERO, ..Settings::default() };
    Sandbox::start(SandboxConfig { settings, ..SandboxConfig::default() }).await.unwrap()
}

#[tokio::test]
async fn a_device_login_is_pending_then_approved_once() {
    let sandbox = polled_at_will().await;
    let login = begin(&sandbox).await;
    assert_eq!(poll(&sandbox, &login).await["error"], json!("authorization_pending"));
    assert!(sandbox.approve_device(&text(&login, "user_code").to_lowercase(), "bob"));
    let tokens = poll(&sandbox, &login).await;
    assert!(tokens["access_token"].is_string() && tokens["refresh_token"].is_string(), "{tokens}");
    assert_eq!(poll(&sandbox, &login).await["error"], json!("invalid_grant"));
}

#[tokio::test]
async fn the_page_of_a_device_login_decides_it() {
    let sandbox = polled_at_will().await;
    for (decision, member) in [("approve", "access_token"), ("deny", "error")] {
        let login = begin(&sandbox).await;
        let page = Call::get(text(&login, "verification_uri_complete")).send().await.text();
        assert!(page.contains(text(&login, "user_code")), "{page}");
        let fields = [("user_code", text(&login, "user_code")), ("user", "alice"), ("decision", decision)];
        Call::form(&format!("{}/device/approve", sandbox.issuer()), &fields).send().await;
        let answer = poll(&sandbox, &login).await;
        assert!(answer.get(member).is_some(), "{decision}: {answer}");
    }
}

#[tokio::test]
async fn polling_faster_than_the_interval_slows_down() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let login = begin(&sandbox).await;
    assert_eq!(login["interval"], json!(5));
    assert_eq!(poll(&sandbox, &login).await["error"], json!("authorization_pending"));
    let slowed = poll(&sandbox, &login).await;
    assert_eq!((&slowed["error"], slowed.get("interval")), (&json!("slow_down"), None));
}

#[tokio::test]
async fn denied_expired_and_unknown_logins_are_told_apart() {
    let sandbox = polled_at_will().await;
    let denied = begin(&sandbox).await;
    assert!(sandbox.deny_device(text(&denied, "user_code")));
    assert_eq!(poll(&sandbox, &denied).await["error"], json!("access_denied"));
    assert_eq!(poll(&sandbox, &json!({ "device_code": "x" })).await["error"], json!("invalid_grant"));

    sandbox.change_settings(Change { device_code_ttl: Some(Duration::ZERO), ..Change::default() });
    let expired = begin(&sandbox).await;
    assert_eq!(poll(&sandbox, &expired).await["error"], json!("expired_token"));
    assert!(!sandbox.approve_device(text(&expired, "user_code"), "alice"));
}
