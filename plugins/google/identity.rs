//! Whose login it is: the ID token says so, else userinfo; and whether the account may be used here.

use ccproxy_plugin_oauth::id_token::{self, Claims, IdTokenRules};
use ccproxy_plugin_oauth::{
    ClientAuth, DEFAULT_TOKEN, KeyCache, LoginTokens, OAuthClient, account, ask_to_log_in,
};
use ccproxy_plugin_sdk::{Account, Error, ErrorCode, Secret};

use crate::routes;
use crate::schemas::Conn;
use crate::storage::GoogleRecord;

/// Who logged in.
pub(crate) struct Identity {
    pub(crate) account: Account,
    /// The Workspace domain of the account; none for a private one.
    pub(crate) hosted_domain: Option<String>,
}

/// The identity of a login.
///
/// # Errors
/// An ID token that breaks a rule; an account of another domain than the settings want.
pub(crate) async fn of_login(
    keys: &KeyCache,
    connection: &Conn,
    client: &OAuthClient,
    login: &LoginTokens,
) -> Result<Identity, Error> {
    let (Some(id_token), Some(issuer)) = (&login.tokens.id_token, client.server.issuer.as_deref()) else {
        return of_token(connection, &login.tokens.access_token).await;
    };
    let rules = IdTokenRules {
        issuer,
        client_id: &client.client_id,
        nonce: login.nonce.as_deref(),
        access_token: Some(&login.tokens.access_token),
        now: connection.host.now(),
    };
    let claims = id_token::validate(connection, keys, &client.server, id_token, rules).await?;
    identity(connection, &claims)
}

/// The identity behind a token that a person had already.
///
/// # Errors
/// A token that Google refuses or that does not say whose it is, and as above.
pub(crate) async fn of_token(connection: &Conn, token: &Secret) -> Result<Identity, Error> {
    let client = bystander(connection)?;
    let claims = client.userinfo(connection, token, None).await.map_err(|error| match error.code {
        ErrorCode::ReauthRequired => Error::new(ErrorCode::CredentialsRejected, "Google refused the token")
            .with_hint("a token lives for an hour, and needs the scope `openid` or `email`"),
        _ => error,
    })?;
    identity(connection, &claims)
}

/// Asks whose grant a record is; where there is no live token to ask with, the record says it.
///
/// # Errors
/// What Google says of a token that it does not take any more.
pub(crate) async fn probe(connection: &Conn, record: Option<&GoogleRecord>) -> Result<Account, Error> {
    let Some(record) = record else {
        let token = connection.token_override().ok_or_else(Error::not_logged_in)?;
        return Ok(of_token(connection, &token).await?.account);
    };
    let grant = &record.grant;
    let now = connection.host.now();
    let live = grant.tokens.get(DEFAULT_TOKEN).filter(|token| token.expires_at.is_none_or(|at| now < at));
    if let Some(token) = live {
        let client = bystander(connection)?;
        let claims = client.userinfo(connection, &token.access_token, grant.id_token_sub.as_deref()).await;
        let claims = claims.map_err(|error| ask_to_log_in(error, connection))?;
        return Ok(identity(connection, &claims)?.account);
    }
    grant.account.clone().ok_or_else(Error::not_logged_in)
}

/// Refuses an account of another Workspace than the settings want. The parameter `hd` only chooses
/// what Google's page offers: a person can change it, so the claim decides.
///
/// # Errors
/// `access_denied`, naming both.
pub(crate) fn check_domain(connection: &Conn, account: &str, domain: Option<&str>) -> Result<(), Error> {
    let Some(wanted) = connection.settings.hosted_domain.as_deref() else { return Ok(()) };
    let fits = domain.is_some_and(|domain| wanted == "*" || domain.eq_ignore_ascii_case(wanted));
    if fits {
        return Ok(());
    }
    let wanted = if wanted == "*" { "of a Workspace".to_owned() } else { format!("of `{wanted}`") };
    let message = format!("`{account}` is not an account {wanted}, which `hosted_domain` wants");
    let hint = format!("choose another account: ccproxy auth login {} --force", connection.label());
    Err(Error::new(ErrorCode::AccessDenied, message).with_hint(hint))
}

fn identity(connection: &Conn, claims: &Claims) -> Result<Identity, Error> {
    let server = routes::server(&connection.settings)?;
    let host = server.authorization_endpoint()?.host();
    let account = account::from_claims(claims, &["email", "name"], host)?;
    let hosted_domain = account::claim(claims, "hd");
    let shown = if account.display_name.is_empty() { &account.subject } else { &account.display_name };
    check_domain(connection, shown, hosted_domain.as_deref())?;
    Ok(Identity { account, hosted_domain })
}

/// A client that only looks: who asks userinfo is known by the token.
fn bystander(connection: &Conn) -> Result<OAuthClient, Error> {
    let settings = &connection.settings;
    let client_id = settings.client_id.as_deref().unwrap_or_default();
    OAuthClient::new(client_id, None, ClientAuth::None, routes::server(settings)?)
}
