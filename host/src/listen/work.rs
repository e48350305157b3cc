//! A worker: one thread, one runtime, connections from every listener.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::watch;
use tokio::task::spawn_local;

use super::accept::Door;
use super::bind::Bound;
use crate::carrier::{Shared, Worker};

/// How often idle upstream connections are looked at.
const EXPIRY_STEP: Duration = Duration::from_secs(15);

/// How far the host is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Requests are welcome.
    Serving,
    /// No new ones; those under way may end.
    Draining,
    /// Break off.
    Aborted,
}

/// The listeners that workers accept from; it changes.
type Listeners = watch::Receiver<Vec<Arc<Bound>>>;

/// Serves until the host stops. Runs on a thread of its own.
pub(crate) fn work(shared: Arc<Shared>, number: usize, listeners: Listeners, phase: watch::Receiver<Phase>) {
    let runtime = match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "a worker cannot start");
            return;
        }
    };
    // Dropped at the end with everything that still runs on it.
    runtime.block_on(async move {
        let worker = Worker::new(shared, number);
        spawn_local(expire(worker.clone()));
        let mut doors = Doorkeeper { worker: worker.clone(), listeners, doors: HashMap::new() };
        tokio::select! {
            () = doors.keep() => {}
            () = reached(phase.clone(), Phase::Draining) => {}
        }
        // First nobody new, then those inside: whoever is sent away finds the door closed.
        doors.close().await;
        worker.drain();
        let drain_timeout = worker.shared.rules.load().drain_timeout;
        tokio::select! {
            () = worker.quiet() => {}
            () = tokio::time::sleep(drain_timeout) => tracing::warn!("requests under way were broken off"),
            () = reached(phase, Phase::Aborted) => {}
        }
    });
}

/// Opens and closes this worker's doors as the set of listeners changes.
struct Doorkeeper {
    worker: Rc<Worker>,
    listeners: Listeners,
    doors: HashMap<u64, Door>,
}

impl Doorkeeper {
    /// Returns when there will be no further change.
    async fn keep(&mut self) {
        while self.listeners.changed().await.is_ok() {
            self.follow().await;
        }
    }

    async fn follow(&mut self) {
        let wanted = self.listeners.borrow_and_update().clone();
        for bound in &wanted {
            if self.doors.contains_key(&bound.id) {
                continue;
            }
            match Door::open(&self.worker, bound) {
                Ok(door) => drop(self.doors.insert(bound.id, door)),
                Err(error) => tracing::error!(%error, listener = %bound.url(), "a worker cannot listen"),
            }
        }
        let gone = self.doors.extract_if(|id, _| !wanted.iter().any(|bound| bound.id == *id));
        for (_, door) in gone.collect::<Vec<_>>() {
            door.close().await;
        }
    }

    async fn close(&mut self) {
        for (_, door) in self.doors.drain() {
            door.close().await;
        }
    }
}

async fn expire(worker: Rc<Worker>) {
    loop {
        tokio::time::sleep(EXPIRY_STEP).await;
        worker.expire_idle();
    }
}

/// Resolves when the host is at `wanted` or further, or its owner is gone.
async fn reached(mut phase: watch::Receiver<Phase>, wanted: Phase) {
    let _ = phase.wait_for(|phase| *phase >= wanted).await;
}
