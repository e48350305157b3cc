//! Microsoft Entra ID (Azure AD) for ccproxy: one login, a token for each resource behind it (Graph,
//! Azure Resource Manager, Dataverse, Power Platform, any API of a tenant).
//!
//! `schemas` is what people write, `storage` what is kept, `routes` where a directory is, `scopes` what a
//! token is asked for, `manager` which token and how it is renewed; `identity` says whose it is,
//! `refusals` reads Entra's errors, `advice` says what a person must do.

mod admin_consent;
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
    AuthorizationRequest, DEFAULT_TOKEN, GrantType, LoginTokens, OAuthClient, OAuthRecord, Progress,
};
use ccproxy_plugin_sdk::{
    Account, Connection, Description, Error, Flow, Host, LoginInput, LoginRequest, Manifest, Provider,
    Secret, Step, Target, export_provider,
};

use advice::Advice;
use manager::{AzureManager, client};
use routes::Directory;
use schemas::{Conn, Prompt, Settings};
use storage::AzureRecord;

/// The Azure provider.
#[derive(Default)]
pub struct Azure {
    manager: AzureManager,
}

impl Provider for Azure {
    const MANIFEST: Manifest = Manifest {
        description: "Microsoft Entra ID: Graph, Azure, Dataverse, Power Platform",
        flows: &[Flow::Browser, Flow::Device, Flow::Paste, Flow::ClientCredentials, Flow::Token],
        client_secret_suffices: true,
        upstream: "https://graph.microsoft.com/v1.0",
        hosts: &[
            "login.microsoftonline.com",
            "{authority}",
            "{authorization_endpoint}",
            "{token_endpoint}",
            "{device_authorization_endpoint}",
            "{jwks_uri}",
            "{revocation_endpoint}",
        ],
        aliases: &[("tenant-id", "tenant")],
        registration_url: advice::REGISTRATION,
        // The one loopback redirect for which Entra ignores the port (127.0.0.1 cannot be registered
        // on its pages).
        redirect_uri: "http://localhost",
        ..Manifest::new("azure", "Microsoft Entra ID")
    };
    type Settings = Settings;
    type Manager = AzureManager;

    fn create(_: Host) -> Result<Self, Error> {
        Ok(Self::default())
    }

    fn manager(&self) -> &AzureManager {
        &self.manager
    }

    fn describe(&self, connection: &Connection<Settings>) -> Result<Description, Error> {
        routes::describe(&connection.settings)
    }

    async fn login_begin(
        &self,
        connection: &Conn,
        request: LoginRequest,
    ) -> Result<Step<AzureRecord>, Error> {
        if request.flow == Flow::Token {
            return Ok(Step::Ask { prompt: "access token".into(), secret: true, state: Secret::new("") });
        }
        let directory = Directory::of(&connection.settings)?;
        let scopes = match request.scopes.is_empty() {
            true => scopes::own(connection, &directory)?,
            false => {
                let target = Target { scopes: request.scopes.clone(), ..Target::default() };
                scopes::of_target(&target, connection, &directory)?
            }
        };
        let client = login_client(connection, &directory).await?;
        match request.flow {
            Flow::Browser | Flow::Paste if connection.settings.admin_consent => {
                admin_consent::begin(&directory, &client.client_id, &request, &scopes)
            }
            Flow::Browser | Flow::Paste => {
                client.begin_code(&request, &person_request(connection, &request, &scopes))
            }
            Flow::Device => client
                .begin_device(connection, &person_request(connection, &request, &scopes))
                .await
                .map_err(|error| advice::try_another_flow(error, Flow::Device)),
            Flow::ClientCredentials | Flow::Token => {
                let ask = manager::application_request(connection, &directory, &scopes)?;
                let login = client.login_with_client_credentials(connection, &ask).await?;
                self.finish(connection, &directory, &client, &login).await
            }
        }
    }

    async fn login_continue(
        &self,
        connection: &Conn,
        state: Secret,
        input: LoginInput,
    ) -> Result<Step<AzureRecord>, Error> {
        if let LoginInput::Answer(token) = input {
            return take_token(connection, &token);
        }
        let flow = if matches!(input, LoginInput::Poll) { Flow::Device } else { Flow::Browser };
        let directory = Directory::of(&connection.settings)?;
        let client = login_client(connection, &directory).await?;
        if let Some(asked) = admin_consent::Asked::load(&state) {
            asked.read(&input.into_redirect()?, &client, connection, &directory)?;
            let request = asked.login();
            return client.begin_code(&request, &person_request(connection, &request, &asked.scopes));
        }
        let progress = client.resume_login(connection, &state, input).await;
        match progress.map_err(|error| advice::try_another_flow(error, flow))? {
            Progress::Step(step) => Ok(step),
            Progress::Tokens(login) => self.finish(connection, &directory, &client, &login).await,
        }
    }

    /// There is no endpoint that tells whose a token is whatever it is for: the login said it.
    async fn probe(&self, connection: &Conn, record: Option<&AzureRecord>) -> Result<Account, Error> {
        match record.and_then(|record| record.grant.account.clone()) {
            Some(account) => Ok(account),
            None => manager::probe_application(connection, &Directory::of(&connection.settings)?).await,
        }
    }
}

impl Azure {
    /// Checks what a login yielded, and makes the record of it.
    async fn finish(
        &self,
        connection: &Conn,
        directory: &Directory,
        client: &OAuthClient,
        login: &LoginTokens,
    ) -> Result<Step<AzureRecord>, Error> {
        let issuer = directory.server.issuer.as_deref();
        let mut record = AzureRecord::from(OAuthRecord::of_login(login, &client.client_id, issuer));
        if login.grant_type == GrantType::ClientCredentials {
            record.grant.account = Some(identity::of_application(&client.client_id, directory));
        } else {
            let identity =
                identity::of_login(connection, &self.manager.keys, directory, client, login).await?;
            tracing::info!(tenant = %identity.tenant_id, roles = ?identity.roles, "logged in");
            record.grant.account = Some(identity.account);
            record.grant.id_token_sub = Some(identity.subject);
            record.grant.id_token_iss = Some(identity.issuer);
            record.tenant_id = Some(identity.tenant_id);
            record.roles = identity.roles;
        }
        keep_under_its_target(&mut record.grant, connection, directory, login)?;
        Ok(Step::Done(record))
    }
}

/// A login for other scopes than the connection's own yields a token for another resource, most
/// likely: it is kept for the route that wants those scopes.
fn keep_under_its_target(
    record: &mut OAuthRecord,
    connection: &Conn,
    directory: &Directory,
    login: &LoginTokens,
) -> Result<(), Error> {
    let own = scopes::own(connection, directory)?;
    let asked = &login.scopes_requested;
    if *asked == own || *asked == scopes::of_a_person(&own) {
        return Ok(());
    }
    let target = Target { scopes: scopes::without_openid(asked), ..Target::default() };
    if let Some(token) = record.tokens.remove(DEFAULT_TOKEN) {
        record.tokens.insert(target.token_key(), token);
    }
    Ok(())
}

/// The client of a login. Entra's redirects carry no `iss`; if one comes it is that of the account's
/// own tenant (RFC 9207), which is not known yet.
async fn login_client(connection: &Conn, directory: &Directory) -> Result<OAuthClient, Error> {
    let mut client = client(connection, directory, Advice::of_login(connection, directory)).await?;
    client.server.issuer = None;
    Ok(client)
}

fn person_request(connection: &Conn, login: &LoginRequest, scopes: &[String]) -> AuthorizationRequest {
    let forced = login.force.then_some(Prompt::SelectAccount);
    // A device shows no page that could prompt.
    let prompt = connection.settings.prompt.or(forced).filter(|_| login.flow != Flow::Device);
    AuthorizationRequest {
        scopes: scopes::of_a_person(scopes),
        nonce: true,
        parameters: prompt.map(|prompt| ("prompt".into(), prompt.as_str().into())).into_iter().collect(),
        ..AuthorizationRequest::default()
    }
}

/// A token that the person had already, such as one of another tool. What is in it is for its resource
/// to read, so whose it is is not known.
fn take_token(connection: &Conn, token: &Secret) -> Result<Step<AzureRecord>, Error> {
    let token = Secret::new(token.expose().trim());
    if !token.is_field_value() {
        return Err(Error::invalid_config("this is not a token: a token is one line without spaces"));
    }
    let mut record = OAuthRecord::of_token(token);
    record.account = Some(Account { subject: connection.label(), ..Account::default() });
    Ok(Step::Done(record.into()))
}

export_provider!(Azure);
