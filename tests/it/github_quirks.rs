//! What GitHub does differently from the RFCs, each seen from the outside.

use std::collections::BTreeMap;
use std::time::Duration;

use ccproxy_tests::http_client::Call;
use ccproxy_tests::login::BrowserLogin;
use ccproxy_tests::octo::{DeviceLogin, Octo, github_status};
use ccproxy_tests::program::Finished;
use ccproxy_tests::sandbox::{Change, Endpoint, Fault, FaultRule};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

const WITH_SECRET: &str = "client_secret = { env = \"GH_SECRET\" }";

async fn octo_with_secret(client_id: &str, secret: &str) -> Octo {
    let mut octo = Octo::new(client_id, WITH_SECRET).await;
    octo.home.set_env("GH_SECRET", secret);
    octo
}

fn answers(endpoint: Endpoint, body: &str) -> FaultRule {
    let fault = Fault::Body {
        status: 200,
        content_type: "application/json".to_owned(),
        body: body.to_owned(),
        headers: BTreeMap::new(),
    };
    FaultRule { endpoint, times: 1, grant_type: None, client: None, fault }
}

/// A device login in which GitHub once answers a poll like this.
async fn device_login_polled_with(octo: &Octo, body: &str) -> Finished {
    octo.sandbox.add_fault(answers(Endpoint::GithubToken, body));
    DeviceLogin::start(&octo.home, &["github"]).await.finish().await
}

/// A browser login approved by this person.
async fn browser_login(octo: &Octo, user: &str) -> Finished {
    let login = BrowserLogin::start(&octo.home, &["github"]).await;
    assert!(login.url.contains("code_challenge_method=S256"), "{}", login.url);
    let back = octo.sandbox.approve(&login.url, user).await;
    Call::get(back.as_str()).send().await;
    login.finish().await
}

#[tokio::test]
async fn answers_that_are_forms_are_read_like_json() {
    let octo = Octo::new("gh-oauth-app", "").await;
    let token = octo.personal_token().await;
    let form = |body: String| Fault::Body {
        status: 200,
        content_type: "application/x-www-form-urlencoded; charset=utf-8".to_owned(),
        body,
        headers: BTreeMap::new(),
    };
    let device = "device_code=d&expires_in=900&interval=1&user_code=ABCD-1234&\
                  verification_uri=http%3A%2F%2F127.0.0.1%2Flogin%2Fdevice";
    octo.sandbox.fault(Endpoint::GithubDeviceCode, 1, form(device.to_owned()));
    let granted = format!("access_token={token}&scope=repo%2Cuser%3Aemail&token_type=bearer");
    octo.sandbox.fault(Endpoint::GithubToken, 1, form(granted));
    let login = DeviceLogin::start(&octo.home, &["github"]).await;
    assert_eq!(login.user_code, "ABCD-1234");
    login.finish().await.expect_success();
    assert_eq!(github_status(&octo.home).await["scopes_granted"], json!(["repo", "user:email"]));
}

#[tokio::test]
async fn an_error_with_status_200_is_an_error() {
    let octo = octo_with_secret("gh-oauth-app", "not-the-secret").await;
    let told = browser_login(&octo, "octo").await;
    assert_eq!(told.json_error()["code"], json!("credentials_rejected"), "{told}");
    assert_eq!(told.code(), 4);
    assert!(!octo.home.credential("github").exists());
}

#[tokio::test]
async fn client_credentials_go_into_the_body_and_the_code_flow_sends_pkce_all_the_same() {
    let octo = octo_with_secret("gh-oauth-app", "gh-secret").await;
    browser_login(&octo, "octo").await.expect_success();
    let log = octo.sandbox.log();
    let exchange = log.iter().find(|entry| entry.endpoint == Endpoint::GithubToken).unwrap();
    assert_eq!((exchange.client_auth.as_deref(), exchange.outcome.as_str()), (Some("post"), "ok"));
    assert_eq!(github_status(&octo.home).await["state"], json!("ok"));
}

#[tokio::test]
async fn without_a_client_secret_the_browser_flow_says_to_use_a_device() {
    let octo = Octo::new("gh-oauth-app", "").await;
    let told =
        octo.home.ccproxy(&["auth", "login", "github", "--flow", "browser", "--json"]).await.expect_code(2);
    let error = told.json_error();
    assert!(error["hint"].as_str().unwrap().contains("device"), "{error}");
}

#[tokio::test]
async fn an_unverified_address_is_told_to_the_person() {
    let octo = octo_with_secret("gh-oauth-app", "gh-secret").await;
    let told = browser_login(&octo, "unverified").await.expect_code(4);
    assert!(told.json_error()["message"].as_str().unwrap().contains("verif"), "{told}");
}

#[tokio::test]
async fn slow_down_carries_the_new_interval_and_it_is_kept() {
    let octo = Octo::new("gh-oauth-app", "").await;
    octo.sandbox.add_fault(answers(Endpoint::GithubToken, r#"{"error":"slow_down","interval":8}"#));
    let mut login = DeviceLogin::start(&octo.home, &["github"]).await;
    assert!(octo.sandbox.approve_device(&login.user_code, "octo"));
    _ = login.program().json_line_with("step", "done").await;
    login.finish().await.expect_success();
    let polls: Vec<u64> = octo
        .sandbox
        .log()
        .iter()
        .filter(|entry| entry.endpoint == Endpoint::GithubToken)
        .map(|entry| entry.at_ms)
        .collect();
    let [first, second] = polls[..] else { panic!("two polls were enough: {polls:?}") };
    // By the RFC alone it would be one second and five more.
    assert!(second - first >= 7900, "waited {} ms", second - first);
}

#[tokio::test]
async fn a_poll_that_comes_too_soon_is_not_the_end() {
    let octo = Octo::new("gh-oauth-app", "").await;
    octo.sandbox.add_fault(answers(Endpoint::GithubToken, r#"{"error":"authorization_pending"}"#));
    octo.login_by_device().await;
    assert_eq!(github_status(&octo.home).await["state"], json!("ok"));
}

#[tokio::test]
async fn both_names_of_an_expired_device_code_end_the_login() {
    for name in ["expired_token", "token_expired"] {
        let octo = Octo::new("gh-oauth-app", "").await;
        let told = device_login_polled_with(&octo, &format!(r#"{{"error":"{name}"}}"#)).await;
        let error = told.expect_code(75).json_error();
        assert!(error["message"].as_str().unwrap().contains("expired"), "{name}: {error}");
        assert!(!octo.home.credential("github").exists());
    }
}

#[tokio::test]
async fn a_person_who_cancels_is_not_asked_again() {
    let octo = Octo::new("gh-oauth-app", "").await;
    let login = DeviceLogin::start(&octo.home, &["github"]).await;
    assert!(octo.sandbox.deny_device(&login.user_code));
    let told = login.finish().await.expect_code(4);
    assert_eq!(told.json_error()["code"], json!("access_denied"));
}

#[tokio::test]
async fn an_app_without_the_device_box_says_which_box() {
    let octo = Octo::new("gh-web-only", "").await;
    let told = octo.home.ccproxy(&["auth", "login", "github", "--device", "--json"]).await;
    assert!(matches!(told.code(), 2 | 4), "{told}");
    let error = told.json_error();
    assert!(format!("{} {}", error["message"], error["hint"]).contains("Enable Device Flow"), "{error}");
}

#[tokio::test]
async fn a_client_id_that_does_not_exist_is_what_is_to_be_checked() {
    let octo = Octo::new("Iv1.nonsense", "").await;
    let told = octo.home.ccproxy(&["auth", "login", "github", "--device", "--json"]).await;
    let error = told.expect_code(4).json_error();
    assert!(error["hint"].as_str().unwrap().contains("no app has this `client_id`"), "{error}");
}

#[tokio::test]
async fn scopes_are_asked_for_with_spaces_and_answered_with_commas() {
    let octo = Octo::new("gh-oauth-app", "scopes = [\"repo\", \"user:email\"]").await;
    octo.login_by_device().await;
    let log = octo.sandbox.log();
    let asked = log.iter().find(|entry| entry.endpoint == Endpoint::GithubDeviceCode).unwrap();
    assert_eq!(asked.scope.as_deref(), Some("repo user:email"));
    let status = github_status(&octo.home).await;
    assert_eq!(status["scopes_requested"], json!(["repo", "user:email"]));
    assert_eq!(status["scopes_granted"], json!(["repo", "user:email"]));
}

#[tokio::test]
async fn an_oauth_apps_token_never_expires_and_is_never_refreshed() {
    let octo = Octo::new("gh-oauth-app", "").await;
    octo.login_by_device().await;
    let status = github_status(&octo.home).await;
    assert_eq!((&status["state"], &status["refreshable"]), (&json!("ok"), &json!(false)));
    assert_eq!(status["credentials"][0]["expires_at"], Value::Null);
    // Revoked on GitHub's pages: nothing can be done but to log in again, and the answer says so.
    assert_eq!(octo.sandbox.expire_access_tokens(None), 1);
    let host = octo.home.serve().await;
    let answer = Call::get(&host.url("/github/user")).send().await;
    assert_eq!(answer.status, 401, "{}", answer.text());
    assert_eq!(octo.sandbox.counts().refreshes(), 0);
    let status = github_status(&octo.home).await;
    assert_eq!(status["state"], json!("reauth_required"), "{status:#}");
}

#[tokio::test]
async fn a_refresh_without_the_secret_works_after_a_device_login() {
    let octo = Octo::new("gh-app", "").await;
    octo.login_by_device().await;
    octo.home.ccproxy(&["auth", "refresh", "github"]).await.expect_success();
    let log = octo.sandbox.log();
    let refresh = log.iter().rfind(|entry| entry.grant_type.as_deref() == Some("refresh_token")).unwrap();
    assert_eq!((refresh.client_auth.as_deref(), refresh.outcome.as_str()), (Some("none"), "ok"));
}

#[tokio::test]
async fn a_dead_refresh_token_asks_for_a_login() {
    let octo = Octo::new("gh-app", "").await;
    octo.login_by_device().await;
    assert_eq!(octo.sandbox.revoke_refresh_tokens(None), 1);
    let told = octo.home.ccproxy(&["auth", "refresh", "github", "--json"]).await.expect_code(4);
    assert_eq!(told.json_error()["code"], json!("reauth_required"));
    assert_eq!(github_status(&octo.home).await["state"], json!("reauth_required"));
}

#[tokio::test]
async fn the_account_has_the_primary_verified_address_though_the_user_shows_none() {
    let octo = Octo::new("gh-oauth-app", "scopes = [\"user:email\"]").await;
    octo.login_by_device().await;
    let account = github_status(&octo.home).await["account"].clone();
    let shown = account["display_name"].as_str().unwrap();
    assert!(shown.contains("octo") && account.to_string().contains("octo@example.test"), "{account}");
}

#[tokio::test]
async fn a_403_with_no_requests_left_is_a_rate_limit_and_no_reason_to_log_in() {
    let octo = Octo::new("gh-oauth-app", "").await;
    octo.login_by_device().await;
    let fault = Fault::Body {
        status: 403,
        content_type: "application/json".to_owned(),
        body: json!({ "message": "API rate limit exceeded" }).to_string(),
        headers: BTreeMap::from([
            ("x-ratelimit-remaining".to_owned(), "0".to_owned()),
            ("retry-after".to_owned(), "60".to_owned()),
        ]),
    };
    octo.sandbox.fault(Endpoint::GithubUser, 1, fault);
    let told = octo.home.ccproxy(&["auth", "test", "github", "--json"]).await.expect_code(5);
    assert_eq!(told.json_error()["code"], json!("rate_limited"));
    assert_eq!(github_status(&octo.home).await["state"], json!("ok"));
}

#[tokio::test]
async fn a_403_that_wants_single_sign_on_says_where_it_begins() {
    let octo = Octo::new("gh-oauth-app", "").await;
    octo.login_by_device().await;
    // The query is a one-time request of this token's owner, which nobody else is to see.
    let page = "https://github.com/orgs/corp/sso";
    let fault = Fault::Body {
        status: 403,
        content_type: "application/json".to_owned(),
        body: json!({ "message": "Resource protected by organization SAML enforcement" }).to_string(),
        headers: BTreeMap::from([(
            "x-github-sso".to_owned(),
            format!("required; url={page}?authorization_request=canary"),
        )]),
    };
    octo.sandbox.fault(Endpoint::GithubUser, 1, fault);
    let error = octo.home.ccproxy(&["auth", "test", "github", "--json"]).await.expect_code(4).json_error();
    assert!(error["hint"].as_str().unwrap().contains(page), "{error}");
    assert!(!error.to_string().contains("canary"), "{error}");
    assert_eq!(github_status(&octo.home).await["state"], json!("ok"));
}

#[tokio::test]
async fn another_host_is_an_enterprise_server_and_one_of_ghe_com_a_tenant() {
    let octo = Octo::fresh_machine().await;
    let connection = |name: &str, host: &str| {
        format!("[connections.{name}]\nprovider = \"github\"\nclient_id = \"x\"\nhost = \"{host}\"\n\n")
    };
    octo.home
        .write_config(&(connection("server", "git.corp.example") + &connection("tenant", "octo.ghe.com")));
    let routes = octo.home.ccproxy(&["routes", "--json"]).await.expect_success().json();
    let upstream = |name: &str| {
        let routes = routes["routes"].as_array().unwrap();
        routes.iter().find(|route| route["name"] == json!(name)).unwrap()["upstream"].clone()
    };
    assert_eq!(upstream("server"), json!("https://git.corp.example/api/v3"));
    assert_eq!(upstream("tenant"), json!("https://api.octo.ghe.com"));
}

#[tokio::test]
async fn a_slow_device_is_polled_no_faster_than_asked() {
    let octo = Octo::new("gh-oauth-app", "").await;
    octo.sandbox
        .change_settings(Change { device_interval: Some(Duration::from_secs(2)), ..Change::default() });
    let mut login = DeviceLogin::start(&octo.home, &["github"]).await;
    octo.sandbox.add_fault(answers(Endpoint::GithubToken, r#"{"error":"authorization_pending"}"#));
    assert!(octo.sandbox.approve_device(&login.user_code, "octo"));
    _ = login.program().json_line_with("step", "done").await;
    login.finish().await.expect_success();
    let log = octo.sandbox.log();
    let polls: Vec<_> = log.iter().filter(|entry| entry.endpoint == Endpoint::GithubToken).collect();
    assert!(polls.iter().all(|poll| poll.outcome != "slow_down"), "{polls:#?}");
    assert!(polls.windows(2).all(|pair| pair[1].at_ms - pair[0].at_ms >= 1900), "{polls:#?}");
}
