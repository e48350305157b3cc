//! Whose login it is: what the ID token says.

use ccproxy_plugin_oauth::id_token::{self, Claims, IdTokenRules};
use ccproxy_plugin_oauth::{KeyCache, LoginTokens, OAuthClient, account, shown_line};
use ccproxy_plugin_sdk::serde_json::Value;
use ccproxy_plugin_sdk::{Account, Error, ErrorCode};

use crate::routes::{Directory, Tenant};
use crate::schemas::Conn;

/// Who logged in.
pub(crate) struct Identity {
    pub(crate) account: Account,
    /// Subject and issuer of the ID token, to compare later ones with.
    pub(crate) subject: String,
    pub(crate) issuer: String,
    pub(crate) tenant_id: String,
    pub(crate) roles: Vec<String>,
}

/// More roles than an application has, fewer than would fill a record.
const MAX_ROLES: usize = 100;

/// The identity of a login by a person.
///
/// # Errors
/// No ID token, one that breaks a rule, and one of a tenant that the settings do not mean.
pub(crate) async fn of_login(
    connection: &Conn,
    keys: &KeyCache,
    directory: &Directory,
    client: &OAuthClient,
    login: &LoginTokens,
) -> Result<Identity, Error> {
    let id_token = login.tokens.id_token.as_ref();
    let id_token = id_token
        .ok_or_else(|| Error::invalid_response("there is no ID token, though `openid` was asked for"))?;
    let rules = IdTokenRules {
        issuer: directory.issuer(),
        client_id: &client.client_id,
        nonce: login.nonce.as_deref(),
        access_token: Some(&login.tokens.access_token),
        now: connection.host.now(),
    };
    let claims = id_token::validate(connection, keys, &client.server, id_token, rules).await?;
    of_claims(&claims, directory)
}

fn of_claims(claims: &Claims, directory: &Directory) -> Result<Identity, Error> {
    let text = |name: &str| account::claim(claims, name).unwrap_or_default();
    let tenant_id = text("tid");
    if !directory.tenant.admits(&tenant_id) {
        let wanted = directory.tenant.as_str();
        return Err(Error::new(
            ErrorCode::AccessDenied,
            format!("the login is of the tenant {tenant_id}, and `tenant` says {wanted}"),
        )
        .with_hint("sign in with an account of that tenant, or change `tenant`"));
    }
    let host = match &directory.tenant {
        Tenant::Domain(domain) => domain.clone(),
        _ => tenant_id.clone(),
    };
    // The object id is the account's in all applications of the tenant; `sub` is this one's only.
    let named = Account { host, ..account::from_claims(claims, &NAMES, "")? };
    let subject = named.subject.clone();
    let object_id = Some(text("oid")).filter(|id| !id.is_empty());
    let account = Account { subject: object_id.unwrap_or_else(|| subject.clone()), ..named };
    Ok(Identity { account, subject, issuer: text("iss"), tenant_id, roles: roles(claims) })
}

/// What a person recognises an account by. None is proof of anything: a tenant's administrator writes
/// them.
const NAMES: [&str; 4] = ["email", "preferred_username", "upn", "name"];

fn roles(claims: &Claims) -> Vec<String> {
    let roles = claims.get("roles").and_then(Value::as_array).into_iter().flatten();
    roles.filter_map(Value::as_str).map(shown_line).take(MAX_ROLES).collect()
}

/// The account of an application that acts in its own name.
pub(crate) fn of_application(client_id: &str, directory: &Directory) -> Account {
    Account {
        subject: client_id.to_owned(),
        display_name: String::new(),
        host: directory.tenant.as_str().to_owned(),
    }
}
