//! What the orchestration knows, and what it decides from it. No I/O, no waiting.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::backoff::Backoff;
use super::schedule::{Due, Moment};
use super::{Cell, Prepared, Reason};
use crate::fault::{Code, Fault};
use crate::meter::Total;
use crate::model::{ConnectionId, CredentialKey, Target};

/// A token this young that is rejected is not at fault.
const YOUNG: Duration = Duration::from_secs(5);
/// Between two renewals of one key that upstream rejections asked for.
const REJECTED_PAUSE: Duration = Duration::from_secs(30);
/// How long "not logged in" is believed where no record can tell that it changed.
const RECORDLESS: Duration = Duration::from_secs(5);

pub(super) type Outcome = Result<Arc<Prepared>, Fault>;

/// A call under way; all who want its result watch it.
pub(super) type Flight = watch::Receiver<Option<Outcome>>;

/// One call to make.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub(super) reason: Reason,
    pub(super) min_ttl: Duration,
    pub(super) rejected: Option<u64>,
}

/// What to do for a requester; `C` is the call to make.
pub(super) enum Decision<C> {
    Have(Arc<Prepared>),
    Refuse(Fault),
    Wait(Flight),
    Fly(C),
}

#[derive(Default)]
pub(super) struct Book {
    pub(super) slots: BTreeMap<CredentialKey, Slot>,
    pub(super) logins: HashMap<ConnectionId, Login>,
}

/// What another configuration means for the credentials.
#[derive(Default)]
pub struct Turnover {
    /// The slots that its routes read.
    pub cells: BTreeMap<CredentialKey, Arc<Cell>>,
    /// Connections that are gone, or have other settings: nothing that was obtained for them is theirs any more.
    pub stale: BTreeSet<ConnectionId>,
    /// Keys that no route reads any more: nobody needs them kept fresh.
    pub released: BTreeSet<CredentialKey>,
}

/// One credential key.
pub(super) struct Slot {
    pub(super) cell: Arc<Cell>,
    pub(super) flight: Option<Flight>,
    /// When it is renewed ahead of its end, or tried again.
    pub(super) due: Option<Due>,
    /// The stored record has not been looked at for when this key is due.
    pub(super) unread: bool,
    /// When its token was issued to us, as opposed to found in the store.
    pub(super) issued: Option<Instant>,
    pub(super) rejected: Option<Instant>,
    /// Failures of this key alone: its scope, its plugin call.
    pub(super) backoff: Backoff,
    pub(super) dead: Option<Dead>,
}

/// One connection.
#[derive(Default)]
pub(super) struct Login {
    /// The generation of the record that the cells were filled from; 0 for none.
    pub(super) seen: Option<u64>,
    pub(super) flights: usize,
    /// The store changed while a flight was under way: look again when it lands.
    pub(super) recheck: bool,
    /// Failures of the provider: every target of the login waits.
    pub(super) backoff: Backoff,
    /// Calls to the plugin by what they came to: `ok`, or the code of the failure.
    pub(super) calls: BTreeMap<&'static str, u64>,
    /// How long they took.
    pub(super) took: Total,
}

/// A refusal that stands until the record or the settings change.
#[derive(Clone)]
pub(super) struct Dead {
    pub(super) fault: Fault,
    pub(super) generation: u64,
    pub(super) settings_generation: u64,
    pub(super) since: Instant,
}

impl Dead {
    pub(super) fn stands(&self, generation: u64, settings_generation: u64, now: Instant) -> bool {
        self.generation == generation
            && self.settings_generation == settings_generation
            && (generation != 0 || now.duration_since(self.since) < RECORDLESS)
    }
}

impl Slot {
    fn new(cell: Arc<Cell>) -> Self {
        Self {
            cell,
            flight: None,
            due: None,
            unread: true,
            issued: None,
            rejected: None,
            backoff: Backoff::default(),
            dead: None,
        }
    }

    /// Forgets the token and everything learnt about it.
    pub(super) fn clear(&mut self) {
        self.cell.clear();
        (self.due, self.unread, self.issued, self.dead) = (None, true, None, None);
        self.backoff.reset();
    }
}

impl Book {
    /// The slot of a key, made with this cell if it is new.
    pub(super) fn slot(&mut self, key: &CredentialKey, cell: impl FnOnce() -> Arc<Cell>) -> &mut Slot {
        self.slots.entry(key.clone()).or_insert_with(|| Slot::new(cell()))
    }

    pub(super) fn login(&mut self, id: &ConnectionId) -> &mut Login {
        self.logins.entry(id.clone()).or_default()
    }

    pub(super) fn slots_of(&mut self, id: &ConnectionId) -> impl Iterator<Item = &mut Slot> {
        // The default target is the least of them.
        let first = CredentialKey { connection: id.clone(), target: Target::default() };
        let from = self.slots.range_mut(first..);
        from.take_while(move |(key, _)| key.connection == *id).map(|(_, slot)| slot)
    }

    /// The slot that a cell is in. None for the cell of settings that are not in force any more.
    pub(super) fn slot_of(&mut self, cell: &Arc<Cell>) -> Option<&mut Slot> {
        self.slots.get_mut(cell.key()).filter(|slot| Arc::ptr_eq(&slot.cell, cell))
    }

    /// Takes over another configuration. Calls under way land beside the book.
    pub(super) fn adopt(&mut self, turnover: Turnover) {
        let Turnover { cells, stale, released } = turnover;
        self.slots.retain(|key, _| !stale.contains(&key.connection) && !released.contains(key));
        for id in &stale {
            if let Some(login) = self.logins.get_mut(id) {
                login.backoff.reset();
            }
        }
        self.logins.retain(|id, login| login.flights > 0 || !stale.contains(id));
        for (key, cell) in cells {
            // Somebody may have made one of his own in the meantime: what requests read counts.
            if self.slot_of(&cell).is_none() {
                self.slots.insert(key, Slot::new(cell));
            }
        }
    }

    /// Forgets every token of a login and that it ever failed.
    pub(super) fn clear(&mut self, id: &ConnectionId) {
        self.login(id).backoff.reset();
        self.slots_of(id).for_each(Slot::clear);
    }

    /// Forgets that a login ever failed, and nothing else: what was put off is due at `now`.
    pub(super) fn forgive(&mut self, id: &ConnectionId, now: Due) {
        let login = self.login(id);
        let troubled = login.backoff.failures() > 0;
        login.backoff.reset();
        for slot in self.slots_of(id).filter(|slot| troubled || slot.backoff.failures() > 0) {
            slot.backoff.reset();
            slot.due = slot.due.map(|_| now);
        }
    }

    /// Nobody calls while a provider or a key is left alone.
    pub(super) fn blocked(&mut self, key: &CredentialKey, now: Instant) -> Option<Fault> {
        let login = self.logins.get_mut(&key.connection).and_then(|login| login.backoff.blocked(now));
        login.or_else(|| self.slots.get(key)?.backoff.blocked(now))
    }

    /// What a requester gets: what is there, a refusal, a call under way, or a new call.
    pub(super) fn decide(
        &mut self,
        cell: &Arc<Cell>,
        reason: Reason,
        min_ttl: Option<Duration>,
        now: Moment,
    ) -> Decision<Order> {
        let key = cell.key();
        let blocked = self.blocked(key, now.mono);
        let Some(slot) = self.slot_of(cell) else { return Decision::Refuse(superseded(key)) };
        let latest = slot.cell.latest();
        let live = latest.clone().filter(|prepared| prepared.is_live(now.wall));
        let generation = latest.as_ref().map(|prepared| prepared.generation);

        let have = live.filter(|prepared| match reason {
            Reason::Missing => min_ttl.is_none_or(|ttl| lasts(prepared, ttl, now)),
            Reason::Rejected { generation } => prepared.generation > generation,
            Reason::Scheduled | Reason::Forced => false,
        });
        if let Some(prepared) = have {
            return Decision::Have(prepared);
        }
        if let Some(flight) = &slot.flight {
            return Decision::Wait(flight.clone());
        }
        let rejected = match reason {
            Reason::Rejected { generation } => Some(generation),
            Reason::Forced => generation,
            Reason::Missing | Reason::Scheduled => None,
        };
        if let (Reason::Rejected { .. }, Some(_)) = (reason, &latest) {
            let recent =
                |at: Option<Instant>, pause| at.is_some_and(|at| now.mono.duration_since(at) < pause);
            if recent(slot.issued, YOUNG) || recent(slot.rejected, REJECTED_PAUSE) {
                return Decision::Refuse(rejected_again(key));
            }
        }
        match blocked {
            Some(fault) if reason != Reason::Forced => Decision::Refuse(fault),
            _ => Decision::Fly(Order { reason, min_ttl: min_ttl.unwrap_or(MIN_TTL), rejected }),
        }
    }
}

/// A stored token with less left than this is not worth handing to a request.
const MIN_TTL: Duration = Duration::from_secs(10);

fn lasts(prepared: &Prepared, ttl: Duration, now: Moment) -> bool {
    prepared.expires_at.is_none_or(|at| now.wall.until(at) >= ttl)
}

/// The settings that a request was taken in under are not in force any more. What the new ones yield must not
/// go where the old ones said.
pub(super) fn superseded(key: &CredentialKey) -> Fault {
    let text = format!("the settings of `{}` have just changed", key.connection);
    Fault::new(Code::ProviderUnavailable, text).retry_after(Some(Duration::from_secs(1)))
}

/// A renewal would yield what the upstream has just refused.
pub(super) fn rejected_again(key: &CredentialKey) -> Fault {
    Fault::new(
        Code::CredentialsRejected,
        format!("the upstream rejects the credential of `{key}`, and a new one was just obtained"),
    )
    .hint(format!("ccproxy auth status {} --check", key.connection))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn the_slots_of_a_connection_are_its_own_and_all_of_them() {
        let key = |connection: &str, scope: Option<&str>| CredentialKey {
            connection: connection.parse().expect("a name"),
            target: Target { scopes: scope.map(str::to_owned).into_iter().collect(), ..Target::default() },
        };
        let mut book = Book::default();
        let keys = [
            key("a", Some("z")),
            key("b", None),
            key("b", Some("mail")),
            key("b-2", None),
            key("acme/b", None),
        ];
        for key in &keys {
            book.slot(key, || Arc::new(Cell::new(key.clone())));
        }
        let of_b: Vec<_> = book.slots_of(&keys[1].connection).map(|slot| slot.cell.key().clone()).collect();
        assert_eq!(of_b, keys[1..3]);
    }
}
