//! Records of other versions.

use ccproxy_plugin_sdk::ErrorCode;
use ccproxy_plugin_sdk::testing::Bench;
use pretty_assertions::assert_eq;
use serde_json::json;

use crate::ApiKey;

fn bench(record: &[u8]) -> Bench {
    let bench = Bench::new::<ApiKey>(json!({ "preset": "openai" }));
    bench.set_record(record);
    bench
}

#[tokio::test]
async fn a_version_1_record_is_brought_forward() {
    let bench = bench(include_bytes!("../golden/v1.json"));
    let fields = bench.acquire().await.unwrap().fields;
    assert_eq!(fields, [("authorization".to_owned(), b"Bearer sk-canary-1".to_vec())]);
}

#[tokio::test]
async fn a_current_record_is_read() {
    let bench = bench(include_bytes!("../golden/v2.json"));
    let fields = bench.acquire().await.unwrap().fields;
    assert_eq!(fields, [("authorization".to_owned(), b"Bearer sk-canary-2".to_vec())]);
}

#[tokio::test]
async fn a_newer_record_is_refused_and_left_as_it_is() {
    let newer = include_bytes!("../golden/newer.json");
    let bench = bench(newer);
    for error in [bench.acquire().await.err().unwrap(), bench.logout(false).await.unwrap_err()] {
        assert_eq!(error.code, ErrorCode::Storage);
        assert_eq!(error.message, "the stored record has schema 3, this plugin knows up to 2");
    }
    assert_eq!(bench.record_bytes().as_deref(), Some(&newer[..]));
}
