//! Where ccproxy keeps things: the XDG base directories, on every platform.

use std::path::{Path, PathBuf};

use super::diagnostic::{ConfigError, Diagnostic};
use super::environment::Env;
use super::origin::Origin;
use crate::model::ConnectionId;

/// The four directories of a user. Section 5 of the interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// Configuration and the connections made on the command line.
    pub config_dir: PathBuf,
    /// Grants and plugin pins.
    pub state_dir: PathBuf,
    /// The user's plugins.
    pub data_dir: PathBuf,
    /// Sockets of the running host.
    pub runtime_dir: PathBuf,
}

impl Paths {
    /// From `CCPROXY_CONFIG_DIR`, `CCPROXY_STATE_DIR`, `CCPROXY_DATA_DIR` and `CCPROXY_RUNTIME_DIR`, else
    /// from the XDG variables, else below `HOME`.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let state_dir = base(env, "CCPROXY_STATE_DIR", "XDG_STATE_HOME", ".local/state")?;
        let runtime_dir = own(env, "CCPROXY_RUNTIME_DIR")
            .or_else(|| xdg(env, "XDG_RUNTIME_DIR"))
            .unwrap_or_else(|| state_dir.join("run"));
        Ok(Self {
            config_dir: base(env, "CCPROXY_CONFIG_DIR", "XDG_CONFIG_HOME", ".config")?,
            data_dir: base(env, "CCPROXY_DATA_DIR", "XDG_DATA_HOME", ".local/share")?,
            state_dir,
            runtime_dir,
        })
    }

    /// The user's `config.toml`.
    pub fn config_file(&self) -> PathBuf {
        self.config_dir.join("config.toml")
    }

    /// The directory whose `*.toml` are read after `config.toml`.
    pub fn conf_d(&self) -> PathBuf {
        self.config_dir.join("conf.d")
    }

    /// The connections made on the command line.
    pub fn connections_dir(&self) -> PathBuf {
        self.config_dir.join("connections")
    }

    /// The file of one stored connection.
    pub fn connection_file(&self, id: &ConnectionId) -> PathBuf {
        self.connections_dir().join(id.org.as_str()).join(format!("{}.toml", id.name))
    }

    /// The grants.
    pub fn credentials_dir(&self) -> PathBuf {
        self.state_dir.join("credentials")
    }

    /// The plugin pins.
    pub fn plugins_lock(&self) -> PathBuf {
        self.state_dir.join("plugins.lock")
    }

    /// The local keys, hashed.
    pub fn local_keys(&self) -> PathBuf {
        self.state_dir.join("keys.json")
    }

    /// The user's plugins.
    pub fn user_plugins_dir(&self) -> PathBuf {
        self.data_dir.join("plugins")
    }

    /// The admin socket of the host that runs on these directories.
    pub fn admin_socket(&self) -> PathBuf {
        self.runtime_dir.join("admin.sock")
    }
}

fn base(env: &Env, ours: &str, theirs: &str, below_home: &str) -> Result<PathBuf, ConfigError> {
    if let Some(dir) = own(env, ours).or_else(|| xdg(env, theirs)) {
        return Ok(dir);
    }
    match env.path("HOME") {
        Some(home) => Ok(home.join(below_home).join("ccproxy")),
        None => Err(Diagnostic::new(Origin::Environment("HOME".into()), "the home directory is not known")
            .with_hint(format!("set HOME, {theirs} or {ours}"))
            .into()),
    }
}

/// A directory of our own, made absolute so that a later change of directory does not move it.
fn own(env: &Env, name: &str) -> Option<PathBuf> {
    let dir = env.path(name)?;
    Some(std::path::absolute(&dir).unwrap_or(dir))
}

/// The specification says to ignore a relative XDG path.
fn xdg(env: &Env, name: &str) -> Option<PathBuf> {
    env.path(name).filter(|dir| Path::is_absolute(dir)).map(|dir| dir.join("ccproxy"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    fn paths(vars: &[(&str, &str)]) -> Paths {
        Paths::from_env(&Env::from_vars(vars.iter().copied())).unwrap()
    }

    #[test]
    fn everything_hangs_below_home() {
        let paths = paths(&[("HOME", "/home/ada")]);
        assert_eq!(paths.config_file(), Path::new("/home/ada/.config/ccproxy/config.toml"));
        assert_eq!(paths.credentials_dir(), Path::new("/home/ada/.local/state/ccproxy/credentials"));
        assert_eq!(paths.plugins_lock(), Path::new("/home/ada/.local/state/ccproxy/plugins.lock"));
        assert_eq!(paths.user_plugins_dir(), Path::new("/home/ada/.local/share/ccproxy/plugins"));
        assert_eq!(paths.admin_socket(), Path::new("/home/ada/.local/state/ccproxy/run/admin.sock"));
        let id = "acme/github".parse().unwrap();
        assert_eq!(
            paths.connection_file(&id),
            Path::new("/home/ada/.config/ccproxy/connections/acme/github.toml")
        );
    }

    #[test]
    fn xdg_beats_home_and_our_own_names_beat_both() {
        let xdg = [
            ("HOME", "/home/ada"),
            ("XDG_CONFIG_HOME", "/x/config"),
            ("XDG_STATE_HOME", "relative/is/ignored"),
            ("XDG_RUNTIME_DIR", "/run/user/7"),
        ];
        let paths_by_xdg = paths(&xdg);
        assert_eq!(paths_by_xdg.config_dir, Path::new("/x/config/ccproxy"));
        assert_eq!(paths_by_xdg.state_dir, Path::new("/home/ada/.local/state/ccproxy"));
        assert_eq!(paths_by_xdg.admin_socket(), Path::new("/run/user/7/ccproxy/admin.sock"));

        let ours = [("CCPROXY_CONFIG_DIR", "/c"), ("CCPROXY_RUNTIME_DIR", "/r"), ("CCPROXY_STATE_DIR", "")];
        let paths_by_us = paths(&[&xdg[..], &ours[..]].concat());
        assert_eq!(paths_by_us.config_dir, Path::new("/c"));
        assert_eq!(paths_by_us.admin_socket(), Path::new("/r/admin.sock"));
        assert_eq!(paths_by_us.state_dir, Path::new("/home/ada/.local/state/ccproxy"));
    }

    #[test]
    fn without_a_home_the_error_says_what_to_set() {
        let error = Paths::from_env(&Env::from_vars([])).unwrap_err();
        assert_eq!(error.diagnostics()[0].message, "the home directory is not known");
    }
}
