//! Events for the plugins that declared them: a bounded queue each, emptied on the plugin's cell.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use tokio::sync::mpsc;

use super::provider::Plugin;
use crate::hook::Kind;

/// Events that wait for one plugin. One that is slower than this loses events, and slows nobody.
const QUEUE: usize = 256;

/// The events of one plugin. Dropped, it says no more.
pub(super) struct Listener {
    mask: u64,
    queue: mpsc::Sender<Arc<str>>,
    dropped: AtomicU64,
}

impl Listener {
    /// Starts to deliver; `None` if the plugin hears nothing.
    pub(super) fn start(plugin: &Arc<Plugin>) -> Option<Self> {
        let mask = mask(&plugin.manifest().events);
        if mask == 0 {
            return None;
        }
        let (queue, events) = mpsc::channel(QUEUE);
        plugin.beside(deliver(Arc::downgrade(plugin), events));
        Some(Self { mask, queue, dropped: AtomicU64::new(0) })
    }

    /// Hands an event over if it is wanted. Never waits.
    pub(super) fn hear(&self, kind: Kind, document: &Arc<str>) {
        if self.mask & kind.bit() != 0 && self.queue.try_send(document.clone()).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Events lost because the plugin was too slow.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// The kinds that a manifest names; `*` is all. A name we do not know is of a later minor.
pub(super) fn mask(events: &[String]) -> u64 {
    let bits = |name: &String| match name.as_str() {
        "*" => u64::MAX,
        name => Kind::parse(name).map_or(0, Kind::bit),
    };
    events.iter().map(bits).fold(0, |mask, bit| mask | bit)
}

async fn deliver(plugin: Weak<Plugin>, mut events: mpsc::Receiver<Arc<str>>) {
    while let Some(document) = events.recv().await {
        let Some(plugin) = plugin.upgrade() else { return };
        if let Err(fault) = plugin.on_event(&document).await {
            tracing::debug!(provider = %plugin.id(), error = %fault.message, "a plugin did not take an event");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn a_manifest_names_kinds_and_unknown_ones_are_nothing() {
        let names = |names: &[&str]| mask(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(names(&["app.ready", "later.kind"]), Kind::AppReady.bit());
        assert_eq!(names(&["*"]), u64::MAX);
        assert_eq!(names(&[]), 0);
    }
}
