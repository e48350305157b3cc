//! What a place for grants must offer.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::error::StoreError;
use crate::model::ConnectionId;
use crate::secret::Secret;

/// A lock held until dropped.
pub type Hold = Box<dyn Send + Sync>;

/// Tells one version of a stored record from the next without reading it.
pub type Revision = (u64, i64, u64);

/// A place for records, each an opaque text of one connection. The vault knows what is in them.
pub trait Backend: Send + Sync {
    /// Its name as `auth status` shows it.
    fn kind(&self) -> &'static str;

    /// The record, if there is one. Needs no lock: a record is replaced whole.
    fn load(&self, id: &ConnectionId) -> Result<Option<Secret>, StoreError>;

    /// Replaces the record. Durable when it returns; on failure the old one is whole.
    fn replace(&self, id: &ConnectionId, bytes: &[u8]) -> Result<(), StoreError>;

    /// Removes the record, durably. No record is fine.
    fn remove(&self, id: &ConnectionId) -> Result<(), StoreError>;

    /// Moves the record out of the way, to be found under `suffix` by a person.
    fn set_aside(&self, id: &ConnectionId, suffix: &str) -> Result<(), StoreError>;

    /// Every record's present revision.
    fn revisions(&self) -> Result<BTreeMap<ConnectionId, Revision>, StoreError>;

    /// Waits for the lock of one connection against other processes, at most `wait`.
    fn lock<'a>(&'a self, id: &'a ConnectionId, wait: Duration) -> BoxFuture<'a, Result<Hold, StoreError>>;

    /// The same without waiting; `None` if somebody has it.
    fn try_lock(&self, id: &ConnectionId) -> Result<Option<Hold>, StoreError>;

    /// The directory whose changes other processes make, if it is one; made if need be.
    fn watched(&self) -> Result<Option<&Path>, StoreError>;
}
