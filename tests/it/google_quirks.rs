//! What Google does differently from the RFCs, each seen from the outside.

use std::time::Duration;

use ccproxy_tests::goog::{DESKTOP, Goog, INTERNAL, TV};
use ccproxy_tests::http_client::Call;
use ccproxy_tests::login::BrowserLogin;
use ccproxy_tests::octo::DeviceLogin;
use ccproxy_tests::program::Finished;
use ccproxy_tests::sandbox::{Change, Endpoint, Fault, Mutation, TokenState};
use pretty_assertions::assert_eq;
use serde_json::json;

const DRIVE: &str = "https://www.googleapis.com/auth/drive.readonly";
const EMAIL: &str = "https://www.googleapis.com/auth/userinfo.email";

/// What a login that fails tells: the code and the remedy.
fn refused(told: Finished, exit: i32) -> (String, String) {
    let error = told.expect_code(exit).json_error();
    let text = |member: &str| error[member].as_str().unwrap_or_default().to_owned();
    (text("code"), text("hint"))
}

/// A browser login as a person sees it.
async fn prose_login(goog: &Goog, user: &str) -> Finished {
    let mut login =
        goog.home.spawn_ccproxy(&["auth", "login", "google", "--flow", "browser", "--no-browser"]);
    let line = login.stderr_line(|line| line.starts_with("open: ")).await;
    let back = goog.sandbox.approve(line.trim_start_matches("open: "), user).await;
    Call::get(back.as_str()).send().await;
    login.finish().await.expect_success()
}

// === logging in ===

#[tokio::test]
async fn a_browser_login_asks_for_offline_access_with_consent_and_gets_a_refresh_token_every_time() {
    let goog = Goog::new(DESKTOP, "").await;
    // Ann has let the client in before: without `prompt=consent` there is no second refresh token.
    for args in [&[][..], &["--force"]] {
        goog.browser_login_with(args, "ann").await.expect_success();
        assert_eq!(goog.status().await["refreshable"], json!(true), "{args:?}");
    }
    let exchanges = goog.seen(Endpoint::GoogleToken);
    assert!(exchanges.iter().all(|exchange| exchange.issued_refresh_token.is_some()), "{exchanges:#?}");
}

#[tokio::test]
async fn the_secret_of_a_desktop_app_goes_into_the_body_beside_pkce() {
    let goog = Goog::new(DESKTOP, "").await;
    let login = BrowserLogin::start(&goog.home, &["google"]).await;
    assert!(login.url.contains("code_challenge_method=S256"), "{}", login.url);
    let back = goog.sandbox.approve(&login.url, "ann").await;
    Call::get(back.as_str()).send().await;
    login.succeed().await;
    let exchange = &goog.seen(Endpoint::GoogleToken)[0];
    assert_eq!((exchange.client_auth.as_deref(), exchange.outcome.as_str()), (Some("post"), "ok"));
}

#[tokio::test]
async fn a_login_on_another_machine_is_pasted() {
    let goog = Goog::new(DESKTOP, "").await;
    let mut login = goog.home.spawn_ccproxy(&["auth", "login", "google", "--flow", "paste", "--json"]);
    let step = login.json_line_with("step", "open_url").await;
    let back = goog.sandbox.approve(step["url"].as_str().unwrap(), "ann").await;
    login.write_line(back.as_str()).await;
    login.finish().await.expect_success();
    assert_eq!(goog.status().await["state"], json!("ok"));
}

#[tokio::test]
async fn a_token_of_gcloud_is_taken_and_its_account_is_told() {
    let goog = Goog::new(DESKTOP, "").await;
    goog.browser_login("ann").await.expect_success();
    let token = goog.home.ccproxy(&["auth", "token", "google"]).await.expect_success().stdout;
    let mut login = goog.home.spawn_ccproxy(&["auth", "login", "google", "--with-token", "--force"]);
    login.write_line(token.trim()).await;
    login.finish().await.expect_success();
    let status = goog.status().await;
    assert_eq!(
        (&status["account"]["display_name"], &status["refreshable"]),
        (&json!("ann@gmail.test"), &json!(false))
    );
}

#[tokio::test]
async fn the_account_is_that_of_the_id_token_whose_issuer_is_the_authority() {
    let goog = Goog::new(DESKTOP, "").await;
    goog.browser_login("bea@corp.test").await.expect_success();
    let account = goog.status().await["account"].clone();
    assert_eq!(account["display_name"], json!("bea@corp.test"));
    assert_eq!(account["subject"].as_str().map(str::len), Some(21));

    let falsified = Fault::IdToken { mutation: Mutation::WrongIss };
    goog.sandbox.fault(Endpoint::GoogleToken, 1, falsified);
    let told = goog.browser_login_with(&["--force"], "bea@corp.test").await;
    assert_eq!(refused(told, 5).0, "invalid_response");
}

#[tokio::test]
async fn scopes_come_back_in_another_order_and_in_full() {
    let goog = Goog::new(DESKTOP, &format!("scopes = [\"{DRIVE}\"]")).await;
    let told = prose_login(&goog, "ann").await;
    assert!(!told.stderr.contains("not granted"), "{told}");
    let status = goog.status().await;
    assert_eq!(status["scopes_requested"], json!(["openid", "email", DRIVE]));
    assert_eq!(status["scopes_granted"], json!([DRIVE, EMAIL, "openid"]));
}

#[tokio::test]
async fn a_scope_that_the_person_unticked_is_told_at_login_and_where_it_is_wanted() {
    let route = format!("\n[routes.drive]\nconnection = \"google\"\nscopes = [\"{DRIVE}\"]\n");
    let goog = Goog::new(DESKTOP, &format!("scopes = [\"{DRIVE}\"]\n{route}")).await;
    let told = prose_login(&goog, "wary").await;
    assert!(told.stderr.contains(&format!("was not granted: {DRIVE}")), "{told}");
    let host = goog.home.serve().await;
    assert_eq!(Call::get(&host.url("/google/who")).send().await.status, 200);
    let answer = Call::get(&host.url("/drive/files")).send().await;
    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (401, &json!("consent_required")));
    assert!(answer.json()["hint"].as_str().unwrap().contains("auth login google --force"));
}

// === devices ===

#[tokio::test]
async fn a_device_login_shows_verification_url_and_waits_through_428_and_403() {
    let goog = Goog::new(TV, "").await;
    let mut login = goog.home.spawn_ccproxy(&["auth", "login", "google", "--device", "--json"]);
    let step = login.json_line_with("step", "user_code").await;
    assert_eq!(step["verification_uri"], json!(format!("{}/device", goog.sandbox.google())));
    // It is pending once, then asked to slow down, and goes on all the same.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while goog.seen(Endpoint::GoogleToken).iter().all(|poll| poll.status.is_none()) {
        assert!(tokio::time::Instant::now() < deadline, "no poll came");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    goog.sandbox.fault(Endpoint::GoogleToken, 1, answers(403, r#"{"error":"slow_down"}"#));
    assert!(goog.sandbox.approve_device(step["user_code"].as_str().unwrap(), "ann"));
    login.finish().await.expect_success();

    let polls = goog.seen(Endpoint::GoogleToken);
    assert_eq!(polls[0].status, Some(428), "{polls:#?}");
    assert_eq!(polls.last().unwrap().client_auth.as_deref(), Some("post"), "the poll proves who it is");
    assert_eq!(goog.status().await["account"]["display_name"], json!("ann@gmail.test"));
}

#[tokio::test]
async fn a_denial_with_403_ends_the_device_login() {
    let goog = Goog::new(TV, "").await;
    let login = DeviceLogin::start(&goog.home, &["google"]).await;
    assert!(goog.sandbox.deny_device(&login.user_code));
    let (code, hint) = refused(login.finish().await, 4);
    assert_eq!(code, "access_denied");
    assert!(hint.contains("test users"), "{hint}");
}

#[tokio::test]
async fn a_desktop_app_at_the_device_endpoint_is_told_which_type_it_takes() {
    let goog = Goog::new(DESKTOP, "").await;
    let told = goog.home.ccproxy(&["auth", "login", "google", "--device", "--json"]).await;
    let (code, hint) = refused(told, 2);
    assert_eq!(code, "invalid_config");
    assert!(hint.contains("TVs and Limited Input devices") && hint.contains("--flow paste"), "{hint}");
}

#[tokio::test]
async fn a_scope_that_devices_may_not_have_is_told_where_it_may_be_had() {
    let goog = Goog::new(TV, &format!("scopes = [\"{DRIVE}\"]")).await;
    let told = goog.home.ccproxy(&["auth", "login", "google", "--device", "--json"]).await;
    assert!(refused(told, 2).1.contains("--flow browser"));
}

#[tokio::test]
async fn the_quota_of_codes_is_read_from_error_code() {
    let goog = Goog::new(TV, "").await;
    let quota = answers(403, r#"{"error_code":"rate_limit_exceeded"}"#);
    goog.sandbox.fault(Endpoint::GoogleDeviceCode, 1, quota);
    let told = goog.home.ccproxy(&["auth", "login", "google", "--device", "--json"]).await;
    let (code, hint) = refused(told, 5);
    assert_eq!(code, "rate_limited");
    assert!(hint.contains("too many codes"), "{hint}");
}

fn answers(status: u16, body: &str) -> Fault {
    Fault::Body {
        status,
        content_type: "application/json; charset=utf-8".to_owned(),
        body: body.to_owned(),
        headers: std::collections::BTreeMap::new(),
    }
}

// === who may log in ===

#[tokio::test]
async fn an_account_of_another_domain_is_refused_though_the_page_let_it_through() {
    let goog = Goog::new(DESKTOP, "hosted_domain = \"corp.test\"").await;
    let login = BrowserLogin::start(&goog.home, &["google"]).await;
    assert!(login.url.contains("hd=corp.test"), "{}", login.url);
    // `hd` is only what the page offers; whoever edits the link chooses another account.
    let back = goog.sandbox.approve(&login.url, "mallory@other.test").await;
    Call::get(back.as_str()).send().await;
    let error = login.finish().await.expect_code(4).json_error();
    assert_eq!(error["code"], json!("access_denied"));
    assert!(error["message"].as_str().unwrap().contains("mallory@other.test"), "{error}");
    assert!(!goog.home.credential("google").exists());

    goog.browser_login("bea@corp.test").await.expect_success();
}

#[tokio::test]
async fn errors_of_googles_page_come_with_a_remedy() {
    let policy = Goog::new(DESKTOP, "").await;
    let (code, hint) = refused(policy.browser_login("eve@strict.test").await, 4);
    assert_eq!(code, "access_denied");
    assert!(hint.contains("administrator must trust the client id"), "{hint}");

    let internal = Goog::new(INTERNAL, "").await;
    let (code, hint) = refused(internal.browser_login("ann").await, 4);
    assert_eq!(code, "access_denied");
    assert!(hint.contains("External"), "{hint}");
    internal.browser_login("bea@corp.test").await.expect_success();
}

#[tokio::test]
async fn a_wrong_secret_says_where_to_look() {
    let goog = Goog::new((DESKTOP.0, "GOCSPX-wrong"), "").await;
    let (code, hint) = refused(goog.browser_login("ann").await, 4);
    assert_eq!(code, "credentials_rejected");
    assert!(hint.contains("https://console.cloud.google.com/auth/clients"), "{hint}");
}

// === afterwards ===

#[tokio::test]
async fn a_refresh_without_a_new_refresh_token_keeps_the_old_one() {
    let goog = Goog::new(DESKTOP, "").await;
    goog.browser_login("ann").await.expect_success();
    let host = goog.home.serve().await;
    for _ in 0..3 {
        goog.home.ccproxy(&["auth", "refresh", "google"]).await.expect_success();
        let answer = Call::get(&host.url("/google/strict/files")).send().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let refreshes: Vec<_> = goog
        .seen(Endpoint::GoogleToken)
        .into_iter()
        .filter(|entry| entry.grant_type.as_deref() == Some("refresh_token"))
        .collect();
    assert_eq!(refreshes.len(), 3, "{refreshes:#?}");
    assert!(refreshes.iter().all(|refresh| refresh.refresh_token == refreshes[0].refresh_token));
    assert!(refreshes.iter().all(|refresh| refresh.outcome == "ok"), "{refreshes:#?}");
}

#[tokio::test]
async fn a_login_that_google_ended_tells_why_that_may_be() {
    let goog = Goog::new(DESKTOP, "").await;
    goog.browser_login("ann").await.expect_success();
    assert_eq!(goog.sandbox.revoke_refresh_tokens(None), 1);
    let told = goog.home.ccproxy(&["auth", "refresh", "google", "--json"]).await;
    let (code, hint) = refused(told, 4);
    assert_eq!(code, "reauth_required");
    assert!(hint.starts_with("ccproxy auth login google\n"), "{hint}");
    assert!(hint.contains("\"Testing\"") && hint.contains("6 months"), "{hint}");
    let status = goog.status().await;
    assert_eq!(status["state"], json!("reauth_required"), "{status:#}");
}

#[tokio::test]
async fn online_access_ends_with_its_first_token() {
    let goog = Goog::new(DESKTOP, "access_type = \"online\"").await;
    let login = BrowserLogin::start(&goog.home, &["google"]).await;
    assert!(login.url.contains("access_type=online") && !login.url.contains("prompt="), "{}", login.url);
    let back = goog.sandbox.approve(&login.url, "ann").await;
    Call::get(back.as_str()).send().await;
    login.succeed().await;
    assert_eq!(goog.status().await["refreshable"], json!(false));
}

#[tokio::test]
async fn a_logout_revokes_the_grant_and_one_that_is_gone_already_is_no_failure() {
    let goog = Goog::new(DESKTOP, "").await;
    goog.browser_login("ann").await.expect_success();
    let token = goog.home.ccproxy(&["auth", "token", "google"]).await.expect_success().stdout;
    goog.home.ccproxy(&["auth", "logout", "google"]).await.expect_success();
    assert_eq!(goog.sandbox.token_state(token.trim()), TokenState::Revoked);
    // The access token went with the refresh token: Google calls that invalid_token, with 400.
    let outcomes: Vec<_> = goog.seen(Endpoint::GoogleRevoke).into_iter().map(|entry| entry.outcome).collect();
    assert_eq!(outcomes, ["ok", "invalid_token"]);

    goog.browser_login("ann").await.expect_success();
    goog.sandbox.revoke_refresh_tokens(None);
    goog.sandbox.expire_access_tokens(None);
    let told = goog.home.ccproxy(&["auth", "logout", "google"]).await.expect_success();
    assert!(!told.stderr.contains("not revoked"), "{told}");
    assert!(!goog.home.credential("google").exists());
}

#[tokio::test]
async fn a_slow_device_is_polled_no_faster_than_asked() {
    let goog = Goog::new(TV, "").await;
    goog.sandbox
        .change_settings(Change { device_interval: Some(Duration::from_secs(2)), ..Change::default() });
    let login = DeviceLogin::start(&goog.home, &["google"]).await;
    goog.sandbox.fault(Endpoint::GoogleToken, 1, answers(428, r#"{"error":"authorization_pending"}"#));
    assert!(goog.sandbox.approve_device(&login.user_code, "ann"));
    login.finish().await.expect_success();
    let polls = goog.seen(Endpoint::GoogleToken);
    assert!(polls.windows(2).all(|pair| pair[1].at_ms - pair[0].at_ms >= 1900), "{polls:#?}");
}
