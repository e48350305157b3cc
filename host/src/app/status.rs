//! How a connection stands: what is stored, what the running host adds, and what to do about it.

use serde::{Deserialize, Serialize};

use crate::credential::Live;
use crate::fault::{Code, Fault};
use crate::model::{ConnectionId, Name, UnixMillis};
use crate::vault::{Account, Envelope, LastRefresh, Problem, State};

/// One member of `connections` in `ccproxy.auth-status/1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionStatus {
    /// Organisation.
    pub org: Name,
    /// Name within it.
    pub name: Name,
    /// Which provider.
    pub provider: Name,
    /// How it stands.
    pub state: State,
    /// Whose account.
    pub account: Option<Account>,
    /// Where the grant is kept, or the variable that overrides it.
    pub storage: String,
    /// What a login asks for.
    pub scopes_requested: Vec<String>,
    /// What it got, where the provider says.
    pub scopes_granted: Option<Vec<String>>,
    /// Whether it is renewed without a person.
    pub refreshable: bool,
    /// Its tokens.
    pub credentials: Vec<CredentialStatus>,
    /// The last attempt to renew.
    pub last_refresh: Option<LastRefresh>,
    /// The next one, where a host is running.
    pub next_refresh_at: Option<String>,
    /// What stands in the way.
    pub problem: Option<Problem>,
}

/// One token, as far as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialStatus {
    /// What it is for.
    pub target: String,
    /// When it dies, RFC 3339.
    pub expires_at: Option<String>,
    /// 8 hex digits of SHA-256.
    pub fingerprint: String,
}

impl ConnectionStatus {
    /// The connection's identity.
    pub fn id(&self) -> ConnectionId {
        ConnectionId { org: self.org.clone(), name: self.name.clone() }
    }

    /// Whether requests work, or will by themselves.
    pub fn is_usable(&self) -> bool {
        match self.state {
            State::Ok | State::Expiring | State::Refreshing => true,
            State::Expired => self.refreshable,
            State::LoginPending
            | State::ReauthRequired
            | State::NotLoggedIn
            | State::PluginMissing
            | State::StoreLocked => false,
        }
    }
}

/// What is known of a connection.
pub struct Known<'a> {
    /// Which.
    pub id: &'a ConnectionId,
    /// Its provider.
    pub provider: &'a Name,
    /// `scopes` of its settings.
    pub scopes: Vec<String>,
    /// What the vault says.
    pub stored: Result<Option<Envelope>, Fault>,
    /// Its backend.
    pub storage: &'a str,
    /// The variable that overrides the stored token.
    pub override_variable: Option<String>,
    /// Why its plugin cannot be used.
    pub plugin: Result<(), Fault>,
    /// Whether a person must log in before the first use.
    pub needs_login: bool,
    /// What only the running host knows.
    pub live: Option<Live>,
}

impl Known<'_> {
    /// The status at `now`.
    pub fn status(self, now: UnixMillis) -> ConnectionStatus {
        let mut status = ConnectionStatus {
            org: self.id.org.clone(),
            name: self.id.name.clone(),
            provider: self.provider.clone(),
            state: State::NotLoggedIn,
            account: None,
            storage: self.storage.to_owned(),
            scopes_requested: self.scopes,
            scopes_granted: None,
            refreshable: !self.needs_login,
            credentials: Vec::new(),
            last_refresh: None,
            next_refresh_at: None,
            problem: None,
        };
        match self.stored {
            Err(fault) => {
                status.state = State::StoreLocked;
                status.problem = Some(Problem::from(&fault));
            }
            // Another provider's record is no grant of this connection.
            Ok(Some(envelope)) if envelope.provider == *self.provider => {
                status.state = state_of(&envelope, now);
                status.take(envelope);
            }
            Ok(_) if !self.needs_login => status.state = State::Ok,
            Ok(_) => {
                let fault = Fault::new(Code::NotLoggedIn, format!("`{}` is not logged in", self.id))
                    .hint(format!("ccproxy auth login {}", self.id));
                status.problem = Some(Problem::from(&fault));
            }
        }
        if let Some(variable) = self.override_variable {
            status.state = State::Ok;
            status.storage = format!("environment ({variable})");
            status.refreshable = false;
            status.problem = None;
        }
        if let Err(fault) = self.plugin {
            status.state = State::PluginMissing;
            status.problem = Some(Problem::from(&fault));
        }
        if let Some(live) = self.live {
            status.overlay(live);
        }
        status
    }
}

impl ConnectionStatus {
    fn take(&mut self, envelope: Envelope) {
        self.account = envelope.account;
        if !envelope.scopes_requested.is_empty() {
            self.scopes_requested = envelope.scopes_requested;
        }
        self.scopes_granted = envelope.scopes_granted;
        self.refreshable |= envelope.refreshable;
        self.credentials = envelope
            .credentials
            .into_iter()
            .map(|credential| CredentialStatus {
                target: credential.target,
                expires_at: credential.expires_at.map(UnixMillis::rfc3339),
                fingerprint: credential.fingerprint,
            })
            .collect();
        self.last_refresh = envelope.last_refresh;
        self.problem = envelope.problem;
    }

    fn overlay(&mut self, live: Live) {
        if live.refreshing && self.is_usable() {
            self.state = State::Refreshing;
        }
        self.next_refresh_at = live.next_refresh_at.map(UnixMillis::rfc3339);
        if self.problem.is_none() {
            self.problem = live.problem.as_ref().map(Problem::from);
        }
    }
}

/// The persisted state, seen at `now`: a token may have died since it was written.
fn state_of(envelope: &Envelope, now: UnixMillis) -> State {
    let dead = |at: Option<UnixMillis>| at.is_some_and(|at| at <= now);
    let all_dead =
        !envelope.credentials.is_empty() && envelope.credentials.iter().all(|one| dead(one.expires_at));
    match envelope.state {
        State::Ok | State::Expiring if all_dead => State::Expired,
        persisted => persisted,
    }
}
