//! A connection's settings against the JSON Schema that its plugin publishes.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::check::{shown_path, unknown_message};
use super::diagnostic::{Diagnostic, did_you_mean};
use super::load::Config;
use super::origin::{Origin, Position, Source};
use super::plugin_schema::{
    DEEPEST, accepts, expected, is_marked_secret, is_reference, open, property, property_names, required,
    resolve, typed, words,
};
use super::schema::CONNECTION;
use super::secret_ref::{CURE, SecretRef, is_secret_name};
use super::store::StoredConnection;
use crate::model::ConnectionId;

impl Config {
    /// What is wrong with a connection's settings, by the schema of its provider. The common settings are known
    /// whether the schema has them or not.
    pub fn check_settings(&self, id: &ConnectionId, schema: &Json) -> Vec<Diagnostic> {
        let name = id.to_string();
        let place = |path: &[&str]| self.merged.position(path).cloned();
        let check = Check { place: &place, root: schema };
        check.object(&self.typed_settings(id, schema), schema, &["connections", &name])
    }

    /// The settings as the plugin gets them: what the environment or a flag gave as text has the type that the
    /// schema wants. Empty for an unknown connection.
    pub fn typed_settings(&self, id: &ConnectionId, schema: &Json) -> Map<String, Json> {
        let Some(connection) = self.resolved.connections.get(id) else { return Map::new() };
        let name = id.to_string();
        let mut settings = connection.settings.clone();
        for (key, value) in &mut settings {
            let position = self.merged.position(&["connections", &name, key]);
            let plain =
                position.is_some_and(|at| matches!(at.origin(), Origin::Environment(_) | Origin::Flag(_)));
            if let (true, Json::String(text)) = (plain, &*value) {
                *value = setting_of_text(schema, key, text);
            }
        }
        settings
    }
}

impl StoredConnection {
    /// What is wrong with settings that were given in this way, by the schema of the provider.
    pub(super) fn check_by_schema(&self, schema: &Json, given: Given) -> Vec<Diagnostic> {
        let name = self.id.to_string();
        let place = |path: &[&str]| Some(Position::whole(given.source(path.get(2)?)));
        Check { place: &place, root: schema }.object(&self.settings, schema, &["connections", &name])
    }
}

/// Plain text, as a flag has it, as the type that the schema has for a setting; text if it has none.
pub fn setting_of_text(schema: &Json, key: &str, text: &str) -> Json {
    let wanted = property(schema, schema, key);
    wanted.and_then(|wanted| typed(text, wanted, schema)).unwrap_or_else(|| Json::from(text))
}

/// How somebody gives settings that are not written in a file: mistakes are told in these words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// By flags, each named like its setting.
    Flags,
    /// In the member `settings` of a document.
    Members,
}

impl Given {
    /// Where a setting was given.
    pub(super) fn source(self, setting: &str) -> Arc<Source> {
        Arc::new(match self {
            Self::Flags => Source::Flag(format!("--{}", setting.replace('_', "-"))),
            Self::Members => Source::Member(format!("settings.{setting}")),
        })
    }
}

struct Check<'a> {
    /// Where a setting was written.
    place: &'a dyn Fn(&[&str]) -> Option<Position>,
    root: &'a Json,
}

impl Check<'_> {
    fn object(&self, settings: &Map<String, Json>, schema: &Json, path: &[&str]) -> Vec<Diagnostic> {
        let schema = resolve(schema, self.root);
        let known = property_names(schema, self.root);
        let common = |key: &str| path.len() == 2 && CONNECTION.iter().any(|common| common.name == key);
        let mut problems = Vec::new();
        for (key, value) in settings {
            let path = [path, &[key.as_str()]].concat();
            match property(schema, self.root, key) {
                Some(wanted) => problems.extend(self.value(key, value, wanted, &path)),
                None if common(key) || open(schema) && path.len() > 3 => {}
                None => problems.push(self.unknown(key, &known, &path)),
            }
        }
        let missing = required(schema).filter(|key| !settings.contains_key(*key) && *key != "provider");
        problems.extend(missing.map(|key| {
            let message = format!("[{}] has no `{key}`", shown_path(path));
            let place = (self.place)(&[path, &[key]].concat()).or_else(|| (self.place)(path));
            at_key(place, message).with_hint(format!("add `{key}`"))
        }));
        problems
    }

    fn value(&self, key: &str, value: &Json, wanted: &Json, path: &[&str]) -> Vec<Diagnostic> {
        let schema = resolve(wanted, self.root);
        if is_secret_name(key) || is_marked_secret(schema) || is_reference(wanted) {
            let problem = match SecretRef::parse(value) {
                Ok(_) => return Vec::new(),
                Err(_) if !value.is_object() => format!("`{}` is a secret written out", shown_path(path)),
                Err(reason) => format!("`{}` is no reference: {reason}", shown_path(path)),
            };
            return vec![at_key((self.place)(path), problem).with_hint(CURE)];
        }
        match value {
            Json::Object(members) if schema.get("properties").is_some() => self.object(members, schema, path),
            _ if accepts(value, schema, self.root, DEEPEST) => Vec::new(),
            _ => {
                let message =
                    format!("`{}` = {value} is not {}", shown_path(path), expected(schema, self.root));
                let words: Vec<&str> = words(schema, self.root, DEEPEST).into_iter().collect();
                let hint = value.as_str().and_then(|text| did_you_mean(text, words.iter().copied()));
                vec![at_value((self.place)(path), message).maybe_hint(hint)]
            }
        }
    }

    fn unknown(&self, key: &str, known: &BTreeSet<&str>, path: &[&str]) -> Diagnostic {
        let parents = &path[..path.len() - 1];
        let common = CONNECTION.iter().map(|key| key.name).filter(|_| parents.len() == 2);
        let hint = did_you_mean(key, known.iter().copied().chain(common));
        let message = unknown_message(key, parents);
        at_key((self.place)(path), message).maybe_hint(hint)
    }
}

/// A mistake in a key; its value is not shown, for it may be a misspelt secret.
fn at_key(place: Option<Position>, message: String) -> Diagnostic {
    match place {
        Some(place) => Diagnostic::at_key_alone(&place, message),
        None => Diagnostic::new(Origin::BuiltIn, message),
    }
}

fn at_value(place: Option<Position>, message: String) -> Diagnostic {
    match place {
        Some(place) => Diagnostic::at_value(&place, message),
        None => Diagnostic::new(Origin::BuiltIn, message),
    }
}
