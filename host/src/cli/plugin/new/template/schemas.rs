//! What people write, and what Acme answers.

use ccproxy_plugin_sdk::{Secret, stored, stored_option};
use schemars::JsonSchema;
use serde::Deserialize;

/// Where the API is, unless the connection says otherwise.
pub const UPSTREAM: &str = "https://api.acme.example";

/// The settings of a connection. Each is a key of `[connections.NAME]` and a flag of `auth login`;
/// the first line of its comment is what people read about it.
#[derive(Deserialize, JsonSchema)]
pub struct Settings {
    /// Base URL of Acme's authorization server.
    #[serde(default = "authority")]
    pub authority: String,
    /// The OAuth application to log in as, for `--device`.
    pub client_id: Option<String>,
    /// Scopes to ask for at login.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Base URL of the API.
    #[serde(default = "upstream")]
    pub upstream: String,
}

fn authority() -> String {
    "https://id.acme.example".into()
}

fn upstream() -> String {
    UPSTREAM.into()
}

/// RFC 6749 section 5.1.
#[derive(Deserialize)]
pub struct Tokens {
    #[serde(with = "stored")]
    pub access_token: Secret,
    #[serde(with = "stored_option", default)]
    pub refresh_token: Option<Secret>,
    /// Seconds.
    pub expires_in: Option<u64>,
}

/// RFC 6749 section 5.2. The description is left alone: servers repeat in it what they were sent.
#[derive(Deserialize)]
pub struct Refused {
    pub error: String,
}

/// RFC 8628 section 3.2.
#[derive(Deserialize)]
pub struct DeviceAuthorization {
    #[serde(with = "stored")]
    pub device_code: Secret,
    pub user_code: String,
    pub verification_uri: String,
    pub verification_uri_complete: Option<String>,
    pub expires_in: u64,
    pub interval: Option<u64>,
}

/// OpenID Connect Core section 5.3.
#[derive(Deserialize)]
pub struct UserInfo {
    pub sub: String,
    #[serde(default)]
    pub email: String,
}
