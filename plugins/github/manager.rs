//! Which token, how it is renewed, how it is given back.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ccproxy_plugin_oauth::{
    Acquire, ClientAuth, DEFAULT_TOKEN, GrantType, Injection, OAuthClient, ask_to_log_in,
};
use ccproxy_plugin_sdk::serde_json::json;
use ccproxy_plugin_sdk::{
    Connection, Credential, Error, ErrorCode, Grant, Reason, Request, Revocation, TokenManager,
    TokenSnapshot, Want,
};

use crate::account::api_fields;
use crate::advice;
use crate::refusals;
use crate::routes::Site;
use crate::schemas::Settings;
use crate::storage::{GitHubRecord, GitHubStorage};

/// Renews what can be renewed.
pub struct GitHubManager;

impl TokenManager for GitHubManager {
    type Settings = Settings;
    type Storage = GitHubStorage;

    async fn acquire(
        &self,
        connection: &Connection<Settings>,
        grant: &mut Grant<GitHubStorage>,
        want: &Want,
    ) -> Result<Credential, Error> {
        let site = Site::of(&connection.settings)?;
        let settings = &connection.settings;
        // One token per login, whatever it is for: targets differ only in how it is sent.
        let mut acquire = Acquire::one_token(want)?.owned_by(settings.client_id.as_deref(), None);
        acquire.injection = Injection::parse(&want.target.inject, settings.inject.as_str())?;
        if connection.token_override().is_none() {
            let record = grant.record().ok_or_else(Error::not_logged_in)?;
            check_host(record, &site).map_err(|error| ask_to_log_in(error, connection))?;
        }
        if let Some(credential) = acquire.stored(connection, grant)? {
            return Ok(credential);
        }
        let record = grant.record().ok_or_else(Error::not_logged_in)?;
        check_renewable(connection, record, want).map_err(|error| ask_to_log_in(error, connection))?;
        acquire.refresh(connection, grant, &client(connection, &site).await?).await
    }

    fn snapshot(&self, record: &GitHubRecord) -> TokenSnapshot {
        record.grant.snapshot()
    }

    async fn logout(
        &self,
        connection: &Connection<Settings>,
        grant: &mut Grant<GitHubStorage>,
        revoke: bool,
    ) -> Result<Revocation, Error> {
        let outcome = match grant.record() {
            Some(record) if revoke => give_back(connection, record).await,
            _ => Ok(Revocation { revoked: false, message: String::new() }),
        };
        grant.delete().await?;
        // A GitHub that cannot be reached must not keep anybody logged in here.
        Ok(outcome.unwrap_or_else(|error| Revocation {
            revoked: false,
            message: format!("not revoked: {}", error.message),
        }))
    }
}

/// The application as GitHub knows it.
pub(crate) async fn client(connection: &Connection<Settings>, site: &Site) -> Result<OAuthClient, Error> {
    let settings = &connection.settings;
    let client_id = settings.client_id.as_ref().ok_or_else(|| advice::no_client_id(connection, site))?;
    let (secret, auth) = match settings.client_secret {
        // In the body: Enterprise Server refuses Basic (authlib #398).
        Some(_) => (Some(connection.secret("client_secret").await?), ClientAuth::Post),
        None => (None, ClientAuth::None),
    };
    Ok(OAuthClient::new(client_id, secret, auth, site.server.clone())?.with_refusals(refusals::read))
}

/// A token goes to the GitHub that gave it, whatever the settings say now (CVE-2024-53858 of `gh`).
fn check_host(record: &GitHubRecord, site: &Site) -> Result<(), Error> {
    if record.host == site.host() {
        return Ok(());
    }
    let message = format!("the stored token is of `{}`, the settings say `{}`", record.host, site.host());
    Err(Error::new(ErrorCode::ReauthRequired, message))
}

/// Whether a refresh can help. Most of GitHub's tokens have no refresh token, and say so here before
/// anything is sent.
fn check_renewable(
    connection: &Connection<Settings>,
    record: &GitHubRecord,
    want: &Want,
) -> Result<(), Error> {
    let grant = &record.grant;
    if grant.refresh_token.is_none() {
        let expires = grant.tokens.get(DEFAULT_TOKEN).and_then(|token| token.expires_at).is_some();
        return Err(match want.reason {
            Reason::Rejected => {
                Error::new(ErrorCode::ReauthRequired, "GitHub refused the token, and it has no refresh token")
            }
            Reason::Forced if !expires => {
                Error::unsupported("this token needs no refresh: it lives until it is revoked")
                    .with_hint(format!("ccproxy auth login {} --force", connection.label()))
            }
            _ => Error::new(ErrorCode::TokenExpired, "the token expired, and it has no refresh token"),
        });
    }
    if grant.refresh_expires_at.is_some_and(|at| at <= connection.host.now()) {
        return Err(Error::new(ErrorCode::ReauthRequired, "the refresh token expired unused"));
    }
    Ok(())
}

/// Revokes the token if the application can prove who it is: GitHub knows no other way.
async fn give_back(connection: &Connection<Settings>, record: &GitHubRecord) -> Result<Revocation, Error> {
    let settings = &connection.settings;
    let site = Site::of(settings)?;
    check_host(record, &site)?;
    let kept = |message: String| Ok(Revocation { revoked: false, message });
    if record.grant.grant_type == GrantType::Token {
        return kept(format!("the token itself lives on: delete it at {}", site.personal_tokens()));
    }
    let page = site.authorized_applications();
    let (Some(client_id), Some(_)) = (&settings.client_id, &settings.client_secret) else {
        return kept(format!(
            "not revoked: GitHub wants the client secret for that; revoke the app at {page}"
        ));
    };
    let Some(token) = record.grant.tokens.get(DEFAULT_TOKEN) else {
        return kept("there was no token to revoke".into());
    };
    let secret = connection.secret("client_secret").await?;
    let pair = STANDARD.encode(format!("{client_id}:{}", secret.expose()));
    let request = Request {
        method: "DELETE".into(),
        url: site.revocation(client_id),
        headers: api_fields(format!("Basic {pair}")),
        body: json!({ "access_token": token.access_token.expose() }).to_string().into_bytes(),
        ..Request::default()
    };
    let response = connection.http(request.header("content-type", "application/json")).await?;
    match response.status {
        204 => Ok(Revocation { revoked: true, message: String::new() }),
        // What it says of a token that is not, or not any more, one of this app.
        404 | 422 => kept("GitHub does not know the token any more".into()),
        status => kept(format!("not revoked: GitHub answered {status}; revoke the app at {page}")),
    }
}
