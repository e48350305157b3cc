//! What one worker thread has to itself, and what all of them read.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use arc_swap::ArcSwap;
use ccproxy_h1::Buffers;
use tokio::sync::Notify;

use super::alarm::Alarms;
use super::clock::Clock;
use super::own::OwnPaths;
use super::pool::Pool;
use super::request_id::RequestIds;
use crate::access_log::AccessLog;
use crate::credential::Acquire;
use crate::hook::HookSink;
use crate::meter::RouteMeter;
use crate::proxy::Rules;

/// What all workers read and none writes.
pub(crate) struct Shared {
    /// The decisions, as configured now.
    pub(crate) rules: Arc<ArcSwap<Rules>>,
    /// The slow path of the credential stage.
    pub(crate) acquire: Arc<dyn Acquire>,
    /// Where facts go.
    pub(crate) hooks: Arc<dyn HookSink>,
    /// Where requests are logged, if they are.
    pub(crate) access_log: AccessLog,
    /// What is counted of requests that have no route.
    pub(crate) meter: Arc<RouteMeter>,
    /// Who answers our own paths, but for the probes and the index.
    pub(crate) own: Option<Arc<dyn OwnPaths>>,
}

/// One worker's own state.
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    /// Which one it is: the index of its cells in every meter.
    pub(super) number: usize,
    pub(super) pool: Pool,
    /// What its HTTP/1.1 connections read into while there is something to read.
    pub(super) buffers: Rc<Buffers>,
    pub(super) ids: RequestIds,
    pub(super) alarms: Rc<Alarms>,
    pub(super) clock: Clock,
    draining: Cell<bool>,
    active: Cell<usize>,
    quiet: Notify,
}

/// A connection or tunnel under way; the worker waits for it when it drains.
pub(super) struct Active(Rc<Worker>);

impl Worker {
    /// A worker without connections. Its tasks run on this thread.
    pub(crate) fn new(shared: Arc<Shared>, number: usize) -> Rc<Self> {
        let buffers = Rc::new(Buffers::default());
        Rc::new(Self {
            shared,
            number,
            pool: Pool::new(buffers.clone()),
            buffers,
            ids: RequestIds::new(),
            alarms: Alarms::start(),
            clock: Clock::new(),
            draining: Cell::new(false),
            active: Cell::new(0),
            quiet: Notify::new(),
        })
    }

    /// Counts something under way until the guard is dropped.
    pub(super) fn active(self: &Rc<Self>) -> Active {
        self.active.set(self.active.get() + 1);
        Active(self.clone())
    }

    /// No new request is forwarded from now on.
    pub(crate) fn drain(&self) {
        self.draining.set(true);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Waits until nothing is under way.
    pub(crate) async fn quiet(&self) {
        while self.active.get() > 0 {
            self.quiet.notified().await;
        }
    }

    /// Closes upstream connections that were idle too long.
    pub(crate) fn expire_idle(&self) {
        self.pool.expire(tokio::time::Instant::now());
    }
}

#[cfg(test)]
impl Worker {
    /// Connections under way with clients, connections of either side that are not closed, and those of them that wait
    /// in the pool.
    pub(crate) fn connections(&self) -> (usize, usize, usize) {
        // Each has a hand on the buffers, as have the worker and its pool.
        (self.active.get(), Rc::strong_count(&self.buffers) - 2, self.pool.idle())
    }
}

impl Active {
    pub(super) fn worker(&self) -> &Rc<Worker> {
        &self.0
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.set(self.0.active.get() - 1);
        self.0.quiet.notify_one();
    }
}
