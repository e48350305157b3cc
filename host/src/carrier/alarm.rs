//! Deadlines of everything that waits on one worker, kept by one timer.
//!
//! A connection waits for one thing after the other, and hardly ever as long as it would: a deadline of its own with the
//! runtime would be armed and disarmed for every request. Here setting one is a store. One task sleeps until the earliest
//! and then looks through all.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use slab::Slab;
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::Instant;

/// Between two looks at all deadlines: what many that follow closely on each other may be late, so that they do not cost
/// a look each.
const STEP: Duration = Duration::from_millis(100);

/// All deadlines of a worker.
#[derive(Default)]
pub(super) struct Alarms {
    entries: RefCell<Slab<Entry>>,
    /// When they are looked at next.
    next: Cell<Option<Instant>>,
    /// That is sooner than it was.
    sooner: Notify,
}

struct Entry {
    task: Option<Waker>,
    deadline: Option<Instant>,
    /// The deadline has passed, and nobody has asked since.
    rang: bool,
}

/// The deadline of one task; it moves.
pub(super) struct Alarm {
    all: Rc<Alarms>,
    key: usize,
}

impl Alarms {
    /// No alarms yet, and the task that keeps them, on this thread.
    pub(super) fn start() -> Rc<Self> {
        let alarms = Rc::<Self>::default();
        let keeper = alarms.clone();
        spawn_local(async move { keeper.keep().await });
        alarms
    }

    /// Wakes whoever's deadline has passed.
    async fn keep(&self) {
        loop {
            let sooner = self.sooner.notified();
            match self.next.get() {
                None => sooner.await,
                Some(next) => tokio::select! {
                    () = tokio::time::sleep_until(next) => self.ring(Instant::now()),
                    () = sooner => {}
                },
            }
        }
    }

    /// Wakes everybody: something has changed that all look at.
    pub(super) fn wake_all(&self) {
        for (_, entry) in self.entries.borrow().iter() {
            entry.task.iter().for_each(Waker::wake_by_ref);
        }
    }

    fn ring(&self, now: Instant) {
        let mut next: Option<Instant> = None;
        for (_, entry) in self.entries.borrow_mut().iter_mut() {
            match entry.deadline {
                Some(deadline) if deadline <= now => {
                    (entry.deadline, entry.rang) = (None, true);
                    entry.task.iter().for_each(Waker::wake_by_ref);
                }
                Some(deadline) => next = Some(next.map_or(deadline, |next| next.min(deadline))),
                None => {}
            }
        }
        self.next.set(next.map(|next| next.max(now + STEP)));
    }

    fn expect(&self, deadline: Instant) {
        if self.next.get().is_none_or(|next| deadline < next) {
            self.next.set(Some(deadline));
            self.sooner.notify_one();
        }
    }
}

impl Alarm {
    pub(super) fn new(all: &Rc<Alarms>) -> Self {
        let key = all.entries.borrow_mut().insert(Entry { task: None, deadline: None, rang: false });
        Self { all: all.clone(), key }
    }

    /// Ready once `deadline` has passed; the one that was asked for last counts.
    pub(super) fn poll(&self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let rang = self.with(cx, |entry| {
            entry.deadline = Some(deadline);
            std::mem::take(&mut entry.rang)
        });
        if rang && deadline <= Instant::now() {
            return Poll::Ready(());
        }
        self.all.expect(deadline);
        Poll::Pending
    }

    /// The task is woken by [`Alarms::wake_all`] from now on.
    pub(super) fn listen(&self, cx: &mut Context<'_>) {
        self.with(cx, |_| ());
    }

    fn with<R>(&self, cx: &mut Context<'_>, f: impl FnOnce(&mut Entry) -> R) -> R {
        let mut entries = self.all.entries.borrow_mut();
        let entry = entries.get_mut(self.key).expect("an alarm has its entry until it is dropped");
        if entry.task.as_ref().is_none_or(|task| !task.will_wake(cx.waker())) {
            entry.task = Some(cx.waker().clone());
        }
        f(entry)
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        // The waker may be the last hand on its task, whose alarm this is: it is dropped when nothing is borrowed.
        let entry = self.all.entries.borrow_mut().try_remove(self.key);
        drop(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;
    use std::future::poll_fn;

    /// Runs a story in virtual time beside the task that keeps the alarms.
    async fn with_alarms<F: Future<Output = ()>>(story: impl FnOnce(Rc<Alarms>) -> F) {
        let alarms = Rc::new(Alarms::default());
        tokio::select! {
            () = alarms.keep() => {}
            () = story(alarms.clone()) => {}
        }
    }

    async fn passed(alarm: &Alarm, deadline: Instant) {
        poll_fn(|cx| alarm.poll(deadline, cx)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn it_rings_at_the_deadline_that_was_asked_for_last() {
        with_alarms(async |alarms| {
            let (alarm, start) = (Alarm::new(&alarms), Instant::now());
            let after = |seconds| start + Duration::from_secs(seconds);
            let early = tokio::time::timeout(Duration::from_secs(50), passed(&alarm, after(75))).await;
            assert!(early.is_err());
            passed(&alarm, after(60)).await;
            assert_eq!(start.elapsed().as_secs(), 60);
            passed(&alarm, after(300)).await;
            assert_eq!(start.elapsed().as_secs(), 300);
            // One that has passed before anybody asked.
            passed(&alarm, start).await;
            assert_eq!(start.elapsed().as_secs(), 300);
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn many_ring_each_in_their_time() {
        with_alarms(async |alarms| {
            let start = Instant::now();
            let waits = (0..500_u32).map(|number| {
                let (alarm, length) =
                    (Alarm::new(&alarms), Duration::from_millis(u64::from(number * 7 % 1000)));
                async move {
                    passed(&alarm, start + length).await;
                    let late = start.elapsed() - length;
                    assert!(late <= STEP, "{length:?} rang {late:?} late");
                }
            });
            futures_util::future::join_all(waits).await;
            assert_eq!(alarms.entries.borrow().len(), 0);
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_listens_is_woken_when_all_are() {
        with_alarms(async |alarms| {
            let (alarm, told) = (Alarm::new(&alarms), Cell::new(false));
            let listener = poll_fn(|cx| {
                alarm.listen(cx);
                if told.get() { Poll::Ready(()) } else { Poll::Pending }
            });
            let teller = async {
                tokio::task::yield_now().await;
                told.set(true);
                alarms.wake_all();
            };
            tokio::join!(listener, teller);
        })
        .await;
    }
}
