//! Reading every source in its order.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use super::anchor::Anchor;
use super::check::{check_connection, check_file};
use super::diagnostic::{ConfigError, Diagnostic};
use super::environment::Env;
use super::foreign;
use super::layers::{Layer, Merged, Rank};
use super::origin::{Origin, Position};
use super::overlay;
use super::paths::Paths;
use super::resolve::resolve;
use super::tree::{Node, Table, Value, parse_file};
use super::typed::{ListenAddress, Resolved};
use crate::model::{ConnectionId, Name};
use crate::secret::Secret;

/// What to read.
#[derive(Clone)]
pub struct Sources {
    /// The user's directories.
    pub paths: Paths,
    /// The environment.
    pub env: Env,
    /// `--config FILE`: instead of the user's `config.toml`.
    pub config_flag: Option<PathBuf>,
    /// `--set a.b_c=v`, in the order given.
    pub sets: Vec<String>,
    /// `--listen ADDRESS`, which replaces the list.
    pub listen: Vec<String>,
    /// `--plugin-dir DIR`, in the order given.
    pub plugin_dirs: Vec<PathBuf>,
    /// The machine's directory, `/etc/ccproxy`.
    pub etc_dir: PathBuf,
    /// For a host beside others: whatever is written, it listens on one free loopback port and nowhere else.
    pub private: bool,
}

impl Sources {
    /// These directories and this environment, no flags.
    pub fn new(paths: Paths, env: Env) -> Self {
        Self {
            paths,
            env,
            config_flag: None,
            sets: Vec::new(),
            listen: Vec::new(),
            plugin_dirs: Vec::new(),
            etc_dir: "/etc/ccproxy".into(),
            private: false,
        }
    }
}

/// The configuration, and where each value of it came from.
pub struct Config {
    /// What the host runs on.
    pub resolved: Resolved,
    pub(super) merged: Merged,
    sources: Sources,
    tokens: BTreeMap<ConnectionId, Secret>,
}

impl Config {
    /// Reads, checks and resolves everything. Nothing is written and nothing outside the sources is looked at.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let mut layers = file_layers(sources, &mut problems);
        let below: Vec<&Table> = layers.iter().map(|layer| &layer.tree).collect();
        let environment = overlay::environment(&sources.env, &below, &mut problems);
        let flags = overlay::flags(&sources.sets, &sources.listen, &below, &mut problems);
        let tokens = token_overrides(&sources.env, &mut problems);
        for (rank, mut tree) in [(Rank::Environment, environment), (Rank::Flags, flags)] {
            // The working directory; if it is gone, relative paths stay as they are.
            let directory = std::env::current_dir().unwrap_or_default();
            Anchor { directory: &directory, home: sources.env.path("HOME").as_deref() }.file(&mut tree);
            layers.push(Layer { rank, tree });
        }
        ConfigError::check(problems)?;

        layers.insert(0, Layer::built_in(&layers));
        let merged = Merged::new(layers);
        let mut problems = Vec::new();
        let resolved = resolve(&merged, &mut problems);
        ConfigError::check(problems)?;
        let mut resolved = resolved.ok_or_else(|| {
            ConfigError::from(Diagnostic::new(Origin::BuiltIn, "the defaults are incomplete"))
        })?;
        if sources.private {
            listen_privately(&mut resolved);
        }
        Ok(Self { resolved, merged, sources: sources.clone(), tokens })
    }

    /// The directories and environment that this was read from.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// `CCPROXY_TOKEN__<CONNECTION>`: tokens that stand in for stored ones.
    /// `CCPROXY_TOKEN__ACME__GITHUB` is the one of `acme/github`.
    pub fn token_overrides(&self) -> &BTreeMap<ConnectionId, Secret> {
        &self.tokens
    }

    /// Where this user wants plugins to be looked for, in order, before the places of the program and of the
    /// system. Section 5 of the interface.
    pub fn plugin_dirs(&self) -> Vec<PathBuf> {
        let from_env =
            self.sources.env.os("CCPROXY_PLUGIN_DIR").map(std::env::split_paths).into_iter().flatten();
        let mut dirs: Vec<PathBuf> = Vec::new();
        let all = self
            .sources
            .plugin_dirs
            .iter()
            .cloned()
            .chain(from_env.filter(|dir| !dir.as_os_str().is_empty()))
            .chain(self.resolved.plugins.dirs.iter().cloned())
            .chain([self.sources.paths.user_plugins_dir()]);
        for dir in all {
            if !dirs.contains(&dir) {
                dirs.push(dir);
            }
        }
        dirs
    }
}

fn listen_privately(resolved: &mut Resolved) {
    resolved.server.listen = vec![ListenAddress::Tcp((Ipv4Addr::LOCALHOST, 0).into())];
    resolved.admin.listen = None;
    for route in resolved.routes.values_mut() {
        route.listen = None;
    }
}

fn file_layers(sources: &Sources, problems: &mut Vec<Diagnostic>) -> Vec<Layer> {
    let home = sources.env.path("HOME");
    let reader = Reader { home: home.as_deref() };
    let user = sources.paths.config_file();
    let mut layers = Vec::new();
    let mut add = |rank: Rank, tree: Option<Table>| layers.extend(tree.map(|tree| Layer { rank, tree }));
    add(Rank::System, reader.optional(&sources.etc_dir.join("config.toml"), problems));
    add(Rank::Stored, Some(reader.stored(&sources.paths.connections_dir(), problems)));
    add(
        Rank::User,
        match &sources.config_flag {
            Some(explicit) => reader.explicit(explicit, problems),
            None => reader.optional(&user, problems),
        },
    );
    for path in toml_files(&sources.paths.conf_d(), problems) {
        add(Rank::Directory, reader.optional(&path, problems));
    }
    layers
}

struct Reader<'a> {
    home: Option<&'a Path>,
}

impl Reader<'_> {
    /// A file that must be there because somebody named it.
    fn explicit(&self, path: &Path, problems: &mut Vec<Diagnostic>) -> Option<Table> {
        let found = self.optional(path, problems);
        if found.is_none() && !path.exists() {
            let origin = Origin::Flag("--config".into());
            problems.push(Diagnostic::new(origin, format!("there is no file {}", path.display())));
        }
        found
    }

    /// A file that need not be there.
    fn optional(&self, path: &Path, problems: &mut Vec<Diagnostic>) -> Option<Table> {
        let mut table = self.read(path, problems)?;
        if let Some(problem) = foreign::check(&table) {
            problems.push(problem);
            return None;
        }
        name_global_connections_alike(&mut table);
        check_file(&table, problems);
        self.anchor(path).file(&mut table);
        Some(table)
    }

    /// `connections/<org>/<name>.toml`, as the table `[connections]` that they amount to.
    fn stored(&self, dir: &Path, problems: &mut Vec<Diagnostic>) -> Table {
        let mut connections = Table::new();
        let mut place = None;
        for org in entries(dir, problems) {
            let Some(org_name) =
                org.file_name().and_then(OsStr::to_str).and_then(|name| name.parse::<Name>().ok())
            else {
                continue;
            };
            for path in toml_files(&org, problems) {
                let Some(name) = path.file_stem().and_then(OsStr::to_str).and_then(|name| name.parse().ok())
                else {
                    continue;
                };
                let id = ConnectionId { org: org_name.clone(), name }.to_string();
                let Some(mut table) = self.read(&path, problems) else { continue };
                check_connection(&table, problems, &id);
                self.anchor(&path).connection(&mut table);
                // The table begins where the file does.
                let Some(at) = table.values().next().map(|first| Position::whole(first.at.source.clone()))
                else {
                    problems.push(nothing_in(&path));
                    continue;
                };
                place = Some(at.clone());
                connections.insert(id, Node { value: Value::Table(table), at });
            }
        }
        place
            .map(|at| ("connections".to_owned(), Node { value: Value::Table(connections), at }))
            .into_iter()
            .collect()
    }

    fn read(&self, path: &Path, problems: &mut Vec<Diagnostic>) -> Option<Table> {
        match std::fs::read_to_string(path) {
            Ok(text) => parse_file(path, text).map_err(|mut errors| problems.append(&mut errors)).ok(),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => None,
            Err(error) => {
                problems.push(unreadable(path, &error));
                None
            }
        }
    }

    fn anchor<'a>(&'a self, file: &'a Path) -> Anchor<'a> {
        Anchor { directory: file.parent().unwrap_or(Path::new("/")), home: self.home }
    }
}

/// `global/github` and `github` are one connection.
fn name_global_connections_alike(file: &mut Table) {
    let Some(Node { value: Value::Table(connections), .. }) = file.get_mut("connections") else { return };
    let renamed: Vec<(String, String)> = connections
        .keys()
        .filter_map(|name| Some((name.clone(), name.parse::<ConnectionId>().ok()?.to_string())))
        .filter(|(written, canonical)| written != canonical && !connections.contains_key(canonical))
        .collect();
    for (written, canonical) in renamed {
        if let Some(node) = connections.remove(&written) {
            connections.insert(canonical, node);
        }
    }
}

/// The `*.toml` in a directory, sorted; files that start with a dot are somebody's work in progress.
pub(super) fn toml_files(dir: &Path, problems: &mut Vec<Diagnostic>) -> Vec<PathBuf> {
    let hidden =
        |path: &Path| path.file_name().and_then(OsStr::to_str).is_none_or(|name| name.starts_with('.'));
    let mut files = entries(dir, problems);
    files.retain(|path| path.extension() == Some(OsStr::new("toml")) && !hidden(path));
    files
}

fn entries(dir: &Path, problems: &mut Vec<Diagnostic>) -> Vec<PathBuf> {
    let read = std::fs::read_dir(dir).and_then(|entries| {
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()
    });
    match read {
        Ok(mut entries) => {
            entries.sort();
            entries
        }
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Vec::new(),
        Err(error) => {
            problems.push(unreadable(dir, &error));
            Vec::new()
        }
    }
}

fn nothing_in(path: &Path) -> Diagnostic {
    let origin = Origin::File { path: path.to_owned(), line: 1, column: 1 };
    Diagnostic::new(origin, "a stored connection without a provider")
        .with_hint("remove the file, or log in again")
}

fn unreadable(path: &Path, error: &std::io::Error) -> Diagnostic {
    let origin = Origin::File { path: path.to_owned(), line: 1, column: 1 };
    Diagnostic::new(origin, format!("cannot read {}: {error}", path.display()))
}

fn token_overrides(env: &Env, problems: &mut Vec<Diagnostic>) -> BTreeMap<ConnectionId, Secret> {
    let mut tokens = BTreeMap::new();
    for (name, connection, value) in
        env.with_prefix("CCPROXY_TOKEN__").filter(|(.., value)| !value.is_empty())
    {
        let id =
            connection.to_ascii_lowercase().replacen("__", "/", 1).replace('_', "-").parse::<ConnectionId>();
        match (id, value.to_str()) {
            (Ok(id), Some(token)) => {
                tokens.insert(id, Secret::from(token.to_owned()));
            }
            _ => problems.push(
                Diagnostic::new(
                    Origin::Environment(name.into()),
                    format!("`{name}` does not name a connection, or its value is not UTF-8"),
                )
                .with_hint("CCPROXY_TOKEN__MY_WORK is the token of the connection `my-work`"),
            ),
        }
    }
    tokens
}
