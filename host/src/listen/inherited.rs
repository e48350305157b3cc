//! Sockets that a service manager opened for us (sd_listen_fds(3)): `fd:3` and up.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};

use listenfd::ListenFd;
use socket2::{Socket, Type};

use super::bind::Listener;
use super::place::Address;

/// SD_LISTEN_FDS_START.
const FIRST: u32 = 3;
/// More are no service manager's doing.
const MOST: usize = 1024;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum InheritError {
    /// Not started by a service manager, or by one that meant somebody else (`LISTEN_PID`).
    #[error("no socket was handed to this process")]
    NoneGiven,
    /// `LISTEN_FDS` says less.
    #[error("the sockets handed to this process are {}", range(*.0))]
    NotGiven(usize),
    /// A datagram socket, a file, a connection.
    #[error("it is not a listening TCP or Unix socket")]
    NotListening,
    /// The system says no.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl InheritError {
    /// What to type.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoneGiven => Some("systemd-socket-activate -l 127.0.0.1:8462 ccproxy serve --listen fd:3"),
            Self::NotListening => Some("let the .socket unit have ListenStream= and Accept=no"),
            Self::NotGiven(_) | Self::Io(_) => None,
        }
    }
}

fn range(given: usize) -> String {
    match given {
        1 => format!("fd:{FIRST}"),
        more => format!("fd:{FIRST} to fd:{}", FIRST as usize + more - 1),
    }
}

/// All that this process was handed. A descriptor belongs to the process, and so does this: it stays open when
/// its listener is taken out of the configuration, so that it can come back.
struct Inherited {
    given: ListenFd,
    taken: BTreeMap<u32, Socket>,
}

/// A listener on the socket with this descriptor.
pub(super) fn take(number: u32) -> Result<(Listener, Address), InheritError> {
    static INHERITED: OnceLock<Mutex<Inherited>> = OnceLock::new();
    let inherited =
        INHERITED.get_or_init(|| Mutex::new(Inherited { given: given(), taken: BTreeMap::new() }));
    let mut inherited = inherited.lock().unwrap_or_else(PoisonError::into_inner);
    inherited.listener(number)
}

fn given() -> ListenFd {
    let count = std::env::var("LISTEN_FDS").ok().and_then(|count| count.parse::<usize>().ok());
    if count.is_some_and(|count| count <= MOST) { ListenFd::from_env() } else { ListenFd::empty() }
}

impl Inherited {
    fn listener(&mut self, number: u32) -> Result<(Listener, Address), InheritError> {
        if !self.taken.contains_key(&number) {
            let socket = self.take(number)?;
            // The children we start must not hold the port.
            socket.set_cloexec(true)?;
            self.taken.insert(number, socket);
        }
        listener(&self.taken[&number])
    }

    fn take(&mut self, number: u32) -> Result<Socket, InheritError> {
        let count = self.given.len();
        if count == 0 {
            return Err(InheritError::NoneGiven);
        }
        let index = number.checked_sub(FIRST).map(|index| index as usize).filter(|index| *index < count);
        let index = index.ok_or(InheritError::NotGiven(count))?;
        // Each refuses what is not its kind and leaves it in place.
        if let Ok(Some(tcp)) = self.given.take_tcp_listener(index) {
            return Ok(tcp.into());
        }
        if let Ok(Some(unix)) = self.given.take_unix_listener(index) {
            return Ok(std::os::fd::OwnedFd::from(unix).into());
        }
        Err(InheritError::NotListening)
    }
}

fn listener(socket: &Socket) -> Result<(Listener, Address), InheritError> {
    if socket.r#type()? != Type::STREAM || !socket.is_listener()? {
        return Err(InheritError::NotListening);
    }
    let own = socket.try_clone()?;
    own.set_nonblocking(true)?;
    let name = socket.local_addr()?;
    match (name.as_socket(), name.as_pathname()) {
        (Some(address), _) => Ok((Listener::Tcp(own.into()), Address::Tcp(canonical(address)))),
        // One without a name (abstract) is shown as such.
        (None, path) => {
            let path = path.map_or_else(|| PathBuf::from("(unnamed)"), PathBuf::from);
            Ok((Listener::Unix(std::os::fd::OwnedFd::from(own).into()), Address::Unix(path)))
        }
    }
}

/// An IPv6 socket bound to `::ffff:127.0.0.1` listens on the IPv4 loopback.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
