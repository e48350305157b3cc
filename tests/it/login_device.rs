//! A person on a machine without a browser logs in with a code that is typed in elsewhere.

use ccproxy_tests::browser::{self, Person};
use ccproxy_tests::corp::{self, Corp};
use ccproxy_tests::home::Home;
use ccproxy_tests::http_client::Call;
use ccproxy_tests::login::status;
use ccproxy_tests::oidc_provider::{OidcProvider, Options};
use ccproxy_tests::sandbox::{Sandbox, Settings};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

#[tokio::test]
async fn a_code_typed_into_chromium_logs_this_machine_in() {
    let provider = OidcProvider::start(Options::default()).await;
    let api = Sandbox::start_default().await.unwrap();
    let home = Home::with_config(&corp::connection("corp", provider.issuer(), api.upstream(), "native"));

    let mut login = home.spawn_ccproxy(&["auth", "login", "corp", "--device", "--json"]);
    let step = login.json_line_with("step", "user_code").await;
    assert_eq!(step["schema"], "ccproxy.login/1");
    assert!(step["expires_at"].is_string(), "{step}");
    let user_code = step["user_code"].as_str();
    let page = step["verification_uri"].as_str().unwrap();
    browser::visit(page, Person { user_code, ..Person::default() }).await;
    let done = login.json_line_with("step", "done").await;
    assert_eq!(done["connection"], "corp");
    login.finish().await.expect_success();

    let host = home.serve().await;
    let echo = Call::get(&host.url("/corp/v1/me")).send().await.json();
    let token = echo["headers"]["authorization"].as_str().and_then(|field| field.strip_prefix("Bearer "));
    assert_eq!(provider.introspect(token.unwrap()).await["sub"], "alice");
    assert_eq!(status(&home, "corp").await["state"], "ok");
}

#[tokio::test]
async fn without_a_display_the_code_is_printed_for_people() {
    let corp =
        Corp::new(Settings { device_interval: std::time::Duration::from_secs(1), ..Corp::rotating() }).await;
    let mut login = corp.home.spawn_ccproxy(&["auth", "login", "corp"]);
    let open = login.stderr_line(|line| line.starts_with("open: ")).await;
    assert!(open.contains(corp.sandbox.issuer()), "{open}");
    let code = login.stderr_line(|line| line.starts_with("code: ")).await;
    assert!(corp.sandbox.approve_device(code.trim_start_matches("code: "), "alice"));
    let done = login.finish().await.expect_success();
    assert_eq!(done.stdout, "");
    assert_eq!(status(&corp.home, "corp").await["account"]["subject"], "alice");
}

#[tokio::test]
async fn a_denied_code_ends_the_login_and_saves_nothing() {
    let corp =
        Corp::new(Settings { device_interval: std::time::Duration::from_secs(1), ..Corp::rotating() }).await;
    let mut login = corp.home.spawn_ccproxy(&["auth", "login", "corp", "--device", "--json"]);
    let step = login.json_line_with("step", "user_code").await;
    assert!(corp.sandbox.deny_device(step["user_code"].as_str().unwrap()));
    let ended = login.finish().await.expect_code(4);
    let error: Value = serde_json::from_str(ended.stderr.lines().last().unwrap()).unwrap();
    assert_eq!(error["code"], "access_denied");
    assert!(!corp.home.credential("corp").exists());
}

#[tokio::test]
async fn a_login_that_nobody_finishes_times_out_as_something_to_try_again() {
    let corp = Corp::new(Corp::rotating()).await;
    let args = ["auth", "login", "corp", "--device", "--json", "--timeout", "1s"];
    let ended = corp.home.ccproxy(&args).await.expect_code(75);
    let error: Value = serde_json::from_str(ended.stderr.lines().last().unwrap()).unwrap();
    assert_eq!(error["schema"], json!("ccproxy.error/1"));
    assert!(!corp.home.credential("corp").exists());
}
