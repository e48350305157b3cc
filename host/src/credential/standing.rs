//! The persisted state machine: `ok <-> expiring -> reauth_required`, and the events of its steps.
//!
//! A step is written under the lock that the answer was got under, so one process takes it and that
//! one tells.

use std::sync::Arc;

use super::book::Order;
use super::{Prepared, Reason};
use crate::fault::{Code, Fault};
use crate::hook::{Event, HookSink, Kind};
use crate::model::{Connection, Target, UnixMillis};
use crate::vault::{Envelope, LastRefresh, Lease, Problem, State, Transaction};

/// What a plugin call came to.
pub(super) enum Answer {
    /// A credential as wanted.
    Obtained(Arc<Prepared>),
    /// The one that the upstream rejects: there is no other.
    Unchanged(Arc<Prepared>, Fault),
    Failed(Fault),
}

impl Answer {
    pub(super) fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Failed(fault) => Some(fault),
            Self::Obtained(_) | Self::Unchanged(..) => None,
        }
    }
}

/// What is to be said of the grant. Nothing, where the plugin's own write said it.
pub(super) struct Saying(Option<(State, Option<Problem>, Option<LastRefresh>)>);

impl Saying {
    /// Blocks on the medium. The lock ends with it.
    pub(super) fn write(self, lease: Lease) -> Result<(), Fault> {
        match self.0 {
            Some((state, problem, attempt)) => lease.transaction().note(state, problem, attempt),
            None => Ok(()),
        }
    }
}

pub(super) fn saying(
    txn: &Transaction,
    target: &Target,
    answer: &Answer,
    order: Order,
    wrote: bool,
    now: UnixMillis,
) -> Saying {
    let Some(record) = txn.envelope() else { return Saying(None) };
    Saying(match answer {
        Answer::Obtained(prepared) => {
            let troubled = record.state != State::Ok || record.problem.is_some();
            let lasts = prepared.expires_at.is_none_or(|at| now.until(at) >= order.min_ttl);
            (!wrote && troubled && lasts).then_some((State::Ok, None, None))
        }
        Answer::Unchanged(..) => None,
        Answer::Failed(fault) => {
            let attempt = LastRefresh::new(now, fault.code.as_str());
            Some((after(&record, target, fault, order), Some(fault.into()), Some(attempt)))
        }
    })
}

/// The state of a grant after a failure to get a credential for `target`.
fn after(record: &Envelope, target: &Target, fault: &Fault, order: Order) -> State {
    match fault.code {
        Code::NotLoggedIn | Code::ReauthRequired | Code::TokenExpired => State::ReauthRequired,
        // A login that serves another target is not dead because this one is refused.
        Code::ConsentRequired | Code::AccessDenied if serves_only(record, target) => State::ReauthRequired,
        code if code.is_transient() && matches!(order.reason, Reason::Scheduled | Reason::Missing) => {
            if record.state == State::Ok {
                State::Expiring
            } else {
                record.state
            }
        }
        _ => record.state,
    }
}

/// Whether the grant has a token for no other target. A target that was never served is not in it.
fn serves_only(record: &Envelope, target: &Target) -> bool {
    let target = target.to_string();
    record.credentials.iter().all(|credential| credential.target == target)
}

/// Emits the step that this transaction took, if it took one.
pub(super) fn tell(hooks: &dyn HookSink, connection: &Connection, txn: &Transaction, fault: Option<&Fault>) {
    let (from, to) = txn.transition();
    let Some(kind) = step(from, to).filter(|kind| hooks.wants(*kind)) else { return };
    let mut event = Event::new(kind)
        .about(&connection.id, connection.provider.as_str())
        .with("from", from.as_str())
        .with("to", to.as_str());
    if let Some(fault) = fault {
        event = event.with("code", fault.code.as_str()).with("message", fault.message.as_str());
    }
    hooks.emit(event);
}

/// The event of a step, for those who change grants elsewhere (a login).
pub fn step(from: State, to: State) -> Option<Kind> {
    match (from, to) {
        (from, to) if from == to => None,
        (_, State::ReauthRequired) => Some(Kind::ConnectionReauthRequired),
        (_, State::Expiring) => Some(Kind::ConnectionExpiring),
        (State::Expiring | State::ReauthRequired, State::Ok) => Some(Kind::ConnectionRecovered),
        _ => None,
    }
}
