use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use pretty_assertions::assert_eq;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::*;
use crate::sandbox::TokenState;
use crate::sandbox::token::DEVICE_GRANT;

const OAUTH_APP: [(&str, &str); 2] = [("client_id", "gh-oauth-app"), ("client_secret", "gh-secret")];
const GITHUB_APP: [(&str, &str); 2] = [("client_id", "gh-app"), ("client_secret", "gh-app-secret")];

async fn access_token(sandbox: &Sandbox, fields: &[(&str, &str)]) -> Value {
    let url = format!("{}/login/oauth/access_token", sandbox.github());
    let answer = Call::form(&url, fields).accept_json().send().await;
    assert_eq!(answer.status, StatusCode::OK, "GitHub says everything with 200");
    answer.json()
}

async fn code(sandbox: &Sandbox, client: &str, scope: &str, user: &str) -> String {
    let url = format!(
        "{}/login/oauth/authorize?client_id={client}&redirect_uri=http%3A%2F%2F127.0.0.1%3A99%2Fcallback&\
         scope={scope}&state=s&code_challenge={CHALLENGE}&code_challenge_method=S256",
        sandbox.github()
    );
    parameter(&sandbox.approve(&url, user).await, "code").expect("an approval yields a code")
}

async fn login(sandbox: &Sandbox, app: [(&str, &str); 2]) -> Value {
    let code = code(sandbox, app[0].1, "repo%20user:email", "octo").await;
    access_token(sandbox, &[&app[..], &[("code", &code), ("code_verifier", VERIFIER)]].concat()).await
}

async fn device_login(sandbox: &Sandbox, client: &str) -> Value {
    let url = format!("{}/login/device/code", sandbox.github());
    Call::form(&url, &[("client_id", client), ("scope", "repo")]).accept_json().send().await.json()
}

async fn poll(sandbox: &Sandbox, client: &str, login: &Value) -> Value {
    let device_code = text(login, "device_code");
    access_token(
        sandbox,
        &[("client_id", client), ("device_code", device_code), ("grant_type", DEVICE_GRANT)],
    )
    .await
}

async fn polled_at_will() -> Sandbox {
    let settings = Settings { device_interval: Duration::ZERO, ..Settings::default() };
    Sandbox::start(SandboxConfig { settings, ..SandboxConfig::default() }).await.unwrap()
}

#[tokio::test]
async fn answers_are_forms_unless_json_is_accepted() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let url = format!("{}/login/oauth/access_token", sandbox.github());
    let answer = Call::form(&url, &OAUTH_APP).send().await;
    assert!(answer.header("content-type").starts_with("application/x-www-form-urlencoded"));
    let error = form_urlencoded::parse(&answer.body).find(|(name, _)| name == "error").unwrap();
    assert_eq!(error.1, "bad_verification_code");
}

#[tokio::test]
async fn an_oauth_app_gets_a_token_for_ever_with_commas_in_its_scope() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let tokens = login(&sandbox, OAUTH_APP).await;
    let members: Vec<_> = tokens.as_object().unwrap().keys().collect();
    assert_eq!(members, ["access_token", "scope", "token_type"]);
    assert!(text(&tokens, "access_token").starts_with("gho_"));
    assert_eq!((&tokens["scope"], &tokens["token_type"]), (&json!("repo,user:email"), &json!("bearer")));
}

#[tokio::test]
async fn a_github_app_refreshes_once_and_its_access_token_dies_at_once() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let first = login(&sandbox, GITHUB_APP).await;
    assert_eq!(first["expires_in"], json!(28_800));
    assert_eq!(first["refresh_token_expires_in"], json!(15_811_200));
    assert!(text(&first, "access_token").starts_with("ghu_"));

    let with = async |refresh_token: &str| {
        let grant = [("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
        access_token(&sandbox, &[&GITHUB_APP[..], &grant].concat()).await
    };
    let second = with(text(&first, "refresh_token")).await;
    assert_eq!(sandbox.token_state(text(&first, "access_token")), TokenState::Revoked);
    assert_eq!(sandbox.token_state(text(&second, "access_token")), TokenState::Valid);
    assert_eq!(with(text(&first, "refresh_token")).await["error"], json!("bad_refresh_token"));
    assert_eq!(sandbox.counts().reuse_detected, 1);
    // Unlike a family with reuse detection, the new tokens live on.
    assert_eq!(sandbox.token_state(text(&second, "access_token")), TokenState::Valid);
}

#[tokio::test]
async fn client_credentials_count_in_the_body_only() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let code = code(&sandbox, "gh-oauth-app", "repo", "octo").await;
    let fields = [("client_id", "gh-oauth-app"), ("code", &code), ("code_verifier", VERIFIER)];
    let url = format!("{}/login/oauth/access_token", sandbox.github());
    let basic = format!("Basic {}", STANDARD.encode("gh-oauth-app:gh-secret"));
    let answer = Call::form(&url, &fields).accept_json().header("authorization", &basic).send().await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["error"]),
        (200, &json!("incorrect_client_credentials"))
    );
}

#[tokio::test]
async fn a_code_is_bad_the_second_time_and_for_another_verifier() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let code = code(&sandbox, "gh-oauth-app", "repo", "octo").await;
    let with = async |verifier: &str| {
        let fields = [("code", code.as_str()), ("code_verifier", verifier)];
        access_token(&sandbox, &[&OAUTH_APP[..], &fields].concat()).await
    };
    assert_eq!(with("wrong").await["error"], json!("bad_verification_code"));
    assert!(with(VERIFIER).await["access_token"].is_string());
    assert_eq!(with(VERIFIER).await["error"], json!("bad_verification_code"));
}

#[tokio::test]
async fn an_unverified_address_is_an_error_of_its_own() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let code = code(&sandbox, "gh-oauth-app", "repo", "unverified").await;
    let fields = [("code", code.as_str()), ("code_verifier", VERIFIER)];
    let answer = access_token(&sandbox, &[&OAUTH_APP[..], &fields].concat()).await;
    assert_eq!(answer["error"], json!("unverified_user_email"));
}

#[tokio::test]
async fn slow_down_names_the_new_interval() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let login = device_login(&sandbox, "gh-oauth-app").await;
    assert_eq!((&login["interval"], login.get("verification_uri_complete")), (&json!(5), None));
    assert_eq!(text(&login, "device_code").len(), 40);
    assert_eq!(poll(&sandbox, "gh-oauth-app", &login).await["error"], json!("authorization_pending"));
    for interval in [10, 15] {
        let slowed = poll(&sandbox, "gh-oauth-app", &login).await;
        assert_eq!((&slowed["error"], &slowed["interval"]), (&json!("slow_down"), &json!(interval)));
    }
}

#[tokio::test]
async fn a_device_login_needs_no_secret_not_even_to_refresh() {
    let sandbox = polled_at_will().await;
    let login = device_login(&sandbox, "gh-app").await;
    assert!(sandbox.approve_device(text(&login, "user_code"), "octo"));
    let tokens = poll(&sandbox, "gh-app", &login).await;
    let refresh_token = text(&tokens, "refresh_token");
    let fields = [("client_id", "gh-app"), ("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
    assert!(access_token(&sandbox, &fields).await["access_token"].is_string());
}

#[tokio::test]
async fn a_browser_login_needs_the_secret_to_refresh() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let tokens = login(&sandbox, GITHUB_APP).await;
    let refresh_token = text(&tokens, "refresh_token");
    let fields = [("client_id", "gh-app"), ("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
    assert_eq!(access_token(&sandbox, &fields).await["error"], json!("incorrect_client_credentials"));
}

#[tokio::test]
async fn device_errors_have_githubs_names() {
    let sandbox = polled_at_will().await;
    assert_eq!(device_login(&sandbox, "gh-web-only").await["error"], json!("device_flow_disabled"));
    let unknown = json!({ "device_code": "x" });
    assert_eq!(poll(&sandbox, "gh-oauth-app", &unknown).await["error"], json!("incorrect_device_code"));
    let denied = device_login(&sandbox, "gh-oauth-app").await;
    assert!(sandbox.deny_device(text(&denied, "user_code")));
    assert_eq!(poll(&sandbox, "gh-oauth-app", &denied).await["error"], json!("access_denied"));
    sandbox.change_settings(Change { device_code_ttl: Some(Duration::ZERO), ..Change::default() });
    let expired = device_login(&sandbox, "gh-oauth-app").await;
    assert_eq!(poll(&sandbox, "gh-oauth-app", &expired).await["error"], json!("expired_token"));
    let other = access_token(&sandbox, &[("client_id", "gh-oauth-app"), ("grant_type", "password")]).await;
    assert_eq!(other["error"], json!("unsupported_grant_type"));
}

#[tokio::test]
async fn the_user_has_no_address_but_one_is_primary_and_verified() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let tokens = login(&sandbox, OAUTH_APP).await;
    let token = text(&tokens, "access_token");
    let user = Call::get(&format!("{}/user", sandbox.github_api())).bearer(token).send().await;
    assert_eq!(user.header("x-oauth-scopes"), "repo, user:email");
    assert_eq!((&user.json()["login"], &user.json()["email"]), (&json!("octo"), &Value::Null));
    let emails =
        Call::get(&format!("{}/user/emails", sandbox.github_api())).bearer(token).send().await.json();
    let primary = emails.as_array().unwrap().iter().find(|email| email["primary"] == json!(true)).unwrap();
    assert_eq!((&primary["email"], &primary["verified"]), (&json!("octo@example.test"), &json!(true)));
}

#[tokio::test]
async fn the_api_takes_bearer_token_and_basic_and_refuses_the_rest() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let tokens = login(&sandbox, OAUTH_APP).await;
    let token = text(&tokens, "access_token");
    let url = format!("{}/user", sandbox.github_api());
    let basic = STANDARD.encode(format!("x-access-token:{token}"));
    for field in [format!("Bearer {token}"), format!("token {token}"), format!("Basic {basic}")] {
        assert_eq!(Call::get(&url).header("authorization", &field).send().await.status, StatusCode::OK);
    }
    let refused = Call::get(&url).bearer("gho_nonsense").send().await;
    assert_eq!((refused.status.as_u16(), &refused.json()["message"]), (401, &json!("Bad credentials")));
}

#[tokio::test]
async fn repositories_come_in_pages_with_absolute_links() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let tokens = login(&sandbox, OAUTH_APP).await;
    let mut url = format!("{}/user/repos?per_page=3", sandbox.github_api());
    let mut names = Vec::new();
    for _ in 0..3 {
        let page = Call::get(&url).bearer(text(&tokens, "access_token")).send().await;
        names.extend(
            page.json().as_array().unwrap().iter().map(|repository| text(repository, "name").to_owned()),
        );
        let next = page.header("link").split(", ").find(|link| link.ends_with("rel=\"next\""));
        let Some(next) = next else { break };
        url = next.split(['<', '>']).nth(1).unwrap().to_owned();
        assert!(url.starts_with(&sandbox.github_api()), "{url}");
    }
    assert_eq!(names, (0..7).map(|n| format!("repository-{n}")).collect::<Vec<_>>());
}
