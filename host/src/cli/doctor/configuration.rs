//! What is configured, where, and every mistake in it.

use super::check::Check;
use crate::config::{Config, ConfigError, Origin, Sources};
use crate::hint::listed;

const GROUP: &str = "configuration";

/// What was read.
pub(super) struct Found {
    sources: Sources,
    problems: Vec<ConfigError>,
    counts: Option<(usize, usize)>,
    /// Keys that the environment sets, with the variable of each.
    environment: Vec<(String, String)>,
    /// Connections whose token comes from the environment.
    tokens: Vec<String>,
}

impl Found {
    pub(super) fn of(config: &Result<Config, ConfigError>, sources: &Sources) -> Self {
        let sources = sources.clone();
        let config = match config {
            Ok(config) => config,
            Err(error) => {
                let problems = vec![error.clone()];
                return Self { sources, problems, counts: None, environment: Vec::new(), tokens: Vec::new() };
            }
        };
        let problems =
            [config.check_supported().err(), config.check_exposure().err(), config.check_references().err()];
        let set = config.values(&Default::default()).into_iter().filter_map(|shown| match shown.origin {
            Origin::Environment(variable) => Some((shown.key, variable)),
            _ => None,
        });
        Self {
            sources,
            problems: problems.into_iter().flatten().collect(),
            counts: Some((config.resolved.connections.len(), config.resolved.routes.len())),
            environment: set.collect(),
            tokens: config.token_overrides().keys().map(ToString::to_string).collect(),
        }
    }
}

pub(super) fn checks(found: Found) -> Vec<Check> {
    let mut checks = vec![files(&found.sources)];
    for diagnostic in found.problems.iter().flat_map(ConfigError::diagnostics) {
        let check = Check::fail(GROUP, diagnostic.origin.to_string(), diagnostic.message.clone());
        checks.push(match &diagnostic.hint {
            Some(hint) => check.hint(hint.clone()),
            None => check.hint("ccproxy config check"),
        });
    }
    if let (Some((connections, routes)), true) = (found.counts, found.problems.is_empty()) {
        let what = format!("{connections} connections and {routes} routes, no unknown key");
        checks.push(Check::ok(GROUP, "content", what));
    }
    for (key, variable) in &found.environment {
        checks.push(Check::ok(
            GROUP,
            "environment",
            format!("{variable} sets `{key}`, whatever the files say"),
        ));
    }
    for connection in &found.tokens {
        let what = format!("a variable CCPROXY_TOKEN__... stands in for the login of `{connection}`");
        checks.push(Check::ok(GROUP, "environment", what));
    }
    checks
}

/// The files that are there; connections are counted elsewhere.
fn files(sources: &Sources) -> Check {
    let stored = sources.paths.connections_dir();
    let read = sources.places().files.into_iter().filter(|file| !file.starts_with(&stored) && file.exists());
    let read: Vec<String> = read.map(|file| file.display().to_string()).collect();
    match read.as_slice() {
        [] => {
            Check::ok(GROUP, "files", format!("none; {} is not there", sources.paths.config_file().display()))
        }
        files => Check::ok(GROUP, "files", listed(files.iter().map(String::as_str))),
    }
}
