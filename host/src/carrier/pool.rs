//! One worker's upstream connections: HTTP/1.1 kept alive, HTTP/2 shared.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use ccproxy_h1::Buffers;
use hyper::client::conn::http2;
use hyper::rt::Executor;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustc_hash::FxHashMap;
use tokio::time::Instant;

use super::call::Call;
use super::source::Attempt;
use super::wire::Wire;
use crate::route::Destination;
use crate::upstream::connect::{ConnectError, Connection, Offer, Protocol};
use crate::upstream::{Origin, Scheme};

/// Idle HTTP/1.1 connections kept for one upstream by one worker: as many as requests may well be under way at once. What is
/// not kept is opened anew, which costs more than the request.
const MAX_IDLE: usize = 1024;
/// Shorter than the 60 s after which common load balancers hang up.
const IDLE_EXPIRY: Duration = Duration::from_secs(45);
/// An upstream's head (security U7).
const MAX_UPSTREAM_HEAD: usize = 64 * 1024;

/// Where connections to one upstream wait. Never mixed: scheme, host, port and connector are the key,
/// the last for its roots and its outbound proxy.
#[derive(Default)]
pub(super) struct Slot {
    http1: RefCell<Vec<Idle>>,
    http2: RefCell<Option<Shared2>>,
}

struct Idle {
    call: Box<Call>,
    since: Instant,
}

struct Shared2 {
    sender: http2::SendRequest<Attempt>,
    used: Instant,
}

/// All slots of a worker.
pub(super) struct Pool {
    slots: RefCell<HashMap<u64, HashMap<Origin, Rc<Slot>>>>,
    /// The same, for the destinations that were asked for lately: found without hashing a host name. Their ids are ours,
    /// so nobody can make them collide.
    by_destination: RefCell<FxHashMap<u64, Rc<Slot>>>,
    buffers: Rc<Buffers>,
}

/// A way to send one request.
pub(super) enum Sender {
    Http1(Box<Call>),
    Http2(http2::SendRequest<Attempt>),
}

/// A connection in use.
pub(super) struct Checkout {
    pub(super) sender: Sender,
    /// Whether it was used before, and so may have died unnoticed.
    pub(super) reused: bool,
    pub(super) slot: Rc<Slot>,
}

/// What a connection must be able to do.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    /// WebSocket begins with an HTTP/1.1 upgrade, on a connection of its own.
    pub(super) websocket: bool,
    /// HTTP/2 in the clear, by prior knowledge.
    pub(super) http2: bool,
    /// Do not use one from the pool: one has just been found dead.
    pub(super) fresh: bool,
}

impl Pool {
    /// A pool whose connections read into these.
    pub(super) fn new(buffers: Rc<Buffers>) -> Self {
        Self { slots: RefCell::default(), by_destination: RefCell::default(), buffers }
    }

    /// A connection to the upstream: kept, or newly opened.
    pub(super) async fn checkout(
        &self,
        to: &Destination,
        wanted: Wanted,
        now: Instant,
    ) -> Result<Checkout, PoolError> {
        let slot = self.slot(to);
        if !wanted.fresh && !wanted.websocket {
            let cleartext = to.base.origin().scheme() == Scheme::Http;
            if let Some(sender) = slot.take(cleartext && !wanted.http2, cleartext && wanted.http2, now) {
                return Ok(Checkout { sender, reused: true, slot });
            }
        }
        let sender = slot.opened(to, wanted, &self.buffers).await?;
        Ok(Checkout { sender, reused: false, slot })
    }

    /// Closes what has been idle too long.
    pub(super) fn expire(&self, now: Instant) {
        self.by_destination.borrow_mut().clear();
        let mut slots = self.slots.borrow_mut();
        for slots in slots.values_mut() {
            slots.retain(|_, slot| {
                slot.expire(now);
                Rc::strong_count(slot) > 1 || !slot.is_empty()
            });
        }
        slots.retain(|_, slots| !slots.is_empty());
    }

    /// How many HTTP/1.1 connections wait.
    #[cfg(test)]
    pub(super) fn idle(&self) -> usize {
        let slots = self.slots.borrow();
        slots.values().flat_map(HashMap::values).map(|slot| slot.http1.borrow().len()).sum()
    }

    fn slot(&self, to: &Destination) -> Rc<Slot> {
        if let Some(slot) = self.by_destination.borrow().get(&to.id) {
            return slot.clone();
        }
        let slot = self.slot_of_origin(to);
        self.by_destination.borrow_mut().insert(to.id, slot.clone());
        slot
    }

    fn slot_of_origin(&self, to: &Destination) -> Rc<Slot> {
        let mut slots = self.slots.borrow_mut();
        let of_connector = slots.entry(to.connector.id()).or_default();
        match of_connector.get(to.base.origin()) {
            Some(slot) => slot.clone(),
            None => of_connector.entry(to.base.origin().clone()).or_default().clone(),
        }
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum PoolError {
    /// It could not be opened.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// It was opened, and the peer does not speak the protocol.
    #[error("the upstream does not speak HTTP/2")]
    Handshake(#[source] hyper::Error),
}

impl Slot {
    /// A usable connection, newest first: the oldest are the ones about to be closed by the peer.
    fn take(&self, only_http1: bool, only_http2: bool, now: Instant) -> Option<Sender> {
        if !only_http1
            && let Some(shared) = self.http2.borrow_mut().as_mut()
            && !shared.sender.is_closed()
        {
            shared.used = now;
            return Some(Sender::Http2(shared.sender.clone()));
        }
        if only_http2 {
            return None;
        }
        loop {
            let mut idle = self.http1.borrow_mut().pop()?;
            if now.saturating_duration_since(idle.since) < IDLE_EXPIRY && idle.call.is_quiet() {
                return Some(Sender::Http1(idle.call));
            }
        }
    }

    /// [`Self::open`], boxed apart from every request: as part of one, it would take room in its state and on its stack.
    #[cold]
    #[inline(never)]
    fn opened<'a>(
        &'a self,
        to: &'a Destination,
        wanted: Wanted,
        buffers: &'a Rc<Buffers>,
    ) -> Pin<Box<dyn Future<Output = Result<Sender, PoolError>> + 'a>> {
        Box::pin(self.open(to, wanted, buffers))
    }

    async fn open(
        &self,
        to: &Destination,
        wanted: Wanted,
        buffers: &Rc<Buffers>,
    ) -> Result<Sender, PoolError> {
        let offer = if wanted.websocket { Offer::Http1 } else { Offer::Http2 };
        let Connection { io, protocol } = to.connector.connect(to.base.origin(), offer).await?;
        let cleartext = to.base.origin().scheme() == Scheme::Http;
        if protocol == Protocol::Http1 && !(cleartext && wanted.http2 && !wanted.websocket) {
            return Ok(Sender::Http1(Call::new(Wire::new(io, buffers.clone()))));
        }
        let handshake = http2::Builder::new(LocalExecutor)
            .timer(TokioTimer::new())
            .max_header_list_size(u32::try_from(MAX_UPSTREAM_HEAD).unwrap_or(u32::MAX))
            .keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(10))
            .handshake(TokioIo::new(io))
            .await;
        let (sender, connection) = handshake.map_err(PoolError::Handshake)?;
        tokio::task::spawn_local(connection);
        *self.http2.borrow_mut() = Some(Shared2 { sender: sender.clone(), used: Instant::now() });
        Ok(Sender::Http2(sender))
    }

    fn expire(&self, now: Instant) {
        let fresh = |since: Instant| now.saturating_duration_since(since) < IDLE_EXPIRY;
        self.http1.borrow_mut().retain_mut(|idle| fresh(idle.since) && idle.call.is_quiet());
        let mut shared = self.http2.borrow_mut();
        if shared.as_ref().is_some_and(|shared| !fresh(shared.used) || shared.sender.is_closed()) {
            // Streams under way keep the connection; it closes after the last.
            *shared = None;
        }
    }

    /// A connection that may be used again.
    pub(super) fn keep(&self, call: Box<Call>, now: Instant) {
        let mut idle = self.http1.borrow_mut();
        if idle.len() < MAX_IDLE {
            idle.push(Idle { call, since: now });
        }
    }

    fn is_empty(&self) -> bool {
        self.http1.borrow().is_empty() && self.http2.borrow().is_none()
    }
}

/// Runs hyper's tasks on this worker.
#[derive(Clone, Copy)]
pub(super) struct LocalExecutor;

impl<F: Future<Output = ()> + 'static> Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}
