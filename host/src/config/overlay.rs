//! The two layers that are not files: environment variables and flags. Plain text is typed by the schema.

use std::sync::Arc;

use super::check::{check_file, shown_path, unknown_message};
use super::diagnostic::{Diagnostic, did_you_mean};
use super::environment::Env;
use super::kind::Kind;
use super::origin::{Position, Source};
use super::schema::{Key, Names, ROOT, Shape};
use super::secret_ref::is_secret_name;
use super::tree::{Node, Table, Value, find, parse_value};

/// Variables whose second part is not a table of ours.
const TOKEN_OVERRIDE: &str = "TOKEN__";

/// The variables that are configuration: `CCPROXY_A__B_C`, and the alias `LOGGING__LEVEL`.
pub(super) fn environment(env: &Env, below: &[&Table], problems: &mut Vec<Diagnostic>) -> Table {
    let mut overlay = Overlay { tree: Table::new(), below, problems: Vec::new() };
    if let Some(level) = env.text("LOGGING__LEVEL") {
        overlay.set(&["logging", "level"], level, Source::Environment("LOGGING__LEVEL".into()));
    }
    for (name, rest, value) in env.with_prefix("CCPROXY_") {
        if !rest.contains("__") || rest.starts_with(TOKEN_OVERRIDE) {
            continue;
        }
        let source = Source::Environment(name.to_owned());
        let Some(value) = value.to_str() else {
            overlay.problems.push(Diagnostic::new(
                super::origin::Origin::Environment(name.into()),
                format!("{name} is not UTF-8"),
            ));
            continue;
        };
        let segments = rest.to_ascii_lowercase();
        overlay.set(&segments.split("__").collect::<Vec<_>>(), value, source);
    }
    overlay.finish(problems)
}

/// `--set a.b_c=v`, then `--listen`, which replaces the list.
pub(super) fn flags(
    sets: &[String],
    listen: &[String],
    below: &[&Table],
    problems: &mut Vec<Diagnostic>,
) -> Table {
    let mut overlay = Overlay { tree: Table::new(), below, problems: Vec::new() };
    for set in sets {
        // The value is not part of the name of the flag: it may be a secret, and errors show the name.
        let Some((key, value)) = set.split_once('=') else {
            let origin = super::origin::Origin::Flag("--set".into());
            overlay.problems.push(Diagnostic::new(origin, "--set takes key=value"));
            continue;
        };
        let segments = split_key(key.trim());
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        overlay.set(&segments, value, Source::Flag(format!("--set {}", key.trim())));
    }
    if !listen.is_empty() {
        let source = Arc::new(Source::Flag("--listen".into()));
        let node = |value| Node { value, at: Position::whole(source.clone()) };
        let list = listen.iter().map(|address| node(Value::Text(address.clone()))).collect();
        insert(&mut overlay.tree, &["server", "listen"], node(Value::Array(list)));
    }
    overlay.finish(problems)
}

struct Overlay<'a> {
    tree: Table,
    /// The layers below: a segment is matched to the names they have.
    below: &'a [&'a Table],
    problems: Vec<Diagnostic>,
}

impl Overlay<'_> {
    fn set(&mut self, segments: &[&str], text: &str, source: Source) {
        let source = Arc::new(source);
        match self.resolve(segments, text, &source) {
            Ok((path, value)) => {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                insert(&mut self.tree, &path, Node { value, at: Position::whole(source) });
            }
            Err(problem) => self.problems.push(problem),
        }
    }

    /// The key that the segments mean, and the text as its kind has it.
    fn resolve(
        &self,
        segments: &[&str],
        text: &str,
        source: &Arc<Source>,
    ) -> Result<(Vec<String>, Value), Diagnostic> {
        let mut path: Vec<String> = Vec::new();
        let mut keys: &'static [Key] = &ROOT;
        let mut open = false;
        let mut rest = segments;
        loop {
            let Some((segment, after)) = rest.split_first() else {
                return Ok((path.clone(), self.whole_table(&path, text, source)?));
            };
            rest = after;
            let Some(key) = keys.iter().find(|key| same(key.name, segment)) else {
                if open {
                    path.push(self.written(&path, segment));
                    return Ok(setting(path, rest, text, source));
                }
                let parents: Vec<&str> = path.iter().map(String::as_str).collect();
                let hint = did_you_mean(segment, keys.iter().map(|key| key.name));
                let origin = Position::whole(source.clone()).origin();
                return Err(Diagnostic::new(origin, unknown_message(segment, &parents)).maybe_hint(hint));
            };
            path.push(key.name.to_owned());
            match &key.shape {
                Shape::Value(kind) => return value(kind, path, rest, text, source),
                Shape::Table(inner) => keys = inner,
                Shape::Named { names, keys: inner, open: others } => {
                    (keys, open) = (inner, *others);
                    if let Some((name, after)) = rest.split_first() {
                        path.push(self.name(&path, name, *names));
                        rest = after;
                    }
                }
            }
        }
    }

    /// A whole table as TOML: `CCPROXY_ROUTES__X={ connection = "y" }`.
    fn whole_table(&self, path: &[String], text: &str, source: &Arc<Source>) -> Result<Value, Diagnostic> {
        match parse_value(text.trim(), source).map(|node| node.value) {
            Some(Value::Table(table)) if !path.is_empty() => Ok(Value::Table(table)),
            _ => {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                let message = format!("`{}` is a table: name one of its keys", shown_path(&path));
                Err(Diagnostic::new(Position::whole(source.clone()).origin(), message))
            }
        }
    }

    /// The name that a segment means: one that exists (`_` also matches `-` and `/`), else with `-` for `_`.
    fn name(&self, path: &[String], segment: &str, names: Names) -> String {
        if self.names_below(path).any(|name| name == segment) {
            return segment.to_owned();
        }
        let existing = self.names_below(path).find(|name| same(name, segment));
        existing.cloned().unwrap_or_else(|| match names {
            Names::Connections | Names::Routes => segment.replace('_', "-"),
        })
    }

    /// A provider's setting, spelt as it is spelt below.
    fn written(&self, path: &[String], segment: &str) -> String {
        self.names_below(path).find(|name| same(name, segment)).cloned().unwrap_or_else(|| segment.to_owned())
    }

    fn names_below(&self, path: &[String]) -> impl Iterator<Item = &String> {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        self.below.iter().filter_map(move |tree| find(tree, &path)?.value.as_table()).flat_map(Table::keys)
    }

    fn finish(mut self, problems: &mut Vec<Diagnostic>) -> Table {
        check_file(&self.tree, &mut self.problems);
        problems.append(&mut self.problems);
        self.tree
    }
}

fn value(
    kind: &Kind,
    mut path: Vec<String>,
    rest: &[&str],
    text: &str,
    source: &Arc<Source>,
) -> Result<(Vec<String>, Value), Diagnostic> {
    match (kind, rest) {
        (Kind::Secret, _) => Ok(setting(path, rest, text, source)),
        (_, []) => Ok((path, kind.read(text, source))),
        (_, [more, ..]) => {
            let parents: Vec<&str> = path.iter().map(String::as_str).collect();
            let message = unknown_message(more, &parents);
            path.clear();
            Err(Diagnostic::new(Position::whole(source.clone()).origin(), message))
        }
    }
}

/// A provider's setting or a secret. Text stays text unless it is written as a TOML list or table: its type is
/// known once the plugin is (`Config::typed_settings`).
fn setting(mut path: Vec<String>, rest: &[&str], text: &str, source: &Arc<Source>) -> (Vec<String>, Value) {
    path.extend(rest.iter().map(|segment| (*segment).to_owned()));
    let toml = text.trim_start().starts_with(['[', '{']).then(|| parse_value(text.trim(), source)).flatten();
    let value = toml.map_or_else(|| Value::Text(text.into()), |node| node.value);
    let secret = path.last().is_some_and(|name| is_secret_name(name));
    match (&**source, &value) {
        // A secret in the environment already is where a reference would point to.
        (Source::Environment(name), Value::Text(_)) if secret => {
            let reference = Node { value: Value::Text(name.clone()), at: Position::whole(source.clone()) };
            (path, Value::Table(Table::from([("env".to_owned(), reference)])))
        }
        _ => (path, value),
    }
}

fn insert(tree: &mut Table, path: &[&str], node: Node) {
    match path {
        [] => {}
        [last] => {
            tree.insert((*last).to_owned(), node);
        }
        [first, rest @ ..] => {
            let at = node.at.clone();
            let parent = tree
                .entry((*first).to_owned())
                .or_insert_with(|| Node { value: Value::Table(Table::new()), at });
            if !matches!(parent.value, Value::Table(_)) {
                parent.value = Value::Table(Table::new());
            }
            if let Value::Table(table) = &mut parent.value {
                insert(table, rest, node);
            }
        }
    }
}

/// `_` matches `-`, and `/` in the name of an organisation's connection.
fn same(name: &str, segment: &str) -> bool {
    let plain = |byte: u8| match byte {
        b'-' | b'/' => b'_',
        other => other.to_ascii_lowercase(),
    };
    name.len() == segment.len() && name.bytes().map(plain).eq(segment.bytes().map(plain))
}

/// Splits `connections."acme/github".scopes` at the dots that are not quoted.
fn split_key(key: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quote = None;
    for c in key.chars() {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (None, '.') => parts.push(String::new()),
            (_, c) => {
                if let Some(part) = parts.last_mut() {
                    part.push(c);
                }
            }
        }
    }
    parts
}
