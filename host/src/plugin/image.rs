//! A private copy of a plugin's bytes, for the dynamic linker to open by a path nobody used before.
//!
//! The linker finds an image it has mapped already by path and by inode, so the same path would give
//! the old code. And what was hashed is what is mapped: nobody else can write to the copy.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;

use crate::model::Name;

/// A copy that can be opened by [`Copy::path`] for as long as it lives.
pub(super) enum Copy {
    /// In memory, sealed. The descriptor stays open for ever once it is mapped: its number is the
    /// path, and a reused number would be an old path.
    Memory(OwnedFd),
    /// On disk, where memory cannot be executed. Removed when dropped; a mapped one lives on.
    File(PathBuf),
}

impl Copy {
    /// A sealed copy in memory; where that cannot be, a file in `scratch`.
    pub(super) fn new(id: &Name, bytes: &[u8], scratch: &Path) -> io::Result<Self> {
        match in_memory(id, bytes) {
            Ok(fd) => Ok(Self::Memory(fd)),
            Err(error) => {
                tracing::debug!(plugin = %id, %error, "no image in memory; a file instead");
                on_disk(id, bytes, scratch).map(Self::File)
            }
        }
    }

    pub(super) fn path(&self) -> PathBuf {
        match self {
            Self::Memory(fd) => format!("/proc/self/fd/{}", fd.as_raw_fd()).into(),
            Self::File(path) => path.clone(),
        }
    }

    /// Gives the copy up to the image that was made of it.
    pub(super) fn keep(self) {
        match &self {
            Self::Memory(_) => std::mem::forget(self),
            Self::File(_) => drop(self),
        }
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        if let Self::File(path) = self {
            // What stays is swept at the next start.
            let _ = fs::remove_file(path);
        }
    }
}

/// Removes what hosts that were killed left in the scratch directory.
pub(super) fn sweep(scratch: &Path) {
    let Ok(entries) = fs::read_dir(scratch) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner =
            name.to_str().and_then(|name| name.split('-').next()).and_then(|pid| pid.parse::<u32>().ok());
        let dead = owner.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists());
        if dead {
            // Another host may sweep as well.
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn in_memory(id: &Name, bytes: &[u8]) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let name = format!("ccproxy-{id}");
    // Kernels since 6.3 want to be told that it will be executed, older ones do not know the flag.
    let fd = match rustix::fs::memfd_create(&name, flags | MemfdFlags::EXEC) {
        Err(Errno::INVAL) => rustix::fs::memfd_create(&name, flags)?,
        other => other?,
    };
    let mut file = File::from(fd);
    file.write_all(bytes)?;
    let sealed = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&file, sealed)?;
    Ok(file.into())
}

fn on_disk(id: &Name, bytes: &[u8], scratch: &Path) -> io::Result<PathBuf> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    DirBuilder::new().recursive(true).mode(0o700).create(scratch)?;
    let unique = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = scratch.join(format!("{}-{unique}-{id}.so", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o500).open(&path)?;
    file.write_all(bytes)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    fn acme() -> Name {
        "acme".parse().unwrap()
    }

    #[test]
    fn a_copy_in_memory_cannot_be_changed_any_more() {
        let copy = Copy::new(&acme(), b"code", Path::new("/nowhere")).unwrap();
        assert_eq!(fs::read(copy.path()).unwrap(), b"code");
        let written =
            OpenOptions::new().write(true).open(copy.path()).and_then(|mut file| file.write_all(b"evil"));
        assert!(written.is_err());
        assert_eq!(fs::read(copy.path()).unwrap(), b"code");
    }

    #[test]
    fn two_copies_of_the_same_bytes_have_two_paths() {
        let copy = || Copy::new(&acme(), b"code", Path::new("/nowhere")).unwrap();
        let (first, second) = (copy(), copy());
        assert_ne!(first.path(), second.path());
    }

    #[test]
    fn a_copy_on_disk_goes_with_its_owner_and_a_dead_hosts_is_swept() {
        let scratch = tempfile::tempdir().unwrap();
        let copy = Copy::File(on_disk(&acme(), b"code", scratch.path()).unwrap());
        sweep(scratch.path());
        assert_eq!(fs::read(copy.path()).unwrap(), b"code");
        let path = copy.path();
        drop(copy);
        assert!(!path.exists());

        let left = scratch.path().join("4194305-0-acme.so"); // above the kernel's largest pid
        fs::write(&left, "code").unwrap();
        sweep(scratch.path());
        assert!(!left.exists());
    }
}
