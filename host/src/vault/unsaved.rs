//! Records whose medium failed: kept in memory until it takes them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::envelope::Envelope;
use super::error::StoreError;
use crate::model::ConnectionId;

#[derive(Default)]
pub(super) struct Unsaved(Mutex<HashMap<ConnectionId, Pending>>);

struct Pending {
    /// What was on the medium when writing failed. Anything else there now is news from outside, and wins.
    over: Option<u64>,
    envelope: Envelope,
}

impl Unsaved {
    /// Keeps a record that belongs over the generation `over` of the medium.
    pub(super) fn keep(&self, id: &ConnectionId, over: Option<u64>, envelope: Envelope) {
        self.pending().insert(id.clone(), Pending { over, envelope });
    }

    /// The record that counts, given what the medium says. A medium that cannot be read says nothing.
    pub(super) fn over(
        &self,
        id: &ConnectionId,
        stored: Result<Option<Envelope>, StoreError>,
    ) -> Result<Option<Envelope>, StoreError> {
        let mut pending = self.pending();
        let Some(kept) = pending.get(id) else { return stored };
        match stored {
            Ok(record) if record.as_ref().map(|record| record.generation) != kept.over => {
                pending.remove(id);
                Ok(record)
            }
            Err(error) if !error.is_medium() => Err(error),
            _ => Ok(Some(kept.envelope.clone())),
        }
    }

    pub(super) fn forget(&self, id: &ConnectionId) {
        self.pending().remove(id);
    }

    pub(super) fn contains(&self, id: &ConnectionId) -> bool {
        self.pending().contains_key(id)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pending().is_empty()
    }

    pub(super) fn ids(&self) -> Vec<ConnectionId> {
        self.pending().keys().cloned().collect()
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<ConnectionId, Pending>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
