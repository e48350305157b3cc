//! What follows a 401 of the service.

use ccproxy_plugin_sdk::testing::Bench;
use ccproxy_plugin_sdk::{Credential, Error, ErrorCode, Reason, Target};
use pretty_assertions::assert_eq;
use serde_json::json;

use super::configured;
use crate::ApiKey;

async fn after_a_401(bench: &Bench, generation: u64) -> Result<Credential, Error> {
    bench.acquire_with(&Target::default(), Reason::Rejected, Some(generation)).await
}

#[tokio::test]
async fn a_refused_key_is_not_sent_again() {
    let bench = Bench::new::<ApiKey>(json!({ "preset": "openai" }));
    bench.set_record(br#"{"schema_version":2,"key":"sk-1"}"#);
    let sent = bench.acquire().await.unwrap();
    let error = after_a_401(&bench, sent.generation).await.err().unwrap();
    assert_eq!(error.code, ErrorCode::CredentialsRejected);
    assert_eq!(error.message, "`api.openai.com` refused the key of `test`");
    assert_eq!(error.hint.as_deref(), Some("ccproxy auth login test --force --with-token"));
}

#[tokio::test]
async fn a_key_that_was_stored_meanwhile_is() {
    let bench = Bench::new::<ApiKey>(json!({ "preset": "openai" }));
    bench.set_record(br#"{"schema_version":2,"key":"sk-1"}"#);
    let sent = bench.acquire().await.unwrap();
    bench.set_record(br#"{"schema_version":2,"key":"sk-2"}"#);
    let next = after_a_401(&bench, sent.generation).await.unwrap();
    assert_eq!(next.fields[0].1, b"Bearer sk-2");
    assert!(next.generation > sent.generation);
}

#[tokio::test]
async fn a_key_that_was_replaced_behind_its_reference_is() {
    let bench = configured(json!({ "preset": "openai" }), "sk-1");
    let sent = bench.acquire().await.unwrap();
    assert_eq!(bench.acquire().await.unwrap().generation, sent.generation);
    let error = after_a_401(&bench, sent.generation).await.err().unwrap();
    assert_eq!(error.code, ErrorCode::CredentialsRejected);
    assert_eq!(error.hint.as_deref(), Some("replace the key that the setting `key` points to"));

    let bench = bench.with_secret("key", "sk-2");
    let next = after_a_401(&bench, sent.generation).await.unwrap();
    assert_eq!(next.fields[0].1, b"Bearer sk-2");
    assert!(next.generation > sent.generation);
}

#[tokio::test]
async fn a_forced_refresh_reads_the_key_again() {
    let bench = configured(json!({ "preset": "openai" }), "sk-1");
    bench.acquire().await.unwrap();
    let bench = bench.with_secret("key", "sk-2");
    let forced = bench.acquire_with(&Target::default(), Reason::Forced, None).await.unwrap();
    assert_eq!(forced.fields[0].1, b"Bearer sk-2");
}
