//! Which token, for which resource, and how it is renewed: one refresh token serves them all.

use ccproxy_plugin_oauth::{
    Acquire, ClientAuth, DEFAULT_TOKEN, GrantType, KeyCache, OAuthClient, TokenRequest, log_out,
};
use ccproxy_plugin_sdk::{Credential, Error, Grant, Revocation, TokenManager, TokenSnapshot, Want};

use crate::advice::{self, Advice};
use crate::identity;
use crate::refusals;
use crate::routes::Directory;
use crate::schemas::{Conn, Settings};
use crate::scopes;
use crate::storage::{AzureRecord, AzureStorage};

/// The token manager, with the signing keys it has seen.
#[derive(Default)]
pub struct AzureManager {
    pub(crate) keys: KeyCache,
}

impl TokenManager for AzureManager {
    type Settings = Settings;
    type Storage = AzureStorage;

    async fn acquire(
        &self,
        connection: &Conn,
        grant: &mut Grant<AzureStorage>,
        want: &Want,
    ) -> Result<Credential, Error> {
        let settings = &connection.settings;
        let directory = Directory::of(settings)?;
        let mut acquire = Acquire::per_target(want)?
            .owned_by(settings.client_id.as_deref(), directory.server.issuer.as_deref());
        let wanted = scopes::of_target(&want.target, connection, &directory)?;
        // A route that writes the connection's own scopes means the connection's own token.
        if scopes::own(connection, &directory).is_ok_and(|own| own == wanted) {
            acquire.token_key = DEFAULT_TOKEN.into();
        }
        if let Some(credential) = acquire.stored(connection, grant)? {
            return Ok(credential);
        }
        let advice = Advice::of_use(connection, &directory, &want.target.scopes);
        match grant.record().map(|record| record.grant.grant_type) {
            Some(GrantType::AuthorizationCode | GrantType::DeviceCode)
                if !settings.says_client_credentials() =>
            {
                if grant.record().is_some_and(|record| record.grant.refresh_token.is_none()) {
                    return Err(acquire.nothing_to_renew(connection));
                }
                // Without `offline_access` the answer would have no refresh token, and the old one ages.
                acquire.ask = TokenRequest::scopes(&scopes::of_a_person(&wanted));
                let client = client(connection, &directory, advice).await?;
                acquire.refresh(connection, grant, &client).await
            }
            _ if settings.is_client_credentials() => {
                acquire.ask = application_request(connection, &directory, &wanted)?;
                let client = client(connection, &directory, advice).await?;
                acquire.client_credentials(connection, grant, &client).await
            }
            Some(_) => Err(acquire.nothing_to_renew(connection)),
            None => Err(Error::not_logged_in().for_connection(connection)),
        }
    }

    fn snapshot(&self, record: &AzureRecord) -> TokenSnapshot {
        record.grant.snapshot()
    }

    async fn logout(
        &self,
        connection: &Conn,
        grant: &mut Grant<AzureStorage>,
        revoke: bool,
    ) -> Result<Revocation, Error> {
        let directory = Directory::of(&connection.settings);
        // A revocation endpoint is there only if somebody wrote one.
        if let Ok(directory) = &directory
            && directory.server.revocation_endpoint.is_some()
            && revoke
        {
            let client = client(connection, directory, Advice::of_login(connection, directory)).await;
            return log_out(connection, grant, Some(client)).await;
        }
        let message = match grant.record() {
            None => "nothing was stored",
            Some(_) if !revoke => "not revoked",
            Some(_) => NO_REVOCATION,
        };
        grant.delete().await?;
        Ok(Revocation { revoked: false, message: message.into() })
    }
}

/// What a logout leaves behind, and who can end it.
const NO_REVOCATION: &str = "deleted here, but not revoked: Entra has no revocation; tokens live until they expire, \
     unless you sign out everywhere at https://mysignins.microsoft.com or an administrator revokes your sessions";

/// What an application asks for in its own name.
///
/// # Errors
/// A tenant or scopes with which it cannot, or no secret.
pub(crate) fn application_request(
    connection: &Conn,
    directory: &Directory,
    scopes: &[String],
) -> Result<TokenRequest, Error> {
    if connection.settings.client_secret.is_none() {
        return Err(advice::no_client_secret(connection));
    }
    if !directory.tenant.is_single() {
        return Err(advice::no_single_tenant(connection, directory));
    }
    scopes::of_an_application(scopes)?;
    Ok(TokenRequest::scopes(scopes))
}

/// The application as the directory knows it.
pub(crate) async fn client(
    connection: &Conn,
    directory: &Directory,
    advice: Advice,
) -> Result<OAuthClient, Error> {
    let settings = &connection.settings;
    let client_id = settings.client_id.as_deref().filter(|id| !id.is_empty());
    let client_id = client_id.ok_or_else(|| advice::no_client_id(connection))?;
    let (secret, auth) = match (&settings.client_secret, settings.client_auth) {
        (None, ClientAuth::Auto) | (_, ClientAuth::None) => (None, ClientAuth::None),
        // In the body, as Microsoft's own libraries send it.
        (Some(_), ClientAuth::Auto) => (Some(connection.secret("client_secret").await?), ClientAuth::Post),
        (Some(_), auth) => (Some(connection.secret("client_secret").await?), auth),
        (None, auth) => (None, auth),
    };
    let client = OAuthClient::new(client_id, secret, auth, directory.server.clone())?;
    Ok(client.with_refusals(move |refusal| refusals::read(refusal, &advice)))
}

/// The account of an application, once it has proven that it is one.
pub(crate) async fn probe_application(
    connection: &Conn,
    directory: &Directory,
) -> Result<ccproxy_plugin_sdk::Account, Error> {
    let request = application_request(connection, directory, &scopes::own(connection, directory)?)?;
    let client = client(connection, directory, Advice::of_login(connection, directory)).await?;
    client.client_credentials(connection, &request).await?;
    Ok(identity::of_application(&client.client_id, directory))
}
