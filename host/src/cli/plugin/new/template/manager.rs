//! Which token, and how it is renewed.

use ccproxy_plugin_sdk::{
    Connection, Credential, Error, ErrorCode, Grant, Purpose, Reason, Revocation, TokenManager,
    TokenSnapshot, UnixMillis, Want,
};

use crate::login::{Answer, post, token};
use crate::schemas::Settings;
use crate::storage::{Record, Storage};

/// The token manager.
pub struct Manager;

impl TokenManager for Manager {
    type Settings = Settings;
    type Storage = Storage;

    async fn acquire(
        &self,
        connection: &Connection<Settings>,
        grant: &mut Grant<Storage>,
        want: &Want,
    ) -> Result<Credential, Error> {
        if let Some(token) = connection.token_override() {
            return Ok(Credential::bearer(&token, None, 0));
        }
        let record = grant.record().ok_or_else(Error::not_logged_in)?;
        let now = connection.host.now();
        if want.accepts(grant.generation(), record.expires_at, now) {
            return Ok(credential(record, grant.generation()));
        }
        let Some(refresh_token) = record.refresh_token.clone() else {
            return unrenewable(record, grant.generation(), want, now);
        };
        let fields = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token.expose()),
            (
                "client_id",
                connection.settings.client_id.as_deref().unwrap_or_default(),
            ),
        ];
        let renewed = match token(connection, &fields, Purpose::Refresh).await? {
            Answer::Tokens(tokens) => Record::of(tokens, Some(refresh_token), now),
            Answer::Refused(error) if error == "invalid_grant" => {
                return Err(Error::new(
                    ErrorCode::ReauthRequired,
                    "Acme no longer knows this login",
                ));
            }
            Answer::Refused(error) => return Err(refused(&error)),
        };
        // Durable before anybody uses it: the old refresh token may be dead already.
        grant.save(renewed.clone()).await?;
        Ok(credential(&renewed, grant.generation()))
    }

    fn snapshot(&self, record: &Record) -> TokenSnapshot {
        record.snapshot()
    }

    async fn logout(
        &self,
        connection: &Connection<Settings>,
        grant: &mut Grant<Storage>,
        revoke: bool,
    ) -> Result<Revocation, Error> {
        let token = grant.record().map(|record| {
            record
                .refresh_token
                .clone()
                .unwrap_or_else(|| record.access_token.clone())
        });
        grant.delete().await?;
        let Some(token) = token.filter(|_| revoke) else {
            return Ok(Revocation {
                revoked: false,
                message: String::new(),
            });
        };
        // RFC 7009 section 2.1.
        let client_id = connection.settings.client_id.as_deref().unwrap_or_default();
        let fields = [("token", token.expose()), ("client_id", client_id)];
        let answer = post(connection, "/revoke", &fields, Purpose::General).await?;
        Ok(match answer.status {
            200 => Revocation {
                revoked: true,
                message: String::new(),
            },
            status => Revocation {
                revoked: false,
                message: format!("Acme answered {status}"),
            },
        })
    }
}

fn credential(record: &Record, generation: u64) -> Credential {
    Credential::bearer(&record.access_token, record.expires_at, generation)
}

/// A pasted token has no successor: it is good until Acme refuses it.
fn unrenewable(
    record: &Record,
    generation: u64,
    want: &Want,
    now: UnixMillis,
) -> Result<Credential, Error> {
    let alive = record.expires_at.is_none_or(|at| at > now);
    if alive && want.reason == Reason::Forced {
        return Ok(credential(record, generation));
    }
    Err(Error::new(
        ErrorCode::ReauthRequired,
        "the token is no longer good and cannot be renewed",
    ))
}

/// A refusal by its code (RFC 6749 section 5.2). Only codes that are known are repeated.
pub fn refused(error: &str) -> Error {
    match error {
        "invalid_client" | "unauthorized_client" => Error::new(
            ErrorCode::CredentialsRejected,
            "Acme does not know this client",
        )
        .with_hint("check `client_id`"),
        "access_denied" => Error::new(ErrorCode::AccessDenied, "Acme or the person said no"),
        "expired_token" | "invalid_grant" => {
            Error::new(ErrorCode::TokenExpired, "the code is no longer good")
        }
        "invalid_scope" => Error::invalid_config("Acme does not know one of the scopes"),
        _ => Error::invalid_response("Acme refused the request"),
    }
}
