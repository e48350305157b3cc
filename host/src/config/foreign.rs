//! The Python program of the same name reads the same path. Its file is recognised, so that it gets one plain
//! answer and not a page of unknown keys; it is never rewritten.

use super::diagnostic::Diagnostic;
use super::tree::{Node, Table, Value};

/// Its keys at the top of the file, none of which is ours.
const KEYS: [&str; 5] = [
    "enable_plugins",
    "enabled_plugins",
    "disabled_plugins",
    "plugins_disable_local_discovery",
    "plugin_directories",
];

/// Its tables, likewise.
const TABLES: [&str; 12] = [
    "security",
    "docker",
    "claude",
    "codex",
    "http",
    "auth",
    "cors",
    "llm",
    "binary",
    "scheduler",
    "observability",
    "pricing",
];

/// Its keys of `[server]`, a table that both programs have.
const SERVER_KEYS: [&str; 4] = ["host", "port", "reload", "log_level"];

/// Tables that only we have: a file with one of these is ours, with mistakes.
const OURS: [&str; 6] = ["connections", "routes", "refresh", "storage", "upstream", "admin"];

/// The answer, if this is the other program's file.
pub(super) fn check(file: &Table) -> Option<Diagnostic> {
    if OURS.iter().any(|name| file.contains_key(*name)) {
        return None;
    }
    let (name, node) = marker(file)?;
    let message = format!("this is the configuration of another program called ccproxy: it has `{name}`");
    Some(
        Diagnostic::at_key(&node.at, message)
            .with_hint("set CCPROXY_CONFIG_DIR to a directory of its own for this program"),
    )
}

fn marker(file: &Table) -> Option<(String, &Node)> {
    let at_top = file.iter().find_map(|(name, node)| {
        let table = matches!(node.value, Value::Table(_));
        let known = if table { TABLES.contains(&name.as_str()) } else { KEYS.contains(&name.as_str()) };
        known.then(|| (name.clone(), node))
    });
    at_top.or_else(|| plugin_table(file)).or_else(|| server_keys(file))
}

/// `[plugins.access_log]`: we have keys in `[plugins]`, but no tables.
fn plugin_table(file: &Table) -> Option<(String, &Node)> {
    let plugins = file.get("plugins")?.value.as_table()?;
    let (name, node) = plugins.iter().find(|(_, node)| matches!(node.value, Value::Table(_)))?;
    Some((format!("plugins.{name}"), node))
}

/// One could be a slip of ours, two are not.
fn server_keys(file: &Table) -> Option<(String, &Node)> {
    let server = file.get("server")?.value.as_table()?;
    let mut found =
        SERVER_KEYS.iter().filter_map(|name| Some((format!("server.{name}"), server.get(*name)?)));
    let first = found.next()?;
    found.next().map(|_| first)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::tree::parse_file;
    use super::*;

    fn recognised(text: &str) -> bool {
        let table = parse_file(Path::new("config.toml"), text.into()).unwrap_or_else(|_| panic!("{text}"));
        check(&table).is_some()
    }

    #[test]
    fn the_other_program_is_known_by_its_tables_and_keys() {
        for theirs in [
            "enable_plugins = true",
            "[plugins.access_log]\nenabled = true",
            "[security]\nauth_token = \"x\"",
            "[docker]\nimage = \"x\"",
            "[server]\nhost = \"127.0.0.1\"\nport = 8000",
        ] {
            assert!(recognised(theirs), "{theirs}");
        }
        for ours in [
            "",
            "[server]\nworkers = 1",
            "[server]\nport = 8000",
            "[plugins]\ndirs = []",
            "[auth]\nx = 1\n[routes.a]\nconnection = \"a\"",
        ] {
            assert!(!recognised(ours), "{ours}");
        }
    }
}
