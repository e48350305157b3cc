//! Who has a port: the row in `/proc/net/tcp`, and the process that holds its socket.

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use super::peer::rows;

/// The state of a listening socket in `/proc/net/tcp`.
const LISTEN: u8 = 0x0a;

/// The program that has a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its user.
    pub uid: u32,
    /// Its process and name; other users' processes cannot be looked into.
    pub process: Option<(u32, String)>,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.process {
            Some((pid, name)) => write!(f, "{name} (pid {pid})"),
            None => write!(f, "a program of user {}", self.uid),
        }
    }
}

impl Owner {
    /// Who listens where `address` would.
    pub fn of(address: SocketAddr) -> Option<Self> {
        let taken = rows().into_iter().find(|row| {
            let overlaps = row.local.ip() == address.ip() || row.local.ip().is_unspecified();
            row.state == LISTEN && row.local.port() == address.port() && overlaps
        })?;
        Some(Self { uid: taken.uid, process: holder(taken.inode) })
    }
}

/// A process that the kernel named itself.
pub(super) fn of_process(uid: u32, pid: i32) -> Owner {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok();
    let process = name.and_then(|name| Some((u32::try_from(pid).ok()?, name.trim_end().to_owned())));
    Owner { uid, process }
}

/// The process that has the socket open.
fn holder(inode: u64) -> Option<(u32, String)> {
    let wanted = format!("socket:[{inode}]");
    let has_it = |process: &Path| {
        let descriptors = fs::read_dir(process.join("fd")).ok()?;
        let mut links = descriptors.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
        links.any(|link| link.as_os_str() == wanted.as_str()).then_some(())
    };
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if has_it(&entry.path()).is_some() {
            let name = fs::read_to_string(entry.path().join("comm")).ok()?;
            return Some((pid, name.trim_end().to_owned()));
        }
    }
    None
}
