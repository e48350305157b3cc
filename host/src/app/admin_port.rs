//! `admin.listen`: the API over TCP, which comes, goes and moves with the configuration.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::admin::{self, Control, Entrance};
use crate::config::Config;
use crate::proxy::{BindError, open_tcp};

/// The listener of the API, if there is one.
pub(super) struct AdminPort {
    entrance: Arc<Entrance>,
    /// Who answers. Known once the host is whole.
    control: OnceLock<Weak<dyn Control>>,
    open: Mutex<Option<Open>>,
}

/// A listener that is served until `stop` is dropped.
struct Open {
    wanted: SocketAddr,
    at: SocketAddr,
    stop: watch::Sender<()>,
    ended: JoinHandle<()>,
}

/// A change that has nothing left that could fail.
pub(super) enum Change {
    /// As it is.
    None,
    /// Another listener, or none.
    To(Option<(SocketAddr, std::net::TcpListener, SocketAddr)>),
}

impl AdminPort {
    pub(super) fn new(entrance: Entrance) -> Self {
        Self { entrance: Arc::new(entrance), control: OnceLock::new(), open: Mutex::default() }
    }

    /// Names who answers. The first one stays.
    pub(super) fn answered_by(&self, control: Weak<dyn Control>) {
        let _ = self.control.set(control);
    }

    /// Binds what a configuration asks for, if that is not there yet.
    pub(super) fn prepare(&self, config: &Config) -> Result<Change, BindError> {
        let wanted = config.resolved.admin.listen;
        let now = self.open.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|open| open.wanted);
        if now == wanted {
            return Ok(Change::None);
        }
        let bound = wanted.map(|wanted| open_tcp(wanted).map(|(listener, at)| (wanted, listener, at)));
        Ok(Change::To(bound.transpose()?))
    }

    /// Serves it from now on, and nothing else.
    pub(super) fn commit(&self, change: Change) {
        let Change::To(next) = change else { return };
        let Some(control) = self.control.get().and_then(Weak::upgrade) else { return };
        let next = next.map(|(wanted, listener, at)| {
            let (stop, stopped) = watch::channel(());
            let served = admin::serve_port(listener, Arc::clone(&self.entrance), control, stopped);
            let ended = tokio::spawn(async move {
                if let Err(error) = served.await {
                    tracing::error!(%error, "the admin listener is not served");
                }
            });
            Open { wanted, at, stop, ended }
        });
        // Dropped, the old one stops accepting and lets what is being answered end.
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = next;
    }

    /// Where it listens, the port filled in.
    pub(super) fn url(&self) -> Option<String> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.as_ref().map(|open| format!("http://{}", open.at))
    }

    /// Accepts nobody any more, and returns when the last answer is out.
    pub(super) async fn close(&self) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Open { stop, ended, .. }) = open {
            drop(stop);
            let _ = ended.await;
        }
    }
}
