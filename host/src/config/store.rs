//! Connections made on the command line: one small file each, settings without secrets.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use serde_json::{Map, Value as Json};

use super::check::check_connection;
use super::diagnostic::ConfigError;
use super::paths::Paths;
use super::tree::parse_file;
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
        let text = self.to_toml()?;
        self.check(&path, &text)?;
        let dir = path.parent().unwrap_or(Path::new("/"));
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| storage(dir, &error))?;
        replace(dir, &path, text.as_bytes()).map_err(|error| storage(&path, &error))
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
        let mut table = toml::Table::new();
        for (key, value) in self.settings.iter().filter(|(_, value)| !value.is_null()) {
            let value = toml::Value::try_from(value).map_err(|error| {
                Fault::new(
                    Code::InvalidConfig,
                    format!("the setting `{key}` cannot be written as TOML: {error}"),
                )
            })?;
            table.insert(key.clone(), value);
        }
        let settings = toml::to_string(&table).map_err(|error| {
            Fault::new(Code::InvalidConfig, format!("the settings cannot be written: {error}"))
        })?;
        Ok(format!(
            "# Made by `ccproxy auth login`; no secret is in here.\nprovider = {}\n{settings}",
            Json::from(self.provider.as_str())
        ))
    }

    /// What would be refused when read is not written: secrets above all.
    fn check(&self, path: &Path, text: &str) -> Result<(), Fault> {
        let mut problems = Vec::new();
        match parse_file(path, text.to_owned()) {
            Ok(table) => check_connection(&table, &mut problems, &self.id.to_string()),
            Err(mut errors) => problems.append(&mut errors),
        }
        ConfigError::check(problems).map_err(Fault::from)
    }
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

fn storage(path: &Path, error: &std::io::Error) -> Fault {
    Fault::new(Code::Storage, format!("cannot write {}: {error}", path.display()))
}
