//! The Anthropic SDK, pointed at the proxy by nothing but what `ccproxy env` prints.

use ccproxy_tests::clients::{environment, python};
use ccproxy_tests::keyed::KeyedApi;
use pretty_assertions::assert_eq;
use serde_json::json;

use crate::client_openai::assert_came_one_by_one;

const STREAM: &str = include_str!("../parts/clients/anthropic_stream.py");

/// The SDK sends its key as `Authorization` or as `x-api-key`, by its version; the API is sent ours alone.
#[tokio::test]
async fn the_anthropic_sdk_streams_with_a_key_it_never_had() {
    let vendor = KeyedApi::vendor("anthropic", "anthropic").await;
    let _host = vendor.home.serve().await;
    let environment = environment(&vendor.home, "anthropic").await;
    let told = python(&vendor.home, &["anthropic"], STREAM, &environment).await.expect_success().json();
    assert_eq!(told["whole"], json!("Hello!"));
    assert_eq!(told["words"], json!(["Hel", "lo", "!"]));
    assert_eq!(told["last"], json!("message_stop"));
    assert_came_one_by_one(&told["gaps_ms"]);
    vendor.assert_only_our_key("x-api-key");
}
