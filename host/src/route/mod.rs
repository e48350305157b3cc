//! The route stage: which upstream. A table built once, request head to [`Found`]; pure, no I/O.

mod policy;
mod table;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use http::HeaderValue;

use crate::credential::Cell;
use crate::fault::Fault;
use crate::meter::RouteMeter;
use crate::model::{ConnectionId, Name};
use crate::refusal::Refusal;
use crate::upstream::Base;
use crate::upstream::connect::Connector;
pub use policy::{Cookies, InvalidMethod, Methods, Policy, Rewrite};
pub use table::{Conflict, Found, Mount, OwnPath, RouteTable};

/// One route: a path on this host, and what is behind it.
pub struct Route {
    /// Its name: the label of `<name>.localhost`, and what replies and events call it.
    pub name: Name,
    /// The first path segment that leads to it.
    pub path: Name,
    /// Where the configuration says so; `None` for the route every connection has by itself.
    pub written_at: Option<String>,
    /// Whose credential is attached.
    pub connection: Option<ConnectionId>,
    /// The provider of that connection.
    pub provider: Option<Name>,
    /// How requests on it are treated.
    pub policy: Policy,
    /// Where it leads.
    pub forward: Forward,
    /// What is counted of it.
    pub meter: Arc<RouteMeter>,
}

impl Route {
    /// Where a request of this method goes, if it may.
    pub fn destination(&self, method: &[u8]) -> Result<&Arc<Destination>, Refusal> {
        if !self.policy.methods.allow(method) {
            return Err(Refusal::MethodNotAllowed { allow: self.policy.methods.list() });
        }
        match &self.forward {
            Forward::To(destination) => Ok(destination),
            Forward::Nowhere(Unavailable::Fault(fault)) => Err(Refusal::Credential(fault.clone())),
            Forward::Nowhere(Unavailable::NoUpstream { key }) => {
                Err(Refusal::NoSuchRoute { hint: format!("{} has no upstream: set `{key}`", self.name) })
            }
        }
    }
}

/// Where a route leads. A request is never forwarded without a credential: a route that has none to
/// attach is `Nowhere`.
pub enum Forward {
    /// To this upstream.
    To(Arc<Destination>),
    /// Nowhere, for now; every request on it is told why.
    Nowhere(Unavailable),
}

/// Everything needed to forward: set by configuration alone.
pub struct Destination {
    /// Which one it is: no two have the same, of whatever configuration.
    pub id: u64,
    /// Scheme, host, port and path in front.
    pub base: Base,
    /// The value of `Host`, made once.
    pub host: HeaderValue,
    /// The slot of the credential to attach.
    pub cell: Arc<Cell>,
    /// Opens its connections.
    pub connector: Arc<Connector>,
}

impl Destination {
    /// The destination `base`, with the credential of `cell`.
    pub fn new(base: Base, cell: Arc<Cell>, connector: Arc<Connector>) -> Self {
        let host = HeaderValue::from_str(&base.origin().authority())
            .expect("the host of a parsed URL is a field value");
        static MADE: AtomicU64 = AtomicU64::new(0);
        Self { id: MADE.fetch_add(1, Relaxed), base, host, cell, connector }
    }
}

/// Why a route leads nowhere.
#[derive(Clone, Debug)]
pub enum Unavailable {
    /// The plugin, the settings or the connection is not usable.
    Fault(Fault),
    /// Neither the provider nor the configuration names an upstream.
    NoUpstream {
        /// The key to set: `connections.corp.upstream`.
        key: String,
    },
}
