//! Issuing credentials through whatever image of a plugin serves right now.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::manifest::Manifest;
use super::registry::Registry;
use crate::credential::{Issuer, Prepared, Want};
use crate::fault::Fault;
use crate::model::Connection;
use crate::vault::Transaction;

/// An issuer that loads its plugin when the first credential is wanted, and follows replacements.
pub(super) struct OnDemand {
    pub(super) registry: Arc<Registry>,
    pub(super) manifest: Arc<Manifest>,
}

impl Issuer for OnDemand {
    fn plugin(&self) -> String {
        let serving = self.registry.get(&self.manifest.id);
        serving.map_or_else(|| self.manifest.writer(), |plugin| plugin.manifest().writer())
    }

    fn acquire<'a>(
        &'a self,
        connection: &'a Connection,
        txn: Transaction,
        want: Want,
    ) -> BoxFuture<'a, Result<Prepared, Fault>> {
        Box::pin(async move {
            let plugin = self.registry.load(&self.manifest.id).await?;
            plugin.acquire(connection, txn, &want).await
        })
    }
}
