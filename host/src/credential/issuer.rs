//! What the refresh orchestration needs from the plugin side.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{Prepared, Reason};
use crate::fault::Fault;
use crate::model::{Connection, ConnectionId, Target};
use crate::vault::Transaction;

/// The credential wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// What it is for.
    pub target: Target,
    /// A stored token with less left than this is renewed. What a renewal yields is taken as it is.
    pub min_ttl: Duration,
    /// A stored token of this generation or an older one is renewed, however long it has left.
    pub rejected_generation: Option<u64>,
    /// Why it is asked for. `Forced` means a renewal even without a rejected generation.
    pub reason: Reason,
}

/// Obtains credentials of one provider: its plugin, behind its cell.
pub trait Issuer: Send + Sync {
    /// Name and version, `github 1.2.0`, as grant records name their writer.
    fn plugin(&self) -> String;

    /// A credential as wanted. A stored token that will do is returned without network; a new one is
    /// put through `txn` before it is answered. The transaction ends when the call does.
    fn acquire<'a>(
        &'a self,
        connection: &'a Connection,
        txn: Transaction,
        want: Want,
    ) -> BoxFuture<'a, Result<Prepared, Fault>>;
}

/// Finds the connection and who issues its credentials, as configured and loaded right now.
pub trait Providers: Send + Sync {
    /// Fails with `plugin_missing` or `invalid_config`; such a failure is answered, not retried.
    fn resolve(&self, id: &ConnectionId) -> Result<(Arc<Connection>, Arc<dyn Issuer>), Fault>;
}
