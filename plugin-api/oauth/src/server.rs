//! An authorization server: its issuer, its endpoints, what it says it can do (RFC 8414).

use ccproxy_plugin_sdk::Error;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::endpoint::Endpoint;

/// An authorization server as far as we know it: from discovery, from settings, or built in.
/// Fields are named as RFC 8414 names them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthorizationServer {
    /// Issuer identifier, byte for byte.
    pub issuer: Option<String>,
    /// Where a browser is sent.
    pub authorization_endpoint: Option<Endpoint>,
    /// Where codes, device codes and refresh tokens are spent.
    pub token_endpoint: Option<Endpoint>,
    /// RFC 8628.
    pub device_authorization_endpoint: Option<Endpoint>,
    /// RFC 7009.
    pub revocation_endpoint: Option<Endpoint>,
    /// RFC 7662.
    pub introspection_endpoint: Option<Endpoint>,
    /// OpenID Connect Core section 5.3.
    pub userinfo_endpoint: Option<Endpoint>,
    /// Keys of ID tokens.
    pub jwks_uri: Option<Endpoint>,
    /// Client authentication methods of the token endpoint; `None` if it does not say.
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// Scopes; `None` if it does not say.
    pub scopes_supported: Option<Vec<String>>,
    /// PKCE methods; `None` if it does not say.
    pub code_challenge_methods_supported: Option<Vec<String>>,
    /// RFC 9207: every redirect carries `iss`.
    pub authorization_response_iss_parameter_supported: bool,
}

impl AuthorizationServer {
    /// The token endpoint.
    ///
    /// # Errors
    /// `invalid_config` naming the key if nobody told us.
    pub fn token_endpoint(&self) -> Result<&Endpoint, Error> {
        known(self.token_endpoint.as_ref(), "token_endpoint")
    }

    /// The authorization endpoint.
    ///
    /// # Errors
    /// As above.
    pub fn authorization_endpoint(&self) -> Result<&Endpoint, Error> {
        known(self.authorization_endpoint.as_ref(), "authorization_endpoint")
    }

    /// The device authorization endpoint.
    ///
    /// # Errors
    /// `unsupported`: a server without one has no device login.
    pub fn device_authorization_endpoint(&self) -> Result<&Endpoint, Error> {
        self.device_authorization_endpoint.as_ref().ok_or_else(|| {
            Error::unsupported("the authorization server has no device_authorization_endpoint")
                .with_hint("log in with `--flow browser`, or set `device_authorization_endpoint`")
        })
    }
}

fn known<'a>(endpoint: Option<&'a Endpoint>, key: &str) -> Result<&'a Endpoint, Error> {
    endpoint.ok_or_else(|| {
        Error::invalid_config(format!("the authorization server has no {key}"))
            .with_hint(format!("set `issuer`, or `{key}` by hand"))
    })
}

/// Endpoints written by hand: each wins over discovery and over what is built in. Part of every
/// OAuth provider's settings (`#[serde(flatten)]`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EndpointSettings {
    /// Where a browser is sent
    pub authorization_endpoint: Option<String>,
    /// Where tokens are asked for
    pub token_endpoint: Option<String>,
    /// Where a device login starts (RFC 8628)
    pub device_authorization_endpoint: Option<String>,
    /// Where tokens are revoked at logout (RFC 7009)
    pub revocation_endpoint: Option<String>,
    /// Where tokens are looked up (RFC 7662)
    pub introspection_endpoint: Option<String>,
    /// Where the account is looked up (OpenID Connect)
    pub userinfo_endpoint: Option<String>,
    /// Where the keys of ID tokens are
    pub jwks_uri: Option<String>,
}

impl EndpointSettings {
    /// Puts what is written by hand over `server`, one by one.
    ///
    /// # Errors
    /// `invalid_config` naming the key of a URL that breaks the rules.
    pub fn apply(&self, server: &mut AuthorizationServer) -> Result<(), Error> {
        for (name, written, endpoint) in [
            ("authorization_endpoint", &self.authorization_endpoint, &mut server.authorization_endpoint),
            ("token_endpoint", &self.token_endpoint, &mut server.token_endpoint),
            (
                "device_authorization_endpoint",
                &self.device_authorization_endpoint,
                &mut server.device_authorization_endpoint,
            ),
            ("revocation_endpoint", &self.revocation_endpoint, &mut server.revocation_endpoint),
            ("introspection_endpoint", &self.introspection_endpoint, &mut server.introspection_endpoint),
            ("userinfo_endpoint", &self.userinfo_endpoint, &mut server.userinfo_endpoint),
            ("jwks_uri", &self.jwks_uri, &mut server.jwks_uri),
        ] {
            if let Some(url) = written {
                *endpoint = Some(Endpoint::setting(name, url)?);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn what_is_written_by_hand_wins_one_by_one() {
        let discovered = |path| Some(Endpoint::parse(&format!("https://id.example.com/{path}")).unwrap());
        let mut server = AuthorizationServer {
            token_endpoint: discovered("token"),
            jwks_uri: discovered("keys"),
            ..AuthorizationServer::default()
        };
        let by_hand = EndpointSettings {
            token_endpoint: Some("https://tokens.example.com/".into()),
            ..EndpointSettings::default()
        };
        by_hand.apply(&mut server).unwrap();
        assert_eq!(server.token_endpoint().unwrap().as_str(), "https://tokens.example.com/");
        assert_eq!(server.jwks_uri, discovered("keys"));

        let bad = EndpointSettings { jwks_uri: Some("http://id.example.com/".into()), ..by_hand };
        let error = bad.apply(&mut server).unwrap_err();
        assert_eq!(
            error.message,
            "`jwks_uri` must be https (http only for loopback): http://id.example.com/"
        );
    }
}
