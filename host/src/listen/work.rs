//! A worker: one thread, one runtime, connections from every listener.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{LocalSet, spawn_local};

use super::bind::Bound;
use super::peer::Peers;
use crate::carrier::{Shared, Worker, serve};
use crate::message::Via;
use crate::model::Name;

/// After EMFILE and its like: accepting again at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);
/// How often idle upstream connections are looked at.
const EXPIRY_STEP: Duration = Duration::from_secs(15);

/// How far the host is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Requests are welcome.
    Serving,
    /// No new ones; those under way may end.
    Draining,
    /// Break off.
    Aborted,
}

/// Serves until the host stops. Runs on a thread of its own.
pub(crate) fn work(shared: Arc<Shared>, doors: Vec<Bound>, phase: watch::Receiver<Phase>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "a worker cannot start");
            return;
        }
    };
    // Dropped at the end with everything that still runs on it.
    let tasks = LocalSet::new();
    tasks.block_on(&runtime, async move {
        let worker = Worker::new(shared);
        let accepting: Vec<_> =
            doors.into_iter().map(|door| spawn_local(accept(worker.clone(), door))).collect();
        spawn_local(expire(worker.clone()));
        reached(phase.clone(), Phase::Draining).await;
        // First nobody new, then those inside: whoever is sent away finds the door closed.
        for task in accepting {
            task.abort();
            let _ = task.await;
        }
        worker.drain();
        let drain_timeout = worker.shared.rules.load().drain_timeout;
        tokio::select! {
            () = worker.quiet() => {}
            () = tokio::time::sleep(drain_timeout) => tracing::warn!("requests under way were broken off"),
            () = reached(phase, Phase::Aborted) => {}
        }
    });
}

/// Accepts from one listener.
async fn accept(worker: Rc<Worker>, door: Bound) {
    let (address, dedicated) = (door.address, door.dedicated.clone());
    let listener = match TcpListener::from_std(door.into_listener()) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, %address, "a worker cannot listen");
            return;
        }
    };
    let mut peers = Peers::new();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => match via(&mut peers, &stream, peer, dedicated.clone()) {
                Ok(via) => {
                    let (active, worker) = (worker.active(), worker.clone());
                    spawn_local(async move {
                        let _active = active;
                        serve(worker, Rc::new(via), stream).await;
                    });
                }
                // The peer is gone already.
                Err(error) => tracing::debug!(%error, "a connection was not served"),
            },
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, %address, "cannot accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn via(
    peers: &mut Peers,
    stream: &tokio::net::TcpStream,
    peer: std::net::SocketAddr,
    dedicated: Option<Name>,
) -> io::Result<Via> {
    let local = stream.local_addr()?;
    Ok(Via { local, dedicated, entry: peers.entry(local, peer) })
}

/// Errors of accept(2) that concern the connection, not the listener.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

async fn expire(worker: Rc<Worker>) {
    loop {
        tokio::time::sleep(EXPIRY_STEP).await;
        worker.expire_idle();
    }
}

/// Resolves when the host is at `wanted` or further, or its owner is gone.
async fn reached(mut phase: watch::Receiver<Phase>, wanted: Phase) {
    let _ = phase.wait_for(|phase| *phase >= wanted).await;
}
