//! Noticing that plugin files or pins changed: a copied build, `plugin trust` of another process.
//!
//! The kernel's notice only says when to look; whether anything changed is told by what the files
//! look like. A file that is still being written is left alone: until notices cease, and where the
//! kernel says when a writer is done, until it has.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, Event, EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::discover::Place;
use super::registry::Registry;
use super::rescan::Changed;
use super::safety::Stamp;
use crate::model::Name;

/// So long without a notice means that a file is complete.
const SETTLE: Duration = Duration::from_millis(300);
/// A directory that is never quiet is looked at anyway after this many pauses.
const MAX_PAUSES: usize = 30;
/// How often to look without notice: at plugins that are left alone for a time, and at all files where the
/// kernel tells nothing (a network file system, the target of a link).
const RECHECK: Duration = Duration::from_secs(30);
/// A writer that is not done and has not written for so long is taken for gone: a file can be changed
/// without being opened.
const WRITER_GONE: Duration = Duration::from_secs(30);

/// Every file that matters.
pub(super) type Stamps = BTreeMap<PathBuf, Stamp>;

/// Watches for as long as it lives.
pub struct PluginWatch {
    registry: Arc<Registry>,
    seen: Stamps,
    /// Whether there was a look since it began.
    looked: bool,
    broken: BTreeSet<Name>,
    writers: Arc<Writers>,
    notices: mpsc::Receiver<()>,
    watcher: Option<RecommendedWatcher>,
}

impl PluginWatch {
    pub(super) fn new(registry: Arc<Registry>) -> Self {
        let (wake, notices) = mpsc::channel(1);
        let writers = Arc::new(Writers::default());
        let ear = Ear {
            directories: directories(&registry),
            pins: absolute(registry.pins.path()),
            writers: Arc::clone(&writers),
            wake,
        };
        let watcher = notify::recommended_watcher(move |event| ear.hear(event)).inspect_err(|error| {
            tracing::warn!(%error, "changes of plugin files are noticed late: the system gives no notices");
        });
        let broken = registry.broken();
        let mut watch = Self {
            seen: Stamps::new(),
            looked: false,
            registry,
            broken,
            writers,
            notices,
            watcher: watcher.ok(),
        };
        watch.observe();
        // What came since plugins were looked for has no notice any more: the first look finds it.
        watch.seen = watch.registry.looked_at.clone();
        watch.seen.extend(stamp(watch.registry.pins.path().to_owned()));
        watch
    }

    /// Waits for a change and takes it over: the providers whose plugin is another one now, or takes calls
    /// again. Ask again for the next change.
    pub async fn changed(&mut self) -> Changed {
        loop {
            if self.looked {
                // Without a watcher the channel is closed at once.
                if timeout(RECHECK, self.notices.recv()).await == Ok(None) {
                    sleep(RECHECK).await;
                }
            }
            self.looked = true;
            self.settle().await;
            if let Some(changed) = self.look().await {
                return changed;
            }
        }
    }

    async fn look(&mut self) -> Option<Changed> {
        let broken = self.registry.broken();
        let recovered: Changed = self.broken.difference(&broken).cloned().collect();
        self.broken = broken;
        let being_written = self.writers.at_work();
        let mut now = stamps(&self.registry);
        // What is not complete is seen when it is.
        now.retain(|path, _| !being_written.contains(path));
        if now == self.seen {
            return (!recovered.is_empty()).then_some(recovered);
        }
        self.seen = now;
        // A directory may be there now that was not.
        self.observe();
        let changed = self.registry.rescan_changed(&being_written).await;
        Some(changed.union(&recovered).cloned().collect())
    }

    async fn settle(&mut self) {
        for _ in 0..MAX_PAUSES {
            sleep(SETTLE).await;
            if self.notices.try_recv().is_err() {
                return;
            }
        }
    }

    /// Has the kernel tell of every directory, and of the nearest one above it: it may be made later, or
    /// another be put in its place.
    fn observe(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        for directory in directories(&self.registry) {
            let above = directory.ancestors().skip(1).find(|above| above.is_dir());
            for observed in above.into_iter().chain([directory.as_path()]) {
                // One that is not there is found through the one above it.
                let _ = watcher.watch(observed, RecursiveMode::NonRecursive);
            }
        }
    }
}

/// What the kernel tells, on the watcher's thread.
struct Ear {
    directories: Vec<PathBuf>,
    pins: PathBuf,
    writers: Arc<Writers>,
    wake: mpsc::Sender<()>,
}

impl Ear {
    fn hear(&self, event: notify::Result<Event>) {
        let Ok(event) = event else { return self.wake() };
        if event.need_rescan() {
            // Notices were lost, the end of a writer maybe among them.
            self.writers.forget();
            return self.wake();
        }
        for path in event.paths.iter().filter(|path| self.concerns(path)) {
            match event.kind {
                EventKind::Modify(ModifyKind::Data(_)) => self.writers.begin(path),
                EventKind::Access(AccessKind::Close(AccessMode::Write)) => self.writers.end(path),
                // Our own reading must not wake us.
                EventKind::Access(_) => continue,
                EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => self.writers.end(path),
                _ => {}
            }
            self.wake();
        }
    }

    /// Plugins, pins, and a directory on the way to them.
    fn concerns(&self, path: &Path) -> bool {
        is_object(path) || path == self.pins || self.directories.iter().any(|dir| dir.starts_with(path))
    }

    fn wake(&self) {
        // Full means that a look is due already.
        let _ = self.wake.try_send(());
    }
}

/// Files that somebody writes to, and when that was seen.
#[derive(Default)]
struct Writers(Mutex<BTreeMap<PathBuf, Instant>>);

impl Writers {
    fn begin(&self, path: &Path) {
        // Elsewhere nobody is told when a writer is done.
        if cfg!(target_os = "linux") {
            self.files().insert(path.to_owned(), Instant::now());
        }
    }

    fn end(&self, path: &Path) {
        self.files().remove(path);
    }

    fn forget(&self) {
        self.files().clear();
    }

    fn at_work(&self) -> BTreeSet<PathBuf> {
        let mut files = self.files();
        files.retain(|_, wrote| wrote.elapsed() < WRITER_GONE);
        files.keys().cloned().collect()
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn directories(registry: &Registry) -> Vec<PathBuf> {
    let pins = registry.pins.path().parent().map(Path::to_owned);
    registry.directories().into_iter().chain(pins).map(|directory| absolute(&directory)).collect()
}

/// As the kernel's notices name it.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn is_object(path: &Path) -> bool {
    path.extension() == Some(OsStr::new(std::env::consts::DLL_EXTENSION))
}

fn stamps(registry: &Registry) -> Stamps {
    let mut all = objects(&registry.places);
    all.extend(stamp(registry.pins.path().to_owned()));
    all
}

/// The plugin files there are.
pub(super) fn objects(places: &[Place]) -> Stamps {
    let files = places.iter().filter_map(|place| std::fs::read_dir(&place.directory).ok());
    let objects = files.flatten().flatten().map(|entry| entry.path()).filter(|path| is_object(path));
    objects.filter_map(stamp).collect()
}

fn stamp(path: PathBuf) -> Option<(PathBuf, Stamp)> {
    Some((absolute(&path), Stamp::at(&path)?))
}
