//! What time it is, read as seldom as possible: most of what is measured or awaited begins when something else has just
//! ended.

use std::cell::Cell;

use tokio::time::Instant;

/// One worker's clock.
pub(super) struct Clock(Cell<Instant>);

impl Clock {
    pub(super) fn new() -> Self {
        Self(Cell::new(Instant::now()))
    }

    /// The time.
    pub(super) fn read(&self) -> Instant {
        let now = Instant::now();
        self.0.set(now);
        now
    }

    /// The time as it was read last. Where a wait may lie in between, that is long ago.
    pub(super) fn last(&self) -> Instant {
        self.0.get()
    }
}
