//! Clients that follow pages: by a URL in the body (Microsoft Graph), by a token (Google), by `Link` (octokit).

use ccproxy_tests::clients::{environment, node, python};
use ccproxy_tests::http_client::Call;
use ccproxy_tests::keyed::KeyedApi;
use ccproxy_tests::octo::Octo;
use pretty_assertions::assert_eq;
use serde_json::json;

const MSGRAPH: &str = include_str!("../parts/clients/msgraph_pages.py");
const DRIVE: &str = include_str!("../parts/clients/google_drive.py");

/// A route to the API's Graph, with what the manual says for it.
async fn graph(more: &str) -> KeyedApi {
    KeyedApi::with_config(false, |api| {
        let upstream = api.sandbox.upstream();
        format!("[routes.graph]\nupstream = \"{upstream}/graph/v1.0\"\nconnection = \"api\"\n{more}\n")
    })
    .await
}

#[tokio::test]
async fn the_graph_sdk_asks_us_for_the_next_page() {
    let api = graph("rewrite_json = [\"@odata.nextLink\"]").await;
    let host = api.home.serve().await;
    let environment = [("BASE_URL", host.url("/graph"))];
    let told = python(&api.home, &["msgraph-sdk"], MSGRAPH, &environment).await.expect_success().json();
    assert_eq!(told["me"], json!("Alice"));
    let subjects: Vec<_> = (0..5).map(|n| format!("message {n}")).collect();
    assert_eq!(told["subjects"], json!(subjects));
    let links = [2, 4].map(|skip| host.url(&format!("/graph/me/messages?%24skip={skip}")));
    assert_eq!(told["links"], json!(links));
    api.assert_only_our_key("authorization");
}

/// What makes the story above fail without the setting.
#[tokio::test]
async fn without_the_setting_a_body_passes_byte_for_byte() {
    let api = graph("").await;
    let host = api.home.serve().await;
    let page = Call::get(&host.url("/graph/me/messages")).send().await;
    let direct = format!("{}/graph/v1.0/me/messages?%24skip=2", api.sandbox.upstream());
    assert_eq!(page.json()["@odata.nextLink"], json!(direct));
    assert_eq!(page.header("content-length"), page.text().len().to_string());
}

#[tokio::test]
async fn a_body_that_is_looked_into_is_asked_for_uncompressed() {
    let api = KeyedApi::with_config(false, |api| {
        let upstream = api.sandbox.upstream();
        format!(
            "[routes.graph]\nupstream = \"{upstream}\"\nconnection = \"api\"\nrewrite_json = [\"next\"]\n"
        )
    })
    .await;
    let host = api.home.serve().await;
    let echo = Call::get(&host.url("/graph/echo")).header("accept-encoding", "gzip, br").send().await.json();
    assert_eq!(echo["headers"]["accept-encoding"], json!("identity"), "{echo:#}");
}

#[tokio::test]
async fn the_google_client_lists_a_drive() {
    let api = KeyedApi::new().await;
    let host = api.home.serve().await;
    let environment = [("BASE_URL", host.url("/api"))];
    let told = python(&api.home, &["google-api-python-client"], DRIVE, &environment).await.expect_success();
    assert_eq!(told.json(), json!(["a", "b", "c"]));
    api.assert_only_our_key("authorization");
}

#[tokio::test]
async fn octokit_follows_the_links_of_pages_through_the_proxy() {
    let octo = Octo::new("gh-oauth-app", "scopes = [\"repo\", \"user:email\"]").await;
    let _host = octo.home.serve().await;
    octo.login_by_device().await;
    let environment = environment(&octo.home, "github").await;
    let told = node(&octo.home, "octokit_pages.mjs", &environment).await.expect_success().json();
    let names: Vec<String> = (0..7).map(|n| format!("repository-{n}")).collect();
    assert_eq!(told, json!({ "login": "octo", "repositories": names }));
}
