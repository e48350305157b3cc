//! The orchestration: one call per key however many ask, one writer per login, on time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

use super::book::{Book, Decision, Flight, Order, Outcome, Turnover, rejected_again};
use super::landing::Landing;
use super::schedule::{Moment, chance, replanned};
use super::timer;
use super::{Acquire, Cell, Policy, Providers, Reason};
use crate::fault::{Code, Fault};
use crate::hook::HookSink;
use crate::meter::Total;
use crate::model::{ConnectionId, CredentialKey, UnixMillis};
use crate::vault::{Vault, Watch};

/// How long anybody waits. The call that is waited for goes on alone. A client's request gives up sooner,
/// after 30 s in the carrier: for it, a provider that failed and one that takes its time are two answers.
const PATIENCE: Duration = Duration::from_secs(45);

/// What time it is; another clock in tests.
pub trait Clock: Send + Sync {
    /// The wall clock.
    fn now(&self) -> UnixMillis;
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> UnixMillis {
        UnixMillis::now()
    }
}

/// All credentials of this host: who waits, who calls, what is due. Cheap to clone.
///
/// Workers call it from their own runtimes; whatever it does happens on the control runtime.
#[derive(Clone)]
pub struct Credentials(pub(super) Arc<Keeper>);

/// What only a running host knows of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// A call is under way.
    pub refreshing: bool,
    /// The next renewal or retry of any of its keys.
    pub next_refresh_at: Option<UnixMillis>,
    /// Failures in a row.
    pub failures: u32,
    /// The last of them.
    pub problem: Option<Fault>,
    /// The newest grant is only in memory, because its medium failed.
    pub unsaved: bool,
}

pub(super) struct Keeper {
    pub(super) control: Handle,
    pub(super) vault: Vault,
    pub(super) providers: Arc<dyn Providers>,
    policy: ArcSwap<Policy>,
    pub(super) hooks: Arc<dyn HookSink>,
    pub(super) clock: Arc<dyn Clock>,
    /// Never held across an await or a call to anything but cells.
    book: Mutex<Book>,
    /// Something became due, or may have.
    pub(super) wake: Arc<Notify>,
    pub(super) calls: AtomicU64,
    pub(super) flushing: AtomicBool,
    pub(super) in_flight: watch::Sender<usize>,
}

impl Credentials {
    /// Starts the timers on the control runtime.
    pub fn new(
        control: Handle,
        vault: Vault,
        providers: Arc<dyn Providers>,
        policy: Policy,
        hooks: Arc<dyn HookSink>,
    ) -> Self {
        Self::with_clock(control, vault, providers, policy, hooks, Arc::new(SystemClock))
    }

    /// The same by another clock.
    pub fn with_clock(
        control: Handle,
        vault: Vault,
        providers: Arc<dyn Providers>,
        policy: Policy,
        hooks: Arc<dyn HookSink>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let keeper = Arc::new(Keeper {
            control: control.clone(),
            vault,
            providers,
            policy: ArcSwap::from_pointee(policy),
            hooks,
            clock,
            book: Mutex::default(),
            wake: Arc::default(),
            calls: AtomicU64::new(0),
            flushing: AtomicBool::new(false),
            in_flight: watch::Sender::new(0),
        });
        control.spawn(timer::run(Arc::downgrade(&keeper), Arc::clone(&keeper.wake)));
        Self(keeper)
    }

    /// The slot that requests of this key read; the same one for the same key. From here on the key
    /// is kept fresh, as long as somebody holds the slot and there is a grant to renew.
    pub fn cell(&self, key: &CredentialKey) -> Arc<Cell> {
        let cell = Arc::clone(&self.0.book().slot(key, || Arc::new(Cell::new(key.clone()))).cell);
        self.0.wake.notify_one();
        cell
    }

    /// The slot that requests of this key read, if there is one.
    pub fn existing(&self, key: &CredentialKey) -> Option<Arc<Cell>> {
        self.0.book().slots.get(key).map(|slot| Arc::clone(&slot.cell))
    }

    /// Takes over another configuration. Call it on the control runtime, together with what makes
    /// [`Providers`] answer by the new one: a call that starts in between would mix the two.
    pub fn adopt(&self, turnover: Turnover) {
        self.0.book().adopt(turnover);
        self.0.wake.notify_one();
    }

    /// Renews by another policy from now on, also the tokens that are there.
    pub fn set_policy(&self, policy: Policy) {
        self.0.policy.store(Arc::new(policy));
        let now = self.0.moment();
        for slot in self.0.book().slots.values_mut() {
            // What waits for a retry is due by its failures.
            let planned = slot.due.filter(|_| slot.backoff.failures() == 0);
            if let (Some(_), Some(prepared)) = (planned, slot.cell.latest()) {
                slot.due = replanned(&policy, now, &prepared, chance());
            }
        }
        self.0.wake.notify_one();
    }

    /// Like [`Acquire::acquire`], for one who needs the credential to last.
    pub async fn acquire_lasting(&self, cell: &Arc<Cell>, reason: Reason, min_ttl: Duration) -> Outcome {
        self.0.acquire(cell, reason, Some(min_ttl)).await
    }

    /// Looks at the stored grant again after somebody changed it: login, logout, another process.
    pub async fn changed(&self, id: &ConnectionId) {
        self.0.reconcile(id).await;
    }

    /// Calls [`Self::changed`] for whatever others do to the store, until the watch is dropped.
    pub fn watch_store(&self) -> Result<Watch, Fault> {
        let (control, keeper) = (self.0.control.clone(), Arc::downgrade(&self.0));
        self.0.vault.watch(move |id| {
            if let Some(keeper) = keeper.upgrade() {
                control.spawn(async move { keeper.reconcile(&id).await });
            }
        })
    }

    /// Forgets the tokens of a connection and its failures: its settings or its plugin changed.
    pub fn reset(&self, id: &ConnectionId) {
        self.0.book().clear(id);
        self.0.wake.notify_one();
    }

    /// Forgets the failures of a connection, and keeps its tokens: its plugin was replaced or is back.
    pub fn forgive(&self, id: &ConnectionId) {
        let now = self.0.moment().after(Duration::ZERO);
        self.0.book().forgive(id, now);
        self.0.wake.notify_one();
    }

    /// What `auth status` adds to the stored record.
    pub fn status(&self, id: &ConnectionId) -> Live {
        let unsaved = self.0.vault.is_unsaved(id);
        let mut book = self.0.book();
        let login = book.login(id);
        let (refreshing, mut failures) = (login.flights > 0, login.backoff.failures());
        let mut problem = login.backoff.fault().cloned();
        let mut next_refresh_at: Option<UnixMillis> = None;
        for slot in book.slots_of(id) {
            let at = slot.due.map(super::schedule::Due::at);
            next_refresh_at = next_refresh_at.into_iter().chain(at).min();
            failures = failures.max(slot.backoff.failures());
            let theirs = slot.dead.as_ref().map(|dead| &dead.fault).or_else(|| slot.backoff.fault());
            problem = problem.or_else(|| theirs.cloned());
        }
        Live { refreshing, next_refresh_at, failures, problem, unsaved }
    }

    /// How many times plugins were called for a credential.
    pub fn plugin_calls(&self) -> u64 {
        self.0.calls.load(Ordering::Relaxed)
    }

    /// The same by connection and by what they came to: `ok`, or the code of the failure.
    pub fn calls(&self) -> Vec<(ConnectionId, BTreeMap<&'static str, u64>)> {
        let book = self.0.book();
        let called = book.logins.iter().filter(|(_, login)| !login.calls.is_empty());
        let mut calls: Vec<_> = called.map(|(id, login)| (id.clone(), login.calls.clone())).collect();
        calls.sort_by(|(one, _), (other, _)| one.cmp(other));
        calls
    }

    /// How long they took, by connection.
    pub fn durations(&self) -> Vec<(ConnectionId, Total)> {
        let book = self.0.book();
        let called = book.logins.iter().filter(|(_, login)| !login.calls.is_empty());
        let mut durations: Vec<_> = called.map(|(id, login)| (id.clone(), login.took.clone())).collect();
        durations.sort_by(|(one, _), (other, _)| one.cmp(other));
        durations
    }

    /// Waits until no call is under way: one that has reached the provider should end in the store.
    pub async fn idle(&self) {
        // Fails only when the sender is gone, and we hold it.
        let _ = self.0.in_flight.subscribe().wait_for(|flights| *flights == 0).await;
    }
}

impl Acquire for Credentials {
    fn acquire<'a>(&'a self, cell: &'a Arc<Cell>, reason: Reason) -> BoxFuture<'a, Outcome> {
        Box::pin(self.0.acquire(cell, reason, None))
    }
}

impl Keeper {
    pub(super) async fn acquire(
        self: &Arc<Self>,
        cell: &Arc<Cell>,
        reason: Reason,
        min_ttl: Option<Duration>,
    ) -> Outcome {
        let deadline = Instant::now() + PATIENCE;
        let before = match reason {
            Reason::Rejected { generation } => Some(generation),
            Reason::Forced => cell.latest().map(|prepared| prepared.generation),
            Reason::Missing | Reason::Scheduled => None,
        };
        // A call that was under way may have been for less than we want: then one of our own.
        for _ in 0..2 {
            let flight = match self.decide(cell, reason, min_ttl) {
                Decision::Have(prepared) => return Ok(prepared),
                Decision::Refuse(fault) => return Err(fault),
                Decision::Fly(flight) => return self.landed(flight, cell, deadline).await,
                Decision::Wait(flight) => flight,
            };
            let prepared = self.landed(flight, cell, deadline).await?;
            if before.is_none_or(|before| prepared.generation > before) {
                return Ok(prepared);
            }
        }
        Err(rejected_again(cell.key()))
    }

    /// Decides and, if a call is to be made, makes it: under one hold of the book, or two would.
    fn decide(
        self: &Arc<Self>,
        cell: &Arc<Cell>,
        reason: Reason,
        min_ttl: Option<Duration>,
    ) -> Decision<Flight> {
        let now = self.moment();
        let mut book = self.book();
        match book.decide(cell, reason, min_ttl, now) {
            Decision::Have(prepared) => Decision::Have(prepared),
            Decision::Refuse(fault) => Decision::Refuse(fault),
            Decision::Wait(flight) => Decision::Wait(flight),
            Decision::Fly(order) => Decision::Fly(self.launch(&mut book, cell, order)),
        }
    }

    async fn landed(&self, mut flight: Flight, cell: &Cell, deadline: Instant) -> Outcome {
        match timeout_at(deadline, flight.wait_for(Option::is_some)).await {
            Ok(Ok(outcome)) => outcome.clone().unwrap_or_else(|| Err(lost(cell.key()))),
            Ok(Err(_)) => Err(lost(cell.key())),
            Err(_) => Err(Fault::new(
                Code::Timeout,
                format!("no credential for `{}` within {} s", cell.key(), PATIENCE.as_secs()),
            )
            .retry_after(Some(Duration::from_secs(1)))),
        }
    }

    /// Starts a call on the control runtime. It belongs to nobody: those who wait may leave.
    pub(super) fn launch(self: &Arc<Self>, book: &mut Book, cell: &Arc<Cell>, order: Order) -> Flight {
        let (sender, flight) = watch::channel(None);
        if let Some(slot) = book.slot_of(cell) {
            slot.flight = Some(flight.clone());
            if matches!(order.reason, Reason::Rejected { .. }) {
                slot.rejected = Some(Instant::now());
            }
        }
        book.login(&cell.key().connection).flights += 1;
        let (keeper, cell) = (Arc::clone(self), Arc::clone(cell));
        let landing = Landing::new(Arc::clone(self), Arc::clone(&cell), sender);
        self.control.spawn(async move { landing.send(keeper.fly(&cell, order).await) });
        flight
    }

    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn policy(&self) -> Policy {
        **self.policy.load()
    }

    pub(super) fn moment(&self) -> Moment {
        Moment { wall: self.clock.now(), mono: Instant::now() }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.wake.notify_one();
    }
}

fn lost(key: &CredentialKey) -> Fault {
    Fault::new(Code::Internal, format!("the call for a credential of `{key}` ended without an answer"))
}
