//! Netlink `sock_diag` (sock_diag(7)): the kernel answers for one socket, without a table to read.

use std::io;
use std::net::{IpAddr, SocketAddr};

use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
use netlink_sys::{Socket, protocols::NETLINK_SOCK_DIAG};

/// A netlink socket for questions about TCP sockets.
pub(super) struct SockDiag {
    socket: Socket,
    sequence: u32,
}

impl SockDiag {
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
        socket.bind_auto()?;
        socket.connect(&netlink_sys::SocketAddr::new(0, 0))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// User and inode of the socket with these ends; `None` if there is none.
    pub(super) fn owner(&mut self, local: SocketAddr, remote: SocketAddr) -> io::Result<Option<(u32, u64)>> {
        self.sequence = self.sequence.wrapping_add(1);
        let question = question(local, remote, self.sequence);
        self.socket.send(&question, 0)?;
        // The kernel answers within the call that asks: this does not wait.
        let mut buffer = Vec::with_capacity(4096);
        self.socket.recv(&mut buffer, 0)?;
        let answer = NetlinkMessage::<SockDiagMessage>::deserialize(&buffer).map_err(io::Error::other)?;
        if answer.header.sequence_number != self.sequence {
            return Err(io::Error::other("an answer to another question"));
        }
        match answer.payload {
            NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(found)) => {
                let id = &found.header.socket_id;
                let exact = end(id.source_address, id.source_port) == local
                    && end(id.destination_address, id.destination_port) == remote;
                Ok(exact.then(|| (found.header.uid, u64::from(found.header.inode))))
            }
            NetlinkPayload::Error(error) => match error.to_io() {
                none if none.raw_os_error() == Some(rustix::io::Errno::NOENT.raw_os_error()) => Ok(None),
                other => Err(other),
            },
            _ => Err(io::Error::other("an answer of another kind")),
        }
    }
}

/// One end of a connection, by the address it has on the wire: an IPv6 socket that talks to an IPv4 one, as
/// gRPC's clients do, is known to the kernel as `::ffff:127.0.0.1`.
fn end(address: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(address.to_canonical(), port)
}

fn question(local: SocketAddr, remote: SocketAddr, sequence: u32) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    (header.flags, header.sequence_number) = (NLM_F_REQUEST, sequence);
    let request = InetRequest {
        family: if local.is_ipv4() { AF_INET } else { AF_INET6 },
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::empty(),
        states: StateFlags::all(),
        socket_id: SocketId {
            source_port: local.port(),
            destination_port: remote.port(),
            source_address: local.ip(),
            destination_address: remote.ip(),
            interface_id: 0,
            // INET_DIAG_NOCOOKIE: any socket with these ends.
            cookie: [0xff; 8],
        },
    };
    let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}
