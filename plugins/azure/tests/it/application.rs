//! Client credentials: an application in its own name.

use ccproxy_plugin_sdk::{ErrorCode, Flow, Reason};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use super::entra::{ARM, Entra, GRAPH, SECRET, bearer, refusal, scopes, with_form};

const GRANT: (&str, &str) = ("grant_type", "client_credentials");

fn settings(changes: Value) -> Value {
    let mut settings = json!({ "client_secret": { "env": "S" } });
    settings.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    settings
}

/// An answer has no refresh token.
fn granted(token: &str) -> Value {
    json!({ "token_type": "Bearer", "expires_in": "3599", "ext_expires_in": "3599", "access_token": token })
}

#[tokio::test]
async fn a_secret_alone_means_that_no_login_is_needed() {
    let entra = Entra::of("contoso.com");
    let bench = entra.bench_with(settings(json!({})));
    assert!(!bench.describe().unwrap().needs_login);
    let tokens = entra.answer(
        "oauth2/v2.0/token",
        |when| {
            with_form(when, &[GRANT, ("client_id", "app"), ("client_secret", SECRET), ("scope", GRAPH)])
                .header_missing("authorization")
        },
        200,
        granted("at-app"),
    );
    for _ in 0..2 {
        assert_eq!(bearer(&bench.acquire().await.unwrap()), "at-app");
    }
    tokens.assert_calls(1);
    assert_eq!(bench.snapshot().unwrap().account.unwrap().subject, "app");
}

#[tokio::test]
async fn the_secret_is_form_encoded_wherever_it_is_sent() {
    let entra = Entra::of("contoso.com");
    // base64 of "app:az%7Es3cr%2Bt%2F%26+%25"
    let basic = "Basic YXBwOmF6JTdFczNjciUyQnQlMkYlMjYrJTI1";
    let tokens = entra.answer(
        "oauth2/v2.0/token",
        |when| when.header("authorization", basic).form_urlencoded_tuple_missing("client_secret"),
        200,
        granted("at-app"),
    );
    entra.bench_with(settings(json!({ "client_auth": "basic" }))).acquire().await.unwrap();
    tokens.assert();
}

#[tokio::test]
async fn every_target_is_asked_for_by_itself() {
    let entra = Entra::of("contoso.com");
    let bench = entra.bench_with(settings(json!({})));
    entra.tokens(&[GRANT, ("scope", GRAPH)], 200, granted("at-graph"));
    entra.tokens(&[GRANT, ("scope", ARM)], 200, granted("at-arm"));
    assert_eq!(bearer(&bench.acquire().await.unwrap()), "at-graph");
    let arm = bench.acquire_with(&scopes(&[ARM]), Reason::Missing, None).await.unwrap();
    assert_eq!(bearer(&arm), "at-arm");
    assert_eq!(bearer(&bench.acquire().await.unwrap()), "at-graph");
}

#[tokio::test]
async fn a_scope_that_is_no_default_is_refused_before_anything_is_sent() {
    let bench = Entra::of("contoso.com").bench_with(settings(json!({ "scopes": ["User.Read"] })));
    let error = bench.acquire().await.err().unwrap();
    assert_eq!(error.code, ErrorCode::InvalidConfig);
    assert_eq!(error.message, "client credentials cannot ask for the scope `User.Read`");
    assert_eq!(
        error.hint.as_deref(),
        Some("scopes = [\"https://graph.microsoft.com/.default\"]: what the app registration was granted")
    );
}

#[tokio::test]
async fn an_application_needs_one_tenant_and_a_secret() {
    for tenant in ["organizations", "common", "consumers"] {
        let error = Entra::of(tenant).bench_with(settings(json!({}))).acquire().await.err().unwrap();
        assert_eq!(error.code, ErrorCode::InvalidConfig);
        assert_eq!(error.message, format!("client credentials need one tenant, and `tenant` is `{tenant}`"));
    }
    let bench = Entra::of("contoso.com").bench_with(json!({ "flow": "client-credentials" }));
    let error = bench.acquire().await.err().unwrap();
    assert_eq!(error.message, "setting `client_secret` is missing: client credentials need it");
}

#[tokio::test]
async fn a_login_acquires_once_and_a_wrong_secret_is_told() {
    let entra = Entra::of("contoso.com");
    let bench = entra.bench_with(settings(json!({})));
    let mut tokens = entra.tokens(&[GRANT], 200, granted("at-app"));
    let done = bench.login_begin(Flow::ClientCredentials, "", "").await.unwrap();
    bench.commit(&done);
    assert_eq!(bearer(&bench.acquire().await.unwrap()), "at-app");
    tokens.assert_calls(1);
    tokens.delete();

    let line = format!("AADSTS7000215: Invalid client secret provided: {SECRET}");
    entra.tokens(&[GRANT], 401, refusal("invalid_client", "", &line));
    let error = bench.acquire_with(&scopes(&[ARM]), Reason::Missing, None).await.err().unwrap();
    assert_eq!(error.code, ErrorCode::CredentialsRejected);
    assert_eq!(
        error.message,
        "Entra answered `invalid_client`: AADSTS7000215: Invalid client secret provided: ***"
    );
    assert!(error.hint.unwrap().starts_with("check `client_secret`"));
}

#[tokio::test]
async fn a_person_may_log_in_with_an_app_that_has_a_secret() {
    let entra = Entra::of("contoso.com");
    let bench = entra.bench_with(settings(json!({})));
    let done = entra.log_in(&bench, entra.claims(&bench)).await.unwrap();
    bench.commit(&done);
    let refresh = entra.tokens(
        &[("grant_type", "refresh_token"), ("refresh_token", "rt-of-at-1"), ("client_secret", SECRET)],
        200,
        entra.granted("at-arm"),
    );
    let arm = bench.acquire_with(&scopes(&[ARM]), Reason::Missing, None).await.unwrap();
    refresh.assert();
    assert_eq!(bearer(&arm), "at-arm");
}
