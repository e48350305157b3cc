//! A running proxy with one route, `up`, and a credential stage that the test scripts.

use std::collections::VecDeque;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{HeaderName, HeaderValue};

use super::Client;
use crate::credential::{Acquire, Cell, Prepared, Reason};
use crate::fault::Fault;
use crate::guard::Guard;
use crate::hook::{Event, HookSink, Kind};
use crate::model::{ConnectionId, CredentialKey, Target, UnixMillis};
use crate::proxy::{Address, Doors, ListenerSpec, Place, Proxy, ProxyConfig, Rules, Running, Terms};
use crate::route::{Destination, Forward, Policy, Route, RouteTable};
use crate::upstream::connect::{Connector, ConnectorOptions, OutboundProxy};

pub(super) struct House {
    pub(super) running: Running,
    pub(super) cell: Arc<Cell>,
    pub(super) issuer: Arc<Issuer>,
    pub(super) events: Arc<Events>,
}

/// What a test may choose.
pub(super) struct Plan {
    pub(super) upstream: String,
    pub(super) policy: Policy,
    pub(super) guard: Guard,
    pub(super) http2: bool,
    pub(super) drain_timeout: Duration,
    pub(super) connector: ConnectorOptions,
}

impl Plan {
    pub(super) fn to(upstream: impl Into<String>) -> Self {
        Self {
            upstream: upstream.into(),
            policy: Policy::default(),
            guard: Guard::default(),
            http2: false,
            drain_timeout: Duration::from_secs(20),
            connector: ConnectorOptions { outbound_proxy: OutboundProxy::None, ..Default::default() },
        }
    }

    /// Starts the proxy with the credential of generation 1 in its cell.
    pub(super) fn start(self) -> House {
        let house = self.start_without_credential();
        house.cell.publish(token(1));
        house
    }

    pub(super) fn start_without_credential(self) -> House {
        let connector = Connector::new(&self.connector).unwrap();
        let (rules, cell) = self.rules(connector);
        let issuer = Arc::new(Issuer::default());
        let events = Arc::new(Events::default());
        let running = Proxy::start(ProxyConfig {
            listeners: vec![ListenerSpec {
                place: Place::Tcp("127.0.0.1:0".parse().unwrap()),
                terms: Terms::default(),
            }],
            // One worker, one pool: tests speak of the kept connection.
            workers: 1,
            rules: Arc::new(ArcSwap::from_pointee(rules)),
            acquire: issuer.clone(),
            hooks: events.clone(),
            access_log: Default::default(),
            meter: Default::default(),
            own_paths: None,
        })
        .unwrap();
        House { running, cell, issuer, events }
    }

    /// The rules of such a proxy, and where its credential is.
    pub(super) fn rules(self, connector: Connector) -> (Rules, Arc<Cell>) {
        let connection = ConnectionId::global("up".parse().unwrap());
        let key = CredentialKey { connection: connection.clone(), target: Target::default() };
        let cell = Arc::new(Cell::new(key));
        let to = Destination::new(self.upstream.parse().unwrap(), cell.clone(), Arc::new(connector));
        let route = Route {
            name: "up".parse().unwrap(),
            path: "up".parse().unwrap(),
            written_at: None,
            connection: Some(connection),
            provider: Some("test".parse().unwrap()),
            policy: self.policy,
            forward: Forward::To(Arc::new(to)),
            meter: Default::default(),
        };
        let rules = Rules {
            callbacks: Arc::default(),
            guard: self.guard,
            routes: RouteTable::build(vec![route], ["X-Vendor-Key"]).unwrap(),
            http2: self.http2,
            access_log: true,
            drain_timeout: self.drain_timeout,
        };
        (rules, cell)
    }
}

impl House {
    pub(super) fn address(&self) -> SocketAddr {
        match self.running.addresses()[0].at {
            Address::Tcp(address) => address,
            Address::Unix(_) => unreachable!("it listens on TCP"),
        }
    }

    pub(super) fn doors(&self) -> &Doors {
        self.running.doors()
    }

    pub(super) async fn client(&self) -> Client {
        Client::connect(self.address()).await
    }
}

/// `Bearer secret-token-N` of generation N, an hour old and without end.
pub(super) fn token(generation: u64) -> Arc<Prepared> {
    token_acquired(generation, UnixMillis::now().minus(Duration::from_secs(3600)))
}

pub(super) fn token_acquired(generation: u64, acquired_at: UnixMillis) -> Arc<Prepared> {
    let mut value = HeaderValue::try_from(format!("Bearer secret-token-{generation}")).unwrap();
    value.set_sensitive(true);
    Arc::new(Prepared {
        fields: vec![(HeaderName::from_static("authorization"), value)],
        query: vec![],
        expires_at: None,
        generation,
        acquired_at,
    })
}

/// The credential stage: answers what it was told to, and remembers why it was asked.
#[derive(Default)]
pub(super) struct Issuer {
    answers: Mutex<VecDeque<Result<Arc<Prepared>, Fault>>>,
    asked: Mutex<Vec<Reason>>,
}

impl Issuer {
    pub(super) fn will_answer(&self, answer: Result<Arc<Prepared>, Fault>) {
        self.answers.lock().unwrap().push_back(answer);
    }

    pub(super) fn asked(&self) -> Vec<Reason> {
        self.asked.lock().unwrap().clone()
    }
}

impl Acquire for Issuer {
    fn acquire<'a>(
        &'a self,
        cell: &'a Arc<Cell>,
        reason: Reason,
    ) -> Pin<Box<dyn Future<Output = Result<Arc<Prepared>, Fault>> + Send + 'a>> {
        self.asked.lock().unwrap().push(reason);
        let answer = self.answers.lock().unwrap().pop_front().expect("nobody expected this question");
        if let Ok(prepared) = &answer {
            cell.publish(prepared.clone());
        }
        Box::pin(std::future::ready(answer))
    }
}

/// Everything that was told.
#[derive(Default)]
pub(super) struct Events(Mutex<Vec<Event>>);

impl Events {
    pub(super) fn all(&self) -> Vec<Event> {
        self.0.lock().unwrap().clone()
    }

    pub(super) fn kinds(&self) -> Vec<&'static str> {
        self.all().iter().map(|event| event.kind.as_str()).collect()
    }

    /// Waits until an event of this kind was told.
    pub(super) async fn until(&self, kind: Kind) -> Event {
        super::soon(async {
            loop {
                if let Some(event) = self.all().into_iter().find(|event| event.kind == kind) {
                    return event;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }
}

impl HookSink for Events {
    fn wants(&self, _: Kind) -> bool {
        true
    }

    fn emit(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}
