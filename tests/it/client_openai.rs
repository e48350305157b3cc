//! The OpenAI SDK, pointed at the proxy by nothing but what `ccproxy env` prints.

use ccproxy_tests::clients::{environment, python};
use ccproxy_tests::keyed::KeyedApi;
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

const STREAM: &str = include_str!("../parts/clients/openai_stream.py");

#[tokio::test]
async fn the_openai_sdk_streams_with_a_key_it_never_had() {
    let vendor = KeyedApi::vendor("openai", "openai").await;
    let host = vendor.home.serve().await;
    let environment = environment(&vendor.home, "openai").await;
    let expected = [
        ("OPENAI_API_KEY".to_owned(), "ccproxy-local".to_owned()),
        ("OPENAI_BASE_URL".to_owned(), host.url("/openai/v1")),
    ];
    let mut sorted = environment.clone();
    sorted.sort();
    assert_eq!(sorted, expected);

    let told = python(&vendor.home, &["openai"], STREAM, &environment).await.expect_success().json();
    assert_eq!(told["whole"], json!("Hello!"));
    assert_eq!(told["words"], json!(["Hel", "lo", "!"]));
    assert_eq!(told["models"], json!(["m"]));
    assert_came_one_by_one(&told["gaps_ms"]);
    vendor.assert_only_our_key("authorization");
}

/// The API pauses for 100 ms between events. Held back, they would have come together.
pub(crate) fn assert_came_one_by_one(gaps_ms: &Value) {
    let gaps = gaps_ms.as_array().map(Vec::as_slice).unwrap_or_default();
    let spread: u64 = gaps.iter().filter_map(Value::as_u64).sum();
    assert!(spread >= 80 * gaps.len() as u64 && !gaps.is_empty(), "the stream was held back: {gaps_ms}");
}
