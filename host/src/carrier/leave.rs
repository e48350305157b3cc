//! How the connections of a listener learn that it has closed: they end after the request they are at.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::alarm::{Alarm, Alarms};
use super::worker::Worker;

/// Held by a listener. When it is dropped, its connections are told.
pub(crate) struct Welcome {
    is_over: Rc<Cell<bool>>,
    alarms: Rc<Alarms>,
}

/// Held by a connection.
#[derive(Clone, Default)]
pub(crate) struct Leave(Rc<Cell<bool>>);

impl Welcome {
    /// For a listener of this worker.
    pub(crate) fn new(worker: &Worker) -> Self {
        Self { is_over: Rc::default(), alarms: worker.alarms.clone() }
    }

    /// For a connection that came in through it.
    pub(crate) fn leave(&self) -> Leave {
        Leave(self.is_over.clone())
    }
}

impl Drop for Welcome {
    fn drop(&mut self) {
        self.is_over.set(true);
        self.alarms.wake_all();
    }
}

impl Leave {
    /// Whether it is time. Whoever has an alarm is woken when it comes.
    pub(super) fn has_come(&self) -> bool {
        self.0.get()
    }

    /// Resolves when it is time.
    pub(super) fn when_it_comes(self, alarm: Alarm) -> impl Future<Output = ()> {
        When { leave: self, alarm }
    }
}

struct When {
    leave: Leave,
    alarm: Alarm,
}

impl Future for When {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.alarm.listen(cx);
        if self.leave.has_come() { Poll::Ready(()) } else { Poll::Pending }
    }
}
