//! Records as they lie on disks: this version's, and a newer one's.

use std::time::Duration;

use ccproxy_plugin_sdk::testing::Bench;
use ccproxy_plugin_sdk::{ErrorCode, Reason};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use super::entra::{ARM, bearer, scopes};
use crate::Azure;

const V1: &[u8] = include_bytes!("../golden/v1.json");
const NEWER: &[u8] = include_bytes!("../golden/newer.json");

fn bench(record: &[u8]) -> Bench {
    let bench = Bench::new::<Azure>(json!({ "client_id": "app" }));
    bench.set_record(record);
    bench
}

#[tokio::test]
async fn the_record_of_this_version_has_a_token_for_each_target() {
    let bench = bench(V1);
    assert_eq!(bearer(&bench.acquire().await.unwrap()), "at_canary1");
    let arm = bench.acquire_with(&scopes(&[ARM]), Reason::Missing, None).await.unwrap();
    assert_eq!((bearer(&arm).as_str(), arm.generation), ("at_canary2", 4));
    let view = bench.snapshot().unwrap();
    assert_eq!(view.account.unwrap().display_name, "alice@contoso.com");
    assert!(view.refreshable);
}

#[tokio::test]
async fn a_refresh_writes_what_it_read() {
    let bench = bench(V1).with_http(|request| {
        assert_eq!(request.url, "https://login.microsoftonline.com/organizations/oauth2/v2.0/token");
        let body =
            br#"{"access_token":"at-2","token_type":"Bearer","expires_in":"60","refresh_token":"rt-2"}"#;
        Ok(ccproxy_plugin_sdk::Response { status: 200, headers: Vec::new(), body: body.to_vec() })
    });
    bench.advance(Duration::from_secs(3600));
    assert_eq!(bearer(&bench.acquire().await.unwrap()), "at-2");
    let mut expected: Value = serde_json::from_slice(V1).unwrap();
    expected["refresh_token"] = "rt-2".into();
    let expires_at = bench.now().plus(Duration::from_secs(60)).0;
    expected["tokens"]["default"] = json!({
        "access_token": "at-2", "expires_at": expires_at, "generation": 2, "scopes": null, "token_type": "bearer",
    });
    expected["tokens"][format!("scopes={ARM}")]["generation"] = json!(4);
    assert_eq!(bench.record().unwrap(), expected);
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
