//! Numbers that one thread writes and any other may read.

use std::iter;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The bounds of the histograms' buckets in seconds: those that OpenTelemetry advises for HTTP, and
/// more above, because models answer for minutes.
pub const BOUNDS: [f64; 17] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0, 300.0];

/// [`BOUNDS`] in nanoseconds.
const NANOS: [u64; 17] = {
    let mut nanos = [0; 17];
    let mut at = 0;
    while at < nanos.len() {
        nanos[at] = (BOUNDS[at] * 1e9) as u64;
        at += 1;
    }
    nanos
};

/// The bounds of the histograms of body sizes, in bytes: powers of four from 64 B to 256 GiB.
pub const SIZE_BOUNDS: [u64; 17] = {
    let mut bounds = [64; 17];
    let mut at = 1;
    while at < bounds.len() {
        bounds[at] = 4 * bounds[at - 1];
        at += 1;
    }
    bounds
};

/// How many keys a series tells apart. A route sees a handful; an upstream that invents statuses must
/// not make us grow, nor a request walk further.
const MOST: usize = 64;

/// A count. Only one thread adds to it.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds. Not an atomic addition: nobody else writes.
    pub fn add(&self, by: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(by), Relaxed);
    }

    /// The count as of now.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// How long things took, or how large they were. Only one thread adds to it.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; BOUNDS.len() + 1],
    /// Nanoseconds or bytes.
    sum: Counter,
}

impl Histogram {
    /// One more that took so long.
    pub fn observe(&self, took: Duration) {
        self.add(&NANOS, u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    /// One more of so many bytes.
    pub fn observe_size(&self, bytes: u64) {
        self.add(&SIZE_BOUNDS, bytes);
    }

    fn add(&self, bounds: &[u64; 17], value: u64) {
        self.buckets[bounds.partition_point(|bound| *bound < value)].add(1);
        self.sum.add(value);
    }

    /// As of now.
    pub fn total(&self) -> Total {
        Total { buckets: std::array::from_fn(|at| self.buckets[at].get()), sum: self.sum.get() }
    }
}

/// A histogram that was read, or several that were added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// How many fell into each bucket and none before it; the last has no bound.
    pub buckets: [u64; BOUNDS.len() + 1],
    sum: u64,
}

impl Total {
    /// Adds another.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(other.buckets) {
            *mine += theirs;
        }
        self.sum += other.sum;
    }

    /// How many in all.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// How long they took together.
    pub fn seconds(&self) -> f64 {
        self.sum as f64 / 1e9
    }

    /// How large they were together, in bytes.
    pub fn bytes(&self) -> u64 {
        self.sum
    }
}

/// Values by key. Only one thread adds keys; a key is never taken out, so a reader needs no lock. The
/// first use of a key allocates, no other does.
pub(super) struct Series<K, V>(Link<K, V>);

type Link<K, V> = OnceLock<Box<Entry<K, V>>>;

struct Entry<K, V> {
    key: K,
    value: V,
    next: Link<K, V>,
}

impl<K, V> Default for Series<K, V> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<K: Copy + PartialEq, V: Default> Series<K, V> {
    /// The value of a key, or that of `other` if there is no room for it.
    pub(super) fn at(&self, key: K, other: K) -> &V {
        let made = |key| move || Box::new(Entry { key, value: V::default(), next: OnceLock::new() });
        let mut link = &self.0;
        for _ in 0..MOST {
            let entry = link.get_or_init(made(key));
            if entry.key == key {
                return &entry.value;
            }
            link = &entry.next;
        }
        &link.get_or_init(made(other)).value
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        iter::successors(self.0.get(), |entry| entry.next.get()).map(|entry| (&entry.key, &entry.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let histogram = Histogram::default();
        for millis in [0, 5, 6, 1000, 301_000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let total = histogram.total();
        let filled: Vec<_> = total
            .buckets
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
            .map(|(at, n)| (at, *n))
            .collect();
        assert_eq!(filled, [(0, 2), (1, 1), (9, 1), (17, 1)]);
        assert_eq!((total.count(), total.seconds()), (5, 302.011));
        let sizes = Histogram::default();
        for bytes in [0, 64, 65, u64::from(u32::MAX), 1 << 40] {
            sizes.observe_size(bytes);
        }
        let total = sizes.total();
        assert_eq!((total.buckets[0], total.buckets[1], total.buckets[13], total.buckets[17]), (2, 1, 1, 1));
        assert_eq!((total.count(), total.bytes()), (5, 129 + u64::from(u32::MAX) + (1 << 40)));
    }
}
