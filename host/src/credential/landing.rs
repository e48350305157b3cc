//! The end of a flight: whatever ends it, those who wait hear of it and the book is right.

use std::sync::Arc;

use tokio::sync::watch;

use super::book::Outcome;
use super::keeper::Keeper;
use crate::model::CredentialKey;

/// Ends a flight however it ends: with an outcome, by a panic, or with the runtime.
pub(super) struct Landing {
    keeper: Arc<Keeper>,
    key: CredentialKey,
    sender: watch::Sender<Option<Outcome>>,
    left: bool,
}

impl Landing {
    pub(super) fn new(
        keeper: Arc<Keeper>,
        key: CredentialKey,
        sender: watch::Sender<Option<Outcome>>,
    ) -> Self {
        keeper.in_flight.send_modify(|flights| *flights += 1);
        Self { keeper, key, sender, left: false }
    }

    pub(super) fn send(mut self, outcome: Outcome) {
        // Out of the book first: whoever comes now finds the cell filled, or makes a call of its own.
        self.leave();
        self.sender.send_replace(Some(outcome));
    }

    fn leave(&mut self) {
        if std::mem::replace(&mut self.left, true) {
            return;
        }
        let mut book = self.keeper.book();
        if let Some(slot) = book.slots.get_mut(&self.key) {
            slot.flight = None;
        }
        let login = book.login(&self.key.connection);
        login.flights -= 1;
        if login.flights == 0 && std::mem::take(&mut login.recheck) {
            let (keeper, id) = (Arc::clone(&self.keeper), self.key.connection.clone());
            self.keeper.control.spawn(async move { keeper.reconcile(&id).await });
        }
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.leave();
        self.keeper.in_flight.send_modify(|flights| *flights -= 1);
        self.keeper.wake.notify_one();
    }
}
