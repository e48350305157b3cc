//! What every command starts from: flags, configuration, the running host.

use std::collections::BTreeMap;
use std::io::IsTerminal;

use serde_json::Value;

use super::Global;
use super::client::Host;
use super::error::CliError;
use super::output::Output;
use crate::app::{App, dedicated_urls, expected_listeners, shared_urls};
use crate::config::{Config, ConfigError, Env, Paths, Sources};
use crate::login::{self, Target};
use crate::model::{ConnectionId, Name};

/// The command's surroundings.
pub(super) struct Context {
    pub(super) global: Global,
    pub(super) out: Output,
}

/// How the proxy is reached.
pub(super) enum WayIn {
    /// At this URL.
    Web(String),
    /// Through this Unix socket, and no port.
    Socket(String),
}

impl WayIn {
    /// The URL to ask for; through a socket its host has no meaning but must be ours.
    pub(super) fn base_url(&self) -> String {
        match self {
            Self::Web(url) => url.clone(),
            Self::Socket(_) => "http://localhost".into(),
        }
    }
}

/// A provider, the schema of its settings, and further spellings of their flags.
pub(super) type ProviderSchema = (String, Value, BTreeMap<String, String>);

impl Context {
    pub(super) fn new(global: Global) -> Self {
        let out = Output::from_environment(global.json);
        Self { global, out }
    }

    /// Whether questions may be asked.
    pub(super) fn interactive(&self) -> bool {
        let ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
        !self.global.no_input && !ci && std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    /// The directories of this user.
    pub(super) fn paths(&self) -> Result<Paths, CliError> {
        Ok(Paths::from_env(&Env::of_process())?)
    }

    /// The configuration.
    pub(super) fn config(&self) -> Result<Config, CliError> {
        self.config_with(Vec::new(), Vec::new())
    }

    /// The configuration under `serve`'s own flags.
    pub(super) fn config_with(&self, sets: Vec<String>, listen: Vec<String>) -> Result<Config, CliError> {
        Ok(Config::load(&Sources { sets, listen, ..self.sources()? })?)
    }

    /// The configuration of a host that only a child of ours uses.
    pub(super) fn private_config(&self) -> Result<Config, CliError> {
        Ok(Config::load(&Sources { private: true, ..self.sources()? })?)
    }

    pub(super) fn sources(&self) -> Result<Sources, CliError> {
        let env = Env::of_process();
        Ok(Sources {
            config_flag: self.global.config.clone(),
            plugin_dirs: self.global.plugin_dir.clone(),
            ..Sources::new(Paths::from_env(&env)?, env)
        })
    }

    /// Everything that commands share with the host.
    pub(super) fn app(&self) -> Result<App, CliError> {
        Ok(App::open(self.config()?)?)
    }

    /// The host that runs on our directories, if one does.
    pub(super) async fn host(&self) -> Result<Option<Host>, CliError> {
        Host::find(&self.paths()?).await
    }

    /// The host that runs on our directories; it is an error that none does.
    pub(super) async fn running_host(&self) -> Result<Host, CliError> {
        let none = || CliError::not_found("no host runs on these directories").hint("ccproxy serve");
        self.host().await?.ok_or_else(none)
    }

    /// Refuses a connection that does not exist, with the nearest that does.
    pub(super) fn known(&self, id: &ConnectionId) -> Result<(), CliError> {
        let config = self.config()?;
        if config.resolved.connections.contains_key(id) {
            return Ok(());
        }
        let known: Vec<String> = config.resolved.connections.keys().map(ToString::to_string).collect();
        Err(CliError::no_such("connection", &id.to_string(), known.iter().map(String::as_str)))
    }

    /// Where a route has a listener of its own, as the running host or else the configuration has it.
    pub(super) async fn own_url(&self, route: &Name) -> Result<Option<String>, CliError> {
        match self.host().await? {
            Some(host) => Ok(host.status.route_listeners.get(route).cloned()),
            None => Ok(dedicated_urls(&expected_listeners(&self.config()?)).remove(route)),
        }
    }

    /// How tools reach the proxy: by the running host's first port, else by the configured one, else by a socket.
    pub(super) async fn way_in(&self) -> Result<WayIn, CliError> {
        let listen = match self.host().await? {
            Some(host) => host.status.listen,
            None => shared_urls(&expected_listeners(&self.config()?)),
        };
        let web = listen.iter().find(|url| url.starts_with("http"));
        Ok(match (web, listen.first()) {
            (Some(url), _) => WayIn::Web(from_here(url.trim_end_matches('/'))),
            (None, Some(socket)) => WayIn::Socket(socket.trim_start_matches("unix:").to_owned()),
            // All are descriptors that only the running host can look at.
            (None, None) => WayIn::Web("http://127.0.0.1:8462".into()),
        })
    }

    /// The URL in front of every route's path. No final slash.
    pub(super) async fn base_url(&self) -> Result<String, CliError> {
        Ok(self.way_in().await?.base_url())
    }

    /// The settings schema of the provider that a login would use.
    pub(super) async fn provider_schema(&self, target: &str) -> Result<ProviderSchema, CliError> {
        let app = self.app()?;
        let config = app.config();
        let manifests = app.registry().manifests();
        let known = login::Known {
            connections: config.resolved.connections.iter().map(|(id, own)| (id, &own.provider)).collect(),
            providers: manifests.iter().map(|(id, manifest)| (id, manifest.presets.as_slice())).collect(),
        };
        let provider = match login::resolve(target, None, &known)? {
            Target::Existing(id) => {
                let own = config.resolved.connections.get(&id);
                own.expect("only a configured connection resolves to itself").provider.clone()
            }
            Target::New { provider, .. } => provider,
        };
        let plugin = app.registry().load(&provider).await?;
        let aliases = plugin.manifest().aliases.clone();
        Ok((provider.to_string(), plugin.settings_schema().clone(), aliases))
    }
}

/// Every address of this machine is one that nobody can ask for; this machine's own is among them.
pub(super) fn from_here(url: &str) -> String {
    url.replace("://0.0.0.0:", "://127.0.0.1:").replace("://[::]:", "://[::1]:")
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        crate::fault::Fault::from(error).into()
    }
}
