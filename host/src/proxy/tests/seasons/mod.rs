//! Days of traffic in the virtual time of a paused clock. Clients and an upstream keep quiet for minutes, stop in the
//! middle, break off, talk nonsense, reject and reflect credentials; beside them others behave, and are served. Every
//! exchange is decided by its number, so that either end knows what the other meant.

mod client;
mod script;
mod upstream;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{Instant, sleep};

use super::half::Random;
use super::house::{Plan, token};
use super::inside::{Inside, run};
use crate::credential::{Acquire, Cell, Prepared, Reason};
use crate::fault::{Code, Fault};
use crate::hook::{Event, HookSink, Kind};

/// Hours of each season. `CCPROXY_SEASONS=1000` for a night.
const HOURS: u64 = 2;
/// Worlds, one after the other.
const SEASONS: u64 = 4;
/// Clients at a time.
const CLIENTS: u64 = 12;
/// Longer than anything may take from a client's point of view, whatever it waits for.
const FOR_EVER: Duration = Duration::from_secs(3600);

#[test]
fn whatever_happens_nothing_is_mixed_up_told_twice_or_left_behind() {
    let hours = std::env::var("CCPROXY_SEASONS").ok().and_then(|hours| hours.parse().ok()).unwrap_or(HOURS);
    let mut seen = Seen::default();
    for season in 0..SEASONS {
        seen.add(&run(live(season, Duration::from_secs(hours * 3600))));
    }
    eprintln!("{} virtual hours: {seen:?}", SEASONS * hours);
    for (what, least) in [("whole", 1000), ("cut", 50), ("refused", 50), ("no answer", 20), ("left", 50)] {
        assert!(seen.0.get(what).is_some_and(|count| *count >= least), "{what} is missing in {seen:?}");
    }
}

/// One season of one worker.
async fn live(season: u64, length: Duration) -> Seen {
    let acquire = Arc::new(Renewals::default());
    let events = Arc::new(Balance::default());
    let world = Rc::new(World {
        inside: Inside::new(Plan::to("http://127.0.0.1:4000/api"), acquire, events.clone()),
        end: Instant::now() + length,
        arrivals: RefCell::default(),
        troubles: RefCell::default(),
        seen: RefCell::default(),
    });
    let worker = world.inside.worker.clone();
    let expiry: JoinHandle<()> = spawn_local(async move {
        loop {
            sleep(Duration::from_secs(15)).await;
            worker.expire_idle();
            let (_, _, pooled) = worker.connections();
            assert!(pooled <= CLIENTS as usize, "{pooled} connections wait for {CLIENTS} clients");
        }
    });
    let upstream = spawn_local(upstream::open(world.clone(), Random(season)));
    let first = |client| (season * CLIENTS + client) << 32;
    let clients = (0..CLIENTS).map(|client| spawn_local(client::live(world.clone(), first(client))));
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    // Everybody has gone home. What waits in the pool is closed in its time.
    sleep(Duration::from_secs(1200)).await;
    world.inside.assert_left().await;
    assert!(!upstream.is_finished() && !expiry.is_finished(), "one of them has panicked");
    events.assert_even();
    world.seen.take()
}

/// What all of one season have in common.
struct World {
    inside: Inside,
    end: Instant,
    /// How often the head of a request reached the upstream.
    arrivals: RefCell<HashMap<u64, u32>>,
    /// When a connection to the upstream was refused, or closed while it was idle.
    troubles: RefCell<Vec<Instant>>,
    seen: RefCell<Seen>,
}

impl World {
    fn trouble(&self) {
        self.troubles.borrow_mut().push(Instant::now());
    }

    /// Whether the upstream could not be reached between then and now.
    fn was_troubled(&self, since: Instant) -> bool {
        self.troubles.borrow().iter().rev().take_while(|at| **at >= since).next().is_some()
    }

    fn saw(&self, what: &'static str) {
        *self.seen.borrow_mut().0.entry(what).or_default() += 1;
    }
}

/// What came of the exchanges.
#[derive(Debug, Default)]
struct Seen(BTreeMap<&'static str, u64>);

impl Seen {
    fn add(&mut self, other: &Self) {
        other.0.iter().for_each(|(what, count)| *self.0.entry(what).or_default() += count);
    }
}

/// The credential stage: mostly quick, sometimes slower than anybody waits, sometimes without success.
#[derive(Default)]
struct Renewals(AtomicU64);

impl Acquire for Renewals {
    fn acquire<'a>(
        &'a self,
        cell: &'a Arc<Cell>,
        _: Reason,
    ) -> Pin<Box<dyn Future<Output = Result<Arc<Prepared>, Fault>> + Send + 'a>> {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            sleep(Duration::from_secs([0, 0, 2, 0, 40][number as usize % 5])).await;
            if number % 7 == 6 {
                return Err(Fault::new(Code::ProviderUnavailable, "try later"));
            }
            let renewed = token(number + 2);
            cell.publish(renewed.clone());
            Ok(renewed)
        })
    }
}

/// Events that are told of every request: a beginning, one end, and no secret.
#[derive(Default)]
struct Balance(Mutex<HashMap<String, i32>>);

impl HookSink for Balance {
    fn wants(&self, _: Kind) -> bool {
        true
    }

    fn emit(&self, event: Event) {
        let text = format!("{:?}", event.fields);
        assert!(!text.contains("secret"), "{text}");
        let step = match event.kind {
            Kind::RequestStarted => 1,
            Kind::RequestCompleted | Kind::RequestFailed => -1,
            _ => return,
        };
        // What is refused before it is admitted only ends.
        let id = event.request_id.unwrap();
        let mut open = self.0.lock().unwrap();
        if let Some(count) = open.get_mut(&id) {
            *count += step;
        } else if step > 0 {
            open.insert(id, step);
        }
    }
}

impl Balance {
    fn assert_even(&self) {
        let open = self.0.lock().unwrap();
        let uneven: Vec<_> = open.iter().filter(|(_, count)| **count != 0).collect();
        assert!(uneven.is_empty(), "begun and not ended, or ended twice: {uneven:?}");
    }
}

/// Writes in some pieces, with or without pauses between them.
async fn write_in_pieces(
    stream: &mut (impl AsyncWrite + Unpin),
    mut bytes: &[u8],
    random: &mut Random,
    pauses: bool,
) -> std::io::Result<()> {
    for _ in 0..random.below(20) {
        let most = random.one(&[1, 30, 1_000, 100_000]);
        let (piece, rest) = bytes.split_at(bytes.len().min(1 + random.below(most)));
        stream.write_all(piece).await?;
        bytes = rest;
        if bytes.is_empty() {
            return Ok(());
        }
        match pauses {
            true => sleep(random.pause()).await,
            false => tokio::task::yield_now().await,
        }
    }
    stream.write_all(bytes).await
}
