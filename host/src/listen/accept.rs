//! One listener on one worker: connections are accepted and sent on their way.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::task::{JoinHandle, spawn_local};

use super::bind::{Bound, Listener};
use super::peer::{self, Peers};
use super::place::Terms;
use crate::carrier::{ClientStream, Leave, Welcome, Worker, serve};
use crate::message::{Local, Via};

/// After EMFILE and its like: accepting again at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);

/// A listener that this worker accepts from.
pub(super) struct Door {
    accepting: JoinHandle<()>,
    /// Dropped when it closes: its connections end after the request they are at.
    _welcome: Welcome,
}

impl Door {
    pub(super) fn open(worker: &Rc<Worker>, bound: &Bound) -> io::Result<Self> {
        let welcome = Welcome::new(worker);
        let (worker, terms, leave) = (worker.clone(), bound.terms.clone(), welcome.leave());
        let room = Room { worker, terms, exposed: bound.is_exposed(), leave };
        let accepting = match bound.listener.duplicate()? {
            Listener::Tcp(listener) => spawn_local(room.accept_tcp(TcpListener::from_std(listener)?)),
            Listener::Unix(listener) => spawn_local(room.accept_unix(UnixListener::from_std(listener)?)),
        };
        Ok(Self { accepting, _welcome: welcome })
    }

    /// Accepts nobody any more.
    pub(super) async fn close(self) {
        self.accepting.abort();
        let _ = self.accepting.await;
    }
}

/// What every connection through one listener has in common.
struct Room {
    worker: Rc<Worker>,
    terms: Terms,
    exposed: bool,
    leave: Leave,
}

impl Room {
    async fn accept_tcp(self, listener: TcpListener) {
        let mut peers = Peers::new();
        loop {
            if let Some((stream, peer)) = accepted(listener.accept().await).await {
                match self.by_tcp(&mut peers, &stream, peer) {
                    Ok(via) => self.welcome(via, stream),
                    // The peer is gone already.
                    Err(error) => tracing::debug!(%error, "a connection was not served"),
                }
            }
        }
    }

    async fn accept_unix(self, listener: UnixListener) {
        loop {
            if let Some((stream, _)) = accepted(listener.accept().await).await {
                let entry = peer::entry_of_unix(&stream);
                self.welcome(self.via(Local::Unix, entry), stream);
            }
        }
    }

    fn by_tcp(&self, peers: &mut Peers, stream: &TcpStream, peer: SocketAddr) -> io::Result<Via> {
        let local = stream.local_addr()?;
        // Without it, small answers wait for the client's acknowledgement.
        let _ = stream.set_nodelay(true);
        Ok(self.via(Local::Tcp(local), peers.entry(local, peer)))
    }

    fn via(&self, local: Local, entry: crate::message::Entry) -> Via {
        let Terms { dedicated, http2, .. } = &self.terms;
        Via { local, dedicated: dedicated.clone(), http2: *http2, exposed: self.exposed, entry }
    }

    fn welcome(&self, via: Via, stream: impl Into<ClientStream>) {
        serve(self.worker.clone(), Rc::new(via), stream.into(), self.leave.clone());
    }
}

/// What accept(2) brought, if that was a connection.
async fn accepted<T>(outcome: io::Result<T>) -> Option<T> {
    match outcome {
        Ok(connection) => Some(connection),
        Err(error) if is_of_the_connection(&error) => None,
        Err(error) => {
            tracing::warn!(%error, "cannot accept");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// Errors of accept(2) that concern the connection, not the listener.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
