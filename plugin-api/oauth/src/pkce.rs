//! Proof key for code exchange (RFC 7636) and other one-time texts.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ccproxy_plugin_sdk::{Error, ErrorCode, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Whether codes are bound to this login. `plain` does not exist here: it protects nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Pkce {
    /// Always, even beside a client secret (RFC 9700 section 2.1.1).
    #[default]
    S256,
    /// For servers that choke on the parameters.
    #[serde(rename = "off")]
    Off,
}

/// A fresh code verifier: 256 bits (RFC 7636 section 4.1).
pub(crate) fn verifier() -> Result<Secret, Error> {
    random().map(Secret::new)
}

/// `S256` of RFC 7636 section 4.2.
pub(crate) fn challenge(verifier: &Secret) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.expose().as_bytes()))
}

/// 256 random bits as URL-safe text.
pub(crate) fn random() -> Result<String, Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::new(ErrorCode::Internal, format!("no randomness: {error}")))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::{assert_eq, assert_ne};

    #[test]
    fn the_vector_of_rfc_7636_appendix_b() {
        let octets = [
            116, 24, 223, 180, 151, 153, 224, 37, 79, 250, 96, 125, 216, 173, 187, 186, 22, 212, 37, 77, 105,
            214, 191, 240, 91, 88, 5, 88, 83, 132, 141, 121,
        ];
        let verifier = Secret::new(URL_SAFE_NO_PAD.encode(octets));
        assert_eq!(verifier.expose(), "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(challenge(&verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn verifiers_are_fresh_and_of_the_allowed_length() {
        let (one, other) = (verifier().unwrap(), verifier().unwrap());
        assert_ne!(one.expose(), other.expose());
        assert!((43..=128).contains(&one.expose().len()));
    }
}
