//! The vault: the only room that touches token files.
//!
//! It keeps one [`Envelope`] per connection in a [`Backend`]. Reading needs no lock. Writing needs a
//! [`Transaction`], and a transaction needs the connection's lock: first against other tasks of this
//! process, then against other processes, always in that order. A corrupt record is moved aside and
//! never stops another.

mod backend;
mod directory;
mod envelope;
mod error;
mod file;
mod memory;
mod relocation;
mod transaction;
mod typed;
mod unsaved;
mod watch;

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

pub use backend::{Backend, Hold, Revision};
pub use envelope::{
    Account, CredentialView, Envelope, GrantView, LastRefresh, Payload, Problem, SCHEMA, State,
};
pub use error::StoreError;
pub use file::FileStore;
pub use memory::MemoryStore;
pub use relocation::Relocation;
pub use transaction::{Lease, Transaction};
pub use typed::{TypedSecret, forget_secrets, keep_secret};
pub use watch::Watch;

use crate::fault::{Code, Fault};
use crate::model::{ConnectionId, Name, UnixMillis};
use envelope::Unreadable;
use unsaved::Unsaved;

/// How long a writer waits for another before it gives up. A refresh holds the lock while the
/// provider thinks, so this is longer than any answer worth waiting for.
pub const LOCK_WAIT: Duration = Duration::from_secs(30);

/// Who writes: the provider of the connection and the plugin that speaks for it, `github 1.2.0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Whose records these are.
    pub provider: Name,
    /// Name and version of the plugin.
    pub plugin: String,
}

/// What a transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To acquire a credential. If the medium fails, what was obtained is kept in memory and written
    /// later: a spent refresh token cannot be had back by failing.
    Acquire,
    /// To log in or out. Not saved means failed.
    Login,
}

/// All grants of this host. Cheap to clone.
#[derive(Clone)]
pub struct Vault(Arc<Shared>);

struct Shared {
    backend: Box<dyn Backend>,
    /// Whose turn it is within this process; taken before the backend's lock.
    turns: Mutex<HashMap<ConnectionId, Arc<tokio::sync::Mutex<()>>>>,
    unsaved: Unsaved,
    /// Whether this process ends before a failed medium can recover.
    brief: AtomicBool,
}

/// A connection that has a record, and the record if it can be read.
pub type Listed = (ConnectionId, Result<Envelope, Fault>);

/// What is stored under an id.
enum Stored {
    Nothing,
    Record(Box<Envelope>),
    Corrupt(String),
}

impl Vault {
    /// A vault on this backend.
    pub fn new(backend: impl Backend + 'static) -> Self {
        Self(Arc::new(Shared {
            backend: Box::new(backend),
            turns: Mutex::default(),
            unsaved: Unsaved::default(),
            brief: AtomicBool::new(false),
        }))
    }

    /// A vault on the files of a state directory. Refuses one that belongs to somebody else.
    pub fn open(state: &Path) -> Result<Self, Fault> {
        Ok(Self::new(FileStore::open(state)?))
    }

    /// Says whether this process is a command that ends soon: what it could not write would end with it, so
    /// it fails instead of keeping a grant in memory.
    pub fn set_brief(&self, brief: bool) {
        self.0.brief.store(brief, Ordering::Relaxed);
    }

    pub(crate) fn is_brief(&self) -> bool {
        self.0.brief.load(Ordering::Relaxed)
    }

    /// The backend's name, as `auth status` shows it.
    pub fn storage(&self) -> &'static str {
        self.0.backend.kind()
    }

    /// The record of one connection, without waiting for anybody.
    pub fn read(&self, id: &ConnectionId) -> Result<Option<Envelope>, Fault> {
        let stored = self.look(id);
        if let Ok(Stored::Corrupt(why)) = &stored {
            // Only under the lock is it sure that nobody has just replaced it by a good one.
            if let Ok(Some(_hold)) = self.0.backend.try_lock(id)
                && let Ok(Stored::Corrupt(_)) = self.look(id)
            {
                self.quarantine(id, why)?;
            }
        }
        Ok(self.0.unsaved.over(id, stored.map(Stored::record))?)
    }

    /// Every connection that has a record. One that cannot be read is its own failure only.
    pub fn list(&self) -> Result<Vec<Listed>, Fault> {
        let stored = self.0.backend.revisions()?;
        let mut ids: Vec<_> = stored.into_keys().collect();
        ids.extend(self.0.unsaved.ids());
        ids.sort();
        ids.dedup();
        Ok(ids.into_iter().filter_map(|id| Some((id.clone(), self.read(&id).transpose()?))).collect())
    }

    /// Takes the lock of a connection and re-reads its record under it.
    pub async fn begin(&self, id: &ConnectionId, owner: Owner, purpose: Purpose) -> Result<Lease, Fault> {
        self.begin_within(id, owner, purpose, LOCK_WAIT).await
    }

    /// The same with another patience.
    pub async fn begin_within(
        &self,
        id: &ConnectionId,
        owner: Owner,
        purpose: Purpose,
        wait: Duration,
    ) -> Result<Lease, Fault> {
        let lock = self.lock(id, purpose, wait).await?;
        let (vault, of) = (self.clone(), id.clone());
        let read = tokio::task::spawn_blocking(move || vault.read_locked(&of));
        let (stored, record) = read.await.map_err(|gone| {
            Fault::new(Code::Internal, format!("reading the grant of `{id}` ended: {gone}"))
        })??;
        Ok(Lease::new(self.clone(), id.clone(), owner, purpose, lock, stored, record))
    }

    /// Calls back with every connection whose record another process, a person or we changed.
    pub fn watch(&self, changed: impl Fn(ConnectionId) + Send + 'static) -> Result<Watch, Fault> {
        Ok(Watch::start(self.clone(), changed)?)
    }

    /// Whether some record is only in memory because its medium failed.
    pub fn has_unsaved(&self) -> bool {
        !self.0.unsaved.is_empty()
    }

    /// Whether this connection's record is.
    pub fn is_unsaved(&self, id: &ConnectionId) -> bool {
        self.0.unsaved.contains(id)
    }

    /// Writes what could not be written before; how many records still cannot. Blocks on the medium.
    pub fn flush(&self) -> usize {
        for id in self.0.unsaved.ids() {
            let Ok(_turn) = self.turn(&id).try_lock_owned() else { continue };
            let Ok(Some(_hold)) = self.0.backend.try_lock(&id) else { continue };
            let Ok(stored) = self.look(&id) else { continue };
            // Reading over the store drops what the store has overtaken.
            let Ok(Some(envelope)) = self.0.unsaved.over(&id, Ok(stored.record())) else { continue };
            if self.0.unsaved.contains(&id) && self.0.backend.replace(&id, &envelope.render()).is_ok() {
                self.0.unsaved.forget(&id);
                tracing::info!(connection = %id, "the grant kept in memory is saved now");
            }
        }
        self.0.unsaved.ids().len()
    }

    async fn lock(&self, id: &ConnectionId, purpose: Purpose, wait: Duration) -> Result<Lock, StoreError> {
        let deadline = Instant::now() + wait;
        let turn = tokio::time::timeout_at(deadline, self.turn(id).lock_owned())
            .await
            .map_err(|_| StoreError::Locked(id.clone()))?;
        let left = deadline.saturating_duration_since(Instant::now());
        let hold = match self.0.backend.lock(id, left).await {
            Ok(hold) => hold,
            // Where no lock can be made no record can be written either: nobody to be locked out.
            Err(error) if error.is_system() && purpose == Purpose::Acquire => {
                tracing::warn!(connection = %id, %error, "no lock on the grant; going on without");
                Box::new(())
            }
            Err(error) => return Err(error),
        };
        Ok(Lock { _hold: hold, _turn: turn })
    }

    fn turn(&self, id: &ConnectionId) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.0.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.entry(id.clone()).or_default().clone()
    }

    /// The generation on the medium, and the record as it counts. With the lock held.
    fn read_locked(&self, id: &ConnectionId) -> Result<(Option<u64>, Option<Envelope>), StoreError> {
        let stored = self.look(id);
        if let Ok(Stored::Corrupt(why)) = &stored {
            self.quarantine(id, why)?;
        }
        let stored = stored.map(Stored::record);
        let generation =
            stored.as_ref().ok().and_then(|record| record.as_ref().map(|record| record.generation));
        Ok((generation, self.0.unsaved.over(id, stored)?))
    }

    fn look(&self, id: &ConnectionId) -> Result<Stored, StoreError> {
        let Some(bytes) = self.0.backend.load(id)? else { return Ok(Stored::Nothing) };
        match Envelope::parse(bytes.expose()) {
            Ok(envelope) => Ok(Stored::Record(Box::new(envelope))),
            Err(Unreadable::Corrupt(why)) => Ok(Stored::Corrupt(why)),
            Err(Unreadable::Newer(schema)) => Err(StoreError::Newer { id: id.clone(), schema }),
        }
    }

    fn quarantine(&self, id: &ConnectionId, why: &str) -> Result<(), StoreError> {
        let suffix = format!("corrupt-{}", UnixMillis::now().0);
        self.0.backend.set_aside(id, &suffix)?;
        tracing::warn!(connection = %id, why, kept = suffix, "the grant cannot be read and was set aside; log in again");
        Ok(())
    }
}

impl Stored {
    /// A corrupt record is as good as none.
    fn record(self) -> Option<Envelope> {
        match self {
            Self::Record(envelope) => Some(*envelope),
            Self::Nothing | Self::Corrupt(_) => None,
        }
    }

    fn generation(&self) -> Option<u64> {
        match self {
            Self::Record(envelope) => Some(envelope.generation),
            Self::Nothing | Self::Corrupt(_) => None,
        }
    }
}

/// Both locks of a connection. Dropped in the order of the fields: other processes may go on first.
struct Lock {
    _hold: Hold,
    _turn: OwnedMutexGuard<()>,
}

#[cfg(test)]
mod tests;
