//! What requests read: the ready-made credential of one (connection, target).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use http::{HeaderName, HeaderValue};

use crate::fault::Fault;
use crate::model::{CredentialKey, UnixMillis};

/// A credential rendered once per refresh: field lines and query parameters to attach.
///
/// Values are marked sensitive; this type has no Debug.
pub struct Prepared {
    /// Fields to set. Every client field of these names is removed first.
    pub fields: Vec<(HeaderName, HeaderValue)>,
    /// Query parameters to set, already percent-encoded (`name`, `value`). Client parameters of
    /// these names are removed first.
    pub query: Vec<(String, String)>,
    /// When the token dies; `None` if it does not say. A token past this is never sent.
    pub expires_at: Option<UnixMillis>,
    /// Rises with every new token of this key; names the rejected one after an upstream 401.
    pub generation: u64,
    /// When it was acquired: a token this young that gets a 401 is not refreshed again.
    pub acquired_at: UnixMillis,
}

impl Prepared {
    /// Whether the token may still be sent at `now`.
    pub fn is_live(&self, now: UnixMillis) -> bool {
        self.expires_at.is_none_or(|at| now < at)
    }
}

/// The slot that all workers read and the control side swaps.
pub struct Cell {
    key: CredentialKey,
    current: ArcSwapOption<Prepared>,
}

impl Cell {
    /// An empty slot: the first request acquires.
    pub fn new(key: CredentialKey) -> Self {
        Self { key, current: ArcSwapOption::empty() }
    }

    /// Whose and what for.
    pub fn key(&self) -> &CredentialKey {
        &self.key
    }

    /// The credential if it may be sent at `now`. One atomic load; no lock, no plugin call.
    pub fn live(&self, now: UnixMillis) -> Option<Arc<Prepared>> {
        self.current.load_full().filter(|prepared| prepared.is_live(now))
    }

    /// The credential whatever its age.
    pub fn latest(&self) -> Option<Arc<Prepared>> {
        self.current.load_full()
    }

    /// Replaces what requests read from now on.
    pub fn publish(&self, prepared: Arc<Prepared>) {
        self.current.store(Some(prepared));
    }

    /// Forgets the credential (logout, record deleted, settings changed).
    pub fn clear(&self) {
        self.current.store(None);
    }
}

/// Why a credential is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nothing usable is cached: first use, or expired while idle.
    Missing,
    /// The upstream answered 401 to the credential of this generation.
    Rejected {
        /// [`Prepared::generation`] of what was sent.
        generation: u64,
    },
    /// Ahead of expiry, by timer or sweep.
    Scheduled,
    /// A person or a tool asked for a new one now.
    Forced,
}

/// The slow path of the credential stage. Implemented by the refresh orchestration; a fake in tests.
pub trait Acquire: Send + Sync {
    /// Waits for a credential of `cell` that is live and newer than a rejected one, or says why not.
    ///
    /// Coalesced per key: a thousand callers make one plugin call. Dropping the future does not
    /// cancel a refresh under way.
    fn acquire<'a>(
        &'a self,
        cell: &'a Arc<Cell>,
        reason: Reason,
    ) -> Pin<Box<dyn Future<Output = Result<Arc<Prepared>, Fault>> + Send + 'a>>;
}
