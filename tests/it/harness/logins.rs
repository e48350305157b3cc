//! Both authorization servers, and a person in front of Chromium.

use ccproxy_tests::browser::{self, Person};
use ccproxy_tests::home::Home;
use ccproxy_tests::http_client::Call;
use ccproxy_tests::oidc_provider::{OidcProvider, Options};
use ccproxy_tests::program::Program;
use ccproxy_tests::sandbox::{Sandbox, SandboxConfig, Settings};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};
use url::Url;

/// RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

fn authorize_url(endpoint: &str, redirect_uri: &str) -> String {
    let mut url = Url::parse(endpoint).unwrap();
    url.query_pairs_mut().extend_pairs([
        ("response_type", "code"),
        ("client_id", "native"),
        ("redirect_uri", redirect_uri),
        ("scope", "openid offline_access"),
        ("prompt", "consent"),
        ("state", "s1"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ]);
    url.into()
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(n, _)| n == name).map(|(_, value)| value.into_owned())
}

async fn post(url: &str, fields: &[(&str, &str)]) -> Value {
    Call::form(url, fields).send().await.json()
}

/// A browser login at a server whose callback is the sandbox's upstream: any page there will do.
async fn browser_login(issuer: &str, callback: &str) -> Value {
    let metadata = Call::get(&format!("{issuer}/.well-known/openid-configuration")).send().await.json();
    let page =
        browser::approve(&authorize_url(metadata["authorization_endpoint"].as_str().unwrap(), callback))
            .await;
    assert_eq!(parameter(&page.url, "state").as_deref(), Some("s1"));
    let code = parameter(&page.url, "code").unwrap_or_else(|| panic!("no code: {page:?}"));
    let fields = [
        ("grant_type", "authorization_code"),
        ("client_id", "native"),
        ("code", &code),
        ("redirect_uri", callback),
        ("code_verifier", VERIFIER),
    ];
    post(metadata["token_endpoint"].as_str().unwrap(), &fields).await
}

async fn device_login(issuer: &str) -> Value {
    let metadata = Call::get(&format!("{issuer}/.well-known/openid-configuration")).send().await.json();
    let fields = [("client_id", "native"), ("scope", "openid offline_access")];
    let login = post(metadata["device_authorization_endpoint"].as_str().unwrap(), &fields).await;
    let person = Person { user_code: login["user_code"].as_str(), ..Person::default() };
    browser::visit(login["verification_uri"].as_str().unwrap(), person).await;
    let device_code = login["device_code"].as_str().unwrap();
    let fields = [("grant_type", DEVICE_CODE), ("client_id", "native"), ("device_code", device_code)];
    post(metadata["token_endpoint"].as_str().unwrap(), &fields).await
}

#[tokio::test]
async fn chromium_logs_in_at_the_certified_provider_by_code_and_by_device() {
    let provider = OidcProvider::start(Options::default()).await;
    let sandbox = Sandbox::start_default().await.unwrap();
    let callback = format!("{}/callback", sandbox.upstream());
    for tokens in [browser_login(provider.issuer(), &callback).await, device_login(provider.issuer()).await] {
        assert!(tokens["refresh_token"].is_string() && tokens["id_token"].is_string(), "{tokens}");
    }
    assert_eq!((provider.granted("authorization_code"), provider.granted(DEVICE_CODE)), (1, 1));
}

#[tokio::test]
async fn chromium_logs_in_at_the_sandbox_by_code_and_by_device() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let callback = format!("{}/callback", sandbox.upstream());
    for tokens in [browser_login(sandbox.issuer(), &callback).await, device_login(sandbox.issuer()).await] {
        assert!(tokens["refresh_token"].is_string() && tokens["id_token"].is_string(), "{tokens}");
    }
}

#[tokio::test]
async fn a_person_can_say_no() {
    let provider = OidcProvider::start(Options::default()).await;
    let sandbox = Sandbox::start_default().await.unwrap();
    let callback = format!("{}/callback", sandbox.upstream());
    for endpoint in [format!("{}/auth", provider.issuer()), format!("{}/authorize", sandbox.issuer())] {
        let person = Person { denies: true, ..Person::default() };
        let page = browser::visit(&authorize_url(&endpoint, &callback), person).await;
        assert_eq!(parameter(&page.url, "error").as_deref(), Some("access_denied"));
    }
}

/// The sandbox's rotation is our reading of RFC 9700; a certified server must read it the same way.
#[tokio::test]
async fn both_servers_revoke_a_family_whose_spent_refresh_token_comes_back() {
    let provider = OidcProvider::start(Options::default()).await;
    let settings = Settings { rotate: true, reuse_detection: true, ..Settings::default() };
    let config = SandboxConfig { settings, ..SandboxConfig::default() };
    let sandbox = Sandbox::start(config).await.unwrap();
    let callback = format!("{}/callback", sandbox.upstream());
    for issuer in [provider.issuer(), sandbox.issuer()] {
        let first = browser_login(issuer, &callback).await;
        let refresh = async |tokens: &Value| {
            let refresh_token = tokens["refresh_token"].as_str().unwrap();
            let fields =
                [("grant_type", "refresh_token"), ("client_id", "native"), ("refresh_token", refresh_token)];
            post(&format!("{issuer}/token"), &fields).await
        };
        let second = refresh(&first).await;
        assert!(second["refresh_token"].is_string(), "{issuer}: {second}");
        assert_eq!(refresh(&first).await["error"], json!("invalid_grant"), "{issuer}");
        assert_eq!(refresh(&second).await["error"], json!("invalid_grant"), "{issuer}");
    }
    assert_eq!((provider.granted("refresh_token"), provider.refused("refresh_token")), (1, 2));
    assert!(provider.revoked() >= 1);
}

#[tokio::test]
async fn the_browser_can_be_a_program_that_others_start() {
    let home = Home::new();
    let sandbox = Sandbox::start_default().await.unwrap();
    let callback = format!("{}/callback", sandbox.upstream());
    let mut command = home.command(browser::install(&home));
    command.arg(authorize_url(&format!("{}/authorize", sandbox.issuer()), &callback));
    Program::spawn(command).finish().await.expect_success();
    assert!(sandbox.requests().requests.iter().any(|seen| seen.path == "/callback"));
}
