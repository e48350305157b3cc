//! Records, as they are and as a newer version may write them.

use ccproxy_plugin_sdk::ErrorCode;
use ccproxy_plugin_sdk::testing::Bench;
use pretty_assertions::assert_eq;
use serde_json::json;

use super::google::bearer;
use crate::Google;

const V1: &[u8] = include_bytes!("../golden/v1.json");
const NEWER: &[u8] = include_bytes!("../golden/newer.json");

fn bench(record: &[u8]) -> Bench {
    let settings =
        json!({ "client_id": "golden.apps.googleusercontent.com", "hosted_domain": "corp.example" });
    let bench = Bench::new::<Google>(settings).with_http(|_| panic!("no request"));
    bench.set_record(record);
    bench
}

#[tokio::test]
async fn a_record_of_version_1_is_read_for_ever() {
    let bench = bench(V1);
    let credential = bench.acquire().await.unwrap();
    assert_eq!(credential.fields, bearer("ya29.canary1"));
    assert_eq!(credential.expires_at.unwrap().0, 1_767_229_200_000);
    let view = bench.snapshot().unwrap();
    assert_eq!(view.account.unwrap().display_name, "ann@corp.example");
    assert!(view.refreshable);
}

#[tokio::test]
async fn a_newer_record_is_refused_and_left_as_it_is() {
    let bench = bench(NEWER);
    for error in [bench.acquire().await.err().unwrap(), bench.logout(true).await.unwrap_err()] {
        assert_eq!(error.code, ErrorCode::Storage);
        assert_eq!(error.message, "the stored record has schema 2, this plugin knows up to 1");
    }
    assert_eq!(bench.record_bytes().as_deref(), Some(NEWER));
}
