//! Which token, how it is renewed, how it is given back.

use ccproxy_plugin_oauth::{Acquire, ClientAuth, KeyCache, OAuthClient, ask_to_log_in, log_out};
use ccproxy_plugin_sdk::{
    Credential, Error, ErrorCode, Grant, Revocation, TokenManager, TokenSnapshot, Want,
};

use crate::schemas::{Conn, Settings};
use crate::storage::{GoogleRecord, GoogleStorage};
use crate::{advice, identity, refusals, routes, scopes};

/// The token manager, with what it remembers of Google's keys.
#[derive(Default)]
pub struct GoogleManager {
    pub(crate) keys: KeyCache,
}

impl TokenManager for GoogleManager {
    type Settings = Settings;
    type Storage = GoogleStorage;

    async fn acquire(
        &self,
        connection: &Conn,
        grant: &mut Grant<GoogleStorage>,
        want: &Want,
    ) -> Result<Credential, Error> {
        let settings = &connection.settings;
        let server = routes::server(settings)?;
        // One token per login: it serves every API that its scopes name.
        let acquire =
            Acquire::one_token(want)?.owned_by(settings.client_id.as_deref(), server.issuer.as_deref());
        if let (None, Some(record)) = (connection.token_override(), grant.record()) {
            check_domain(connection, record)?;
            check_scopes(connection, record, &want.target.scopes)?;
        }
        if let Some(credential) = acquire.stored(connection, grant)? {
            return Ok(credential);
        }
        let record = grant.record().ok_or_else(|| Error::not_logged_in().for_connection(connection))?;
        // What nothing can renew needs neither a client nor the network to say so.
        if record.grant.refresh_token.is_none() {
            return Err(acquire.nothing_to_renew(connection));
        }
        let label = connection.label();
        let client = client(connection).await?;
        let client = client.with_refusals(move |refusal| refusals::of_refresh(refusal, &label));
        acquire.refresh(connection, grant, &client).await
    }

    fn snapshot(&self, record: &GoogleRecord) -> TokenSnapshot {
        record.grant.snapshot()
    }

    async fn logout(
        &self,
        connection: &Conn,
        grant: &mut Grant<GoogleStorage>,
        revoke: bool,
    ) -> Result<Revocation, Error> {
        let client = match grant.record() {
            Some(_) if revoke => Some(client(connection).await),
            _ => None,
        };
        log_out(connection, grant, client).await
    }
}

/// The client as Google knows it. Its secret goes into the body, with every grant and every poll.
pub(crate) async fn client(connection: &Conn) -> Result<OAuthClient, Error> {
    let settings = &connection.settings;
    let client_id = settings.client_id.as_ref().filter(|id| !id.is_empty());
    let client_id = client_id.ok_or_else(|| advice::no_client_id(connection))?;
    if settings.client_secret.is_none() {
        return Err(advice::no_client_secret(connection));
    }
    let secret = connection.secret("client_secret").await?;
    let server = routes::server(settings)?;
    Ok(OAuthClient::new(client_id, Some(secret), ClientAuth::Post, server)?.with_refusals(refusals::read))
}

/// A domain that was set after the login counts from then on.
fn check_domain(connection: &Conn, record: &GoogleRecord) -> Result<(), Error> {
    let account = record.grant.account.as_ref();
    let name = account.map(|account| match account.display_name.as_str() {
        "" => account.subject.as_str(),
        name => name,
    });
    let name = name.unwrap_or("the stored login");
    identity::check_domain(connection, name, record.hosted_domain.as_deref())
}

/// What a route asks for must have been granted at login: Google's refresh adds nothing.
fn check_scopes(connection: &Conn, record: &GoogleRecord, wanted: &[String]) -> Result<(), Error> {
    let Some(granted) = &record.grant.scopes_granted else { return Ok(()) };
    let missing = scopes::missing(wanted, granted);
    if missing.is_empty() {
        return Ok(());
    }
    let label = connection.label();
    let message = format!("the login of `{label}` was not granted: {}", missing.join(" "));
    let hint =
        format!("add it to `scopes` of the connection and agree to it: ccproxy auth login {label} --force");
    Err(ask_to_log_in(Error::new(ErrorCode::ConsentRequired, message).with_hint(hint), connection))
}
