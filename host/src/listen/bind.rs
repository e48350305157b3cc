//! Listening sockets.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Socket, Type};

use super::owner::{self, Owner};
use crate::model::Name;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// An address to listen on. Loopback only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerSpec {
    /// The address; port 0 means a free one.
    pub address: SocketAddr,
    /// The route that has this listener to itself, at `/`.
    pub dedicated: Option<Name>,
}

/// Where clients reach a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerUrl {
    /// The address, the port filled in.
    pub address: SocketAddr,
    /// The route that has it to itself.
    pub dedicated: Option<Name>,
}

impl fmt::Display for ListenerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.address)
    }
}

/// Why the request path cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else listens there.
    #[error("{address} is in use{}", owner.as_ref().map(|owner| format!(" by {owner}")).unwrap_or_default())]
    InUse {
        /// The address.
        address: SocketAddr,
        /// Who, where it can be known.
        owner: Option<Owner>,
    },
    /// Exposed listeners need keys and TLS.
    #[error("{0} is not a loopback address")]
    NotLoopback(SocketAddr),
    /// The system says no.
    #[error("cannot listen on {address}")]
    Refused {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// No listener is left, or none was asked for.
    #[error("there is nothing to listen on")]
    Nothing,
    /// Threads cannot be started.
    #[error("cannot start the workers")]
    Workers(#[source] io::Error),
}

/// A listening socket. Every worker accepts from a duplicate of its descriptor.
pub(crate) struct Bound {
    listener: TcpListener,
    pub(crate) address: SocketAddr,
    pub(crate) dedicated: Option<Name>,
}

impl Bound {
    /// The same socket for one more worker.
    pub(crate) fn share(&self) -> io::Result<Self> {
        let listener = self.listener.try_clone()?;
        Ok(Self { listener, address: self.address, dedicated: self.dedicated.clone() })
    }

    pub(crate) fn url(&self) -> ListenerUrl {
        ListenerUrl { address: self.address, dedicated: self.dedicated.clone() }
    }

    pub(crate) fn into_listener(self) -> TcpListener {
        self.listener
    }
}

/// Binds every address, or none.
pub(crate) fn bind(specs: &[ListenerSpec]) -> Result<Vec<Bound>, BindError> {
    let mut bound = Vec::with_capacity(specs.len());
    for spec in specs {
        if !spec.address.ip().is_loopback() {
            return Err(BindError::NotLoopback(spec.address));
        }
        match open(spec.address) {
            Ok((listener, address)) => {
                bound.push(Bound { listener, address, dedicated: spec.dedicated.clone() });
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                return Err(BindError::InUse { address: spec.address, owner: owner::of(spec.address) });
            }
            Err(error) if spec.address.is_ipv6() && is_missing(&error) => {
                tracing::warn!(address = %spec.address, "this machine has no IPv6 loopback: not listening there");
            }
            Err(source) => return Err(BindError::Refused { address: spec.address, source }),
        }
    }
    if bound.is_empty() { Err(BindError::Nothing) } else { Ok(bound) }
}

/// Without SO_REUSEPORT: a second instance, or another user's program, must not bind beside us.
fn open(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // A restart may bind while old connections are in TIME_WAIT; two listeners it does not allow.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    let listener = TcpListener::from(socket);
    let address = listener.local_addr()?;
    Ok((listener, address))
}

fn is_missing(error: &io::Error) -> bool {
    let unsupported = rustix::io::Errno::AFNOSUPPORT.raw_os_error();
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(unsupported)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    fn spec(address: &str) -> ListenerSpec {
        ListenerSpec { address: address.parse().unwrap(), dedicated: None }
    }

    #[test]
    fn port_0_is_filled_in() {
        let bound = bind(&[spec("127.0.0.1:0")]).unwrap();
        assert_ne!(bound[0].address.port(), 0);
        assert_eq!(bound[0].url().to_string(), format!("http://{}", bound[0].address));
    }

    #[test]
    fn a_port_in_use_names_the_program_that_has_it() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let refused = bind(&[ListenerSpec { address, dedicated: None }]).err().unwrap();
        let text = refused.to_string();
        let me = format!("{address} is in use by ");
        assert!(text.starts_with(&me) && text.contains(&format!("(pid {})", std::process::id())), "{text}");
    }

    #[test]
    fn other_machines_are_not_listened_to() {
        assert!(matches!(bind(&[spec("0.0.0.0:0")]), Err(BindError::NotLoopback(_))));
    }
}
