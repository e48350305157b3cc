//! A key from a person, from the settings, from the environment.

use ccproxy_plugin_sdk::testing::Bench;
use ccproxy_plugin_sdk::{ErrorCode, Flow};
use pretty_assertions::assert_eq;
use serde_json::json;

use super::configured;
use crate::ApiKey;

fn bearer(token: &str) -> Vec<(String, Vec<u8>)> {
    vec![("authorization".to_owned(), format!("Bearer {token}").into_bytes())]
}

#[tokio::test]
async fn a_login_asks_for_the_key_and_keeps_it_without_its_newline() {
    let bench = Bench::new::<ApiKey>(json!({ "preset": "openai" }));
    let ask = bench.login_begin(Flow::Token, "", "").await.unwrap();
    assert_eq!(
        (ask.kind, ask.data.clone()),
        ("ask", json!({ "prompt": "OpenAI API key (https://platform.openai.com/api-keys)", "secret": true }))
    );
    let done = bench.login_answer(&ask, "sk-1\r\n").await.unwrap();
    let view = done.view.clone().unwrap();
    assert_eq!(
        (view.tokens[0].target.as_str(), view.tokens[0].fingerprint.as_str()),
        ("default", "0f2c10bf")
    );
    assert_eq!((view.tokens[0].expires_at, view.refreshable), (None, false));
    bench.commit(&done);
    assert_eq!(bench.record(), Some(json!({ "schema_version": 2, "key": "sk-1" })));

    let credential = bench.acquire().await.unwrap();
    assert_eq!((credential.fields, credential.generation), (bearer("sk-1"), 1));
}

#[tokio::test]
async fn a_key_that_would_inject_a_field_is_refused() {
    let bench = Bench::new::<ApiKey>(json!({ "preset": "openai" }));
    let ask = bench.login_begin(Flow::Token, "", "").await.unwrap();
    for (answer, message) in [
        ("sk-1\r\nx-admin: 1", "the key holds a character that no header field may carry"),
        ("sk 1", "the key holds a character that no header field may carry"),
        ("\n", "the key is empty"),
    ] {
        let error = bench.login_answer(&ask, answer).await.err().unwrap();
        assert_eq!((error.code, error.message.as_str()), (ErrorCode::InvalidConfig, message));
    }
}

#[tokio::test]
async fn a_key_has_one_login_flow() {
    let bench = Bench::new::<ApiKey>(json!({ "preset": "openai" }));
    let error = bench.login_begin(Flow::Browser, "http://127.0.0.1:1/callback", "s").await.err().unwrap();
    assert_eq!(error.code, ErrorCode::Unsupported);
    assert_eq!(error.message, "a key has no login flow `browser`");
}

#[tokio::test]
async fn a_configured_key_needs_no_login_and_lets_none_shadow_it() {
    let bench = configured(json!({ "preset": "openai" }), "sk-file\n");
    assert!(!bench.describe().unwrap().needs_login);
    assert_eq!(bench.acquire().await.unwrap().fields, bearer("sk-file"));

    let error = bench.login_begin(Flow::Token, "", "").await.err().unwrap();
    assert_eq!(error.code, ErrorCode::InvalidConfig);
    assert_eq!(error.message, "`test` takes its key from the setting `key`");
}

#[tokio::test]
async fn without_any_key_the_answer_is_how_to_log_in() {
    for settings in [json!({ "preset": "openai" }), json!({ "preset": "huggingface" })] {
        let error = Bench::new::<ApiKey>(settings).acquire().await.err().unwrap();
        assert_eq!(error.code, ErrorCode::NotLoggedIn);
        assert_eq!(error.hint.as_deref(), Some("ccproxy auth login test"));
    }
}

#[tokio::test]
async fn the_fallback_is_read_last() {
    let settings = json!({ "preset": "huggingface", "fallback_env": "HF_TOKEN" });
    let bench = Bench::new::<ApiKey>(settings).with_secret("fallback_env", "hf_env");
    assert!(!bench.describe().unwrap().needs_login);
    assert_eq!(bench.acquire().await.unwrap().fields, bearer("hf_env"));

    bench.set_record(br#"{"schema_version":2,"key":"hf_stored"}"#);
    assert_eq!(bench.acquire().await.unwrap().fields, bearer("hf_stored"));
}

#[tokio::test]
async fn a_fallback_that_is_not_set_says_both_ways_out() {
    let settings = json!({ "preset": "huggingface", "fallback_env": "HF_TOKEN" });
    let error = Bench::new::<ApiKey>(settings).acquire().await.err().unwrap();
    assert_eq!(error.code, ErrorCode::NotLoggedIn);
    assert_eq!(error.message, "`test` has no key: nothing is stored, and HF_TOKEN is not set");
    assert_eq!(error.hint.as_deref(), Some("ccproxy auth login test --with-token, or export HF_TOKEN"));
}

#[tokio::test]
async fn an_override_beats_everything() {
    let bench = configured(json!({ "preset": "openai" }), "sk-file").with_token_override("sk-now");
    assert_eq!(bench.acquire().await.unwrap().fields, bearer("sk-now"));
}

#[tokio::test]
async fn a_logout_forgets_the_key_and_says_that_it_lives_on() {
    let bench = Bench::new::<ApiKey>(json!({ "preset": "openai" }));
    bench.set_record(br#"{"schema_version":2,"key":"sk-1"}"#);
    let outcome = bench.logout(true).await.unwrap();
    assert!(!outcome.revoked);
    assert_eq!(outcome.message, "the key itself lives on: delete it at https://platform.openai.com/api-keys");
    assert_eq!(bench.record(), None);
}
