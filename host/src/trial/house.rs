//! The house that a plugin is tried in: directories that nobody else uses, and short deadlines.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::ear::Ear;
use crate::app::App;
use crate::config::{Config, Env, Paths, Sources};
use crate::fault::{Code, Fault};
use crate::model::Name;
use crate::plugin::{Deadlines, Limits, Plugin};

/// No user's file is read, none is written, and the sandbox is next door.
const CONFIG: &str =
    "[plugins]\ntrust = \"any\"\n\n[upstream]\noutbound_proxy = \"none\"\n\n[storage]\nbackend = \"file\"\n";
/// A plugin's last words.
const GRACE: Duration = Duration::from_secs(2);
/// Events that may wait to be heard.
const EVENTS: usize = 1 << 16;

/// Long enough for a machine that is busy with other things, short enough for a person who waits.
fn deadlines() -> Deadlines {
    let seconds = Duration::from_secs;
    Deadlines {
        load: seconds(10),
        quick: seconds(5),
        // Room for three exchanges that are given up.
        call: seconds(12),
        exchange: seconds(3),
        event: seconds(5),
        shutdown: seconds(2),
    }
}

/// Each check is to see the plugin for itself: none is kept from it by a quarantine.
fn limits() -> Limits {
    Limits { panics: usize::MAX, ..Limits::default() }
}

/// A host's state, of one plugin. The directories go with it.
pub(super) struct House {
    app: Option<App>,
    hearing: Option<JoinHandle<()>>,
    sources: Sources,
    provider: Option<Name>,
    ear: Ear,
    root: TempDir,
}

impl House {
    /// Builds one with the plugin where a user would put it.
    pub(super) fn build(file: &Path, ear: Ear) -> Result<Self, Fault> {
        let root = tempfile::Builder::new().prefix("ccproxy-plugin-test-").tempdir();
        let root = root.map_err(|error| unwritable(&std::env::temp_dir(), &error))?;
        let at = |name: &str| root.path().join(name);
        let paths = Paths {
            config_dir: at("config"),
            state_dir: at("state"),
            data_dir: at("data"),
            runtime_dir: at("run"),
        };
        let plugins = paths.user_plugins_dir();
        for dir in [&paths.config_dir, &paths.state_dir, &paths.runtime_dir, &plugins] {
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
            made.map_err(|error| unwritable(dir, &error))?;
        }
        write_private(&paths.config_file(), CONFIG.as_bytes())?;
        // One that cannot be read is refused when it is inspected where it lies.
        if let Ok(code) = fs::read(file) {
            let stem = file.file_stem().unwrap_or(file.as_os_str());
            write_private(&plugins.join(stem).with_extension("so"), &code)?;
        }
        let sources = Sources { etc_dir: at("etc"), ..Sources::new(paths, surroundings()) };
        let mut house = Self { app: None, hearing: None, sources, provider: None, ear, root };
        house.open()?;
        Ok(house)
    }

    pub(super) fn app(&self) -> &App {
        self.app.as_ref().expect("a house is open until it is closed")
    }

    pub(super) fn paths(&self) -> &Paths {
        &self.sources.paths
    }

    /// What the tried plugin is called, from here on.
    pub(super) fn names(&mut self, provider: &Name) {
        self.provider = Some(provider.clone());
    }

    /// The plugin, loaded if it was not yet.
    pub(super) async fn plugin(&self) -> Result<Arc<Plugin>, Fault> {
        let provider = self.provider.as_ref();
        let provider = provider.ok_or_else(|| Fault::new(Code::Internal, "no plugin was loaded"))?;
        self.app().registry().load(provider).await
    }

    /// A file for a secret that a setting refers to.
    pub(super) fn keep_secret(&self, name: &str, secret: &str) -> Result<PathBuf, Fault> {
        let path = self.root.path().join(name);
        write_private(&path, secret.as_bytes())?;
        Ok(path)
    }

    /// The same directories in another life: another image, and nothing remembered but what was stored.
    pub(super) async fn reopen(&mut self) -> Result<(), Fault> {
        self.close().await;
        self.open()
    }

    /// Ends the plugin; all that it said is heard.
    pub(super) async fn close(&mut self) {
        if let Some(app) = self.app.take() {
            app.registry().shutdown(GRACE).await;
            app.hooks.close().await;
        }
        if let Some(hearing) = self.hearing.take() {
            // It ends with the bus; a task that broke heard what it could.
            let _ = hearing.await;
        }
    }

    fn open(&mut self) -> Result<(), Fault> {
        let app = App::open_with(Config::load(&self.sources)?, limits(), deadlines())?;
        let mut events = app.hooks.subscribe(u64::MAX, EVENTS);
        let ear = self.ear.clone();
        self.hearing = Some(tokio::spawn(async move {
            while let Some(notice) = events.recv().await {
                ear.hear_event(&notice.document);
            }
        }));
        self.app = Some(app);
        Ok(())
    }
}

/// The environment that secret references may read. What would configure a host is not for this one.
fn surroundings() -> Env {
    let kept = |name: &str| !name.contains("__") && !name.starts_with("CCPROXY_");
    let all: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| kept(name))
        .collect();
    Env::from_vars(all.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Fault> {
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| file.write_all(bytes));
    written.map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Fault {
    Fault::new(Code::Storage, format!("cannot write {}: {error}", path.display()))
        .hint("set TMPDIR to a directory of yours")
}
