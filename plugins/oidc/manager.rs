//! Which token, is it fresh enough, how is it renewed.

use ccproxy_plugin_oauth::{
    Acquire, AuthorizationServer, ClientAuth, Discovery, GrantType, KeyCache, OAuthClient, OAuthRecord,
    TokenRequest, log_out,
};
use ccproxy_plugin_sdk::{
    Connection, Credential, Error, Grant, Revocation, TokenManager, TokenSnapshot, Want,
};

use crate::schemas::{self, Conn, Settings};
use crate::storage::Storage;

/// The token manager of `oidc`, with what it remembers of issuers.
#[derive(Default)]
pub struct Manager {
    discovery: Discovery,
    pub(crate) keys: KeyCache,
}

impl TokenManager for Manager {
    type Settings = Settings;
    type Storage = Storage;

    async fn acquire(
        &self,
        connection: &Conn,
        grant: &mut Grant<Storage>,
        want: &Want,
    ) -> Result<Credential, Error> {
        let settings = &connection.settings;
        let acquire =
            Acquire::per_target(want)?.owned_by(settings.client_id.as_deref(), settings.issuer.as_deref());
        if let Some(credential) = acquire.stored(connection, grant)? {
            return Ok(credential);
        }
        match grant.record().map(|record| record.grant_type) {
            _ if settings.is_client_credentials() => self.in_own_name(connection, grant, acquire).await,
            Some(GrantType::ClientCredentials) => self.in_own_name(connection, grant, acquire).await,
            Some(_) => self.by_refresh_token(connection, grant, acquire).await,
            None => Err(Error::not_logged_in().for_connection(connection)),
        }
    }

    fn snapshot(&self, record: &OAuthRecord) -> TokenSnapshot {
        record.snapshot()
    }

    async fn logout(
        &self,
        connection: &Conn,
        grant: &mut Grant<Storage>,
        revoke: bool,
    ) -> Result<Revocation, Error> {
        let client = match grant.record() {
            Some(_) if revoke => Some(self.client(connection).await),
            _ => None,
        };
        log_out(connection, grant, client).await
    }
}

impl Manager {
    /// The client, and the server it is registered at.
    ///
    /// # Errors
    /// Settings that cannot work, and what discovery says.
    pub(crate) async fn client(&self, connection: &Conn) -> Result<OAuthClient, Error> {
        let settings = &connection.settings;
        schemas::check(connection)?;
        let client_id = schemas::client_id(connection)?;
        let server = self.server(connection).await?;
        let secret = match settings.client_secret {
            Some(_) if settings.client_auth != ClientAuth::None => {
                Some(connection.secret("client_secret").await?)
            }
            _ => None,
        };
        OAuthClient::new(client_id, secret, settings.client_auth, server)
    }

    /// What client credentials ask for: the settings' wishes.
    pub(crate) fn own_request(settings: &Settings) -> TokenRequest {
        let mut ask = TokenRequest::scopes(settings.scopes.as_deref().unwrap_or_default())
            .with("audience", &settings.audience)
            .with("resource", &settings.resource);
        for (name, value) in &settings.extra_params {
            ask = ask.with(name, value);
        }
        ask
    }

    async fn server(&self, connection: &Conn) -> Result<AuthorizationServer, Error> {
        let settings = &connection.settings;
        let mut server = match &settings.issuer {
            Some(issuer) if !settings.is_written_by_hand() => self.discovery.find(connection, issuer).await?,
            issuer => AuthorizationServer { issuer: issuer.clone(), ..AuthorizationServer::default() },
        };
        settings.endpoints.apply(&mut server)?;
        Ok(server)
    }

    async fn by_refresh_token(
        &self,
        connection: &Connection<Settings>,
        grant: &mut Grant<Storage>,
        mut acquire: Acquire<'_>,
    ) -> Result<Credential, Error> {
        // What nothing can renew needs no network to say so.
        if grant.record().is_some_and(|record| record.refresh_token.is_none()) {
            return Err(acquire.nothing_to_renew(connection));
        }
        let client = self.client(connection).await?;
        if acquire.want.target.resource.is_empty() {
            acquire.ask = acquire.ask.with("resource", &connection.settings.resource);
        }
        acquire.refresh(connection, grant, &client).await
    }

    async fn in_own_name(
        &self,
        connection: &Connection<Settings>,
        grant: &mut Grant<Storage>,
        mut acquire: Acquire<'_>,
    ) -> Result<Credential, Error> {
        let client = self.client(connection).await?;
        acquire.ask = acquire.ask.over(Self::own_request(&connection.settings));
        acquire.client_credentials(connection, grant, &client).await
    }
}
