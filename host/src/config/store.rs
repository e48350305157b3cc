//! Connections made on the command line: one small file each, settings without secrets.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use serde_json::{Map, Value as Json};

use super::anchor::Anchor;
use super::check::check_connection;
use super::diagnostic::{ConfigError, Diagnostic};
use super::load::Config;
use super::origin::Position;
use super::paths::Paths;
use super::settings::Given;
use super::tree::{Node, Table, Value};
use crate::fault::{Code, Fault};
use crate::model::{ConnectionId, Name};

/// A connection to be stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredConnection {
    /// Its identity, which is its file name.
    pub id: ConnectionId,
    /// The plugin that logs it in.
    pub provider: Name,
    /// All settings but `provider`. Secrets are references.
    pub settings: Map<String, Json>,
}

impl StoredConnection {
    /// Writes or replaces the file: 0600 in directories of 0700, whole or not at all, and durable.
    pub fn write(&self, paths: &Paths) -> Result<(), Fault> {
        let path = paths.connection_file(&self.id);
        self.check(Given::Flags, None)?;
        let text = self.to_toml()?;
        let dir = path.parent().unwrap_or(Path::new("/"));
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| storage(dir, &error))?;
        replace(dir, &path, text.as_bytes()).map_err(|error| storage(&path, &error))
    }

    /// Writes a stored connection under another name too. Beside the old file the text is kept as it is,
    /// comments included; in another directory a relative path would mean another file, so it is written anew.
    pub fn copy(paths: &Paths, config: &Config, from: &ConnectionId, to: &ConnectionId) -> Result<(), Fault> {
        let (old, new) = (paths.connection_file(from), paths.connection_file(to));
        if from.org == to.org {
            let text = std::fs::read(&old).map_err(|error| unreadable(&old, &error))?;
            let dir = new.parent().unwrap_or(Path::new("/"));
            return replace(dir, &new, &text).map_err(|error| storage(&new, &error));
        }
        let known = config
            .resolved
            .connections
            .get(from)
            .ok_or_else(|| Fault::new(Code::Storage, format!("{} is there no more", old.display())))?;
        let (provider, settings) = (known.provider.clone(), known.settings.clone());
        Self { id: to.clone(), provider, settings }.write(paths)
    }

    /// What is written in the file of a connection, if there is one.
    pub fn text(paths: &Paths, id: &ConnectionId) -> Result<Option<Vec<u8>>, Fault> {
        let path = paths.connection_file(id);
        match std::fs::read(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unreadable(&path, &error)),
        }
    }

    /// Puts back what [`Self::text`] found.
    pub fn put_back(paths: &Paths, id: &ConnectionId, text: Option<&[u8]>) -> Result<(), Fault> {
        let Some(text) = text else { return Self::remove(paths, id).map(drop) };
        let path = paths.connection_file(id);
        let dir = path.parent().unwrap_or(Path::new("/"));
        replace(dir, &path, text).map_err(|error| storage(&path, &error))
    }

    /// Removes the file of a connection; whether there was one.
    pub fn remove(paths: &Paths, id: &ConnectionId) -> Result<bool, Fault> {
        let path = paths.connection_file(id);
        match std::fs::remove_file(&path) {
            Ok(()) => {
                let dir = path.parent().unwrap_or(Path::new("/"));
                sync_dir(dir).map_err(|error| storage(dir, &error))?;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(storage(&path, &error)),
        }
    }

    fn to_toml(&self) -> Result<String, Fault> {
        let mut tree = tree_of(&self.settings, Given::Flags);
        // A path typed here means a file here, not one beside the stored connection.
        let directory = std::env::current_dir().unwrap_or_default();
        Anchor { directory: &directory, home: None }.connection(&mut tree);
        let mut table = toml::Table::new();
        for (key, node) in tree {
            let value = toml::Value::try_from(node.value.to_json()).map_err(|error| {
                Fault::new(
                    Code::InvalidConfig,
                    format!("the setting `{key}` cannot be written as TOML: {error}"),
                )
            })?;
            table.insert(key, value);
        }
        let settings = toml::to_string(&table).map_err(|error| {
            Fault::new(Code::InvalidConfig, format!("the settings cannot be written: {error}"))
        })?;
        Ok(format!(
            "# Made by `ccproxy auth login`; no secret is in here.\nprovider = {}\n{settings}",
            Json::from(self.provider.as_str())
        ))
    }

    /// Refuses what would be refused when read, secrets above all; with a provider's schema, what that refuses too.
    /// Mistakes name what a setting was given by.
    pub fn check(&self, given: Given, schema: Option<&Json>) -> Result<(), ConfigError> {
        let mut problems = Vec::new();
        check_connection(&tree_of(&self.settings, given), &mut problems, &self.id.to_string());
        if self.settings.contains_key("provider") {
            let place = Position::whole(given.source("provider"));
            let told =
                Diagnostic::at_key(&place, "`provider` is no setting: it is fixed when a connection is made");
            problems.push(told);
        }
        if let (Some(schema), true) = (schema, problems.is_empty()) {
            problems = self.check_by_schema(schema, given);
        }
        ConfigError::check(problems)
    }
}

/// The settings, each as if it was written where it was given.
fn tree_of(settings: &Map<String, Json>, given: Given) -> Table {
    let written = settings.iter().filter(|(_, value)| !value.is_null());
    written.map(|(key, value)| (key.clone(), node_of(value, &Position::whole(given.source(key))))).collect()
}

fn node_of(json: &Json, at: &Position) -> Node {
    let value = match json {
        Json::Bool(flag) => Value::Bool(*flag),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Value::Integer(whole),
            None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(items) => Value::Array(items.iter().map(|item| node_of(item, at)).collect()),
        Json::Object(members) => {
            Value::Table(members.iter().map(|(key, value)| (key.clone(), node_of(value, at))).collect())
        }
        Json::Null => Value::Text(String::new()),
    };
    Node { value, at: at.clone() }
}

fn replace(dir: &Path, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut random = [0u8; 8];
    getrandom::fill(&mut random).map_err(std::io::Error::other)?;
    let suffix: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    // The leading dot keeps readers away from it.
    let temporary = dir.join(format!(".{suffix}.tmp"));
    let written = write_new(&temporary, bytes).and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        // The error that matters is the first one.
        let _ = std::fs::remove_file(&temporary);
    }
    written.and_then(|()| sync_dir(dir))
}

fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync_dir(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()
}

fn unreadable(path: &Path, error: &std::io::Error) -> Fault {
    Fault::new(Code::Storage, format!("cannot read {}: {error}", path.display()))
}

fn storage(path: &Path, error: &std::io::Error) -> Fault {
    Fault::new(Code::Storage, format!("cannot write {}: {error}", path.display()))
}
