//! The signing keys. They are committed so that a start costs nothing; they protect nothing.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

pub(crate) struct SigningKeys {
    rs256: EncodingKey,
    es256: EncodingKey,
    generation: u32,
}

impl SigningKeys {
    pub(crate) fn fixed() -> Self {
        Self {
            rs256: EncodingKey::from_rsa_der(&der(include_str!("keys/rs256.pem"))),
            es256: EncodingKey::from_ec_der(&der(include_str!("keys/es256.pem"))),
            generation: 1,
        }
    }

    /// New key ids: a client that caches the key set has to fetch it again.
    pub(crate) fn rotate(&mut self) {
        self.generation += 1;
    }

    pub(crate) fn key(&self, algorithm: Algorithm) -> &EncodingKey {
        if algorithm == Algorithm::ES256 { &self.es256 } else { &self.rs256 }
    }

    pub(crate) fn key_id(&self, algorithm: Algorithm) -> String {
        let name = if algorithm == Algorithm::ES256 { "es256" } else { "rs256" };
        format!("{name}-{}", self.generation)
    }

    pub(crate) fn public(&self) -> Value {
        let keys = [Algorithm::RS256, Algorithm::ES256].map(|algorithm| {
            let mut key =
                Jwk::from_encoding_key(self.key(algorithm), algorithm).expect("the committed keys are whole");
            key.common.key_id = Some(self.key_id(algorithm));
            key.common.public_key_use = Some(jsonwebtoken::jwk::PublicKeyUse::Signature);
            key
        });
        json!({ "keys": keys })
    }
}

/// The bytes between the armour lines.
fn der(pem: &str) -> Vec<u8> {
    let armoured = pem.lines().skip_while(|line| !line.starts_with("-----BEGIN")).skip(1);
    let base64: String = armoured.take_while(|line| !line.starts_with("-----END")).collect();
    STANDARD.decode(base64).expect("the committed keys are PEM")
}
