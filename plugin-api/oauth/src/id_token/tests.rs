//! ID tokens that must pass, and one of each kind that must not.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ccproxy_plugin_sdk::{Response, testing};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use super::*;
use crate::Endpoint;

const ISSUER: &str = "https://id.example.com";
const ACCESS_TOKEN: &str = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
const NOW: i64 = 1_767_225_600;

/// A key pair of the issuer.
struct Signer {
    algorithm: Algorithm,
    key: EncodingKey,
}

impl Signer {
    fn rsa(algorithm: Algorithm) -> Self {
        Self { algorithm, key: EncodingKey::from_rsa_der(include_bytes!("keys/rsa.der")) }
    }

    fn p256() -> Self {
        let key = EncodingKey::from_ec_der(include_bytes!("keys/p256.der"));
        Self { algorithm: Algorithm::ES256, key }
    }

    fn p384() -> Self {
        let key = EncodingKey::from_ec_der(include_bytes!("keys/p384.der"));
        Self { algorithm: Algorithm::ES384, key }
    }

    fn ed25519() -> Self {
        let key = EncodingKey::from_ed_der(include_bytes!("keys/ed25519.der"));
        Self { algorithm: Algorithm::EdDSA, key }
    }

    fn jwk(&self, id: Option<&str>) -> Value {
        let mut jwk =
            serde_json::to_value(Jwk::from_encoding_key(&self.key, self.algorithm).unwrap()).unwrap();
        jwk["use"] = "sig".into();
        if let Some(id) = id {
            jwk["kid"] = id.into();
        }
        jwk
    }

    fn token(&self, header: Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(claims));
        let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &self.key, self.algorithm).unwrap();
        format!("{signed}.{signature}")
    }
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "sub": "alice", "aud": "cli", "exp": NOW + 300, "iat": NOW, "nonce": "n-1",
    })
}

/// Claims with members changed; null removes one.
fn changed(changes: Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

/// An issuer with these keys: says yes with the claims, or no with the reason.
fn judge(keys: &[Value], token: &str) -> Result<Claims, String> {
    judge_by(ISSUER, keys, token)
}

fn judge_by(issuer: &str, keys: &[Value], token: &str) -> Result<Claims, String> {
    let document = json!({ "keys": keys });
    let answer =
        move |_| Ok(Response { status: 200, headers: Vec::new(), body: document.to_string().into_bytes() });
    let connection = testing::connection::<Value>(json!({}), answer);
    let access_token = Secret::new(ACCESS_TOKEN);
    let rules = IdTokenRules {
        issuer,
        client_id: "cli",
        nonce: Some("n-1"),
        access_token: Some(&access_token),
        now: connection.host.now(),
    };
    let server = server();
    let token = Secret::new(token);
    let keys = KeyCache::default();
    let judged = futures(validate(&connection, &keys, &server, &token, rules));
    judged.map_err(|error| {
        assert_eq!(error.code, ccproxy_plugin_sdk::ErrorCode::InvalidResponse);
        error.message
    })
}

fn server() -> AuthorizationServer {
    AuthorizationServer {
        jwks_uri: Some(Endpoint::parse("https://id.example.com/keys").unwrap()),
        ..AuthorizationServer::default()
    }
}

/// The bench needs no runtime: everything is ready at once.
fn futures<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// The verdict on a token with these claims, signed as it should be.
fn verdict(claims: &Value) -> Result<Claims, String> {
    let signer = Signer::p256();
    judge(&[signer.jwk(Some("k1"))], &signer.token(json!({"alg": "ES256", "kid": "k1"}), claims))
}

fn refusal(changes: Value) -> String {
    verdict(&changed(changes.clone())).err().unwrap_or_else(|| panic!("accepted: {changes}"))
}

#[test]
fn every_allowed_algorithm_passes() {
    for (name, signer) in [
        ("RS256", Signer::rsa(Algorithm::RS256)),
        ("RS384", Signer::rsa(Algorithm::RS384)),
        ("RS512", Signer::rsa(Algorithm::RS512)),
        ("PS256", Signer::rsa(Algorithm::PS256)),
        ("ES256", Signer::p256()),
        ("ES384", Signer::p384()),
        ("EdDSA", Signer::ed25519()),
    ] {
        let token = signer.token(json!({"alg": name, "kid": "k1", "typ": "JWT"}), &claims());
        let claims = judge(&[signer.jwk(Some("k1"))], &token).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(claims["sub"], "alice");
    }
}

#[test]
fn alg_none_is_refused() {
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    for none in ["none", "None", "NONE", "nOnE"] {
        let token = format!("{}.{}.", part(json!({"alg": none})), part(claims()));
        let why = judge(&[Signer::p256().jwk(None)], &token).unwrap_err();
        assert_eq!(why, "the ID token is signed with an algorithm that is not allowed (`alg`)");
    }
}

#[test]
fn hs256_with_the_public_key_as_secret_is_refused() {
    let public = Signer::rsa(Algorithm::RS256).jwk(Some("k1"));
    let modulus = URL_SAFE_NO_PAD.decode(public["n"].as_str().unwrap()).unwrap();
    let forger = Signer { algorithm: Algorithm::HS256, key: EncodingKey::from_secret(&modulus) };
    let token = forger.token(json!({"alg": "HS256", "kid": "k1"}), &claims());
    let why = judge(&[public], &token).unwrap_err();
    assert_eq!(why, "the ID token is signed with an algorithm that is not allowed (`alg`)");
}

#[test]
fn a_symmetric_key_in_the_set_signs_nothing() {
    let forger = Signer { algorithm: Algorithm::HS256, key: EncodingKey::from_secret(b"secret") };
    let token = forger.token(json!({"alg": "RS256"}), &claims());
    let oct = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode("secret"), "alg": "RS256"});
    assert_eq!(judge(&[oct], &token).unwrap_err(), "the ID token is not signed by a key of its issuer");
}

#[test]
fn a_bad_signature_is_refused() {
    let signer = Signer::p256();
    let token = signer.token(json!({"alg": "ES256", "kid": "k1"}), &claims());
    let other = signer.token(json!({"alg": "ES256", "kid": "k1"}), &changed(json!({"sub": "mallory"})));
    let signature = token.rsplit_once('.').unwrap().1;
    let forged = format!("{}.{signature}", other.rsplit_once('.').unwrap().0);
    for bad in [forged.as_str(), &token[..token.len() - 2], &format!("{token}AA")] {
        let why = judge(&[signer.jwk(Some("k1"))], bad).unwrap_err();
        assert_eq!(why, "the ID token is not signed by a key of its issuer");
    }
}

#[test]
fn another_issuer_is_refused_byte_for_byte() {
    for issuer in
        [json!("https://id.example.com/"), json!("https://ID.example.com"), json!([ISSUER]), json!(null)]
    {
        assert_eq!(refusal(json!({ "iss": issuer })), "the ID token has another `iss`");
    }
}

#[test]
fn another_audience_is_refused() {
    for audience in [json!("web"), json!(["web"]), json!(null), json!({"cli": 1}), json!([])] {
        assert_eq!(refusal(json!({ "aud": audience })), "the ID token is for another client (`aud`)");
    }
    assert_eq!(refusal(json!({"azp": "web"})), "the ID token is for another client (`azp`)");
    assert_eq!(
        refusal(json!({"aud": ["cli", "web"]})),
        "the ID token is for several clients and names none (`azp`)"
    );
    assert!(verdict(&changed(json!({"aud": ["cli"]}))).is_ok());
    assert!(verdict(&changed(json!({"aud": ["cli", "web"], "azp": "cli"}))).is_ok());
}

#[test]
fn an_expired_token_is_refused_after_the_leeway() {
    assert!(verdict(&changed(json!({"exp": NOW - 59}))).is_ok());
    assert_eq!(refusal(json!({"exp": NOW - 60})), "the ID token has expired");
}

#[test]
fn a_token_of_the_future_is_refused_after_the_leeway() {
    assert!(verdict(&changed(json!({"iat": NOW + 60, "nbf": NOW + 60}))).is_ok());
    for early in [json!({"iat": NOW + 61}), json!({"nbf": NOW + 61})] {
        assert_eq!(refusal(early), "the ID token is not valid yet: check the clock");
    }
}

#[test]
fn times_must_be_there_and_be_numbers() {
    assert_eq!(refusal(json!({"exp": null})), "the ID token has no `exp`");
    assert_eq!(refusal(json!({"iat": null})), "the ID token has no `iat`");
    for name in ["exp", "iat", "nbf"] {
        for text in [json!("9999999999"), json!("x"), json!([NOW]), json!(true)] {
            assert_eq!(
                refusal(json!({ name: text })),
                format!("the ID token has a `{name}` that is not a number")
            );
        }
    }
    assert!(verdict(&changed(json!({"exp": NOW as f64 + 0.5}))).is_ok());
}

#[test]
fn another_nonce_is_refused() {
    for nonce in [json!("n-2"), json!(null), json!(""), json!(["n-1"])] {
        assert_eq!(refusal(json!({ "nonce": nonce })), "the ID token is not of this login (`nonce`)");
    }
}

#[test]
fn a_missing_subject_is_refused() {
    for subject in [json!(null), json!(""), json!(7)] {
        assert_eq!(refusal(json!({ "sub": subject })), "the ID token has no `sub`");
    }
}

#[test]
fn at_hash_is_checked_when_present() {
    // OpenID Connect Core, appendix A.3: this access token under SHA-256.
    assert!(verdict(&changed(json!({"at_hash": "77QmUPtjPfzWtF2AnpK9RQ"}))).is_ok());
    for hash in [json!("77QmUPtjPfzWtF2AnpK9RR"), json!(""), json!(7)] {
        assert_eq!(
            refusal(json!({ "at_hash": hash })),
            "the ID token is of another access token (`at_hash`)"
        );
    }
}

#[test]
fn critical_extensions_are_refused() {
    let signer = Signer::p256();
    for crit in [json!(["b64"]), json!([]), json!("exp")] {
        let token = signer.token(json!({"alg": "ES256", "crit": crit, "b64": false}), &claims());
        let why = judge(&[signer.jwk(None)], &token).unwrap_err();
        assert_eq!(why, "the ID token has critical extensions (`crit`)");
    }
}

#[test]
fn an_access_token_is_no_id_token() {
    let signer = Signer::p256();
    let token = signer.token(json!({"alg": "ES256", "typ": "at+jwt"}), &claims());
    assert_eq!(
        judge(&[signer.jwk(None)], &token).unwrap_err(),
        "the ID token is a token of another kind (`typ`)"
    );
}

#[test]
fn what_is_not_a_token_is_refused_and_not_quoted() {
    for odd in ["", "canary", "a.b", "a.b.c.d.e", "e30.e30.", "....", "e30.bm90IGpzb24.x"] {
        let why = judge(&[], odd).unwrap_err();
        assert!(!why.contains("canary"), "{why}");
    }
}

#[test]
fn without_a_key_id_every_usable_key_is_tried() {
    let signer = Signer::p256();
    let token = signer.token(json!({"alg": "ES256"}), &claims());
    let keys =
        [Signer::rsa(Algorithm::RS256).jwk(Some("r")), Signer::p384().jwk(None), signer.jwk(Some("e"))];
    assert!(judge(&keys, &token).is_ok());
    assert!(judge(&keys[..2], &token).is_err());
}

#[test]
fn unusable_and_decoy_keys_are_skipped() {
    let signer = Signer::rsa(Algorithm::RS256);
    let token = signer.token(json!({"alg": "RS256", "kid": "k1"}), &claims());
    let decoys = [
        json!("not a key"),
        json!({"kty": "RSA", "kid": "k1", "n": "!!", "e": "AQAB"}),
        json!({"kty": "RSA", "kid": "k1"}),
        json!({"kty": "EC", "crv": "secp256k1", "kid": "k1", "x": "AA", "y": "AA"}),
        json!({"kty": "future", "kid": "k1"}),
        Signer::p256().jwk(Some("k1")),
        signer.jwk(Some("k1")),
    ];
    assert!(judge(&decoys, &token).is_ok());

    let unusable = |member: &str, value: Value| {
        let mut key = signer.jwk(Some("k1"));
        key[member] = value;
        judge(&[key], &token)
    };
    assert!(unusable("use", json!("enc")).is_err());
    assert!(unusable("key_ops", json!(["sign"])).is_err());
    assert!(unusable("alg", json!("RS512")).is_err());
    assert!(unusable("key_ops", json!(["verify"])).is_ok());
}

#[test]
fn an_unknown_key_id_is_looked_for_again_at_most_once_a_minute() {
    let (old, new) = (Signer::p256(), Signer::rsa(Algorithm::RS256));
    let keys = Arc::new(Mutex::new(json!({"keys": [old.jwk(Some("old"))]})));
    let fetches = Arc::new(AtomicUsize::new(0));
    let answer = {
        let (keys, fetches) = (Arc::clone(&keys), Arc::clone(&fetches));
        move |_| {
            fetches.fetch_add(1, Ordering::Relaxed);
            let body = keys.lock().unwrap().to_string().into_bytes();
            Ok(Response { status: 200, headers: Vec::new(), body })
        }
    };
    let connection = testing::connection::<Value>(json!({}), answer);
    let cache = KeyCache::default();
    let server = server();
    let is_valid = |signer: &Signer, header: Value| {
        let token = Secret::new(signer.token(header, &claims()));
        let rules = IdTokenRules {
            issuer: ISSUER,
            client_id: "cli",
            nonce: None,
            access_token: None,
            now: connection.host.now(),
        };
        futures(validate(&connection, &cache, &server, &token, rules)).is_ok()
    };
    let fetched = || fetches.load(Ordering::Relaxed);

    assert!(is_valid(&old, json!({"alg": "ES256", "kid": "old"})));
    assert_eq!(fetched(), 1);
    // The issuer rotates. A minute has not passed, so the new key stays unknown, however often asked.
    *keys.lock().unwrap() = json!({"keys": [new.jwk(Some("new"))]});
    for _ in 0..5 {
        assert!(!is_valid(&new, json!({"alg": "RS256", "kid": "new"})));
    }
    assert_eq!(fetched(), 1);
    futures(connection.host.sleep(Duration::from_secs(60)));
    assert!(is_valid(&new, json!({"alg": "RS256", "kid": "new"})));
    assert_eq!(fetched(), 2);
    assert!(!is_valid(&old, json!({"alg": "ES256", "kid": "made-up"})));
    assert_eq!(fetched(), 2);
}

#[test]
fn an_issuer_of_many_tenants_is_that_of_the_tokens_own_tenant() {
    const TENANT_ID: &str = "11111111-2222-3333-4444-555555555555";
    let signer = Signer::p256();
    let judge = |changes: Value| {
        let token = signer.token(json!({"alg": "ES256"}), &changed(changes));
        judge_by("https://id.example.com/{tenantid}/v2.0", &[signer.jwk(None)], &token).map(drop)
    };
    let of = |tenant: &str| format!("https://id.example.com/{tenant}/v2.0");
    assert_eq!(judge(json!({"iss": of(TENANT_ID), "tid": TENANT_ID})), Ok(()));

    let another = of("99999999-2222-3333-4444-555555555555");
    for issuer in [another, of("{tenantid}"), ISSUER.to_owned()] {
        let judged = judge(json!({"iss": issuer, "tid": TENANT_ID}));
        assert_eq!(judged, Err("the ID token has another `iss`".into()), "{issuer}");
    }
    for tenant in [json!(null), json!("../../evil"), json!("{tenantid}"), json!(7)] {
        let judged = judge(json!({"iss": of("../../evil"), "tid": tenant}));
        assert_eq!(judged, Err("the ID token names no tenant (`tid`)".into()), "{tenant}");
    }
    // Written out, the issuer is what it was: byte for byte.
    let token = signer.token(json!({"alg": "ES256"}), &changed(json!({"tid": TENANT_ID})));
    assert!(judge_by(ISSUER, &[signer.jwk(None)], &token).is_ok());
}

#[test]
fn a_refreshed_id_token_must_be_of_the_same_person_and_issuer() {
    let signer = Signer::p256();
    let record = OAuthRecord {
        id_token_sub: Some("alice".into()),
        issuer: Some(ISSUER.into()),
        ..OAuthRecord::default()
    };
    let check = |claims: Value| {
        let tokens = TokenSet {
            access_token: Secret::new("at"),
            expires_at: None,
            refresh_token: None,
            refresh_expires_at: None,
            scopes: None,
            id_token: Some(Secret::new(signer.token(json!({"alg": "ES256"}), &claims))),
        };
        check_refreshed(&tokens, &record).map_err(|error| error.message)
    };
    assert_eq!(check(claims()), Ok(()));
    assert_eq!(
        check(changed(json!({"sub": "bob"}))),
        Err("the ID token of the refresh has another `sub`".into())
    );
    assert_eq!(
        check(changed(json!({"iss": "x"}))),
        Err("the ID token of the refresh has another `iss`".into())
    );
}

#[test]
fn where_the_issuer_has_many_tenants_it_must_be_of_the_same_one() {
    let signer = Signer::p256();
    let record = OAuthRecord {
        id_token_sub: Some("alice".into()),
        id_token_iss: Some("https://id.example.com/one".into()),
        issuer: Some("https://id.example.com/any".into()),
        ..OAuthRecord::default()
    };
    let check = |issuer: &str| {
        let claims = changed(json!({"iss": issuer}));
        let tokens = TokenSet {
            access_token: Secret::new("at"),
            expires_at: None,
            refresh_token: None,
            refresh_expires_at: None,
            scopes: None,
            id_token: Some(Secret::new(signer.token(json!({"alg": "ES256"}), &claims))),
        };
        check_refreshed(&tokens, &record).is_ok()
    };
    assert!(check("https://id.example.com/one"));
    assert!(!check("https://id.example.com/two") && !check("https://id.example.com/any"));
}
