//! Small lists in files that only we can read: changed by one process at a time, replaced whole.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a writer waits for another: each holds the lock for one small write.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// Our turn to change the file `path`; it ends when this is dropped. The directory is made if it is missing.
pub(crate) fn turn(path: &Path) -> io::Result<File> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    // Beside the file, because the file is replaced; never removed, because others may wait on it.
    let file = private().create(true).truncate(false).open(beside(path, ".turn"))?;
    let deadline = Instant::now() + LOCK_WAIT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Replaces a file whole and durably: a reader sees the old text or the new one.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let random = getrandom::u64().unwrap_or_default();
    let temporary = beside(path, &format!(".tmp-{}-{random:016x}", std::process::id()));
    let written = private().create_new(true).open(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
    });
    written.inspect_err(|_| {
        // Half a text, or nothing.
        let _ = fs::remove_file(&temporary);
    })
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    options
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
