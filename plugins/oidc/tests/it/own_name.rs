//! Client credentials: no person, no login.

use std::time::Duration;

use ccproxy_plugin_sdk::testing::Bench;
use ccproxy_plugin_sdk::{ErrorCode, Flow, Reason, Target};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use super::issuer::{Issuer, injected, with_form};
use crate::Oidc;

const SECRET: &str = "svc:se+cr/et %";
const GRANT: (&str, &str) = ("grant_type", "client_credentials");

fn bench(issuer: &Issuer, changes: Value) -> Bench {
    let mut settings = json!({
        "flow": "client-credentials", "client_id": "svc", "client_secret": {"env": "S"}, "scopes": ["api"],
    });
    for (name, value) in changes.as_object().expect("changes are an object") {
        settings[name] = value.clone();
    }
    issuer.bench_with(settings).with_secret("client_secret", SECRET)
}

fn token(access_token: &str) -> Value {
    json!({"access_token": access_token, "expires_in": 60, "token_type": "Bearer"})
}

#[tokio::test]
async fn the_first_use_acquires_and_others_share_the_token() {
    let issuer = Issuer::start();
    let bench = bench(&issuer, json!({}));
    assert_eq!(bench.describe().unwrap().needs_login, false);
    // RFC 6749 section 2.3.1: base64 of "svc:svc%3Ase%2Bcr%2Fet+%25".
    let mut first = issuer.answer_if(
        "/token",
        |when| {
            with_form(when, &[GRANT, ("scope", "api")])
                .header("authorization", "Basic c3ZjOnN2YyUzQXNlJTJCY3IlMkZldCslMjU=")
                .form_urlencoded_tuple_missing("client_id")
                .form_urlencoded_tuple_missing("client_secret")
        },
        200,
        token("at-1"),
    );
    let credential = bench.acquire().await.unwrap();
    assert_eq!(injected(&credential), "Bearer at-1");
    assert_eq!(injected(&bench.acquire().await.unwrap()), "Bearer at-1");
    first.assert_calls(1);
    let view = bench.snapshot().unwrap();
    assert_eq!(view.account.unwrap().subject, "svc");
    assert!(view.refreshable);

    first.delete();
    issuer.answer("/token", &[GRANT], 200, token("at-2"));
    bench.advance(Duration::from_secs(60));
    assert_eq!(injected(&bench.acquire().await.unwrap()), "Bearer at-2");
    let rejected = bench.generation();
    let again = bench.acquire_with(&Target::default(), Reason::Rejected, Some(rejected)).await.unwrap();
    assert!(again.generation > rejected);
}

#[tokio::test]
async fn the_secret_is_sent_the_way_the_server_wants_it() {
    let raw = "Basic c3ZjOnN2YzpzZStjci9ldCAl";
    let in_body = [("client_id", "svc"), ("client_secret", SECRET)];
    for (auth, methods) in [("post", json!(null)), ("auto", json!(["client_secret_post"]))] {
        let issuer = Issuer::start_with(json!({"token_endpoint_auth_methods_supported": methods}));
        let answer = issuer.answer_if(
            "/token",
            |when| with_form(when, &in_body).header_missing("authorization"),
            200,
            token("at"),
        );
        bench(&issuer, json!({"client_auth": auth})).acquire().await.unwrap();
        answer.assert();
    }
    let issuer = Issuer::start();
    let answer = issuer.answer_if("/token", |when| when.header("authorization", raw), 200, token("at"));
    bench(&issuer, json!({"client_auth": "basic-raw"})).acquire().await.unwrap();
    answer.assert();
}

#[tokio::test]
async fn targets_and_settings_say_what_is_asked_for() {
    let issuer = Issuer::start();
    let bench =
        bench(&issuer, json!({"audience": "aud", "resource": "urn:api", "extra_params": {"tenant": "t"}}));
    let all = [("scope", "api"), ("audience", "aud"), ("resource", "urn:api"), ("tenant", "t")];
    issuer.answer("/token", &all, 200, token("at-default"));
    issuer.answer("/token", &[("scope", "other"), ("resource", "urn:else")], 200, token("at-other"));
    let target = Target { scopes: vec!["other".into()], resource: "urn:else".into(), ..Target::default() };
    assert_eq!(injected(&bench.acquire().await.unwrap()), "Bearer at-default");
    let other = bench.acquire_with(&target, Reason::Missing, None).await.unwrap();
    assert_eq!(injected(&other), "Bearer at-other");
    assert_eq!(injected(&bench.acquire().await.unwrap()), "Bearer at-default", "both stay");
}

#[tokio::test]
async fn a_login_acquires_once_and_verifies() {
    let issuer = Issuer::start();
    let bench = bench(&issuer, json!({}));
    let answer = issuer.answer("/token", &[GRANT], 200, token("at-1"));
    let done = bench.login_begin(Flow::ClientCredentials, "", "").await.unwrap();
    assert_eq!(done.kind, "done");
    bench.commit(&done);
    assert_eq!(injected(&bench.acquire().await.unwrap()), "Bearer at-1");
    answer.assert_calls(1);
}

#[tokio::test]
async fn a_wrong_secret_is_told_as_it_is() {
    let issuer = Issuer::start();
    let body = json!({"error": "invalid_client", "error_description": format!("secret {SECRET} is wrong")});
    issuer.answer_if("/token", |when| with_form(when, &[("client_secret", SECRET)]), 401, body);
    let error = bench(&issuer, json!({"client_auth": "post"})).acquire().await.err().unwrap();
    assert_eq!(error.code, ErrorCode::CredentialsRejected);
    assert_eq!(error.message, "the authorization server answered `invalid_client`: secret *** is wrong");
}

#[tokio::test]
async fn without_other_endpoints_a_secret_means_client_credentials() {
    let issuer = Issuer::start();
    let bench = Bench::new::<Oidc>(json!({
        "client_id": "svc", "client_secret": {"env": "S"}, "token_endpoint": issuer.url("/token"),
    }))
    .with_secret("client_secret", SECRET);
    let described = bench.describe().unwrap();
    assert_eq!(
        (described.needs_login, described.flows),
        (false, vec!["client-credentials".into(), "token".into()])
    );
    issuer.answer("/token", &[GRANT], 200, token("at-1"));
    assert_eq!(injected(&bench.acquire().await.unwrap()), "Bearer at-1");
    assert_eq!(bench.probe().await.unwrap().subject, "svc");
}
