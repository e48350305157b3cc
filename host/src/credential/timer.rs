//! What happens without a request: renewals ahead of time, retries, the sweep, news from the store.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::book::{Book, Order, Slot};
use super::keeper::Keeper;
use super::schedule::{Moment, chance, renewal};
use super::{Cell, Reason};
use crate::fault::Fault;
use crate::model::{ConnectionId, CredentialKey, UnixMillis};
use crate::vault::{Envelope, State};

/// The wall clock is compared at least this often: a suspend or a set clock wakes nobody.
const GLANCE: Duration = Duration::from_secs(30);
/// How often a medium that failed is tried again.
const FLUSH: Duration = Duration::from_secs(10);
const SOONEST: Duration = Duration::from_millis(10);

/// Runs until the orchestration is gone.
pub(super) async fn run(keeper: Weak<Keeper>, wake: Arc<Notify>) {
    let mut swept = Instant::now();
    loop {
        let pause = {
            let Some(keeper) = keeper.upgrade() else { return };
            let now = Instant::now();
            let between = keeper.policy().sweep;
            if now >= swept + between {
                swept = now;
                let sweeper = Arc::clone(&keeper);
                keeper.control.spawn(async move { sweeper.sweep().await });
            }
            keeper.read_new().await;
            keeper.flush();
            keeper.renew_due().min((swept + between).saturating_duration_since(now)).max(SOONEST)
        };
        // Woken or not, the next look is due.
        let _ = timeout(pause, wake.notified()).await;
    }
}

impl Keeper {
    /// Starts what is due; how long nothing else will be.
    fn renew_due(self: &Arc<Self>) -> Duration {
        let now = self.moment();
        let mut book = self.book();
        let due = book.slots.values().filter(|slot| is_due(slot, now));
        let due: Vec<_> = due.map(|slot| Arc::clone(&slot.cell)).collect();
        for cell in due {
            self.renew(&mut book, &cell, now);
        }
        let idle = book.slots.values().filter(|slot| slot.flight.is_none());
        let next = idle.filter_map(|slot| slot.due).map(|due| due.left(now)).min().unwrap_or(GLANCE);
        next.min(if self.vault.has_unsaved() { FLUSH } else { GLANCE })
    }

    fn renew(self: &Arc<Self>, book: &mut Book, cell: &Arc<Cell>, now: Moment) {
        let blocked = book.blocked(cell.key(), now.mono).and_then(|fault| fault.retry_after);
        let Some(slot) = book.slot_of(cell) else { return };
        slot.due = None;
        if let Some(left) = blocked {
            slot.due = Some(now.after(left));
            return;
        }
        let latest = slot.cell.latest();
        let left = latest.and_then(|prepared| Some(now.wall.until(prepared.expires_at?)));
        // More than ours has left, so that only another process's newer token will do instead of a new
        // one: the clock may have been set back since, and ours look young.
        let min_ttl = left.unwrap_or_default().saturating_add(Duration::from_secs(1));
        let order = Order { reason: Reason::Scheduled, min_ttl, rejected: None };
        self.launch(book, cell, order);
    }

    /// Plans keys that no request has used yet, from what the store says of them.
    async fn read_new(&self) {
        let mut ids: Vec<ConnectionId> = {
            let mut book = self.book();
            let unread = |(key, slot): (&CredentialKey, &mut Slot)| {
                std::mem::take(&mut slot.unread).then(|| key.connection.clone())
            };
            book.slots.iter_mut().filter_map(unread).collect()
        };
        ids.dedup();
        for id in ids {
            if let Ok(Some(record)) = self.read(&id).await {
                self.plan(&id, &record);
            }
        }
    }

    fn plan(&self, id: &ConnectionId, record: &Envelope) {
        let (now, policy) = (self.moment(), self.policy());
        let mut book = self.book();
        for slot in book.slots_of(id) {
            let idle = slot.due.is_none() && slot.flight.is_none() && slot.cell.latest().is_none();
            let expiry = stored_expiry(record, slot.cell.key()).filter(|at| *at > now.wall);
            if let Some(at) = expiry.filter(|_| idle && is_renewable(record)) {
                slot.due = Some(renewal(&policy, now, at, chance()));
            }
        }
    }

    /// Looks at every grant again: what no timer, notice or request has brought up, this does.
    async fn sweep(self: &Arc<Self>) {
        let ids: Vec<ConnectionId> = {
            let mut book = self.book();
            // A slot that nobody else holds serves no route any more.
            book.slots.retain(|_, slot| Arc::strong_count(&slot.cell) > 1 || slot.flight.is_some());
            let keys: std::collections::BTreeSet<_> =
                book.slots.keys().map(|key| key.connection.clone()).collect();
            book.logins.retain(|id, login| login.flights > 0 || keys.contains(id));
            keys.into_iter().collect()
        };
        for id in ids {
            self.reconcile(&id).await;
            let Ok(Some(record)) = self.read(&id).await else { continue };
            if is_renewable(&record) {
                self.recheck(&id, &record).await;
            }
        }
    }

    /// One after the other: a sweep is no storm.
    async fn recheck(self: &Arc<Self>, id: &ConnectionId, record: &Envelope) {
        let cells: Vec<_> = self.book().slots_of(id).map(|slot| Arc::clone(&slot.cell)).collect();
        for cell in cells {
            let expires_at = match cell.latest() {
                Some(prepared) => prepared.expires_at,
                None => stored_expiry(record, cell.key()),
            };
            let Some(left) = expires_at.map(|at| self.clock.now().until(at)) else { continue };
            // A failure is in the book, with the time of the next attempt.
            let _ = self.acquire(&cell, Reason::Scheduled, Some(self.policy().ahead_of(left))).await;
        }
    }

    /// Compares the store with what the cells were filled from.
    pub(super) async fn reconcile(&self, id: &ConnectionId) {
        let Ok(record) = self.read(id).await else { return }; // an unreadable store says nothing
        let stored = record.map(|record| record.generation);
        let mut book = self.book();
        let login = book.login(id);
        if login.flights > 0 {
            login.recheck = true;
            return;
        }
        let seen = login.seen.filter(|generation| *generation != 0);
        if stored != seen {
            login.seen = stored.or(login.seen.map(|_| 0));
            book.clear(id);
            drop(book);
            self.wake.notify_one();
        }
    }

    fn flush(self: &Arc<Self>) {
        if !self.vault.has_unsaved() || self.flushing.swap(true, Ordering::Relaxed) {
            return;
        }
        let keeper = Arc::clone(self);
        self.control.spawn_blocking(move || {
            keeper.vault.flush();
            keeper.flushing.store(false, Ordering::Relaxed);
        });
    }

    async fn read(&self, id: &ConnectionId) -> Result<Option<Envelope>, Fault> {
        let (vault, of) = (self.vault.clone(), id.clone());
        let read = tokio::task::spawn_blocking(move || vault.read(&of)).await;
        // The runtime is ending: there is nothing to be read any more.
        read.unwrap_or(Ok(None))
    }
}

fn is_due(slot: &Slot, now: Moment) -> bool {
    slot.flight.is_none() && slot.due.is_some_and(|due| due.is_reached(now))
}

fn is_renewable(record: &Envelope) -> bool {
    record.refreshable && matches!(record.state, State::Ok | State::Expiring)
}

fn stored_expiry(record: &Envelope, key: &CredentialKey) -> Option<UnixMillis> {
    let target = key.target.to_string();
    record.credentials.iter().find(|view| view.target == target)?.expires_at
}
