//! All plugins of this host: which files there are, which of them serve, and why the others do not.
//!
//! Finding reads manifests and runs nothing, so that a command is fast; an image is mapped when its
//! provider is first needed. A replacement is loaded beside the old image and swapped in; calls
//! under way end on the old one. Whatever fails leaves what serves alone. How a host that serves follows
//! its files is in `rescan`.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::discover::{self, Found, Known, Place};
use super::health::{Condition, Limits};
use super::image;
use super::images::Images;
use super::issuer::OnDemand;
use super::listen::{self, Listener};
use super::listing::{Entry, Image, Survey};
use super::loader::Candidate;
use super::manifest::Manifest;
use super::provider::{Deadlines, Plugin};
use super::refusal::Refusal;
use super::report::plugin_event;
use super::safety::Stamp;
use super::said::Said;
use super::services::Services;
use super::trust::{Pins, Trust};
use super::watch::{self, Stamps};
use crate::credential::Issuer;
use crate::fault::{Code, Fault};
use crate::hook::Kind;
use crate::model::Name;

/// A refusal is repeated for so long before the file is looked at again: requests may come in
/// thousands, and a person who mends the file should not have to wait.
const REFUSED_FOR: Duration = Duration::from_secs(2);

/// Where plugins are, and what may load.
#[derive(Clone, Debug)]
pub struct RegistryConfig {
    /// `--plugin-dir`, `CCPROXY_PLUGIN_DIR`, `plugins.dirs`, the data directory; in this order.
    pub dirs: Vec<PathBuf>,
    /// Our own path, for the directories that belong to it.
    pub executable: Option<PathBuf>,
    /// `plugins.trust`.
    pub trust: Trust,
    /// `<state>/plugins.lock`.
    pub lock: PathBuf,
    /// Whether nothing is written, neither there nor anywhere else: for who only looks.
    pub only_looks: bool,
    /// A private directory for images where memory cannot hold them, `<state>/run/images`.
    pub scratch: PathBuf,
    /// `plugins.disabled`.
    pub disabled: Vec<Name>,
    /// When a plugin counts as broken.
    pub limits: Limits,
    /// How long calls may take.
    pub deadlines: Deadlines,
}

/// All plugins.
pub struct Registry {
    pub(super) config: RegistryConfig,
    pub(super) places: Vec<Place>,
    pub(super) pins: Pins,
    services: Arc<Services>,
    images: Arc<Images>,
    state: Mutex<State>,
    pub(super) said: Said,
    /// Who may read and hash a file now. That is work for processors: more at once would not be faster, and each
    /// thread that did it keeps memory.
    readers: Semaphore,
    /// The files as they were before they were first looked at.
    pub(super) looked_at: Stamps,
    /// Told the kinds of event that plugins want.
    tune: OnceLock<Box<dyn Fn(u64) + Send + Sync>>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) found: Vec<Found>,
    serving: BTreeMap<Name, Serving>,
    refused: BTreeMap<Name, (Instant, Refusal)>,
    /// Whose turn it is to load an id.
    turns: BTreeMap<Name, Arc<tokio::sync::Mutex<()>>>,
}

struct Serving {
    plugin: Arc<Plugin>,
    /// Where it was found, symbolic links not resolved.
    file: PathBuf,
    /// Of the file that was read, to see that it is no other without reading it.
    stamp: Stamp,
    listener: Option<Listener>,
}

impl State {
    /// The file of an id that counts: the first in the order of search that can be a plugin.
    pub(super) fn file(&self, id: &Name) -> Option<PathBuf> {
        let usable = |found: &&Found| found.manifest.is_ok() && found.id.as_ref() == Some(id);
        self.found.iter().find(usable).map(|found| found.path.clone())
    }

    /// What is said of an id is then that it has no file.
    pub(super) fn forget_refusals_of_what_is_gone(&mut self) {
        let found = &self.found;
        self.refused.retain(|id, _| found.iter().any(|found| found.id.as_ref() == Some(id)));
    }

    /// The files that serve.
    pub(super) fn known(&self) -> Known {
        let file = |(id, serving): (&Name, &Serving)| (serving.file.clone(), id.clone());
        self.serving.iter().map(file).collect()
    }
}

impl Registry {
    /// Finds what is there. Nothing is loaded.
    pub fn discover(config: RegistryConfig, services: Services) -> Arc<Self> {
        if !config.only_looks {
            image::sweep(&config.scratch);
        }
        let places = discover::places(&config.dirs, config.executable.as_deref());
        let pins = Pins::new(config.lock.clone());
        let pins = if config.only_looks { pins.forgetful() } else { pins };
        let looked_at = watch::objects(&places);
        let state = State { found: discover::discover(&places, &Known::new()), ..State::default() };
        Arc::new(Self {
            images: Arc::new(Images::new(config.limits.images)),
            config,
            places,
            pins,
            services: Arc::new(services),
            state: Mutex::new(state),
            said: Said::default(),
            readers: Semaphore::new(thread::available_parallelism().map_or(1, NonZero::get)),
            looked_at,
            tune: OnceLock::new(),
        })
    }

    /// What all plugins are lent.
    pub fn services(&self) -> &Services {
        &self.services
    }

    /// How many images are mapped.
    pub fn images(&self) -> &Images {
        &self.images
    }

    /// Manifests of the files that would be loaded, by id. Reads and runs nothing.
    pub fn manifests(&self) -> BTreeMap<Name, Arc<Manifest>> {
        let state = self.state();
        let mut manifests = BTreeMap::new();
        for found in &state.found {
            if let Ok(manifest) = &found.manifest
                && !self.config.disabled.contains(&manifest.id)
            {
                manifests.entry(manifest.id.clone()).or_insert_with(|| manifest.clone());
            }
        }
        // What serves says what counts, also when its file is gone or new.
        manifests.extend(
            state.serving.iter().map(|(id, serving)| (id.clone(), serving.plugin.manifest().clone())),
        );
        manifests
    }

    /// The plugin of this id if it serves already.
    pub fn get(&self, id: &Name) -> Option<Arc<Plugin>> {
        self.state().serving.get(id).map(|serving| serving.plugin.clone())
    }

    /// The plugin of this id, loaded if need be; callers at once load it once.
    ///
    /// One whose thread is stuck for long gets a replacement from the same file.
    pub async fn load(&self, id: &Name) -> Result<Arc<Plugin>, Fault> {
        if let Some(plugin) = self.get(id).filter(|plugin| !self.is_stuck(plugin)) {
            return Ok(plugin);
        }
        let _turn = self.turn(id).await;
        let serving = self.get(id);
        if let Some(plugin) = serving.as_ref().filter(|plugin| !self.is_stuck(plugin)) {
            return Ok(plugin.clone());
        }
        match (self.load_anew(id).await, serving) {
            (Ok(plugin), _) | (Err(_), Some(plugin)) => Ok(plugin),
            (Err(fault), None) => Err(fault),
        }
    }

    /// Loads everything that may load, for a host that starts to serve. What failed is in the log and
    /// in [`Self::entries`].
    pub async fn load_all(&self) {
        if self.config.trust == Trust::Any {
            tracing::warn!("plugins.trust is `any`: whatever lies in a plugin directory is loaded");
        }
        if self.state().found.is_empty() {
            let searched: Vec<_> = self.places.iter().map(|place| place.directory.display()).collect();
            tracing::warn!(?searched, "no plugin found");
        }
        let ids: Vec<_> = self.manifests().into_keys().collect();
        futures_util::future::join_all(ids.iter().map(|id| self.load_or_warn(id))).await;
    }

    /// Who issues credentials of this provider; loads its plugin at the first call.
    pub fn issuer(self: &Arc<Self>, id: &Name) -> Result<Arc<dyn Issuer>, Fault> {
        let known = self.manifests();
        let manifest = known.get(id).ok_or_else(|| self.missing(id))?;
        Ok(Arc::new(OnDemand { registry: self.clone(), manifest: manifest.clone() }))
    }

    /// Checks a file as loading would, without running it or asking for trust.
    pub fn inspect(&self, path: &Path) -> Result<Entry, Refusal> {
        let candidate = Candidate::read(path)?;
        let pin = self.pins.read()?.remove(&candidate.manifest.id);
        Ok(Entry::of(candidate, pin))
    }

    /// Pins a file for its id. A host that runs takes it over at its next [`Self::rescan`].
    pub fn trust(&self, path: &Path) -> Result<Entry, Refusal> {
        let candidate = Candidate::read(path)?;
        let pin = self.pins.pin(&candidate.manifest.id, &candidate.path, candidate.sha256)?;
        Ok(Entry::of(candidate, Some(pin)))
    }

    /// Every file, in the order of search. Reads and hashes them all.
    pub fn entries(&self) -> Vec<Entry> {
        let survey = {
            let state = self.state();
            let serving = |(id, serving): (&Name, &Serving)| {
                let events_lost = serving.listener.as_ref().map_or(0, Listener::dropped);
                let (plugin, file) = (serving.plugin.clone(), serving.file.clone());
                (id.clone(), Image { plugin, file, events_lost })
            };
            Survey {
                trust: self.config.trust,
                disabled: &self.config.disabled,
                pins: self.pins.read(),
                found: state.found.clone(),
                serving: state.serving.iter().map(serving).collect(),
                refused: state
                    .refused
                    .iter()
                    .map(|(id, (_, refusal))| (id.clone(), refusal.clone()))
                    .collect(),
            }
        };
        survey.entries()
    }

    /// What to say when no plugin has this id.
    pub fn missing(&self, id: &Name) -> Fault {
        let state = self.state();
        let refused = state.found.iter().find(|found| found.id.as_ref() == Some(id));
        if let Some(Err(refusal)) = refused.map(|found| &found.manifest) {
            return refusal.fault(id.as_str());
        }
        drop(state);
        if self.config.disabled.contains(id) {
            return Refusal::Disabled(id.clone()).fault(id.as_str());
        }
        let searched: Vec<_> =
            self.places.iter().map(|place| place.directory.display().to_string()).collect();
        let fault = Fault::new(
            Code::PluginMissing,
            format!("no plugin has the provider `{id}`; searched {}", searched.join(", ")),
        );
        match self.nearest(id) {
            Some(near) => fault.hint(format!("did you mean `{near}`?")),
            None => {
                fault.hint("put the plugin into one of these directories, or name its own with --plugin-dir")
            }
        }
    }

    /// Tells an event to the plugins that declared it. `emitter` is the plugin that it came from:
    /// that one is not told, or it would answer itself for ever.
    pub fn deliver(&self, kind: Kind, emitter: Option<&str>, document: &Arc<str>) {
        for (id, serving) in &self.state().serving {
            if let Some(listener) = serving.listener.as_ref().filter(|_| emitter != Some(id.as_str())) {
                listener.hear(kind, document);
            }
        }
    }

    /// Calls `tune` with the kinds of event that some plugin wants to hear, as bits ([`Kind::bit`]): now,
    /// and whenever a plugin comes or goes. Once in a life.
    pub fn tune(&self, tune: impl Fn(u64) + Send + Sync + 'static) {
        if self.tune.set(Box::new(tune)).is_ok() {
            self.retune();
        }
    }

    fn retune(&self) {
        let Some(tune) = self.tune.get() else { return };
        let state = self.state();
        let masks = state.serving.values().map(|serving| listen::mask(&serving.plugin.manifest().events));
        // Under the lock, so that the last one to change it has the last word.
        tune(masks.fold(0, |all, mask| all | mask));
    }

    /// Ends all plugins; each gets its last call. Waits until calls under way are over, or `limit` is.
    pub async fn shutdown(&self, limit: Duration) {
        let serving = std::mem::take(&mut self.state().serving);
        let ends: Vec<_> = serving.values().map(|serving| serving.plugin.ended()).collect();
        drop(serving);
        let all = futures_util::future::join_all(ends);
        if tokio::time::timeout(limit, all).await.is_err() {
            tracing::warn!("some plugin did not end within {} s", limit.as_secs());
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where plugins are searched.
    pub fn directories(&self) -> Vec<PathBuf> {
        self.places.iter().map(|place| place.directory.clone()).collect()
    }

    async fn load_or_warn(&self, id: &Name) {
        if let Err(fault) = self.load(id).await {
            tracing::warn!(provider = %id, error = %fault.message, "a plugin is not loaded");
        }
    }

    /// Waits until nobody else loads this id.
    pub(super) async fn turn(&self, id: &Name) -> tokio::sync::OwnedMutexGuard<()> {
        let turn = self.state().turns.entry(id.clone()).or_default().clone();
        turn.lock_owned().await
    }

    fn is_stuck(&self, plugin: &Plugin) -> bool {
        matches!(plugin.condition(), Condition::Stalled { since } if since >= self.config.limits.replace)
    }

    async fn load_anew(&self, id: &Name) -> Result<Arc<Plugin>, Fault> {
        let repeated = self.state().refused.get(id).filter(|(at, _)| at.elapsed() < REFUSED_FOR).cloned();
        if let Some((_, refusal)) = repeated {
            return Err(refusal.fault(id.as_str()));
        }
        let candidate = self.candidate(id).await?;
        self.serve(id, candidate).await
    }

    /// The trusted file of an id. A refusal is remembered.
    pub(super) async fn candidate(&self, id: &Name) -> Result<Candidate, Fault> {
        if self.config.disabled.contains(id) {
            return Err(Refusal::Disabled(id.clone()).fault(id.as_str()));
        }
        let path = self.state().file(id);
        let path = path.ok_or_else(|| self.missing(id))?;
        let (trust, pins, wanted) = (self.config.trust, self.pins.clone(), id.clone());
        // Never closed, so this is a permit.
        let _reading = self.readers.acquire().await;
        let read = tokio::task::spawn_blocking(move || {
            let candidate = Candidate::read(&path)?;
            if candidate.manifest.id != wanted {
                return Err(Refusal::OtherId { wanted, found: candidate.manifest.id });
            }
            candidate.trusted(trust, &pins)
        });
        let read = read.await.map_err(|gone| Fault::new(Code::Internal, format!("loading ended: {gone}")))?;
        read.map_err(|refusal| self.refuse(id, refusal))
    }

    /// Loads a candidate and serves with it from now on.
    pub(super) async fn serve(&self, id: &Name, candidate: Candidate) -> Result<Arc<Plugin>, Fault> {
        let (services, scratch) = (self.services.clone(), self.config.scratch.clone());
        let (limits, deadlines) = (self.config.limits, self.config.deadlines);
        let (file, stamp) = (candidate.file.clone(), candidate.stamp);
        let loaded = Plugin::load(candidate, services, scratch, self.images.clone(), limits, deadlines).await;
        let plugin = Arc::new(loaded.map_err(|refusal| self.refuse(id, refusal))?);
        let listener = Listener::start(&plugin);
        let old = {
            let mut state = self.state();
            state.refused.remove(id);
            state.serving.insert(id.clone(), Serving { plugin: plugin.clone(), file, stamp, listener })
        };
        // Outside of the lock: if this is the last handle, the plugin's end begins here.
        drop(old);
        self.retune();
        let (version, sha256) = (&plugin.manifest().version, plugin.sha256().to_string());
        tracing::info!(provider = %id, %version, path = %plugin.path().display(), "plugin loaded");
        let fields = [("version", version.as_str()), ("sha256", &sha256)];
        plugin_event(&*self.services.hooks, Kind::PluginLoaded, id.as_str(), &fields);
        Ok(plugin)
    }

    /// Whether what serves was read from this very file.
    pub(super) fn is_unchanged(&self, id: &Name, file: &Path) -> bool {
        let state = self.state();
        let serving = state.serving.get(id).filter(|serving| serving.file == file);
        serving.is_some_and(|serving| Stamp::at(file) == Some(serving.stamp))
    }

    /// Notes that what serves is at another place now.
    pub(super) fn moved(&self, id: &Name, candidate: &Candidate) {
        if let Some(serving) = self.state().serving.get_mut(id) {
            (serving.file, serving.stamp) = (candidate.file.clone(), candidate.stamp);
        }
    }

    /// Whether the file of what serves is there, whatever is in it now, unless that is another plugin.
    pub(super) fn is_in_place(&self, id: &Name) -> bool {
        let state = self.state();
        let Some(serving) = state.serving.get(id) else { return false };
        state.found.iter().any(|found| found.path == serving.file && found.id.as_ref() == Some(id))
    }

    /// Ends a plugin: calls under way have their time, nobody is given it any more.
    pub(super) fn unload(&self, id: &Name) {
        let gone = self.state().serving.remove(id);
        // Outside of the lock: if this is the last handle, the plugin's end begins here.
        if let Some(gone) = gone {
            tracing::info!(provider = %id, path = %gone.file.display(), "plugin unloaded: its file is gone");
        }
        self.retune();
    }

    /// Remembers a refusal, and tells it unless it was told already.
    fn refuse(&self, id: &Name, refusal: Refusal) -> Fault {
        let fault = refusal.fault(id.as_str());
        let known = refusal.to_string();
        let before = self.state().refused.insert(id.clone(), (Instant::now(), refusal));
        if before.is_some_and(|(_, before)| before.to_string() == known) {
            return fault;
        }
        let fields = [("code", fault.code.as_str()), ("message", fault.message.as_str())];
        plugin_event(&*self.services.hooks, Kind::PluginError, id.as_str(), &fields);
        fault
    }

    fn nearest(&self, id: &Name) -> Option<Name> {
        let ids = self.manifests().into_keys();
        let scored = ids.map(|known| (strsim::jaro_winkler(known.as_str(), id.as_str()), known));
        scored.filter(|(score, _)| *score > 0.75).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, known)| known)
    }
}
