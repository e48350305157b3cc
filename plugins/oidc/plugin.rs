//! Provider plugin `oidc`: any OpenID Connect or OAuth 2.0 server, any upstream.

mod identity;
mod manager;
mod routes;
mod schemas;
mod storage;

#[cfg(test)]
#[path = "tests/it/main.rs"]
mod tests;

use ccproxy_plugin_oauth::{AuthorizationRequest, LoginTokens, OAuthClient, OAuthRecord, Progress};
use ccproxy_plugin_sdk::{
    Account, Description, Error, ErrorCode, Flow, Host, LoginInput, LoginRequest, Manifest, Provider, Secret,
    Step, export_provider,
};

use manager::Manager;
use schemas::{Conn, Settings};

/// The provider.
#[derive(Default)]
pub struct Oidc {
    manager: Manager,
}

impl Provider for Oidc {
    const MANIFEST: Manifest = Manifest {
        description: "Any OpenID Connect or OAuth 2.0 server",
        flows: &[Flow::Browser, Flow::Device, Flow::Paste, Flow::ClientCredentials, Flow::Token],
        hosts: &["*"],
        ..Manifest::new("oidc", "OpenID Connect")
    };
    type Settings = Settings;
    type Manager = Manager;

    fn create(_: Host) -> Result<Self, Error> {
        Ok(Self::default())
    }

    fn manager(&self) -> &Manager {
        &self.manager
    }

    fn describe(&self, connection: &Conn) -> Result<Description, Error> {
        routes::describe(connection)
    }

    async fn login_begin(&self, connection: &Conn, login: LoginRequest) -> Result<Step<OAuthRecord>, Error> {
        if login.flow == Flow::Token {
            return Ok(Step::Ask { prompt: "access token".into(), secret: true, state: Secret::new("") });
        }
        let client = self.manager.client(connection).await?;
        let ask = authorization_request(&connection.settings, &client, &login);
        match login.flow {
            Flow::Browser | Flow::Paste => client.begin_code(&login, &ask),
            Flow::Device => client.begin_device(connection, &ask).await,
            Flow::ClientCredentials | Flow::Token => {
                let mut request = Manager::own_request(&connection.settings);
                if !login.scopes.is_empty() {
                    request.scopes = login.scopes;
                }
                let tokens = client.login_with_client_credentials(connection, &request).await?;
                self.finish(connection, &client, &tokens).await
            }
        }
    }

    async fn login_continue(
        &self,
        connection: &Conn,
        state: Secret,
        input: LoginInput,
    ) -> Result<Step<OAuthRecord>, Error> {
        if let LoginInput::Answer(token) = input {
            return self.take_token(connection, &token).await;
        }
        let client = self.manager.client(connection).await?;
        match client.resume_login(connection, &state, input).await? {
            Progress::Step(step) => Ok(step),
            Progress::Tokens(tokens) => self.finish(connection, &client, &tokens).await,
        }
    }

    async fn probe(&self, connection: &Conn, record: Option<&OAuthRecord>) -> Result<Account, Error> {
        identity::probe(&self.manager, connection, record).await
    }
}

impl Oidc {
    /// Checks what a login yielded, and makes the record of it.
    async fn finish(
        &self,
        connection: &Conn,
        client: &OAuthClient,
        login: &LoginTokens,
    ) -> Result<Step<OAuthRecord>, Error> {
        check_scopes(&connection.settings, login)?;
        let issuer = client.server.issuer.as_deref();
        let mut record = OAuthRecord::of_login(login, &client.client_id, issuer);
        let identity = identity::of_login(&self.manager, connection, client, login).await?;
        record.account = Some(identity.account);
        record.id_token_sub = identity.id_token_sub;
        Ok(Step::Done(record))
    }

    /// A token that the person had already; it is looked at where the server lets us.
    async fn take_token(&self, connection: &Conn, token: &Secret) -> Result<Step<OAuthRecord>, Error> {
        let token = Secret::new(token.expose().trim());
        if !token.is_field_value() {
            return Err(Error::new(
                ErrorCode::CredentialsRejected,
                "what was entered cannot be a token: it is empty, or has white space in it",
            ));
        }
        let mut record = OAuthRecord::of_token(token.clone());
        record.account = Some(identity::of_token(&self.manager, connection, &token).await?);
        Ok(Step::Done(record))
    }
}

fn authorization_request(
    settings: &Settings,
    client: &OAuthClient,
    login: &LoginRequest,
) -> AuthorizationRequest {
    let scopes = match (&login.scopes, &settings.scopes) {
        (asked, _) if !asked.is_empty() => asked.clone(),
        (_, Some(configured)) => configured.clone(),
        _ => default_scopes(client),
    };
    let has = |scope: &str| scopes.iter().any(|asked| asked == scope);
    let mut parameters: Vec<(String, String)> =
        settings.extra_params.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let mut add = |name: &str, value: &str| {
        if !value.is_empty() && !parameters.iter().any(|(known, _)| known == name) {
            parameters.push((name.to_owned(), value.to_owned()));
        }
    };
    // OpenID Connect Core section 11: without consent there is no offline access.
    add(
        "prompt",
        match (login.force, has("offline_access")) {
            (true, true) => "login consent",
            (true, false) => "login",
            (false, true) => "consent",
            (false, false) => "",
        },
    );
    add("audience", &settings.audience);
    add("resource", &settings.resource);
    let resource = Some(&settings.resource).filter(|resource| !resource.is_empty());
    AuthorizationRequest {
        pkce: settings.pkce,
        nonce: has("openid"),
        parameters,
        token_parameters: resource
            .map(|resource| ("resource".into(), resource.clone()))
            .into_iter()
            .collect(),
        scopes,
    }
}

/// `openid`, and `offline_access` where it is offered: without it there is nothing to refresh with.
fn default_scopes(client: &OAuthClient) -> Vec<String> {
    let offered = |scope: &str| {
        client.server.scopes_supported.as_ref().is_some_and(|known| known.iter().any(|name| name == scope))
    };
    match &client.server.issuer {
        Some(_) if offered("offline_access") => vec!["openid".into(), "offline_access".into()],
        Some(_) => vec!["openid".into()],
        None => Vec::new(),
    }
}

/// Scopes that the answer does not mention are those asked for (RFC 6749 section 5.1).
fn check_scopes(settings: &Settings, login: &LoginTokens) -> Result<(), Error> {
    let granted = login.tokens.scopes.as_ref().unwrap_or(&login.scopes_requested);
    let missing: Vec<&str> = settings
        .required_scopes
        .iter()
        .filter(|required| !granted.contains(required))
        .map(String::as_str)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!("the login was granted without the required scopes: {}", missing.join(" "));
    Err(Error::new(ErrorCode::ConsentRequired, message)
        .with_hint("agree to them when asked, or take them out of `required_scopes`"))
}

export_provider!(Oidc);
