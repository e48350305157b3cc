//! Settings: what they mean, and what is missing.

use ccproxy_plugin_sdk::testing::Bench;
use ccproxy_plugin_sdk::{Error, ErrorCode, Flow};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use super::issuer::{REDIRECT_URI, STATE};
use crate::Oidc;

fn described(settings: Value) -> Result<(Vec<String>, bool), Error> {
    Bench::new::<Oidc>(settings).describe().map(|described| (described.flows, described.needs_login))
}

#[test]
fn flows_that_can_work_are_offered_the_configured_one_first() {
    let flows = |flows: &[&str]| flows.iter().map(|flow| (*flow).to_owned()).collect::<Vec<_>>();
    let issuer = json!({"issuer": "https://id.example.com", "client_id": "cli"});
    assert_eq!(described(issuer.clone()).unwrap(), (flows(&["browser", "device", "paste", "token"]), true));

    let mut device = issuer.clone();
    device["flow"] = "device".into();
    assert_eq!(described(device).unwrap().0, flows(&["device", "browser", "paste", "token"]));

    let mut own = issuer;
    own["flow"] = "client-credentials".into();
    own["client_secret"] = json!({"env": "S"});
    assert_eq!(
        described(own).unwrap(),
        (flows(&["client-credentials", "browser", "device", "paste", "token"]), false)
    );
    let by_hand = json!({"client_id": "cli", "token_endpoint": "https://id.example.com/t", "device_authorization_endpoint": "https://id.example.com/d"});
    assert_eq!(described(by_hand).unwrap().0, flows(&["device", "token"]));
    assert_eq!(described(json!({"flow": "token"})).unwrap(), (flows(&["token"]), true));
}

#[tokio::test]
async fn what_is_missing_is_named_with_what_to_register_and_what_to_type() {
    let cases = [
        (json!({}), "`issuer` of `test` is missing", "--issuer URL --client-id ID"),
        (
            json!({"issuer": "https://id.example.com"}),
            "`client_id` of `test` is missing",
            "--issuer https://id.example.com --client-id ID",
        ),
    ];
    for (settings, message, command) in cases {
        let bench = Bench::new::<Oidc>(settings);
        for error in [
            bench.describe().err().unwrap(),
            bench.login_begin(Flow::Browser, REDIRECT_URI, STATE).await.err().unwrap(),
        ] {
            assert_eq!((error.code, error.message.as_str()), (ErrorCode::InvalidConfig, message));
            let hint = error.hint.unwrap();
            assert!(hint.contains("the redirect URI http://127.0.0.1/callback"), "{hint}");
            assert!(
                hint.ends_with(&format!("ccproxy auth login oidc --connection test {command}")),
                "{hint}"
            );
        }
    }
    let error = described(
        json!({"issuer": "https://id.example.com", "client_id": "svc", "flow": "client-credentials"}),
    );
    let hint = error.err().unwrap().hint.unwrap();
    assert!(hint.ends_with("--client-id svc --client-secret-env VAR"), "{hint}");
}

#[test]
fn settings_that_cannot_work_name_their_key() {
    let with = |name: &str, value: Value| {
        let mut settings = json!({"issuer": "https://id.example.com", "client_id": "cli"});
        settings[name] = value;
        described(settings).err().map(|error| {
            assert_eq!(error.code, ErrorCode::InvalidConfig);
            error.message
        })
    };
    assert_eq!(
        with("extra_params", json!({"state": "x"})).unwrap(),
        "`extra_params` must not set `state`: the protocol does"
    );
    assert!(with("pkce", json!("plain")).unwrap().starts_with("setting `pkce` of `test`"));
    assert!(with("client_auth", json!("jwt")).unwrap().starts_with("setting `client_auth` of `test`"));
    assert!(with("flow", json!("implicit")).unwrap().starts_with("setting `flow` of `test`"));
}

#[tokio::test]
async fn urls_that_break_the_rules_name_their_key() {
    for (name, url) in [
        ("issuer", "http://id.example.com"),
        ("issuer", "id.example.com"),
        ("token_endpoint", "http://id.example.com/token"),
        ("authorization_endpoint", "https://me:pw@id.example.com/"),
    ] {
        let mut settings = json!({
            "client_id": "cli",
            "authorization_endpoint": "https://id.example.com/auth",
            "token_endpoint": "https://id.example.com/token",
        });
        settings[name] = url.into();
        let bench =
            Bench::new::<Oidc>(settings).with_http(|_| Err(Error::new(ErrorCode::Network, "unreachable")));
        let error = bench.login_begin(Flow::Browser, REDIRECT_URI, STATE).await.err().unwrap();
        assert_eq!(error.code, ErrorCode::InvalidConfig);
        assert!(error.message.starts_with(&format!("`{name}` ")), "{error}");
        assert!(!error.message.contains("pw@"), "{error}");
    }
}

#[test]
fn what_the_host_owns_is_tolerated() {
    let settings = json!({
        "provider": "oidc", "issuer": "https://id.example.com", "client_id": "cli", "extra_ca": "/ca.pem",
        "outbound_proxy": "none", "timeout": "5s", "redirect_uri": "http://127.0.0.1:8400/callback",
        "upstream": "https://api.example.com/v1",
    });
    let described = Bench::new::<Oidc>(settings).describe().unwrap();
    assert_eq!(described.upstream.as_deref(), Some("https://api.example.com/v1"));
    assert_eq!(Bench::new::<Oidc>(json!({"flow": "token"})).describe().unwrap().upstream, None);
}
