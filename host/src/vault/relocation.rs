//! A grant on its way to another name.

use super::envelope::Envelope;
use super::{LOCK_WAIT, Lock, Purpose, Vault};
use crate::fault::{Code, Fault};
use crate::model::ConnectionId;

/// Holds the locks of both names: nobody refreshes, logs in or looks for the grant meanwhile.
pub struct Relocation {
    vault: Vault,
    from: ConnectionId,
    to: ConnectionId,
    grant: Option<Envelope>,
    _locks: (Lock, Lock),
}

impl Vault {
    /// Prepares to move what is stored under one name, if anything is, to another that has nothing.
    pub async fn relocate(&self, from: &ConnectionId, to: &ConnectionId) -> Result<Relocation, Fault> {
        if from == to {
            return Err(Fault::new(Code::InvalidConfig, format!("`{from}` is its name already")));
        }
        // Two of these crossing each other must take the two locks in one order.
        let (first, second) = if from < to { (from, to) } else { (to, from) };
        let first = self.lock(first, Purpose::Login, LOCK_WAIT).await?;
        let second = self.lock(second, Purpose::Login, LOCK_WAIT).await?;
        let grant = self.read_locked(from)?.1;
        if self.read_locked(to)?.1.is_some() {
            return Err(Fault::new(Code::InvalidConfig, format!("`{to}` has a grant already")));
        }
        let (vault, from, to) = (self.clone(), from.clone(), to.clone());
        Ok(Relocation { vault, from, to, grant, _locks: (first, second) })
    }
}

impl Relocation {
    /// Moves the grant, durably. On failure it is where it was, and nowhere else.
    pub fn carry(&self) -> Result<(), Fault> {
        self.shift(&self.from, &self.to)
    }

    /// Moves it back.
    pub fn undo(&self) -> Result<(), Fault> {
        self.shift(&self.to, &self.from)
    }

    fn shift(&self, from: &ConnectionId, to: &ConnectionId) -> Result<(), Fault> {
        let Some(grant) = &self.grant else { return Ok(()) };
        let vault = &self.vault.0;
        vault.backend.replace(to, &grant.render())?;
        if let Err(error) = vault.backend.remove(from) {
            // One refresh token under two names would be spent twice.
            vault.backend.remove(to)?;
            return Err(error.into());
        }
        vault.unsaved.forget(from);
        Ok(())
    }
}
