//! GitHub for ccproxy: github.com, tenants of ghe.com and Enterprise Server, with OAuth apps, GitHub
//! Apps and personal access tokens.
//!
//! `schemas` is what people write and the API answers, `storage` what is kept, `routes` where GitHub
//! is, `manager` which token and how it is renewed; `account` asks whose it is, `refusals` reads
//! GitHub's errors, `advice` says what a person must do.

mod account;
mod advice;
mod manager;
mod refusals;
mod routes;
mod schemas;
mod storage;

#[cfg(test)]
#[path = "tests/it/main.rs"]
mod tests;

use ccproxy_plugin_oauth::{AuthorizationRequest, OAuthRecord, Progress, entered_token};
use ccproxy_plugin_sdk::{
    Account, Connection, Description, Error, Flow, Host, LoginInput, LoginRequest, Manifest, Provider,
    Secret, Step, export_provider,
};

use manager::{GitHubManager, client};
use routes::Site;
use schemas::Settings;
use storage::GitHubRecord;

/// The GitHub provider.
pub struct GitHub;

impl Provider for GitHub {
    const MANIFEST: Manifest = Manifest {
        description: "github.com and GitHub Enterprise: OAuth apps, GitHub Apps, personal access tokens",
        flows: &[Flow::Browser, Flow::Device, Flow::Paste, Flow::Token],
        upstream: "https://api.github.com",
        hosts: &[
            "github.com",
            "api.github.com",
            "*.ghe.com",
            "{host}",
            "{web_url}",
            "{api_url}",
            "{authorization_endpoint}",
            "{token_endpoint}",
            "{device_authorization_endpoint}",
            "{userinfo_endpoint}",
            "{revocation_endpoint}",
        ],
        registration_url: "https://github.com/settings/applications/new",
        ..Manifest::new("github", "GitHub")
    };
    type Settings = Settings;
    type Manager = GitHubManager;

    fn create(_: Host) -> Result<Self, Error> {
        Ok(Self)
    }

    fn manager(&self) -> &GitHubManager {
        &GitHubManager
    }

    fn describe(&self, connection: &Connection<Settings>) -> Result<Description, Error> {
        let settings = &connection.settings;
        let flows = match (&settings.client_id, &settings.client_secret) {
            // Without a secret GitHub gives nothing for a code.
            (Some(_), None) => vec![Flow::Device, Flow::Token],
            // Without a client id no app flow works yet, but choosing one says what is missing.
            _ => vec![Flow::Browser, Flow::Device, Flow::Paste, Flow::Token],
        };
        Ok(Description {
            upstream: Some(Site::of(settings)?.upstream().to_owned()),
            flows,
            env: vec![("GITHUB_API_URL".into(), "{base}".into()), ("GITHUB_TOKEN".into(), "{key}".into())],
            ..Description::default()
        })
    }

    async fn login_begin(
        &self,
        connection: &Connection<Settings>,
        request: LoginRequest,
    ) -> Result<Step<GitHubRecord>, Error> {
        let settings = &connection.settings;
        let site = Site::of(settings)?;
        let scopes = if request.scopes.is_empty() { settings.scopes.clone() } else { request.scopes.clone() };
        let mut ask = AuthorizationRequest { scopes, ..AuthorizationRequest::default() };
        match request.flow {
            Flow::Browser | Flow::Paste => {
                let client = client(connection, &site).await?;
                if !client.is_confidential() {
                    return Err(advice::no_client_secret(connection));
                }
                if request.force {
                    ask.parameters.push(("prompt".into(), "select_account".into()));
                }
                client.begin_code(&request, &ask)
            }
            Flow::Device => client(connection, &site).await?.begin_device(connection, &ask).await,
            Flow::Token => Ok(Step::Ask {
                prompt: format!("token for {} ({})", site.host(), site.personal_tokens()),
                secret: true,
                state: Secret::new(""),
            }),
            Flow::ClientCredentials => {
                Err(Error::unsupported("GitHub gives no tokens for client credentials")
                    .with_hint("--flow device"))
            }
        }
    }

    async fn login_continue(
        &self,
        connection: &Connection<Settings>,
        state: Secret,
        input: LoginInput,
    ) -> Result<Step<GitHubRecord>, Error> {
        let site = Site::of(&connection.settings)?;
        let host = site.host().to_owned();
        if let LoginInput::Answer(token) = input {
            return Ok(Step::Done(GitHubRecord {
                grant: OAuthRecord::of_token(entered_token(&token)?),
                host,
            }));
        }
        let client = client(connection, &site).await?;
        Ok(match client.resume_login(connection, &state, input).await? {
            Progress::Step(step) => step,
            Progress::Tokens(login) => Step::Done(GitHubRecord {
                grant: OAuthRecord::of_login(&login, &client.client_id, None),
                host,
            }),
        })
    }

    async fn probe(
        &self,
        connection: &Connection<Settings>,
        record: Option<&GitHubRecord>,
    ) -> Result<Account, Error> {
        let site = Site::of(&connection.settings)?;
        let stored = record.and_then(GitHubRecord::token);
        let token =
            stored.cloned().or_else(|| connection.token_override()).ok_or_else(Error::not_logged_in)?;
        account::of(connection, &site, &token).await
    }
}

export_provider!(GitHub);
