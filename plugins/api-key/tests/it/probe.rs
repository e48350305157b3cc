//! The request that tells a good key from a bad one.

use std::time::Duration;

use ccproxy_plugin_sdk::testing::Bench;
use ccproxy_plugin_sdk::{Account, Error, ErrorCode, fingerprint};
use httpmock::{MockServer, Then, When};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use super::configured;
use crate::ApiKey;

/// Probes a service that answers `request` with `answer`, and nothing else.
async fn probed(
    mut settings: Value,
    request: impl FnOnce(When) -> When,
    answer: impl FnOnce(Then) -> Then,
) -> Result<Account, Error> {
    let server = MockServer::start();
    let mock = server.mock(|when, then| {
        request(when);
        answer(then);
    });
    settings["upstream"] = server.base_url().into();
    let account = configured(settings, "s3cret").probe().await;
    mock.assert();
    account
}

fn key_account() -> Account {
    let print = fingerprint(&ccproxy_plugin_sdk::Secret::new("s3cret"));
    Account { display_name: format!("key {print}"), subject: print, host: "127.0.0.1".into() }
}

#[tokio::test]
async fn openai_lists_its_models_to_a_good_key() {
    let request = |when: When| {
        when.method("GET")
            .path("/v1/models")
            .header("authorization", "Bearer s3cret")
            .header("openai-project", "proj_2")
    };
    let account =
        probed(json!({ "preset": "openai", "project": "proj_2" }), request, |then| then.status(200));
    assert_eq!(account.await.unwrap(), key_account());
}

#[tokio::test]
async fn anthropic_is_asked_with_the_version_it_insists_on() {
    let request = |when: When| {
        when.path("/v1/models").header("x-api-key", "s3cret").header("anthropic-version", "2023-06-01")
    };
    let account = probed(json!({ "preset": "anthropic" }), request, |then| then.status(200)).await;
    assert_eq!(account.unwrap(), key_account());

    let request = |when: When| when.path("/v1/models").header("anthropic-version", "2024-01-01");
    let settings = json!({ "preset": "anthropic", "version": "2024-01-01" });
    assert!(probed(settings, request, |then| then.status(200)).await.is_ok());
}

#[tokio::test]
async fn hugging_face_says_who_the_token_is() {
    let request = |when: When| when.path("/api/whoami-v2").header("authorization", "Bearer s3cret");
    let octo = json!({ "type": "user", "id": "62f2", "name": "octo", "fullname": "Octo Cat", "auth": {} });
    let account =
        probed(json!({ "preset": "huggingface" }), request, |then| then.status(200).json_body(octo)).await;
    assert_eq!(
        account.unwrap(),
        Account { subject: "octo".into(), display_name: "Octo Cat".into(), host: "127.0.0.1".into() }
    );

    let app = json!({ "type": "app", "id": "1", "name": "bot" });
    let request = |when: When| when.path("/api/whoami-v2");
    let account =
        probed(json!({ "preset": "huggingface" }), request, |then| then.status(200).json_body(app)).await;
    assert_eq!(account.unwrap().display_name, "bot");
}

#[tokio::test]
async fn a_key_in_the_query_is_percent_encoded() {
    let request = |when: When| when.path("/me").query_param("k", "s3cret").query_param("full", "1");
    let settings = json!({ "query": "k", "probe": "GET /me?full=1" });
    assert!(probed(settings, request, |then| then.status(200)).await.is_ok());
}

#[tokio::test]
async fn a_generic_service_is_asked_nothing_unless_told() {
    let settings = json!({ "upstream": "http://127.0.0.1:1" });
    let bench = configured(settings, "s3cret").with_http(|_| panic!("no request"));
    assert_eq!(bench.probe().await.unwrap(), key_account());

    let settings = json!({ "preset": "openai", "upstream": "http://127.0.0.1:1", "probe": "" });
    let bench = configured(settings, "s3cret").with_http(|_| panic!("no request"));
    assert_eq!(bench.probe().await.unwrap(), key_account());
}

#[tokio::test]
async fn a_new_key_is_probed_before_it_is_stored() {
    let server = MockServer::start();
    let mock = server.mock(|when, then| {
        when.path("/v1/models").header("authorization", "Bearer new");
        then.status(200);
    });
    let bench = Bench::new::<ApiKey>(json!({ "preset": "openai", "upstream": server.base_url() }))
        .with_token_override("old");
    bench.set_record(br#"{"schema_version":2,"key":"new"}"#);
    bench.probe().await.unwrap();
    mock.assert();
}

#[tokio::test]
async fn every_refusal_has_its_code_and_none_quotes_the_service() {
    let cases = [
        (401, ErrorCode::CredentialsRejected, "`127.0.0.1` refused the key with 401"),
        (403, ErrorCode::CredentialsRejected, "`127.0.0.1` refused the key with 403"),
        (429, ErrorCode::RateLimited, "`127.0.0.1` answered `GET /v1/models` with 429"),
        (503, ErrorCode::ProviderUnavailable, "`127.0.0.1` answered `GET /v1/models` with 503"),
        (404, ErrorCode::InvalidResponse, "`127.0.0.1` answered `GET /v1/models` with 404"),
        (302, ErrorCode::InvalidResponse, "`127.0.0.1` answered `GET /v1/models` with 302"),
    ];
    for (status, code, message) in cases {
        let answer = |then: Then| {
            then.status(status)
                .header("retry-after", "7")
                .body(r#"{"error":{"message":"Incorrect API key provided: s3c***"}}"#)
        };
        let error =
            probed(json!({ "preset": "openai" }), |when| when.path("/v1/models"), answer).await.unwrap_err();
        assert_eq!((error.code, error.message.as_str()), (code, message));
        let waits = matches!(code, ErrorCode::RateLimited | ErrorCode::ProviderUnavailable);
        assert_eq!(error.retry_after, waits.then_some(Duration::from_secs(7)));
    }
}

#[tokio::test]
async fn an_unreachable_service_is_a_network_error() {
    let settings = json!({ "preset": "openai" });
    let bench = configured(settings, "s3cret").with_http(|request| {
        assert_eq!(request.url, "https://api.openai.com/v1/models");
        Err(Error::new(ErrorCode::Network, "connection refused"))
    });
    assert_eq!(bench.probe().await.unwrap_err().code, ErrorCode::Network);
}
