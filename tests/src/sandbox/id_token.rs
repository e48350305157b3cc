//! ID tokens, true ones and those that a client must refuse.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::keys::SigningKeys;
use super::store::Grant;

/// What is wrong with an ID token (OpenID Connect Core section 3.1.3.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mutation {
    AlgNone,
    BadSig,
    WrongIss,
    WrongAud,
    /// Several audiences, and authorized for another client.
    WrongAzp,
    WrongNonce,
    Expired,
    FutureIat,
    MissingSub,
    /// A different person than before.
    OtherSub,
    BadAtHash,
    /// Signed with what is public: the confusion of RS256 and HS256.
    Hs256,
    KidUnknown,
}

const LIFETIME: u64 = 3600;

/// Signs an ID token for the holder of an access token.
pub(crate) fn sign(
    keys: &SigningKeys,
    algorithm: Algorithm,
    issuer: &str,
    grant: &Grant,
    access_token: &str,
    mutation: Option<Mutation>,
) -> String {
    sign_claims(keys, algorithm, claims(issuer, grant, access_token), mutation)
}

/// Signs claims, with what is wrong on purpose.
pub(crate) fn sign_claims(
    keys: &SigningKeys,
    algorithm: Algorithm,
    mut claims: Value,
    mutation: Option<Mutation>,
) -> String {
    if let Some(mutation) = mutation {
        falsify(&mut claims, mutation);
    }
    let mut header = Header::new(algorithm);
    header.kid = Some(match mutation {
        Some(Mutation::KidUnknown) => "no-such-key".to_owned(),
        _ => keys.key_id(algorithm),
    });
    match mutation {
        Some(Mutation::AlgNone) => unsigned(&claims),
        Some(Mutation::Hs256) => {
            header.alg = Algorithm::HS256;
            encode(&header, &claims, &EncodingKey::from_secret(keys.public().to_string().as_bytes()))
        }
        Some(Mutation::BadSig) => with_broken_signature(&encode(&header, &claims, keys.key(algorithm))),
        _ => encode(&header, &claims, keys.key(algorithm)),
    }
}

/// The claims of a grant's ID token.
pub(crate) fn claims(issuer: &str, grant: &Grant, access_token: &str) -> Value {
    let now = seconds(SystemTime::now());
    let mut claims = json!({
        "iss": issuer,
        "sub": grant.subject,
        "aud": grant.client,
        "iat": now,
        "exp": now + LIFETIME,
        "auth_time": seconds(grant.auth_time),
        "at_hash": URL_SAFE_NO_PAD.encode(&Sha256::digest(access_token.as_bytes())[..16]),
        "email": email(&grant.subject),
        "email_verified": true,
        "name": name(&grant.subject),
    });
    if let Some(nonce) = &grant.nonce {
        claims["nonce"] = json!(nonce);
    }
    claims
}

fn falsify(claims: &mut Value, mutation: Mutation) {
    let now = seconds(SystemTime::now());
    match mutation {
        Mutation::WrongIss => claims["iss"] = json!("http://issuer.invalid"),
        Mutation::WrongAud => claims["aud"] = json!("another-client"),
        Mutation::WrongAzp => {
            claims["aud"] = json!([claims["aud"], "another-client"]);
            claims["azp"] = json!("another-client");
        }
        Mutation::WrongNonce => claims["nonce"] = json!("another-nonce"),
        Mutation::Expired => {
            claims["iat"] = json!(now - 2 * LIFETIME);
            claims["exp"] = json!(now - LIFETIME);
        }
        Mutation::FutureIat => {
            claims["iat"] = json!(now + LIFETIME);
            claims["exp"] = json!(now + 2 * LIFETIME);
        }
        Mutation::MissingSub => {
            claims.as_object_mut().map(|claims| claims.remove("sub"));
        }
        Mutation::OtherSub => claims["sub"] = json!("somebody-else"),
        Mutation::BadAtHash => claims["at_hash"] = json!(URL_SAFE_NO_PAD.encode([0; 16])),
        Mutation::AlgNone | Mutation::BadSig | Mutation::Hs256 | Mutation::KidUnknown => (),
    }
}

fn encode(header: &Header, claims: &Value, key: &EncodingKey) -> String {
    jsonwebtoken::encode(header, claims, key).expect("the committed keys sign")
}

fn unsigned(claims: &Value) -> String {
    let header = json!({ "alg": "none", "typ": "JWT" });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.", part(&header), part(claims))
}

/// The same token with one bit of its signature turned.
fn with_broken_signature(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').expect("a token has three parts");
    let mut signature = URL_SAFE_NO_PAD.decode(signature).expect("a signature is base64url");
    signature[0] ^= 1;
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

pub(crate) fn email(subject: &str) -> String {
    format!("{subject}@example.test")
}

pub(crate) fn name(subject: &str) -> String {
    format!("User {subject}")
}

pub(crate) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
