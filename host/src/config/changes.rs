//! What is different between two configurations, for whoever reloads: in the words that people write.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::Value as Json;

use super::load::Config;
use super::named::RouteConfig;
use super::origin::Origin;
use super::schema::{Key, ROOT, Shape};

/// The differences.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Keys outside of connections and routes that have another value: `refresh.ahead`.
    pub settings: Vec<String>,
    /// Connections.
    pub connections: Difference,
    /// Written routes.
    pub routes: Difference,
}

/// Which of a kind came, went, or are other than they were.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// New ones.
    pub added: Vec<String>,
    /// With other settings.
    pub changed: Vec<String>,
    /// Gone.
    pub removed: Vec<String>,
}

impl Changes {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.settings.is_empty() && self.connections.is_empty() && self.routes.is_empty()
    }
}

impl Difference {
    fn between<K: Ord + ToString, V>(
        old: &BTreeMap<K, V>,
        new: &BTreeMap<K, V>,
        same: impl Fn(&V, &V) -> bool,
    ) -> Self {
        let names = |keys: Vec<&K>| keys.into_iter().map(ToString::to_string).collect();
        let changed = new.iter().filter(|(key, value)| old.get(key).is_some_and(|was| !same(was, value)));
        Self {
            added: names(new.keys().filter(|key| !old.contains_key(key)).collect()),
            changed: names(changed.map(|(key, _)| key).collect()),
            removed: names(old.keys().filter(|key| !new.contains_key(key)).collect()),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }

    fn words(&self, what: &str) -> Vec<String> {
        let some = [("added", &self.added), ("changed", &self.changed), ("removed", &self.removed)];
        let some = some.into_iter().filter(|(_, names)| !names.is_empty());
        some.map(|(how, names)| format!("{what} {how}: {}", few(names))).collect()
    }
}

impl fmt::Display for Changes {
    /// One line: `refresh.ahead; connection added: github; routes removed: a, b and 98 more`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = self.settings.clone();
        words.extend(self.connections.words("connections"));
        words.extend(self.routes.words("routes"));
        if words.is_empty() { f.write_str("nothing changed") } else { f.write_str(&words.join("; ")) }
    }
}

/// The first of many names, and how many more there are.
pub fn few<S: AsRef<str>>(names: &[S]) -> String {
    const SHOWN: usize = 12;
    let shown: Vec<&str> = names.iter().take(SHOWN).map(AsRef::as_ref).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

impl Config {
    /// What is other than it was in `old`.
    pub fn changes_since(&self, old: &Self) -> Changes {
        let mut settings = Vec::new();
        for_each_key(&ROOT, &mut Vec::new(), &mut |path| {
            if self.value(path) != old.value(path) {
                settings.push(path.join("."));
            }
        });
        let (was, is) = (&old.resolved, &self.resolved);
        Changes {
            settings,
            connections: Difference::between(&was.connections, &is.connections, |was, is| {
                was.generation == is.generation
            }),
            routes: Difference::between(&was.routes, &is.routes, is_same_route),
        }
    }

    /// The value at a path, if there is one.
    pub fn value(&self, path: &[&str]) -> Option<Json> {
        self.merged.read(path)?.ok()
    }
}

/// A route that only moved to another line is the same.
fn is_same_route(was: &RouteConfig, is: &RouteConfig) -> bool {
    was == is
        || RouteConfig { origin: Origin::BuiltIn, ..was.clone() }
            == RouteConfig { origin: Origin::BuiltIn, ..is.clone() }
}

fn for_each_key(keys: &'static [Key], path: &mut Vec<&'static str>, with: &mut impl FnMut(&[&'static str])) {
    for key in keys {
        path.push(key.name);
        match &key.shape {
            Shape::Value(_) => with(path),
            Shape::Table(keys) => for_each_key(keys, path, with),
            Shape::Named { .. } => {}
        }
        path.pop();
    }
}
