//! What the admin socket can tell and do.

use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::admin::{Answer, Check, Control, Events, Settings};
use crate::credential::{Acquire as _, Issuer as _, Reason, revealed};
use crate::fault::{Code, Fault};
use crate::login::LoginOptions;
use crate::model::{ConnectionId, CredentialKey, Name, Target, UnixMillis};
use crate::plugin::PluginState;
use crate::refusal::{ApiRefusal, Why};
use crate::vault::{Lease, Owner, Purpose};

use super::reload::Cause;
use super::serve::Serving;
use super::{listeners, plugin_document, plugins_document, routes};

/// Events that wait for a slow reader of the socket; beyond that the newest are dropped and counted.
const EVENT_QUEUE: usize = 1024;

impl Control for Serving {
    fn status(&self) -> Value {
        json!({
            "schema": "ccproxy.status/1",
            "version": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
            "started_at": self.started_at.rfc3339(),
            "state_dir": self.app.paths.state_dir,
            "config_dir": self.app.paths.config_dir,
            "access": self.app.config().resolved.server.access.as_str(),
            "listen": self.listen_urls(),
            "route_listeners": listeners::dedicated(&self.doors.urls()),
            "admin": self.admin(),
            "admin_listen": self.admin_url(),
            "config": self.standing.lock().unwrap_or_else(PoisonError::into_inner).document(),
            "plugin_calls": self.app.credentials.plugin_calls(),
        })
    }

    fn is_ready(&self) -> bool {
        !self.is_draining()
    }

    fn checks(&self) -> Vec<Check> {
        let check = |name: String, problem: Option<&str>| Check { name, problem: problem.map(str::to_owned) };
        let listeners = check("listeners".into(), self.is_draining().then_some("the host is shutting down"));
        let unsaved = self.app.vault.has_unsaved();
        let store = check("store".into(), unsaved.then_some("a grant could not be written; it is in memory"));
        let entries = self.app.registry().entries();
        let plugins = entries.iter().filter_map(|entry| {
            let problem = match entry.state {
                PluginState::Available | PluginState::Loaded => None,
                PluginState::Refused => entry.reason.as_deref().or(Some("refused")),
                PluginState::Stalled | PluginState::Quarantined => Some(entry.state.as_str()),
                PluginState::Shadowed | PluginState::Disabled => return None,
            };
            let name =
                entry.id.as_ref().map_or_else(|| entry.path.display().to_string(), ToString::to_string);
            Some(check(format!("plugin {name}"), problem))
        });
        [listeners, store].into_iter().chain(plugins).collect()
    }

    fn metrics(&self) -> Answer<'_, String> {
        Box::pin(async move { Ok(self.metrics_page().await) })
    }

    fn routes(&self) -> Value {
        routes::document(&self.rules().routes, &self.doors.urls())
    }

    fn plugins(&self) -> Value {
        plugins_document(self.app.registry())
    }

    fn providers(&self) -> Value {
        let providers = self.app.registry().manifests();
        let rows = providers.values().map(|manifest| {
            json!({
                "id": manifest.id,
                "name": manifest.name,
                "version": manifest.version,
                "description": manifest.description,
                "flows": manifest.flows,
                "presets": manifest.presets,
            })
        });
        json!({ "schema": "ccproxy.providers/1", "providers": rows.collect::<Vec<_>>() })
    }

    fn find_provider(&self, provider: &Name) -> Result<(), Fault> {
        match self.app.registry().manifests().contains_key(provider) {
            true => Ok(()),
            false => Err(self.app.registry().missing(provider)),
        }
    }

    fn schema<'a>(&'a self, provider: &'a Name) -> Answer<'a> {
        Box::pin(async move { Ok(self.app.registry().load(provider).await?.settings_schema().clone()) })
    }

    fn find(&self, id: &ConnectionId) -> Result<(), Fault> {
        self.app.directory.settings.connection(id).map(drop)
    }

    fn connection<'a>(&'a self, id: &'a ConnectionId) -> Answer<'a> {
        Box::pin(async move { self.connection_document(id).await })
    }

    fn connections(&self) -> Answer<'_> {
        Box::pin(async move {
            let connections = self.app.status().await;
            Ok(json!({ "schema": "ccproxy.auth-status/1", "connections": connections }))
        })
    }

    fn events(&self, kinds: u64) -> Events {
        let subscription = self.app.hooks.subscribe(kinds, EVENT_QUEUE);
        stream::unfold(subscription, |mut subscription| async {
            let notice = subscription.recv().await?;
            Some((Arc::clone(&notice.document), subscription))
        })
        .boxed()
    }

    fn refresh<'a>(&'a self, id: &'a ConnectionId) -> Answer<'a> {
        Box::pin(async move { self.app.refresh(id).await })
    }

    fn logout<'a>(&'a self, id: &'a ConnectionId, revoke: bool) -> Answer<'a> {
        Box::pin(async move { self.app.logout(id, revoke).await })
    }

    fn reload<'a>(&'a self, id: &'a ConnectionId) -> Answer<'a> {
        Box::pin(async move {
            Self::reload(self, Cause::Watch).await?;
            self.app.credentials.reset(id);
            self.app.credentials.changed(id).await;
            Ok(json!({ "connection": id }))
        })
    }

    fn rename<'a>(&'a self, from: &'a ConnectionId, to: &'a ConnectionId) -> Answer<'a> {
        Box::pin(async move {
            let answer = self.app.rename(from, to).await?;
            for id in [from, to] {
                self.app.credentials.reset(id);
                self.app.credentials.changed(id).await;
            }
            self.rebuild_routes().await?;
            Ok(answer)
        })
    }

    fn reload_configuration(&self) -> Answer<'_> {
        Box::pin(Self::reload(self, Cause::Asked))
    }

    fn reload_keys(&self) -> Result<Value, Fault> {
        Ok(json!({ "schema": "ccproxy.keys-reload/1", "keys": self.app.keys.reload()? }))
    }

    fn stop(&self, now: bool) -> Value {
        self.stopping.soon.notify_one();
        if now {
            self.stopping.now.notify_one();
        }
        let patience = self.rules().drain_timeout;
        json!({ "schema": "ccproxy.stop/1", "pid": std::process::id(), "drain_timeout_ms": millis(patience) })
    }

    fn test<'a>(&'a self, id: &'a ConnectionId) -> Answer<'a> {
        Box::pin(async move { self.app.test(id).await })
    }

    fn create<'a>(
        &'a self,
        id: &'a ConnectionId,
        provider: Name,
        settings: Settings,
    ) -> Answer<'a, Value, ApiRefusal> {
        Box::pin(self.create_connection(id, provider, settings))
    }

    fn replace<'a>(
        &'a self,
        id: &'a ConnectionId,
        provider: Option<Name>,
        settings: Settings,
    ) -> Answer<'a, Value, ApiRefusal> {
        Box::pin(self.replace_connection(id, provider, settings))
    }

    fn delete<'a>(&'a self, id: &'a ConnectionId, revoke: bool) -> Answer<'a, Value, ApiRefusal> {
        Box::pin(self.delete_connection(id, revoke))
    }

    fn credential<'a>(
        &'a self,
        id: &'a ConnectionId,
        scopes: Vec<String>,
        min_ttl: Duration,
    ) -> Answer<'a, Zeroizing<Vec<u8>>, ApiRefusal> {
        Box::pin(async move {
            if !self.app.config().resolved.admin.credentials {
                let what =
                    "handing out tokens is turned off: whoever reaches the socket could take them along";
                let fault = Fault::new(Code::AccessDenied, what);
                return Err(ApiRefusal::new(Why::TurnedOff, fault.hint("set `admin.credentials = true`")));
            }
            let target = Target { scopes, ..Target::default() };
            let prepared = self.app.credential(id, target, min_ttl).await?;
            let nothing = || Fault::new(Code::NotLoggedIn, format!("`{id}` has no token to hand out"));
            Ok(revealed(id, &prepared).ok_or_else(nothing)?)
        })
    }

    fn begin_login(self: Arc<Self>, options: LoginOptions) -> Result<Value, ApiRefusal> {
        Self::begin_login(self, options)
    }

    fn login(&self, id: &str) -> Result<Value, ApiRefusal> {
        self.logins.document(id)
    }

    fn paste(&self, id: &str, text: String) -> Result<Value, ApiRefusal> {
        self.logins.paste(id, text)
    }

    fn cancel_login(&self, id: &str) -> Result<Value, ApiRefusal> {
        self.logins.cancel(id)
    }

    fn cancel_login_of(&self, id: &ConnectionId) -> Result<Value, ApiRefusal> {
        let none = || ApiRefusal::of(Why::NotFound, format!("no login of `{id}` is under way"));
        self.logins.cancel_of(id).ok_or_else(none)
    }

    fn run<'a>(&'a self, plugin: &'a Name, arguments: Vec<String>) -> Answer<'a> {
        Box::pin(self.app.run_command(plugin, arguments))
    }

    fn trust<'a>(&'a self, file: &'a str) -> Answer<'a> {
        Box::pin(async move {
            let trusted = self.app.registry().trust_and_load(Path::new(file)).await;
            let (entry, changed) = trusted.map_err(|refusal| refusal.fault(file))?;
            self.follow_plugins(&changed).await;
            Ok(plugin_document(&entry))
        })
    }
}

impl Serving {
    /// A connection as `auth status` shows it, and with its settings.
    pub(super) async fn connection_document(&self, id: &ConnectionId) -> Result<Value, Fault> {
        let all = self.app.directory.connections();
        let own = all.into_iter().find(|(known, _)| known == id).map(|(_, own)| own);
        let own = own.ok_or_else(|| super::unknown_connection(id, &self.app.config()))?;
        let status = self.app.status_with(id, &own.provider, &own.settings).await;
        Ok(json!({
            "schema": "ccproxy.connection/1",
            "connection": status,
            "settings": own.settings,
        }))
    }
}

impl super::App {
    /// Acquires new tokens now, for every target the connection is used for.
    pub async fn refresh(&self, id: &ConnectionId) -> Result<Value, Fault> {
        self.directory.lookup(id).await?;
        let mut soonest: Option<UnixMillis> = None;
        for key in self.targets(id) {
            let cell = self.credentials.cell(&key);
            let prepared = self.credentials.acquire(&cell, Reason::Forced).await?;
            soonest = soonest.into_iter().chain(prepared.expires_at).min();
        }
        Ok(json!({
            "schema": "ccproxy.auth-refresh/1",
            "connection": id,
            "expires_at": soonest.map(UnixMillis::rfc3339),
        }))
    }

    /// Revokes if asked to, and forgets the grant.
    pub async fn logout(&self, id: &ConnectionId, revoke: bool) -> Result<Value, Fault> {
        let (lease, outcome) = self.give_up(id, revoke).await?;
        lease.close();
        self.credentials.changed(id).await;
        let mut document = json!({ "schema": "ccproxy.auth-logout/1", "connection": id });
        outcome.describe(&mut document);
        Ok(document)
    }

    /// The same, and the lock stays held. Without its plugin a connection can only be forgotten.
    pub(super) async fn give_up(&self, id: &ConnectionId, revoke: bool) -> Result<(Lease, LoggedOut), Fault> {
        let (connection, plugin) = match self.directory.lookup(id).await {
            Ok((connection, plugin)) => (connection, Some(plugin)),
            Err(fault) if fault.code == Code::PluginMissing && !revoke => {
                (self.directory.settings.connection(id)?, None)
            }
            Err(fault) => return Err(fault),
        };
        let owner = Owner {
            provider: connection.provider.clone(),
            plugin: plugin.as_ref().map(|plugin| plugin.plugin()).unwrap_or_default(),
        };
        let lease = self.vault.begin(id, owner, Purpose::Login).await?;
        let had_grant = lease.transaction().envelope().is_some();
        let mut outcome = LoggedOut { had_grant, revoked: false, message: None };
        if !had_grant {
            outcome.message = Some("there was nothing to forget".to_owned());
            return Ok((lease, outcome));
        }
        if let Some(plugin) = plugin {
            match plugin.logout(&connection, lease.transaction(), revoke).await {
                Ok(said) => (outcome.revoked, outcome.message) = (said.revoked, said.message),
                Err(fault) => {
                    outcome.message = Some(format!("not revoked at the provider: {}", fault.message))
                }
            }
        }
        // Whatever the provider said: the local half is done.
        lease.transaction().delete()?;
        Ok((lease, outcome))
    }

    /// Acquires, and asks the provider whose account it is.
    pub async fn test(&self, id: &ConnectionId) -> Result<Value, Fault> {
        let (connection, plugin) = self.directory.lookup(id).await?;
        let key = CredentialKey { connection: id.clone(), target: Default::default() };
        let cell = self.credentials.cell(&key);
        let prepared = self.credentials.acquire(&cell, Reason::Missing).await?;
        let record = self.record(id)?;
        let account = plugin.probe(&connection, record.as_ref()).await?;
        Ok(json!({
            "schema": "ccproxy.auth-test/1",
            "connection": id,
            "account": account,
            "expires_at": prepared.expires_at.map(UnixMillis::rfc3339),
        }))
    }
}

/// What became of a grant.
pub(super) struct LoggedOut {
    had_grant: bool,
    revoked: bool,
    message: Option<String>,
}

impl LoggedOut {
    /// Tells it in a document.
    pub(super) fn describe(self, document: &mut Value) {
        document["logged_out"] = self.had_grant.into();
        document["revoked"] = self.revoked.into();
        document["message"] = self.message.into();
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The control side as the admin socket holds it.
pub(super) fn control(serving: &Arc<Serving>) -> Arc<dyn Control> {
    serving.clone()
}
