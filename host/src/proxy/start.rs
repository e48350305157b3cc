//! Starting and stopping the request path.

use std::num::NonZero;
use std::sync::Arc;
use std::thread;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, watch};

use super::Rules;
use crate::access_log::AccessLog;
use crate::carrier::{OwnPaths, Shared};
use crate::credential::Acquire;
use crate::hook::HookSink;
use crate::listen::{self, BindError, Doors, ListenerSpec, ListenerUrl, Phase};
use crate::meter::RouteMeter;

/// What the request path runs on.
pub struct ProxyConfig {
    /// Where to listen. Port 0 means a free one.
    pub listeners: Vec<ListenerSpec>,
    /// Worker threads; see [`worker_count`].
    pub workers: usize,
    /// Who may enter, and what leads where. The owner swaps it to reload.
    pub rules: Arc<ArcSwap<Rules>>,
    /// Where credentials come from when none is cached.
    pub acquire: Arc<dyn Acquire>,
    /// Where facts go.
    pub hooks: Arc<dyn HookSink>,
    /// Where requests are logged, if the rules say so.
    pub access_log: AccessLog,
    /// What is counted of requests that have no route.
    pub meter: Arc<RouteMeter>,
    /// Who answers the callback and plugin paths.
    pub own_paths: Option<Arc<dyn OwnPaths>>,
}

/// How many workers `server.workers` asks for: 0 means one per core.
pub fn worker_count(setting: usize) -> usize {
    let cores = || thread::available_parallelism().map_or(1, NonZero::get);
    if setting == 0 { cores() } else { setting }
}

/// The request path of a host.
pub struct Proxy {
    shared: Arc<Shared>,
    doors: Doors,
    workers: usize,
}

/// The request path while it serves.
pub struct Running {
    doors: Doors,
    phase: watch::Sender<Phase>,
    ended: mpsc::Receiver<()>,
}

impl Proxy {
    /// Binds every listener, so that a port in use is known before anything is served.
    pub fn bind(config: ProxyConfig) -> Result<Self, BindError> {
        let doors = Doors::open(&config.listeners)?;
        let shared = Shared {
            rules: config.rules,
            acquire: config.acquire,
            hooks: config.hooks,
            access_log: config.access_log,
            meter: config.meter,
            own: config.own_paths,
        };
        Ok(Self { shared: Arc::new(shared), doors, workers: config.workers })
    }

    /// The listeners. Connections wait until [`Self::serve`].
    pub fn doors(&self) -> &Doors {
        &self.doors
    }

    /// Starts the workers.
    pub fn serve(self) -> std::io::Result<Running> {
        let (phase, watched) = watch::channel(Phase::Serving);
        let (alive, ended) = mpsc::channel(1);
        for number in 0..self.workers {
            let (shared, listeners) = (self.shared.clone(), self.doors.follow());
            let (phase, alive) = (watched.clone(), alive.clone());
            thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
                // Held to the end of the thread: when all are dropped, the request path has ended.
                let _alive = alive;
                listen::work(shared, number, listeners, phase);
            })?;
        }
        Ok(Running { doors: self.doors, phase, ended })
    }

    /// Binds and serves.
    pub fn start(config: ProxyConfig) -> Result<Running, BindError> {
        Self::bind(config)?.serve().map_err(BindError::Workers)
    }
}

impl Running {
    /// The listeners, which may be changed.
    pub fn doors(&self) -> &Doors {
        &self.doors
    }

    /// What is listened on, the ports filled in.
    pub fn addresses(&self) -> Vec<ListenerUrl> {
        self.doors.urls()
    }

    /// Stops accepting, lets requests under way end, and waits for that: at most the drain timeout.
    pub async fn shutdown(&mut self) {
        self.doors.close();
        self.phase.send_if_modified(|phase| {
            let serving = *phase == Phase::Serving;
            if serving {
                *phase = Phase::Draining;
            }
            serving
        });
        while self.ended.recv().await.is_some() {}
    }

    /// Breaks off what is under way; [`Self::shutdown`] then returns at once.
    pub fn abort(&self) {
        self.phase.send_replace(Phase::Aborted);
    }
}
