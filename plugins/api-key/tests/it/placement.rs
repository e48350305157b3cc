//! Where the key goes on a request.

use ccproxy_plugin_sdk::ErrorCode;
use ccproxy_plugin_sdk::testing::Bench;
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use super::configured;
use crate::ApiKey;

const UPSTREAM: &str = "https://api.example.com";

/// The fields and query parameters of a connection with the key `s3cret`.
async fn placed(settings: Value) -> Vec<(String, String)> {
    let credential = configured(settings, "s3cret").acquire().await.unwrap();
    assert_eq!((credential.expires_at, credential.reuse), (None, true));
    let text = |value| String::from_utf8(value).unwrap();
    let fields = credential.fields.into_iter().map(|(name, value)| (name, text(value)));
    fields.chain(credential.query.into_iter().map(|(name, value)| (format!("?{name}"), value))).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn a_generic_key_is_a_bearer_token_unless_told_otherwise() {
    assert_eq!(placed(json!({ "upstream": UPSTREAM })).await, pairs(&[("authorization", "Bearer s3cret")]));
    assert_eq!(
        placed(json!({ "upstream": UPSTREAM, "header": "X-Token", "format": "Token token={key}" })).await,
        pairs(&[("x-token", "Token token=s3cret")])
    );
    assert_eq!(
        placed(json!({ "upstream": UPSTREAM, "query": "api_key" })).await,
        pairs(&[("?api_key", "s3cret")])
    );
    assert_eq!(
        placed(json!({ "upstream": UPSTREAM, "basic_user": "apikey" })).await,
        pairs(&[("authorization", "Basic YXBpa2V5OnMzY3JldA==")])
    );
}

#[tokio::test]
async fn openai_takes_organization_and_project_beside_the_key() {
    assert_eq!(
        placed(json!({ "preset": "openai", "organization": "org-1", "project": "proj_2" })).await,
        pairs(&[
            ("openai-organization", "org-1"),
            ("openai-project", "proj_2"),
            ("authorization", "Bearer s3cret"),
        ])
    );
}

#[tokio::test]
async fn anthropic_takes_the_bare_key_and_only_the_fields_that_are_configured() {
    // A version of ours would replace the client's, so there is none unless the settings name one.
    assert_eq!(placed(json!({ "preset": "anthropic" })).await, pairs(&[("x-api-key", "s3cret")]));
    assert_eq!(
        placed(json!({ "preset": "anthropic", "workspace_id": "wrkspc_1", "version": "2023-06-01" })).await,
        pairs(&[
            ("anthropic-workspace-id", "wrkspc_1"),
            ("anthropic-version", "2023-06-01"),
            ("x-api-key", "s3cret"),
        ])
    );
}

#[test]
fn every_preset_says_where_it_leads_and_how_tools_find_it() {
    let described = |settings: Value| Bench::new::<ApiKey>(settings).describe().unwrap();
    let openai = described(json!({ "preset": "openai" }));
    assert_eq!(openai.upstream.as_deref(), Some("https://api.openai.com"));
    assert_eq!(openai.flows, ["token"]);
    assert!(openai.needs_login);
    assert_eq!(openai.env, pairs(&[("OPENAI_BASE_URL", "{base}/v1"), ("OPENAI_API_KEY", "{key}")]));

    let anthropic = described(json!({ "preset": "anthropic" }));
    assert_eq!(anthropic.upstream.as_deref(), Some("https://api.anthropic.com"));
    assert_eq!(anthropic.env, pairs(&[("ANTHROPIC_BASE_URL", "{base}"), ("ANTHROPIC_API_KEY", "{key}")]));

    let huggingface = described(json!({ "preset": "huggingface" }));
    assert_eq!(huggingface.upstream.as_deref(), Some("https://huggingface.co"));
    assert_eq!(huggingface.env, pairs(&[("HF_ENDPOINT", "{base}"), ("HF_TOKEN", "{key}")]));

    let generic = described(json!({ "upstream": "https://api.example.com/v2/" }));
    assert_eq!(generic.upstream.as_deref(), Some("https://api.example.com/v2"));
    assert_eq!(generic.env, []);
}

#[test]
fn a_region_changes_the_host() {
    let upstream = |settings: Value| Bench::new::<ApiKey>(settings).describe().map(|d| d.upstream.unwrap());
    assert_eq!(upstream(json!({ "preset": "openai", "region": "eu" })).unwrap(), "https://eu.api.openai.com");
    assert_eq!(
        upstream(json!({ "preset": "anthropic", "region": "us-west-2", "workspace_id": "wrkspc_1" }))
            .unwrap(),
        "https://aws-external-anthropic.us-west-2.api.aws"
    );
    let error = upstream(json!({ "preset": "anthropic", "region": "us-west-2" })).unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidConfig);
    assert_eq!(error.message, "setting `workspace_id` is missing: `region` needs it");
}

#[test]
fn settings_that_cannot_work_are_named() {
    let cases = [
        (json!({}), "setting `upstream` is missing"),
        (
            json!({ "upstream": "example.com" }),
            "setting `upstream` = `example.com`: relative URL without a base",
        ),
        (json!({ "upstream": "https://h/?a=b" }), "setting `upstream` = `https://h/?a=b` is not a base URL"),
        (
            json!({ "upstream": UPSTREAM, "project": "p" }),
            "setting `project` means nothing to preset `generic`",
        ),
        (
            json!({ "preset": "huggingface", "region": "eu" }),
            "setting `region` means nothing to preset `huggingface`",
        ),
        (
            json!({ "upstream": UPSTREAM, "query": "k", "basic_user": "u" }),
            "settings `query` and `basic_user` exclude each other",
        ),
        (
            json!({ "upstream": UPSTREAM, "query": "k", "header": "x-key" }),
            "setting `query` excludes `header` and `format`",
        ),
        (
            json!({ "upstream": UPSTREAM, "basic_user": "a:b" }),
            "setting `basic_user` = `a:b` holds a colon or a control character",
        ),
        (
            json!({ "upstream": UPSTREAM, "header": "Host" }),
            "setting `header` of `test`: `Host` belongs to the connection and cannot carry a key",
        ),
        (
            json!({ "upstream": UPSTREAM, "preset": "open-ai" }),
            "setting `preset` of `test`: unknown variant `open-ai`, expected one of `openai`, `anthropic`, `huggingface`, `generic`",
        ),
    ];
    for (settings, message) in cases {
        let error = Bench::new::<ApiKey>(settings).describe().unwrap_err();
        assert_eq!((error.code, error.message.as_str()), (ErrorCode::InvalidConfig, message));
    }
}

#[tokio::test]
async fn the_documented_name_of_every_preset_is_what_settings_write() {
    for preset in ["openai", "anthropic", "huggingface", "generic"] {
        placed(json!({ "preset": preset, "upstream": UPSTREAM })).await;
    }
}
