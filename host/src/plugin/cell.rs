//! A plugin's own thread and runtime: what blocks or panics in there costs that plugin only.
//!
//! Every call is a task on the cell, and the caller keeps the clock. A caller waits no longer than
//! its limit, and no longer than it takes to see that the cell's thread does not answer: then the
//! cell is *stalled*, and calls fail at once until it answers again. Repeated panics quarantine it.

use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::health::{Condition, Health, Limits, Trouble};
use crate::fault::{Code, Fault};
use crate::model::Name;

/// Calls under way at once; more wait. A start with hundreds of connections must not become hundreds
/// of sockets to one token endpoint.
const MAX_CALLS: usize = 64;
/// The same of what anybody may send. Apart, or a flood at a webhook would keep credentials waiting.
const MAX_STRANGERS: usize = 32;

/// The thread and runtime of one plugin.
pub(super) struct Cell {
    id: Name,
    handle: Handle,
    way: Way,
    health: Arc<Health>,
    calls: Semaphore,
    strangers: Semaphore,
    stop: Mutex<Option<oneshot::Sender<()>>>,
    ended: watch::Receiver<()>,
}

/// The way to a cell for as long as its thread runs. An image keeps what it was lent for ever: its cell's
/// runtime, with its sockets, must not be among it.
#[derive(Clone)]
pub(super) struct Way(Arc<ArcSwapOption<Handle>>);

impl Way {
    pub(super) fn open(&self) -> Option<Arc<Handle>> {
        self.0.load_full()
    }
}

impl Cell {
    pub(super) fn start(id: &Name, limits: Limits) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            // For secret references that run a program or read a file.
            .max_blocking_threads(4)
            .build()?;
        let handle = runtime.handle().clone();
        let way = Way(Arc::new(ArcSwapOption::from_pointee(handle.clone())));
        let closing = way.clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let (alive, ended) = watch::channel(());
        std::thread::Builder::new().name(format!("plugin-{id}")).spawn(move || {
            // An error means that the cell was dropped: the end as well.
            let _ = runtime.block_on(stopped);
            closing.0.store(None);
            runtime.shutdown_background();
            drop(alive);
        })?;
        Ok(Self {
            id: id.clone(),
            handle,
            way,
            health: Arc::new(Health::new(limits)),
            calls: Semaphore::new(MAX_CALLS),
            strangers: Semaphore::new(MAX_STRANGERS),
            stop: Mutex::new(Some(stop)),
            ended,
        })
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// For the plugin itself.
    pub(super) fn way(&self) -> Way {
        self.way.clone()
    }

    pub(super) fn condition(&self) -> Condition {
        self.health.condition()
    }

    /// Why it is not called, if it is not.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.health.trouble()
    }

    /// Runs `job` on the cell. Dropping the future drops the job, at its next await. Repeated panics quarantine.
    pub(super) async fn call<T, F>(
        &self,
        what: &'static str,
        limit: Duration,
        job: impl FnOnce() -> F + Send + 'static,
    ) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Fault>> + Send + 'static,
    {
        self.run(what, limit, job, Caller::Host).await
    }

    /// The same for what anybody may send: a panic is that request's alone, or a stranger could have the plugin
    /// quarantined and every connection with it; and it waits for other strangers only.
    pub(super) async fn call_of_a_stranger<T, F>(
        &self,
        what: &'static str,
        limit: Duration,
        job: impl FnOnce() -> F + Send + 'static,
    ) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Fault>> + Send + 'static,
    {
        self.run(what, limit, job, Caller::Stranger).await
    }

    async fn run<T, F>(
        &self,
        what: &'static str,
        limit: Duration,
        job: impl FnOnce() -> F + Send + 'static,
        caller: Caller,
    ) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Fault>> + Send + 'static,
    {
        self.admit()?;
        let work = async {
            // Never closed, so this is a permit.
            let _permit = match caller {
                Caller::Host => self.calls.acquire().await,
                Caller::Stranger => self.strangers.acquire().await,
            };
            let mut task = Task(self.handle.spawn(async move { job().await }));
            (&mut task.0).await
        };
        let outcome = tokio::select! {
            done = work => done,
            () = self.stalls(what) => return Err(self.failed(format!("does not answer (during `{what}`)"))),
            () = sleep(limit) => {
                let late = format!("plugin `{}` did not finish `{what}` within {} s", self.id, limit.as_secs_f32());
                return Err(Fault::new(Code::Timeout, late));
            }
        };
        let result = outcome.unwrap_or_else(|gone| {
            let why = if gone.is_cancelled() { "is stopped" } else { "broke" };
            Err(self.failed(format!("{why} (during `{what}`)")))
        });
        match &result {
            Err(fault) if fault.code == Code::PluginFailed => {
                if caller == Caller::Host {
                    self.health.panicked(&fault.message);
                }
            }
            Err(fault) if fault.code == Code::Timeout => {}
            Ok(_) | Err(_) => self.health.worked(),
        }
        result
    }

    /// Ends the thread once `last` is done. A stalled one ends when its code returns.
    pub(super) fn stop(&self, last: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.handle.spawn(async move {
            last.await;
            drop(stop);
        });
    }

    /// Completes when the thread has ended.
    pub(super) fn ended(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut ended = self.ended.clone();
        async move {
            // Nothing is ever sent: the only change is that the sender is gone.
            let _ = ended.changed().await;
        }
    }

    fn admit(&self) -> Result<(), Fault> {
        match self.condition() {
            Condition::Serving => Ok(()),
            Condition::Stalled { since } => {
                Err(self.failed(format!("does not answer since {} s", since.as_secs())))
            }
            Condition::Quarantined { left } => {
                let fault = self.failed("panicked too often and is in quarantine".into());
                Err(fault.retry_after(Some(left)).hint("ccproxy plugin list"))
            }
        }
    }

    /// Completes when the thread does not answer. Costs nothing while nobody waits.
    async fn stalls(&self, during: &str) {
        loop {
            sleep(self.health.limits().beat).await;
            let (answer, answered) = oneshot::channel();
            let health = self.health.clone();
            // If this runs late, it still says that the thread is back.
            self.handle.spawn(async move {
                health.answered();
                let _ = answer.send(());
            });
            if timeout(self.health.limits().stall, answered).await.is_err() {
                self.health.stalled(during);
                return;
            }
        }
    }

    fn failed(&self, why: String) -> Fault {
        Fault::new(Code::PluginFailed, format!("plugin `{}` {why}", self.id))
    }
}

/// Who is behind a call. A panic counts towards the quarantine only if it is the host.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Caller {
    Host,
    Stranger,
}

/// A task that does not outlive the interest in it.
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;
    use std::sync::mpsc;
    use tokio::time::Instant;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn cell(limits: Limits) -> Cell {
        Cell::start(&"acme".parse().unwrap(), limits).unwrap()
    }

    fn quick() -> Limits {
        Limits { beat: Duration::from_millis(20), stall: Duration::from_millis(200), ..Limits::default() }
    }

    async fn ask(cell: &Cell) -> Result<u32, Fault> {
        cell.call("ask", PATIENCE, || async { Ok(42) }).await
    }

    #[tokio::test]
    async fn a_call_runs_on_the_plugins_own_thread() {
        let name = cell(Limits::default())
            .call("name", PATIENCE, || async { Ok(std::thread::current().name().map(str::to_owned)) })
            .await;
        assert_eq!(name.unwrap().as_deref(), Some("plugin-acme"));
    }

    #[tokio::test]
    async fn a_call_past_its_limit_is_given_up_and_dropped() {
        let cell = cell(Limits::default());
        let (dropped, gone) = oneshot::channel::<()>();
        let late = cell
            .call("dream", Duration::from_millis(10), move || async move {
                let _held = dropped;
                std::future::pending::<Result<(), Fault>>().await
            })
            .await
            .unwrap_err();
        assert_eq!(late.code, Code::Timeout);
        assert!(late.message.contains("did not finish `dream`"), "{late}");
        assert!(gone.await.is_err(), "the job was dropped with its sender");
        assert_eq!(ask(&cell).await, Ok(42));
    }

    #[tokio::test]
    async fn a_blocked_thread_fails_calls_at_once_until_it_answers_again() {
        let cell = cell(quick());
        let (release, blocked) = mpsc::channel::<()>();
        let stalled = cell
            .call("block", PATIENCE, move || async move {
                let _ = blocked.recv();
                Ok(())
            })
            .await
            .unwrap_err();
        assert_eq!(stalled.code, Code::PluginFailed);
        assert!(matches!(cell.condition(), Condition::Stalled { .. }));

        let before = Instant::now();
        assert_eq!(ask(&cell).await.unwrap_err().code, Code::PluginFailed);
        assert!(before.elapsed() < quick().stall, "it did not wait");

        release.send(()).unwrap();
        while cell.condition() != Condition::Serving {
            tokio::task::yield_now().await;
        }
        assert_eq!(ask(&cell).await, Ok(42));
    }

    #[tokio::test]
    async fn a_crowd_waits_its_turn() {
        let cell = cell(Limits::default());
        let answers = futures_util::future::join_all((0..3 * MAX_CALLS).map(|_| ask(&cell))).await;
        assert!(answers.into_iter().all(|answer| answer == Ok(42)));
    }

    #[tokio::test]
    async fn a_crowd_of_strangers_keeps_nobody_else_waiting() {
        let cell = Arc::new(cell(Limits::default()));
        let (arrived, mut waiting) = tokio::sync::mpsc::unbounded_channel();
        let flood: Vec<_> = (0..3 * MAX_CALLS)
            .map(|_| {
                let (cell, arrived) = (Arc::clone(&cell), arrived.clone());
                tokio::spawn(async move {
                    let endless = move || async move {
                        let _ = arrived.send(());
                        std::future::pending::<Result<(), Fault>>().await
                    };
                    cell.call_of_a_stranger("handle", PATIENCE, endless).await
                })
            })
            .collect();
        for _ in 0..MAX_STRANGERS {
            waiting.recv().await.unwrap();
        }
        assert_eq!(ask(&cell).await, Ok(42));
        flood.into_iter().for_each(|request| request.abort());
    }

    #[tokio::test]
    async fn three_panics_within_a_minute_quarantine() {
        let cell = cell(Limits { quarantine: Duration::from_millis(50), ..Limits::default() });
        for _ in 0..3 {
            assert_eq!(cell.condition(), Condition::Serving);
            let broken = cell.call::<(), _>("panic", PATIENCE, || async { panic!("on purpose") }).await;
            assert_eq!(broken.unwrap_err().code, Code::PluginFailed);
        }
        let refused = ask(&cell).await.unwrap_err();
        assert!(refused.message.contains("quarantine") && refused.retry_after.is_some(), "{refused:?}");
        sleep(refused.retry_after.unwrap()).await;
        assert_eq!(ask(&cell).await, Ok(42), "it gets another try");
    }
}
