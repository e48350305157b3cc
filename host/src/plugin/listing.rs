//! How every plugin file stands, for `plugin list` and the admin API.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::discover::Found;
use super::health::{Condition, Trouble};
use super::loader::Candidate;
use super::manifest::Manifest;
use super::provider::Plugin;
use super::refusal::Refusal;
use super::trust::{self, Pin, Trust};
use crate::digest::Digest;
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
    /// Why it does not serve.
    pub reason: Option<String>,
    /// What to type.
    pub hint: Option<String>,
    /// Since when it is not called, if it was loaded and is broken.
    pub trouble: Option<Trouble>,
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
            trouble: None,
            sha256: Some(candidate.sha256),
            pin,
            events_dropped: 0,
            manifest: Some(Arc::new(candidate.manifest)),
            path: candidate.path,
        }
    }
}

/// A plugin that serves.
pub(super) struct Image {
    pub(super) plugin: Arc<Plugin>,
    pub(super) file: PathBuf,
    pub(super) events_lost: u64,
}

/// All that decides how files stand, at one moment.
pub(super) struct Survey<'a> {
    pub(super) trust: Trust,
    pub(super) disabled: &'a [Name],
    pub(super) pins: Result<BTreeMap<Name, Pin>, Refusal>,
    pub(super) found: Vec<Found>,
    pub(super) serving: BTreeMap<Name, Image>,
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
        let in_place = serving.filter(|serving| serving.file == found.path);
        let standing = self.standing(found, in_place, &sha256, pin);
        let state = *standing.as_ref().unwrap_or(&PluginState::Refused);
        let (reason, hint) = match &standing {
            Ok(state) => self.explained(*state, found, in_place),
            Err(refusal) => {
                let stays =
                    in_place.map(|old| format!("; version {} serves on", old.plugin.manifest().version));
                (Some(format!("{refusal}{}", stays.unwrap_or_default())), refusal.hint())
            }
        };
        let image = in_place.filter(|_| matches!(state, PluginState::Stalled | PluginState::Quarantined));
        Entry {
            path: found.path.clone(),
            id: found.id.clone(),
            state,
            reason,
            hint,
            trouble: image.and_then(|image| image.plugin.trouble()),
            sha256: sha256.ok(),
            pin: pin.cloned(),
            manifest: found.manifest.as_ref().ok().cloned(),
            events_dropped: serving.map_or(0, |serving| serving.events_lost),
        }
    }

    /// Why a file that is not refused does not serve, and what to type.
    fn explained(
        &self,
        state: PluginState,
        found: &Found,
        serving: Option<&Image>,
    ) -> (Option<String>, Option<String>) {
        match state {
            // A refusal says it itself.
            PluginState::Available | PluginState::Loaded | PluginState::Refused => (None, None),
            PluginState::Shadowed => {
                let first = self.first(found).map(|first| first.path.display().to_string());
                let reason = format!("{} has the same id and comes first", first.unwrap_or_default());
                (Some(reason), Some("remove one of the two".into()))
            }
            PluginState::Disabled => {
                let refusal = found.id.clone().map(Refusal::Disabled);
                (Some("plugins.disabled names it".into()), refusal.and_then(|refusal| refusal.hint()))
            }
            PluginState::Stalled | PluginState::Quarantined => {
                let Some(trouble) = serving.and_then(|serving| serving.plugin.trouble()) else {
                    return (None, None); // it has just recovered
                };
                let hint = format!(
                    "it is tried again at {}; at once after `ccproxy plugin trust {}`, of a mended file or of the same",
                    trouble.until.rfc3339(),
                    found.path.display()
                );
                (Some(format!("left alone since {}: {}", trouble.since.rfc3339(), trouble.why)), Some(hint))
            }
        }
    }

    /// The file that counts for the id of this one.
    fn first(&self, found: &Found) -> Option<&Found> {
        self.found.iter().find(|other| other.manifest.is_ok() && other.id == found.id)
    }

    fn standing(
        &self,
        found: &Found,
        serving: Option<&Image>,
        sha256: &Result<Digest, Refusal>,
        pin: Option<&Pin>,
    ) -> Result<PluginState, Refusal> {
        let id = &found.manifest.as_ref().map_err(Clone::clone)?.id;
        if self.disabled.contains(id) {
            return Ok(PluginState::Disabled);
        }
        let sha256 = sha256.clone()?;
        let image = serving.filter(|serving| serving.plugin.sha256() == sha256);
        // What serves, serves, also when a new file before it is refused.
        if image.is_none() && self.first(found).is_some_and(|first| first.path != found.path) {
            return Ok(PluginState::Shadowed);
        }
        if self.trust != Trust::Any {
            self.pins.as_ref().map_err(Clone::clone)?;
        }
        // Before what serves: a changed file is news although the old image serves on.
        trust::verdict(pin, self.trust, id, &found.path, sha256)?;
        if let Some(image) = image {
            return Ok(match image.plugin.condition() {
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
