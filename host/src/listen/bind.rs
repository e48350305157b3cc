//! Listening sockets.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use socket2::{Domain, Socket, Type};

use super::inherited::{self, InheritError};
use super::owner::Owner;
use super::place::{Address, ListenerSpec, ListenerUrl, Place, Terms};
use super::unix::{self, SocketFile, UnixError};

/// Connections that may wait to be accepted.
pub(super) const BACKLOG: i32 = 1024;

/// Why there is no listening.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else listens there.
    #[error("{place} is in use{}", owner.as_ref().map(|owner| format!(" by {owner}")).unwrap_or_default())]
    InUse {
        /// The address.
        place: Place,
        /// Who, where it can be known.
        owner: Option<Owner>,
    },
    /// Exposed listeners need keys and TLS.
    #[error("{place} is not a loopback address{}", at.map(|at| format!(": it is bound to {at}")).unwrap_or_default())]
    NotLoopback {
        /// What was asked for.
        place: Place,
        /// What it turned out to be, if that is something else.
        at: Option<SocketAddr>,
    },
    /// A Unix socket cannot be made there.
    #[error("cannot listen on {}", Place::Unix(path.clone()))]
    Unix {
        /// Its name.
        path: PathBuf,
        /// Why.
        source: UnixError,
    },
    /// No socket was handed over.
    #[error("cannot listen on fd:{number}")]
    Inherited {
        /// The descriptor.
        number: u32,
        /// Why.
        source: InheritError,
    },
    /// The system says no.
    #[error("cannot listen on {place}")]
    Refused {
        /// The address.
        place: Place,
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

impl BindError {
    /// What could not be listened on.
    pub fn place(&self) -> Option<Place> {
        match self {
            Self::InUse { place, .. } | Self::NotLoopback { place, .. } | Self::Refused { place, .. } => {
                Some(place.clone())
            }
            Self::Unix { path, .. } => Some(Place::Unix(path.clone())),
            Self::Inherited { number, .. } => Some(Place::Inherited(*number)),
            Self::Nothing | Self::Workers(_) => None,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotLoopback { .. } => Some(
                "let it listen on a loopback address, or set `server.access = \"key\"` and `server.insecure_cleartext = true`".into(),
            ),
            Self::Unix { source, .. } => source.hint(),
            Self::Inherited { source, .. } => source.hint().map(str::to_owned),
            Self::InUse { .. } | Self::Refused { .. } | Self::Nothing | Self::Workers(_) => None,
        }
    }
}

/// A listening socket. Every worker accepts from a duplicate of its descriptor.
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    pub(super) fn duplicate(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(listener) => listener.try_clone().map(Self::Tcp),
            Self::Unix(listener) => listener.try_clone().map(Self::Unix),
        }
    }
}

/// A socket that listens, and for what.
pub(crate) struct Bound {
    /// Told apart from every other, and from the same socket on other terms.
    pub(super) id: u64,
    pub(super) place: Place,
    pub(super) at: Address,
    pub(super) terms: Terms,
    /// Removed with the last that holds it, and before the socket is closed: as long as that is open nobody
    /// else's file has its inode.
    file: Option<Arc<SocketFile>>,
    pub(super) listener: Listener,
}

impl Bound {
    fn new(spec: &ListenerSpec, listener: Listener, at: Address, file: Option<SocketFile>) -> Self {
        let (place, terms) = (spec.place.clone(), spec.terms.clone());
        Self { id: next_id(), place, at, terms, listener, file: file.map(Arc::new) }
    }

    /// Whether this is the listener that `place` asks for.
    pub(super) fn is_at(&self, place: &Place) -> bool {
        self.place == *place
            || match (place, &self.at) {
                (Place::Tcp(wanted), Address::Tcp(at)) => wanted == at,
                (Place::Unix(wanted), Address::Unix(at)) => wanted == at,
                _ => false,
            }
    }

    /// Whether other machines reach it.
    pub(super) fn is_exposed(&self) -> bool {
        matches!(self.at, Address::Tcp(at) if !at.ip().is_loopback())
    }

    /// The same socket on other terms: nobody who connects meanwhile is refused.
    pub(super) fn on_terms(&self, spec: &ListenerSpec) -> io::Result<Self> {
        Ok(Self {
            id: next_id(),
            place: spec.place.clone(),
            at: self.at.clone(),
            terms: spec.terms.clone(),
            listener: self.listener.duplicate()?,
            file: self.file.clone(),
        })
    }

    pub(super) fn url(&self) -> ListenerUrl {
        ListenerUrl { at: self.at.clone(), dedicated: self.terms.dedicated.clone() }
    }
}

fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Binds a listener; `None` if the machine has no such address and may do without.
pub(super) fn bind(spec: &ListenerSpec) -> Result<Option<Bound>, BindError> {
    let place = || spec.place.clone();
    let (listener, at, file) = match &spec.place {
        Place::Tcp(address) if !address.ip().is_loopback() && !spec.terms.may_be_exposed => {
            return Err(BindError::NotLoopback { place: place(), at: None });
        }
        Place::Tcp(address) => match open_tcp(*address) {
            Ok((listener, at)) => (Listener::Tcp(listener), Address::Tcp(at), None),
            Err(BindError::Refused { source, .. })
                if address.is_ipv6() && is_missing(&source) && spec.terms.dedicated.is_none() =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error),
        },
        Place::Unix(path) => match unix::open(path) {
            Ok((listener, file)) => (Listener::Unix(listener), Address::Unix(path.clone()), Some(file)),
            Err(UnixError::Alive(owner)) => return Err(BindError::InUse { place: place(), owner }),
            Err(source) => return Err(BindError::Unix { path: path.clone(), source }),
        },
        Place::Inherited(number) => {
            let inherited = inherited::take(*number);
            let (listener, at) =
                inherited.map_err(|source| BindError::Inherited { number: *number, source })?;
            if let Address::Tcp(at) = at
                && !at.ip().is_loopback()
                && !spec.terms.may_be_exposed
            {
                return Err(BindError::NotLoopback { place: place(), at: Some(at) });
            }
            (listener, at, None)
        }
    };
    Ok(Some(Bound::new(spec, listener, at, file)))
}

/// Listens on an address; whether it may be is the caller's affair. The port is filled in.
pub(crate) fn open_tcp(address: SocketAddr) -> Result<(TcpListener, SocketAddr), BindError> {
    let place = Place::Tcp(address);
    open(address).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { place, owner: Owner::of(address) },
        _ => BindError::Refused { place, source },
    })
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
        ListenerSpec { place: Place::Tcp(address.parse().unwrap()), terms: Terms::default() }
    }

    #[test]
    fn port_0_is_filled_in() {
        let bound = bind(&spec("127.0.0.1:0")).unwrap().unwrap();
        let Address::Tcp(at) = bound.at else { panic!("{:?}", bound.at) };
        assert_ne!(at.port(), 0);
        assert_eq!(bound.url().to_string(), format!("http://{at}"));
    }

    #[test]
    fn a_port_in_use_names_the_program_that_has_it() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let refused = bind(&spec(&address)).err().unwrap();
        let text = refused.to_string();
        let me = format!("{address} is in use by ");
        assert!(text.starts_with(&me) && text.contains(&format!("(pid {})", std::process::id())), "{text}");
    }

    #[test]
    fn other_machines_are_listened_to_on_purpose_only() {
        assert!(matches!(bind(&spec("0.0.0.0:0")), Err(BindError::NotLoopback { .. })));
        let mut on_purpose = spec("0.0.0.0:0");
        on_purpose.terms.may_be_exposed = true;
        assert!(bind(&on_purpose).unwrap().unwrap().is_exposed());
    }
}
