//! Logging in to Entra, in every way there is.

use ccproxy_tests::browser;
use ccproxy_tests::contoso::{AZURE_SECRET, Contoso};
use ccproxy_tests::http_client::Call;
use ccproxy_tests::login::{BrowserLogin, status};
use ccproxy_tests::octo::DeviceLogin;
use ccproxy_tests::sandbox::{Endpoint, Entry, Fingerprint};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};
use url::Url;

const CONTOSO_ID: &str = "c0c0c0c0-1111-2222-3333-444444444444";
const GRAPH: &str = "scopes = [\"https://graph.microsoft.com/.default\"]";

/// How the token that reached the upstream was issued.
fn issued(contoso: &Contoso, echo: &Value) -> Entry {
    let field = echo["headers"]["authorization"].as_str().unwrap_or_else(|| panic!("no token in {echo}"));
    let token = Fingerprint::of(field.strip_prefix("Bearer ").unwrap());
    let log = contoso.sandbox.log();
    log.into_iter()
        .find(|entry| entry.issued_access_token.as_ref() == Some(&token))
        .expect("it was issued here")
}

fn redirect_uri(login: &BrowserLogin) -> String {
    let url = Url::parse(&login.url).unwrap();
    let (_, uri) = url.query_pairs().find(|(name, _)| name == "redirect_uri").unwrap();
    uri.into_owned()
}

#[tokio::test]
async fn a_browser_comes_back_to_localhost_and_the_account_is_the_persons() {
    let contoso = Contoso::new(GRAPH).await;
    let host = contoso.home.serve().await;
    let login = BrowserLogin::start(&contoso.home, &["azure"]).await;
    let port = redirect_uri(&login).strip_prefix("http://localhost:").unwrap().to_owned();
    assert!(port.parse::<u16>().is_ok(), "no path, no slash: {port}");
    let back = contoso.sandbox.approve(&login.url, "alice").await;
    assert!(back.query().unwrap().contains("session_state="), "{back}");
    assert_eq!(Call::get(back.as_str()).send().await.status, 200);
    assert_eq!(login.succeed().await["step"], "done");

    let told = status(&contoso.home, "azure").await;
    assert_eq!((&told["state"], &told["refreshable"]), (&json!("ok"), &json!(true)), "{told:#}");
    assert_eq!(told["account"]["display_name"], "alice@example.test");
    assert_eq!(told["account"]["host"], CONTOSO_ID);
    assert!(told["account"]["subject"].as_str().unwrap().starts_with("0b1ec700-"), "{told:#}");
    assert_eq!(told["scopes_granted"], json!(["https://graph.microsoft.com/.default"]));

    let echo = Call::get(&host.url("/azure/me")).send().await.json();
    assert_eq!((&echo["path"], &echo["token_state"]), (&json!("/me"), &json!("valid")));
    assert_eq!(issued(&contoso, &echo).audience.as_deref(), Some("https://graph.microsoft.com"));
}

#[tokio::test]
async fn chromium_finds_the_way_back_to_localhost() {
    let contoso = Contoso::new(GRAPH).await;
    let login = BrowserLogin::start(&contoso.home, &["azure"]).await;
    let last_page = browser::approve(&login.url).await;
    assert!(last_page.text.contains("azure"), "{}", last_page.text);
    assert_eq!(login.succeed().await["step"], "done");
    assert_eq!(status(&contoso.home, "azure").await["state"], "ok");
}

#[tokio::test]
async fn the_address_that_a_browser_elsewhere_ended_on_is_pasted() {
    let contoso = Contoso::new(GRAPH).await;
    let mut login = BrowserLogin::start(&contoso.home, &["azure"]).await;
    let back = contoso.sandbox.approve(&login.url, "alice").await;
    login.program().write_line(back.as_str()).await;
    assert_eq!(login.succeed().await["step"], "done");
    assert_eq!(status(&contoso.home, "azure").await["state"], "ok");
}

#[tokio::test]
async fn a_code_is_typed_in_elsewhere() {
    let contoso = Contoso::new(GRAPH).await;
    let mut login = DeviceLogin::start(&contoso.home, &["azure"]).await;
    assert!(contoso.sandbox.approve_device(&login.user_code, "alice"));
    _ = login.program().json_line_with("step", "done").await;
    login.finish().await.expect_success();
    let told = status(&contoso.home, "azure").await;
    assert_eq!((&told["state"], &told["refreshable"]), (&json!("ok"), &json!(true)), "{told:#}");
    assert_eq!(told["account"]["display_name"], "alice@example.test");
}

#[tokio::test]
async fn an_application_needs_no_login_and_its_secret_arrives_whole() {
    let contoso =
        Contoso::confidential(AZURE_SECRET, &format!("tenant = \"contoso.example\"\n{GRAPH}")).await;
    let host = contoso.home.serve().await;
    for _ in 0..3 {
        let echo = Call::get(&host.url("/azure/users")).send().await.json();
        let entry = issued(&contoso, &echo);
        assert_eq!(entry.grant_type.as_deref(), Some("client_credentials"));
        assert_eq!(
            (entry.client_auth.as_deref(), entry.subject.as_deref()),
            (Some("post"), Some(&*format!("az-confidential of {CONTOSO_ID}")))
        );
    }
    assert_eq!(contoso.sandbox.counts().requests[&Endpoint::AzureToken], 1);
    let verified = contoso.home.ccproxy(&["auth", "login", "azure", "--json"]).await.expect_success();
    assert!(verified.stdout.contains("\"done\""), "{verified}");
}

#[tokio::test]
async fn a_token_of_another_tool_will_do() {
    let contoso = Contoso::new(GRAPH).await;
    contoso.login("alice", &[]).await.expect_success();
    let token = contoso.home.ccproxy(&["auth", "token", "azure"]).await.expect_success();
    contoso.home.ccproxy(&["auth", "logout", "azure"]).await.expect_success();
    let mut login = contoso.home.spawn_ccproxy(&["auth", "login", "azure", "--with-token"]);
    login.write_line(token.stdout.trim()).await;
    login.close_stdin();
    login.finish().await.expect_success();
    let host = contoso.home.serve().await;
    let echo = Call::get(&host.url("/azure/me")).send().await.json();
    assert_eq!(echo["token_state"], "valid");
}

#[tokio::test]
async fn a_fresh_machine_is_set_up_by_one_command_with_the_tenants_alias() {
    let contoso = Contoso::fresh_machine().await;
    let (authority, upstream) = (contoso.sandbox.azure(), contoso.sandbox.upstream().to_owned());
    let args = [
        "--tenant-id",
        CONTOSO_ID,
        "--client-id",
        "az-public",
        "--authority",
        &authority,
        "--upstream",
        &upstream,
        "--scopes",
        "https://graph.microsoft.com/User.Read",
    ];
    contoso.login("alice", &args).await.expect_success();
    let stored =
        std::fs::read_to_string(contoso.home.config_dir().join("connections/global/azure.toml")).unwrap();
    assert!(stored.contains(&format!("tenant = \"{CONTOSO_ID}\"")), "{stored}");
    assert_eq!(status(&contoso.home, "azure").await["state"], "ok");
}

#[tokio::test]
async fn a_tenant_that_is_misspelt_is_told_before_any_page_opens() {
    let contoso = Contoso::new("tenant = \"organisations\"").await;
    let told = contoso.home.ccproxy(&["auth", "login", "azure", "--flow", "browser", "--json"]).await;
    let error = told.expect_code(2).json_error();
    assert_eq!(error["message"], "setting `tenant` = `organisations` is no tenant");
    assert_eq!(contoso.sandbox.log().len(), 0);
}

#[tokio::test]
async fn who_is_of_another_tenant_than_was_meant_is_not_logged_in() {
    // `common` lets everybody sign in; the settings of this machine mean Contoso.
    let contoso = Contoso::new(&format!("tenant = \"{CONTOSO_ID}\"\n{GRAPH}")).await;
    contoso.configure(
        &format!(
            "client_id = \"az-public\"\ntenant = \"{CONTOSO_ID}\"\n{GRAPH}\n\
                  authorization_endpoint = \"{base}/common/oauth2/v2.0/authorize\"\n\
                  token_endpoint = \"{base}/common/oauth2/v2.0/token\"",
            base = contoso.sandbox.azure()
        ),
        "",
    );
    let told = contoso.login("fay", &[]).await.expect_code(4);
    assert_eq!(told.json_error()["code"], "access_denied");
    assert!(told.json_error()["message"].as_str().unwrap().contains("fafafafa-"), "{told}");
    assert!(!contoso.home.credential("azure").exists());
    contoso.login("alice", &[]).await.expect_success();
}

#[tokio::test]
async fn logging_out_says_that_nothing_was_revoked() {
    let contoso = Contoso::new(GRAPH).await;
    contoso.login("alice", &[]).await.expect_success();
    let told = contoso.home.ccproxy(&["auth", "logout", "azure"]).await.expect_success();
    assert!(format!("{}{}", told.stdout, told.stderr).contains("Entra has no revocation"), "{told}");
    assert!(!contoso.home.credential("azure").exists());
}
