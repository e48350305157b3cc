//! Secrets: no Debug, no Display, no Serialize by accident, wiped when dropped.

use serde::{Deserialize, Deserializer, Serializer};
use zeroize::Zeroizing;

/// A secret text. `expose` marks every place that reads it.
///
/// A record may hold one with `#[serde(with = "ccproxy_plugin_sdk::stored")]`, which says at the
/// field that it goes to the vault.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text over.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The secret from bytes; `None` if they are not UTF-8.
    pub fn from_utf8(bytes: Vec<u8>) -> Option<Self> {
        match String::from_utf8(bytes) {
            Ok(text) => Some(Self::new(text)),
            Err(error) => {
                drop(Zeroizing::new(error.into_bytes()));
                None
            }
        }
    }

    /// The text. Never into a log, an error, a URL or argv.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether every byte may stand in a header field value (RFC 9110 section 5.5) and the secret
    /// is not empty. A token with a line break would inject a field.
    pub fn is_field_value(&self) -> bool {
        !self.0.is_empty() && self.0.bytes().all(|byte| matches!(byte, 0x21..=0x7e))
    }
}

/// For `#[serde(with = "ccproxy_plugin_sdk::stored")]`: this field goes to the vault in clear.
pub mod stored {
    use super::*;

    /// Writes the secret.
    pub fn serialize<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(secret.expose())
    }

    /// Reads a secret.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        String::deserialize(deserializer).map(Secret::new)
    }
}

/// As [`stored`], for a secret that may be absent; add `default` to the field.
pub mod stored_option {
    use super::*;

    /// Writes the secret or null.
    pub fn serialize<S: Serializer>(secret: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
        match secret {
            Some(secret) => serializer.serialize_some(secret.expose()),
            None => serializer.serialize_none(),
        }
    }

    /// Reads a secret or null.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
        Ok(Option::<String>::deserialize(deserializer)?.map(Secret::new))
    }
}

/// A reference to a secret in the settings, such as `{ env = "NAME" }`. Opaque to plugins: the host
/// resolves it at use, see [`Connection::secret`](crate::Connection::secret).
#[derive(Clone, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct SecretRef(
    #[schemars(
        description = "a secret reference: { env = \"NAME\" }, { file = \"path\" }, { command = [..] } or { keyring = \"ref\" }"
    )]
    serde_json::Map<String, serde_json::Value>,
);
