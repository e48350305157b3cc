//! Logins as steps: what begins one, and what a redirect or a poll makes of it.

use ccproxy_plugin_sdk::{Connection, Error, ErrorCode, LoginInput, LoginRequest, Secret, Step};
use serde::{Deserialize, Serialize};

use crate::client::OAuthClient;
use crate::device::{Poll, Polling};
use crate::grants::{BoundCode, TokenRequest, TokenSet};
use crate::pkce::{self, Pkce};
use crate::record::GrantType;
use crate::redirect::{Expected, Redirect};

/// What a login asks for.
#[derive(Clone, Debug, Default)]
pub struct AuthorizationRequest {
    /// Scopes.
    pub scopes: Vec<String>,
    /// Whether the code is bound by PKCE.
    pub pkce: Pkce,
    /// Whether an ID token is expected, which is then bound by a nonce.
    pub nonce: bool,
    /// Further parameters of the authorization request, such as `prompt` and `audience`.
    pub parameters: Vec<(String, String)>,
    /// Further parameters of the token request, such as `resource`.
    pub token_parameters: Vec<(String, String)>,
}

/// Where a login stands after an input.
pub enum Progress<R> {
    /// Not done: the host goes on with this.
    Step(Step<R>),
    /// Done, but for the provider's own checks.
    Tokens(Box<LoginTokens>),
}

/// What a login yielded.
pub struct LoginTokens {
    /// The tokens.
    pub tokens: TokenSet,
    /// By which grant.
    pub grant_type: GrantType,
    /// Scopes asked for.
    pub scopes_requested: Vec<String>,
    /// The nonce that the ID token must carry.
    pub nonce: Option<String>,
}

/// What a login wants back with the next input. Holds secrets; the host keeps it in memory only.
#[derive(Serialize, Deserialize)]
struct Pending {
    scopes: Vec<String>,
    token_parameters: Vec<(String, String)>,
    wait: Wait,
}

#[derive(Serialize, Deserialize)]
enum Wait {
    Redirect(WaitForRedirect),
    Device(Polling),
}

#[derive(Serialize, Deserialize)]
struct WaitForRedirect {
    expected: Expected,
    redirect_uri: String,
    #[serde(with = "ccproxy_plugin_sdk::stored_option")]
    verifier: Option<Secret>,
    nonce: Option<String>,
}

impl OAuthClient {
    /// Begins an authorization code login (RFC 6749 section 4.1).
    ///
    /// # Errors
    /// Endpoints that are not known; a server that announces PKCE methods without `S256`.
    pub fn begin_code<R>(&self, login: &LoginRequest, ask: &AuthorizationRequest) -> Result<Step<R>, Error> {
        self.server.token_endpoint()?;
        self.check_pkce(ask.pkce)?;
        let verifier = (ask.pkce == Pkce::S256).then(pkce::verifier).transpose()?;
        let nonce = ask.nonce.then(pkce::random).transpose()?;
        let url = self.authorization_url(login, ask, verifier.as_ref(), nonce.as_deref())?;
        let expected = Expected {
            state: login.state.clone(),
            issuer: self.server.issuer.clone(),
            issuer_required: self.server.authorization_response_iss_parameter_supported,
        };
        let redirect_uri = login.redirect_uri.clone();
        let wait = Wait::Redirect(WaitForRedirect { expected, redirect_uri, verifier, nonce });
        Ok(Step::OpenUrl { url, state: Pending::new(ask, wait).store()? })
    }

    /// Begins a device login (RFC 8628).
    pub async fn begin_device<R, S: Send + Sync>(
        &self,
        connection: &Connection<S>,
        ask: &AuthorizationRequest,
    ) -> Result<Step<R>, Error> {
        let request = TokenRequest { scopes: ask.scopes.clone(), parameters: ask.parameters.clone() };
        let device = self.authorize_device(connection, &request).await?;
        Ok(Step::UserCode {
            verification_uri: device.verification_uri,
            verification_uri_complete: device.verification_uri_complete,
            user_code: device.user_code,
            poll_after: device.polling.interval(),
            expires_at: device.polling.expires_at,
            state: Pending::new(ask, Wait::Device(device.polling)).store()?,
        })
    }

    /// Asks for a first token in the client's own name.
    pub async fn login_with_client_credentials<S: Send + Sync>(
        &self,
        connection: &Connection<S>,
        ask: &TokenRequest,
    ) -> Result<LoginTokens, Error> {
        Ok(LoginTokens {
            tokens: self.client_credentials(connection, ask).await?,
            grant_type: GrantType::ClientCredentials,
            scopes_requested: ask.scopes.clone(),
            nonce: None,
        })
    }

    /// Goes on with a login of [`begin_code`](Self::begin_code) or [`begin_device`](Self::begin_device).
    pub async fn resume_login<R, S: Send + Sync>(
        &self,
        connection: &Connection<S>,
        state: &Secret,
        input: LoginInput,
    ) -> Result<Progress<R>, Error> {
        let Pending { scopes, token_parameters, wait } = Pending::load(state)?;
        let done = |tokens, grant_type, nonce| {
            let scopes_requested = scopes.clone();
            Progress::Tokens(Box::new(LoginTokens { tokens, grant_type, scopes_requested, nonce }))
        };
        match wait {
            Wait::Redirect(wait) => {
                let tokens =
                    self.spend_redirect(connection, &wait, input.into_redirect()?, &token_parameters).await?;
                Ok(done(tokens, GrantType::AuthorizationCode, wait.nonce))
            }
            Wait::Device(polling) => match self.poll_device(connection, polling, &token_parameters).await? {
                Poll::Granted(tokens) => Ok(done(tokens, GrantType::DeviceCode, None)),
                Poll::Pending(polling) => {
                    let poll_after = polling.interval();
                    let state = Pending { scopes, token_parameters, wait: Wait::Device(polling) }.store()?;
                    Ok(Progress::Step(Step::Wait { poll_after, state }))
                }
            },
        }
    }

    async fn spend_redirect<S: Send + Sync>(
        &self,
        connection: &Connection<S>,
        wait: &WaitForRedirect,
        query: Secret,
        parameters: &[(String, String)],
    ) -> Result<TokenSet, Error> {
        match wait.expected.read(&query)? {
            Redirect::Refused(refusal) => Err(self.refused(&refusal)),
            Redirect::Code(code) => {
                let redirect_uri = &wait.redirect_uri;
                let bound = BoundCode { code, verifier: wait.verifier.as_ref(), redirect_uri };
                self.spend_code(connection, bound, parameters).await
            }
        }
    }

    /// RFC 9700 section 2.1.1: never without PKCE because a document says so; only a person may.
    fn check_pkce(&self, pkce: Pkce) -> Result<(), Error> {
        let lacking = |methods: &Vec<String>| !methods.iter().any(|method| method == "S256");
        if pkce == Pkce::S256 && self.server.code_challenge_methods_supported.as_ref().is_some_and(lacking) {
            return Err(Error::invalid_config("the authorization server says that it has no PKCE with S256")
                .with_hint("set `pkce = \"off\"` if you accept codes that are not bound to the login"));
        }
        Ok(())
    }

    fn authorization_url(
        &self,
        login: &LoginRequest,
        ask: &AuthorizationRequest,
        verifier: Option<&Secret>,
        nonce: Option<&str>,
    ) -> Result<String, Error> {
        let endpoint = self.server.authorization_endpoint()?;
        let redirect_uri = oauth2::RedirectUrl::new(login.redirect_uri.clone()).map_err(|_| {
            Error::invalid_config(format!("redirect URI `{}` is not a URL", login.redirect_uri))
        })?;
        let client = oauth2::basic::BasicClient::new(oauth2::ClientId::new(self.client_id.clone()))
            .set_auth_uri(oauth2::AuthUrl::from_url(endpoint.url().clone()))
            .set_redirect_uri(redirect_uri);
        let mut request = client
            .authorize_url(|| oauth2::CsrfToken::new(login.state.clone()))
            .add_scopes(ask.scopes.iter().cloned().map(oauth2::Scope::new));
        if let Some(verifier) = verifier {
            request = request
                .add_extra_param("code_challenge", pkce::challenge(verifier))
                .add_extra_param("code_challenge_method", "S256");
        }
        if let Some(nonce) = nonce {
            request = request.add_extra_param("nonce", nonce.to_owned());
        }
        for (name, value) in &ask.parameters {
            request = request.add_extra_param(name.as_str(), value.as_str());
        }
        Ok(request.url().0.into())
    }
}

impl Pending {
    fn new(ask: &AuthorizationRequest, wait: Wait) -> Self {
        Self { scopes: ask.scopes.clone(), token_parameters: ask.token_parameters.clone(), wait }
    }

    fn store(&self) -> Result<Secret, Error> {
        let text = serde_json::to_string(self);
        text.map(Secret::new).map_err(|_| Error::new(ErrorCode::Internal, "the login's state cannot be kept"))
    }

    fn load(state: &Secret) -> Result<Self, Error> {
        serde_json::from_str(state.expose())
            .map_err(|_| Error::invalid_response("this login's state is not one of ours"))
    }
}

/// Parameters that the protocol owns: settings must not write over them.
const RESERVED: [&str; 16] = [
    "response_type",
    "response_mode",
    "client_id",
    "client_secret",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code",
    "code_challenge",
    "code_challenge_method",
    "code_verifier",
    "grant_type",
    "refresh_token",
    "device_code",
    "request",
];

/// Checks parameters that a person wrote, such as `extra_params`.
///
/// # Errors
/// `invalid_config` naming the first that the protocol owns.
pub fn check_extra_parameters<'a>(
    setting: &str,
    names: impl IntoIterator<Item = &'a String>,
) -> Result<(), Error> {
    match names.into_iter().find(|name| RESERVED.contains(&name.as_str())) {
        Some(name) => {
            Err(Error::invalid_config(format!("`{setting}` must not set `{name}`: the protocol does")))
        }
        None => Ok(()),
    }
}
