//! A secret that a person typed for a setting: kept in a file of its own, which the setting refers to.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use super::directory;
use super::error::StoreError;
use crate::fault::Fault;
use crate::model::ConnectionId;
use crate::secret::Secret;

/// A file with a typed secret. Removed when dropped, unless kept: a login that fails leaves nothing.
#[derive(Debug)]
pub struct TypedSecret {
    path: PathBuf,
    kept: bool,
}

impl TypedSecret {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the file: a stored setting refers to it.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for TypedSecret {
    fn drop(&mut self) {
        if !self.kept {
            // What cannot be removed is private, and nothing refers to it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Writes `<state>/secrets/<org>/<name>.<setting>-<unique>`, 0600 in 0700, whole and durable. Unique,
/// because the secret of a login that fails must not replace that of one that succeeded.
pub fn keep_secret(
    state: &Path,
    id: &ConnectionId,
    setting: &str,
    secret: &Secret,
) -> Result<TypedSecret, Fault> {
    let directory = state.join("secrets").join(id.org.as_str());
    for private in [state, &state.join("secrets"), &directory] {
        directory::ensure(private)?;
    }
    let unique = getrandom::u64().unwrap_or_else(|_| u64::from(std::process::id()));
    let typed =
        TypedSecret { path: directory.join(format!("{}.{setting}-{unique:016x}", id.name)), kept: false };
    let written = directory::create(&typed.path)
        .and_then(|mut file| file.write_all(secret.expose()).and_then(|()| file.sync_all()))
        .and_then(|()| directory::sync(&directory));
    match written {
        Ok(()) => Ok(typed),
        Err(error) => Err(StoreError::io("write", &typed.path)(error).into()),
    }
}

/// Removes what [`keep_secret`] kept for a connection that is no more.
pub fn forget_secrets(state: &Path, id: &ConnectionId) -> Result<(), Fault> {
    let directory = state.join("secrets").join(id.org.as_str());
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::io("read", &directory)(error).into()),
    };
    // A name has no dot: this is the prefix of no other connection's.
    let prefix = format!("{}.", id.name);
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            fs::remove_file(entry.path()).map_err(StoreError::io("remove", &entry.path()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn it_is_private_and_gone_unless_kept() {
        let state = tempfile::tempdir().unwrap();
        let id: ConnectionId = "acme/corp".parse().unwrap();
        let keep = |text: &str| {
            keep_secret(state.path(), &id, "client_secret", &Secret::from(text.to_owned())).unwrap()
        };
        let first = keep("first");
        let path = first.path().to_owned();
        assert_eq!(fs::read_to_string(&path).unwrap(), "first");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(path.parent().unwrap(), state.path().join("secrets/acme"));
        first.keep();
        drop(keep("of a login that fails"));
        let left: Vec<_> =
            fs::read_dir(path.parent().unwrap()).unwrap().map(|file| file.unwrap().path()).collect();
        assert_eq!(left, std::slice::from_ref(&path));
        let other: ConnectionId = "acme/cor".parse().unwrap();
        forget_secrets(state.path(), &other).unwrap();
        assert!(path.exists());
        forget_secrets(state.path(), &id).unwrap();
        assert!(!path.exists());
    }
}
