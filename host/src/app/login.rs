//! A login from what was typed to the stored grant.
//!
//! Nothing is saved unless the provider said yes, the account was probed, and grant and settings
//! could both be written. A failed login leaves what was there.

use serde_json::{Map, Value};

use crate::config::StoredConnection;
use crate::credential::{Acquire as _, Issuer as _, Reason};
use crate::fault::{Code, Fault};
use crate::login::{
    self, Choice, Flow, LoginError, LoginOptions, NoFlow, Person, ReturnTo, Situation, Target, TargetError,
    Terms, page,
};
use crate::model::{Connection, ConnectionId, CredentialKey, Name, UnixMillis};
use crate::plugin::{Description, NewGrant, Plugin};
use crate::vault::{Account, Owner, Purpose};

use super::App;
use super::callback::HostCallback;
use super::draft::Draft;

/// How a login ended well.
#[derive(Clone, Debug)]
pub struct LoggedIn {
    /// The connection.
    pub id: ConnectionId,
    /// Its provider.
    pub provider: Name,
    /// Whose account.
    pub account: Account,
    /// Where the grant is kept.
    pub storage: String,
    /// When the token dies, if it says.
    pub expires_at: Option<UnixMillis>,
    /// Whether it is renewed without a person.
    pub refreshable: bool,
    /// The path of its own route, if it has one.
    pub route: Option<String>,
    /// Whether nothing had to be done.
    pub unchanged: bool,
}

/// Shown before the login starts.
#[derive(Clone, Debug)]
pub struct Beginning<'a> {
    /// The connection.
    pub id: &'a ConnectionId,
    /// The provider's name as people write it.
    pub provider: &'a str,
    /// The flow and why.
    pub choice: Choice,
    /// Where the grant will be.
    pub storage: &'a str,
}

/// What the command line or a page adds to a [`Person`].
pub trait Client: Person {
    /// The login starts.
    fn begin(&mut self, beginning: &Beginning<'_>);
    /// The provider said yes; the account is being probed.
    fn probing(&mut self);
    /// Where the host itself receives browsers, if the login runs in one that does.
    fn callback(&self) -> Option<&HostCallback> {
        None
    }
}

/// Why a login did not end well.
#[derive(Debug, thiserror::Error)]
pub enum LoginFailure {
    /// What was named leads nowhere.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The login itself failed.
    #[error(transparent)]
    Login(#[from] LoginError),
}

impl From<Fault> for LoginFailure {
    fn from(fault: Fault) -> Self {
        Self::Login(fault.into())
    }
}

impl From<NoFlow> for LoginFailure {
    fn from(none: NoFlow) -> Self {
        Self::Login(none.into())
    }
}

impl App {
    /// Logs in.
    pub async fn login(
        &self,
        options: &LoginOptions,
        client: &mut dyn Client,
    ) -> Result<LoggedIn, LoginFailure> {
        let target = self.login_target(options)?;
        let mut draft = self.draft(&target, options, client).await?;
        let id = draft.connection.id.clone();
        let _seen = self.directory.settings.draft(draft.connection.clone());
        let plugin = self.directory.registry.load(&draft.connection.provider).await?;
        let description =
            plugin.describe(&draft.connection).await.map_err(|fault| repeatable(fault, options))?;
        if !options.force
            && !draft.write
            && let Some(done) = self.already(&id, &draft, &description)?
        {
            return Ok(done);
        }
        // A store that cannot be written is found out before anybody is sent to a browser.
        drop(self.vault.begin(&id, owner(&draft.connection, &plugin), Purpose::Login).await?);

        if !description.needs_login && options.flow.is_none() {
            return Ok(self.verify(draft, &description, &plugin, client).await?);
        }
        let choice = login::choose(&self.situation(options, &draft, &description, &plugin))?;
        client.begin(&Beginning {
            id: &id,
            provider: &plugin.manifest().name,
            choice,
            storage: self.vault.storage(),
        });
        let steps = plugin.login(draft.connection.clone());
        let terms = Terms {
            flow: choice.flow,
            return_to: return_to(&draft.connection, &plugin, client.callback()),
            scopes: options.scopes.clone(),
            force: options.force,
            timeout: options.timeout,
        };
        let finished = match login::drive(&steps, terms, client).await {
            Err(LoginError::Fault(fault)) => return Err(repeatable(fault, options).into()),
            other => other?,
        };
        client.probing();
        let saved = self.save(&mut draft, finished.done, &description, &plugin).await;
        let outcome = match &saved {
            Ok(done) => page::Outcome::LoggedIn {
                connection: done.id.to_string(),
                account: shown_account(&done.account),
            },
            Err(fault) => page::Outcome::Failed { message: fault.message.clone() },
        };
        login::show(finished.tab, outcome).await;
        Ok(saved?)
    }

    fn login_target(&self, options: &LoginOptions) -> Result<Target, TargetError> {
        let config = self.directory.settings.config();
        let manifests = self.directory.registry.manifests();
        let known = login::Known {
            connections: config.resolved.connections.iter().map(|(id, own)| (id, &own.provider)).collect(),
            providers: manifests
                .values()
                .map(|manifest| (&manifest.id, manifest.presets.as_slice()))
                .collect(),
        };
        login::resolve(&options.target, options.connection.as_ref(), &known)
    }

    fn situation<'a>(
        &self,
        options: &LoginOptions,
        draft: &Draft,
        description: &'a Description,
        plugin: &Plugin,
    ) -> Situation<'a> {
        let config = self.directory.settings.config();
        let env = &config.sources().env;
        let set = |name: &str| env.text(name).is_some_and(|value| !value.is_empty());
        let settings = &draft.connection.settings;
        Situation {
            flag: options.flow.as_deref().and_then(Flow::parse),
            setting: settings.get("flow").and_then(Value::as_str).and_then(Flow::parse),
            secret_suffices: plugin.manifest().client_secret_suffices
                && settings.contains_key("client_secret"),
            offered: &description.flows,
            display: set("DISPLAY") || set("WAYLAND_DISPLAY") || set("BROWSER"),
            ssh: set("SSH_CONNECTION"),
        }
    }

    /// A usable connection needs no login: said so, unchanged.
    fn already(
        &self,
        id: &ConnectionId,
        draft: &Draft,
        description: &Description,
    ) -> Result<Option<LoggedIn>, Fault> {
        if !description.needs_login {
            return Ok(None);
        }
        let status = self.status_of(id, Ok(()), true)?;
        if !status.is_usable() {
            return Ok(None);
        }
        Ok(Some(LoggedIn {
            id: id.clone(),
            provider: draft.connection.provider.clone(),
            account: status.account.unwrap_or_default(),
            storage: status.storage,
            expires_at: None,
            refreshable: status.refreshable,
            route: route_of(id, description),
            unchanged: true,
        }))
    }

    /// Client credentials and configured keys: acquire once, ask whose they are.
    async fn verify(
        &self,
        mut draft: Draft,
        description: &Description,
        plugin: &Plugin,
        client: &mut dyn Client,
    ) -> Result<LoggedIn, Fault> {
        let id = draft.connection.id.clone();
        let had_grant = self.vault.read(&id)?.is_some();
        let verified = async {
            let key = CredentialKey { connection: id.clone(), target: Default::default() };
            let cell = self.credentials.cell(&key);
            let prepared = self.credentials.acquire(&cell, Reason::Forced).await?;
            client.probing();
            let record = self.record(&id)?;
            let account = plugin.probe(&draft.connection, record.as_ref()).await?;
            self.write_settings(&draft)?;
            Ok((prepared.expires_at, account))
        }
        .await;
        let (expires_at, account) = match verified {
            Ok(verified) => verified,
            Err(fault) => {
                if !had_grant {
                    self.forget_grant(&draft.connection, plugin).await;
                }
                return Err(fault);
            }
        };
        draft.settle();
        Ok(LoggedIn {
            route: route_of(&id, description),
            provider: draft.connection.provider,
            account,
            storage: self.vault.storage().to_owned(),
            expires_at,
            refreshable: true,
            unchanged: false,
            id,
        })
    }

    /// A login that failed after its first token leaves nothing.
    async fn forget_grant(&self, connection: &Connection, plugin: &Plugin) {
        let lease = self.vault.begin(&connection.id, owner(connection, plugin), Purpose::Login).await;
        if let Err(fault) = lease.and_then(|lease| lease.transaction().delete()) {
            tracing::warn!(connection = %connection.id, error = %fault, "the grant of a failed login could not be removed");
        }
    }

    /// Probes, then stores grant and settings.
    async fn save(
        &self,
        draft: &mut Draft,
        grant: NewGrant,
        description: &Description,
        plugin: &Plugin,
    ) -> Result<LoggedIn, Fault> {
        let connection = &draft.connection;
        let account = plugin.probe(connection, Some(&grant.record)).await?;
        let lease = self.vault.begin(&connection.id, owner(connection, plugin), Purpose::Login).await?;
        let written = self.write_settings(draft)?;
        let mut view = grant.view;
        view.account = Some(account.clone());
        let expires_at = view.credentials.iter().filter_map(|credential| credential.expires_at).min();
        let refreshable = view.refreshable;
        let transaction = lease.transaction();
        transaction.request_scopes(match grant.scopes_requested.is_empty() {
            true => scopes(&connection.settings),
            false => grant.scopes_requested,
        });
        if let Err(fault) = transaction.put(grant.record.expose(), view) {
            self.unwrite_settings(written, &connection.id);
            return Err(fault);
        }
        lease.close();
        draft.settle();
        let connection = &draft.connection;
        Ok(LoggedIn {
            id: connection.id.clone(),
            provider: connection.provider.clone(),
            account,
            storage: self.vault.storage().to_owned(),
            expires_at,
            refreshable,
            route: route_of(&connection.id, description),
            unchanged: false,
        })
    }

    fn write_settings(&self, draft: &Draft) -> Result<bool, Fault> {
        if !draft.write {
            return Ok(false);
        }
        draft.stored().write(&self.paths)?;
        self.reload_settings()?;
        Ok(true)
    }

    fn unwrite_settings(&self, written: bool, id: &ConnectionId) {
        if !written {
            return;
        }
        if let Err(fault) = StoredConnection::remove(&self.paths, id).and_then(|_| self.reload_settings()) {
            tracing::warn!(connection = %id, error = %fault, "the settings of a failed login could not be removed");
        }
    }
}

/// Names the command to repeat where settings are missing.
fn repeatable(mut fault: Fault, options: &LoginOptions) -> Fault {
    if fault.code == Code::InvalidConfig && fault.hint.is_none() {
        fault.hint = Some(format!("{} --set SETTING=VALUE", options.command()));
    }
    fault
}

/// Where the browser is to come back to: as set, else as the provider wants it.
fn return_to<'a>(
    connection: &'a Connection,
    plugin: &'a Plugin,
    callback: Option<&HostCallback>,
) -> ReturnTo<'a> {
    let fixed = connection.settings.get("redirect_uri").and_then(Value::as_str);
    let habit = Some(plugin.manifest().redirect_uri.as_str()).filter(|uri| !uri.is_empty());
    match callback {
        Some(callback) => callback.return_to(fixed, habit),
        None => ReturnTo::Listener(fixed.or(habit)),
    }
}

pub(super) fn owner(connection: &Connection, plugin: &Plugin) -> Owner {
    Owner { provider: connection.provider.clone(), plugin: plugin.plugin() }
}

fn route_of(id: &ConnectionId, description: &Description) -> Option<String> {
    let leads = description.routes.first().is_some_and(|route| route.upstream.is_some());
    (id.is_global() && leads).then(|| id.name.to_string())
}

/// `scopes` of the settings.
pub(super) fn scopes(settings: &Map<String, Value>) -> Vec<String> {
    let list = settings.get("scopes").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|scope| scope.as_str().map(str::to_owned)).collect()
}

/// What a person recognises an account by.
pub fn shown_account(account: &Account) -> String {
    match account.display_name.as_deref() {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => account.subject.clone(),
    }
}
