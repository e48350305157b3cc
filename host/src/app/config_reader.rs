//! The one thread that reads configurations while the host serves.
//!
//! A large configuration takes hundreds of milliseconds to read, and the control thread has tokens to renew
//! meanwhile. A thread of its own, and always the same one: each thread of a pool would keep the memory of a
//! whole configuration in an arena of its own.

use std::io;

use tokio::sync::{mpsc, oneshot};

use crate::config::{Config, ConfigError, Sources};
use crate::fault::{Code, Fault};
use crate::watch::Look;

type Wanted = (Sources, oneshot::Sender<Reading>);

/// What was read.
pub(super) struct Reading {
    pub(super) config: Result<Config, ConfigError>,
    /// Nobody was writing meanwhile, as far as can be told.
    pub(super) settled: bool,
}

/// Reads configurations, one after the other. The thread ends with it.
pub(super) struct ConfigReader {
    wanted: mpsc::UnboundedSender<Wanted>,
}

impl ConfigReader {
    pub(super) fn start() -> io::Result<Self> {
        let (wanted, mut readings) = mpsc::unbounded_channel::<Wanted>();
        std::thread::Builder::new().name("configuration".into()).spawn(move || {
            while let Some((sources, answer)) = readings.blocking_recv() {
                // Nobody waits any more: the reload was given up.
                let _ = answer.send(Reading::of(&sources));
            }
        })?;
        Ok(Self { wanted })
    }

    /// Reads what `sources` say now.
    pub(super) async fn read(&self, sources: Sources) -> Result<Reading, Fault> {
        let (answer, read) = oneshot::channel();
        let ended = || Fault::new(Code::Internal, "the thread that reads configurations has ended");
        self.wanted.send((sources, answer)).map_err(|_| ended())?;
        read.await.map_err(|_| ended())
    }
}

impl Reading {
    fn of(sources: &Sources) -> Self {
        let before = Look::at(sources.places());
        let config = Config::load(sources);
        let settled = Look::at(sources.places()).is_settled_since(&before);
        Self { config, settled }
    }
}
