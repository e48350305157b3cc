//! A TOML document as a tree in which every value knows its place.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::Diagnostic;
use super::origin::{FileText, Position, Source};
use super::schema::is_known_name;
use super::secret_ref::{is_secret_name, is_variable, looks_like_reference};

/// A table; keys in alphabetical order.
pub(super) type Table = BTreeMap<String, Node>;

/// A value and its place.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) at: Position,
}

/// A value of TOML. Dates are text: nothing of ours is one.
#[derive(Clone)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    Array(Vec<Node>),
    Table(Table),
}

impl Value {
    /// What it is, for "expected X, found Y".
    pub(super) fn what(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Bool(_) => "a boolean",
            Self::Array(_) => "an array",
            Self::Table(_) => "a table",
        }
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn as_table(&self) -> Option<&Table> {
        match self {
            Self::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The value as it would be written, shortened.
    pub(super) fn shown(&self) -> String {
        let full = self.to_json().to_string();
        match full.char_indices().nth(80) {
            Some((cut, _)) => format!("{}…", &full[..cut]),
            None => full,
        }
    }

    pub(super) fn to_json(&self) -> Json {
        match self {
            Self::Text(text) => Json::from(text.as_str()),
            Self::Integer(number) => Json::from(*number),
            Self::Float(number) => Json::from(*number),
            Self::Bool(flag) => Json::from(*flag),
            Self::Array(items) => items.iter().map(|item| item.value.to_json()).collect(),
            Self::Table(table) => {
                table.iter().map(|(key, node)| (key.clone(), node.value.to_json())).collect()
            }
        }
    }
}

/// The node below a table at a path.
pub(super) fn find<'a>(table: &'a Table, path: &[&str]) -> Option<&'a Node> {
    let (last, parents) = path.split_last()?;
    let mut table = table;
    for key in parents {
        table = table.get(*key)?.value.as_table()?;
    }
    table.get(*last)
}

/// Parses a file; every syntax error of it, or the tree.
pub(super) fn parse_file(path: &Path, text: String) -> Result<Table, Vec<Diagnostic>> {
    let (document, errors) = DeTable::parse_recoverable(&text);
    if errors.is_empty() {
        let mut hidden = Vec::new();
        find_hidden(document.get_ref(), &mut hidden);
        let source = Arc::new(Source::File(FileText::new(path, text.clone(), hidden)));
        return Ok(table_of(document.get_ref(), &source));
    }
    let hidden = lines_not_to_show(&text);
    let source = Arc::new(Source::File(FileText::new(path, text.clone(), hidden)));
    let position = Position::whole(source);
    let mut diagnostics: Vec<Diagnostic> = Vec::new();
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        let diagnostic = Diagnostic::at_span(&position, &span, format!("not TOML: {}", error.message()));
        // A parser that goes on after an error stumbles over its rest: the first of a place is the true one.
        if diagnostics.iter().all(|earlier| earlier.origin != diagnostic.origin) && diagnostics.len() < 5 {
            diagnostics.push(diagnostic);
        }
    }
    Err(diagnostics)
}

/// Parses one TOML value; `None` if it is none.
pub(super) fn parse_value(text: &str, source: &Arc<Source>) -> Option<Node> {
    let value = DeValue::parse(text).ok()?;
    let at = Position::whole(source.clone());
    Some(Node { value: value_of(value.get_ref(), source), at })
}

fn table_of(table: &DeTable<'_>, source: &Arc<Source>) -> Table {
    let entry = |(key, value): (&Spanned<Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
        let at = Position { source: source.clone(), key: key.span(), value: value.span() };
        (key.get_ref().to_string(), Node { value: value_of(value.get_ref(), source), at })
    };
    table.iter().map(entry).collect()
}

fn value_of(value: &DeValue<'_>, source: &Arc<Source>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Datetime(date) => Value::Text(date.to_string()),
        DeValue::Integer(number) => {
            // Too large for i64: a text that no number key accepts, and the message shows it.
            let digits = number.as_str().replace('_', "");
            i64::from_str_radix(&digits, number.radix()).map_or(Value::Text(digits), Value::Integer)
        }
        DeValue::Float(number) => {
            let digits = number.as_str().replace('_', "");
            digits.parse().map_or(Value::Text(digits), Value::Float)
        }
        DeValue::Array(items) => Value::Array(
            items
                .iter()
                .map(|item| Node {
                    value: value_of(item.get_ref(), source),
                    at: Position { source: source.clone(), key: item.span(), value: item.span() },
                })
                .collect(),
        ),
        DeValue::Table(table) => Value::Table(table_of(table, source)),
    }
}

/// The values that an excerpt must not show: those of keys that name secrets, and passwords in URLs.
fn find_hidden(table: &DeTable<'_>, hidden: &mut Vec<Range<usize>>) {
    for (key, value) in table {
        // Something else in the place of a connection's table may be its secret.
        if let ("connections", DeValue::Table(connections)) = (&**key.get_ref(), value.get_ref()) {
            let misplaced = connections.values().filter(|value| !value.get_ref().is_table());
            hidden.extend(misplaced.map(Spanned::span));
        }
        let reference = value
            .get_ref()
            .as_table()
            .is_some_and(|table| looks_like_reference(table.keys().map(|key| key.get_ref().as_ref())));
        let no_variable =
            key.get_ref() == "env" && value.get_ref().as_str().is_some_and(|it| !is_variable(it));
        if !reference && is_secret_name(key.get_ref()) || no_variable {
            hide_all(value, hidden);
        } else {
            find_hidden_in(value, hidden);
        }
    }
}

/// A table written with dotted keys has no span of its own: its values have.
fn hide_all(value: &Spanned<DeValue<'_>>, hidden: &mut Vec<Range<usize>>) {
    hidden.push(value.span());
    if let DeValue::Table(table) = value.get_ref() {
        table.values().for_each(|value| hide_all(value, hidden));
    }
}

fn find_hidden_in(value: &Spanned<DeValue<'_>>, hidden: &mut Vec<Range<usize>>) {
    match value.get_ref() {
        DeValue::String(text) if has_userinfo(text) => hidden.push(value.span()),
        DeValue::Array(items) => items.iter().for_each(|item| find_hidden_in(item, hidden)),
        DeValue::Table(table) => find_hidden(table, hidden),
        _ => {}
    }
}

/// Whether a text looks like `scheme://name:password@host`.
pub(super) fn has_userinfo(text: &str) -> bool {
    text.split_once("://").is_some_and(|(_, rest)| {
        rest.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
    })
}

/// Where a file has no tree, no line is sure to hold no secret: it may be the middle of a text of many lines.
/// Only headers and keys of ours are shown.
fn lines_not_to_show(text: &str) -> Vec<Range<usize>> {
    let mut start = 0;
    let mut hidden = Vec::new();
    for line in text.split_inclusive('\n') {
        let shown = match (line.find('='), line.rfind(']')) {
            (Some(equals), _) if is_known_name(line[..equals].trim()) => equals + 1,
            (None, Some(end)) if line.starts_with('[') => end + 1,
            _ => 0,
        };
        hidden.push(start + shown..start + line.len());
        start += line.len();
    }
    hidden
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    fn parsed(text: &str) -> Table {
        parse_file(Path::new("c.toml"), text.into()).unwrap_or_else(|errors| panic!("{errors:?}"))
    }

    #[test]
    fn every_value_knows_its_place() {
        let table = parsed("[server]\nworkers = 4\n[connections.\"acme/github\"]\nprovider = \"github\"\n");
        let place = |path: &[&str]| find(&table, path).unwrap().at.origin().to_string();
        assert_eq!(place(&["server", "workers"]), "c.toml:2:1");
        assert_eq!(place(&["connections", "acme/github", "provider"]), "c.toml:4:1");
    }

    #[test]
    fn values_become_json() {
        let table = parsed("a = 0x1F\nb = 1_000\nc = 2.5\nd = [true, \"x\"]\ne = { f = 1979-05-27 }\n");
        let json = Value::Table(table).to_json();
        assert_eq!(json.to_string(), r#"{"a":31,"b":1000,"c":2.5,"d":[true,"x"],"e":{"f":"1979-05-27"}}"#);
    }

    #[test]
    fn several_syntax_errors_are_found_and_no_value_is_shown() {
        let text = "[a]\nclient_secret = sk-live-1\nb = 2\nb = 3\n";
        let errors = parse_file(Path::new("c.toml"), text.into()).err().unwrap();
        let lines: Vec<_> = errors.iter().map(|error| error.origin.to_string()).collect();
        assert!(lines.iter().any(|line| line.starts_with("c.toml:2:")), "{lines:?}");
        assert!(lines.iter().any(|line| line.starts_with("c.toml:4:")), "{lines:?}");
        let shown: String = errors.iter().map(Diagnostic::to_string).collect();
        assert!(!shown.contains("sk-live"), "{shown}");
    }

    #[test]
    fn userinfo_is_recognised() {
        assert!(has_userinfo("http://ada:pw@proxy:3128"));
        assert!(!has_userinfo("https://example.com/@scope"));
    }
}
