//! Grants that end with the process: tests, and hosts that must leave nothing behind.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{BoxFuture, ready};

use super::backend::{Backend, Hold, Revision};
use super::error::StoreError;
use crate::model::ConnectionId;
use crate::secret::Secret;

/// The memory backend. There is no other process to lock out.
#[derive(Default)]
pub struct MemoryStore(Mutex<Records>);

#[derive(Default)]
struct Records {
    writes: u64,
    current: BTreeMap<ConnectionId, (u64, Secret)>,
    aside: BTreeMap<(ConnectionId, String), Secret>,
}

impl MemoryStore {
    fn records(&self) -> MutexGuard<'_, Records> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backend for MemoryStore {
    fn kind(&self) -> &'static str {
        "memory"
    }

    fn load(&self, id: &ConnectionId) -> Result<Option<Secret>, StoreError> {
        Ok(self.records().current.get(id).map(|(_, bytes)| bytes.clone()))
    }

    fn replace(&self, id: &ConnectionId, bytes: &[u8]) -> Result<(), StoreError> {
        let mut records = self.records();
        records.writes += 1;
        let revision = records.writes;
        records.current.insert(id.clone(), (revision, Secret::new(bytes.to_vec())));
        Ok(())
    }

    fn remove(&self, id: &ConnectionId) -> Result<(), StoreError> {
        self.records().current.remove(id);
        Ok(())
    }

    fn set_aside(&self, id: &ConnectionId, suffix: &str) -> Result<(), StoreError> {
        let mut records = self.records();
        if let Some((_, bytes)) = records.current.remove(id) {
            records.aside.insert((id.clone(), suffix.to_owned()), bytes);
        }
        Ok(())
    }

    fn revisions(&self) -> Result<BTreeMap<ConnectionId, Revision>, StoreError> {
        let records = self.records();
        Ok(records.current.iter().map(|(id, (revision, _))| (id.clone(), (*revision, 0, 0))).collect())
    }

    fn lock<'a>(&'a self, _id: &'a ConnectionId, _wait: Duration) -> BoxFuture<'a, Result<Hold, StoreError>> {
        Box::pin(ready(Ok(Box::new(()) as Hold)))
    }

    fn try_lock(&self, _id: &ConnectionId) -> Result<Option<Hold>, StoreError> {
        Ok(Some(Box::new(())))
    }

    fn watched(&self) -> Result<Option<&Path>, StoreError> {
        Ok(None)
    }
}
