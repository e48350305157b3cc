//! Environment variables that hold secrets, for whoever hands our environment on.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::load::Config;
use super::secret_ref::SecretRef;

/// A variable of this name is a token that stands in for a stored one.
const OVERRIDE: &str = "CCPROXY_TOKEN__";

impl Config {
    /// The variables of our environment that a connection reads a secret from, token overrides included.
    pub fn secret_variables(&self) -> BTreeSet<String> {
        let mut found: BTreeSet<String> =
            self.sources().env.with_prefix(OVERRIDE).map(|(name, ..)| name.to_owned()).collect();
        for connection in self.resolved.connections.values() {
            for (key, value) in &connection.settings {
                match value {
                    // `fallback_env = "HF_TOKEN"` is a reference in other words.
                    Json::String(name) if key == "fallback_env" => _ = found.insert(name.clone()),
                    _ => collect(value, &mut found),
                }
            }
        }
        found
    }
}

fn collect(value: &Json, found: &mut BTreeSet<String>) {
    match value {
        Json::Object(members) => match SecretRef::parse(value) {
            Ok(SecretRef::Env(name)) => _ = found.insert(name),
            Ok(_) => {}
            Err(_) => members.values().for_each(|member| collect(member, found)),
        },
        Json::Array(items) => items.iter().for_each(|item| collect(item, found)),
        _ => {}
    }
}
