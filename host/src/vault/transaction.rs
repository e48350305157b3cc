//! The right to change one grant, lent for the time its lock is held.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::envelope::{Envelope, GrantView, LastRefresh, Payload, Problem, State};
use super::error::StoreError;
use super::file::MAX_RECORD;
use super::{Lock, Owner, Purpose, Vault};
use crate::fault::{Code, Fault};
use crate::model::{ConnectionId, UnixMillis};
use crate::secret::Secret;

/// The host's end: as long as it lives, the lock is held and the transaction is open.
pub struct Lease(Transaction);

impl Lease {
    pub(super) fn new(
        vault: Vault,
        id: ConnectionId,
        owner: Owner,
        purpose: Purpose,
        lock: Lock,
        stored: Option<u64>,
        record: Option<Envelope>,
    ) -> Self {
        let began =
            record.as_ref().filter(|record| record.provider == owner.provider).map(|record| record.state);
        let next = next_generation(record.as_ref());
        let held = Held { lock: Some(lock), stored, record, next, scopes_requested: None };
        Self(Transaction(Arc::new(Inner { vault, id, owner, purpose, began, held: Mutex::new(held) })))
    }

    /// The transaction, to use or to lend.
    pub fn transaction(&self) -> Transaction {
        self.0.clone()
    }

    /// Ends the transaction, whoever still has it: a write under way is finished, later ones fail.
    pub fn close(self) {}
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.held().lock = None;
    }
}

/// A transaction on one grant. Clones are the same transaction.
///
/// Its methods block on the medium for the moment of a write.
#[derive(Clone)]
pub struct Transaction(Arc<Inner>);

struct Inner {
    vault: Vault,
    id: ConnectionId,
    owner: Owner,
    purpose: Purpose,
    began: Option<State>,
    held: Mutex<Held>,
}

struct Held {
    /// Gone once closed.
    lock: Option<Lock>,
    /// The generation on the medium, against which a write is compared.
    stored: Option<u64>,
    /// The record as it counts; possibly of another provider.
    record: Option<Envelope>,
    /// What the next write of a record will be called; promised, so it stays until then.
    next: u64,
    scopes_requested: Option<Vec<String>>,
}

impl Transaction {
    /// Whose grant.
    pub fn id(&self) -> &ConnectionId {
        &self.0.id
    }

    /// The plugin's record, byte for byte. None if there is none, or if it is another provider's.
    pub fn record(&self) -> Option<Secret> {
        let envelope = self.envelope()?;
        (!envelope.payload.is_null()).then(|| Secret::new(envelope.payload.expose().to_vec()))
    }

    /// The generation of the record; 0 without one.
    pub fn generation(&self) -> u64 {
        self.envelope().map_or(0, |envelope| envelope.generation)
    }

    /// The generation that [`Self::put`] would give: higher than any this connection ever had.
    pub fn next_generation(&self) -> u64 {
        self.held().next
    }

    /// The whole record, unless it is another provider's.
    pub fn envelope(&self) -> Option<Envelope> {
        self.held().record.clone().filter(|record| record.provider == self.0.owner.provider)
    }

    /// The state when the transaction began and now; `not_logged_in` stands for no record.
    pub fn transition(&self) -> (State, State) {
        let now = self.envelope().map_or(State::NotLoggedIn, |envelope| envelope.state);
        (self.0.began.unwrap_or(State::NotLoggedIn), now)
    }

    /// What a login asks for; stored with the next [`Self::put`].
    pub fn request_scopes(&self, scopes: Vec<String>) {
        self.held().scopes_requested = Some(scopes);
    }

    /// Replaces the record and what may be shown of it. Durable when it returns: only then may the
    /// new token be used. Answers the new generation.
    ///
    /// The state is `ok` from here on. Another provider's record is kept aside.
    pub fn put(&self, payload: &[u8], view: GrantView) -> Result<u64, Fault> {
        let payload = self.accept(payload)?;
        let mut held = self.open()?;
        let generation = held.next;
        let old = held.record.clone();
        let aside = old.as_ref().map(|old| old.provider.clone()).filter(|old| *old != self.0.owner.provider);
        let old = old.filter(|_| aside.is_none());

        let mut envelope =
            Envelope::blank(self.0.owner.provider.clone(), self.0.owner.plugin.clone(), generation);
        envelope.state = State::Ok;
        envelope.account = view.account.or_else(|| old.as_ref()?.account.clone());
        envelope.credentials = view.credentials;
        envelope.scopes_granted = view.scopes_granted;
        envelope.refreshable = view.refreshable;
        envelope.scopes_requested = held
            .scopes_requested
            .take()
            .or_else(|| Some(old.as_ref()?.scopes_requested.clone()))
            .unwrap_or_default();
        envelope.last_refresh = match self.0.purpose {
            Purpose::Acquire => Some(LastRefresh::new(UnixMillis::now(), "ok")),
            Purpose::Login => None,
        };
        envelope.payload = payload;

        self.compare(&held)?;
        if let Some(provider) = aside {
            self.0.vault.0.backend.set_aside(&self.0.id, &format!("{provider}.aside"))?;
            held.stored = None;
        }
        let outlives = self.0.purpose == Purpose::Acquire && !self.0.vault.is_brief();
        self.write(&mut held, envelope, outlives)?;
        Ok(generation)
    }

    /// Writes the record once more as it is: what fails now would fail after a refresh token was spent.
    pub fn rehearse(&self) -> Result<(), Fault> {
        let held = self.open()?;
        self.compare(&held)?;
        match &held.record {
            Some(record) => Ok(self.0.vault.0.backend.replace(&self.0.id, &record.render())?),
            None => Ok(()),
        }
    }

    /// Notes a state, what stands in the way and the last attempt, leaving record and generation
    /// alone. Without a record there is nothing to note on, except that a login is pending.
    pub fn note(
        &self,
        state: State,
        problem: Option<Problem>,
        attempt: Option<LastRefresh>,
    ) -> Result<(), Fault> {
        let mut held = self.open()?;
        let ours = held.record.clone().filter(|record| record.provider == self.0.owner.provider);
        let mut envelope = match (ours, state) {
            (Some(record), _) => record,
            (None, State::LoginPending) if held.record.is_none() => {
                Envelope::blank(self.0.owner.provider.clone(), self.0.owner.plugin.clone(), held.next)
            }
            (None, _) => return Ok(()),
        };
        let attempt = attempt.or_else(|| envelope.last_refresh.clone());
        if (envelope.state, &envelope.problem, &envelope.last_refresh) == (state, &problem, &attempt)
            && held.record.is_some()
        {
            return Ok(());
        }
        envelope.state = state;
        envelope.problem = problem;
        envelope.last_refresh = attempt;
        self.compare(&held)?;
        let lenient = self.0.vault.is_unsaved(&self.0.id);
        self.write(&mut held, envelope, lenient)
    }

    /// Removes the record, durably. Another provider's is left alone.
    pub fn delete(&self) -> Result<(), Fault> {
        let mut held = self.open()?;
        if held.record.as_ref().is_some_and(|record| record.provider != self.0.owner.provider) {
            return Ok(());
        }
        self.0.vault.0.backend.remove(&self.0.id)?;
        self.0.vault.0.unsaved.forget(&self.0.id);
        held.next = next_generation(held.record.as_ref());
        (held.stored, held.record) = (None, None);
        Ok(())
    }

    fn write(&self, held: &mut Held, envelope: Envelope, lenient: bool) -> Result<(), Fault> {
        let (vault, id) = (&self.0.vault.0, &self.0.id);
        match vault.backend.replace(id, &envelope.render()) {
            Ok(()) => {
                vault.unsaved.forget(id);
                held.stored = Some(envelope.generation);
            }
            Err(error) if lenient && error.is_medium() => {
                tracing::warn!(connection = %id, %error, "the new grant is only in memory until it can be saved");
                vault.unsaved.keep(id, held.stored, envelope.clone());
            }
            Err(error) => return Err(error.into()),
        }
        held.next = next_generation(Some(&envelope));
        held.record = Some(envelope);
        Ok(())
    }

    /// Compare-and-set: a person may have deleted the file meanwhile, which no lock prevents.
    fn compare(&self, held: &Held) -> Result<(), Fault> {
        match self.0.vault.look(&self.0.id) {
            Ok(stored) if stored.generation() != held.stored => {
                Err(StoreError::Conflict(self.0.id.clone()).into())
            }
            Err(error) if !error.is_medium() => Err(error.into()),
            // A medium that cannot be read will say so again when written to.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn accept(&self, payload: &[u8]) -> Result<Payload, Fault> {
        let refuse = |why: &str| {
            Fault::new(
                Code::PluginFailed,
                format!("plugin `{}` stored a record for `{}` that is {why}", self.0.owner.plugin, self.0.id),
            )
        };
        if payload.len() > MAX_RECORD / 2 {
            return Err(refuse("too large"));
        }
        match Payload::parse(payload) {
            Ok(payload) if !payload.is_null() => Ok(payload),
            Ok(_) | Err(_) => Err(refuse("not JSON")),
        }
    }

    fn open(&self) -> Result<MutexGuard<'_, Held>, Fault> {
        let held = self.held();
        if held.lock.is_some() {
            return Ok(held);
        }
        Err(Fault::new(Code::PluginFailed, format!("the transaction on `{}` is closed", self.0.id)))
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One more than the last. The first is a time: a record made anew after a deletion must not repeat a
/// generation that some cell still remembers.
fn next_generation(last: Option<&Envelope>) -> u64 {
    match last {
        Some(record) => record.generation.saturating_add(1),
        None => u64::try_from(UnixMillis::now().0).unwrap_or(1),
    }
}
