//! A provider to misbehave on demand, a clock to set, a host around them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::{HeaderName, HeaderValue};
use serde_json::json;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use crate::credential::{
    Acquire, Cell, Clock, Credentials, Issuer, Policy, Prepared, Providers, Reason, Want,
};
use crate::fault::{Code, Fault};
use crate::hook::{Event, HookSink, Kind};
use crate::model::{Connection, ConnectionId, CredentialKey, Target, UnixMillis};
use crate::vault::{CredentialView, GrantView, Lease, MemoryStore, Owner, Purpose, Transaction, Vault};

pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// The wall: as many seconds later as the paused runtime says, and as far off as a test sets it.
pub(super) struct TestClock {
    start: Instant,
    off: AtomicI64,
}

impl TestClock {
    pub(super) fn jump(&self, seconds: i64) {
        self.off.fetch_add(seconds * 1000, SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(1_795_000_000_000 + self.off.load(SeqCst)).plus(self.start.elapsed())
    }
}

/// A provider whose plugin keeps one token per target in its record, as a real one does.
pub(super) struct Provider {
    pub(super) clock: Arc<TestClock>,
    /// Calls that reached the network.
    pub(super) network: AtomicUsize,
    pub(super) latency: Mutex<Duration>,
    pub(super) life: Mutex<Option<Duration>>,
    /// What the network says instead of a token.
    pub(super) failing: Mutex<Option<Fault>>,
    pub(super) panicking: AtomicBool,
    needs_login: AtomicBool,
    settings_generation: AtomicU64,
    busy: AtomicUsize,
    pub(super) most_busy: AtomicUsize,
}

impl Provider {
    pub(super) fn fail(&self, fault: Option<Fault>) {
        *self.failing.lock().unwrap() = fault;
    }

    pub(super) fn calls(&self) -> usize {
        self.network.load(SeqCst)
    }

    async fn acquire(&self, txn: Transaction, want: Want) -> Result<Prepared, Fault> {
        assert!(!self.panicking.load(SeqCst), "told to");
        let mut tokens: BTreeMap<String, (u64, Option<i64>)> = match txn.record() {
            Some(record) => serde_json::from_slice(record.expose()).unwrap(),
            None if self.needs_login.load(SeqCst) => return Err(Fault::new(Code::NotLoggedIn, "no grant")),
            None => BTreeMap::new(),
        };
        let target = want.target.to_string();
        if let Some((generation, expires_at)) = tokens.get(&target).copied() {
            let left = expires_at.map_or(Duration::MAX, |at| self.clock.now().until(UnixMillis(at)));
            let newer = want.rejected_generation.is_none_or(|rejected| generation > rejected);
            if want.reason != Reason::Forced && newer && left >= want.min_ttl {
                return Ok(self.prepared(generation, expires_at));
            }
        }
        let (generation, expires_at) = self.issue(&txn).await?;
        tokens.insert(target, (generation, expires_at));
        txn.put(&serde_json::to_vec(&tokens).unwrap(), shown(&tokens))?;
        Ok(self.prepared(generation, expires_at))
    }

    async fn issue(&self, txn: &Transaction) -> Result<(u64, Option<i64>), Fault> {
        self.network.fetch_add(1, SeqCst);
        self.most_busy.fetch_max(self.busy.fetch_add(1, SeqCst) + 1, SeqCst);
        let latency = *self.latency.lock().unwrap();
        sleep(latency).await;
        self.busy.fetch_sub(1, SeqCst);
        match self.failing.lock().unwrap().clone() {
            Some(fault) => Err(fault),
            None => {
                let life = *self.life.lock().unwrap();
                Ok((txn.next_generation(), life.map(|life| self.clock.now().plus(life).0)))
            }
        }
    }

    fn prepared(&self, generation: u64, expires_at: Option<i64>) -> Prepared {
        Prepared {
            fields: vec![(HeaderName::from_static("authorization"), HeaderValue::from(generation))],
            query: Vec::new(),
            expires_at: expires_at.map(UnixMillis),
            generation,
            acquired_at: self.clock.now(),
        }
    }
}

fn shown(tokens: &BTreeMap<String, (u64, Option<i64>)>) -> GrantView {
    let view = |(target, (_, expires_at)): (&String, &(u64, Option<i64>))| CredentialView {
        target: target.clone(),
        expires_at: expires_at.map(UnixMillis),
        fingerprint: String::new(),
    };
    GrantView { credentials: tokens.iter().map(view).collect(), refreshable: true, ..GrantView::default() }
}

/// The plugin side of a host.
pub(super) struct Plugins(pub(super) Arc<Provider>);

struct Plugin(Arc<Provider>);

impl Issuer for Plugin {
    fn plugin(&self) -> String {
        "test 1.0.0".into()
    }

    fn acquire<'a>(
        &'a self,
        _connection: &'a Connection,
        txn: Transaction,
        want: Want,
    ) -> BoxFuture<'a, Result<Prepared, Fault>> {
        Box::pin(self.0.acquire(txn, want))
    }
}

impl Providers for Plugins {
    fn resolve(&self, id: &ConnectionId) -> Result<(Arc<Connection>, Arc<dyn Issuer>), Fault> {
        if id.name.as_str() == "lost" {
            return Err(Fault::new(Code::PluginMissing, "no plugin for provider `lost`"));
        }
        let connection = Connection {
            id: id.clone(),
            provider: owner().provider,
            settings: serde_json::Map::new(),
            settings_generation: self.0.settings_generation.load(SeqCst),
        };
        Ok((Arc::new(connection), Arc::new(Plugin(Arc::clone(&self.0)))))
    }
}

/// Remembers what was told.
#[derive(Default)]
pub(super) struct Recorder(Mutex<Vec<Kind>>);

impl HookSink for Recorder {
    fn wants(&self, _kind: Kind) -> bool {
        true
    }

    fn emit(&self, event: Event) {
        assert_eq!(event.provider.as_deref(), Some("test"));
        self.0.lock().unwrap().push(event.kind);
    }
}

/// One host process on a store, with a provider it may share with another.
pub(super) struct Host {
    pub(super) credentials: Credentials,
    pub(super) vault: Vault,
    pub(super) provider: Arc<Provider>,
    hooks: Arc<Recorder>,
}

impl Host {
    /// A host alone in the world, its provider needing no person.
    pub(super) fn alone() -> Self {
        Self::on(Vault::new(MemoryStore::default()), provider(), Policy::default())
    }

    pub(super) fn on(vault: Vault, provider: Arc<Provider>, policy: Policy) -> Self {
        let hooks = Arc::new(Recorder::default());
        let (providers, clock) = (Arc::new(Plugins(provider.clone())), provider.clock.clone());
        let credentials = Credentials::with_clock(
            Handle::current(),
            vault.clone(),
            providers,
            policy,
            hooks.clone(),
            clock,
        );
        Self { credentials, vault, provider, hooks }
    }

    pub(super) fn cell(&self, connection: &str) -> Arc<Cell> {
        self.cell_for(connection, Target::default())
    }

    pub(super) fn cell_for(&self, connection: &str, target: Target) -> Arc<Cell> {
        self.credentials.cell(&CredentialKey { connection: id(connection), target })
    }

    pub(super) async fn get(&self, cell: &Arc<Cell>, reason: Reason) -> Result<u64, Fault> {
        self.credentials.acquire(cell, reason).await.map(|prepared| prepared.generation)
    }

    /// What a request does: the cell, or else the slow path.
    pub(super) async fn request(&self, cell: &Arc<Cell>) -> Result<u64, Fault> {
        match cell.live(self.provider.clock.now()) {
            Some(prepared) => Ok(prepared.generation),
            None => self.get(cell, Reason::Missing).await,
        }
    }

    pub(super) fn told(&self) -> Vec<Kind> {
        self.hooks.0.lock().unwrap().clone()
    }

    /// A login in this process, by hand.
    pub(super) async fn log_in(&self, connection: &str) -> u64 {
        log_in(&self.vault, connection).await
    }
}

/// A login that leaves a grant without a token, so that the first use goes to the network.
pub(super) async fn log_in(vault: &Vault, connection: &str) -> u64 {
    let lease: Lease = vault.begin(&id(connection), owner(), Purpose::Login).await.unwrap();
    let view = GrantView { refreshable: true, ..GrantView::default() };
    lease.transaction().put(json!({}).to_string().as_bytes(), view).unwrap()
}

pub(super) fn provider() -> Arc<Provider> {
    Arc::new(Provider {
        clock: Arc::new(TestClock { start: Instant::now(), off: AtomicI64::new(0) }),
        network: AtomicUsize::new(0),
        latency: Mutex::new(Duration::from_secs(1)),
        life: Mutex::new(Some(HOUR)),
        failing: Mutex::new(None),
        panicking: AtomicBool::new(false),
        needs_login: AtomicBool::new(false),
        settings_generation: AtomicU64::new(1),
        busy: AtomicUsize::new(0),
        most_busy: AtomicUsize::new(0),
    })
}

impl Provider {
    /// From now on somebody has to log in first.
    pub(super) fn require_login(&self) {
        self.needs_login.store(true, SeqCst);
    }

    pub(super) fn change_settings(&self) {
        self.settings_generation.fetch_add(1, SeqCst);
    }
}

pub(super) fn owner() -> Owner {
    Owner { provider: "test".parse().unwrap(), plugin: "test 1.0.0".into() }
}

pub(super) fn id(text: &str) -> ConnectionId {
    text.parse().unwrap()
}

pub(super) fn scope(scope: &str) -> Target {
    Target { scopes: vec![scope.into()], ..Target::default() }
}

pub(super) fn down() -> Option<Fault> {
    Some(Fault::new(Code::ProviderUnavailable, "503 from the token endpoint"))
}

pub(super) fn revoked() -> Option<Fault> {
    Some(Fault::new(Code::ReauthRequired, "invalid_grant"))
}
