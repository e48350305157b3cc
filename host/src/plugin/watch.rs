//! Noticing that plugin files or pins changed: a copied build, `plugin trust` of another process.
//!
//! The kernel's notice only says when to look; whether anything changed is told by what the files
//! look like. A file that is still being written is left alone until it has settled.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::registry::Registry;

/// So long without a notice means that a file is complete.
const SETTLE: Duration = Duration::from_millis(300);
/// A file that never settles is looked at anyway after this many pauses; its hash decides.
const MAX_PAUSES: usize = 30;
/// How often to look without notice: for directories made later, and where the kernel gives none.
const RECHECK: Duration = Duration::from_secs(30);

/// Inode, change time and size of every file that matters.
type Stamps = Vec<(PathBuf, u64, i64, i64, u64)>;

/// Watches for as long as it lives.
pub struct PluginWatch {
    registry: Arc<Registry>,
    seen: Stamps,
    notices: mpsc::Receiver<()>,
    watcher: Option<RecommendedWatcher>,
}

impl PluginWatch {
    pub(super) fn new(registry: Arc<Registry>) -> Self {
        let (_, notices) = mpsc::channel(1);
        let mut watch = Self { seen: Stamps::new(), registry, notices, watcher: None };
        watch.open();
        watch.seen = stamps(&watch.registry);
        watch
    }

    /// Waits for a change and takes it over ([`Registry::rescan`]); ask again for the next one.
    pub async fn changed(&mut self) {
        loop {
            // Without a watcher the channel is closed at once.
            if timeout(RECHECK, self.notices.recv()).await == Ok(None) {
                sleep(RECHECK).await;
            }
            self.settle().await;
            let now = stamps(&self.registry);
            if now != self.seen {
                self.seen = now;
                // A directory may be there now that was not.
                self.open();
                self.registry.rescan().await;
                return;
            }
        }
    }

    async fn settle(&mut self) {
        for _ in 0..MAX_PAUSES {
            sleep(SETTLE).await;
            if self.notices.try_recv().is_err() {
                return;
            }
        }
    }

    fn open(&mut self) {
        let (wake, notices) = mpsc::channel(1);
        self.notices = notices;
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Our own reading must not wake us.
            if !event.is_ok_and(|event| event.kind.is_access()) {
                // Full means that a look is due already.
                let _ = wake.try_send(());
            }
        });
        self.watcher = watcher.ok().map(|mut watcher| {
            for directory in directories(&self.registry) {
                // One that is not there is found by the next look.
                let _ = watcher.watch(&directory, RecursiveMode::NonRecursive);
            }
            watcher
        });
    }
}

fn directories(registry: &Registry) -> Vec<PathBuf> {
    let pins = registry.pins_path().parent().map(Path::to_owned);
    registry.directories().into_iter().chain(pins).collect()
}

fn stamps(registry: &Registry) -> Stamps {
    let files = registry.directories().into_iter().filter_map(|directory| std::fs::read_dir(directory).ok());
    let files = files.flatten().flatten().map(|entry| entry.path());
    let objects = files.filter(|path| path.extension() == Some(OsStr::new(std::env::consts::DLL_EXTENSION)));
    let stamp = |path: PathBuf| {
        let meta = path.metadata().ok()?;
        Some((path, meta.ino(), meta.ctime(), meta.ctime_nsec(), meta.len()))
    };
    let mut all: Stamps = objects.chain([registry.pins_path().to_owned()]).filter_map(stamp).collect();
    all.sort();
    all
}
