//! How requests and token calls leave: a connection's CA and outbound proxy, else the host's.

use std::sync::Arc;

use arc_swap::ArcSwap;
use serde_json::{Map, Value};

use crate::fault::{Code, Fault};
use crate::model::{Connection, ConnectionId};
use crate::upstream::connect::{Connector, ConnectorOptions, Connectors};

/// The way out that is in force. Cheap to clone; all clones see it change.
#[derive(Clone, Default)]
pub struct Outbound(Arc<ArcSwap<Outlets>>);

/// The ways out of one configuration.
#[derive(Default)]
pub struct Outlets {
    /// The `[upstream]` table.
    pub defaults: ConnectorOptions,
    /// Shared with the request path, so that equal options share TLS configuration.
    pub connectors: Connectors,
}

impl Outlets {
    /// The options of a connection: its settings `extra_ca` and `outbound_proxy` over the defaults.
    pub fn options(
        &self,
        id: &ConnectionId,
        settings: &Map<String, Value>,
    ) -> Result<ConnectorOptions, Fault> {
        let mut options = self.defaults.clone();
        let setting = |name: &str| settings.get(name).and_then(Value::as_str);
        if let Some(path) = setting("extra_ca") {
            options.extra_ca = Some(path.into());
        }
        if let Some(proxy) = setting("outbound_proxy") {
            options.outbound_proxy = proxy.parse().map_err(|error| {
                Fault::new(Code::InvalidConfig, format!("`outbound_proxy` of `{id}`: {error}"))
            })?;
        }
        Ok(options)
    }

    /// Opens the connections of these options.
    pub fn connector(&self, options: &ConnectorOptions) -> Result<Arc<Connector>, Fault> {
        let connector = self.connectors.get(options);
        connector.map_err(|error| Fault::new(Code::InvalidConfig, error.to_string()).hint("check `extra_ca`"))
    }
}

impl Outbound {
    /// These ways out, from now on.
    pub fn new(outlets: Outlets) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(outlets)))
    }

    /// Those in force.
    pub fn current(&self) -> Arc<Outlets> {
        self.0.load_full()
    }

    /// Puts others in force.
    pub fn replace(&self, outlets: Arc<Outlets>) {
        self.0.store(outlets);
    }

    pub(super) fn connector(&self, connection: Option<&Connection>) -> Result<Arc<Connector>, Fault> {
        let outlets = self.current();
        let options = match connection {
            Some(connection) => outlets.options(&connection.id, &connection.settings)?,
            None => outlets.defaults.clone(),
        };
        outlets.connector(&options)
    }
}
