//! What Entra says no with, and what a person is told to do.

use std::collections::BTreeMap;

use ccproxy_tests::contoso::{AZURE_SECRET, Contoso};
use ccproxy_tests::http_client::Call;
use ccproxy_tests::login::status;
use ccproxy_tests::octo::DeviceLogin;
use ccproxy_tests::sandbox::{Endpoint, Fault, FaultRule};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

const GRAPH: &str = "scopes = [\"https://graph.microsoft.com/.default\"]";

/// The next token request is answered like this.
fn answer_next(contoso: &Contoso, status: u16, body: &Value) {
    let fault = Fault::Body {
        status,
        content_type: "application/json; charset=utf-8".to_owned(),
        body: body.to_string(),
        headers: BTreeMap::new(),
    };
    let rule = FaultRule { endpoint: Endpoint::AzureToken, times: 1, grant_type: None, client: None, fault };
    contoso.sandbox.add_fault(rule);
}

/// Nothing of what follows the AADSTS line reaches anybody.
fn assert_one_line(text: &str) {
    for word in ["Trace ID", "Correlation ID", "Timestamp", "\r"] {
        assert!(!text.contains(word), "{word:?} in {text}");
    }
}

#[tokio::test]
async fn a_dead_refresh_token_asks_for_a_login_in_one_line() {
    let contoso = Contoso::new(GRAPH).await;
    contoso.login("alice", &[]).await.expect_success();
    contoso.sandbox.revoke_refresh_tokens(None);
    let told = contoso.home.ccproxy(&["auth", "refresh", "azure", "--json"]).await.expect_code(4);
    let error = told.json_error();
    assert_eq!(error["code"], "reauth_required");
    assert_eq!(
        error["message"],
        "Entra answered `invalid_grant`: AADSTS700082: The refresh token has expired due to inactivity."
    );
    assert!(error["hint"].as_str().unwrap().contains("ccproxy auth login azure"), "{error}");

    let now = status(&contoso.home, "azure").await;
    assert_eq!(
        (&now["state"], &now["problem"]["code"]),
        (&json!("reauth_required"), &json!("reauth_required"))
    );
    contoso.sandbox.expire_access_tokens(None);
    let host = contoso.home.serve().await;
    let answer = Call::get(&host.url("/azure/me")).send().await;
    assert_eq!((answer.status.as_u16(), answer.header("ccproxy-error")), (401, "reauth_required"));
    assert_one_line(&answer.text());
    assert_one_line(&host.log());
}

#[tokio::test]
async fn a_policy_that_wants_the_person_names_the_browser() {
    let contoso = Contoso::new(GRAPH).await;
    contoso.login("alice", &[]).await.expect_success();
    let body = json!({
        "error": "interaction_required",
        "suberror": "basic_action",
        "error_description": "AADSTS50076: Due to a configuration change made by your administrator, you must use multi-factor authentication.\r\nTrace ID: x",
        "claims": "{\"access_token\":{\"capolids\":{\"essential\":true,\"values\":[\"canary\"]}}}",
    });
    answer_next(&contoso, 400, &body);
    let told = contoso.home.ccproxy(&["auth", "refresh", "azure", "--json"]).await.expect_code(4);
    let error = told.json_error();
    assert_eq!(error["code"], "reauth_required");
    assert!(error["message"].as_str().unwrap().contains("AADSTS50076"), "{error}");
    assert!(error["hint"].as_str().unwrap().contains("--flow browser"), "{error}");
    assert!(!format!("{told}").contains("canary"), "{told}");
}

#[tokio::test]
async fn an_outage_is_waited_for_and_a_live_token_goes_on() {
    let contoso = Contoso::new(GRAPH).await;
    contoso.login("alice", &[]).await.expect_success();
    let body = json!({ "error": "temporarily_unavailable", "error_description": "AADSTS90033: A transient error has occurred." });
    answer_next(&contoso, 503, &body);
    let told = contoso.home.ccproxy(&["auth", "refresh", "azure", "--json"]).await.expect_code(5);
    assert_eq!(told.json_error()["code"], "provider_unavailable");
    let host = contoso.home.serve().await;
    let echo = Call::get(&host.url("/azure/me")).send().await.json();
    assert_eq!(echo["token_state"], "valid");
}

#[tokio::test]
async fn a_person_who_declines_a_device_login_is_not_asked_again() {
    let contoso = Contoso::new(GRAPH).await;
    let login = DeviceLogin::start(&contoso.home, &["azure"]).await;
    assert!(contoso.sandbox.deny_device(&login.user_code));
    let error = login.finish().await.expect_code(4).json_error();
    assert_eq!(error["code"], "access_denied");
    assert!(error["message"].as_str().unwrap().contains("authorization_declined"), "{error}");
    assert!(error["hint"].as_str().unwrap().contains("--flow browser"), "{error}");
    assert!(!contoso.home.credential("azure").exists());
}

#[tokio::test]
async fn a_device_code_is_polled_for_where_it_was_given() {
    let contoso = Contoso::new(GRAPH).await;
    let elsewhere = format!("token_endpoint = \"{}/consumers/oauth2/v2.0/token\"", contoso.sandbox.azure());
    contoso.configure(&format!("client_id = \"az-public\"\n{elsewhere}\n{GRAPH}"), "");
    let login = DeviceLogin::start(&contoso.home, &["azure"]).await;
    let error = login.finish().await.expect_code(4).json_error();
    assert!(error["message"].as_str().unwrap().contains("bad_verification_code"), "{error}");
    assert!(error["hint"].as_str().unwrap().contains("at one tenant"), "{error}");
}

#[tokio::test]
async fn secrets_that_are_missing_wrong_or_too_many_are_told_apart() {
    let single = format!("tenant = \"contoso.example\"\n{GRAPH}");
    let contoso = Contoso::confidential("not-the-secret", &single).await;
    let told = contoso.home.ccproxy(&["auth", "login", "azure", "--json"]).await.expect_code(4);
    assert_eq!(told.json_error()["code"], "credentials_rejected");
    assert!(told.json_error()["hint"].as_str().unwrap().contains("its value, not its id"), "{told}");
    assert_one_line(&format!("{told}"));

    // An app with a secret, used as a public client.
    let contoso = Contoso::fresh_machine().await;
    contoso.configure(&format!("client_id = \"az-confidential\"\n{single}"), "");
    let told = contoso.home.ccproxy(&["auth", "login", "azure", "--device", "--json"]).await.expect_code(4);
    assert!(told.json_error()["message"].as_str().unwrap().contains("AADSTS7000218"), "{told}");
    assert!(told.json_error()["hint"].as_str().unwrap().contains("Allow public client flows"), "{told}");

    // A public client with a secret.
    let contoso = Contoso::fresh_machine().await;
    let mut contoso = contoso;
    contoso.home.set_env("S", AZURE_SECRET);
    contoso.configure(
        &format!(
            "client_id = \"az-public\"\nclient_secret = {{ env = \"S\" }}\nflow = \"browser\"\n{single}"
        ),
        "",
    );
    let told = contoso.login("alice", &[]).await.expect_code(4);
    assert!(told.json_error()["message"].as_str().unwrap().contains("AADSTS700025"), "{told}");
    assert!(told.json_error()["hint"].as_str().unwrap().contains("public client has none"), "{told}");
}

#[tokio::test]
async fn what_the_tenant_does_not_know_is_named() {
    for (settings, message, hint) in [
        ("client_id = \"az-nonsense\"", "AADSTS700016", "check `client_id` and `tenant`"),
        ("client_id = \"az-public\"\ntenant = \"nobody.example\"", "AADSTS90002", "check `tenant`"),
        (
            "client_id = \"az-public\"\nscopes = [\"https://nothing.example/.default\"]",
            "AADSTS500011",
            "check the resource in `scopes`",
        ),
    ] {
        let contoso = Contoso::fresh_machine().await;
        contoso.configure(settings, "");
        let told = contoso.home.ccproxy(&["auth", "login", "azure", "--device", "--json"]).await;
        let error = told.json_error();
        assert!(error["message"].as_str().unwrap().contains(message), "{error}");
        assert!(error["hint"].as_str().unwrap().contains(hint), "{error}");
        assert_one_line(&format!("{told}"));
    }
}

#[tokio::test]
async fn an_application_is_told_what_it_may_ask_for_before_it_asks() {
    let contoso =
        Contoso::confidential(AZURE_SECRET, "tenant = \"contoso.example\"\nscopes = [\"User.Read\"]").await;
    let told = contoso.home.ccproxy(&["auth", "login", "azure", "--json"]).await.expect_code(2);
    assert!(
        told.json_error()["hint"].as_str().unwrap().contains("https://graph.microsoft.com/.default"),
        "{told}"
    );
    let contoso = Contoso::confidential(AZURE_SECRET, GRAPH).await;
    let told = contoso.home.ccproxy(&["auth", "login", "azure", "--json"]).await.expect_code(2);
    assert!(told.json_error()["message"].as_str().unwrap().contains("need one tenant"), "{told}");
    assert_eq!(contoso.sandbox.log().len(), 0);
}

#[tokio::test]
async fn without_a_client_id_the_second_try_is_spelt_out() {
    let contoso = Contoso::fresh_machine().await;
    let told =
        contoso.home.ccproxy(&["auth", "login", "azure", "--tenant-id", "contoso.example", "--json"]).await;
    let error = told.expect_code(2).json_error();
    let hint = error["hint"].as_str().unwrap();
    for part in [
        "http://localhost",
        "Allow public client flows",
        "ccproxy auth login azure --tenant-id contoso.example --client-id ID",
    ] {
        assert!(hint.contains(part), "{hint}");
    }
}
