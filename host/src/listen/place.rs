//! Where to listen, as asked for and as it came out.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::model::Name;

/// A place to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// An address; port 0 means a free one.
    Tcp(SocketAddr),
    /// A Unix socket of this name.
    Unix(PathBuf),
    /// A socket that a service manager opened for us, by its descriptor.
    Inherited(u32),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Inherited(number) => write!(f, "fd:{number}"),
        }
    }
}

/// A listener that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerSpec {
    /// Where.
    pub place: Place,
    /// For what.
    pub terms: Terms,
}

/// What a listener is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The route that has it to itself, at `/`.
    pub dedicated: Option<Name>,
    /// Whether clients may speak HTTP/2 in the clear here, even where the others may not.
    pub http2: bool,
    /// Whether it may be where other machines reach it.
    pub may_be_exposed: bool,
}

/// Where clients reach a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerUrl {
    /// The address, the port filled in.
    pub at: Address,
    /// The route that has it to itself.
    pub dedicated: Option<Name>,
}

/// What a socket is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for ListenerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.at {
            Address::Tcp(address) => write!(f, "http://{address}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
