//! The tables that people name: connections and routes, with every value parsed.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use url::Url;

use super::origin::Origin;
use super::typed::{ListenAddress, OutboundProxy};
use crate::model::{Connection, ConnectionId, Name, Target};

/// `[connections.*]`.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionConfig {
    /// The plugin that logs it in.
    pub provider: Name,
    /// All settings but `provider`, secret references included.
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// `upstream`: base URL behind `/<connection>/`; the provider's default if absent.
    pub upstream: Option<Url>,
    /// `timeout`: to the response head.
    pub timeout: Option<Duration>,
    /// `extra_ca`: trusted for this connection too.
    pub extra_ca: Option<PathBuf>,
    /// `outbound_proxy`, instead of the one of `[upstream]`.
    pub outbound_proxy: Option<OutboundProxy>,
    /// `flow`: how to log in.
    pub flow: Option<String>,
    /// Where the connection is written.
    pub origin: Origin,
    /// Whether only the store has it, so that the command line may rewrite or remove it.
    pub stored: bool,
    /// Whether the store has it and a file of higher precedence too: the file wins.
    pub shadowed_store: bool,
    /// Changes when provider or settings do. A digest: it can be compared, not ordered.
    pub generation: u64,
}

impl ConnectionConfig {
    /// The connection as the rest of the host knows it.
    pub fn to_connection(&self, id: &ConnectionId) -> Connection {
        Connection {
            id: id.clone(),
            provider: self.provider.clone(),
            settings: self.settings.clone(),
            settings_generation: self.generation,
        }
    }
}

/// `[routes.*]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteConfig {
    /// The first path segment.
    pub path: String,
    /// The base URL; the connection's if absent.
    pub upstream: Option<Url>,
    /// Whose credential is injected.
    pub connection: ConnectionId,
    /// `scopes`, `audience`, `resource` and `inject`: for what.
    pub target: Target,
    /// To the response head.
    pub timeout: Duration,
    /// That may pass; empty means all but TRACE and CONNECT.
    pub methods: Vec<http::Method>,
    /// What happens to cookies.
    pub cookies: Cookies,
    /// Response fields rewritten to our own URL.
    pub rewrite: Vec<http::HeaderName>,
    /// JSON members rewritten likewise.
    pub rewrite_json: Vec<String>,
    /// A listener of its own.
    pub listen: Option<ListenAddress>,
    /// The Host that the upstream is sent instead of its own.
    pub host: Option<String>,
    /// HTTP/2 to the upstream; negotiated if absent.
    pub http2: Option<bool>,
    /// Where the route is written.
    pub origin: Origin,
}

/// `routes.*.cookies`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cookies {
    /// Removed both ways.
    Drop,
    /// Left alone.
    Pass,
}
