//! A directory with plugins in it, and an application around them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::credential::{Prepared, Reason, Want};
use crate::fault::{Code, Fault};
use crate::hook::{Event, HookSink, Kind};
use crate::model::{Connection, ConnectionId, Name, Target};
use crate::plugin::{
    Connections, Deadlines, Limits, Outbound, Plugin, Registry, RegistryConfig, Secrets, Services, Trust,
};
use crate::secret::Secret;
use crate::vault::{GrantView, MemoryStore, Owner, Purpose, Vault};

/// Long enough for any machine; nothing waits for it to pass.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// The plugin's file, which cargo builds because the host's tests depend on its crate.
pub(super) fn faulty_so() -> PathBuf {
    let deps = std::env::current_exe().unwrap();
    let name = format!("libccproxy_plugin_faulty.{}", std::env::consts::DLL_EXTENSION);
    deps.with_file_name(name)
}

pub(super) fn faulty() -> Name {
    "faulty".parse().unwrap()
}

/// Events as they were emitted.
#[derive(Default)]
pub(super) struct Heard(Mutex<Vec<Event>>);

impl HookSink for Heard {
    fn wants(&self, _: Kind) -> bool {
        true
    }

    fn emit(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Heard {
    pub(super) fn of(&self, kind: Kind) -> Vec<Event> {
        self.0.lock().unwrap().iter().filter(|event| event.kind == kind).cloned().collect()
    }

    pub(super) fn kinds(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().iter().map(|event| event.kind.as_str()).collect()
    }

    /// The first event of a kind, as soon as there is one.
    pub(super) async fn first(&self, kind: Kind) -> Event {
        let found = async {
            loop {
                match self.of(kind).pop() {
                    Some(event) => return event,
                    None => tokio::time::sleep(Duration::from_millis(2)).await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, found).await.unwrap()
    }
}

/// Secrets by the name of the setting, and tokens that stand for stored ones.
#[derive(Default)]
pub(super) struct Known(pub(super) BTreeMap<&'static str, &'static str>);

impl Secrets for Known {
    fn resolve(&self, connection: &Connection, name: &str) -> Result<Secret, Fault> {
        let known = self.0.get(name).map(|secret| (*secret).to_owned().into());
        known.ok_or_else(|| {
            Fault::new(Code::InvalidConfig, format!("`{name}` of `{}` is unset", connection.id))
        })
    }

    fn token_override(&self, connection: &ConnectionId) -> Option<Secret> {
        self.0.get(connection.name.as_str()).map(|token| (*token).to_owned().into())
    }
}

impl Connections for Known {
    fn of(&self, provider: &Name, _: &Value) -> Vec<Connection> {
        vec![Connection { provider: provider.clone(), ..connection("work", json!({})) }]
    }
}

pub(super) struct Bench {
    pub(super) home: TempDir,
    pub(super) heard: Arc<Heard>,
    pub(super) vault: Vault,
    pub(super) limits: Limits,
    pub(super) deadlines: Deadlines,
    pub(super) trust: Trust,
    pub(super) disabled: Vec<Name>,
    pub(super) known: BTreeMap<&'static str, &'static str>,
}

impl Bench {
    /// An empty plugin directory.
    pub(super) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("plugins")).unwrap();
        Self {
            home,
            heard: Arc::default(),
            vault: Vault::new(MemoryStore::default()),
            limits: Limits::default(),
            deadlines: Deadlines::default(),
            trust: Trust::Tofu,
            disabled: Vec::new(),
            known: BTreeMap::new(),
        }
    }

    /// A directory with the faulty plugin.
    pub(super) fn with_faulty() -> Self {
        let bench = Self::new();
        fs::copy(faulty_so(), bench.file("faulty.so")).unwrap();
        bench
    }

    pub(super) fn dir(&self) -> PathBuf {
        self.home.path().join("plugins")
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    pub(super) fn registry(&self) -> Arc<Registry> {
        self.registry_of(vec![self.dir()])
    }

    pub(super) fn registry_of(&self, dirs: Vec<PathBuf>) -> Arc<Registry> {
        let state = self.home.path().join("state");
        let config = RegistryConfig {
            dirs,
            executable: None,
            trust: self.trust,
            lock: state.join("plugins.lock"),
            only_looks: false,
            scratch: state.join("images"),
            disabled: self.disabled.clone(),
            limits: self.limits,
            deadlines: self.deadlines,
        };
        let services = Services {
            hooks: self.heard.clone(),
            secrets: Arc::new(Known(self.known.clone())),
            connections: Arc::new(Known::default()),
            outbound: Outbound::default(),
            authenticated: OnceLock::new(),
        };
        Registry::discover(config, services)
    }

    /// The faulty plugin, loaded.
    pub(super) async fn plugin(&self) -> Arc<Plugin> {
        self.registry().load(&faulty()).await.unwrap()
    }

    /// Logs `connection` in with this token.
    pub(super) async fn store(&self, connection: &Connection, token: &str) {
        let lease = self.vault.begin(&connection.id, owner(), Purpose::Login).await.unwrap();
        let record = json!({ "schema_version": 1, "token": token }).to_string();
        lease.transaction().put(record.as_bytes(), GrantView::default()).unwrap();
    }

    pub(super) async fn acquire(&self, plugin: &Plugin, connection: &Connection) -> Result<Prepared, Fault> {
        let lease = self.vault.begin(&connection.id, owner(), Purpose::Acquire).await.unwrap();
        plugin.acquire(connection, lease.transaction(), &want()).await
    }
}

pub(super) fn owner() -> Owner {
    Owner { provider: faulty(), plugin: "faulty 0.1.0".into() }
}

pub(super) fn want() -> Want {
    Want {
        target: Target::default(),
        min_ttl: Duration::ZERO,
        rejected_generation: None,
        reason: Reason::Missing,
    }
}

pub(super) fn connection(name: &str, settings: Value) -> Connection {
    Connection {
        id: name.parse().unwrap(),
        provider: faulty(),
        settings: settings.as_object().unwrap().clone(),
        settings_generation: 1,
    }
}

/// The one field of a credential.
pub(super) fn field(prepared: &Prepared) -> &str {
    prepared.fields[0].1.to_str().unwrap()
}

/// Replaces bytes of a file by others of the same length, wherever they are.
pub(super) fn patch(file: &Path, from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    let mut bytes = fs::read(file).unwrap();
    let places = bytes.windows(from.len()).enumerate().filter(|(_, window)| *window == from.as_bytes());
    let places: Vec<_> = places.map(|(at, _)| at).collect();
    assert!(!places.is_empty(), "{from} is nowhere in there");
    for at in places {
        bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
    }
    fs::write(file, bytes).unwrap();
}
