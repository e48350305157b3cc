//! Unix sockets: ours alone from the first moment, replaced when stale, gone with us.

use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::net::sockopt::socket_peercred;
use socket2::{Domain, SockAddr, Socket, Type};

use super::bind::BACKLOG;
use super::owner::{self, Owner};

/// What fits into `sun_path` before its final zero (unix(7)).
const LONGEST_PATH: usize = 107;
/// Whoever may write here could put a socket of their own in our place.
const WRITABLE_BY_OTHERS: u32 = 0o022;
/// In such a directory (`/tmp`) only the owner of a file may replace it.
const STICKY: u32 = 0o1000;

/// Why a Unix socket cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum UnixError {
    /// The system's limit.
    #[error("the path has {0} bytes, and a socket's may have {LONGEST_PATH}")]
    TooLong(usize),
    /// The directory cannot be made either.
    #[error("there is no directory {}", _0.display())]
    NoDirectory(PathBuf),
    /// Somebody could put another socket in the place of ours.
    #[error("others may write to {}", _0.display())]
    Exposed(PathBuf),
    /// Likewise.
    #[error("{} belongs to user {uid}", directory.display())]
    Foreign {
        /// The directory.
        directory: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// What is there may be of value.
    #[error("there is something else of that name, and it is left alone")]
    NotASocket,
    /// Somebody accepts connections there.
    #[error("it is in use")]
    Alive(Option<Owner>),
    /// The system says no.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl UnixError {
    /// What to type.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::TooLong(_) => Some("use a shorter path, such as one below $XDG_RUNTIME_DIR".into()),
            Self::NoDirectory(directory) => Some(format!("mkdir -p -m 700 {}", directory.display())),
            Self::Exposed(directory) => Some(format!("chmod go-w {}", directory.display())),
            Self::Foreign { .. } => Some("use a directory of your own".into()),
            Self::NotASocket => Some("choose another path, or remove it".into()),
            Self::Alive(_) | Self::Io(_) => None,
        }
    }
}

/// The name of a socket we made. Dropping it removes the file.
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and inode: a successor's socket of the same name is not ours to remove.
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|now| now == self.identity) {
            // Left behind it would only be found stale and replaced by the next host.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Listens on `path`. Between bind(2) and listen(2) nobody can connect, and in that time the mode is set:
/// no moment is there at which another user gets in.
pub(super) fn open(path: &Path) -> Result<(UnixListener, SocketFile), UnixError> {
    let length = path.as_os_str().len();
    if length > LONGEST_PATH {
        return Err(UnixError::TooLong(length));
    }
    check_directory(path.parent().unwrap_or(Path::new("/")))?;
    make_room(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let file = SocketFile { path: path.to_owned(), identity: identity(path)? };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok((UnixListener::from(std::os::fd::OwnedFd::from(socket)), file))
}

/// The directory must be one in which only we, or root, can exchange the socket for another. Its last part
/// is made if it is missing: `$XDG_RUNTIME_DIR/ccproxy` is empty after every boot.
fn check_directory(directory: &Path) -> Result<(), UnixError> {
    match std::fs::DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(UnixError::NoDirectory(directory.to_owned()));
        }
        // Whether it was there or cannot be: the next question tells.
        _ => {}
    }
    let metadata = std::fs::metadata(directory)?;
    if !metadata.is_dir() {
        return Err(UnixError::NoDirectory(directory.to_owned()));
    }
    let uid = metadata.uid();
    if uid != 0 && uid != rustix::process::geteuid().as_raw() {
        return Err(UnixError::Foreign { directory: directory.to_owned(), uid });
    }
    if metadata.mode() & WRITABLE_BY_OTHERS != 0 && metadata.mode() & STICKY == 0 {
        return Err(UnixError::Exposed(directory.to_owned()));
    }
    Ok(())
}

/// Removes a socket that nobody listens on any more: a killed host leaves one behind.
fn make_room(path: &Path) -> Result<(), UnixError> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => {}
        Ok(_) => return Err(UnixError::NotASocket),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    let caller = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Somebody with a full queue is somebody; we do not wait for a place in it.
    caller.set_nonblocking(true)?;
    match caller.connect(&SockAddr::unix(path)?) {
        Ok(()) => {
            let credentials = socket_peercred(&caller).ok();
            Err(UnixError::Alive(
                credentials.map(|it| owner::of_process(it.uid.as_raw(), it.pid.as_raw_nonzero().get())),
            ))
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(UnixError::Alive(None)),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(UnixError::from)
        }
        Err(error) => Err(error.into()),
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = std::fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;
    use std::os::unix::net::UnixStream;

    fn home() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn refusal(path: &Path) -> String {
        open(path).err().unwrap().to_string()
    }

    #[test]
    fn it_is_ours_alone_and_gone_afterwards() {
        let home = home();
        // A directory that is missing is made, for us alone.
        let path = home.path().join("run/gh.sock");
        let (listener, file) = open(&path).unwrap();
        assert_eq!(std::fs::symlink_metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(std::fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
        UnixStream::connect(&path).unwrap();
        listener.accept().unwrap();
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn a_stale_one_is_replaced_and_a_live_one_is_not() {
        let home = home();
        let path = home.path().join("gh.sock");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "a killed host leaves its socket");
        let (_listener, _file) = open(&path).unwrap();
        match open(&path) {
            Err(UnixError::Alive(Some(owner))) => {
                assert_eq!(owner.process.map(|(pid, _)| pid), Some(std::process::id()));
            }
            other => panic!("{:?}", other.map(drop)),
        }
        UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn a_successor_keeps_its_socket() {
        let home = home();
        let path = home.path().join("gh.sock");
        let (_first_listener, first) = open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let (_listener, _second) = open(&path).unwrap();
        drop(first);
        assert!(path.exists());
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let home = home();
        let path = home.path().join("notes.txt");
        std::fs::write(&path, "of value").unwrap();
        assert_eq!(refusal(&path), "there is something else of that name, and it is left alone");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "of value");
    }

    #[test]
    fn a_place_that_others_can_take_is_refused() {
        let home = home();
        let open_to_all = home.path().join("shared");
        std::fs::create_dir(&open_to_all).unwrap();
        std::fs::set_permissions(&open_to_all, std::fs::Permissions::from_mode(0o777)).unwrap();
        let path = open_to_all.join("gh.sock");
        assert_eq!(refusal(&path), format!("others may write to {}", open_to_all.display()));
        // As in /tmp: there nobody can remove what is ours.
        std::fs::set_permissions(&open_to_all, std::fs::Permissions::from_mode(0o1777)).unwrap();
        open(&path).unwrap();
    }

    #[test]
    fn a_path_that_cannot_be_is_told_plainly() {
        let home = home();
        let long = home.path().join("x".repeat(108));
        let length = long.as_os_str().len();
        assert_eq!(refusal(&long), format!("the path has {length} bytes, and a socket's may have 107"));
        let nowhere = home.path().join("a/b/gh.sock");
        let missing = home.path().join("a/b");
        assert_eq!(refusal(&nowhere), format!("there is no directory {}", missing.display()));
    }
}
