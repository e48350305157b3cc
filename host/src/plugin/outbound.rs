//! How a connection's token calls leave: its CA and its outbound proxy, else the host's.

use std::sync::Arc;

use crate::fault::{Code, Fault};
use crate::model::Connection;
use crate::upstream::connect::{Connector, ConnectorOptions, Connectors};

/// Makes connectors for token calls. Cheap to clone.
#[derive(Clone, Default)]
pub struct Outbound {
    /// The `[upstream]` table.
    pub defaults: ConnectorOptions,
    /// Shared with the request path, so that equal options share TLS configuration.
    pub connectors: Arc<Connectors>,
}

impl Outbound {
    /// The options of a connection: its settings `extra_ca` and `outbound_proxy` over the defaults.
    pub fn options(&self, connection: Option<&Connection>) -> Result<ConnectorOptions, Fault> {
        let mut options = self.defaults.clone();
        let Some(connection) = connection else { return Ok(options) };
        let setting = |name: &str| connection.settings.get(name).and_then(|value| value.as_str());
        if let Some(path) = setting("extra_ca") {
            options.extra_ca = Some(path.into());
        }
        if let Some(proxy) = setting("outbound_proxy") {
            options.outbound_proxy = proxy.parse().map_err(|error| {
                Fault::new(Code::InvalidConfig, format!("`outbound_proxy` of `{}`: {error}", connection.id))
            })?;
        }
        Ok(options)
    }

    pub(super) fn connector(&self, connection: Option<&Connection>) -> Result<Arc<Connector>, Fault> {
        let options = self.options(connection)?;
        self.connectors.get(&options).map_err(|error| Fault::new(Code::InvalidConfig, error.to_string()))
    }
}
