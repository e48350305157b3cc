//! Relative paths in a file mean relative to that file, wherever ccproxy is started; `~/` is the home directory.

use std::path::Path;

use super::kind::Kind;
use super::schema::{CONNECTION, Key, ROOT, Shape};
use super::secret_ref::looks_like_reference;
use super::tree::{Node, Table, Value};

/// What relative paths hang below.
#[derive(Clone, Copy)]
pub(super) struct Anchor<'a> {
    pub(super) directory: &'a Path,
    pub(super) home: Option<&'a Path>,
}

impl Anchor<'_> {
    /// Fixes the paths of a whole file.
    pub(super) fn file(self, table: &mut Table) {
        self.keys(table, &ROOT, false);
    }

    /// Fixes the paths of one connection.
    pub(super) fn connection(self, table: &mut Table) {
        self.keys(table, &CONNECTION, true);
    }

    fn keys(self, table: &mut Table, keys: &'static [Key], open: bool) {
        for (name, node) in table {
            match (keys.iter().find(|key| key.name == name).map(|key| &key.shape), &mut node.value) {
                (Some(Shape::Value(Kind::Path)), Value::Text(path)) => self.path(path),
                (Some(Shape::Value(Kind::List(Kind::Path))), Value::Array(items)) => {
                    items.iter_mut().for_each(|item| self.item(item));
                }
                (Some(Shape::Table(keys)), Value::Table(table)) => self.keys(table, keys, false),
                (Some(Shape::Named { keys, open, .. }), Value::Table(table)) => {
                    for node in table.values_mut() {
                        if let Value::Table(table) = &mut node.value {
                            self.keys(table, keys, *open);
                        }
                    }
                }
                (_, Value::Table(table)) if open => self.reference(table),
                _ => {}
            }
        }
    }

    /// `{ file = "p" }`, at any depth of a provider's settings.
    fn reference(self, table: &mut Table) {
        let is_reference = looks_like_reference(table.keys().map(String::as_str));
        for (name, node) in table {
            match &mut node.value {
                Value::Text(path) if is_reference && name == "file" => self.path(path),
                Value::Table(table) => self.reference(table),
                _ => {}
            }
        }
    }

    fn item(self, node: &mut Node) {
        if let Value::Text(path) = &mut node.value {
            self.path(path);
        }
    }

    fn path(self, path: &mut String) {
        let below_home = path.strip_prefix("~/").zip(self.home).map(|(rest, home)| home.join(rest));
        let full = below_home.unwrap_or_else(|| self.directory.join(&*path));
        // A directory that is not UTF-8 cannot be written back as text: the path stays relative.
        if let Some(full) = full.to_str() {
            *path = full.to_owned();
        }
    }
}
