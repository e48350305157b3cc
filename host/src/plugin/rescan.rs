//! How a host that serves follows its plugin files: added ones are loaded, changed ones take the place of
//! what serves, those that are gone end.
//!
//! A file that cannot be used, whatever is wrong with it, costs nothing as long as it is there: what
//! serves, serves on. Only a file that is gone takes its plugin along.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::discover;
use super::health::Condition;
use super::listing::Entry;
use super::provider::Plugin;
use super::refusal::Refusal;
use super::registry::Registry;
use super::watch::PluginWatch;
use crate::fault::Fault;
use crate::model::Name;

/// Providers whose plugin is another one than before, or gone.
pub type Changed = BTreeSet<Name>;

/// Whom a look at the files gives a new image.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Renew {
    /// Those whose file changed.
    Changed,
    /// And those that are in quarantine or do not answer: somebody asked for it.
    Broken,
}

impl Registry {
    /// Watches directories and pins, for a host that serves.
    pub fn watch(self: &Arc<Self>) -> PluginWatch {
        PluginWatch::new(self.clone())
    }

    /// Looks at all places again, for `reload` and whoever asks for it: takes over what was added, changed
    /// or removed, and gives a new image to what is broken.
    pub async fn rescan(&self) -> Changed {
        self.follow_files(&BTreeSet::new(), Renew::Broken).await
    }

    /// The same for one who only noticed that files changed. Those being written are left alone.
    pub(super) async fn rescan_changed(&self, being_written: &BTreeSet<PathBuf>) -> Changed {
        self.follow_files(being_written, Renew::Changed).await
    }

    /// Pins a file, and serves with it if it lies where plugins are searched.
    pub async fn trust_and_load(&self, path: &Path) -> Result<(Entry, Changed), Refusal> {
        let trusted = self.trust(path)?;
        let changed = self.rescan().await;
        let found = self.entries().into_iter().find(|entry| {
            entry.path == path || entry.path.canonicalize().is_ok_and(|real| real == trusted.path)
        });
        Ok((found.unwrap_or(trusted), changed))
    }

    /// Plugins that are not called at the moment.
    pub(super) fn broken(&self) -> BTreeSet<Name> {
        let serving: Vec<_> = self.state().known().into_values().collect();
        serving.into_iter().filter(|id| self.get(id).is_some_and(|plugin| is_broken(&plugin))).collect()
    }

    async fn follow_files(&self, being_written: &BTreeSet<PathBuf>, renew: Renew) -> Changed {
        let serving: BTreeSet<Name> = {
            let mut state = self.state();
            let known = state.known();
            state.found = discover::discover(&self.places, &known);
            state.forget_refusals_of_what_is_gone();
            known.into_values().collect()
        };
        let ids: BTreeSet<Name> = self.manifests().into_keys().chain(serving).collect();
        let follow = |id: Name| async move {
            let changed = self.follow(&id, being_written, renew).await;
            changed.then_some(id)
        };
        let all = futures_util::future::join_all(ids.into_iter().map(follow)).await;
        all.into_iter().flatten().collect()
    }

    /// Whether the plugin of this id is another one now.
    async fn follow(&self, id: &Name, being_written: &BTreeSet<PathBuf>, renew: Renew) -> bool {
        let _turn = self.turn(id).await;
        let serving = self.get(id);
        let Some(file) = self.state().file(id) else {
            return serving.is_some_and(|plugin| self.keep_or_end(&plugin, &self.missing(id)));
        };
        if being_written.contains(&file) {
            return false;
        }
        let renews = renew == Renew::Broken && serving.as_ref().is_some_and(|plugin| is_broken(plugin));
        if !renews && self.is_unchanged(id, &file) {
            return false;
        }
        let renewed = match self.candidate(id).await {
            Ok(candidate) => {
                let same = serving.as_ref().is_some_and(|plugin| plugin.sha256() == candidate.sha256);
                if same && !renews {
                    self.moved(id, &candidate);
                    return false;
                }
                self.serve(id, candidate).await.map(drop)
            }
            Err(fault) => Err(fault),
        };
        match (renewed, serving) {
            (Ok(()), _) => true,
            (Err(fault), Some(plugin)) => self.keep_or_end(&plugin, &fault),
            (Err(fault), None) => {
                tracing::warn!(provider = %id, error = %fault.message, "a plugin is not loaded");
                false
            }
        }
    }

    /// Nothing can take the place of this plugin: it serves on if its file is there. Whether it ended.
    fn keep_or_end(&self, plugin: &Plugin, fault: &Fault) -> bool {
        let there = self.is_in_place(plugin.id());
        if there {
            tracing::warn!(provider = %plugin.id(), error = %fault.message, "the loaded plugin serves on");
        } else {
            self.unload(plugin.id());
        }
        !there
    }
}

fn is_broken(plugin: &Plugin) -> bool {
    plugin.condition() != Condition::Serving
}
