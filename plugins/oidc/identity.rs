//! Whose grant it is: the ID token says so, else userinfo, else introspection, else it is the
//! client's own.

use ccproxy_plugin_oauth::id_token::{self, Claims, IdTokenRules};
use ccproxy_plugin_oauth::{
    AuthorizationServer, DEFAULT_TOKEN, GrantType, LoginTokens, OAuthClient, OAuthRecord, Pkce, account,
};
use ccproxy_plugin_sdk::{Account, Error, ErrorCode, Secret};

use crate::manager::Manager;
use crate::schemas::{Conn, Settings};

/// Who logged in.
pub struct Identity {
    /// The account.
    pub account: Account,
    /// The subject of the ID token, to compare later ones with.
    pub id_token_sub: Option<String>,
}

/// The identity of a login.
///
/// # Errors
/// An ID token that breaks a rule, a userinfo answer for another subject; and where there is no ID
/// token, whatever keeps the server from saying who it was.
pub async fn of_login(
    manager: &Manager,
    connection: &Conn,
    client: &OAuthClient,
    login: &LoginTokens,
) -> Result<Identity, Error> {
    if login.grant_type == GrantType::ClientCredentials {
        return Ok(Identity { account: of_client(client), id_token_sub: None });
    }
    let claims = id_claims(manager, connection, client, login).await?;
    let token = &login.tokens.access_token;
    let account = match &claims {
        Some(claims) => by_claims(connection, client, claims, token, &login.scopes_requested).await?,
        None => by_asking(connection, client, token).await?,
    };
    Ok(Identity { account, id_token_sub: claims.as_ref().and_then(|claims| account::claim(claims, "sub")) })
}

/// The account of a token that a person had already.
///
/// # Errors
/// A token that the server refuses.
pub async fn of_token(manager: &Manager, connection: &Conn, token: &Secret) -> Result<Account, Error> {
    if connection.settings.names_a_server() && connection.settings.client_id.is_some() {
        let client = manager.client(connection).await?;
        return by_asking(connection, &client, token).await;
    }
    Ok(Account { subject: connection.label(), ..Account::default() })
}

/// Asks the server whose grant a record is; where it cannot be asked, the record says it.
///
/// # Errors
/// What the server says of a token that it does not take any more.
pub async fn probe(
    manager: &Manager,
    connection: &Conn,
    record: Option<&OAuthRecord>,
) -> Result<Account, Error> {
    let Some(record) = record else {
        let client = manager.client(connection).await?;
        client.client_credentials(connection, &Manager::own_request(&connection.settings)).await?;
        return Ok(of_client(&client));
    };
    let stored = record.account.clone().unwrap_or_default();
    let now = connection.host.now();
    let live = record.tokens.get(DEFAULT_TOKEN).filter(|token| token.expires_at.is_none_or(|at| now < at));
    let scopes = record.scopes_granted.as_ref().unwrap_or(&record.scopes_requested);
    let Some(token) = live.filter(|_| userinfo_takes(&connection.settings, scopes)) else {
        return Ok(stored);
    };
    let client = manager.client(connection).await?;
    match client.userinfo(connection, &token.access_token, record.id_token_sub.as_deref()).await {
        Ok(claims) => account::from_claims(&claims, &names(connection), &host(&client.server)),
        Err(error) if is_silence(&error) => Ok(stored),
        Err(error) => Err(error),
    }
}

/// The claims of the ID token. It counts only where an issuer is known to compare it with.
async fn id_claims(
    manager: &Manager,
    connection: &Conn,
    client: &OAuthClient,
    login: &LoginTokens,
) -> Result<Option<Claims>, Error> {
    let Some(issuer) = client.server.issuer.as_deref() else { return Ok(None) };
    let Some(id_token) = &login.tokens.id_token else {
        if login.nonce.is_some() && connection.settings.pkce == Pkce::Off {
            return Err(Error::invalid_response(
                "there is no ID token, and without PKCE nothing else binds the code to this login",
            ));
        }
        return Ok(None);
    };
    let rules = IdTokenRules {
        issuer,
        client_id: &client.client_id,
        nonce: login.nonce.as_deref(),
        access_token: Some(&login.tokens.access_token),
        now: connection.host.now(),
    };
    id_token::validate(connection, &manager.keys, &client.server, id_token, rules).await.map(Some)
}

/// From the ID token; many servers keep everything but `sub` for userinfo, so that is asked for a
/// name. It must be of the same subject; if it does not answer, the subject is name enough.
async fn by_claims(
    connection: &Conn,
    client: &OAuthClient,
    claims: &Claims,
    token: &Secret,
    scopes: &[String],
) -> Result<Account, Error> {
    let host = host(&client.server);
    let known = account::from_claims(claims, &names(connection), &host)?;
    let complete = account::claim(claims, &connection.settings.account_claim).is_some();
    if complete || !userinfo_takes(&connection.settings, scopes) {
        return Ok(known);
    }
    match client.userinfo(connection, token, Some(&known.subject)).await {
        Ok(more) => account::from_claims(&more, &names(connection), &host),
        Err(error) if error.code == ErrorCode::InvalidResponse => Err(error),
        Err(_) => Ok(known),
    }
}

async fn by_asking(connection: &Conn, client: &OAuthClient, token: &Secret) -> Result<Account, Error> {
    let host = host(&client.server);
    match client.userinfo(connection, token, None).await {
        Ok(claims) => return account::from_claims(&claims, &names(connection), &host),
        Err(error) if is_silence(&error) => {}
        Err(error) => return Err(error),
    }
    match client.introspect(connection, token).await {
        Ok(members) if account::claim(&members, "sub").is_some() => {
            let names = names(connection);
            account::from_claims(&members, &[names[0], names[1], "username"], &host)
        }
        Ok(_) => Ok(of_client(client)),
        Err(error) if is_silence(&error) => Ok(of_client(client)),
        Err(error) => Err(error),
    }
}

fn of_client(client: &OAuthClient) -> Account {
    Account { subject: client.client_id.clone(), display_name: String::new(), host: host(&client.server) }
}

fn names(connection: &Conn) -> [&str; 2] {
    [&connection.settings.account_claim, "name"]
}

/// Userinfo takes tokens of OpenID Connect logins that are not for somebody else.
fn userinfo_takes(settings: &Settings, scopes: &[String]) -> bool {
    settings.resource.is_empty()
        && settings.audience.is_empty()
        && scopes.iter().any(|scope| scope == "openid")
}

/// No endpoint, or not for this token: then somebody else must say it.
fn is_silence(error: &Error) -> bool {
    matches!(error.code, ErrorCode::Unsupported | ErrorCode::AccessDenied | ErrorCode::CredentialsRejected)
}

fn host(server: &AuthorizationServer) -> String {
    server.token_endpoint.as_ref().map(|endpoint| endpoint.host().to_owned()).unwrap_or_default()
}
