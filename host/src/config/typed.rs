//! What the host runs on: the configuration with every value parsed.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error};
use url::Url;

use super::duration;
use super::named::{ConnectionConfig, RouteConfig};
use crate::credential::Policy;
use crate::model::{ConnectionId, Name};

/// The configuration, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// `[server]`.
    pub server: Server,
    /// `[admin]`.
    pub admin: Admin,
    /// `[upstream]`.
    pub upstream: Upstream,
    /// `[plugins]`.
    pub plugins: Plugins,
    /// `[storage]`.
    pub storage: Storage,
    /// `[refresh]`.
    pub refresh: Policy,
    /// `[logging]`.
    pub logging: Logging,
    /// `[connections.*]`, stored ones included.
    pub connections: BTreeMap<ConnectionId, ConnectionConfig>,
    /// `[routes.*]`.
    pub routes: BTreeMap<Name, RouteConfig>,
}

/// `[server]`: the proxy's own listeners.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Where to listen, in the order written.
    pub listen: Vec<ListenAddress>,
    /// Worker threads; 0 means one per core.
    pub workers: usize,
    /// Who may enter.
    pub access: Access,
    /// Authorities besides loopback names with our port.
    pub allowed_hosts: Vec<String>,
    /// Web origins that may call us.
    pub allowed_origins: Vec<String>,
    /// Whether clients may speak HTTP/2 in the clear.
    pub http2: bool,
    /// How long a stop waits for requests to end.
    #[serde(deserialize_with = "duration::deserialize")]
    pub drain_timeout: Duration,
    /// Whether a listener that is not loopback may do without TLS.
    pub insecure_cleartext: bool,
    /// `[server.tls]`.
    pub tls: Tls,
}

/// `[server.tls]`: for `https://` listeners.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate chain.
    pub cert: Option<PathBuf>,
    /// The private key.
    pub key: Option<PathBuf>,
    /// Whether a CA of our own makes the certificates.
    pub local_ca: bool,
}

/// A place to listen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// `ADDR:PORT`; the port may be 0.
    Tcp(SocketAddr),
    /// `https://ADDR:PORT`.
    Https(SocketAddr),
    /// `unix:/path`.
    Unix(PathBuf),
    /// `fd:N`, handed over by a service manager.
    Fd(u32),
}

impl ListenAddress {
    /// Whether there is only room for one of the two. Any number may have a free port each.
    pub(super) fn collides_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tcp(one) | Self::Https(one), Self::Tcp(two) | Self::Https(two)) => {
                one == two && one.port() != 0
            }
            _ => self == other,
        }
    }
}

/// A text that is no [`ListenAddress`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an address with a port from 0 to 65535")]
pub struct InvalidListenAddress(String);

impl FromStr for ListenAddress {
    type Err = InvalidListenAddress;

    fn from_str(text: &str) -> Result<Self, InvalidListenAddress> {
        let parsed = if let Some(rest) = text.strip_prefix("https://") {
            rest.strip_suffix('/').unwrap_or(rest).parse().ok().map(Self::Https)
        } else if let Some(path) = text.strip_prefix("unix:") {
            (path.starts_with('/') && path.len() > 1).then(|| Self::Unix(path.into()))
        } else if let Some(number) = text.strip_prefix("fd:") {
            number.parse().ok().map(Self::Fd)
        } else {
            text.parse().ok().map(Self::Tcp)
        };
        parsed.ok_or_else(|| InvalidListenAddress(text.into()))
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Https(address) => write!(f, "https://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Fd(number) => write!(f, "fd:{number}"),
        }
    }
}

impl<'de> Deserialize<'de> for ListenAddress {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        String::deserialize(source)?.parse().map_err(D::Error::custom)
    }
}

/// `server.access`: who may enter. Section 6 of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Loopback peers of our own uid need no key.
    SameUser,
    /// Everybody needs a key.
    Key,
    /// Nobody needs a key.
    Open,
}

impl Access {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SameUser => "same-user",
            Self::Key => "key",
            Self::Open => "open",
        }
    }
}

/// `[admin]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// Where the API listens over TCP; `None` for `off`.
    #[serde(deserialize_with = "unless_off")]
    pub listen: Option<SocketAddr>,
    /// Whether the API hands out tokens on the Unix socket.
    pub credentials: bool,
}

/// `[upstream]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// For upstreams and token calls.
    pub outbound_proxy: OutboundProxy,
    /// CAs besides the system's.
    pub extra_ca: Option<PathBuf>,
}

/// Through what upstreams are reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutboundProxy {
    /// `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`.
    Env,
    /// Directly.
    None,
    /// This one.
    Url(Url),
}

impl FromStr for OutboundProxy {
    type Err = url::ParseError;

    fn from_str(text: &str) -> Result<Self, url::ParseError> {
        match text {
            "env" => Ok(Self::Env),
            "none" => Ok(Self::None),
            url => url.parse().map(Self::Url),
        }
    }
}

impl<'de> Deserialize<'de> for OutboundProxy {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        String::deserialize(source)?.parse().map_err(D::Error::custom)
    }
}

/// `[plugins]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plugins {
    /// Searched besides the built-in directories.
    pub dirs: Vec<PathBuf>,
    /// Which files may be loaded.
    pub trust: Trust,
    /// Ids that are not loaded.
    pub disabled: Vec<Name>,
}

/// `plugins.trust`. Section 5 of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// The first file of an id is pinned.
    Tofu,
    /// Only what `plugin trust` pinned.
    Pinned,
    /// Whatever lies in a safe directory.
    Any,
}

/// `[storage]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storage {
    /// Where grants are kept.
    pub backend: Backend,
}

/// `storage.backend`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// The best there is on this machine; the file store in this version.
    Auto,
    /// The desktop's keyring.
    Keyring,
    /// Files below the state directory.
    File,
    /// Nowhere: gone with the process.
    Memory,
    /// A database shared by several hosts.
    Postgres,
}

/// `[logging]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Logging {
    /// How much.
    pub level: LogLevel,
    /// In which form.
    pub format: LogFormat,
    /// A line per request.
    pub access_log: bool,
}

/// `logging.level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// What broke.
    Error,
    /// What may break.
    Warn,
    /// Changes of state.
    Info,
    /// Decisions with their reasons.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// `logging.format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// A URL that must be one if it is there.
pub(super) fn optional_url<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Url>, D::Error> {
    String::deserialize(source)?.parse().map(Some).map_err(D::Error::custom)
}

fn unless_off<'de, D: Deserializer<'de>>(source: D) -> Result<Option<SocketAddr>, D::Error> {
    match String::deserialize(source)?.as_str() {
        "off" => Ok(None),
        address => address.parse().map(Some).map_err(D::Error::custom),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn listen_addresses_are_read_back_as_written() {
        for text in ["127.0.0.1:8462", "[::1]:0", "https://127.0.0.1:8472", "unix:/run/ccproxy.sock", "fd:3"]
        {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), text);
        }
        for bad in ["127.0.0.1", "localhost:8462", "127.0.0.1:80800", "unix:relative", "fd:", "https://x:1"] {
            assert!(bad.parse::<ListenAddress>().is_err(), "{bad} passed");
        }
    }
}
