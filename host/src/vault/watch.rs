//! Noticing what other processes and people do to the store.
//!
//! The kernel's notice only says when to look; what changed is found by comparing revisions. So a
//! notice lost, doubled or about a temporary file is harmless.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use super::Vault;
use super::backend::Revision;
use super::error::StoreError;
use crate::model::ConnectionId;

/// A writer's burst (lock, temporary file, rename) becomes one look.
const SETTLE: Duration = Duration::from_millis(100);
/// How often to look where the kernel gives no notice.
const POLL: Duration = Duration::from_secs(2);
/// How often to look although it does.
const RECHECK: Duration = Duration::from_secs(30);

type Revisions = BTreeMap<ConnectionId, Revision>;

/// Watches until dropped.
pub struct Watch {
    wake: Option<Sender<Notice>>,
    thread: Option<JoinHandle<()>>,
}

enum Notice {
    /// Something moved below the directory.
    Stirred,
    /// The directory itself went: the kernel's watch went with it.
    Lost,
    Stop,
}

impl Watch {
    pub(super) fn start(
        vault: Vault,
        changed: impl Fn(ConnectionId) + Send + 'static,
    ) -> Result<Self, StoreError> {
        if vault.0.backend.watched()?.is_none() {
            return Ok(Self { wake: None, thread: None });
        }
        let (wake, notices) = channel();
        let mut eye = Eye {
            known: vault.0.backend.revisions()?,
            vault,
            wake: wake.clone(),
            watcher: None,
            warned: false,
        };
        eye.open();
        let run = move || eye.run(&notices, &changed);
        let thread = std::thread::Builder::new().name("vault-watch".into()).spawn(run);
        let thread = thread.map_err(StoreError::io("watch", Path::new("credentials")))?;
        Ok(Self { wake: Some(wake), thread: Some(thread) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(wake) = self.wake.take() {
            // The thread may have ended already.
            let _ = wake.send(Notice::Stop);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Eye {
    vault: Vault,
    known: Revisions,
    wake: Sender<Notice>,
    watcher: Option<RecommendedWatcher>,
    warned: bool,
}

impl Eye {
    fn run(mut self, notices: &Receiver<Notice>, changed: &impl Fn(ConnectionId)) {
        loop {
            let pause = if self.watcher.is_some() { RECHECK } else { POLL };
            let lost = match notices.recv_timeout(pause) {
                Ok(Notice::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(Notice::Lost) => true,
                Ok(Notice::Stirred) => false,
                Err(RecvTimeoutError::Timeout) => self.watcher.is_none(),
            };
            std::thread::sleep(SETTLE);
            let more: Vec<Notice> = notices.try_iter().collect();
            if more.iter().any(|notice| matches!(notice, Notice::Stop)) {
                return;
            }
            if lost || more.iter().any(|notice| matches!(notice, Notice::Lost)) {
                self.open();
            }
            self.look(changed);
        }
    }

    /// Asks the kernel for notice; without it we look every [`POLL`].
    fn open(&mut self) {
        self.watcher = None;
        let asked = self.vault.0.backend.watched().map_err(|error| error.to_string()).and_then(|path| {
            let path = path.map(Path::to_owned).unwrap_or_default();
            ask(&path, self.wake.clone()).map_err(|error| error.to_string())
        });
        match asked {
            Ok(watcher) => (self.watcher, self.warned) = (Some(watcher), false),
            Err(_) if self.warned => {}
            Err(error) => {
                self.warned = true;
                tracing::warn!(error, "the system gives no notice of changed grants; looking every 2 s");
            }
        }
    }

    fn look(&mut self, changed: &impl Fn(ConnectionId)) {
        let Ok(now) = self.vault.0.backend.revisions() else { return };
        let gone = self.known.keys().filter(|id| !now.contains_key(*id));
        let new =
            now.iter().filter(|(id, revision)| self.known.get(*id) != Some(*revision)).map(|(id, _)| id);
        for id in gone.chain(new) {
            changed(id.clone());
        }
        self.known = now;
    }
}

fn ask(path: &Path, wake: Sender<Notice>) -> notify::Result<RecommendedWatcher> {
    let root = path.to_owned();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let notice = match &event {
            // Reading and locking are not news, and our own look reads.
            Ok(event) if event.kind.is_access() => return,
            Ok(event) if event.kind.is_remove() && event.paths.contains(&root) => Notice::Lost,
            Ok(event) if event.need_rescan() => Notice::Lost,
            Ok(_) => Notice::Stirred,
            Err(_) => Notice::Lost,
        };
        // Nobody to wake once the thread has ended.
        let _ = wake.send(notice);
    })?;
    watcher.watch(path, RecursiveMode::Recursive)?;
    Ok(watcher)
}
