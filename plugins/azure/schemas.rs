//! What people write in settings, parsed once.

use ccproxy_plugin_oauth::{ClientAuth, EndpointSettings};
use ccproxy_plugin_sdk::{Connection, Flow, SecretRef};
use schemars::JsonSchema;
use serde::Deserialize;

/// A connection of this provider.
pub(crate) type Conn = Connection<Settings>;

/// Settings of a connection. The doc comments are the help texts of their flags.
#[derive(Deserialize, JsonSchema)]
pub struct Settings {
    /// Application (client) id of your app registration
    pub client_id: Option<String>,
    /// Its client secret, as a secret reference; a public client has none
    pub client_secret: Option<SecretRef>,
    /// Scopes of the connection's own tokens, all of one resource (default: what the upstream is registered with)
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Tenant: organizations (the default), common, consumers, a tenant id, or a domain
    pub tenant: Option<String>,
    /// Login host of another cloud, such as `https://login.microsoftonline.us`
    pub authority: Option<String>,
    /// Base URL behind the route; Microsoft Graph unless set
    pub upstream: Option<String>,
    /// How to log in
    pub flow: Option<Flow>,
    /// How the client secret is sent
    #[serde(default)]
    pub client_auth: ClientAuth,
    /// What the login page must ask for, whoever is signed in there
    pub prompt: Option<Prompt>,
    /// Let an administrator consent for the whole tenant first, in a browser or paste login
    #[serde(default)]
    pub admin_consent: bool,
    /// Endpoints written by hand
    #[serde(flatten)]
    pub endpoints: EndpointSettings,
}

/// What the login page must ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Prompt {
    /// Credentials, though somebody is signed in.
    Login,
    /// Which account.
    SelectAccount,
    /// Consent, though it was given.
    Consent,
    /// Nothing: a login that needs a person fails.
    None,
}

impl Prompt {
    /// As the authorization request writes it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::SelectAccount => "select_account",
            Self::Consent => "consent",
            Self::None => "none",
        }
    }
}

impl Settings {
    /// Whether the settings say in so many words that no person is needed.
    pub(crate) fn says_client_credentials(&self) -> bool {
        self.flow == Some(Flow::ClientCredentials)
    }

    /// Whether no person is needed: said so, or a client secret says it.
    pub(crate) fn is_client_credentials(&self) -> bool {
        self.says_client_credentials() || (self.flow.is_none() && self.client_secret.is_some())
    }
}
