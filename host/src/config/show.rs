//! `config show`: every value in effect and where it came from.

use std::fmt::Write;

use serde_json::{Value as Json, json};

use super::check::shown_path;
use super::load::Config;
use super::origin::Origin;
use super::secret_ref::looks_like_reference;

/// One value in effect.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// The path, as TOML writes it.
    pub key: String,
    /// The value; a secret is shown as its reference.
    pub value: Json,
    /// Where it was written.
    pub origin: Origin,
}

impl Config {
    /// Every value in effect, in alphabetical order.
    pub fn values(&self) -> Vec<Shown> {
        let leaves = self.merged.leaves();
        let shown = leaves.iter().filter_map(|leaf| {
            let path: Vec<&str> = leaf.iter().map(String::as_str).collect();
            let value = self.merged.read(&path)?.ok()?;
            let origin = self.merged.position(&path).map_or(Origin::BuiltIn, |position| position.origin());
            Some(Shown { key: shown_path(&path), value, origin })
        });
        shown.collect()
    }

    /// `key = value`, a line each; with its origin as a comment if asked for.
    pub fn show(&self, origin: bool) -> String {
        let mut text = String::new();
        for shown in self.values() {
            let _ = write!(text, "{} = {}", shown.key, toml_text(&shown.value));
            if origin {
                let _ = write!(text, "  # {}", shown.origin);
            }
            text.push('\n');
        }
        text
    }

    /// The same as a document of the schema `ccproxy.config/1`.
    pub fn show_json(&self) -> Json {
        let values: Vec<Json> = self
            .values()
            .into_iter()
            .map(|shown| json!({"key": shown.key, "value": shown.value, "origin": shown.origin.to_string()}))
            .collect();
        json!({"schema": "ccproxy.config/1", "values": values})
    }
}

/// JSON is TOML but for tables.
fn toml_text(value: &Json) -> String {
    match value {
        Json::Object(members) => {
            let member =
                |(key, value): (&String, &Json)| format!("{} = {}", shown_path(&[key]), toml_text(value));
            debug_assert!(looks_like_reference(members.keys().map(String::as_str)) || members.len() < 100);
            format!("{{ {} }}", members.iter().map(member).collect::<Vec<_>>().join(", "))
        }
        Json::Array(items) => format!("[{}]", items.iter().map(toml_text).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}
