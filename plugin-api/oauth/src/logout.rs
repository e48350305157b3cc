//! Logging out: revoked at the server where that can be, deleted here in any case.

use ccproxy_plugin_sdk::{Connection, Error, Grant, JsonTokenStorage, Revocation};

use crate::client::OAuthClient;
use crate::record::{GrantType, OAuthRecord};

/// Deletes the record, and revokes its tokens first if there is a `client` to do it with. A server
/// that cannot be reached does not keep anybody logged in: the message says what was left undone.
///
/// # Errors
/// Only those of the store.
pub async fn log_out<S, St>(
    connection: &Connection<S>,
    grant: &mut Grant<St>,
    client: Option<Result<OAuthClient, Error>>,
) -> Result<Revocation, Error>
where
    S: Send + Sync,
    St: JsonTokenStorage<Record: AsRef<OAuthRecord>>,
{
    let (revoked, message) = match (grant.record().map(AsRef::as_ref), client) {
        (None, _) => (false, "nothing was stored".to_owned()),
        (_, None) => (false, "not revoked at the authorization server".to_owned()),
        (Some(record), _) if record.grant_type == GrantType::Token => {
            (false, "a token that was entered by hand is not revoked".to_owned())
        }
        (_, Some(Err(error))) => (false, left(&error)),
        (Some(record), Some(Ok(client))) => match revoke(connection, record, &client).await {
            Ok(()) => (true, String::new()),
            Err(error) => (false, left(&error)),
        },
    };
    grant.delete().await?;
    Ok(Revocation { revoked, message })
}

fn left(error: &Error) -> String {
    format!("deleted here, but not revoked at the authorization server: {error}")
}

/// The refresh token goes first: with it most servers end its access tokens. One of those that
/// cannot be revoked by itself then is no failure (RFC 7009 section 2.1 leaves it to the server).
async fn revoke<S: Send + Sync>(
    connection: &Connection<S>,
    record: &OAuthRecord,
    client: &OAuthClient,
) -> Result<(), Error> {
    let now = connection.host.now();
    if let Some(refresh_token) = &record.refresh_token {
        client.revoke(connection, refresh_token, "refresh_token").await?;
    }
    for token in record.tokens.values().filter(|token| token.expires_at.is_none_or(|at| now < at)) {
        match client.revoke(connection, &token.access_token, "access_token").await {
            Err(error) if record.refresh_token.is_none() => return Err(error),
            Err(error) => tracing::debug!(%error, "an access token is left to expire"),
            Ok(()) => {}
        }
    }
    Ok(())
}
