//! Records of other versions.

use ccproxy_plugin_sdk::ErrorCode;
use ccproxy_plugin_sdk::testing::Bench;
use pretty_assertions::assert_eq;
use serde_json::json;

use super::bearer;
use crate::GitHub;

const NEWER: &[u8] = include_bytes!("../golden/newer.json");

fn bench(record: &[u8]) -> Bench {
    let bench =
        Bench::new::<GitHub>(json!({ "client_id": "Iv1.golden" })).with_http(|_| panic!("no request"));
    bench.set_record(record);
    bench
}

#[tokio::test]
async fn a_version_1_record_is_brought_forward() {
    let bench = bench(include_bytes!("../golden/v1.json"));
    let credential = bench.acquire().await.unwrap();
    assert_eq!(credential.fields, bearer("ghu_canary1"));
    assert_eq!(credential.expires_at.unwrap().0, 1_767_229_200_000);
    let view = bench.snapshot().unwrap();
    assert_eq!(view.scopes_granted, Some(vec!["repo".to_owned(), "read:org".to_owned()]));
    assert!(view.refreshable);
}

#[tokio::test]
async fn both_versions_say_the_same() {
    let old = bench(include_bytes!("../golden/v1.json"));
    let new = bench(include_bytes!("../golden/v2.json"));
    assert_eq!(old.snapshot().unwrap(), new.snapshot().unwrap());
    let (old, new) = (old.acquire().await.unwrap(), new.acquire().await.unwrap());
    assert_eq!((old.fields, old.expires_at), (new.fields, new.expires_at));
}

#[tokio::test]
async fn a_newer_record_is_refused_and_left_as_it_is() {
    let bench = bench(NEWER);
    for error in [bench.acquire().await.err().unwrap(), bench.logout(true).await.unwrap_err()] {
        assert_eq!(error.code, ErrorCode::Storage);
        assert_eq!(error.message, "the stored record has schema 3, this plugin knows up to 2");
    }
    assert_eq!(bench.record_bytes().as_deref(), Some(NEWER));
}
