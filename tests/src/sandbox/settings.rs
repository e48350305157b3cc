//! Lifetimes and habits, chosen at the start and changed through the control API.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::time;

/// How the server behaves when nothing is scripted.
#[derive(Clone, Debug)]
pub struct Settings {
    pub access_token_ttl: Duration,
    pub refresh_token_ttl: Duration,
    /// Every refresh answers a new refresh token. Without [`Settings::reuse_detection`] the old one stays good,
    /// as Entra does it; without rotation the answer has none, as Google does it.
    pub rotate: bool,
    /// A spent refresh token that comes back revokes its whole family (RFC 9700 section 4.14.2).
    pub reuse_detection: bool,
    /// How long the token endpoints think before they look at a request.
    pub token_delay: Duration,
    pub device_code_ttl: Duration,
    pub device_interval: Duration,
    /// Approves every authorization request as this user, without a page.
    pub auto_approve: Option<String>,
    /// What single clients have instead of the above.
    pub overrides: BTreeMap<String, Lifetimes>,
}

/// The lifetimes of one client's tokens, where they are not everybody's.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lifetimes {
    pub access: Option<Duration>,
    pub refresh: Option<Duration>,
}

/// A change of settings; what is absent stays. With `client`, the lifetimes are that client's only.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    pub client: Option<String>,
    #[serde(default, deserialize_with = "time::optional")]
    pub access_token_ttl: Option<Duration>,
    #[serde(default, deserialize_with = "time::optional")]
    pub refresh_token_ttl: Option<Duration>,
    pub rotate: Option<bool>,
    pub reuse_detection: Option<bool>,
    #[serde(default, deserialize_with = "time::optional")]
    pub token_delay: Option<Duration>,
    #[serde(default, deserialize_with = "time::optional")]
    pub device_code_ttl: Option<Duration>,
    #[serde(default, deserialize_with = "time::optional")]
    pub device_interval: Option<Duration>,
    pub auto_approve: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            access_token_ttl: Duration::from_secs(60),
            refresh_token_ttl: Duration::from_secs(3600),
            rotate: false,
            reuse_detection: false,
            token_delay: Duration::ZERO,
            device_code_ttl: Duration::from_secs(900),
            device_interval: Duration::from_secs(5),
            auto_approve: None,
            overrides: BTreeMap::new(),
        }
    }
}

impl Settings {
    pub(crate) fn apply(&mut self, change: Change) {
        if let Some(client) = change.client {
            let own = self.overrides.entry(client).or_default();
            own.access = change.access_token_ttl.or(own.access);
            own.refresh = change.refresh_token_ttl.or(own.refresh);
        } else {
            set(&mut self.access_token_ttl, change.access_token_ttl);
            set(&mut self.refresh_token_ttl, change.refresh_token_ttl);
        }
        set(&mut self.rotate, change.rotate);
        set(&mut self.reuse_detection, change.reuse_detection);
        set(&mut self.token_delay, change.token_delay);
        set(&mut self.device_code_ttl, change.device_code_ttl);
        set(&mut self.device_interval, change.device_interval);
        self.auto_approve = change.auto_approve.or(self.auto_approve.take());
    }

    /// The lifetime chosen for this client alone, if any.
    pub(crate) fn own_access_ttl(&self, client: &str) -> Option<Duration> {
        self.overrides.get(client).and_then(|own| own.access)
    }

    pub(crate) fn own_refresh_ttl(&self, client: &str) -> Option<Duration> {
        self.overrides.get(client).and_then(|own| own.refresh)
    }

    pub(crate) fn access_ttl(&self, client: &str) -> Duration {
        self.own_access_ttl(client).unwrap_or(self.access_token_ttl)
    }

    pub(crate) fn refresh_ttl(&self, client: &str) -> Duration {
        self.own_refresh_ttl(client).unwrap_or(self.refresh_token_ttl)
    }
}

fn set<T>(setting: &mut T, change: Option<T>) {
    if let Some(value) = change {
        *setting = value;
    }
}
