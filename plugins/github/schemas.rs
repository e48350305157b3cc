//! What people write in settings and what GitHub's API answers, parsed once.

use ccproxy_plugin_oauth::EndpointSettings;
use ccproxy_plugin_sdk::SecretRef;
use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of a connection. The doc comments are the help texts of their flags.
#[derive(Deserialize, JsonSchema)]
pub struct Settings {
    /// Client id of your OAuth app or GitHub App
    pub client_id: Option<String>,
    /// Its client secret, as a secret reference; the device flow needs none
    pub client_secret: Option<SecretRef>,
    /// Scopes to ask for at login; a GitHub App has permissions instead
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Another host than github.com: an Enterprise Server, or SUBDOMAIN.ghe.com
    pub host: Option<String>,
    /// Base URL of the web pages, which have /login/... below
    pub web_url: Option<String>,
    /// Base URL of the API, which has /user below
    pub api_url: Option<String>,
    /// Base URL behind the route; the API unless set
    pub upstream: Option<String>,
    /// How the token is sent: bearer for the API, basic for git over HTTPS
    #[serde(default)]
    pub inject: Inject,
    /// Endpoints written by hand
    #[serde(flatten)]
    pub endpoints: EndpointSettings,
}

/// How a token is put on a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Inject {
    /// `Authorization: Bearer TOKEN`
    #[default]
    Bearer,
    /// `Authorization: Basic`, with the user `x-access-token`
    Basic,
}

impl Inject {
    /// As routes write it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Bearer => "bearer",
            Self::Basic => "basic",
        }
    }
}

/// `GET /user`.
#[derive(Deserialize)]
pub(crate) struct User {
    pub(crate) login: String,
    /// Null unless the person publishes one.
    #[serde(default)]
    pub(crate) email: Option<String>,
}

/// An entry of `GET /user/emails`.
#[derive(Deserialize)]
pub(crate) struct Email {
    pub(crate) email: String,
    #[serde(default)]
    pub(crate) primary: bool,
    #[serde(default)]
    pub(crate) verified: bool,
}

/// The body of an API error.
#[derive(Deserialize)]
pub(crate) struct ApiProblem {
    pub(crate) message: String,
}
