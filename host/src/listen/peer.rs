//! Whose socket is the peer's: asked of the kernel once per connection, by its exact 4-tuple.
//!
//! Only a clear answer lets a peer in: no row, inode 0 (closed, or about to be) or another user, root
//! included, needs a key.

mod proc_net;
mod sock_diag;

use std::net::SocketAddr;

pub(super) use proc_net::rows;
use tokio::net::UnixStream;

use crate::message::Entry;

/// A TCP socket as the kernel tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) state: u8,
    pub(super) uid: u32,
    pub(super) inode: u64,
}

/// Asks the kernel about peers. One per worker: it keeps a netlink socket.
pub(super) struct Peers {
    own_uid: u32,
    sock_diag: Option<sock_diag::SockDiag>,
}

impl Peers {
    pub(super) fn new() -> Self {
        let sock_diag = sock_diag::SockDiag::open()
            .inspect_err(|error| tracing::debug!(%error, "no sock_diag: peers are looked up in /proc/net"))
            .ok();
        Self { own_uid: rustix::process::geteuid().as_raw(), sock_diag }
    }

    /// Whether the peer of a connection accepted on `local` enters without a key.
    pub(super) fn entry(&mut self, local: SocketAddr, peer: SocketAddr) -> Entry {
        judge(self.owner(local, peer), self.own_uid)
    }

    /// User and inode of the peer's end: the socket whose local address is the peer's.
    fn owner(&mut self, local: SocketAddr, peer: SocketAddr) -> Option<(u32, u64)> {
        if let Some(sock_diag) = &mut self.sock_diag {
            match sock_diag.owner(peer, local) {
                Ok(found) => return found,
                Err(error) => {
                    tracing::debug!(%error, "sock_diag failed: peers are looked up in /proc/net");
                    self.sock_diag = None;
                }
            }
        }
        let row = rows().into_iter().find(|row| row.local == peer && row.remote == local)?;
        Some((row.uid, row.inode))
    }
}

/// Whether the peer at the other end of a Unix socket enters without a key: SO_PEERCRED tells whose it was
/// when it connected. One that cannot be told is a stranger's.
pub(super) fn entry_of_unix(stream: &UnixStream) -> Entry {
    let own_uid = rustix::process::geteuid().as_raw();
    match stream.peer_cred() {
        Ok(peer) if peer.uid() == own_uid => Entry::SameUser,
        Ok(_) | Err(_) => Entry::Stranger,
    }
}

fn judge(owner: Option<(u32, u64)>, own_uid: u32) -> Entry {
    match owner {
        Some((uid, inode)) if inode != 0 && uid == own_uid => Entry::SameUser,
        _ => Entry::Stranger,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;
    use std::net::{IpAddr, TcpListener, TcpStream};

    #[test]
    fn only_our_own_open_socket_enters() {
        assert_eq!(judge(Some((1000, 7)), 1000), Entry::SameUser);
        assert_eq!(judge(Some((1001, 7)), 1000), Entry::Stranger);
        assert_eq!(judge(Some((0, 7)), 1000), Entry::Stranger);
        assert_eq!(judge(Some((1000, 0)), 1000), Entry::Stranger);
        assert_eq!(judge(None, 1000), Entry::Stranger);
    }

    #[test]
    fn our_own_connection_is_recognised_either_way() {
        // The last is how a client with an IPv6 socket reaches an IPv4 listener.
        for (address, mapped) in [("127.0.0.1:0", false), ("[::1]:0", false), ("127.0.0.1:0", true)] {
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let mut to = listener.local_addr().unwrap();
            if let (IpAddr::V4(ip), true) = (to.ip(), mapped) {
                to.set_ip(ip.to_ipv6_mapped().into());
            }
            let client = TcpStream::connect(to).unwrap();
            let (accepted, peer) = listener.accept().unwrap();
            let local = accepted.local_addr().unwrap();
            let own = Some(rustix::process::geteuid().as_raw());

            let mut through_proc = Peers { sock_diag: None, ..Peers::new() };
            assert_eq!(through_proc.owner(local, peer).map(|(uid, _)| uid), own, "/proc/net, {address}");
            let mut peers = Peers::new();
            assert_eq!(peers.owner(local, peer).map(|(uid, _)| uid), own, "{address}");
            assert_eq!(peers.entry(local, peer), Entry::SameUser);

            drop(client);
            let nobody = SocketAddr::new(peer.ip(), 1);
            assert_eq!(peers.owner(local, nobody), None);
        }
    }
}
