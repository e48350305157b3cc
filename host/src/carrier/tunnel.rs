//! A WebSocket after its handshake: bytes both ways, each end closing its half when it is done.

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;

use super::observe::Record;

/// Joins the two connections once both have switched protocols. Nothing of the client's reaches the
/// upstream before: it is only read after the 101 went out (Pingora CVE-2026-2833).
pub(super) fn spawn(client: OnUpgrade, upstream: OnUpgrade, mut record: Record) {
    let active = record.worker().active();
    tokio::task::spawn_local(async move {
        let _active = active;
        match tokio::try_join!(client, upstream) {
            Ok((client, upstream)) => match join(client, upstream).await {
                Ok(bytes) => {
                    record.count(bytes);
                    record.completed();
                }
                Err(error) => record.broke_off(&error.to_string()),
            },
            Err(error) => record.broke_off(&error.to_string()),
        }
    });
}

/// Carries bytes until both ends are done; answers how many went to the client.
async fn join(client: Upgraded, upstream: Upgraded) -> std::io::Result<usize> {
    let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
    let (_, to_client) = copy_bidirectional(&mut client, &mut upstream).await?;
    Ok(usize::try_from(to_client).unwrap_or(usize::MAX))
}
