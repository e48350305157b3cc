//! Hook events: facts the host emits, for plugins, the log, `ccproxy hooks tail` and metrics.
//!
//! Observers never slow or fail a request: an event nobody subscribed to is not built, queues are
//! bounded, and what does not fit is counted.

mod event;

pub use event::{Event, Kind};
