//! Who else could put a file there: owners and modes of a plugin and of every directory above it.
//!
//! The shape of OpenSSH's StrictModes. Owner ourselves or root; no write by others, nor by a group
//! that is not the owner's own. A directory above may be writable if it is sticky, as `/tmp` is:
//! nobody can replace what others own in there. The directory of the file itself may not.

use std::fs::{File, Metadata, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::refusal::Refusal;

const GROUP_WRITE: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
const STICKY: u32 = 0o1000;
/// Larger than any plugin: a plugin that bundles a whole HTTP stack is 6 MB, 60 MB unoptimised.
const MAX_FILE: u64 = 256 << 20;
/// So much is never taken from a heap of glibc (its largest `M_MMAP_THRESHOLD` is 32 MiB), and goes back to the system
/// when it is freed. Room for just the file would stay with the thread that read it; what is not filled costs nothing.
const BEYOND_HEAP: u64 = 33 << 20;

/// What tells that a file is another one, or was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    changed: (i64, i64),
    length: u64,
}

impl Stamp {
    fn of(meta: &Metadata) -> Self {
        Self { inode: meta.ino(), changed: (meta.ctime(), meta.ctime_nsec()), length: meta.len() }
    }

    /// Of the file behind a path, if there is one.
    pub(super) fn at(path: &Path) -> Option<Self> {
        path.metadata().ok().map(|meta| Self::of(&meta))
    }
}

/// Resolves symbolic links, then checks the real file and every directory it lies in.
pub(super) fn check(path: &Path) -> Result<PathBuf, Refusal> {
    let real = path.canonicalize().map_err(io("find", path))?;
    let meta = real.symlink_metadata().map_err(io("look at", &real))?;
    check_file(&real, &meta)?;
    check_directories(&real)?;
    Ok(real)
}

/// Checks a directory and all above it.
pub fn check_directory(path: &Path) -> Result<PathBuf, Refusal> {
    let real = path.canonicalize().map_err(io("find", path))?;
    check_directories(&real.join("plugin"))?;
    Ok(real)
}

/// Opens a plain file, whoever may write it: to see what it is.
pub(super) fn peek(real: &Path) -> Result<(File, Metadata), Refusal> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK; // NONBLOCK: a FIFO in its place must not hang us
    let opened = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(real);
    let file = opened.map_err(io("open", real))?;
    let meta = file.metadata().map_err(io("look at", real))?;
    if meta.is_file() { Ok((file, meta)) } else { Err(Refusal::NotAnObject("it is no plain file".into())) }
}

/// The bytes of a checked file, read once: everything after works on these. What was opened is
/// checked again, because the file may have been swapped.
pub(super) fn read(real: &Path) -> Result<(Vec<u8>, Stamp), Refusal> {
    let (mut file, meta) = peek(real)?;
    check_file(real, &meta)?;
    let room = meta.len().clamp(BEYOND_HEAP, MAX_FILE);
    let mut bytes = Vec::with_capacity(usize::try_from(room).unwrap_or_default());
    (&mut file).take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(io("read", real))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Refusal::NotAnObject(format!("it is larger than {} MiB", MAX_FILE >> 20)));
    }
    let after = file.metadata().map_err(io("look at", real))?;
    if Stamp::of(&after) != Stamp::of(&meta) {
        return Err(Refusal::Unsettled(real.to_owned()));
    }
    Ok((bytes, Stamp::of(&meta)))
}

fn check_file(path: &Path, meta: &Metadata) -> Result<(), Refusal> {
    if !meta.is_file() {
        return Err(Refusal::NotAnObject("it is no plain file".into()));
    }
    guarded(path, meta, false)
}

fn check_directories(file: &Path) -> Result<(), Refusal> {
    for (above, directory) in file.ancestors().skip(1).enumerate() {
        let meta = directory.symlink_metadata().map_err(io("look at", directory))?;
        guarded(directory, &meta, above > 0)?;
    }
    Ok(())
}

fn guarded(path: &Path, meta: &Metadata, may_be_sticky: bool) -> Result<(), Refusal> {
    let refuse = |why: String, cure: String| Err(Refusal::Unsafe { path: path.to_owned(), why, cure });
    let (owner, us) = (meta.uid(), rustix::process::geteuid().as_raw());
    if owner != us && owner != 0 {
        let why = format!("belongs to uid {owner}, neither to us (uid {us}) nor to root");
        return refuse(why, format!("chown {us} {}", path.display()));
    }
    if may_be_sticky && meta.mode() & STICKY != 0 {
        return Ok(());
    }
    let mode = format!("(mode {:04o})", meta.mode() & 0o7777);
    if meta.mode() & OTHERS_WRITE != 0 {
        return refuse(
            format!("can be written by everybody {mode}"),
            format!("chmod go-w {}", path.display()),
        );
    }
    if meta.mode() & GROUP_WRITE != 0 && !Accounts::of_system().is_own_group(owner, meta.gid()) {
        let why = format!("can be written by the group {} {mode}", meta.gid());
        return refuse(why, format!("chmod g-w {}", path.display()));
    }
    Ok(())
}

/// The local user and group tables. Who is only in a directory service has no group of their own here.
struct Accounts {
    passwd: String,
    group: String,
}

impl Accounts {
    fn of_system() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        Self { passwd: read("/etc/passwd"), group: read("/etc/group") }
    }

    /// Whether the group is the user's primary one and nobody else is in it.
    fn is_own_group(&self, uid: u32, gid: u32) -> bool {
        let (uid, gid) = (uid.to_string(), gid.to_string());
        let users: Vec<_> = self.passwd.lines().map(|line| line.split(':').collect::<Vec<_>>()).collect();
        let with_primary: Vec<_> = users.iter().filter(|row| row.get(3) == Some(&gid.as_str())).collect();
        let is_only_primary = with_primary.len() == 1 && with_primary[0][2] == uid;
        let own_name = with_primary.first().and_then(|row| row.first());
        let members = self
            .group
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .find(|row| row.get(2) == Some(&gid.as_str()))
            .and_then(|row| row.get(3).copied())
            .unwrap_or_default();
        is_only_primary && members.split(',').all(|name| name.is_empty() || Some(&name) == own_name)
    }
}

fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Refusal {
    let path = path.to_owned();
    move |error| Refusal::Io { action, path, reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
    use tempfile::{TempDir, tempdir};

    fn place() -> (TempDir, PathBuf) {
        let home = tempdir().unwrap();
        let dir = home.path().join("plugins");
        fs::create_dir(&dir).unwrap();
        set(&dir, 0o755);
        let file = dir.join("a.so");
        fs::write(&file, "x").unwrap();
        set(&file, 0o644);
        (home, file)
    }

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn our_own_file_in_our_own_directory_is_safe() {
        let (_home, file) = place();
        assert_eq!(check(&file).unwrap(), file.canonicalize().unwrap());
    }

    #[test]
    fn what_everybody_can_write_is_refused_with_the_command_that_helps() {
        let (_home, file) = place();
        set(&file, 0o666);
        let refusal = check(&file).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            format!("`{}` can be written by everybody (mode 0666)", file.display())
        );
        assert_eq!(refusal.hint(), Some(format!("chmod go-w {}", file.display())));

        set(&file, 0o644);
        let dir = file.parent().unwrap();
        for open in [0o777, 0o1777] {
            set(dir, open);
            assert!(matches!(check(&file), Err(Refusal::Unsafe { path, .. }) if path == dir), "{open:o}");
        }
        set(dir, 0o755);
        set(dir.parent().unwrap(), 0o777);
        assert!(matches!(check(&file), Err(Refusal::Unsafe { .. })), "a directory further up");
        set(dir.parent().unwrap(), 0o1777);
        assert!(check(&file).is_ok(), "a sticky one further up");
    }

    #[test]
    fn what_somebody_else_owns_is_refused() {
        let (_home, file) = place();
        if chown(&file, Some(12345), None).is_err() {
            return; // only root can give a file away
        }
        let text = check(&file).unwrap_err().to_string();
        assert!(text.contains("belongs to uid 12345, neither to us"), "{text}");
    }

    #[test]
    fn a_link_is_as_safe_as_where_it_leads() {
        let (home, file) = place();
        let link = home.path().join("link.so");
        symlink(&file, &link).unwrap();
        assert_eq!(check(&link).unwrap(), file.canonicalize().unwrap());
        set(file.parent().unwrap(), 0o777);
        assert!(check(&link).is_err());
    }

    #[test]
    fn a_group_is_the_owners_own_if_nobody_else_is_in_it() {
        let accounts = |passwd: &str, group: &str| Accounts { passwd: passwd.into(), group: group.into() };
        let ann = "ann:x:1000:1000::/home/ann:/bin/sh\n";
        assert!(accounts(ann, "ann:x:1000:\n").is_own_group(1000, 1000));
        assert!(accounts(ann, "ann:x:1000:ann\n").is_own_group(1000, 1000));
        assert!(!accounts(ann, "ann:x:1000:bob\n").is_own_group(1000, 1000));
        assert!(!accounts(ann, "staff:x:50:\n").is_own_group(1000, 50));
        let both = "ann:x:1000:100::/:/bin/sh\nbob:x:1001:100::/:/bin/sh\n";
        assert!(!accounts(both, "users:x:100:\n").is_own_group(1000, 100));
    }
}
