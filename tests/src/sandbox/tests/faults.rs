use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use super::*;
use crate::sandbox::{Endpoint, Fault, Mutation};

async fn script(sandbox: &Sandbox, rule: Value) -> Answer {
    Call::json(&format!("{}/_sandbox/faults", sandbox.issuer()), &rule).send().await
}

#[tokio::test]
async fn a_fault_is_met_as_often_as_scripted_and_by_whom() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let tokens = login(&sandbox).await;
    let fault = json!({ "kind": "status", "status": 503, "retry_after": 7 });
    let rule = json!({ "endpoint": "token", "times": 2, "grant_type": "refresh_token", "fault": fault });
    assert_eq!(script(&sandbox, rule).await.status, StatusCode::OK);

    assert!(login(&sandbox).await["access_token"].is_string(), "a code is not a refresh");
    for _ in 0..2 {
        let answer = refresh(&sandbox, text(&tokens, "refresh_token")).await;
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "7"));
    }
    assert_eq!(refresh(&sandbox, text(&tokens, "refresh_token")).await.status, StatusCode::OK);
    assert_eq!(sandbox.counts().refreshes(), 3);
    let faults: Vec<_> = sandbox.log().into_iter().filter_map(|entry| entry.fault).collect();
    assert_eq!(faults, ["status", "status"]);
}

#[tokio::test]
async fn a_misspelt_fault_is_refused() {
    let sandbox = Sandbox::start_default().await.unwrap();
    for rule in [
        json!({ "endpoint": "tokens", "fault": { "kind": "close" } }),
        json!({ "endpoint": "token", "fault": { "kind": "explode" } }),
        json!({ "endpoint": "token", "time": 2, "fault": { "kind": "close" } }),
        json!({ "endpoint": "token", "fault": { "kind": "id_token", "mutation": "none" } }),
    ] {
        assert_eq!(script(&sandbox, rule.clone()).await.status, StatusCode::BAD_REQUEST, "{rule}");
    }
}

#[tokio::test]
async fn any_body_can_be_answered() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let fault = json!({ "kind": "body", "status": 428, "content_type": "text/plain", "body": "<nonsense>",
        "headers": { "x-ratelimit-remaining": "0" } });
    script(&sandbox, json!({ "endpoint": "userinfo", "fault": fault })).await;
    let answer = Call::get(&format!("{}/userinfo", sandbox.issuer())).send().await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (428, "<nonsense>"));
    assert_eq!(answer.header("x-ratelimit-remaining"), "0");
    assert_eq!(answer.header("content-type"), "text/plain");
}

#[tokio::test]
async fn members_can_be_left_out_or_changed() {
    let sandbox = Sandbox::start_default().await.unwrap();
    sandbox.fault(Endpoint::Token, 1, Fault::Omit { fields: vec!["expires_in".to_owned()] });
    assert_eq!(login(&sandbox).await.get("expires_in"), None);
    let fields = json!({ "expires_in": "3599" }).as_object().unwrap().clone();
    sandbox.fault(Endpoint::Token, 1, Fault::Set { fields });
    assert_eq!(login(&sandbox).await["expires_in"], json!("3599"));
    assert_eq!(login(&sandbox).await["expires_in"], json!(60));
}

#[tokio::test]
async fn a_connection_can_be_closed_and_an_answer_delayed() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let url = format!("{}/jwks", sandbox.issuer());
    sandbox.fault(Endpoint::Jwks, 1, Fault::Close);
    assert!(Call::get(&url).try_send().await.is_err());
    sandbox.fault(Endpoint::Jwks, 1, Fault::Delay { ms: 120 });
    let started = Instant::now();
    assert_eq!(Call::get(&url).send().await.status, StatusCode::OK);
    assert!(started.elapsed() >= Duration::from_millis(120));
}

#[tokio::test]
async fn a_client_that_does_not_wait_is_seen_leaving() {
    let sandbox = Sandbox::start_default().await.unwrap();
    sandbox.fault(Endpoint::Jwks, 1, Fault::Delay { ms: 60_000 });
    let url = format!("{}/jwks", sandbox.issuer());
    let waited = tokio::time::timeout(Duration::from_millis(100), Call::get(&url).try_send()).await;
    assert!(waited.is_err());
    let gone = async {
        while sandbox.log()[0].outcome != "client_gone" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), gone).await.expect("the server notices");
}

/// Each mutation must be wrong in the way that its name says, or the client's check of it proves nothing.
#[tokio::test]
async fn every_id_token_mutation_is_the_lie_it_says() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let keys = Call::get(&format!("{}/jwks", sandbox.issuer())).send().await;
    let keys: JwkSet = serde_json::from_slice(&keys.body).unwrap();
    let truth = claims(text(&login(&sandbox).await, "id_token"));
    for (mutation, is_signed, changed) in [
        (Mutation::AlgNone, false, None),
        (Mutation::BadSig, false, None),
        (Mutation::Hs256, false, None),
        (Mutation::KidUnknown, false, None),
        (Mutation::WrongIss, true, Some("iss")),
        (Mutation::WrongAud, true, Some("aud")),
        (Mutation::WrongAzp, true, Some("azp")),
        (Mutation::WrongNonce, true, Some("nonce")),
        (Mutation::Expired, true, Some("exp")),
        (Mutation::FutureIat, true, Some("iat")),
        (Mutation::MissingSub, true, Some("sub")),
        (Mutation::OtherSub, true, Some("sub")),
        (Mutation::BadAtHash, true, Some("at_hash")),
    ] {
        sandbox.fault(Endpoint::Token, 1, Fault::IdToken { mutation });
        let tokens = login(&sandbox).await;
        let id_token = text(&tokens, "id_token");
        assert_eq!(is_signed_by(&keys, id_token), is_signed, "{mutation:?}");
        if let Some(claim) = changed {
            let lie = claims(id_token);
            // A later token differs in its times anyway; those lies are hours away.
            let distance = lie[claim].as_u64().zip(truth[claim].as_u64()).map(|(a, b)| a.abs_diff(b));
            assert!(distance.is_none_or(|d| d > 1800) && lie[claim] != truth[claim], "{mutation:?}: {lie}");
        }
    }
}

fn claims(id_token: &str) -> Value {
    let payload = id_token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

fn is_signed_by(keys: &JwkSet, id_token: &str) -> bool {
    let Ok(header) = jsonwebtoken::decode_header(id_token) else { return false };
    let Some(key) = header.kid.and_then(|kid| keys.find(&kid)) else { return false };
    let mut validation = Validation::new(Algorithm::RS256);
    validation.validate_aud = false;
    validation.validate_exp = false;
    validation.required_spec_claims.clear();
    jsonwebtoken::decode::<Value>(id_token, &DecodingKey::from_jwk(key).unwrap(), &validation).is_ok()
}

#[tokio::test]
async fn a_huge_answer_is_as_long_as_asked_for() {
    let sandbox = Sandbox::start_default().await.unwrap();
    sandbox.fault(Endpoint::Token, 1, Fault::Large { bytes: 3 << 20 });
    assert_eq!(refresh(&sandbox, "x").await.body.len(), (3 << 20) + r#"{"filler":""}"#.len());
}

#[tokio::test]
async fn who_looks_for_leaks_is_told_every_secret_and_a_pasted_token_is_good() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let at = |resource: &str| format!("{}/_sandbox/{resource}", sandbox.issuer());
    let tokens = login(&sandbox).await;
    let made = Call::json(&at("token"), &json!({ "user": "alice" })).send().await.json();
    let userinfo = Call::get(&format!("{}/userinfo", sandbox.issuer()))
        .header("authorization", &format!("Bearer {}", text(&made, "token")));
    assert_eq!(userinfo.send().await.json()["sub"], "alice");
    let told = Call::get(&at("secrets")).send().await.json();
    let told: Vec<&str> = told.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for secret in [text(&tokens, "access_token"), text(&tokens, "refresh_token"), text(&made, "token")] {
        assert!(told.contains(&secret), "{secret}");
    }
    assert_eq!(told.iter().filter(|secret| secret.starts_with("sbxac_")).count(), 1, "{told:?}");
}
