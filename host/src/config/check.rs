//! Is every key known and every value of its type? Asked of each source by itself, before they are merged, so
//! that a mistake is found even where a higher layer would cover it.

use super::diagnostic::{Diagnostic, did_you_mean};
use super::kind::Kind;
use super::schema::{CONNECTION, Key, Names, ROOT, Shape};
use super::secret_ref::{is_secret_name, looks_like_reference};
use super::tree::{Node, Table, Value};
use crate::model::{ConnectionId, Name};

/// Checks a whole file.
pub(super) fn check_file(table: &Table, problems: &mut Vec<Diagnostic>) {
    check_table(table, &ROOT, &[], problems);
}

/// Checks the settings of one connection, as in a stored connection's file.
pub(super) fn check_connection(table: &Table, problems: &mut Vec<Diagnostic>, name: &str) {
    check_open(table, &CONNECTION, &["connections", name], problems);
}

fn check_table(table: &Table, keys: &'static [Key], path: &[&str], problems: &mut Vec<Diagnostic>) {
    for (name, node) in table {
        match keys.iter().find(|key| key.name == name) {
            Some(key) => check_key(key, node, path, problems),
            None => problems.push(unknown(name, node, keys, path)),
        }
    }
}

fn check_key(key: &'static Key, node: &Node, path: &[&str], problems: &mut Vec<Diagnostic>) {
    let path = &[path, &[key.name]].concat();
    match (&key.shape, &node.value) {
        (Shape::Value(kind), _) => check_value(kind, node, &shown_path(path), problems),
        (Shape::Table(keys), Value::Table(table)) => check_table(table, keys, path, problems),
        (Shape::Named { names, keys, open }, Value::Table(table)) => {
            for (name, node) in table {
                check_named(*names, keys, *open, (name, node), path, problems);
            }
        }
        (Shape::Table(_) | Shape::Named { .. }, other) => problems.push(not_a_table(path, node, other)),
    }
}

fn check_named(
    names: Names,
    keys: &'static [Key],
    open: bool,
    (name, node): (&str, &Node),
    path: &[&str],
    problems: &mut Vec<Diagnostic>,
) {
    let path = &[path, &[name]].concat();
    let (valid, hint) = match names {
        Names::Connections => (
            name.parse::<ConnectionId>().is_ok(),
            "a connection is named NAME or ORG/NAME, of a-z, 0-9 and -",
        ),
        Names::Routes => (name.parse::<Name>().is_ok(), "a route is named by 1 to 40 of a-z, 0-9 and -"),
    };
    if !valid {
        problems.push(Diagnostic::at_key(&node.at, format!("`{name}` is not a name")).with_hint(hint));
    }
    match &node.value {
        Value::Table(table) if open => check_open(table, keys, path, problems),
        Value::Table(table) => check_table(table, keys, path, problems),
        other => problems.push(not_a_table(path, node, other)),
    }
}

/// A table with keys of ours and others that a plugin will judge; secrets are judged here all the same.
fn check_open(table: &Table, keys: &'static [Key], path: &[&str], problems: &mut Vec<Diagnostic>) {
    for (name, node) in table {
        match keys.iter().find(|key| key.name == name) {
            Some(key) => check_key(key, node, path, problems),
            None => check_setting(name, node, path, problems),
        }
    }
}

fn check_setting(name: &str, node: &Node, path: &[&str], problems: &mut Vec<Diagnostic>) {
    let path = &[path, &[name]].concat();
    match &node.value {
        _ if is_secret_name(name) => check_value(&Kind::Secret, node, &shown_path(path), problems),
        Value::Table(table) if looks_like_reference(table.keys().map(String::as_str)) => {
            check_value(&Kind::Secret, node, &shown_path(path), problems);
        }
        Value::Table(table) => {
            table.iter().for_each(|(name, node)| check_setting(name, node, path, problems))
        }
        Value::Text(text) if is_url_name(name) && text.contains("://") => {
            check_value(&Kind::Endpoint, node, &shown_path(path), problems);
        }
        _ => {}
    }
}

/// Settings of providers that say where credentials go: `authority`, `api_url` and their like. Others, such as
/// `resource`, are names that merely look like URLs.
fn is_url_name(name: &str) -> bool {
    name == "authority" || name.ends_with("_url") || name.ends_with("_endpoint")
}

fn check_value(kind: &Kind, node: &Node, key: &str, problems: &mut Vec<Diagnostic>) {
    if let Err(refusal) = kind.check(&node.value) {
        let message = if refusal.secret {
            format!("`{key}` {}", refusal.reason)
        } else {
            format!("`{key}` = {} {}", node.value.shown(), refusal.reason)
        };
        problems.push(Diagnostic::at_value(&node.at, message).maybe_hint(refusal.hint));
    }
    if let (Some(each), Value::Array(items)) = (kind.each(), &node.value) {
        items.iter().for_each(|item| check_value(each, item, key, problems));
    }
}

/// An unknown key of a table of ours.
pub(super) fn unknown(name: &str, node: &Node, keys: &'static [Key], path: &[&str]) -> Diagnostic {
    let hint = did_you_mean(name, keys.iter().map(|key| key.name));
    Diagnostic::at_key(&node.at, unknown_message(name, path)).maybe_hint(hint)
}

/// `unknown key `x` in [routes.github]`.
pub(super) fn unknown_message(name: &str, path: &[&str]) -> String {
    if path.is_empty() {
        format!("unknown key `{name}`")
    } else {
        format!("unknown key `{name}` in [{}]", shown_path(path))
    }
}

fn not_a_table(path: &[&str], node: &Node, value: &Value) -> Diagnostic {
    let key = shown_path(path);
    // The value is not shown: what stands in the place of a connection may be a secret.
    Diagnostic::at_key(&node.at, format!("`{key}` is {}, not a table", value.what()))
        .with_hint(format!("write it as [{key}]"))
}

/// A path as TOML writes it: `connections."acme/github".scopes`.
pub(super) fn shown_path(path: &[&str]) -> String {
    let bare = |key: &str| {
        !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let shown = |key: &&str| if bare(key) { (*key).to_owned() } else { format!("{key:?}") };
    path.iter().map(shown).collect::<Vec<_>>().join(".")
}
