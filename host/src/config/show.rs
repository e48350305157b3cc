//! `config show`: every value in effect and where it came from.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value as Json, json};

use super::check::shown_path;
use super::load::Config;
use super::origin::Origin;
use super::plugin_schema::defaults;
use crate::model::Name;

/// The settings schemas of providers, by id, for those that are installed.
pub type Schemas = BTreeMap<Name, Json>;

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
    /// Every value in effect in alphabetical order, the defaults of the given providers included.
    pub fn values(&self, schemas: &Schemas) -> Vec<Shown> {
        let leaves = self.merged.leaves();
        let shown = leaves.iter().filter_map(|leaf| {
            let path: Vec<&str> = leaf.iter().map(String::as_str).collect();
            let value = self.merged.read(&path)?.ok()?;
            let origin = self.merged.position(&path).map_or(Origin::BuiltIn, |position| position.origin());
            Some(Shown { key: shown_path(&path), value, origin })
        });
        let mut values: Vec<Shown> = shown.collect();
        for (id, connection) in &self.resolved.connections {
            let name = id.to_string();
            let schema = schemas.get(&connection.provider);
            let unset = schema
                .into_iter()
                .flat_map(defaults)
                .filter(|(key, _)| !connection.settings.contains_key(*key));
            values.extend(unset.map(|(key, value)| Shown {
                key: shown_path(&["connections", &name, key]),
                value: value.clone(),
                origin: Origin::Plugin(connection.provider.to_string()),
            }));
        }
        values.sort_by(|a, b| a.key.cmp(&b.key));
        values
    }

    /// `key = value`, a line each; with its origin as a comment if asked for.
    pub fn show(&self, origin: bool, schemas: &Schemas) -> String {
        let mut text = String::new();
        for shown in self.values(schemas) {
            let _ = write!(text, "{} = {}", shown.key, toml_text(&shown.value));
            if origin {
                let _ = write!(text, "  # {}", shown.origin);
            }
            text.push('\n');
        }
        text
    }

    /// The same as a document of the schema `ccproxy.config/1`.
    pub fn show_json(&self, schemas: &Schemas) -> Json {
        let values: Vec<Json> = self
            .values(schemas)
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
            format!("{{ {} }}", members.iter().map(member).collect::<Vec<_>>().join(", "))
        }
        Json::Array(items) => format!("[{}]", items.iter().map(toml_text).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}
