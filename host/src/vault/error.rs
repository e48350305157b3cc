//! Why the store could not be read or written.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::fault::{Code, Fault};
use crate::model::ConnectionId;

/// A failure of the store. Every text names the path or the connection, and the cause.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system said no.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Somebody else could read or replace what is in there.
    #[error("`{}` belongs to {owner}, not to the user running this ({us})", path.display())]
    Foreign {
        /// The directory or file.
        path: PathBuf,
        /// Its owner.
        owner: String,
        /// Ourselves.
        us: String,
    },
    /// A directory or plain file is wanted, something else is there.
    #[error("`{}` is not a {wanted}", path.display())]
    WrongKind {
        /// Where.
        path: PathBuf,
        /// What belongs there.
        wanted: &'static str,
    },
    /// Another process keeps the lock.
    #[error("the grant of `{0}` is in use by another process")]
    Locked(ConnectionId),
    /// Another version of ccproxy wrote it; ours would lose what it does not know.
    #[error("the grant of `{id}` has schema `{schema}`, which this version does not read")]
    Newer {
        /// Whose.
        id: ConnectionId,
        /// Which schema.
        schema: String,
    },
    /// The record is not what the transaction began with.
    #[error("the grant of `{0}` changed while it was being written")]
    Conflict(ConnectionId),
}

impl StoreError {
    /// For `map_err`: what was tried on which path.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// Whether the place failed and not the record, so that the same write may work later.
    pub(super) fn is_medium(&self) -> bool {
        matches!(self, Self::Io { .. } | Self::Foreign { .. } | Self::WrongKind { .. })
    }

    /// Whether the system refused, as a read-only or full disk does.
    pub(super) fn is_system(&self) -> bool {
        matches!(self, Self::Io { .. })
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some("free some disk space"),
                io::ErrorKind::ReadOnlyFilesystem => {
                    Some("make the directory writable, or set CCPROXY_STATE_DIR to one that is")
                }
                io::ErrorKind::PermissionDenied => Some("check the owner and the mode of the directory"),
                _ => None,
            },
            Self::Foreign { .. } => {
                Some("change its owner, or set CCPROXY_STATE_DIR to a directory of your own")
            }
            Self::WrongKind { .. } => Some("move it out of the way"),
            Self::Locked(_) => Some("try again when the other process is done"),
            Self::Newer { .. } => Some("update ccproxy, or log in again after moving the file away"),
            Self::Conflict(_) => None,
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        let again = matches!(error, StoreError::Locked(_)).then_some(Duration::from_secs(5));
        let fault = Self::new(Code::Storage, error.to_string()).retry_after(again);
        match error.hint() {
            Some(hint) => fault.hint(hint),
            None => fault,
        }
    }
}
