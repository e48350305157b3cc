//! The end of a flight: whatever ends it, those who wait hear of it and the book is right.

use std::sync::Arc;

use tokio::sync::watch;

use super::Cell;
use super::book::Outcome;
use super::keeper::Keeper;

/// Ends a flight however it ends: with an outcome, by a panic, or with the runtime.
pub(super) struct Landing {
    keeper: Arc<Keeper>,
    cell: Arc<Cell>,
    sender: watch::Sender<Option<Outcome>>,
    left: bool,
}

impl Landing {
    pub(super) fn new(keeper: Arc<Keeper>, cell: Arc<Cell>, sender: watch::Sender<Option<Outcome>>) -> Self {
        keeper.in_flight.send_modify(|flights| *flights += 1);
        Self { keeper, cell, sender, left: false }
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
        if let Some(slot) = book.slot_of(&self.cell) {
            slot.flight = None;
        }
        let login = book.login(&self.cell.key().connection);
        login.flights -= 1;
        if login.flights == 0 && std::mem::take(&mut login.recheck) {
            let (keeper, id) = (Arc::clone(&self.keeper), self.cell.key().connection.clone());
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
