//! Opening a connection to an origin: name, TCP, an outbound proxy's `CONNECT`, TLS.
//!
//! Used by the request path and, for token calls, by the services lent to plugins.

mod io;
mod no_proxy;
mod outbound;
mod tcp;
mod tls;
mod tunnel;

use std::collections::{HashMap, HashSet};
use std::io as std_io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Origin, Scheme};
pub use io::Stream;
pub use outbound::{InvalidProxy, OutboundProxy, ProxyUrl};
pub use tls::CaError;

/// How connections of one kind are opened. Equal options give interchangeable connections.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConnectorOptions {
    /// A PEM file of roots trusted besides the system's.
    pub extra_ca: Option<PathBuf>,
    /// Through which proxy, if any. Loopback is always direct.
    pub outbound_proxy: OutboundProxy,
    /// From the name to the end of the TLS handshake.
    pub timeout: Duration,
}

impl Default for ConnectorOptions {
    fn default() -> Self {
        Self { extra_ca: None, outbound_proxy: OutboundProxy::Env, timeout: Duration::from_secs(5) }
    }
}

/// Which protocols are offered in the TLS handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Offer {
    /// HTTP/1.1 alone: token calls, and WebSocket, which has no other handshake here.
    Http1,
    /// HTTP/2 first, HTTP/1.1 if the server has no HTTP/2.
    Http2,
}

/// What the two ends agreed to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.1: cleartext, or agreed or implied by ALPN.
    Http1,
    /// HTTP/2, agreed by ALPN.
    Http2,
}

/// An open connection.
pub struct Connection {
    /// The bytes.
    pub io: Stream,
    /// What to speak over them.
    pub protocol: Protocol,
}

/// Opens connections. Cheap to share; the TLS configuration is made once.
pub struct Connector {
    id: u64,
    timeout: Duration,
    outbound: outbound::Rules,
    tls: tls::Client,
    #[cfg(test)]
    memory: Option<crate::pipe::Asking>,
}

/// Why a connection could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name has no address.
    #[error("cannot resolve {host}")]
    Resolve {
        /// The name.
        host: String,
        /// What name service said.
        source: std_io::Error,
    },
    /// No address accepted a TCP connection.
    #[error("cannot connect to {to}")]
    Tcp {
        /// `host:port`, of the proxy if there is one.
        to: String,
        /// The last attempt's error.
        source: std_io::Error,
    },
    /// Not done within [`ConnectorOptions::timeout`].
    #[error("no connection to {to} within {} s", after.as_secs())]
    TimedOut {
        /// The origin.
        to: String,
        /// The limit.
        after: Duration,
    },
    /// The outbound proxy would not open a tunnel.
    #[error("the outbound proxy {proxy} refused a tunnel to {to}: {reason}")]
    Tunnel {
        /// The proxy's `host:port`.
        proxy: String,
        /// The origin's `host:port`.
        to: String,
        /// Its status line, or what was wrong with it.
        reason: String,
    },
    /// The roots to verify with could not be loaded.
    #[error("cannot verify {to}")]
    Roots {
        /// The origin.
        to: String,
        /// Why not.
        source: CaError,
    },
    /// The handshake failed: certificate, protocol, or the connection broke.
    #[error("TLS with {to} failed")]
    Tls {
        /// The origin.
        to: String,
        /// What rustls said.
        source: std_io::Error,
    },
}

impl ConnectError {
    /// Whether TCP was fine and TLS was not: another status for the client, another cure.
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Tls { .. } | Self::Roots { .. })
    }
}

impl Connector {
    /// Reads the extra CA and the proxy environment now, so that a wrong path fails at start.
    pub fn new(options: &ConnectorOptions) -> Result<Self, CaError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Ok(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            timeout: options.timeout,
            outbound: outbound::Rules::resolve(&options.outbound_proxy, |name| std::env::var(name).ok()),
            tls: tls::Client::new(options.extra_ca.as_deref())?,
            #[cfg(test)]
            memory: None,
        })
    }

    /// Whose connections a test plays, in memory.
    #[cfg(test)]
    pub(crate) fn in_memory(asking: crate::pipe::Asking) -> Self {
        let options = ConnectorOptions { outbound_proxy: OutboundProxy::None, ..Default::default() };
        let connector = Self::new(&options).expect("no file is read for these options");
        Self { memory: Some(asking), ..connector }
    }

    /// Tells this connector's connections from another's: part of a pool's key.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Opens a connection to `origin`.
    pub async fn connect(&self, origin: &Origin, offer: Offer) -> Result<Connection, ConnectError> {
        match tokio::time::timeout(self.timeout, self.open(origin, offer)).await {
            Ok(done) => done,
            Err(_) => Err(ConnectError::TimedOut { to: origin.to_string(), after: self.timeout }),
        }
    }

    async fn open(&self, origin: &Origin, offer: Offer) -> Result<Connection, ConnectError> {
        #[cfg(test)]
        if let Some(asking) = &self.memory {
            let (answer, answered) = tokio::sync::oneshot::channel();
            let _ = asking.send(answer);
            let refused = |_| ConnectError::Tcp {
                to: origin.to_string(),
                source: std_io::ErrorKind::ConnectionRefused.into(),
            };
            let end = answered.await.map_err(refused)?;
            return Ok(Connection { io: Stream::Memory(end), protocol: Protocol::Http1 });
        }
        let tcp = match self.outbound.proxy_for(origin) {
            None => tcp::connect(origin.host(), origin.port()).await?,
            Some(proxy) => {
                let tcp = tcp::connect(proxy.host(), proxy.port()).await?;
                tunnel::open(tcp, proxy, origin).await?
            }
        };
        match origin.scheme() {
            Scheme::Http => Ok(Connection { io: Stream::Plain(tcp), protocol: Protocol::Http1 }),
            Scheme::Https => self.tls.handshake(tcp, origin, offer).await,
        }
    }
}

/// Connectors by their options, so that equal options share TLS sessions and pooled connections.
#[derive(Default)]
pub struct Connectors {
    made: Mutex<HashMap<ConnectorOptions, Arc<Connector>>>,
}

impl Connectors {
    /// Those of another configuration: what it still wants is kept, with its connections, unless its CA file
    /// has changed.
    pub fn successor(&self, wanted: &HashSet<ConnectorOptions>) -> Self {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = made.iter().filter(|(options, connector)| {
            wanted.contains(*options) && connector.tls.is_still(options.extra_ca.as_deref())
        });
        let kept = kept.map(|(options, connector)| (options.clone(), Arc::clone(connector))).collect();
        Self { made: Mutex::new(kept) }
    }

    /// The connector of these options, made at the first call.
    pub fn get(&self, options: &ConnectorOptions) -> Result<Arc<Connector>, CaError> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connector) = made.get(options) {
            return Ok(connector.clone());
        }
        let connector = Arc::new(Connector::new(options)?);
        made.insert(options.clone(), connector.clone());
        Ok(connector)
    }
}
