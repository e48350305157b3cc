//! The provider as the host sees it, against a mock GitHub that has its wire quirks.

mod account;
mod advice;
mod errors;
mod login;
mod logout;
mod record;
mod refresh;

use ccproxy_plugin_sdk::testing::{Bench, BenchStep};
use ccproxy_plugin_sdk::{Error, Flow};
use httpmock::{Mock, MockServer, Then, When};
use serde_json::{Value, json};

use crate::GitHub;

const SECRET: &str = "s3cr+t/& %";

/// Settings of an app at this server, without a client secret.
fn app(server: &MockServer) -> Value {
    json!({
        "client_id": "Iv1.test",
        "scopes": ["repo", "read:org"],
        "web_url": server.base_url(),
        "api_url": format!("{}/api", server.base_url()),
    })
}

fn device_app(server: &MockServer) -> Bench {
    Bench::new::<GitHub>(app(server))
}

fn web_app(server: &MockServer) -> Bench {
    let mut settings = app(server);
    settings["client_secret"] = json!({ "env": "GITHUB_CLIENT_SECRET" });
    Bench::new::<GitHub>(settings).with_secret("client_secret", SECRET)
}

/// GitHub's token endpoint: everything with status 200, JSON because it was asked for.
fn token_endpoint<'a>(server: &'a MockServer, request: impl FnOnce(When) -> When, answer: Value) -> Mock<'a> {
    server.mock(|when, then| {
        request(when.method("POST").path("/login/oauth/access_token").header("accept", "application/json"));
        then.status(200).header("content-type", "application/json; charset=utf-8").json_body(answer);
    })
}

fn device_endpoint(server: &MockServer) -> Mock<'_> {
    server.mock(|when, then| {
        when.method("POST")
            .path("/login/device/code")
            .header("accept", "application/json")
            .form_urlencoded_tuple("client_id", "Iv1.test")
            .form_urlencoded_tuple("scope", "repo read:org");
        then.status(200).json_body(json!({
            "device_code": "3584d83530557fdd1f46af8289938c8ef79f9dc5",
            "user_code": "WDJB-MJHT",
            "verification_uri": "https://github.com/login/device",
            "expires_in": 900,
            "interval": 5,
        }));
    })
}

/// A device login up to its first poll, which GitHub answers like this.
async fn polled(answer: Value) -> Result<BenchStep, Error> {
    let server = MockServer::start();
    device_endpoint(&server);
    let poll = token_endpoint(
        &server,
        |when| {
            when.form_urlencoded_tuple("client_id", "Iv1.test")
                .form_urlencoded_tuple("device_code", "3584d83530557fdd1f46af8289938c8ef79f9dc5")
                .form_urlencoded_tuple("grant_type", "urn:ietf:params:oauth:grant-type:device_code")
        },
        answer,
    );
    let bench = device_app(&server);
    let shown = bench.login_begin(Flow::Device, "", "").await.unwrap();
    let polled = bench.login_poll(&shown).await;
    poll.assert();
    polled
}

/// The answer to an API request with this token.
fn api(server: &MockServer, path: &str, token: &str, answer: impl FnOnce(Then) -> Then) {
    server.mock(|when, then| {
        when.method("GET")
            .path(format!("/api{path}"))
            .header("authorization", format!("Bearer {token}"))
            // GitHub answers 403 without one.
            .header_prefix("user-agent", "ccproxy/");
        answer(then);
    });
}

/// A record of this plugin's current schema, as the mock server of `app` gave it.
fn stored(tokens: Value) -> Vec<u8> {
    let mut record = json!({
        "schema_version": 2,
        "host": "127.0.0.1",
        "client_id": "Iv1.test",
        "grant_type": "device_code",
    });
    for (name, value) in tokens.as_object().unwrap() {
        record[name] = value.clone();
    }
    serde_json::to_vec(&record).unwrap()
}

fn bearer(token: &str) -> Vec<(String, Vec<u8>)> {
    vec![("authorization".to_owned(), format!("Bearer {token}").into_bytes())]
}
