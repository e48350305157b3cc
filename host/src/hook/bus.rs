//! From those who report to those who listen, at no cost to the former.
//!
//! `emit` puts the event into a bounded queue; one task takes it out, renders it once and hands it to
//! every subscriber's own bounded queue. What does not fit anywhere is dropped there and counted.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::document::render;
use super::{Event, HookSink, Kind};

/// Events that may wait for the dispatcher. It does nothing but render, so this is a burst, not a backlog.
const QUEUE: usize = 4096;

/// The bus. Cheap to clone.
#[derive(Clone)]
pub struct Hooks(Arc<Bus>);

struct Bus {
    queue: mpsc::Sender<Item>,
    audience: Arc<Audience>,
}

enum Item {
    Event(Box<Event>),
    /// Answered when everything before it was handed on.
    Mark(oneshot::Sender<()>),
}

/// Who listens. Shared by the bus, its task and the subscriptions.
#[derive(Default)]
struct Audience {
    /// The union of all masks: what `wants` reads.
    wanted: AtomicU64,
    dropped: AtomicU64,
    seats: Mutex<Seats>,
}

#[derive(Default)]
struct Seats {
    next: u64,
    taken: Vec<Seat>,
}

struct Seat {
    number: u64,
    kinds: u64,
    queue: mpsc::Sender<Arc<Notice>>,
    dropped: Arc<AtomicU64>,
}

/// One event as subscribers get it.
#[derive(Debug)]
pub struct Notice {
    /// The document, one line of JSON.
    pub document: Arc<str>,
    /// What it was made from.
    pub event: Event,
}

/// Changes what a subscription listens to.
pub struct Tuner {
    number: u64,
    audience: Arc<Audience>,
}

/// A place in the audience, until dropped.
pub struct Subscription {
    number: u64,
    notices: mpsc::Receiver<Arc<Notice>>,
    dropped: Arc<AtomicU64>,
    audience: Arc<Audience>,
}

impl Hooks {
    /// A bus that dispatches on this runtime until the last clone is gone.
    pub fn new(control: &Handle) -> Self {
        let (queue, items) = mpsc::channel(QUEUE);
        let audience = Arc::new(Audience::default());
        control.spawn(dispatch(items, Arc::clone(&audience)));
        Self(Arc::new(Bus { queue, audience }))
    }

    /// Listens to the kinds whose [`Kind::bit`] is set. A subscriber that is `capacity` events behind
    /// loses what comes.
    pub fn subscribe(&self, kinds: u64, capacity: usize) -> Subscription {
        let (queue, notices) = mpsc::channel(capacity.max(1));
        let (audience, dropped) = (Arc::clone(&self.0.audience), Arc::new(AtomicU64::new(0)));
        let mut seats = audience.seats();
        let number = seats.next;
        seats.next += 1;
        seats.taken.push(Seat { number, kinds, queue, dropped: Arc::clone(&dropped) });
        audience.count(&seats);
        drop(seats);
        Subscription { number, notices, dropped, audience }
    }

    /// Events lost on the way to the dispatcher and to subscribers.
    pub fn dropped(&self) -> u64 {
        self.0.audience.dropped.load(Relaxed)
    }

    /// Hands on everything emitted before, then ends every subscription. Nothing is heard after it.
    pub async fn close(&self) {
        let (mark, passed) = oneshot::channel();
        if self.0.queue.send(Item::Mark(mark)).await.is_ok() {
            // Not answered means that the dispatcher ended with its runtime: nothing more will come.
            let _ = passed.await;
        }
        let mut seats = self.0.audience.seats();
        seats.taken.clear();
        self.0.audience.count(&seats);
    }
}

impl HookSink for Hooks {
    fn wants(&self, kind: Kind) -> bool {
        self.0.audience.wanted.load(Relaxed) & kind.bit() != 0
    }

    fn emit(&self, event: Event) {
        if self.wants(event.kind) && self.0.queue.try_send(Item::Event(Box::new(event))).is_err() {
            self.0.audience.dropped.fetch_add(1, Relaxed);
        }
    }
}

impl Subscription {
    /// The next event; none once the bus is closed or gone.
    pub async fn recv(&mut self) -> Option<Arc<Notice>> {
        self.notices.recv().await
    }

    /// For one who decides what this subscription listens to.
    pub fn tuner(&self) -> Tuner {
        Tuner { number: self.number, audience: Arc::clone(&self.audience) }
    }

    /// Events this subscriber was too slow for.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }
}

impl Tuner {
    /// Has the subscription listen to these kinds from now on. One that has ended stays so.
    pub fn listen_to(&self, kinds: u64) {
        let mut seats = self.audience.seats();
        let seat = seats.taken.iter_mut().find(|seat| seat.number == self.number);
        if let Some(seat) = seat {
            seat.kinds = kinds;
        }
        self.audience.count(&seats);
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut seats = self.audience.seats();
        seats.taken.retain(|seat| seat.number != self.number);
        self.audience.count(&seats);
    }
}

impl Audience {
    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, seats: &Seats) {
        self.wanted.store(seats.taken.iter().fold(0, |mask, seat| mask | seat.kinds), Relaxed);
    }

    fn deliver(&self, id: &str, event: Event) {
        let (seats, bit) = (self.seats(), event.kind.bit());
        let mut listening = seats.taken.iter().filter(|seat| seat.kinds & bit != 0).peekable();
        if listening.peek().is_none() {
            return;
        }
        let notice = Arc::new(Notice { document: render(id, &event), event });
        for seat in listening {
            if seat.queue.try_send(Arc::clone(&notice)).is_err() {
                seat.dropped.fetch_add(1, Relaxed);
                self.dropped.fetch_add(1, Relaxed);
            }
        }
    }
}

async fn dispatch(mut items: mpsc::Receiver<Item>, audience: Arc<Audience>) {
    // Ids are unique across restarts, and in order within one.
    let run = getrandom::u32().unwrap_or_else(|_| std::process::id());
    let mut count: u64 = 0;
    while let Some(item) = items.recv().await {
        match item {
            Item::Event(event) => {
                count += 1;
                audience.deliver(&format!("{run:08x}-{count}"), *event);
            }
            Item::Mark(mark) => {
                // Whoever set it may have left.
                let _ = mark.send(());
            }
        }
    }
    audience.seats().taken.clear();
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn every_kind_is_documented() {
        let manual = include_str!("../../../docs/events.md");
        for kind in Kind::ALL {
            assert!(manual.contains(&format!("| `{kind}` |")), "{kind} has no row in docs/events.md");
        }
    }

    fn hooks() -> Hooks {
        Hooks::new(&Handle::current())
    }

    #[tokio::test]
    async fn a_kind_is_wanted_as_long_as_somebody_listens_to_it() {
        let hooks = hooks();
        assert!(Kind::ALL.iter().all(|kind| !hooks.wants(*kind)));
        let one = hooks.subscribe(Kind::AppReady.bit() | Kind::AppStartup.bit(), 4);
        let two = hooks.subscribe(Kind::AppReady.bit(), 4);
        assert!(
            hooks.wants(Kind::AppReady) && hooks.wants(Kind::AppStartup) && !hooks.wants(Kind::AppShutdown)
        );
        drop(one);
        assert!(hooks.wants(Kind::AppReady) && !hooks.wants(Kind::AppStartup));
        two.tuner().listen_to(Kind::AppShutdown.bit());
        assert!(hooks.wants(Kind::AppShutdown) && !hooks.wants(Kind::AppReady));
        drop(two);
        assert!(!hooks.wants(Kind::AppShutdown));
    }

    #[tokio::test]
    async fn every_subscriber_gets_its_kinds_in_order_under_unique_ids() {
        let hooks = hooks();
        let mut all = hooks.subscribe(u64::MAX, 16);
        let mut some = hooks.subscribe(Kind::AppShutdown.bit(), 16);
        for kind in [Kind::AppStartup, Kind::AppReady, Kind::AppShutdown] {
            hooks.emit(Event::new(kind));
        }
        let shutdown = some.recv().await.unwrap();
        let mut ids = std::collections::BTreeSet::new();
        for kind in [Kind::AppStartup, Kind::AppReady, Kind::AppShutdown] {
            let notice = all.recv().await.unwrap();
            let document: serde_json::Value = serde_json::from_str(&notice.document).unwrap();
            assert_eq!((notice.event.kind, document["event"].as_str()), (kind, Some(kind.as_str())));
            ids.insert(document["id"].to_string());
            if kind == Kind::AppShutdown {
                assert_eq!(notice.document, shutdown.document);
            }
        }
        assert_eq!(ids.len(), 3);
    }

    #[tokio::test]
    async fn one_who_lags_loses_and_slows_nobody() {
        let hooks = hooks();
        let (slow, mut quick) = (hooks.subscribe(u64::MAX, 2), hooks.subscribe(u64::MAX, 100));
        for _ in 0..100 {
            hooks.emit(Event::new(Kind::RequestStarted));
        }
        hooks.close().await;
        assert_eq!((slow.dropped(), quick.dropped(), hooks.dropped()), (98, 0, 98));
        for _ in 0..100 {
            quick.recv().await.unwrap();
        }
    }

    #[tokio::test]
    async fn emitting_never_waits_for_the_dispatcher() {
        let hooks = hooks();
        let listener = hooks.subscribe(u64::MAX, 1);
        // The dispatcher shares this thread and cannot run before the first await.
        for _ in 0..QUEUE + 10 {
            hooks.emit(Event::new(Kind::RequestStarted));
        }
        assert_eq!((hooks.dropped(), listener.dropped()), (10, 0));
    }

    #[tokio::test]
    async fn who_listened_until_the_bus_was_closed_has_heard_everything() {
        let hooks = hooks();
        let mut listener = hooks.subscribe(u64::MAX, 10);
        hooks.emit(Event::new(Kind::AppShutdown));
        hooks.close().await;
        assert!(!hooks.wants(Kind::AppShutdown));
        assert_eq!(listener.recv().await.map(|notice| notice.event.kind), Some(Kind::AppShutdown));
        assert!(listener.recv().await.is_none());
    }

    #[tokio::test]
    async fn subscriptions_end_with_the_bus() {
        let hooks = hooks();
        let mut listener = hooks.subscribe(u64::MAX, 1);
        drop(hooks);
        assert!(listener.recv().await.is_none());
    }
}
