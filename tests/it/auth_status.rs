//! `ccproxy auth status` under `--json`: every member, every state a story can bring about, and the exit code.

use std::time::Duration;

use ccproxy_tests::corp::{Corp, connection};
use ccproxy_tests::home::Home;
use ccproxy_tests::http_client::Call;
use ccproxy_tests::login::{BrowserLogin, status};
use ccproxy_tests::sandbox::{Change, Fingerprint, Settings};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use crate::cli_json::{document, is_utc, members};

const CONNECTION: [&str; 13] = [
    "account",
    "credentials",
    "last_refresh",
    "name",
    "next_refresh_at",
    "org",
    "problem",
    "provider",
    "refreshable",
    "scopes_granted",
    "scopes_requested",
    "state",
    "storage",
];

#[tokio::test]
async fn auth_status_of_a_login() {
    let corp = Corp::new(Corp::rotating()).await;
    let told = corp.home.ccproxy(&["auth", "status", "--json"]).await.expect_code(4).json();
    assert_eq!(
        (members(&told), &told["schema"]),
        (vec!["connections", "schema"], &json!("ccproxy.auth-status/1"))
    );
    let before = &told["connections"][0];
    assert_eq!(members(before), CONNECTION);
    assert_eq!((&before["state"], &before["account"]), (&json!("not_logged_in"), &Value::Null));
    assert_eq!(members(&before["problem"]), ["code", "hint", "message"]);
    assert_eq!(before["problem"]["code"], json!("not_logged_in"));
    assert_eq!(before["credentials"], json!([]));

    corp.login().await;
    let _host = corp.home.serve().await;
    corp.home.ccproxy(&["auth", "refresh", "corp"]).await.expect_success();
    let told = document(&corp.home, &["auth", "status"]).await;
    let after = &told["connections"][0];
    assert_eq!(members(after), CONNECTION);
    let token = corp.home.ccproxy(&["auth", "token", "corp"]).await.expect_success().stdout;
    let fixed = json!({
        "org": after["org"], "name": after["name"], "provider": after["provider"], "state": after["state"],
        "storage": after["storage"], "scopes_requested": after["scopes_requested"],
        "refreshable": after["refreshable"], "problem": after["problem"],
    });
    assert_eq!(
        fixed,
        json!({
            "org": "global", "name": "corp", "provider": "oidc", "state": "ok", "storage": "file",
            "scopes_requested": ["openid", "email", "offline_access"], "refreshable": true, "problem": null,
        })
    );
    assert_eq!(members(&after["account"]), ["display_name", "host", "subject"]);
    assert_eq!(after["account"]["subject"], json!("alice"));
    let [credential] = &after["credentials"].as_array().unwrap()[..] else { panic!("one target: {after}") };
    assert_eq!(members(credential), ["expires_at", "fingerprint", "target"]);
    assert!(is_utc(&credential["expires_at"]), "{credential}");
    assert_eq!(credential["fingerprint"], json!(Fingerprint::of(token.trim()).to_string()));
    assert_eq!(members(&after["last_refresh"]), ["at", "result"]);
    assert!(is_utc(&after["last_refresh"]["at"]) && after["last_refresh"]["result"] == "ok", "{after}");
    assert!(is_utc(&after["next_refresh_at"]), "a running host says when: {after}");
}

/// 0 when everything listed is usable, 3 for an unknown name, else 4.
#[tokio::test]
async fn auth_status_exits_by_the_states_it_lists() {
    let empty = Home::new();
    assert_eq!(document(&empty, &["auth", "status"]).await["connections"], json!([]));

    let corp = Corp::with_config(Settings::default(), |sandbox| {
        let missing = "[connections.lost]\nprovider = \"nobody\"\n\n";
        connection("other", sandbox.issuer(), sandbox.upstream(), "native") + missing
    })
    .await;
    let exit = async |line: &[&str]| corp.home.ccproxy(&[&["auth", "status"], line].concat()).await.code();
    corp.login().await;
    assert_eq!(exit(&["corp"]).await, 0);
    assert_eq!((exit(&["other"]).await, exit(&["lost"]).await, exit(&["crop"]).await), (4, 4, 3));
    assert_eq!((exit(&[]).await, exit(&["--provider", "oidc"]).await), (4, 4));
    assert_eq!(status(&corp.home, "lost").await["state"], json!("plugin_missing"));
    assert_eq!(status(&corp.home, "lost").await["problem"]["code"], json!("plugin_missing"));

    corp.sandbox.revoke_refresh_tokens(None);
    corp.home.ccproxy(&["auth", "refresh", "corp"]).await.expect_code(4);
    assert_eq!(status(&corp.home, "corp").await["state"], json!("reauth_required"));
    assert_eq!(exit(&["corp"]).await, 4);
}

#[tokio::test]
async fn an_expired_token_is_usable_if_it_can_be_refreshed() {
    let corp = Corp::new(Corp::rotating()).await;
    corp.login_and_let_expire().await;
    assert_eq!(status(&corp.home, "corp").await["state"], json!("expired"));
    corp.home.ccproxy(&["auth", "status", "corp"]).await.expect_code(0);

    let without = connection("short", corp.sandbox.issuer(), corp.sandbox.upstream(), "native");
    corp.home.write_config(&without.replace(", \"offline_access\"", ""));
    let lifetime = Some(Duration::from_secs(1));
    corp.sandbox.change_settings(Change { access_token_ttl: lifetime, ..Change::default() });
    let login = BrowserLogin::start(&corp.home, &["short"]).await;
    let back = corp.sandbox.approve(&login.url, "alice").await;
    Call::get(back.as_str()).send().await;
    login.succeed().await;
    corp.wait_for_state("short", "expired").await;
    assert_eq!(status(&corp.home, "short").await["refreshable"], json!(false));
    corp.home.ccproxy(&["auth", "status", "short"]).await.expect_code(4);
}

#[tokio::test]
async fn a_grant_that_cannot_be_read_is_a_store_that_is_locked() {
    let corp = Corp::new(Settings::default()).await;
    corp.login().await;
    let grant = corp.home.credential("corp");
    std::fs::remove_file(&grant).unwrap();
    // A directory in its place: there is something, and it cannot be read.
    std::fs::create_dir(&grant).unwrap();
    let told = corp.home.ccproxy(&["auth", "status", "--json"]).await.expect_code(7).json();
    let stands = &told["connections"][0];
    assert_eq!((&stands["state"], &stands["problem"]["code"]), (&json!("store_locked"), &json!("storage")));
}
