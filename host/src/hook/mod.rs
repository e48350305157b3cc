//! Hook events: facts the host emits, for plugins, the log, `ccproxy hooks tail` and metrics.
//!
//! Observers never slow or fail a request: an event nobody subscribed to is not built, queues are
//! bounded, and what does not fit is counted.

mod bus;
mod document;
mod event;
mod log;

pub use bus::{Hooks, Notice, Subscription, Tuner};
pub use document::SCHEMA;
pub use event::{Event, Kind};
pub use log::log_events;

/// Where a stage reports its facts. It asks first, so that an unwanted event costs one load:
/// `if hooks.wants(kind) { hooks.emit(Event::new(kind)...) }`.
pub trait HookSink: Send + Sync {
    /// Whether anybody subscribed to events of this kind.
    fn wants(&self, kind: Kind) -> bool;

    /// Hands the event over. Never waits, never fails; what does not fit is dropped and counted.
    fn emit(&self, event: Event);
}

/// Nobody listens: for tests and commands without a host.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHooks;

impl HookSink for NoHooks {
    fn wants(&self, _kind: Kind) -> bool {
        false
    }

    fn emit(&self, _event: Event) {}
}
