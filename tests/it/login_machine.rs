//! A service logs in by its own secret: no person, no login needed.

use ccproxy_tests::corp::{self, SVC_SECRET};
use ccproxy_tests::home::Home;
use ccproxy_tests::http_client::Call;
use ccproxy_tests::login::status;
use ccproxy_tests::oidc_provider::{OidcProvider, Options};
use ccproxy_tests::sandbox::Sandbox;
use pretty_assertions::assert_eq;
use serde_json::json;

async fn machine(secret: &str) -> (OidcProvider, Home, Sandbox) {
    let provider = OidcProvider::start(Options::default()).await;
    let api = Sandbox::start_default().await.unwrap();
    let mut home = Home::with_config(&corp::service("svc", provider.issuer(), api.upstream()));
    home.set_env("SVC_SECRET", secret);
    (provider, home, api)
}

#[tokio::test]
async fn the_first_request_acquires_and_the_next_one_needs_nothing() {
    let (provider, home, _api) = machine(SVC_SECRET).await;
    let host = home.serve().await;
    for _ in 0..3 {
        let echo = Call::get(&host.url("/svc/v1/jobs")).send().await.json();
        let token = echo["headers"]["authorization"].as_str().and_then(|field| field.strip_prefix("Bearer "));
        let token = provider.introspect(token.unwrap_or_else(|| panic!("no token in {echo}"))).await;
        assert_eq!((&token["active"], &token["client_id"]), (&json!(true), &json!("svc")));
    }
    assert_eq!((provider.granted("client_credentials"), provider.refused("client_credentials")), (1, 0));
    assert_eq!(status(&home, "svc").await["state"], "ok");
}

#[tokio::test]
async fn a_login_acquires_once_and_says_that_it_works() {
    let (provider, home, _api) = machine(SVC_SECRET).await;
    let login = home.ccproxy(&["auth", "login", "svc", "--json"]).await.expect_success();
    let done: serde_json::Value = serde_json::from_str(login.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&done["step"], &done["connection"]), (&json!("done"), &json!("svc")));
    assert_eq!(provider.granted("client_credentials"), 1);
    home.ccproxy(&["auth", "status", "svc"]).await.expect_success();
}

#[tokio::test]
async fn a_wrong_secret_is_the_login_that_is_refused() {
    let (provider, home, _api) = machine("svc:se cr/et %").await;
    let login = home.ccproxy(&["auth", "login", "svc", "--json"]).await.expect_code(4);
    assert_eq!(login.json_error()["code"], "credentials_rejected");
    assert!(!home.credential("svc").exists());

    let host = home.serve().await;
    let answer = Call::get(&host.url("/svc/v1/jobs")).send().await;
    assert_eq!((answer.status.as_u16(), answer.header("ccproxy-error")), (401, "credentials_rejected"));
    assert!(!answer.text().contains("se cr"), "{}", answer.text());
    assert_eq!(provider.granted("client_credentials"), 0);
}
