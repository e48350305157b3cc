//! Grants as files: `<state>/credentials/<org>/<name>.json`, 0600 in 0700.
//!
//! A record is replaced whole: a temporary file of its own name in the same directory is written and
//! synced, renamed over the record, and the directory synced. The lock is a separate file that is
//! never deleted: removing one that somebody waits on would let two in.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::backend::{Backend, Hold, Revision};
use super::directory;
use super::error::StoreError;
use crate::model::{ConnectionId, Name};
use crate::secret::Secret;

/// More than any grant: large Azure caches are some 100 KiB.
pub(super) const MAX_RECORD: usize = 4 << 20;

/// The file backend.
#[derive(Clone)]
pub struct FileStore {
    state: PathBuf,
    credentials: PathBuf,
}

impl FileStore {
    /// The store in a state directory. A missing one is made at the first write; one that others
    /// own is refused here.
    pub fn open(state: &Path) -> Result<Self, StoreError> {
        let store = Self { state: state.to_owned(), credentials: state.join("credentials") };
        directory::check(&store.state)?;
        directory::check(&store.credentials)?;
        Ok(store)
    }

    fn org(&self, id: &ConnectionId) -> PathBuf {
        self.credentials.join(id.org.as_str())
    }

    fn record(&self, id: &ConnectionId) -> PathBuf {
        self.org(id).join(format!("{}.json", id.name))
    }

    fn ensure_org(&self, id: &ConnectionId) -> Result<PathBuf, StoreError> {
        let org = self.org(id);
        for dir in [&self.state, &self.credentials, &org] {
            directory::ensure(dir)?;
        }
        Ok(org)
    }

    async fn open_lock(&self, id: &ConnectionId) -> Result<File, StoreError> {
        let (store, of) = (self.clone(), id.clone());
        let opened = tokio::task::spawn_blocking(move || store.lock_file(&of)).await;
        opened.map_err(|gone| StoreError::io("lock", &self.org(id))(gone.into()))?
    }

    /// Whether what we locked is still what others would lock.
    fn is_in_place(&self, id: &ConnectionId, file: &File) -> bool {
        let path = self.lock_path(id);
        let there = fs::metadata(&path).or_else(|_| fs::metadata(self.org(id)));
        let same = |there: &fs::Metadata, ours: &fs::Metadata| {
            (there.dev(), there.ino()) == (ours.dev(), ours.ino())
        };
        match (there, file.metadata()) {
            (Ok(there), Ok(ours)) => same(&there, &ours),
            _ => false,
        }
    }

    fn lock_path(&self, id: &ConnectionId) -> PathBuf {
        self.org(id).join(format!("{}.lock", id.name))
    }

    /// The file to lock. On a medium that takes no new files an existing lock file, or else the
    /// directory, does: whoever cannot write either comes to the same choice.
    fn lock_file(&self, id: &ConnectionId) -> Result<File, StoreError> {
        let path = self.lock_path(id);
        let failed = match self.ensure_org(id) {
            Ok(_) => match directory::open_or_create(&path) {
                Ok(file) => return Ok(file),
                Err(source) => StoreError::Io { action: "create", path: path.clone(), source },
            },
            Err(error) => error,
        };
        if !failed.is_system() {
            return Err(failed);
        }
        match File::open(&path).or_else(|_| File::open(self.org(id))) {
            Ok(file) => Ok(file),
            Err(_) => Err(failed),
        }
    }

    /// Removes what a killed writer left: with the lock held, any temporary file of this record is dead.
    fn sweep(&self, id: &ConnectionId) {
        let prefix = temporary_prefix(&id.name);
        let Ok(entries) = fs::read_dir(self.org(id)) else { return };
        for entry in entries.flatten() {
            if entry.file_name().to_str().is_some_and(|name| name.starts_with(&prefix)) {
                // One that stays is found again next time.
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

impl Backend for FileStore {
    fn kind(&self) -> &'static str {
        "file"
    }

    fn load(&self, id: &ConnectionId) -> Result<Option<Secret>, StoreError> {
        let path = self.record(id);
        let Some((file, meta)) = directory::open(&path)? else { return Ok(None) };
        let length = usize::try_from(meta.len()).unwrap_or(MAX_RECORD).min(MAX_RECORD);
        let mut bytes = Vec::with_capacity(length + 1);
        let read = file.take(MAX_RECORD as u64).read_to_end(&mut bytes);
        let bytes = Secret::new(bytes);
        read.map_err(StoreError::io("read", &path))?;
        Ok(Some(bytes))
    }

    fn replace(&self, id: &ConnectionId, bytes: &[u8]) -> Result<(), StoreError> {
        let (org, path) = (self.ensure_org(id)?, self.record(id));
        let failed = StoreError::io("write", &path);
        let temporary = org.join(format!("{}{}", temporary_prefix(&id.name), unique()));
        let written = directory::create(&temporary).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            directory::sync(&org)
        });
        written.map_err(|source| {
            // What is there is a half-written token, or nothing.
            let _ = fs::remove_file(&temporary);
            failed(source)
        })
    }

    fn remove(&self, id: &ConnectionId) -> Result<(), StoreError> {
        let path = self.record(id);
        match fs::remove_file(&path) {
            Ok(()) => directory::sync(&self.org(id)).map_err(StoreError::io("remove", &path)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(StoreError::io("remove", &path)(error)),
        }
    }

    fn set_aside(&self, id: &ConnectionId, suffix: &str) -> Result<(), StoreError> {
        let path = self.record(id);
        let aside = self.org(id).join(format!("{}.json.{suffix}", id.name));
        match fs::rename(&path, &aside) {
            Ok(()) => directory::sync(&self.org(id)).map_err(StoreError::io("set aside", &path)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(StoreError::io("set aside", &path)(error)),
        }
    }

    fn revisions(&self) -> Result<BTreeMap<ConnectionId, Revision>, StoreError> {
        let mut found = BTreeMap::new();
        for org in names_in(&self.credentials, "")? {
            let directory = self.credentials.join(org.as_str());
            for name in names_in(&directory, ".json")? {
                let path = directory.join(format!("{name}.json"));
                // Gone between the listing and here: not there.
                if let Ok(meta) = fs::symlink_metadata(&path) {
                    let changed = meta.mtime().wrapping_mul(1_000_000_000).wrapping_add(meta.mtime_nsec());
                    found.insert(ConnectionId { org: org.clone(), name }, (meta.ino(), changed, meta.len()));
                }
            }
        }
        Ok(found)
    }

    fn lock<'a>(&'a self, id: &'a ConnectionId, wait: Duration) -> BoxFuture<'a, Result<Hold, StoreError>> {
        Box::pin(async move {
            let deadline = Instant::now() + wait;
            // The kernel has no lock call that gives up after a while: asking again does.
            let mut pause = Duration::from_millis(2);
            let mut file = self.open_lock(id).await?;
            loop {
                match locked(&file).map_err(StoreError::io("lock", &self.org(id)))? {
                    true if self.is_in_place(id, &file) => break,
                    // Somebody removed the directory: others now lock the file that is in its place.
                    true => file = self.open_lock(id).await?,
                    false => {}
                }
                if Instant::now() >= deadline {
                    return Err(StoreError::Locked(id.clone()));
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_millis(50));
            }
            self.sweep(id);
            Ok(Box::new(FileLock(file)) as Hold)
        })
    }

    fn try_lock(&self, id: &ConnectionId) -> Result<Option<Hold>, StoreError> {
        let file = self.lock_file(id)?;
        let got = locked(&file).map_err(StoreError::io("lock", &self.org(id)))?;
        Ok(got.then(|| Box::new(FileLock(file)) as Hold))
    }

    fn watched(&self) -> Result<Option<&Path>, StoreError> {
        directory::ensure(&self.state)?;
        directory::ensure(&self.credentials)?;
        Ok(Some(&self.credentials))
    }
}

/// Unlocks at once when dropped, even if a child of ours inherited the descriptor on its way to exec.
struct FileLock(File);

impl Drop for FileLock {
    fn drop(&mut self) {
        // Closing unlocks too; nothing is lost if this fails.
        let _ = self.0.unlock();
    }
}

fn locked(file: &File) -> std::io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// A dot file, so that no name of a connection can be it.
fn temporary_prefix(name: &Name) -> String {
    format!(".{name}.json.tmp-")
}

/// Unlike any other writer's.
fn unique() -> String {
    let random = getrandom::u64().unwrap_or_default();
    format!("{}-{random:016x}", std::process::id())
}

/// The names with this ending in a directory; none if there is no directory.
fn names_in(directory: &Path, ending: &str) -> Result<Vec<Name>, StoreError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(StoreError::io("list", directory)(error)),
    };
    let name = |entry: fs::DirEntry| entry.file_name().to_str()?.strip_suffix(ending)?.parse().ok();
    Ok(entries.flatten().filter_map(name).collect())
}
