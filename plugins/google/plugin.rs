//! Google for ccproxy: private accounts and Google Workspace, by an OAuth client of one's own.
//!
//! `schemas` is what people write, `storage` what is kept, `routes` where Google is, `manager` which
//! token and how it is renewed; `identity` says whose it is, `scopes` what was granted, `refusals`
//! reads Google's errors, `advice` says what a person must do.

mod advice;
mod identity;
mod manager;
mod refusals;
mod routes;
mod schemas;
mod scopes;
mod storage;

#[cfg(test)]
#[path = "tests/it/main.rs"]
mod tests;

use ccproxy_plugin_oauth::{
    AuthorizationRequest, LoginTokens, OAuthClient, OAuthRecord, Progress, entered_token,
};
use ccproxy_plugin_sdk::{
    Account, Description, Error, Flow, Host, LoginInput, LoginRequest, Manifest, Provider, Secret, Step,
    export_provider,
};

use manager::{GoogleManager, client};
use schemas::{AccessType, Conn, Settings};
use storage::GoogleRecord;

/// The Google provider.
#[derive(Default)]
pub struct Google {
    manager: GoogleManager,
}

impl Provider for Google {
    const MANIFEST: Manifest = Manifest {
        description: "Google accounts and Google Workspace, by an OAuth client of your own",
        flows: &[Flow::Browser, Flow::Device, Flow::Paste, Flow::Token],
        upstream: routes::UPSTREAM,
        hosts: &[
            "accounts.google.com",
            "oauth2.googleapis.com",
            "www.googleapis.com",
            "{authority}",
            "{authorization_endpoint}",
            "{token_endpoint}",
            "{device_authorization_endpoint}",
            "{revocation_endpoint}",
            "{userinfo_endpoint}",
            "{jwks_uri}",
        ],
        registration_url: advice::REGISTRATION,
        ..Manifest::new("google", "Google")
    };
    type Settings = Settings;
    type Manager = GoogleManager;

    fn create(_: Host) -> Result<Self, Error> {
        Ok(Self::default())
    }

    fn manager(&self) -> &GoogleManager {
        &self.manager
    }

    fn describe(&self, connection: &Conn) -> Result<Description, Error> {
        routes::describe(connection)
    }

    async fn login_begin(
        &self,
        connection: &Conn,
        request: LoginRequest,
    ) -> Result<Step<GoogleRecord>, Error> {
        let scopes = scopes::at_login(&connection.settings, &request.scopes);
        match request.flow {
            Flow::Browser | Flow::Paste => {
                let ask = AuthorizationRequest {
                    scopes,
                    nonce: true,
                    parameters: parameters(&connection.settings, request.force),
                    ..AuthorizationRequest::default()
                };
                client(connection).await?.begin_code(&request, &ask)
            }
            Flow::Device => {
                let ask = AuthorizationRequest { scopes, ..AuthorizationRequest::default() };
                client(connection).await?.begin_device(connection, &ask).await
            }
            Flow::Token => {
                Ok(Step::Ask { prompt: "Google access token".into(), secret: true, state: Secret::new("") })
            }
            Flow::ClientCredentials => {
                Err(Error::unsupported("Google gives no tokens for client credentials")
                    .with_hint("--flow browser"))
            }
        }
    }

    async fn login_continue(
        &self,
        connection: &Conn,
        state: Secret,
        input: LoginInput,
    ) -> Result<Step<GoogleRecord>, Error> {
        if let LoginInput::Answer(token) = input {
            let token = entered_token(&token)?;
            let identity = identity::of_token(connection, &token).await?;
            let mut grant = OAuthRecord::of_token(token);
            grant.account = Some(identity.account);
            return Ok(Step::Done(GoogleRecord { grant, hosted_domain: identity.hosted_domain }));
        }
        let client = client(connection).await?;
        match client.resume_login(connection, &state, input).await? {
            Progress::Step(step) => Ok(step),
            Progress::Tokens(tokens) => self.finish(connection, &client, &tokens).await,
        }
    }

    async fn probe(&self, connection: &Conn, record: Option<&GoogleRecord>) -> Result<Account, Error> {
        identity::probe(connection, record).await
    }
}

impl Google {
    /// Checks who logged in, and makes the record of it.
    async fn finish(
        &self,
        connection: &Conn,
        client: &OAuthClient,
        login: &LoginTokens,
    ) -> Result<Step<GoogleRecord>, Error> {
        let identity = identity::of_login(&self.manager.keys, connection, client, login).await?;
        if let Some(granted) = &login.tokens.scopes {
            let missing = scopes::missing(&login.scopes_requested, granted).join(" ");
            if !missing.is_empty() {
                tracing::warn!("the login works, but was not granted: {missing}");
            }
        }
        let issuer = client.server.issuer.as_deref();
        let mut grant = OAuthRecord::of_login(login, &client.client_id, issuer);
        if grant.refresh_token.is_none() && connection.settings.access_type == AccessType::Offline {
            tracing::warn!("Google gave no refresh token: the login ends with its first access token");
        }
        grant.id_token_sub = Some(identity.account.subject.clone());
        grant.account = Some(identity.account);
        Ok(Step::Done(GoogleRecord { grant, hosted_domain: identity.hosted_domain }))
    }
}

/// What only Google knows. Without consent asked for anew it gives a refresh token the first time
/// only, and never again to the same person and client.
fn parameters(settings: &Settings, force: bool) -> Vec<(String, String)> {
    let prompt = match (force, settings.access_type) {
        (false, AccessType::Offline) => "consent",
        (true, AccessType::Offline) => "select_account consent",
        (true, AccessType::Online) => "select_account",
        (false, AccessType::Online) => "",
    };
    [
        ("access_type", settings.access_type.as_str()),
        ("prompt", prompt),
        ("hd", settings.hosted_domain.as_deref().unwrap_or_default()),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}

export_provider!(Google);
