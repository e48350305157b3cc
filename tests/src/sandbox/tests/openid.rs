use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::*;
use crate::sandbox::TokenState;

#[tokio::test]
async fn discovery_names_endpoints_that_answer() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let metadata =
        Call::get(&format!("{}/.well-known/openid-configuration", sandbox.issuer())).send().await.json();
    assert_eq!(metadata["issuer"], json!(sandbox.issuer()));
    for (name, method) in [
        ("token_endpoint", "POST"),
        ("device_authorization_endpoint", "POST"),
        ("revocation_endpoint", "POST"),
        ("introspection_endpoint", "POST"),
        ("authorization_endpoint", "GET"),
        ("userinfo_endpoint", "GET"),
        ("jwks_uri", "GET"),
    ] {
        let answer = Call::new(method.parse().unwrap(), text(&metadata, name)).send().await;
        assert!(answer.status != StatusCode::NOT_FOUND, "{name} is not there");
    }
}

#[tokio::test]
async fn a_code_login_yields_tokens_that_the_server_vouches_for() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let back = sandbox.approve(&authorize_url(&sandbox, "openid offline_access email"), "alice").await;
    assert_eq!(parameter(&back, "state").as_deref(), Some("s1"));
    assert_eq!(parameter(&back, "iss").as_deref(), Some(sandbox.issuer()));

    let answer = redeem(&sandbox, &parameter(&back, "code").unwrap(), VERIFIER).await;
    assert_eq!(answer.status, StatusCode::OK);
    let tokens = answer.json();
    assert_eq!(tokens["expires_in"], json!(60));
    assert_eq!(tokens["scope"], json!("openid offline_access email"));
    let access_token = text(&tokens, "access_token");
    assert_eq!(sandbox.token_state(access_token), TokenState::Valid);

    let userinfo = Call::get(&format!("{}/userinfo", sandbox.issuer())).bearer(access_token).send().await;
    assert_eq!(userinfo.json()["email"], json!("alice@example.test"));
}

#[tokio::test]
async fn id_tokens_carry_what_openid_connect_asks_for_and_verify_against_the_key_set() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let tokens = login(&sandbox).await;
    let claims = verified(&sandbox, text(&tokens, "id_token")).await;
    let digest = Sha256::digest(text(&tokens, "access_token"));
    assert_eq!(claims["iss"], json!(sandbox.issuer()));
    assert_eq!(claims["aud"], json!("native"));
    assert_eq!(claims["sub"], json!("alice"));
    assert_eq!(claims["nonce"], json!("n1"));
    assert_eq!(claims["at_hash"], json!(URL_SAFE_NO_PAD.encode(&digest[..16])));
    assert_eq!(claims["email"], json!("alice@example.test"));
}

#[tokio::test]
async fn rotated_keys_change_the_key_set_and_the_next_id_token_together() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let before = login(&sandbox).await;
    sandbox.rotate_keys();
    let after = login(&sandbox).await;
    let kid = |tokens: &Value| jsonwebtoken::decode_header(text(tokens, "id_token")).unwrap().kid.unwrap();
    assert_eq!((kid(&before).as_str(), kid(&after).as_str()), ("rs256-1", "rs256-2"));
    verified(&sandbox, text(&after, "id_token")).await;
}

async fn verified(sandbox: &Sandbox, id_token: &str) -> Value {
    let keys = Call::get(&format!("{}/jwks", sandbox.issuer())).send().await;
    let keys: JwkSet = serde_json::from_slice(&keys.body).unwrap();
    let kid = jsonwebtoken::decode_header(id_token).unwrap().kid.unwrap();
    let key = DecodingKey::from_jwk(keys.find(&kid).expect("the key set has the key")).unwrap();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&["native"]);
    jsonwebtoken::decode::<Value>(id_token, &key, &validation).unwrap().claims
}

#[tokio::test]
async fn a_wrong_or_missing_verifier_redeems_nothing() {
    let sandbox = Sandbox::start_default().await.unwrap();
    for verifier in ["", "another-verifier-which-is-long-enough-to-be-one"] {
        let code = code(&sandbox, "openid").await;
        let answer = redeem(&sandbox, &code, verifier).await;
        assert_eq!(
            (answer.status, answer.json()["error"].clone()),
            (StatusCode::BAD_REQUEST, json!("invalid_grant"))
        );
    }
}

#[tokio::test]
async fn a_code_that_comes_twice_takes_its_grant_along() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let code = code(&sandbox, "openid offline_access").await;
    let tokens = redeem(&sandbox, &code, VERIFIER).await.json();
    assert_eq!(redeem(&sandbox, &code, VERIFIER).await.json()["error"], json!("invalid_grant"));
    assert_eq!(sandbox.token_state(text(&tokens, "access_token")), TokenState::Revoked);
    assert_eq!(
        refresh(&sandbox, text(&tokens, "refresh_token")).await.json()["error"],
        json!("invalid_grant")
    );
}

#[tokio::test]
async fn without_offline_access_there_is_no_refresh_token() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let code = code(&sandbox, "openid").await;
    assert_eq!(redeem(&sandbox, &code, VERIFIER).await.json().get("refresh_token"), None);
}

#[tokio::test]
async fn an_unregistered_redirect_is_never_redirected_to() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let evil = authorize_url(&sandbox, "openid").replace("127.0.0.1%3A5555", "evil.test");
    let answer = Call::get(&format!("{evil}&sandbox_approve=alice")).send().await;
    assert_eq!((answer.status, answer.headers.get("location")), (StatusCode::BAD_REQUEST, None));
}

#[tokio::test]
async fn the_page_asks_and_its_buttons_decide() {
    let sandbox = Sandbox::start_default().await.unwrap();
    for (decision, outcome) in [("approve", "code"), ("deny", "error")] {
        let page = Call::get(&authorize_url(&sandbox, "openid")).send().await.text();
        let (_, rest) = page.split_once("name=\"request\" value=\"").expect("the form names its request");
        let (request, _) = rest.split_once('"').unwrap();
        let fields = [("request", request), ("user", "bob"), ("decision", decision)];
        let answer = Call::form(&format!("{}/decision", sandbox.issuer()), &fields).send().await;
        let back = Url::parse(answer.header("location")).unwrap();
        assert!(parameter(&back, outcome).is_some(), "{decision} went to {back}");
        let again = Call::form(&format!("{}/decision", sandbox.issuer()), &fields).send().await;
        assert_eq!(again.status, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn revocation_and_introspection_agree() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let tokens = login(&sandbox).await;
    let access_token = text(&tokens, "access_token");
    assert_eq!(introspect(&sandbox, access_token).await["active"], json!(true));
    let fields = [("client_id", "native"), ("token", text(&tokens, "refresh_token"))];
    let revoked = Call::form(&format!("{}/revoke", sandbox.issuer()), &fields).send().await;
    assert_eq!(revoked.status, StatusCode::OK);
    assert_eq!(introspect(&sandbox, access_token).await, json!({ "active": false }));
}

async fn introspect(sandbox: &Sandbox, token: &str) -> Value {
    let call = Call::form(&format!("{}/introspect", sandbox.issuer()), &[("token", token)]);
    // rs:rs-secret
    call.header("authorization", "Basic cnM6cnMtc2VjcmV0").send().await.json()
}

#[tokio::test]
async fn neither_log_nor_counts_hold_a_secret() {
    let sandbox = rotating().await;
    let tokens = login(&sandbox).await;
    refresh(&sandbox, text(&tokens, "refresh_token")).await;
    let url = |what: &str| format!("{}/_sandbox/{what}", sandbox.issuer());
    for what in ["log", "counts"] {
        let seen = Call::get(&url(what)).send().await.text();
        assert!(seen.contains("refresh_token"), "{what} is empty: {seen}");
        for secret in ["sbxat_", "sbxrt_", "sbxac_", VERIFIER] {
            assert!(!seen.contains(secret), "{what} holds {secret}: {seen}");
        }
    }
}
