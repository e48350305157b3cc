//! The running host: every stage joined, started, drained.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::access_log::AccessLog;
use crate::admin::{self, AdminSocket, Entrance};
use crate::config::{self, Config};
use crate::credential::{Acquire as _, Prepared, Reason};
use crate::fault::{Code, Fault};
use crate::guard::{Access, Guard};
use crate::hook::{Event, HookSink as _, Hooks, Kind, log_events};
use crate::keys::Keys;
use crate::model::{ConnectionId, CredentialKey, Target, UnixMillis};
use crate::plugin::{Authenticated, Changed, Registry};
use crate::proxy::{BindError, Doors, ListenerUrl, Proxy, ProxyConfig, Rules, Running, worker_count};
use crate::route::{Forward, RouteTable};
use crate::upstream::Base;
use crate::vault::Watch;
use crate::watch::{FileWatch, Places, SETTLE};

use super::admin_port::AdminPort;
use super::config_reader::ConfigReader;
use super::logins::Logins;
use super::metrics::PluginErrors;
use super::own_paths::OurPaths;
use super::reload::{Cause, Made, Standing};
use super::{App, control, listeners, routes};

/// How long a refresh under way may take to end in the store after everything else has ended: the
/// provider may have spent the old refresh token already.
const REFRESH_GRACE: Duration = Duration::from_secs(20);
/// Events that wait to be handed to plugins, which have queues of their own.
const PLUGIN_EVENTS: usize = 1024;
/// How long plugins may take for their last call.
const PLUGIN_GRACE: Duration = Duration::from_secs(5);
/// How often a configuration is read in which somebody writes; then the next change is waited for.
const MAX_READINGS: usize = 40;

/// What the admin socket sees of a host that serves.
pub struct Serving {
    pub(super) app: App,
    /// What requests read. A reload swaps it.
    pub(super) rules: Arc<ArcSwap<Rules>>,
    /// What is listened on. A reload changes it.
    pub(super) doors: Doors,
    pub(super) access_log: AccessLog,
    admin: Option<String>,
    /// The API over TCP.
    pub(super) admin_port: AdminPort,
    /// Making rules asks every plugin: one at a time, so that the newest answer is the last one stored.
    pub(super) made: Mutex<Made>,
    pub(super) config_reader: ConfigReader,
    /// How the configuration stands.
    pub(super) standing: std::sync::Mutex<Standing>,
    /// The configuration in force, for whoever follows it.
    pub(super) in_force: watch::Sender<Arc<Config>>,
    pub(super) started_at: UnixMillis,
    pub(super) plugin_errors: PluginErrors,
    pub(super) logins: Logins,
    draining: AtomicBool,
    /// Somebody asked the host to end.
    pub(super) stopping: Stopping,
}

/// A request to end, from the admin socket.
#[derive(Default)]
pub(super) struct Stopping {
    pub(super) soon: Notify,
    /// Without waiting for requests under way.
    pub(super) now: Notify,
}

/// A host that serves, and what ends with it.
pub struct Attached {
    serving: Arc<Serving>,
    running: Running,
    admin: Option<AdminTask>,
    hearing: JoinHandle<()>,
    plugins: JoinHandle<()>,
    configuration: JoinHandle<()>,
    keys: JoinHandle<()>,
    _store: Option<Watch>,
}

/// The admin socket, served until `stop` is dropped.
struct AdminTask {
    stop: watch::Sender<()>,
    ended: JoinHandle<()>,
}

/// Why the host did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Configuration, plugins or store.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// A listener.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The listener of the API.
    #[error("the listener of the admin API: {0}")]
    Admin(BindError),
}

impl App {
    /// Joins the stages in their order and starts them. Returns once every listener accepts.
    pub async fn serve(self) -> Result<Attached, StartError> {
        let config = self.config();
        self.vault.set_brief(false);
        let rules = Arc::new(ArcSwap::from_pointee(self.rules(&config, RouteTable::default())?));
        let keys = self.keys.reload()?;
        match config.resolved.server.access {
            config::Access::Open => {
                tracing::warn!("server.access is `open`: whoever reaches a listener uses every connection");
            }
            config::Access::Key if keys == 0 => {
                tracing::warn!(
                    hint = "ccproxy key create NAME",
                    "server.access is `key`, and there is no key"
                );
            }
            config::Access::Key | config::Access::SameUser => {}
        }
        let access_log = AccessLog::default();
        // listen -> guard -> route -> credential -> upstream -> respond
        let proxy = Proxy::bind(ProxyConfig {
            listeners: listeners::wanted(&config),
            workers: worker_count(config.resolved.server.workers),
            rules: Arc::clone(&rules),
            acquire: Arc::new(self.credentials.clone()),
            hooks: Arc::new(self.hooks.clone()),
            access_log: access_log.clone(),
            meter: Arc::clone(self.meters.host()),
            own_paths: Some(Arc::new(OurPaths {
                plugins: Arc::clone(&self.directory.registry),
                callbacks: Arc::clone(&self.callbacks),
            })),
        })?;
        let (started_at, plugin_errors) = (UnixMillis::now(), PluginErrors::count(&self.hooks));
        self.emit(Kind::AppStartup, |event| event.with("version", env!("CARGO_PKG_VERSION")));
        log_events(&self.hooks, &Handle::current());
        let hearing = tell_plugins(&self.hooks, Arc::clone(&self.directory.registry));
        self.registry().load_all().await;
        self.check(&config, &Made::default()).await?;

        let store = self.credentials.watch_store().inspect_err(|fault| {
            tracing::warn!(error = %fault, "changes of other processes to the store are not seen");
        });
        // Commands are for the host that everybody uses.
        let socket = if config.sources().private { None } else { self.admin_socket().await };
        let serving = Arc::new(Serving {
            doors: proxy.doors().clone(),
            access_log,
            admin: socket.as_ref().map(|socket| socket.path().display().to_string()),
            app: self,
            admin_port: AdminPort::new(Entrance::new(Arc::clone(&rules))),
            rules,
            made: Mutex::default(),
            config_reader: ConfigReader::start().map_err(BindError::Workers)?,
            standing: std::sync::Mutex::new(Standing::new(&config)),
            in_force: watch::Sender::new(config),
            started_at,
            stopping: Stopping::default(),
            plugin_errors,
            logins: Logins::default(),
            draining: AtomicBool::new(false),
        });
        let authenticated: Arc<dyn Authenticated> = serving.clone();
        // Set once: this app serves once.
        let _ = serving.app.registry().services().authenticated.set(Arc::downgrade(&authenticated));
        let control = control::control(&serving);
        serving.admin_port.answered_by(Arc::downgrade(&control));
        serving
            .admin_port
            .commit(serving.admin_port.prepare(&serving.app.config()).map_err(StartError::Admin)?);
        serving.rebuild_routes().await?;
        let running = proxy.serve().map_err(BindError::Workers)?;
        let admin = socket.map(|socket| {
            let (stop, stopped) = watch::channel(());
            let ended = tokio::spawn(admin::serve(socket, control, stopped));
            AdminTask { stop, ended }
        });
        let plugins = tokio::spawn(follow_plugins(Arc::clone(&serving)));
        let configuration = tokio::spawn(follow_configuration(Arc::clone(&serving)));
        let keys = tokio::spawn(follow_keys(Arc::clone(&serving)));
        serving.app.emit(Kind::AppReady, |event| event.with("listen", serving.listen_urls()));
        Ok(Attached { serving, running, admin, hearing, plugins, configuration, keys, _store: store.ok() })
    }

    async fn admin_socket(&self) -> Option<AdminSocket> {
        let bound = AdminSocket::bind(&self.paths.admin_socket()).await;
        bound.inspect_err(|error| tracing::warn!(%error, "commands cannot reach this host")).ok()
    }

    /// The routes that a host would serve, as a document.
    pub async fn routes(&self) -> Result<serde_json::Value, Fault> {
        let config = self.config();
        let next = self.prepare(Arc::clone(&config), &Made::default()).await?;
        Ok(routes::document(&next.rules.routes, &listeners::expected(&config)))
    }

    /// What requests read of a configuration.
    pub(super) fn rules(&self, config: &Config, routes: RouteTable) -> Result<Rules, Fault> {
        let server = &config.resolved.server;
        Ok(Rules {
            guard: guard(server, &self.keys)
                .map_err(|fault| config.mistake(&["server", "allowed_hosts"], &fault))?,
            routes,
            callbacks: Arc::clone(&self.callbacks),
            http2: server.http2,
            access_log: config.resolved.logging.access_log,
            drain_timeout: server.drain_timeout,
        })
    }

    pub(super) fn emit(&self, kind: Kind, fill: impl FnOnce(Event) -> Event) {
        if self.hooks.wants(kind) {
            self.hooks.emit(fill(Event::new(kind)));
        }
    }
}

impl Serving {
    pub(super) fn admin(&self) -> Option<&str> {
        self.admin.as_deref()
    }

    /// The URL of the API over TCP.
    pub(super) fn admin_url(&self) -> Option<String> {
        self.admin_port.url()
    }

    /// The listeners that lead to every route.
    pub(super) fn listen_urls(&self) -> Vec<String> {
        listeners::shared(&self.doors.urls())
    }

    /// Whether it was told to stop.
    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// What requests read now.
    pub(super) fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }
}

impl Serving {
    /// Takes over that plugins came, went or were replaced: their connections are tried again, with the
    /// tokens they have, and have the routes that the plugins say.
    pub(super) async fn follow_plugins(&self, changed: &Changed) {
        let connections = self.app.directory.connections();
        for (id, _) in connections.iter().filter(|(_, own)| changed.contains(&own.provider)) {
            self.app.credentials.forgive(id);
        }
        if let Err(fault) = self.rebuild_routes().await {
            tracing::warn!(error = %fault, "the routes stay as they were");
        }
    }
}

/// For requests that a plugin makes with a connection's own credential.
impl Authenticated for Serving {
    fn upstreams(&self, connection: &ConnectionId) -> Vec<Base> {
        let rules = self.rules();
        let own = rules.routes.routes().filter(|route| route.connection.as_ref() == Some(connection));
        let bases = own.filter_map(|route| match &route.forward {
            Forward::To(destination) => Some(destination.base.clone()),
            Forward::Nowhere(_) => None,
        });
        bases.collect()
    }

    fn credential(
        &self,
        connection: &ConnectionId,
        target: &Target,
        rejected: Option<u64>,
    ) -> BoxFuture<'static, Result<Arc<Prepared>, Fault>> {
        let key = CredentialKey { connection: connection.clone(), target: target.clone() };
        let credentials = self.app.credentials.clone();
        Box::pin(async move {
            let cell = credentials.cell(&key);
            let reason = rejected.map_or(Reason::Missing, |generation| Reason::Rejected { generation });
            credentials.acquire(&cell, reason).await
        })
    }
}

impl Attached {
    /// Where it listens.
    pub fn listeners(&self) -> Vec<ListenerUrl> {
        self.serving.doors.urls()
    }

    /// The admin socket, if there is one.
    pub fn admin(&self) -> Option<&str> {
        self.serving.admin()
    }

    /// The URL of the API over TCP, if it is there.
    pub fn admin_url(&self) -> Option<String> {
        self.serving.admin_url()
    }

    /// Reads the configuration again, as `ccproxy reload` does; the log tells what came of it.
    pub fn reload(&self) {
        let serving = Arc::clone(&self.serving);
        tokio::spawn(async move { serving.reload(Cause::Asked).await });
    }

    /// The configuration in force.
    pub fn configuration(&self) -> watch::Receiver<Arc<Config>> {
        self.serving.in_force.subscribe()
    }

    /// Resolves when `ccproxy stop` asks for the end.
    pub async fn stop_asked(&self) {
        self.serving.stopping.soon.notified().await;
    }

    /// Stops accepting, lets requests end within `server.drain_timeout` or until `now` completes, and
    /// lets a refresh under way reach the store.
    pub async fn drain(mut self, now: impl Future<Output = ()>) {
        let app = &self.serving.app;
        self.serving.draining.store(true, Relaxed);
        app.emit(Kind::AppShutdown, |event| event);
        let hurry = tokio::select! {
            () = self.running.shutdown() => false,
            () = now => true,
            () = self.serving.stopping.now.notified() => true,
        };
        if hurry {
            tracing::info!("stopping without waiting for requests");
            self.running.abort();
            self.running.shutdown().await;
        }
        // The requests have ended: these are their last lines.
        self.serving.access_log.flush().await;
        // Whatever was asked for: a spent refresh token whose successor is lost logs everyone out.
        if tokio::time::timeout(REFRESH_GRACE, app.credentials.idle()).await.is_err() {
            tracing::warn!("a refresh did not end in time; its outcome is lost");
        }
        // Whoever follows the events has them all, then an end.
        app.hooks.close().await;
        if let Some(AdminTask { stop, ended }) = self.admin {
            drop(stop);
            // Ended or broken: the socket's file is removed with it.
            let _ = ended.await;
        }
        self.serving.admin_port.close().await;
        self.hearing.abort();
        self.plugins.abort();
        self.configuration.abort();
        self.keys.abort();
        app.registry().shutdown(PLUGIN_GRACE).await;
    }
}

/// Hands events to the plugins that declared them, to one that comes later from then on. A plugin does
/// not hear what it emitted itself.
fn tell_plugins(hooks: &Hooks, registry: Arc<Registry>) -> JoinHandle<()> {
    let mut events = hooks.subscribe(0, PLUGIN_EVENTS);
    let tuner = events.tuner();
    registry.tune(move |kinds| tuner.listen_to(kinds));
    tokio::spawn(async move {
        while let Some(notice) = events.recv().await {
            let kind = notice.event.kind;
            let emitter = notice.event.provider.as_deref().filter(|_| kind == Kind::CustomEvent);
            registry.deliver(kind, emitter, &notice.document);
        }
    })
}

/// Takes over plugin files and pins that changed, for as long as the host serves.
async fn follow_plugins(serving: Arc<Serving>) {
    let mut watch = serving.app.directory.registry.watch();
    loop {
        let changed = watch.changed().await;
        serving.follow_plugins(&changed).await;
    }
}

/// Takes over the configuration whenever its files changed and stand still.
async fn follow_configuration(serving: Arc<Serving>) {
    let sources = serving.app.config().sources().clone();
    let mut watch = FileWatch::new(Arc::new(move || sources.places())).await;
    loop {
        // At first, too: it was read some time before anybody watched. Files that never stand still change again,
        // which the watch tells.
        for _ in 0..MAX_READINGS {
            if serving.follow().await {
                break;
            }
            sleep(SETTLE).await;
        }
        watch.changed().await;
    }
}

/// Takes over the local keys whenever their file changed.
async fn follow_keys(serving: Arc<Serving>) {
    let file = serving.app.keys.path().to_owned();
    let directories: BTreeSet<_> = file.parent().map(Path::to_owned).into_iter().collect();
    let places = move || Places { directories: directories.clone(), files: [file.clone()].into() };
    let mut watch = FileWatch::new(Arc::new(places)).await;
    loop {
        // At first, too: they were read some time before anybody watched.
        match serving.app.keys.reload() {
            Ok(keys) => tracing::debug!(keys, "local keys read"),
            Err(fault) => {
                tracing::error!(error = %fault, hint = fault.hint, "the local keys stay as they were")
            }
        }
        watch.changed().await;
    }
}

fn guard(server: &config::Server, keys: &Arc<Keys>) -> Result<Guard, Fault> {
    let hosts = server.allowed_hosts.iter().map(|host| {
        host.parse()
            .map_err(|error| Fault::new(Code::InvalidConfig, format!("`server.allowed_hosts`: {error}")))
    });
    Ok(Guard {
        access: match server.access {
            config::Access::Open => Access::Open,
            config::Access::SameUser => Access::SameUser,
            config::Access::Key => Access::Key,
        },
        keys: Arc::clone(keys),
        allowed_hosts: hosts.collect::<Result<_, _>>()?,
        allowed_origins: server.allowed_origins.clone(),
    })
}
