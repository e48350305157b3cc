//! The admin socket's file: made, found alive or stale, removed.

use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

/// The bound socket. Dropping it removes the file.
pub struct AdminSocket {
    /// Where connections arrive.
    pub listener: UnixListener,
    path: PathBuf,
    /// Device and inode, so that a successor's socket at the same path is not removed.
    identity: (u64, u64),
}

/// Why there is no admin socket.
#[derive(Debug, thiserror::Error)]
#[error("cannot make the admin socket {path}")]
pub struct SocketError {
    path: String,
    source: io::Error,
}

impl AdminSocket {
    /// Binds `wanted`. If another host answers there, this one gets a name of its own beside it, so
    /// that two hosts may share a runtime directory; commands reach the first.
    pub async fn bind(wanted: &Path) -> Result<Self, SocketError> {
        let failed = |source| SocketError { path: wanted.display().to_string(), source };
        if let Some(directory) = wanted.parent() {
            make_private(directory).map_err(failed)?;
        }
        let path = if UnixStream::connect(wanted).await.is_ok() {
            wanted.with_file_name(format!("admin-{}.sock", std::process::id()))
        } else {
            wanted.to_owned()
        };
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let listener = UnixListener::bind(&path).map_err(failed)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
        let identity = identity(&path).map_err(failed)?;
        Ok(Self { listener, path, identity })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|now| now == self.identity) {
            // Left behind it would only be found stale and replaced by the next host.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = std::fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

fn make_private(directory: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let metadata = std::fs::metadata(directory)?;
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the directory belongs to another user"));
    }
    if metadata.mode() & 0o077 != 0 {
        std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[tokio::test]
    async fn it_is_private_and_gone_afterwards() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("run/admin.sock");
        let socket = AdminSocket::bind(&path).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(std::fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_second_host_gets_a_socket_of_its_own_and_a_stale_one_is_replaced() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("admin.sock");
        let first = AdminSocket::bind(&path).await.unwrap();
        let second = AdminSocket::bind(&path).await.unwrap();
        assert!(second.path() != path && second.path().parent() == path.parent());
        drop(first);
        std::fs::write(&path, "left by a killed host").unwrap();
        assert_eq!(AdminSocket::bind(&path).await.unwrap().path(), path);
    }
}
