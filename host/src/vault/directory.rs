//! Directories and files only we can read: made so, or refused.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use super::error::StoreError;

const PRIVATE_DIR: u32 = 0o700;
const PRIVATE_FILE: u32 = 0o600;
const OTHERS: u32 = 0o077;

/// Makes `path` a directory of ours with mode 0700, or says who is in the way.
pub(super) fn ensure(path: &Path) -> Result<(), StoreError> {
    if !check(path)? {
        let made = DirBuilder::new().recursive(true).mode(PRIVATE_DIR).create(path);
        made.map_err(StoreError::io("create the directory", path))?;
        // A umask can only have taken bits away; an odd one would lock us out of our own directory.
        restrict(path, PRIVATE_DIR)?;
        check(path)?;
    }
    Ok(())
}

/// Whether the directory is there. One of ours that others could enter is closed, a foreign one refused.
pub(super) fn check(path: &Path) -> Result<bool, StoreError> {
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(StoreError::io("look at", path)(error)),
    };
    if !meta.is_dir() {
        return Err(StoreError::WrongKind { path: path.into(), wanted: "directory" });
    }
    owned_by_us(path, &meta)?;
    if meta.mode() & OTHERS != 0 {
        restrict(path, PRIVATE_DIR)?;
        tracing::warn!(path = %path.display(), mode = format!("{:o}", meta.mode() & 0o7777), "directory was open to others; now 0700");
    }
    Ok(true)
}

/// Opens one of our files for reading; `None` if there is none. A symbolic link is not followed.
pub(super) fn open(path: &Path) -> Result<Option<(File, Metadata)>, StoreError> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK; // NONBLOCK: a FIFO in its place must not hang us
    let opened = OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Err(StoreError::WrongKind { path: path.into(), wanted: "plain file" });
        }
        Err(error) => return Err(StoreError::io("open", path)(error)),
    };
    let meta = file.metadata().map_err(StoreError::io("look at", path))?;
    if !meta.is_file() {
        return Err(StoreError::WrongKind { path: path.into(), wanted: "plain file" });
    }
    owned_by_us(path, &meta)?;
    if meta.mode() & OTHERS != 0 {
        let closed = file.set_permissions(Permissions::from_mode(PRIVATE_FILE));
        closed.map_err(StoreError::io("restrict the mode of", path))?;
        tracing::warn!(path = %path.display(), mode = format!("{:o}", meta.mode() & 0o7777), "grant was readable by others; now 0600");
    }
    Ok(Some((file, meta)))
}

/// Creates a file that nobody else can open, whatever the umask. Never opens one that exists.
pub(super) fn create(path: &Path) -> io::Result<File> {
    let file = private(OpenOptions::new().write(true).create_new(true)).open(path)?;
    file.set_permissions(Permissions::from_mode(PRIVATE_FILE))?;
    Ok(file)
}

/// Opens a file to lock, making it if need be.
pub(super) fn open_or_create(path: &Path) -> io::Result<File> {
    private(OpenOptions::new().write(true).create(true).truncate(false)).open(path)
}

/// Makes the names in a directory durable.
pub(super) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options.mode(PRIVATE_FILE).custom_flags(OFlags::NOFOLLOW.bits() as i32)
}

fn restrict(path: &Path, mode: u32) -> Result<(), StoreError> {
    fs::set_permissions(path, Permissions::from_mode(mode))
        .map_err(StoreError::io("restrict the mode of", path))
}

fn owned_by_us(path: &Path, meta: &Metadata) -> Result<(), StoreError> {
    let us = rustix::process::geteuid().as_raw();
    if meta.uid() == us {
        return Ok(());
    }
    Err(StoreError::Foreign { path: path.into(), owner: user(meta.uid()), us: user(us) })
}

/// `uid 1000 (alice)`; the name only where the local user table has it.
fn user(uid: u32) -> String {
    let table = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = table.lines().find_map(|line| {
        let mut parts = line.split(':');
        let name = parts.next()?;
        (parts.nth(1)? == uid.to_string()).then_some(name)
    });
    match name {
        Some(name) => format!("uid {uid} ({name})"),
        None => format!("uid {uid}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;
    use tempfile::tempdir;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_missing_directory_is_made_private_with_its_parents() {
        let home = tempdir().unwrap();
        let path = home.path().join("a/b/c");
        assert_eq!(check(&path).unwrap(), false);
        ensure(&path).unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o700, 0o700));
    }

    #[test]
    fn an_open_directory_of_ours_is_closed() {
        let home = tempdir().unwrap();
        for open in [0o755, 0o770, 0o701, 0o1777] {
            fs::set_permissions(home.path(), Permissions::from_mode(open)).unwrap();
            ensure(home.path()).unwrap();
            assert_eq!(mode(home.path()), 0o700, "from {open:o}");
        }
    }

    #[test]
    fn a_foreign_owner_is_named() {
        let foreign = Path::new("/proc/1/fd"); // any directory we do not own
        if fs::metadata(foreign).is_ok_and(|meta| meta.uid() != rustix::process::geteuid().as_raw()) {
            assert!(check(foreign).unwrap_err().to_string().contains("uid 0 (root)"));
        }
        // As root, give one away instead.
        let home = tempdir().unwrap();
        if std::os::unix::fs::chown(home.path(), Some(12345), None).is_ok() {
            let text = check(home.path()).unwrap_err().to_string();
            assert!(text.contains("belongs to uid 12345, not to the user running this (uid 0"), "{text}");
        }
    }

    #[test]
    fn only_a_plain_file_is_read() {
        let home = tempdir().unwrap();
        let (file, link, fifo) =
            (home.path().join("file"), home.path().join("link"), home.path().join("fifo"));
        drop(create(&file).unwrap());
        std::os::unix::fs::symlink(&file, &link).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RUSR).unwrap();
        assert!(open(&file).unwrap().is_some());
        assert!(open(&home.path().join("none")).unwrap().is_none());
        for odd in [&link, &fifo, &home.path().to_path_buf()] {
            assert!(matches!(open(odd), Err(StoreError::WrongKind { .. })), "{odd:?} was read");
        }
        assert_eq!(create(&file).unwrap_err().kind(), ErrorKind::AlreadyExists);
    }

    #[test]
    fn a_grant_that_others_could_read_is_closed() {
        let home = tempdir().unwrap();
        let path = home.path().join("file");
        drop(create(&path).unwrap());
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        open(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
    }
}
