//! The ordinary grants: authorization code, refresh token, client credentials; revocation and
//! introspection beside them.

use std::borrow::Cow;
use std::time::Duration;

use ccproxy_plugin_sdk::{Connection, Error, ErrorCode, Purpose, Secret, UnixMillis};
use oauth2::basic::{
    BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse, BasicTokenType,
};
use oauth2::{
    AuthType, AuthorizationCode, ClientId, ClientSecret, EndpointNotSet, EndpointSet, ExtraTokenFields,
    PkceCodeVerifier, RedirectUrl, RefreshToken, RequestTokenError, Scope, StandardRevocableToken,
    StandardTokenResponse, TokenResponse as _, TokenUrl,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::answer::{self, Answer};
use crate::client::{OAuthClient, Proof};
use crate::exchange::{Adapter, Place};

/// What a grant yields.
#[derive(Clone)]
pub struct TokenSet {
    /// The access token; always a Bearer token, and fit for a header field.
    pub access_token: Secret,
    /// When it dies; `None` if the server does not say.
    pub expires_at: Option<UnixMillis>,
    /// The refresh token, if a new one came.
    pub refresh_token: Option<Secret>,
    /// When that dies, where the server says so (GitHub Apps).
    pub refresh_expires_at: Option<UnixMillis>,
    /// Scopes granted; `None` if the server does not say, which means those asked for.
    pub scopes: Option<Vec<String>>,
    /// The ID token, not yet validated.
    pub id_token: Option<Secret>,
}

/// What to ask for, besides the grant itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenRequest {
    /// Scopes; empty sends none.
    pub scopes: Vec<String>,
    /// Further parameters, such as `audience` and `resource`.
    pub parameters: Vec<(String, String)>,
}

impl TokenRequest {
    /// A request for these scopes.
    pub fn scopes(scopes: &[String]) -> Self {
        Self { scopes: scopes.to_vec(), parameters: Vec::new() }
    }

    /// The same with a parameter, unless its value is empty.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        if !value.is_empty() {
            self.parameters.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// This request with `defaults` where it says nothing itself.
    #[must_use]
    pub fn over(mut self, defaults: Self) -> Self {
        if self.scopes.is_empty() {
            self.scopes = defaults.scopes;
        }
        for (name, value) in defaults.parameters {
            if !self.parameters.iter().any(|(known, _)| *known == name) {
                self.parameters.push((name, value));
            }
        }
        self
    }

    pub(crate) fn oauth2_scopes(&self) -> impl Iterator<Item = Scope> + '_ {
        self.scopes.iter().cloned().map(Scope::new)
    }
}

/// An authorization code with what it is bound to.
pub(crate) struct BoundCode<'a> {
    pub code: Secret,
    pub verifier: Option<&'a Secret>,
    pub redirect_uri: &'a str,
}

impl OAuthClient {
    /// Spends an authorization code (RFC 6749 section 4.1.3).
    pub(crate) async fn spend_code<S: Send + Sync>(
        &self,
        connection: &Connection<S>,
        bound: BoundCode<'_>,
        parameters: &[(String, String)],
    ) -> Result<TokenSet, Error> {
        let (adapter, now) = self.token_adapter(connection, Purpose::Token)?;
        let client = self.for_oauth2(adapter.place);
        let redirect_uri = RedirectUrl::new(bound.redirect_uri.to_owned()).map_err(|_| {
            Error::invalid_config(format!("redirect URI `{}` is not a URL", bound.redirect_uri))
        })?;
        let mut request = client
            .exchange_code(AuthorizationCode::new(bound.code.expose().to_owned()))
            .set_redirect_uri(Cow::Owned(redirect_uri));
        if let Some(verifier) = bound.verifier {
            request = request.set_pkce_verifier(PkceCodeVerifier::new(verifier.expose().to_owned()));
        }
        for (name, value) in parameters {
            request = request.add_extra_param(name.as_str(), value.as_str());
        }
        request.request_async(&adapter).await.map_err(unexpected).map(|tokens| token_set(&tokens, now))
    }

    /// Spends a refresh token (RFC 6749 section 6). If the answer has no new one, the old one stays.
    pub async fn refresh<S: Send + Sync>(
        &self,
        connection: &Connection<S>,
        refresh_token: &Secret,
        ask: &TokenRequest,
    ) -> Result<TokenSet, Error> {
        let (adapter, now) = self.token_adapter(connection, Purpose::Refresh)?;
        let client = self.for_oauth2(adapter.place);
        let refresh_token = RefreshToken::new(refresh_token.expose().to_owned());
        let mut request = client.exchange_refresh_token(&refresh_token).add_scopes(ask.oauth2_scopes());
        for (name, value) in &ask.parameters {
            request = request.add_extra_param(name.as_str(), value.as_str());
        }
        request.request_async(&adapter).await.map_err(unexpected).map(|tokens| token_set(&tokens, now))
    }

    /// Asks for a token in the client's own name (RFC 6749 section 4.4).
    pub async fn client_credentials<S: Send + Sync>(
        &self,
        connection: &Connection<S>,
        ask: &TokenRequest,
    ) -> Result<TokenSet, Error> {
        if !self.is_confidential() {
            return Err(Error::invalid_config("client credentials need a `client_secret`")
                .with_hint("set `client_secret = { env = \"NAME\" }`"));
        }
        let (adapter, now) = self.token_adapter(connection, Purpose::Token)?;
        let client = self.for_oauth2(adapter.place);
        let mut request = client.exchange_client_credentials().add_scopes(ask.oauth2_scopes());
        for (name, value) in &ask.parameters {
            request = request.add_extra_param(name.as_str(), value.as_str());
        }
        request.request_async(&adapter).await.map_err(unexpected).map(|tokens| token_set(&tokens, now))
    }

    /// Revokes a token (RFC 7009); `hint` is `refresh_token` or `access_token`.
    ///
    /// Not through the oauth2 crate: it refuses loopback servers without TLS, and reads only the
    /// status. A token that is gone already counts as revoked (Google says `invalid_token` then).
    pub async fn revoke<S: Send + Sync>(
        &self,
        connection: &Connection<S>,
        token: &Secret,
        hint: &str,
    ) -> Result<(), Error> {
        let endpoint = self.server.revocation_endpoint.as_ref();
        let endpoint = endpoint.ok_or_else(|| Error::unsupported("there is no revocation endpoint"))?;
        let place = Place { status_only: true, ..Place::new("revocation endpoint", endpoint) };
        let parameters = [("token", token.expose()), ("token_type_hint", hint)];
        let answer = self.post(connection, place, Purpose::General, &parameters).await;
        match answer {
            Ok(Answer::Granted(_)) => Ok(()),
            Ok(Answer::Refused(refusal)) if refusal.error == "invalid_token" => Ok(()),
            Ok(Answer::Refused(refusal)) => Err(self.refused(&refusal)),
            Err(error) => Err(error),
        }
    }

    /// Looks a token up (RFC 7662).
    ///
    /// # Errors
    /// `reauth_required` for a token that is not active.
    pub async fn introspect<S: Send + Sync>(
        &self,
        connection: &Connection<S>,
        token: &Secret,
    ) -> Result<Map<String, Value>, Error> {
        let endpoint = self.server.introspection_endpoint.as_ref();
        let endpoint = endpoint.ok_or_else(|| Error::unsupported("there is no introspection endpoint"))?;
        let place = Place::new("introspection endpoint", endpoint);
        let parameters = [("token", token.expose()), ("token_type_hint", "access_token")];
        match self.post(connection, place, Purpose::General, &parameters).await? {
            Answer::Granted(members) => match members.get("active") {
                Some(Value::Bool(true)) => Ok(members),
                Some(Value::Bool(false)) => Err(Error::new(
                    ErrorCode::ReauthRequired,
                    "the authorization server says the token is not active",
                )),
                _ => Err(Error::invalid_response("the introspection answer has no `active`")),
            },
            Answer::Refused(refusal) => Err(self.refused(&refusal)),
        }
    }

    fn token_adapter<'a, S>(
        &'a self,
        connection: &'a Connection<S>,
        purpose: Purpose,
    ) -> Result<(Adapter<'a, S>, UnixMillis), Error> {
        let place = Place::token(self.server.token_endpoint()?);
        // The clock is read before the request: a lifetime counted from the answer would be too long.
        let now = connection.host.now();
        Ok((Adapter { client: self, connection, place, purpose, canonical: answer::token }, now))
    }

    /// The client as the oauth2 crate knows it.
    fn for_oauth2(&self, place: Place<'_>) -> Oauth2Client {
        let (auth_type, secret) = self.oauth2_proof();
        let client = oauth2::Client::new(ClientId::new(self.client_id.clone()))
            .set_token_uri(TokenUrl::from_url(place.endpoint.url().clone()))
            .set_auth_type(auth_type);
        match secret {
            Some(secret) => client.set_client_secret(secret),
            None => client,
        }
    }

    /// With Basic the crate only keeps id and secret out of the body: the adapter writes the field.
    pub(crate) fn oauth2_proof(&self) -> (AuthType, Option<ClientSecret>) {
        let secret = |secret: &Secret| Some(ClientSecret::new(secret.expose().to_owned()));
        match self.proof() {
            Proof::Public => (AuthType::RequestBody, None),
            Proof::Post(post) => (AuthType::RequestBody, secret(post)),
            Proof::Basic(basic) | Proof::BasicRaw(basic) => (AuthType::BasicAuth, secret(basic)),
        }
    }
}

type Oauth2Client = oauth2::Client<
    BasicErrorResponse,
    Tokens,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

pub(crate) type Tokens = StandardTokenResponse<Extra, BasicTokenType>;

/// Members of a token answer that the oauth2 crate does not know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Extra {
    id_token: Option<String>,
    refresh_token_expires_in: Option<u64>,
}

impl ExtraTokenFields for Extra {}

/// Tokens from members of an answer, for grants that the oauth2 crate does not make.
pub(crate) fn tokens_from(members: &Map<String, Value>, now: UnixMillis) -> Result<TokenSet, Error> {
    let canonical = Value::Object(answer::token(members)?);
    let tokens: Tokens = serde_json::from_value(canonical)
        .map_err(|_| Error::invalid_response("the token answer cannot be read"))?;
    Ok(token_set(&tokens, now))
}

fn token_set(tokens: &Tokens, now: UnixMillis) -> TokenSet {
    let extra = tokens.extra_fields();
    let scopes = tokens.scopes().map(|scopes| {
        scopes.iter().map(|scope| scope.to_string()).filter(|scope| !scope.is_empty()).collect()
    });
    TokenSet {
        access_token: Secret::new(tokens.access_token().secret().as_str()),
        expires_at: tokens.expires_in().map(|lifetime| now.plus(lifetime)),
        refresh_token: tokens.refresh_token().map(|token| Secret::new(token.secret().as_str())),
        refresh_expires_at: extra.refresh_token_expires_in.map(|life| now.plus(Duration::from_secs(life))),
        scopes,
        id_token: extra.id_token.as_deref().map(Secret::new),
    }
}

/// What the oauth2 crate makes of a failure. Its texts may quote the answer, so they stay here.
pub(crate) fn unexpected(error: RequestTokenError<Error, BasicErrorResponse>) -> Error {
    match error {
        RequestTokenError::Request(error) => error,
        RequestTokenError::Parse(error, _) => {
            Error::invalid_response(format!("the answer's `{}` cannot be read", error.path()))
        }
        RequestTokenError::ServerResponse(_) | RequestTokenError::Other(_) => {
            Error::invalid_response("the answer cannot be read")
        }
    }
}
