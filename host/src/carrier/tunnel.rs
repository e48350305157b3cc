//! A WebSocket after its handshake: bytes both ways, each end closing its half when it is done.

use tokio::io::copy_bidirectional;

use super::conn::{Raw, Shared};
use super::observe::Record;
use super::wire::Wire;

/// Joins the two connections, once both have switched protocols, until both ends are done. Nothing of the client's
/// reaches the upstream before (Pingora CVE-2026-2833).
pub(super) async fn join(client: Shared, mut upstream: Wire, mut record: Record) {
    match copy_bidirectional(&mut Raw(client), &mut upstream).await {
        Ok((_, to_client)) => {
            record.count(usize::try_from(to_client).unwrap_or(usize::MAX));
            record.completed();
        }
        Err(error) => record.broke_off(&error.to_string()),
    }
}
