//! What a person writes: the settings of an `oidc` connection.

use std::collections::BTreeMap;

use ccproxy_plugin_oauth::{ClientAuth, EndpointSettings, Pkce, check_extra_parameters};
use ccproxy_plugin_sdk::{Connection, Error, Flow, SecretRef};
use schemars::JsonSchema;
use serde::Deserialize;

/// A connection of this provider.
pub type Conn = Connection<Settings>;

/// Settings of an `oidc` connection. The host adds those that it owns itself.
#[derive(Deserialize, JsonSchema)]
pub struct Settings {
    /// Issuer identifier, byte for byte as its discovery document writes it
    pub issuer: Option<String>,
    /// Client identifier
    pub client_id: Option<String>,
    /// Client secret, by reference
    pub client_secret: Option<SecretRef>,
    /// Scopes asked for at login (default: openid, and `offline_access` where the server offers it)
    pub scopes: Option<Vec<String>>,
    /// Base URL behind the connection's own route
    pub upstream: Option<String>,
    /// Redirect URI, where the default `http://127.0.0.1:<free port>/callback` will not do
    pub redirect_uri: Option<String>,
    /// How to log in
    pub flow: Option<Flow>,
    /// Whether codes are bound to the login
    #[serde(default)]
    pub pkce: Pkce,
    /// How the client secret is sent
    #[serde(default)]
    pub client_auth: ClientAuth,
    /// The `audience` parameter, of servers that know one
    #[serde(default)]
    pub audience: String,
    /// The resource indicator (RFC 8707)
    #[serde(default)]
    pub resource: String,
    /// Further parameters of the authorization, device authorization and client credentials requests
    #[serde(default)]
    pub extra_params: BTreeMap<String, String>,
    /// The claim that names the account
    #[serde(default = "email")]
    pub account_claim: String,
    /// Scopes without which a login is refused
    #[serde(default)]
    pub required_scopes: Vec<String>,
    /// Endpoints by hand
    #[serde(flatten)]
    pub endpoints: EndpointSettings,
}

fn email() -> String {
    "email".into()
}

impl Settings {
    /// Whether no person is needed: said so, or nothing else can work.
    pub fn is_client_credentials(&self) -> bool {
        match self.flow {
            Some(flow) => flow == Flow::ClientCredentials,
            None => {
                let endpoints = &self.endpoints;
                self.client_secret.is_some()
                    && self.issuer.is_none()
                    && endpoints.token_endpoint.is_some()
                    && endpoints.authorization_endpoint.is_none()
                    && endpoints.device_authorization_endpoint.is_none()
            }
        }
    }

    /// Whether there is an authorization server to talk to at all.
    pub fn names_a_server(&self) -> bool {
        self.issuer.is_some() || self.endpoints != EndpointSettings::default()
    }

    /// Whether discovery would add nothing that a login needs.
    pub fn is_written_by_hand(&self) -> bool {
        let endpoints = &self.endpoints;
        endpoints.token_endpoint.is_some()
            && endpoints.jwks_uri.is_some()
            && (endpoints.authorization_endpoint.is_some()
                || endpoints.device_authorization_endpoint.is_some())
    }
}

/// Checks what a login and a refresh need.
///
/// # Errors
/// `invalid_config` naming the key, with what to register and what to type.
pub fn check(connection: &Conn) -> Result<(), Error> {
    let settings = &connection.settings;
    check_extra_parameters("extra_params", settings.extra_params.keys())?;
    if settings.flow == Some(Flow::Token) {
        return Ok(());
    }
    if settings.issuer.is_none() && settings.endpoints.token_endpoint.is_none() {
        return Err(missing(connection, "issuer"));
    }
    client_id(connection)?;
    if settings.is_client_credentials() && settings.client_secret.is_none() {
        return Err(missing(connection, "client_secret"));
    }
    Ok(())
}

/// The client identifier.
///
/// # Errors
/// As [`check`].
pub fn client_id(connection: &Conn) -> Result<&str, Error> {
    match connection.settings.client_id.as_deref() {
        Some(id) if !id.is_empty() => Ok(id),
        _ => Err(missing(connection, "client_id")),
    }
}

fn missing(connection: &Conn, key: &str) -> Error {
    let settings = &connection.settings;
    let name = match connection.label().as_str() {
        "oidc" => String::new(),
        label => format!(" --connection {label}"),
    };
    let issuer = settings.issuer.as_deref().unwrap_or("URL");
    let id = settings.client_id.as_deref().unwrap_or("ID");
    let register = if settings.is_client_credentials() {
        "register a confidential client for client credentials at the issuer"
    } else {
        "register a client at the issuer with the redirect URI http://127.0.0.1/callback"
    };
    let secret = if key == "client_secret" { " --client-secret-env VAR" } else { "" };
    Error::invalid_config(format!("`{key}` of `{}` is missing", connection.label())).with_hint(format!(
        "{register}, then: ccproxy auth login oidc{name} --issuer {issuer} --client-id {id}{secret}"
    ))
}
