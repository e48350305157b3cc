//! Another configuration while requests run. All of it is read, checked and made before anything of it is put
//! in force; requests under way end by the one they began with.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, PoisonError};

use serde_json::{Value, json};

use super::directory::outlet_defaults;
use super::own_paths;
use super::routes::{self, Described};
use super::serve::Serving;
use super::service_manager::Reloading;
use super::{App, listeners};
use crate::config::{Changes, Config, ConfigError};
use crate::credential::{Cell, Turnover};
use crate::fault::Fault;
use crate::model::{ConnectionId, CredentialKey, UnixMillis};
use crate::plugin::Outlets;
use crate::proxy::Rules;

/// What is fixed when the host starts: threads, sockets and the store are made once.
const FIXED: [&[&str]; 9] = [
    &["logging", "format"],
    &["plugins", "dirs"],
    &["plugins", "disabled"],
    &["plugins", "trust"],
    &["server", "tls", "cert"],
    &["server", "tls", "key"],
    &["server", "tls", "local_ca"],
    &["server", "workers"],
    &["storage", "backend"],
];

/// Who wants the configuration to be read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// A file changed. What it says may be what it said before.
    Watch,
    /// Somebody asked, and expects that what cannot be seen in the configuration is looked at as well: a CA file
    /// that is another under its old name.
    Asked,
}

/// What the rules in force were made from.
#[derive(Default)]
pub(super) struct Made {
    config: Option<Arc<Config>>,
    described: Described,
    keys: BTreeSet<CredentialKey>,
}

/// A configuration that could be put in force.
pub(super) struct Next {
    config: Arc<Config>,
    outlets: Outlets,
    /// What requests would read.
    pub(super) rules: Rules,
    described: Described,
    cells: BTreeMap<CredentialKey, Arc<Cell>>,
    stale: BTreeSet<ConnectionId>,
}

/// How the configuration stands, for `ccproxy status`.
pub(super) struct Standing {
    loaded_at: UnixMillis,
    failure: Option<(UnixMillis, Fault)>,
    /// What the host was started with, of the keys in [`FIXED`].
    fixed: Vec<Option<Value>>,
    needs_restart: Vec<String>,
    /// How often another configuration was read, by what came of it: `ok`, or the code of the failure.
    reloads: BTreeMap<&'static str, u64>,
}

impl App {
    /// Refuses what `config check` refuses: what this version cannot do, routes to nowhere, settings that their
    /// plugins do not know. A connection whose plugin is missing waits for it.
    pub(super) async fn check(&self, config: &Config, made: &Made) -> Result<(), Fault> {
        config.check_supported()?;
        config.check_exposure()?;
        config.check_references()?;
        let mut problems = Vec::new();
        let mut plugins = BTreeMap::new();
        for (id, own) in &config.resolved.connections {
            if !plugins.contains_key(&own.provider) {
                plugins.insert(&own.provider, self.registry().load(&own.provider).await.ok());
            }
            if let Some(Some(plugin)) = plugins.get(&own.provider)
                && routes::said_before(&made.described, id, own, plugin).is_none()
            {
                problems.extend(config.check_settings(id, plugin.settings_schema()));
            }
        }
        Ok(ConfigError::check(problems)?)
    }

    /// Makes everything that a configuration needs, and puts nothing of it in force.
    pub(super) async fn prepare(&self, config: Arc<Config>, made: &Made) -> Result<Next, Fault> {
        let described = routes::describe_all(&self.directory, &config, &made.described).await;
        let outlets = self.outlets(&config)?;
        let stale = made.config.as_ref().map(|old| stale(old, &config)).unwrap_or_default();
        let mut cells = BTreeMap::<CredentialKey, Arc<Cell>>::new();
        let mut cell = |key: CredentialKey| {
            let known = || self.credentials.existing(&key).filter(|_| !stale.contains(&key.connection));
            let made = || known().unwrap_or_else(|| Arc::new(Cell::new(key.clone())));
            Arc::clone(cells.entry(key.clone()).or_insert_with(made))
        };
        let manifests = self.registry().manifests();
        let injected = manifests.values().flat_map(|manifest| manifest.injected_fields.iter().cloned());
        let table = routes::build(&config, &described, &outlets, &mut cell, &self.meters, injected)?;
        let table = table.with_public(own_paths::public(manifests.values()));
        let rules = self.rules(&config, table)?;
        Ok(Next { config, outlets, rules, described, cells, stale })
    }

    /// How connections would leave. CA files are read now, so that a wrong path is told with its place.
    fn outlets(&self, config: &Config) -> Result<Outlets, Fault> {
        let wrong = |path: &[&str], fault: Fault| Fault::from(config.mistake(path, &fault));
        let defaults =
            outlet_defaults(config).map_err(|fault| wrong(&["upstream", "outbound_proxy"], fault))?;
        let mut outlets = Outlets { defaults, ..Outlets::default() };
        let mut own = Vec::new();
        for (id, connection) in &config.resolved.connections {
            if connection.extra_ca.is_some() || connection.outbound_proxy.is_some() {
                let name = id.to_string();
                let options = outlets.options(id, &connection.settings);
                let options =
                    options.map_err(|fault| wrong(&["connections", &name, "outbound_proxy"], fault))?;
                own.push((name, options));
            }
        }
        let wanted: HashSet<_> =
            own.iter().map(|(_, options)| options).chain([&outlets.defaults]).cloned().collect();
        outlets.connectors = self.directory.settings.outbound().current().connectors.successor(&wanted);
        outlets.connector(&outlets.defaults).map_err(|fault| wrong(&["upstream", "extra_ca"], fault))?;
        for (name, options) in &own {
            outlets.connector(options).map_err(|fault| wrong(&["connections", name, "extra_ca"], fault))?;
        }
        Ok(outlets)
    }
}

impl Serving {
    /// Reads the configuration again and puts it in force, if it is good and another one. A bad one changes
    /// nothing.
    pub(super) async fn reload(&self, cause: Cause) -> Result<Value, Fault> {
        if cause == Cause::Asked {
            self.renew_plugins().await;
        }
        let mut made = self.made.lock().await;
        let read = self.config_reader.read(self.app.config().sources().clone()).await?;
        self.take_over(&mut made, read.config, cause).await
    }

    /// The same after a file changed; `false` if somebody was still writing, who may not have come far.
    pub(super) async fn follow(&self) -> bool {
        let mut made = self.made.lock().await;
        match self.config_reader.read(self.app.config().sources().clone()).await {
            Ok(read) if !read.settled => return false,
            // What comes of it is in the log and in the status.
            Ok(read) => drop(self.take_over(&mut made, read.config, Cause::Watch).await),
            Err(fault) => tracing::error!(error = %fault, "the configuration cannot be followed"),
        }
        true
    }

    async fn take_over(
        &self,
        made: &mut Made,
        read: Result<Config, ConfigError>,
        cause: Cause,
    ) -> Result<Value, Fault> {
        let _reloading = Reloading::begin();
        let outcome = self.reload_over(made, read, cause).await;
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok((changes, config)) => {
                standing.loaded(&changes, &config);
                Ok(standing.answer(&changes))
            }
            Err(fault) => {
                standing.failed(&fault);
                Err(fault)
            }
        }
    }

    /// Looks at the plugins' files, whatever the configuration is worth, and gives what is broken a new image.
    async fn renew_plugins(&self) {
        let changed = self.app.registry().rescan().await;
        if !changed.is_empty() {
            self.follow_plugins(&changed).await;
        }
    }

    async fn reload_over(
        &self,
        made: &mut Made,
        read: Result<Config, ConfigError>,
        cause: Cause,
    ) -> Result<(Changes, Arc<Config>), Fault> {
        let config = Arc::new(read?);
        let same = made.config.as_ref().is_some_and(|old| old.resolved == config.resolved);
        if same && cause == Cause::Watch {
            return Ok((Changes::default(), config));
        }
        let changes = made.config.as_ref().map(|old| config.changes_since(old)).unwrap_or_default();
        self.app.check(&config, made).await?;
        let next = self.app.prepare(Arc::clone(&config), made).await?;
        self.put_in_force(next, made)?;
        Ok((changes, config))
    }

    /// Asks the providers again about what may have changed with them, and makes the routes anew.
    pub(super) async fn rebuild_routes(&self) -> Result<(), Fault> {
        let mut made = self.made.lock().await;
        let next = self.app.prepare(self.app.config(), &made).await?;
        self.put_in_force(next, &mut made)
    }

    /// Without a pause, so that no call for a credential starts in between: it would take the settings of one
    /// configuration to the upstream of the other.
    fn put_in_force(&self, next: Next, made: &mut Made) -> Result<(), Fault> {
        let Next { config, outlets, rules, described, cells, stale } = next;
        let admin =
            self.admin_port.prepare(&config).map_err(|error| listeners::admin_refused(&config, &error))?;
        // The last that can fail: it binds all of the new listeners, or none.
        self.doors
            .change(&listeners::wanted(&config))
            .map_err(|error| listeners::refused(&config, &error))?;
        self.admin_port.commit(admin);
        let keys: BTreeSet<_> = cells.keys().cloned().collect();
        for id in &stale {
            self.app.registry().forget(id);
        }
        let released = made.keys.difference(&keys).cloned().collect();
        self.app.credentials.adopt(Turnover { cells, stale, released });
        self.app.directory.settings.outbound().replace(Arc::new(outlets));
        self.app.directory.settings.replace(Arc::clone(&config));
        self.rules.store(Arc::new(rules));
        let refresh = config.resolved.refresh;
        if made.config.as_ref().is_some_and(|old| old.resolved.refresh != refresh) {
            self.app.credentials.set_policy(refresh);
        }
        self.in_force.send_replace(Arc::clone(&config));
        *made = Made { config: Some(config), described, keys };
        Ok(())
    }
}

impl Standing {
    pub(super) fn new(config: &Config) -> Self {
        let fixed = FIXED.iter().map(|path| config.value(path)).collect();
        Self {
            loaded_at: UnixMillis::now(),
            failure: None,
            fixed,
            needs_restart: Vec::new(),
            reloads: BTreeMap::new(),
        }
    }

    fn loaded(&mut self, changes: &Changes, config: &Config) {
        let mended = self.failure.take().is_some();
        let differs = FIXED.iter().zip(&self.fixed).filter(|(path, was)| config.value(path) != **was);
        self.needs_restart = differs.map(|(path, _)| path.join(".")).collect();
        if changes.is_empty() && !mended {
            return tracing::debug!("the configuration is as it was");
        }
        self.loaded_at = UnixMillis::now();
        *self.reloads.entry("ok").or_default() += 1;
        tracing::info!(%changes, "configuration reloaded");
        for key in self.needs_restart.iter().filter(|key| changes.settings.contains(key)) {
            tracing::warn!("`{key}` needs a restart");
        }
    }

    fn failed(&mut self, fault: &Fault) {
        *self.reloads.entry(fault.code.as_str()).or_default() += 1;
        tracing::error!(error = %fault, hint = fault.hint, "the configuration stays as it was");
        self.failure = Some((UnixMillis::now(), fault.clone()));
    }

    fn answer(&self, changes: &Changes) -> Value {
        json!({
            "schema": "ccproxy.reload/1",
            "changed": !changes.is_empty(),
            "settings": changes.settings,
            "connections": changes.connections,
            "routes": changes.routes,
            "needs_restart": self.needs_restart,
        })
    }

    /// How often another configuration was put in force or refused.
    pub(super) fn reloads(&self) -> &BTreeMap<&'static str, u64> {
        &self.reloads
    }

    /// The member `config` of `ccproxy.status/1`.
    pub(super) fn document(&self) -> Value {
        let problem = self.failure.as_ref().map(|(at, fault)| {
            json!({
                "at": at.rfc3339(),
                "code": fault.code.as_str(),
                "message": fault.message,
                "hint": fault.hint,
                "detail": fault.transcript,
            })
        });
        json!({
            "state": if problem.is_some() { "reload_failed" } else { "ok" },
            "loaded_at": self.loaded_at.rfc3339(),
            "problem": problem,
            "needs_restart": self.needs_restart,
        })
    }
}

/// Connections that are gone, or have other settings than they had.
fn stale(old: &Config, new: &Config) -> BTreeSet<ConnectionId> {
    let new = &new.resolved.connections;
    let other = old
        .resolved
        .connections
        .iter()
        .filter(|(id, was)| new.get(id).is_none_or(|is| is.generation != was.generation));
    other.map(|(id, _)| id.clone()).collect()
}
