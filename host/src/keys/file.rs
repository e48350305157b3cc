//! `keys.json` in the state directory: the list, 0600, changed by one process at a time.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::key::{LocalKey, NewKey};
use crate::fault::{Code, Fault};
use crate::model::Name;
use crate::private_file;

const SCHEMA: &str = "ccproxy.keys-file/1";
/// Thousands of keys; a larger file is something else.
const MOST: u64 = 4 * 1024 * 1024;
/// Whoever may write the list may add a key of their own.
const WRITABLE_BY_OTHERS: u32 = 0o022;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    schema: String,
    keys: Vec<LocalKey>,
}

/// The file.
#[derive(Clone, Debug)]
pub struct KeyFile {
    path: PathBuf,
}

impl KeyFile {
    /// At this path.
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All keys, in the order in which they were made. No file means none.
    pub fn read(&self) -> Result<Vec<LocalKey>, Fault> {
        let Some(text) = self.text()? else { return Ok(Vec::new()) };
        let document: Document =
            serde_json::from_slice(&text).map_err(|error| self.damaged(error.to_string()))?;
        match document.schema.as_str() {
            SCHEMA => Ok(document.keys),
            other => Err(self.damaged(format!("its schema `{other}` is not `{SCHEMA}`"))),
        }
    }

    /// Makes a key. Its name must be new: two keys of one name could not be told apart when one is revoked.
    pub fn create(&self, name: Name, routes: Option<Vec<Name>>, admin: bool) -> Result<NewKey, Fault> {
        let key = NewKey::draw(name, routes, admin)?;
        self.change(|keys| {
            let name = &key.kept.name;
            if keys.iter().any(|other| other.name == *name) {
                let what = format!("there is a key named `{name}`");
                return Err(Fault::new(Code::InvalidConfig, what)
                    .hint(format!("choose another name, or first `ccproxy key revoke {name}`")));
            }
            keys.push(key.kept.clone());
            Ok(())
        })?;
        Ok(key)
    }

    /// Takes a key out; the names that there are, if none is called so.
    pub fn revoke(&self, name: &Name) -> Result<Result<LocalKey, Vec<Name>>, Fault> {
        self.change(|keys| {
            Ok(match keys.iter().position(|key| key.name == *name) {
                Some(found) => Ok(keys.remove(found)),
                None => Err(keys.iter().map(|key| key.name.clone()).collect()),
            })
        })
    }

    /// Reads, changes and replaces the list while other processes wait.
    fn change<T>(&self, change: impl FnOnce(&mut Vec<LocalKey>) -> Result<T, Fault>) -> Result<T, Fault> {
        let _turn = private_file::turn(&self.path).map_err(|error| self.unwritable(&error))?;
        let before = self.read()?;
        let mut keys = before.clone();
        let changed = change(&mut keys)?;
        if keys != before {
            let document = Document { schema: SCHEMA.into(), keys };
            let text = serde_json::to_vec_pretty(&document).map_err(io::Error::other);
            let written = text.and_then(|text| private_file::replace(&self.path, &text));
            written.map_err(|error| self.unwritable(&error))?;
        }
        Ok(changed)
    }

    /// What the file holds, if there is one that nobody else could have written.
    fn text(&self) -> Result<Option<Vec<u8>>, Fault> {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK; // NONBLOCK: a FIFO in its place must not hang us
        let opened = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(&self.path);
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.unreadable(&error)),
        };
        let meta = file.metadata().map_err(|error| self.unreadable(&error))?;
        let us = rustix::process::geteuid().as_raw();
        if !meta.is_file() {
            return Err(self.damaged("it is not a plain file".into()));
        }
        if meta.uid() != us {
            return Err(self.damaged(format!("it belongs to user {}, not to user {us}", meta.uid())));
        }
        if meta.mode() & WRITABLE_BY_OTHERS != 0 {
            let why = format!("others may write to it (mode {:o})", meta.mode() & 0o7777);
            let hint = format!("see that every key in it is yours, then: chmod 600 {}", self.path.display());
            return Err(Fault { hint: Some(hint), ..self.damaged(why) });
        }
        let mut text = Vec::new();
        file.take(MOST + 1).read_to_end(&mut text).map_err(|error| self.unreadable(&error))?;
        if text.len() as u64 > MOST {
            return Err(self.damaged(format!("it is larger than {MOST} bytes")));
        }
        Ok(Some(text))
    }

    fn damaged(&self, why: String) -> Fault {
        let path = self.path.display();
        Fault::new(Code::Storage, format!("the list of local keys in {path} cannot be used: {why}"))
            .hint(format!("mend it, or move it away and make new keys: mv {path} {path}.bad"))
    }

    fn unreadable(&self, error: &io::Error) -> Fault {
        Fault::new(Code::Storage, format!("cannot read {}: {error}", self.path.display()))
    }

    fn unwritable(&self, error: &io::Error) -> Fault {
        Fault::new(Code::Storage, format!("cannot write {}: {error}", self.path.display()))
    }
}
