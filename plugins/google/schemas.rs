//! What a person writes: the settings of a `google` connection.

use ccproxy_plugin_oauth::EndpointSettings;
use ccproxy_plugin_sdk::{Connection, SecretRef};
use schemars::JsonSchema;
use serde::Deserialize;

/// A connection of this provider.
pub type Conn = Connection<Settings>;

/// Settings of a connection. The doc comments are the help texts of their flags.
#[derive(Deserialize, JsonSchema)]
pub struct Settings {
    /// Client id of your OAuth client, `...apps.googleusercontent.com`
    pub client_id: Option<String>,
    /// Its client secret, as a secret reference; Google wants that of a desktop app, too
    pub client_secret: Option<SecretRef>,
    /// Scopes to ask for at login, beside `openid` and `email`
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Workspace domain that the account must be of; `*` for any Workspace account
    pub hosted_domain: Option<String>,
    /// Whether the login outlives its first token, which takes a refresh token
    #[serde(default)]
    pub access_type: AccessType,
    /// One base URL for all endpoints, in place of Google's hosts
    pub authority: Option<String>,
    /// Base URL behind the route; `https://www.googleapis.com` unless set
    pub upstream: Option<String>,
    /// Endpoints written by hand
    #[serde(flatten)]
    pub endpoints: EndpointSettings,
}

/// Google's parameter of the same name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AccessType {
    /// With a refresh token
    #[default]
    Offline,
    /// For one access token's hour
    Online,
}

impl AccessType {
    /// As the parameter writes it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Online => "online",
        }
    }
}
