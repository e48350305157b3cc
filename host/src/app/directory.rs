//! Which connections there are and who speaks for them, right now.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use serde_json::Value;
use tokio::runtime::Handle;

use crate::config::{self, Config, ConnectionConfig, SecretRef};
use crate::credential::{Issuer, Providers};
use crate::fault::{Code, Fault};
use crate::hint::listed;
use crate::login::nearest;
use crate::model::{Connection, ConnectionId, Name};
use crate::plugin::{Connections, Description, Outbound, Outlets, Plugin, Registry, Secrets};
use crate::secret::Secret;
use crate::upstream::connect::{ConnectorOptions, OutboundProxy};

/// The configuration in force and what is derived from it. A reload swaps it whole.
pub struct Settings {
    config: ArcSwap<Config>,
    outbound: Outbound,
    /// Connections that a login under way would make or change. They are seen before the configuration's.
    drafts: Mutex<BTreeMap<ConnectionId, Arc<Connection>>>,
}

/// A connection that exists for as long as a login is under way.
pub struct Seen<'a> {
    settings: &'a Settings,
    id: ConnectionId,
}

impl Drop for Seen<'_> {
    fn drop(&mut self) {
        self.settings.drafts().remove(&self.id);
    }
}

impl Settings {
    /// These settings, from now on.
    pub fn new(config: Config) -> Result<Self, Fault> {
        let outlets = Outlets { defaults: outlet_defaults(&config)?, ..Outlets::default() };
        let outbound = Outbound::new(outlets);
        Ok(Self { config: ArcSwap::from_pointee(config), outbound, drafts: Mutex::default() })
    }

    /// How token calls leave; connections of requests share it.
    pub fn outbound(&self) -> Outbound {
        self.outbound.clone()
    }

    /// The configuration in force.
    pub fn config(&self) -> Arc<Config> {
        self.config.load_full()
    }

    /// Puts another in force.
    pub fn replace(&self, config: Arc<Config>) {
        self.config.store(config);
    }

    /// Lets a connection be used before it is stored, until the answer is dropped.
    pub fn draft(&self, connection: Connection) -> Seen<'_> {
        let id = connection.id.clone();
        self.drafts().insert(id.clone(), Arc::new(connection));
        Seen { settings: self, id }
    }

    fn is_draft(&self, id: &ConnectionId) -> bool {
        self.drafts().contains_key(id)
    }

    fn drafts(&self) -> MutexGuard<'_, BTreeMap<ConnectionId, Arc<Connection>>> {
        self.drafts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection: configured, stored, or being made.
    pub fn connection(&self, id: &ConnectionId) -> Result<Arc<Connection>, Fault> {
        if let Some(draft) = self.drafts().get(id) {
            return Ok(Arc::clone(draft));
        }
        let config = self.config();
        match config.resolved.connections.get(id) {
            Some(found) => Ok(Arc::new(found.to_connection(id))),
            None => Err(unknown_connection(id, &config)),
        }
    }
}

impl Secrets for Settings {
    fn resolve(&self, connection: &Connection, name: &str) -> Result<Secret, Fault> {
        let id = &connection.id;
        let reference = match connection.settings.get(name) {
            // `fallback_env = "HF_TOKEN"` names a variable and nothing else.
            Some(Value::String(variable)) if name == "fallback_env" => SecretRef::Env(variable.clone()),
            Some(reference) => SecretRef::parse(reference)
                .map_err(|why| Fault::new(Code::InvalidConfig, format!("`{name}` of `{id}`: {why}")))?,
            None => {
                let missing = format!("the setting `{name}` of `{id}` is missing");
                return Err(Fault::new(Code::InvalidConfig, missing));
            }
        };
        let config = self.config();
        // Called beside the cell, on a thread that may block.
        Handle::current().block_on(reference.resolve(&config.sources().env))
    }

    fn token_override(&self, id: &ConnectionId) -> Option<Secret> {
        self.config().token_overrides().get(id).cloned()
    }
}

impl Connections for Settings {
    fn of(&self, provider: &Name, schema: &Value) -> Vec<Connection> {
        let config = self.config();
        let own = config.resolved.connections.iter().filter(|(_, found)| found.provider == *provider);
        own.map(|(id, found)| Connection {
            settings: config.typed_settings(id, schema),
            ..found.to_connection(id)
        })
        .collect()
    }
}

/// The `[upstream]` table as connectors know it.
pub(super) fn outlet_defaults(config: &Config) -> Result<ConnectorOptions, Fault> {
    let upstream = &config.resolved.upstream;
    Ok(ConnectorOptions {
        extra_ca: upstream.extra_ca.clone(),
        outbound_proxy: outbound_proxy(&upstream.outbound_proxy)?,
        ..ConnectorOptions::default()
    })
}

/// The setting as the connector knows it.
fn outbound_proxy(setting: &config::OutboundProxy) -> Result<OutboundProxy, Fault> {
    let text = match setting {
        config::OutboundProxy::Env => return Ok(OutboundProxy::Env),
        config::OutboundProxy::None => return Ok(OutboundProxy::None),
        config::OutboundProxy::Url(url) => url.as_str(),
    };
    text.parse()
        .map_err(|error| Fault::new(Code::InvalidConfig, format!("`upstream.outbound_proxy`: {error}")))
}

/// A name that is no connection, with the nearest that is.
pub fn unknown_connection(id: &ConnectionId, config: &Config) -> Fault {
    let text = id.to_string();
    let names: Vec<String> = config.resolved.connections.keys().map(ToString::to_string).collect();
    let hint = match nearest(&text, names.iter().map(String::as_str)) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None if names.is_empty() => "ccproxy auth login PROVIDER".to_owned(),
        None => format!("configured: {}", listed(names.iter().map(String::as_str))),
    };
    Fault::new(Code::NotLoggedIn, format!("no connection is named `{id}`")).hint(hint)
}

/// About how many connections plugins are asked at once. Each plugin has a thread, which then wakes up for
/// many of ten thousand questions instead of for each.
pub const AT_A_TIME: usize = 64;

/// Settings and plugins together.
pub struct Directory {
    /// The configuration in force.
    pub settings: Arc<Settings>,
    /// The plugins.
    pub registry: Arc<Registry>,
}

impl Directory {
    /// A connection and its plugin, loaded if it was not yet. Settings that came as text, from the
    /// environment or a flag, have the types of the plugin's schema.
    pub async fn lookup(&self, id: &ConnectionId) -> Result<(Arc<Connection>, Arc<Plugin>), Fault> {
        let connection = self.settings.connection(id)?;
        let plugin = self.registry.load(&connection.provider).await?;
        let connection = self.typed(&connection, &plugin);
        Ok((connection, plugin))
    }

    fn typed(&self, connection: &Arc<Connection>, plugin: &Plugin) -> Arc<Connection> {
        if self.settings.is_draft(&connection.id) {
            return Arc::clone(connection);
        }
        let typed = self.settings.config().typed_settings(&connection.id, plugin.settings_schema());
        if typed == connection.settings {
            return Arc::clone(connection);
        }
        Arc::new(Connection { settings: typed, ..(**connection).clone() })
    }

    /// What a provider says of a connection, after its settings were checked against the schema.
    pub async fn describe(&self, id: &ConnectionId) -> Result<Description, Fault> {
        let (connection, plugin) = self.lookup(id).await?;
        checked(&self.settings.config(), id, &plugin)?;
        self.registry.describe(&plugin, &connection).await
    }

    /// The same of a connection as another configuration has it, and which plugin said it.
    pub async fn describe_as(
        &self,
        config: &Config,
        id: &ConnectionId,
        own: &ConnectionConfig,
    ) -> Result<(Arc<Plugin>, Description), Fault> {
        let plugin = self.registry.load(&own.provider).await?;
        checked(config, id, &plugin)?;
        let settings = config.typed_settings(id, plugin.settings_schema());
        let connection = Connection { settings, ..own.to_connection(id) };
        let description = self.registry.describe(&plugin, &connection).await?;
        Ok((plugin, description))
    }

    /// Every connection with its settings.
    pub fn connections(&self) -> Vec<(ConnectionId, ConnectionConfig)> {
        let config = self.settings.config();
        config.resolved.connections.iter().map(|(id, own)| (id.clone(), own.clone())).collect()
    }
}

/// Refuses settings that the schema of their provider does not know.
fn checked(config: &Config, id: &ConnectionId, plugin: &Plugin) -> Result<(), Fault> {
    let problems = config.check_settings(id, plugin.settings_schema());
    let Some(first) = problems.first() else { return Ok(()) };
    let fault = Fault::new(Code::InvalidConfig, format!("{}: {}", first.origin, first.message));
    Err(Fault { hint: first.hint.clone(), ..fault })
}

impl Providers for Directory {
    fn resolve(&self, id: &ConnectionId) -> Result<(Arc<Connection>, Arc<dyn Issuer>), Fault> {
        let connection = self.settings.connection(id)?;
        let issuer = self.registry.issuer(&connection.provider)?;
        // A plugin that serves has said what types its settings have.
        let typed = self.registry.get(&connection.provider).map(|plugin| self.typed(&connection, &plugin));
        Ok((typed.unwrap_or(connection), issuer))
    }
}
