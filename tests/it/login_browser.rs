//! A person logs in with a browser, and from then on every tool works without a secret.

use ccproxy_tests::browser::{self, Person};
use ccproxy_tests::corp::{self, Corp};
use ccproxy_tests::home::Home;
use ccproxy_tests::http_client::Call;
use ccproxy_tests::login::{BrowserLogin, status};
use ccproxy_tests::oidc_provider::{OidcProvider, Options};
use ccproxy_tests::sandbox::Sandbox;
use pretty_assertions::assert_eq;
use serde_json::{Value, json};
use url::Url;

/// A machine with a connection to a certified provider; its API is the sandbox's echo.
async fn machine(provider: &OidcProvider) -> (Home, Sandbox) {
    let api = Sandbox::start_default().await.unwrap();
    let corp = corp::connection("corp", provider.issuer(), api.upstream(), "native");
    (Home::with_config(&corp), api)
}

/// The token that reached the API.
fn bearer(echo: &Value) -> String {
    let field = echo["headers"]["authorization"].as_str().unwrap_or_else(|| panic!("no token in {echo}"));
    field.strip_prefix("Bearer ").unwrap().to_owned()
}

#[tokio::test]
async fn a_login_in_chromium_ends_in_proxied_requests() {
    let provider = OidcProvider::start(Options::default()).await;
    let (home, _api) = machine(&provider).await;
    let host = home.serve().await;

    let login = BrowserLogin::start(&home, &["corp"]).await;
    let last_page = browser::approve(&login.url).await;
    let done = login.succeed().await;
    assert_eq!((&done["step"], &done["connection"]), (&json!("done"), &json!("corp")));
    assert!(last_page.text.contains("corp"), "the page says what was logged in: {}", last_page.text);

    // The host that was running before the login serves it at once.
    let answer = Call::get(&host.url("/corp/v1/me?a=%20b")).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let echo = answer.json();
    assert_eq!((&echo["path"], &echo["query"]), (&json!("/v1/me"), &json!("a=%20b")));
    let token = provider.introspect(&bearer(&echo)).await;
    assert_eq!((&token["active"], &token["sub"]), (&json!(true), &json!("alice")));

    let status = status(&home, "corp").await;
    assert_eq!(status["state"], "ok", "{status:#}");
    assert_eq!(status["account"]["subject"], "alice");
    assert_eq!(status["account"]["display_name"], "alice@example.test");
    assert_eq!(status["refreshable"], true);
    assert_eq!(status["scopes_requested"], json!(["openid", "email", "offline_access"]));
    assert_eq!(status["problem"], Value::Null);
    assert_eq!((provider.granted("authorization_code"), provider.refused("authorization_code")), (1, 0));
}

#[tokio::test]
async fn the_command_opens_the_browser_of_the_person() {
    let provider = OidcProvider::start(Options::default()).await;
    let (mut home, _api) = machine(&provider).await;
    let browser = browser::install(&home);
    home.set_env("BROWSER", browser.to_str().unwrap());

    let login = home.ccproxy(&["auth", "login", "corp"]).await.expect_success();
    // The URL is printed before a browser is opened: whoever cannot see that browser has it.
    let printed = login.stderr.lines().find_map(|line| line.strip_prefix("open: ")).unwrap();
    assert!(printed.starts_with(provider.issuer()), "{printed}");
    assert!(login.stderr.trim_end().lines().last().unwrap().contains("curl http://"), "{login}");
    assert_eq!(login.stdout, "");
}

#[tokio::test]
async fn nothing_is_saved_when_the_person_says_no() {
    let provider = OidcProvider::start(Options::default()).await;
    let (home, _api) = machine(&provider).await;
    let login = BrowserLogin::start(&home, &["corp"]).await;
    let refused = Person { denies: true, ..Person::default() };
    let last_page = browser::visit(&login.url, refused).await;
    assert!(!last_page.text.is_empty());

    let ended = login.finish().await.expect_code(4);
    let error: Value = serde_json::from_str(ended.stderr.lines().last().unwrap()).unwrap();
    assert_eq!((&error["schema"], &error["code"]), (&json!("ccproxy.error/1"), &json!("access_denied")));
    assert!(!home.credential("corp").exists());
    assert_eq!(status(&home, "corp").await["state"], "not_logged_in");
    home.ccproxy(&["auth", "status", "corp"]).await.expect_code(4);
}

#[tokio::test]
async fn a_redirected_url_can_be_pasted() {
    let corp = Corp::new(Corp::rotating()).await;
    let mut login = BrowserLogin::start(&corp.home, &["corp"]).await;
    // The browser runs on another machine: its redirect leads nowhere, and its address line has it all.
    let redirect = corp.sandbox.approve(&login.url, "alice").await;
    login.program().write_line("https://example.com/something/else").await;
    login.program().write_line(redirect.as_str()).await;
    assert_eq!(login.succeed().await["step"], "done");
    assert_eq!(status(&corp.home, "corp").await["state"], "ok");
}

#[tokio::test]
async fn scopes_that_nobody_chose_are_told_all_the_same() {
    let corp = Corp::new(Corp::rotating()).await;
    let issuer = corp.sandbox.issuer();
    let new = ["oidc", "--connection", "plain", "--issuer", issuer, "--client-id", "native"];
    let mut login = BrowserLogin::start(&corp.home, &new).await;
    let redirect = corp.sandbox.approve(&login.url, "alice").await;
    login.program().write_line(redirect.as_str()).await;
    assert_eq!(login.succeed().await["step"], "done");
    let scopes = &status(&corp.home, "plain").await["scopes_requested"];
    assert_eq!(scopes, &json!(["openid", "offline_access"]));
}

#[tokio::test]
async fn a_redirect_with_the_state_of_another_login_is_refused() {
    let corp = Corp::new(Corp::rotating()).await;
    let login = BrowserLogin::start(&corp.home, &["corp"]).await;
    let redirect = corp.sandbox.approve(&login.url, "mallory").await;

    let forged = with_state(&redirect, "forged");
    let page = Call::get(forged.as_str()).send().await;
    assert_eq!(page.status, 400, "{}", page.text());
    assert_eq!(corp.sandbox.counts().token_requests("authorization_code"), 0);
    assert!(!corp.home.credential("corp").exists());

    // The login goes on: its own redirect is still awaited.
    assert_eq!(Call::get(redirect.as_str()).send().await.status, 200);
    login.succeed().await;
}

#[tokio::test]
async fn a_pasted_redirect_with_another_state_ends_the_login_and_saves_nothing() {
    let corp = Corp::new(Corp::rotating()).await;
    let mut login = BrowserLogin::start(&corp.home, &["corp"]).await;
    let redirect = corp.sandbox.approve(&login.url, "mallory").await;
    login.program().write_line(with_state(&redirect, "forged").as_str()).await;
    let ended = login.finish().await;
    assert_ne!(ended.code(), 0, "{ended}");
    assert_eq!(corp.sandbox.counts().token_requests("authorization_code"), 0);
    assert!(!corp.home.credential("corp").exists());
}

fn with_state(redirect: &Url, state: &str) -> Url {
    let mut forged = redirect.clone();
    let kept = redirect.query_pairs().filter(|(name, _)| name != "state");
    forged.query_pairs_mut().clear().extend_pairs(kept).append_pair("state", state);
    forged
}
