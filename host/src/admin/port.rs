//! The API over TCP.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::control::Control;
use super::entrance::{Entrance, Visit};
use super::serve::{LAST_WORDS, PAUSE, Way, connection};

/// Connections at a time. Whoever is not let in holds one, too.
const MOST: usize = 256;

/// Serves a listener until the other end of `stop` is dropped, and what is being answered then to its end.
pub async fn serve_port(
    listener: std::net::TcpListener,
    entrance: Arc<Entrance>,
    control: Arc<dyn Control>,
    mut stop: watch::Receiver<()>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let local = listener.local_addr()?;
    let room = Arc::new(Semaphore::new(MOST));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &room) => accepted,
            _ = stop.changed() => break,
        };
        match accepted {
            Ok((stream, peer, seat)) => {
                // The address that the client reached, of the many that an unspecified one stands for.
                let local = stream.local_addr().unwrap_or(local);
                let way = Way::Port(Visit { entrance: Arc::clone(&entrance), local, peer });
                let served = connection(stream, way, Arc::clone(&control), stop.clone());
                connections.spawn(async move {
                    served.await;
                    drop(seat);
                });
            }
            Err(error) => {
                // Out of descriptors, most likely: a pause, or this loop would spin.
                tracing::warn!(%error, "the admin listener cannot accept");
                tokio::time::sleep(PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    // Beyond it the reader is at fault; dropped, a connection is cut.
    let _ = tokio::time::timeout(LAST_WORDS, connections.join_all()).await;
    Ok(())
}

type Accepted = (tokio::net::TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit);

async fn accept(listener: &TcpListener, room: &Arc<Semaphore>) -> io::Result<Accepted> {
    let seat = Arc::clone(room).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, seat))
}
