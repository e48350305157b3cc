//! The npm SDKs of OpenAI and Anthropic, pointed at the proxy by nothing but what `ccproxy env` prints.

use ccproxy_tests::clients::{environment, node};
use ccproxy_tests::keyed::KeyedApi;
use pretty_assertions::assert_eq;
use serde_json::json;

use crate::client_openai::assert_came_one_by_one;

async fn streams(vendor: &str, script: &str, field: &str) {
    let api = KeyedApi::vendor(vendor, vendor).await;
    let _host = api.home.serve().await;
    let environment = environment(&api.home, vendor).await;
    let told = node(&api.home, script, &environment).await.expect_success().json();
    assert_eq!(told["whole"], json!("Hello!"));
    assert_eq!(told["words"], json!(["Hel", "lo", "!"]));
    assert_came_one_by_one(&told["gaps_ms"]);
    api.assert_only_our_key(field);
}

#[tokio::test]
async fn the_openai_sdk_for_node_streams_with_a_key_it_never_had() {
    streams("openai", "openai_stream.mjs", "authorization").await;
}

#[tokio::test]
async fn the_anthropic_sdk_for_node_streams_with_a_key_it_never_had() {
    streams("anthropic", "anthropic_stream.mjs", "x-api-key").await;
}
