//! The process environment as a value, so that a test never touches the real one.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// A snapshot of environment variables. It may hold secrets: it has no `Debug`.
#[derive(Clone, Default)]
pub struct Env(BTreeMap<String, OsString>);

impl Env {
    /// The environment of this process, now. Names that are not UTF-8 cannot be ours and are left out.
    pub fn of_process() -> Self {
        Self(
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect(),
        )
    }

    /// Exactly these variables.
    pub fn from_vars<'a>(vars: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self(vars.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect())
    }

    /// A variable, if it is set, UTF-8 and not empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.os(name)?.to_str()
    }

    /// A variable as a path, if it is set and not empty.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.os(name).map(PathBuf::from)
    }

    /// A variable, if it is set and not empty.
    pub fn os(&self, name: &str) -> Option<&OsStr> {
        self.0.get(name).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// The variables whose names start with `prefix`, in the order of their names, with what follows it.
    pub(super) fn with_prefix<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str, &'a OsStr)> {
        self.0.range(prefix.to_owned()..).map_while(move |(name, value)| {
            Some((name.as_str(), name.strip_prefix(prefix)?, value.as_os_str()))
        })
    }
}
