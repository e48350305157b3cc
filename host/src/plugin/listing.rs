//! How every plugin file stands, for `plugin list` and the admin API.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::digest::Digest;
use super::discover::Found;
use super::health::Condition;
use super::loader::Candidate;
use super::manifest::Manifest;
use super::provider::Plugin;
use super::refusal::Refusal;
use super::trust::{self, Pin, Trust};
use crate::model::Name;

/// How a file stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PluginState {
    /// It may load, and is not needed yet.
    Available,
    /// It serves.
    Loaded,
    /// It serves, but its thread does not answer.
    Stalled,
    /// It panicked too often.
    Quarantined,
    /// It may not load; the entry says why.
    Refused,
    /// A file before it has the same id.
    Shadowed,
    /// `plugins.disabled` names it.
    Disabled,
}

impl PluginState {
    /// As `plugin list` shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Loaded => "loaded",
            Self::Stalled => "stalled",
            Self::Quarantined => "quarantined",
            Self::Refused => "refused",
            Self::Shadowed => "shadowed",
            Self::Disabled => "disabled",
        }
    }
}

/// One file.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The file.
    pub path: PathBuf,
    /// Its id; absent if it cannot be told.
    pub id: Option<Name>,
    /// How it stands.
    pub state: PluginState,
    /// Why it is refused.
    pub reason: Option<String>,
    /// What to type.
    pub hint: Option<String>,
    /// Of the file as it is now.
    pub sha256: Option<Digest>,
    /// What was pinned for this id.
    pub pin: Option<Pin>,
    /// What it says of itself.
    pub manifest: Option<Arc<Manifest>>,
    /// Events it lost by being slow.
    pub events_dropped: u64,
}

impl Entry {
    /// A file that was looked at for its own sake.
    pub(super) fn of(candidate: Candidate, pin: Option<Pin>) -> Self {
        Self {
            id: Some(candidate.manifest.id.clone()),
            state: PluginState::Available,
            reason: None,
            hint: None,
            sha256: Some(candidate.sha256),
            pin,
            events_dropped: 0,
            manifest: Some(Arc::new(candidate.manifest)),
            path: candidate.path,
        }
    }
}

/// All that decides how files stand, at one moment.
pub(super) struct Survey<'a> {
    pub(super) trust: Trust,
    pub(super) disabled: &'a [Name],
    pub(super) pins: Result<BTreeMap<Name, Pin>, Refusal>,
    pub(super) found: Vec<Found>,
    /// What serves, and how many events it lost.
    pub(super) serving: BTreeMap<Name, (Arc<Plugin>, u64)>,
    pub(super) refused: BTreeMap<Name, Refusal>,
}

impl Survey<'_> {
    pub(super) fn entries(&self) -> Vec<Entry> {
        self.found.iter().map(|found| self.entry(found)).collect()
    }

    fn entry(&self, found: &Found) -> Entry {
        let serving = found.id.as_ref().and_then(|id| self.serving.get(id));
        let sha256 = Candidate::read(&found.path).map(|candidate| candidate.sha256);
        let pin = self.pins.as_ref().ok().zip(found.id.as_ref()).and_then(|(pins, id)| pins.get(id));
        let standing = self.standing(found, serving.map(|(plugin, _)| &**plugin), &sha256, pin);
        let refusal = standing.as_ref().err();
        Entry {
            path: found.path.clone(),
            id: found.id.clone(),
            state: *standing.as_ref().unwrap_or(&PluginState::Refused),
            reason: refusal.map(ToString::to_string),
            hint: refusal.and_then(Refusal::hint),
            sha256: sha256.ok(),
            pin: pin.cloned(),
            manifest: found.manifest.as_ref().ok().cloned(),
            events_dropped: serving.map_or(0, |(_, lost)| *lost),
        }
    }

    fn standing(
        &self,
        found: &Found,
        serving: Option<&Plugin>,
        sha256: &Result<Digest, Refusal>,
        pin: Option<&Pin>,
    ) -> Result<PluginState, Refusal> {
        let id = &found.manifest.as_ref().map_err(Clone::clone)?.id;
        if self.disabled.contains(id) {
            return Ok(PluginState::Disabled);
        }
        let usable = |other: &&Found| other.manifest.is_ok() && other.id.as_ref() == Some(id);
        if self.found.iter().find(usable).is_some_and(|first| first.path != found.path) {
            return Ok(PluginState::Shadowed);
        }
        let sha256 = sha256.clone()?;
        if self.trust != Trust::Any {
            self.pins.as_ref().map_err(Clone::clone)?;
        }
        // Before what serves: a changed file is news although the old image serves on.
        trust::verdict(pin, self.trust, id, &found.path, sha256)?;
        if let Some(plugin) = serving.filter(|plugin| plugin.sha256() == sha256) {
            return Ok(match plugin.condition() {
                Condition::Serving => PluginState::Loaded,
                Condition::Stalled { .. } => PluginState::Stalled,
                Condition::Quarantined { .. } => PluginState::Quarantined,
            });
        }
        match self.refused.get(id) {
            // Those were decided anew just now.
            None | Some(Refusal::Changed { .. } | Refusal::NotPinned { .. } | Refusal::Pins { .. }) => {
                Ok(PluginState::Available)
            }
            Some(refusal) => Err(refusal.clone()),
        }
    }
}
