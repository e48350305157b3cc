//! One call: resolve, lock, look again, ask the plugin, write down what came of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::book::{Dead, Order, Outcome, rejected_again, superseded};
use super::keeper::Keeper;
use super::schedule::{capped, chance, renewal};
use super::standing::{self, Answer};
use super::{Cell, Issuer, Prepared, Reason, Want};
use crate::fault::{Code, Fault};
use crate::meter::Histogram;
use crate::model::{Connection, ConnectionId, CredentialKey, UnixMillis};
use crate::vault::{Lease, Owner, Problem, Purpose, State, Transaction};

/// How long a plugin may take. Longer than anybody waits: a token endpoint that is slow to answer has
/// often spent the refresh token already, so its answer is worth having.
const LONGEST: Duration = Duration::from_secs(120);

impl Keeper {
    pub(super) async fn fly(&self, cell: &Arc<Cell>, order: Order) -> Outcome {
        let key = cell.key();
        let (connection, issuer) = self.providers.resolve(&key.connection)?;
        // What was just resolved may be newer than the cell.
        if self.book().slot_of(cell).is_none() {
            return Err(superseded(key));
        }
        if let Some(fault) = self.still_dead(cell, &connection, order).await {
            return Err(fault);
        }
        let stored = match order.reason {
            Reason::Forced => self.stored_generation(key, &connection).await,
            _ => None,
        };
        let owner = Owner { provider: connection.provider.clone(), plugin: issuer.plugin() };
        let lease = match self.vault.begin(&key.connection, owner, Purpose::Acquire).await {
            Ok(lease) => lease,
            Err(fault) => return Err(self.failed(cell, &connection, 0, fault)),
        };
        let order = order.after_waiting(stored, lease.transaction().generation());
        self.fly_locked(cell, order, &connection, issuer.as_ref(), lease).await
    }

    async fn fly_locked(
        &self,
        cell: &Arc<Cell>,
        order: Order,
        connection: &Connection,
        issuer: &dyn Issuer,
        lease: Lease,
    ) -> Outcome {
        let key = cell.key();
        let txn = lease.transaction();
        let before = txn.generation();
        self.see_before(key, before);
        if let Some(fault) = known_refusal(&txn, order) {
            return Err(self.failed(cell, connection, before, fault));
        }
        if self.vault.is_brief() && may_spend(&txn, order, self.clock.now()) {
            let rehearsal = txn.clone();
            let rehearsed = tokio::task::spawn_blocking(move || rehearsal.rehearse()).await;
            if let Ok(Err(fault)) = rehearsed {
                return Err(self.failed(cell, connection, before, fault));
            }
        }
        let began = Instant::now();
        let answer = self.ask(key, order, connection, issuer, txn.clone()).await;
        self.count(key, &answer, began.elapsed());
        let (after, wrote) = (txn.generation(), txn.generation() != before);

        // What is said of the grant is written under the lock that the answer was got under.
        let saying = standing::saying(&txn, &key.target, &answer, order, wrote, self.clock.now());
        let noted = tokio::task::spawn_blocking(move || saying.write(lease)).await;
        if let Ok(Err(fault)) = noted {
            tracing::warn!(connection = %key.connection, %fault, "the state of the grant could not be noted");
        }
        standing::tell(self.hooks.as_ref(), connection, &txn, answer.fault());
        self.settle(cell, connection, after, wrote, answer)
    }

    async fn ask(
        &self,
        key: &CredentialKey,
        order: Order,
        connection: &Connection,
        issuer: &dyn Issuer,
        txn: Transaction,
    ) -> Answer {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let want = Want {
            target: key.target.clone(),
            min_ttl: order.min_ttl,
            rejected_generation: order.rejected,
            reason: order.reason,
        };
        let (deadline, before) = (Instant::now() + LONGEST, txn.generation());
        let prepared = match timeout_at(deadline, issuer.acquire(connection, txn.clone(), want)).await {
            Ok(Ok(prepared)) => dated(capped(prepared, self.clock.now()), &txn, before),
            Ok(Err(fault)) => return Answer::Failed(with_cure(fault, key)),
            Err(_) => {
                let text =
                    format!("plugin `{}` did not answer within {} s", issuer.plugin(), LONGEST.as_secs());
                return Answer::Failed(Fault::new(Code::Timeout, text));
            }
        };
        if !prepared.is_live(self.clock.now()) {
            let text = format!("the credential obtained for `{key}` has expired already");
            return Answer::Failed(Fault::new(Code::InvalidResponse, text));
        }
        match order.rejected {
            Some(rejected) if prepared.generation <= rejected && is_rejection(order) => {
                Answer::Unchanged(Arc::new(prepared), rejected_again(key))
            }
            _ => Answer::Obtained(Arc::new(prepared)),
        }
    }

    /// Fills the cell and plans what comes next.
    fn settle(
        &self,
        cell: &Arc<Cell>,
        connection: &Connection,
        generation: u64,
        wrote: bool,
        answer: Answer,
    ) -> Outcome {
        let (prepared, outcome) = match answer {
            Answer::Obtained(prepared) => (prepared.clone(), Ok(prepared)),
            Answer::Unchanged(prepared, fault) => (prepared, Err(fault)),
            Answer::Failed(fault) => return Err(self.failed(cell, connection, generation, fault)),
        };
        let now = self.moment();
        let due =
            |prepared: &Prepared| prepared.expires_at.map(|at| renewal(&self.policy(), now, at, chance()));
        let mut book = self.book();
        let login = book.login(&cell.key().connection);
        login.seen = Some(generation);
        let troubled = login.backoff.failures() > 0;
        login.backoff.reset();
        if let Some(slot) = book.slot_of(cell) {
            let same = slot.cell.latest().is_some_and(|latest| latest.generation == prepared.generation);
            // A token met again keeps its time: from what it has left another would be reckoned.
            slot.due = slot
                .due
                .filter(|_| same && !troubled && slot.backoff.failures() == 0)
                .or_else(|| due(&prepared));
            slot.backoff.reset();
            (slot.dead, slot.unread) = (None, false);
            slot.issued = if wrote { Some(now.mono) } else { slot.issued };
            slot.cell.publish(prepared);
        }
        outcome
    }

    /// Enters a failure; answers it with the time at which asking again makes sense.
    fn failed(&self, cell: &Arc<Cell>, connection: &Connection, generation: u64, fault: Fault) -> Fault {
        let key = cell.key();
        let now = self.moment();
        let mut book = self.book();
        if fault.code.is_transient() {
            book.login(&key.connection).backoff.fail(&fault, now.mono, chance());
        }
        let Some(slot) = book.slot_of(cell) else { return fault };
        if fault.code.needs_login() {
            let settings_generation = connection.settings_generation;
            slot.dead = Some(Dead { fault: fault.clone(), generation, settings_generation, since: now.mono });
            (slot.due, slot.unread) = (None, false);
            return fault;
        }
        if !fault.code.is_transient() {
            slot.backoff.fail(&fault, now.mono, chance());
        }
        let known = slot.cell.latest().is_some();
        let Some(left) = book.blocked(key, now.mono).and_then(|blocked| blocked.retry_after) else {
            return fault;
        };
        if let Some(slot) = book.slot_of(cell) {
            // A token that requests have had is tried for again; one never obtained waits to be asked for.
            slot.due = known.then(|| now.after(left));
        }
        fault.retry_after(Some(left))
    }

    /// Counts a call by what it came to.
    fn count(&self, key: &CredentialKey, answer: &Answer, took: Duration) {
        let result = answer.fault().map_or("ok", |fault| fault.code.as_str());
        let one = Histogram::default();
        one.observe(took);
        let mut book = self.book();
        let login = book.login(&key.connection);
        *login.calls.entry(result).or_default() += 1;
        login.took.add(&one.total());
    }

    /// The refusal of last time, if nothing has changed since that could turn it.
    async fn still_dead(&self, cell: &Arc<Cell>, connection: &Connection, order: Order) -> Option<Fault> {
        let dead = self.book().slot_of(cell)?.dead.clone()?;
        if order.reason == Reason::Forced {
            return None;
        }
        let generation = self.stored_generation(cell.key(), connection).await?;
        let stands = dead.stands(generation, connection.settings_generation, Instant::now());
        stands.then_some(dead.fault)
    }

    /// The generation of the stored record, 0 for none; nothing if the store cannot be read.
    async fn stored_generation(&self, key: &CredentialKey, connection: &Connection) -> Option<u64> {
        let (vault, id) = (self.vault.clone(), key.connection.clone());
        let read = tokio::task::spawn_blocking(move || vault.read(&id)).await.ok()?.ok()?;
        let ours = read.filter(|record| record.provider == connection.provider);
        Some(ours.map_or(0, |record| record.generation))
    }

    /// Another process wrote since our cells were filled: what they hold may be another account's.
    fn see_before(&self, key: &CredentialKey, generation: u64) {
        let mut book = self.book();
        let login = book.login(&key.connection);
        if login.seen.replace(generation).is_some_and(|seen| seen != generation) {
            book.clear(&key.connection);
        }
    }
}

impl Order {
    /// Who insists on a new token has got one if another process wrote it while he waited for the lock.
    fn after_waiting(self, before: Option<u64>, now: u64) -> Self {
        match before {
            Some(before) if before < now => {
                Self { reason: Reason::Scheduled, rejected: Some(before), ..self }
            }
            _ => self,
        }
    }
}

/// A token that was in the store already is as old as the refresh that put it there: a host that has just
/// started must not take it for new.
fn dated(mut prepared: Prepared, txn: &Transaction, before: u64) -> Prepared {
    if txn.generation() == before {
        let refreshed = txn.envelope().and_then(|record| record.last_refresh?.time());
        prepared.acquired_at = refreshed.unwrap_or(UnixMillis(0));
    }
    prepared
}

fn is_rejection(order: Order) -> bool {
    matches!(order.reason, Reason::Rejected { .. })
}

/// Whether the plugin may be about to use up what is stored: nothing in the record is good enough as it is.
fn may_spend(txn: &Transaction, order: Order, now: UnixMillis) -> bool {
    let lasts = |at: Option<UnixMillis>| at.is_none_or(|at| now.until(at) >= order.min_ttl);
    txn.envelope().is_some_and(|record| {
        order.reason != Reason::Missing || !record.credentials.iter().all(|one| lasts(one.expires_at))
    })
}

/// The record itself says that only a login helps: no plugin is asked, unless a person insists.
fn known_refusal(txn: &Transaction, order: Order) -> Option<Fault> {
    let record = txn.envelope().filter(|record| record.state == State::ReauthRequired)?;
    if order.reason == Reason::Forced {
        return None;
    }
    Some(ended(txn.id(), record.problem.as_ref()))
}

/// What requests are told on a connection whose grant has ended, by what is noted of it.
pub fn ended(id: &ConnectionId, noted: Option<&Problem>) -> Fault {
    let message = match noted {
        Some(problem) => problem.message.clone(),
        None => format!("`{id}` needs a new login"),
    };
    Fault::new(Code::ReauthRequired, message).hint(login_hint(id))
}

/// A failure that a login cures says which.
fn with_cure(fault: Fault, key: &CredentialKey) -> Fault {
    if fault.code.needs_login() && fault.hint.is_none() {
        return fault.hint(login_hint(&key.connection));
    }
    fault
}

fn login_hint(id: &ConnectionId) -> String {
    format!("ccproxy auth login {id}")
}
