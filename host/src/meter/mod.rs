//! What is counted on the request path, and how it is read: the numbers behind `/metrics`.
//!
//! Every worker counts in cells of its own, found by the index of the worker in the meter that the
//! request's route holds: no lock, no hash, no shared cache line. One thread writes a cell, so a count
//! is a load and a store. A reader adds the workers up.

mod cells;
mod series;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::model::Name;

pub use cells::{Cells, Outcome, Seen, Verb};
pub use series::{BOUNDS, Counter, Histogram, SIZE_BOUNDS, Total};

/// The counters of one route, a set for each worker.
#[derive(Default)]
pub struct RouteMeter {
    workers: Box<[Cells]>,
}

impl RouteMeter {
    fn new(workers: usize) -> Self {
        Self { workers: (0..workers).map(|_| Cells::default()).collect() }
    }

    /// The cells that only this worker writes. None in a meter that counts nothing.
    pub fn of_worker(&self, number: usize) -> Option<&Cells> {
        self.workers.get(number)
    }

    /// Requests of clients: how long until their response had ended.
    pub fn served(&self) -> BTreeMap<Seen, Total> {
        self.sum(Cells::served)
    }

    /// Requests to the upstream: how long until their response began.
    pub fn forwarded(&self) -> BTreeMap<Seen, Total> {
        self.sum(Cells::forwarded)
    }

    /// Refusals by their code.
    pub fn refused(&self) -> BTreeMap<&'static str, u64> {
        counts(self.workers.iter().flat_map(Cells::refused))
    }

    /// Requests that were sent to the upstream once more, by the reason.
    pub fn replayed(&self) -> BTreeMap<&'static str, u64> {
        counts(self.workers.iter().flat_map(Cells::replayed))
    }

    /// The sizes of the bodies of requests and of their responses.
    pub fn sizes(&self) -> [Total; 2] {
        let mut sums = [Total::default(), Total::default()];
        for sizes in self.workers.iter().map(Cells::sizes) {
            sums.iter_mut().zip(&sizes).for_each(|(sum, size)| sum.add(size));
        }
        sums
    }

    /// Clients that are connected. Counted in [`Meters::host`] alone.
    pub fn connected(&self) -> u64 {
        self.workers.iter().map(Cells::connected).sum()
    }

    /// Requests that have begun and not ended. Counted in [`Meters::host`] alone.
    pub fn active(&self) -> u64 {
        self.workers.iter().map(Cells::active).sum()
    }

    fn sum<'a, I>(&'a self, of: impl Fn(&'a Cells) -> I) -> BTreeMap<Seen, Total>
    where
        I: Iterator<Item = (Seen, Total)>,
    {
        let mut sums: BTreeMap<Seen, Total> = BTreeMap::new();
        for (seen, total) in self.workers.iter().flat_map(of) {
            sums.entry(seen).or_default().add(&total);
        }
        sums
    }
}

fn counts(all: impl Iterator<Item = (&'static str, u64)>) -> BTreeMap<&'static str, u64> {
    let mut sums = BTreeMap::new();
    for (key, count) in all {
        *sums.entry(key).or_default() += count;
    }
    sums
}

/// All meters of a host. A route that is built again under its name goes on counting where it was.
pub struct Meters {
    workers: usize,
    host: Arc<RouteMeter>,
    routes: Mutex<BTreeMap<Name, Weak<RouteMeter>>>,
}

impl Meters {
    /// Meters for so many workers.
    pub fn new(workers: usize) -> Self {
        Self { workers, host: Arc::new(RouteMeter::new(workers)), routes: Mutex::default() }
    }

    /// What belongs to no route: refusals before routing, and our own paths.
    pub fn host(&self) -> &Arc<RouteMeter> {
        &self.host
    }

    /// The meters of these routes. Those of routes that are gone by now are forgotten.
    pub fn of<'a>(&self, routes: impl Iterator<Item = &'a Name>) -> Vec<Arc<RouteMeter>> {
        let mut known = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let meters = routes.map(|name| match known.get(name).and_then(Weak::upgrade) {
            Some(meter) => meter,
            None => {
                let meter = Arc::new(RouteMeter::new(self.workers));
                known.insert(name.clone(), Arc::downgrade(&meter));
                meter
            }
        });
        let meters = meters.collect();
        known.retain(|_, meter| meter.strong_count() > 0);
        meters
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pretty_assertions::assert_eq;

    use super::*;

    #[test]
    fn workers_are_added_up_and_a_route_that_is_built_again_counts_on() {
        let (meters, name): (_, Name) = (Meters::new(2), "graph".parse().unwrap());
        let meter = meters.of([&name].into_iter()).remove(0);
        for worker in [0, 1, 1] {
            let cells = meter.of_worker(worker).unwrap();
            cells.serve(&http::Method::GET, Outcome::Status(200), Duration::from_millis(7));
            cells.refuse("draining");
        }
        assert!(meter.of_worker(2).is_none());
        let again = meters.of([&name].into_iter()).remove(0);
        let seen = Seen { verb: Verb::of(&http::Method::GET), outcome: Outcome::Status(200) };
        assert_eq!(again.served()[&seen].count(), 3);
        assert_eq!(again.refused(), [("draining", 3)].into());
        drop((meter, again));
        assert_eq!(meters.of([&name].into_iter()).remove(0).served(), BTreeMap::new());
    }
}
