//! A secret that a person typed for a setting: kept in a file of its own, which the setting refers to.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::directory;
use super::error::StoreError;
use crate::fault::Fault;
use crate::model::ConnectionId;
use crate::secret::Secret;

/// Writes `<state>/secrets/<org>/<name>.<setting>`, 0600 in 0700, whole and durable. Answers the path.
pub fn keep_secret(
    state: &Path,
    id: &ConnectionId,
    setting: &str,
    secret: &Secret,
) -> Result<PathBuf, Fault> {
    let directory = state.join("secrets").join(id.org.as_str());
    for private in [state, &state.join("secrets"), &directory] {
        directory::ensure(private)?;
    }
    let path = directory.join(format!("{}.{setting}", id.name));
    let unique = getrandom::u64().unwrap_or_else(|_| u64::from(std::process::id()));
    let temporary = directory.join(format!(".{}.{unique:016x}", id.name));
    let written = directory::create(&temporary)
        .and_then(|mut file| file.write_all(secret.expose()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, &path))
        .and_then(|()| directory::sync(&directory));
    if let Err(error) = written {
        // Half a secret is of no use; if it cannot be removed either, it is private.
        let _ = fs::remove_file(&temporary);
        return Err(StoreError::io("write", &path)(error).into());
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn it_is_private_whole_and_replaced() {
        let state = tempfile::tempdir().unwrap();
        let id: ConnectionId = "acme/corp".parse().unwrap();
        let keep = |text: &str| {
            keep_secret(state.path(), &id, "client_secret", &Secret::from(text.to_owned())).unwrap()
        };
        let path = keep("first");
        assert_eq!(keep("second"), path);
        assert_eq!(fs::read_to_string(&path).unwrap(), "second");
        assert_eq!(path, state.path().join("secrets/acme/corp.client_secret"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    }
}
