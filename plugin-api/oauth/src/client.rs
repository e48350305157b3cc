//! The OAuth client: who we are to an authorization server, and how we prove it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ccproxy_plugin_sdk::{Error, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::form_urlencoded::byte_serialize;

use crate::refusal::{Refusal, RefusalMapper};
use crate::server::AuthorizationServer;

/// How the client secret is sent: the setting `client_auth`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClientAuth {
    /// `basic` where there is a secret, unless discovery says that only `post` is understood.
    #[default]
    Auto,
    /// HTTP Basic with id and secret form-urlencoded (RFC 6749 section 2.3.1).
    Basic,
    /// HTTP Basic with id and secret as they are, for servers that do not decode them.
    BasicRaw,
    /// In the body.
    Post,
    /// Not at all: a public client.
    None,
}

/// A registered client of one authorization server.
#[derive(Clone)]
pub struct OAuthClient {
    /// The client identifier.
    pub client_id: String,
    /// Where it is registered.
    pub server: AuthorizationServer,
    proof: Proof,
    refusals: Arc<RefusalMapper>,
}

/// What is sent to prove who we are.
#[derive(Clone)]
pub(crate) enum Proof {
    Public,
    Basic(Secret),
    BasicRaw(Secret),
    Post(Secret),
}

impl OAuthClient {
    /// A client of `server`, with its secret if it has one.
    ///
    /// # Errors
    /// `invalid_config` if `auth` wants a secret and there is none.
    pub fn new(
        client_id: impl Into<String>,
        client_secret: Option<Secret>,
        auth: ClientAuth,
        server: AuthorizationServer,
    ) -> Result<Self, Error> {
        let proof = proof(client_secret, auth, &server)?;
        Ok(Self { client_id: client_id.into(), server, proof, refusals: Arc::new(|_| None) })
    }

    /// The same with a provider's own reading of refusals, asked before ours.
    #[must_use]
    pub fn with_refusals(self, refusals: impl Fn(&Refusal) -> Option<Error> + Send + Sync + 'static) -> Self {
        Self { refusals: Arc::new(refusals), ..self }
    }

    /// Whether it can prove who it is, as client credentials need.
    pub fn is_confidential(&self) -> bool {
        !matches!(self.proof, Proof::Public)
    }

    /// A refusal as the provider reads it, or else as we do.
    pub fn refused(&self, refusal: &Refusal) -> Error {
        (self.refusals)(refusal).unwrap_or_else(|| refusal.to_error())
    }

    pub(crate) fn proof(&self) -> &Proof {
        &self.proof
    }

    /// The `Authorization` field, where the proof goes there.
    pub(crate) fn authorization(&self) -> Option<String> {
        let basic = |id: &str, secret: &str| format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
        let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        match &self.proof {
            Proof::Basic(secret) => Some(basic(&encoded(&self.client_id), &encoded(secret.expose()))),
            Proof::BasicRaw(secret) => Some(basic(&self.client_id, secret.expose())),
            Proof::Post(_) | Proof::Public => None,
        }
    }

    /// The body parameters that say who we are. Beside HTTP Basic there are none: some servers take
    /// a second mention for a second method.
    pub(crate) fn identification(&self) -> Vec<(&'static str, &str)> {
        match &self.proof {
            Proof::Basic(_) | Proof::BasicRaw(_) => Vec::new(),
            Proof::Public => vec![("client_id", &self.client_id)],
            Proof::Post(secret) => vec![("client_id", &self.client_id), ("client_secret", secret.expose())],
        }
    }
}

fn proof(secret: Option<Secret>, auth: ClientAuth, server: &AuthorizationServer) -> Result<Proof, Error> {
    let secret = secret.filter(|secret| !secret.expose().is_empty());
    match (auth, secret) {
        (ClientAuth::None, _) | (ClientAuth::Auto, None) => Ok(Proof::Public),
        (ClientAuth::Auto, Some(secret)) if only_post(server) => Ok(Proof::Post(secret)),
        (ClientAuth::Auto | ClientAuth::Basic, Some(secret)) => Ok(Proof::Basic(secret)),
        (ClientAuth::BasicRaw, Some(secret)) => Ok(Proof::BasicRaw(secret)),
        (ClientAuth::Post, Some(secret)) => Ok(Proof::Post(secret)),
        (ClientAuth::Basic | ClientAuth::BasicRaw | ClientAuth::Post, None) => {
            Err(Error::invalid_config("`client_auth` wants a `client_secret`, and there is none")
                .with_hint("set `client_secret`, or `client_auth = \"none\"` for a public client"))
        }
    }
}

fn only_post(server: &AuthorizationServer) -> bool {
    server.token_endpoint_auth_methods_supported.as_ref().is_some_and(|methods| {
        let offers = |method: &str| methods.iter().any(|offered| offered == method);
        offers("client_secret_post") && !offers("client_secret_basic")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    const SECRET: &str = "svc:se+cr/et %";

    fn client(auth: ClientAuth, secret: Option<&str>) -> OAuthClient {
        OAuthClient::new("my id", secret.map(Secret::new), auth, AuthorizationServer::default()).unwrap()
    }

    fn decoded(client: &OAuthClient) -> String {
        let field = client.authorization().unwrap();
        String::from_utf8(STANDARD.decode(field.strip_prefix("Basic ").unwrap()).unwrap()).unwrap()
    }

    #[test]
    fn basic_form_urlencodes_id_and_secret() {
        assert_eq!(decoded(&client(ClientAuth::Basic, Some(SECRET))), "my+id:svc%3Ase%2Bcr%2Fet+%25");
        assert!(client(ClientAuth::Basic, Some(SECRET)).identification().is_empty());
    }

    #[test]
    fn basic_raw_does_not() {
        assert_eq!(decoded(&client(ClientAuth::BasicRaw, Some(SECRET))), "my id:svc:se+cr/et %");
    }

    #[test]
    fn post_puts_both_into_the_body_and_a_public_client_only_its_id() {
        let post = client(ClientAuth::Post, Some(SECRET));
        assert_eq!(post.authorization(), None);
        assert_eq!(post.identification(), [("client_id", "my id"), ("client_secret", SECRET)]);
        for public in [client(ClientAuth::None, Some(SECRET)), client(ClientAuth::Auto, None)] {
            assert_eq!(public.authorization(), None);
            assert_eq!(public.identification(), [("client_id", "my id")]);
            assert!(!public.is_confidential());
        }
    }

    #[test]
    fn auto_is_basic_unless_discovery_knows_only_post() {
        let auto = |methods: Option<&[&str]>| {
            let methods = methods.map(|methods| methods.iter().map(|m| (*m).to_owned()).collect());
            let server = AuthorizationServer {
                token_endpoint_auth_methods_supported: methods,
                ..AuthorizationServer::default()
            };
            OAuthClient::new("id", Some(Secret::new(SECRET)), ClientAuth::Auto, server).unwrap()
        };
        assert!(matches!(auto(None).proof(), Proof::Basic(_)));
        assert!(matches!(
            auto(Some(&["client_secret_post", "client_secret_basic"])).proof(),
            Proof::Basic(_)
        ));
        assert!(matches!(auto(Some(&["client_secret_post", "private_key_jwt"])).proof(), Proof::Post(_)));
        assert!(matches!(auto(Some(&["private_key_jwt"])).proof(), Proof::Basic(_)));
    }

    #[test]
    fn a_method_without_a_secret_is_a_configuration_error() {
        for auth in [ClientAuth::Basic, ClientAuth::BasicRaw, ClientAuth::Post] {
            for secret in [None, Some(Secret::new(""))] {
                let error =
                    OAuthClient::new("id", secret, auth, AuthorizationServer::default()).err().unwrap();
                assert_eq!(error.code, ccproxy_plugin_sdk::ErrorCode::InvalidConfig);
            }
        }
    }
}
