//! From a stored grant to a credential: what every OAuth token manager does.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ccproxy_plugin_sdk::{
    Connection, Credential, Error, ErrorCode, Grant, JsonTokenStorage, Reason, Secret, UnixMillis, Want,
};

use crate::client::OAuthClient;
use crate::grants::{TokenRequest, TokenSet};
use crate::id_token;
use crate::record::{DEFAULT_TOKEN, GrantType, OAuthRecord};

/// How a token is put into a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Injection {
    /// `Authorization: Bearer` (RFC 6750).
    Bearer,
    /// `Authorization: Basic` with the token as password; git over HTTPS wants it so.
    Basic {
        /// User name; GitHub's is `x-access-token`.
        user: String,
    },
}

impl Injection {
    /// The injection of a target: `inject`, or `default` where that is empty.
    ///
    /// # Errors
    /// `invalid_config` for a form that does not exist.
    pub fn parse(inject: &str, default: &str) -> Result<Self, Error> {
        match if inject.is_empty() { default } else { inject } {
            "" | "bearer" => Ok(Self::Bearer),
            "basic" => Ok(Self::Basic { user: "x-access-token".into() }),
            other => Err(Error::invalid_config(format!("`inject` is bearer or basic, not `{other}`"))),
        }
    }

    /// The credential for a token.
    pub fn credential(&self, token: &Secret, expires_at: Option<UnixMillis>, generation: u64) -> Credential {
        match self {
            Self::Bearer => Credential::bearer(token, expires_at, generation),
            Self::Basic { user } => {
                let pair = STANDARD.encode(format!("{user}:{}", token.expose()));
                Credential::header("authorization", format!("Basic {pair}"), expires_at, generation)
            }
        }
    }
}

/// One acquire of an OAuth provider: what is wanted, under which key it is stored, what is asked of
/// the token endpoint, how it is injected.
pub struct Acquire<'a> {
    /// What the host wants.
    pub want: &'a Want,
    /// Key of the token in the record.
    pub token_key: String,
    /// What to ask the token endpoint for.
    pub ask: TokenRequest,
    /// How to inject it.
    pub injection: Injection,
    owner: Option<Owner>,
}

/// To whom the settings say that a grant belongs.
struct Owner {
    client_id: Option<String>,
    issuer: Option<String>,
}

impl<'a> Acquire<'a> {
    /// An acquire for a server whose tokens differ by target: scopes, audience and resource of the
    /// target are asked for, and key the token.
    ///
    /// # Errors
    /// `invalid_config` for an injection form that does not exist.
    pub fn per_target(want: &'a Want) -> Result<Self, Error> {
        let target = &want.target;
        Ok(Self {
            want,
            token_key: target.token_key(),
            ask: TokenRequest::scopes(&target.scopes)
                .with("audience", &target.audience)
                .with("resource", &target.resource),
            injection: Injection::parse(&target.inject, "bearer")?,
            owner: None,
        })
    }

    /// The same for a provider whose tokens serve every target alike.
    ///
    /// # Errors
    /// As above.
    pub fn one_token(want: &'a Want) -> Result<Self, Error> {
        Ok(Self { token_key: DEFAULT_TOKEN.into(), ask: TokenRequest::default(), ..Self::per_target(want)? })
    }

    /// Refuses a stored grant of another client or issuer than the settings name now: its tokens
    /// are for somebody else.
    #[must_use]
    pub fn owned_by(self, client_id: Option<&str>, issuer: Option<&str>) -> Self {
        let owner = Owner { client_id: client_id.map(str::to_owned), issuer: issuer.map(str::to_owned) };
        Self { owner: Some(owner), ..self }
    }

    /// The credential that needs no network: the override, or a stored token that will do.
    ///
    /// # Errors
    /// `credentials_rejected` for an override that the upstream refused: nothing here can renew it.
    pub fn stored<S, St>(
        &self,
        connection: &Connection<S>,
        grant: &Grant<St>,
    ) -> Result<Option<Credential>, Error>
    where
        St: JsonTokenStorage<Record: AsRef<OAuthRecord>>,
    {
        if let Some(token) = connection.token_override() {
            return self.overridden(&token).map(Some);
        }
        let record = grant.record().map(AsRef::as_ref);
        if let (Some(owner), Some(record)) = (&self.owner, record) {
            owner.check(record).map_err(|error| ask_to_log_in(error, connection))?;
        }
        let token = record.and_then(|record| record.tokens.get(&self.token_key));
        Ok(token.and_then(|token| {
            let generation = token.generation_in(grant.generation());
            self.want
                .accepts(generation, token.expires_at, connection.host.now())
                .then(|| self.injection.credential(&token.access_token, token.expires_at, generation))
        }))
    }

    /// A credential by the refresh token. The record was re-read under the lock, so a refusal is
    /// final; the record stays as it is, because a person may still want to know whose it was.
    ///
    /// # Errors
    /// `not_logged_in` without a record, `token_expired` without a refresh token, and what the
    /// authorization server says.
    pub async fn refresh<S, St>(
        &self,
        connection: &Connection<S>,
        grant: &mut Grant<St>,
        client: &OAuthClient,
    ) -> Result<Credential, Error>
    where
        S: Send + Sync,
        St: JsonTokenStorage<Record: AsRef<OAuthRecord> + AsMut<OAuthRecord> + Clone>,
    {
        let mut stored = grant.record().cloned().ok_or_else(Error::not_logged_in)?;
        let record: &mut OAuthRecord = stored.as_mut();
        Owner::of(client).check(record).map_err(|error| ask_to_log_in(error, connection))?;
        let Some(refresh_token) = &record.refresh_token else {
            return Err(self.nothing_to_renew(connection));
        };
        tracing::debug!(reason = ?self.want.reason, token = %self.token_key, "refreshing");
        let tokens = client
            .refresh(connection, refresh_token, &self.ask)
            .await
            .map_err(|error| ask_to_log_in(error, connection))?;
        id_token::check_refreshed(&tokens, record)?;
        record.settle(grant.generation(), connection.host.now());
        record.take_over(&self.token_key, &tokens, grant.next_generation());
        self.save(grant, stored, &tokens).await
    }

    /// A credential in the client's own name, stored so that other processes share it.
    pub async fn client_credentials<S, St>(
        &self,
        connection: &Connection<S>,
        grant: &mut Grant<St>,
        client: &OAuthClient,
    ) -> Result<Credential, Error>
    where
        S: Send + Sync,
        St: JsonTokenStorage<Record: AsRef<OAuthRecord> + AsMut<OAuthRecord> + From<OAuthRecord> + Clone>,
    {
        let tokens = client.client_credentials(connection, &self.ask).await?;
        let issuer = client.server.issuer.clone();
        let ours = |record: &St::Record| {
            let record = record.as_ref();
            record.grant_type == GrantType::ClientCredentials && Owner::of(client).check(record).is_ok()
        };
        let mut stored = grant.record().filter(|record| ours(record)).cloned().unwrap_or_else(|| {
            St::Record::from(OAuthRecord {
                grant_type: GrantType::ClientCredentials,
                client_id: client.client_id.clone(),
                issuer,
                scopes_requested: self.ask.scopes.clone(),
                account: Some(ccproxy_plugin_sdk::Account {
                    subject: client.client_id.clone(),
                    ..ccproxy_plugin_sdk::Account::default()
                }),
                ..OAuthRecord::default()
            })
        });
        let record: &mut OAuthRecord = stored.as_mut();
        record.settle(grant.generation(), connection.host.now());
        record.take_over(&self.token_key, &tokens, grant.next_generation());
        self.save(grant, stored, &tokens).await
    }

    /// The failure of a token that nothing can renew.
    pub fn nothing_to_renew<S>(&self, connection: &Connection<S>) -> Error {
        let message = match self.want.reason {
            Reason::Rejected => "the upstream refused the token, and there is no refresh token",
            Reason::Forced => "there is no refresh token",
            _ => "the token has expired, and there is no refresh token",
        };
        ask_to_log_in(Error::new(ErrorCode::TokenExpired, message), connection)
    }

    /// Saves before it hands out: the old refresh token is dead at the server already.
    async fn save<St: JsonTokenStorage>(
        &self,
        grant: &mut Grant<St>,
        record: St::Record,
        tokens: &TokenSet,
    ) -> Result<Credential, Error> {
        grant.save(record).await?;
        Ok(self.injection.credential(&tokens.access_token, tokens.expires_at, grant.generation()))
    }

    fn overridden(&self, token: &Secret) -> Result<Credential, Error> {
        if self.want.reason == Reason::Rejected {
            return Err(Error::new(
                ErrorCode::CredentialsRejected,
                "the upstream refused the overriding token",
            )
            .with_hint("change or unset the CCPROXY_TOKEN__ variable of this connection"));
        }
        if !token.is_field_value() {
            return Err(Error::invalid_config("the overriding token cannot stand in a header field"));
        }
        Ok(self.injection.credential(token, None, 0))
    }
}

impl Owner {
    fn of(client: &OAuthClient) -> Self {
        Self { client_id: Some(client.client_id.clone()), issuer: client.server.issuer.clone() }
    }

    /// A grant goes to the client and the issuer it was made by, whatever the settings say now.
    fn check(&self, record: &OAuthRecord) -> Result<(), Error> {
        if record.grant_type == GrantType::Token {
            return Ok(());
        }
        let record_client = Some(&record.client_id).filter(|id| !id.is_empty());
        for (what, was, is) in
            [("client", record_client, &self.client_id), ("issuer", record.issuer.as_ref(), &self.issuer)]
        {
            if let (Some(was), Some(is)) = (was, is)
                && was != is
            {
                let message = format!("the stored grant is of {what} `{was}`, the settings say `{is}`");
                return Err(Error::new(ErrorCode::ReauthRequired, message));
            }
        }
        Ok(())
    }
}

/// Adds the command that helps to errors that end in a login.
pub fn ask_to_log_in<S>(error: Error, connection: &Connection<S>) -> Error {
    let helps = matches!(
        error.code,
        ErrorCode::ReauthRequired
            | ErrorCode::ConsentRequired
            | ErrorCode::TokenExpired
            | ErrorCode::NotLoggedIn
    );
    if helps && error.hint.is_none() {
        error.with_hint(format!("ccproxy auth login {}", connection.label()))
    } else {
        error
    }
}
