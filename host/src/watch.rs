//! Noticing that files changed: edited in place, replaced as editors do, copied, removed.
//!
//! The kernel's notice only says when to look; whether anything changed is told by what the files look like. So
//! a notice lost, doubled or about somebody else's file is harmless.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

/// So long without a notice means that whoever writes is done.
pub const SETTLE: Duration = Duration::from_millis(250);
/// A file that never settles is looked at anyway after this many pauses.
const MAX_PAUSES: usize = 30;
/// How often to look without notice: for what lies behind a symbolic link, and where the kernel gives none.
const RECHECK: Duration = Duration::from_secs(30);

/// What is watched.
#[derive(Default)]
pub struct Places {
    /// Where files may come and go.
    pub directories: BTreeSet<PathBuf>,
    /// The files that matter.
    pub files: BTreeSet<PathBuf>,
}

/// Lists what is to be watched, as it is now. May block.
pub type Survey = dyn Fn() -> Places + Send + Sync;

/// Watches for as long as it lives.
pub struct FileWatch {
    survey: Arc<Survey>,
    seen: Look,
    notices: mpsc::Receiver<()>,
    watcher: Option<RecommendedWatcher>,
}

/// What there was at one moment.
#[derive(Default)]
pub struct Look {
    /// Of names, inodes, change times and sizes.
    digest: u64,
    /// When the last of the files was changed.
    changed_at: Option<SystemTime>,
    /// Directories to ask the kernel about.
    directories: BTreeSet<PathBuf>,
}

impl FileWatch {
    /// Begins with what is there now.
    pub async fn new(survey: Arc<Survey>) -> Self {
        let (_, notices) = mpsc::channel(1);
        let mut watch = Self { survey, seen: Look::default(), notices, watcher: None };
        watch.seen = watch.look().await;
        watch.open();
        // What changed before the kernel was asked is told by the next look.
        watch
    }

    /// Waits until something is other than it was; ask again for the next change.
    pub async fn changed(&mut self) {
        loop {
            // Without a watcher the channel is closed at once.
            if timeout(RECHECK, self.notices.recv()).await == Ok(None) {
                sleep(RECHECK).await;
            }
            self.settle().await;
            let now = self.look().await;
            let moved = now.directories != self.seen.directories;
            let changed = now.digest != self.seen.digest;
            self.seen = now;
            if moved {
                self.open();
            }
            if changed {
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

    async fn look(&self) -> Look {
        let survey = Arc::clone(&self.survey);
        // Fails only while the runtime ends.
        tokio::task::spawn_blocking(move || Look::at(survey())).await.unwrap_or_default()
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
            for directory in &self.seen.directories {
                // One that has just gone is found by the next look.
                let _ = watcher.watch(directory, RecursiveMode::NonRecursive);
            }
            watcher
        });
    }
}

impl Look {
    /// Looks now. May block.
    pub fn at(places: Places) -> Self {
        let mut digest = DefaultHasher::new();
        let mut changed_at = None;
        for file in &places.files {
            if let Ok(meta) = file.metadata() {
                (file, meta.ino(), meta.ctime(), meta.ctime_nsec(), meta.len()).hash(&mut digest);
                changed_at = changed_at.max(meta.modified().ok());
            }
        }
        // What a link leads to changes where it lies.
        let targets = places.files.iter().filter(|file| file.is_symlink());
        let targets = targets.filter_map(|file| Some(file.canonicalize().ok()?.parent()?.to_owned()));
        let directories = places.directories.iter().filter_map(|directory| nearest_existing(directory));
        let directories = directories.chain(targets).collect();
        Self { digest: digest.finish(), changed_at, directories }
    }

    /// Whether what was read before this look and after the earlier one is whole: nobody wrote meanwhile, nor so
    /// shortly before that more may come. Whoever writes in place empties the file first.
    pub fn is_settled_since(&self, earlier: &Self) -> bool {
        // A time in the future is that of a clock that was set.
        let age = earlier.changed_at.and_then(|at| at.elapsed().ok());
        self.digest == earlier.digest && age.is_none_or(|age| age >= SETTLE)
    }
}

/// The directory itself, or the one in which it or its parents would appear.
fn nearest_existing(directory: &Path) -> Option<PathBuf> {
    directory.ancestors().find(|ancestor| ancestor.is_dir()).map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn toml_files(directory: &Path) -> Arc<Survey> {
        let directory = directory.to_owned();
        Arc::new(move || {
            let entries = std::fs::read_dir(&directory).into_iter().flatten().flatten();
            let files = entries.map(|entry| entry.path());
            let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
            Places { directories: [directory.clone()].into(), files: files.collect() }
        })
    }

    async fn told(watch: &mut FileWatch) -> bool {
        timeout(SOON, watch.changed()).await.is_ok()
    }

    #[tokio::test]
    async fn a_file_written_replaced_and_removed_is_told_once_each() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("a.toml");
        let mut watch = FileWatch::new(toml_files(home.path())).await;
        std::fs::write(&file, "1").unwrap();
        assert!(told(&mut watch).await);
        let draft = home.path().join(".a.toml.swp");
        std::fs::write(&draft, "2").unwrap();
        std::fs::rename(&draft, &file).unwrap();
        assert!(told(&mut watch).await);
        std::fs::remove_file(&file).unwrap();
        assert!(told(&mut watch).await);
    }

    #[tokio::test]
    async fn a_directory_made_later_and_the_target_of_a_link_are_watched_too() {
        let home = tempfile::tempdir().unwrap();
        let (directory, elsewhere) = (home.path().join("conf.d"), home.path().join("dotfiles"));
        let mut watch = FileWatch::new(toml_files(&directory)).await;
        std::fs::create_dir_all(&elsewhere).unwrap();
        std::fs::write(elsewhere.join("real"), "1").unwrap();
        std::fs::create_dir(&directory).unwrap();
        std::os::unix::fs::symlink(elsewhere.join("real"), directory.join("a.toml")).unwrap();
        assert!(told(&mut watch).await);
        std::fs::write(elsewhere.join("real"), "22").unwrap();
        assert!(told(&mut watch).await);
    }

    #[test]
    fn what_was_read_while_somebody_wrote_is_not_whole() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("a.toml");
        let look = || Look::at(Places { directories: BTreeSet::new(), files: [file.clone()].into() });
        let aged = |seconds| {
            let open = std::fs::File::options().append(true).open(&file).unwrap();
            open.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
        };
        assert!(look().is_settled_since(&look()), "there is no file");
        std::fs::write(&file, "").unwrap();
        assert!(!look().is_settled_since(&look()), "emptied a moment ago");
        aged(60);
        let emptied = look();
        assert!(look().is_settled_since(&emptied));
        std::fs::write(&file, "whole").unwrap();
        aged(60);
        assert!(!look().is_settled_since(&emptied), "written in between");
    }

    #[tokio::test(start_paused = true)]
    async fn other_files_are_not_told() {
        let home = tempfile::tempdir().unwrap();
        let mut watch = FileWatch::new(toml_files(home.path())).await;
        std::fs::write(home.path().join("notes.txt"), "1").unwrap();
        // By the paused clock: many looks, all of them without news.
        assert!(timeout(Duration::from_secs(600), watch.changed()).await.is_err());
    }
}
