//! The one place that knows the order of the stages, and what commands and the admin socket can do.

mod admin_port;
mod callback;
mod config_reader;
mod connections;
mod control;
mod directory;
mod draft;
mod explain;
mod listeners;
mod login;
mod logins;
mod metrics;
mod own_paths;
mod plugins;
mod reload;
mod rename;
mod routes;
mod serve;
pub mod service_manager;
mod status;

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use tokio::runtime::Handle;

use crate::config::{self, Backend, Config, Paths};
use crate::credential::{Credentials, Prepared, Reason};
use crate::fault::Fault;
use crate::hook::Hooks;
use crate::keys::{KeyFile, Keys, NewKey};
use crate::login::Callbacks;
use crate::meter::Meters;
use crate::model::{ConnectionId, CredentialKey, Name, Target, UnixMillis};
use crate::plugin::{
    Deadlines, Description, Limits, Registry, RegistryConfig, Secrets as _, Services, Trust,
};
use crate::proxy::worker_count;
use crate::secret::Secret;
use crate::vault::{MemoryStore, Vault};

pub use callback::HostCallback;
use directory::AT_A_TIME;
pub use directory::{Directory, Settings, unknown_connection};
pub use explain::{Asked, Explainer, Explanation, Outcome, rewritten};
pub use listeners::{dedicated as dedicated_urls, expected as expected_listeners, shared as shared_urls};
pub use login::{Beginning, Client, LoggedIn, LoginFailure, shown_account};
pub use plugins::{plugin_document, plugins_document};
pub use serve::{Attached, StartError};
pub use status::{ConnectionStatus, CredentialStatus};

/// Everything that commands and the running host share: configuration, plugins, grants, credentials.
///
/// Opening it loads no plugin and touches no network: a plugin is loaded when it is first needed.
pub struct App {
    pub(crate) paths: Paths,
    pub(crate) directory: Arc<Directory>,
    pub(crate) vault: Vault,
    pub(crate) hooks: Hooks,
    pub(crate) credentials: Credentials,
    pub(crate) meters: Arc<Meters>,
    pub(crate) keys: Arc<Keys>,
    /// Logins of this process that wait for a browser at the proxy's own path.
    pub(crate) callbacks: Arc<Callbacks>,
}

impl App {
    /// Opens everything on the current runtime, which becomes the control runtime.
    pub fn open(config: Config) -> Result<Self, Fault> {
        let registry = registry_config(&config);
        Self::open_on(config, registry)
    }

    /// The same with another patience for plugins.
    pub fn open_with(config: Config, limits: Limits, deadlines: Deadlines) -> Result<Self, Fault> {
        let registry = RegistryConfig { limits, deadlines, ..registry_config(&config) };
        Self::open_on(config, registry)
    }

    /// The same for who only looks: no plugin is pinned.
    pub fn open_to_look(config: Config) -> Result<Self, Fault> {
        let registry = RegistryConfig { only_looks: true, ..registry_config(&config) };
        Self::open_on(config, registry)
    }

    fn open_on(config: Config, registry_config: RegistryConfig) -> Result<Self, Fault> {
        let paths = config.sources().paths.clone();
        let vault = open_vault(&config)?;
        // Until it serves it is a command.
        vault.set_brief(true);
        let hooks = Hooks::new(&Handle::current());
        let policy = config.resolved.refresh;
        let meters = Arc::new(Meters::new(worker_count(config.resolved.server.workers)));
        let settings = Arc::new(Settings::new(config)?);
        let registry = Registry::discover(
            registry_config,
            Services {
                hooks: Arc::new(hooks.clone()),
                secrets: settings.clone(),
                connections: settings.clone(),
                outbound: settings.outbound(),
                authenticated: OnceLock::new(),
            },
        );
        let directory = Arc::new(Directory { settings, registry });
        let credentials = Credentials::new(
            Handle::current(),
            vault.clone(),
            directory.clone(),
            policy,
            Arc::new(hooks.clone()),
        );
        let keys = Arc::new(Keys::of(KeyFile::at(paths.local_keys())));
        let callbacks = Arc::default();
        Ok(Self { paths, directory, vault, hooks, credentials, meters, keys, callbacks })
    }

    /// The same with a local key that is in no file and good for as long as it lives; and the key.
    pub fn lending_key(self, name: Name) -> Result<(Self, Secret), Fault> {
        let file = KeyFile::at(self.paths.local_keys());
        let (keys, text) = Keys::of(file).lending(NewKey::draw(name, None, false)?);
        Ok((Self { keys: Arc::new(keys), ..self }, text))
    }

    /// The configuration in force.
    pub fn config(&self) -> Arc<Config> {
        self.directory.settings.config()
    }

    /// The plugins.
    pub fn registry(&self) -> &Registry {
        &self.directory.registry
    }

    /// The credentials.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// How every connection stands. Asks a plugin only about connections without a grant, and only
    /// whether a person is needed; never the network.
    pub async fn status(&self) -> Vec<ConnectionStatus> {
        let all = self
            .directory
            .connections()
            .into_iter()
            .map(|(id, own)| async move { self.status_with(&id, &own.provider, &own.settings).await });
        stream::iter(all).buffered(AT_A_TIME).collect().await
    }

    /// How one connection stands.
    pub async fn status_of_one(&self, id: &ConnectionId) -> Result<ConnectionStatus, Fault> {
        let own = self.directory.settings.connection(id)?;
        Ok(self.status_with(id, &own.provider, &own.settings).await)
    }

    async fn status_with(
        &self,
        id: &ConnectionId,
        provider: &Name,
        settings: &serde_json::Map<String, serde_json::Value>,
    ) -> ConnectionStatus {
        let stored = self.vault.read(id);
        let registry = &self.directory.registry;
        let known = registry.manifests().contains_key(provider);
        let plugin = if known { Ok(()) } else { Err(registry.missing(provider)) };
        let needs_login = match (&stored, &plugin) {
            (Ok(None), Ok(())) => self.directory.describe(id).await.is_ok_and(|said| !said.needs_login),
            _ => false,
        };
        self.known(id, provider, settings, stored, plugin, !needs_login).status(UnixMillis::now())
    }

    /// The status of one connection, its plugin's answers known already.
    pub(crate) fn status_of(
        &self,
        id: &ConnectionId,
        plugin: Result<(), Fault>,
        needs_login: bool,
    ) -> Result<ConnectionStatus, Fault> {
        let connection = self.directory.settings.connection(id)?;
        let stored = self.vault.read(id);
        let known = self.known(id, &connection.provider, &connection.settings, stored, plugin, needs_login);
        Ok(known.status(UnixMillis::now()))
    }

    fn known<'a>(
        &'a self,
        id: &'a ConnectionId,
        provider: &'a Name,
        settings: &serde_json::Map<String, serde_json::Value>,
        stored: Result<Option<crate::vault::Envelope>, Fault>,
        plugin: Result<(), Fault>,
        needs_login: bool,
    ) -> status::Known<'a> {
        let overridden = self.directory.settings.token_override(id).is_some();
        status::Known {
            id,
            provider,
            scopes: login::scopes(settings),
            stored,
            storage: self.vault.storage(),
            override_variable: overridden.then(|| override_variable(id)),
            plugin,
            needs_login,
            live: Some(self.credentials.status(id)),
        }
    }

    /// What a provider says of a connection.
    pub async fn describe(&self, id: &ConnectionId) -> Result<Description, Fault> {
        self.directory.describe(id).await
    }

    /// A credential of a connection that lives at least `min_ttl`.
    pub async fn credential(
        &self,
        id: &ConnectionId,
        target: Target,
        min_ttl: Duration,
    ) -> Result<Arc<Prepared>, Fault> {
        self.directory.lookup(id).await?;
        let cell = self.credentials.cell(&CredentialKey { connection: id.clone(), target });
        self.credentials.acquire_lasting(&cell, Reason::Missing, min_ttl).await
    }

    /// For what a connection's credentials are used: its own route's target and those of its written
    /// routes, once per token (the injection form is no other token).
    pub(crate) fn targets(&self, id: &ConnectionId) -> Vec<CredentialKey> {
        let config = self.config();
        let written = config.resolved.routes.values().filter(|route| route.connection == *id);
        let targets: BTreeSet<Target> = written
            .map(|route| Target { inject: None, ..route.target.clone() })
            .chain([Target::default()])
            .collect();
        targets.into_iter().map(|target| CredentialKey { connection: id.clone(), target }).collect()
    }

    /// The plugin's stored record.
    pub(crate) fn record(&self, id: &ConnectionId) -> Result<Option<Secret>, Fault> {
        let envelope = self.vault.read(id)?;
        let payload = envelope.map(|envelope| envelope.payload).filter(|payload| !payload.is_null());
        Ok(payload.map(|payload| Secret::new(payload.expose().to_vec())))
    }

    /// Reads the configuration again, after a login has written it. One that cannot be read leaves the old in
    /// force.
    pub(crate) fn reload_settings(&self) -> Result<(), Fault> {
        let config = Config::load(self.config().sources())?;
        self.directory.settings.replace(Arc::new(config));
        Ok(())
    }
}

/// The variable of interface section 5: `CCPROXY_TOKEN__<CONNECTION>`.
fn override_variable(id: &ConnectionId) -> String {
    format!("CCPROXY_TOKEN__{}", id.to_string().to_ascii_uppercase().replace('/', "__").replace('-', "_"))
}

fn open_vault(config: &Config) -> Result<Vault, Fault> {
    match config.resolved.storage.backend {
        Backend::Memory => Ok(Vault::new(MemoryStore::default())),
        // `auto` is the file store; the others were refused as unsupported.
        Backend::Auto | Backend::File | Backend::Keyring | Backend::Postgres => {
            Vault::open(&config.sources().paths.state_dir)
        }
    }
}

fn registry_config(config: &Config) -> RegistryConfig {
    let paths = &config.sources().paths;
    let plugins = &config.resolved.plugins;
    RegistryConfig {
        dirs: config.plugin_dirs(),
        // Unknown only if /proc is missing; its directories are then not searched.
        executable: std::env::current_exe().ok(),
        trust: match plugins.trust {
            config::Trust::Tofu => Trust::Tofu,
            config::Trust::Pinned => Trust::Pinned,
            config::Trust::Any => Trust::Any,
        },
        lock: paths.plugins_lock(),
        only_looks: false,
        scratch: paths.state_dir.join("run/images"),
        disabled: plugins.disabled.clone(),
        limits: Limits::default(),
        deadlines: Deadlines::default(),
    }
}
