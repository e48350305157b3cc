//! The layers, from the lowest to the highest, and their merge. figment merges and remembers which layer a value
//! came from; the layer's tree remembers the line. No figment type leaves this file.

use std::sync::Arc;

use figment::value::{Dict, Map, Num, Tag, Value as Merge};
use figment::{Error, Figment, Metadata, Profile, Provider};
use serde::de::DeserializeOwned;

use super::diagnostic::Diagnostic;
use super::origin::{Position, Source};
use super::schema::{Key, ROOT, Shape};
use super::secret_ref::looks_like_reference;
use super::tree::{Node, Table, Value, find, parse_value};

/// Where a layer stands. Section 3 of the interface; a plugin's defaults are its own, below all but the built in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// Our defaults.
    BuiltIn,
    /// `/etc/ccproxy/config.toml`.
    System,
    /// `connections/`.
    Stored,
    /// The user's `config.toml`.
    User,
    /// The user's `conf.d/`.
    Directory,
    /// Variables.
    Environment,
    /// `--set` and `--listen`.
    Flags,
}

/// One source of values.
pub(super) struct Layer {
    pub(super) rank: Rank,
    pub(super) tree: Table,
}

impl Layer {
    /// Our defaults, those of every route included.
    pub(super) fn built_in(others: &[Self]) -> Self {
        let source = Arc::new(Source::BuiltIn);
        let mut tree = defaults(&ROOT, &source);
        let routes = others
            .iter()
            .filter_map(|layer| layer.tree.get("routes")?.value.as_table())
            .flat_map(Table::keys);
        let keys = ROOT.iter().find_map(|key| match (&key.shape, key.name) {
            (Shape::Named { keys, .. }, "routes") => Some(*keys),
            _ => None,
        });
        let each = |name: &String| {
            let value = Value::Table(defaults(keys.unwrap_or_default(), &source));
            (name.clone(), Node { value, at: Position::whole(source.clone()) })
        };
        let value = Value::Table(routes.map(each).collect());
        tree.insert("routes".into(), Node { value, at: Position::whole(source.clone()) });
        Self { rank: Rank::BuiltIn, tree }
    }

    /// The names of the connections in this layer.
    pub(super) fn connections(&self) -> Option<&Table> {
        self.tree.get("connections")?.value.as_table()
    }
}

fn defaults(keys: &'static [Key], source: &Arc<Source>) -> Table {
    let default = |key: &Key| {
        let value = match (&key.shape, key.default) {
            (Shape::Value(_), Some(text)) => parse_value(text, source)?.value,
            (Shape::Table(keys), _) => Value::Table(defaults(keys, source)),
            _ => return None,
        };
        Some((key.name.to_owned(), Node { value, at: Position::whole(source.clone()) }))
    };
    keys.iter().filter_map(default).collect()
}

/// All layers as one tree.
pub(super) struct Merged {
    layers: Vec<Layer>,
    figment: Figment,
    root: Merge,
}

impl Merged {
    /// Merges layers given in their order.
    pub(super) fn new(mut layers: Vec<Layer>) -> Self {
        forget_replaced(&mut layers);
        let numbered = layers.iter().enumerate().map(|(number, layer)| Numbered { number, layer });
        let figment = numbered.fold(Figment::new(), Figment::merge);
        // Our providers cannot fail, so neither can the merge.
        let root = figment.find_value("").unwrap_or_else(|_| Merge::from(Dict::new()));
        Self { layers, figment, root }
    }

    /// Which layers there are.
    pub(super) fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Where the value at a path was written.
    pub(super) fn position(&self, path: &[&str]) -> Option<&Position> {
        let layer = self.layer_of(self.at(path)?)?;
        find(&layer.tree, path).map(|node| &node.at)
    }

    /// The value at a path as a type of ours.
    pub(super) fn read<T: DeserializeOwned>(&self, path: &[&str]) -> Option<Result<T, Diagnostic>> {
        let value = self.at(path)?;
        Some(value.deserialize().map_err(|error: Error| {
            let full: Vec<&str> = path.iter().copied().chain(error.path.iter().map(String::as_str)).collect();
            let shown = super::check::shown_path(&full);
            let message = format!("`{shown}`: {}", error.kind.to_string().to_lowercase());
            match self.position(&full).or_else(|| self.position(path)) {
                Some(position) => Diagnostic::at_key(position, message),
                None => Diagnostic::new(super::origin::Origin::BuiltIn, message),
            }
        }))
    }

    /// The names in a table.
    pub(super) fn names(&self, path: &[&str]) -> Vec<&str> {
        self.at(path)
            .and_then(Merge::as_dict)
            .map(|dict| dict.keys().map(String::as_str).collect())
            .unwrap_or_default()
    }

    /// Every single value with its path, in alphabetical order.
    pub(super) fn leaves(&self) -> Vec<Vec<String>> {
        let mut leaves = Vec::new();
        collect_leaves(&self.root, &mut Vec::new(), &mut leaves);
        leaves
    }

    fn at(&self, path: &[&str]) -> Option<&Merge> {
        path.iter().try_fold(&self.root, |value, key| value.as_dict()?.get(*key))
    }

    fn layer_of(&self, value: &Merge) -> Option<&Layer> {
        let number: usize = self.figment.get_metadata(value.tag())?.name.parse().ok()?;
        self.layers.get(number)
    }
}

/// A secret reference and a connection's provider replace what lower layers say as a whole: `{ env }` over
/// `{ file }` is not a reference of two kinds, and the settings of one provider mean nothing to another.
fn forget_replaced(layers: &mut [Layer]) {
    for upper in 1..layers.len() {
        let (lower, rest) = layers.split_at_mut(upper);
        let Some(connections) = rest.first().and_then(Layer::connections) else { continue };
        for (name, node) in connections {
            let Value::Table(settings) = &node.value else { continue };
            for layer in &mut *lower {
                forget_in(layer, name, settings);
            }
        }
    }
}

fn forget_in(layer: &mut Layer, name: &str, settings: &Table) {
    let Some(Node { value: Value::Table(connections), .. }) = layer.tree.get_mut("connections") else {
        return;
    };
    let Some(Node { value: Value::Table(below), .. }) = connections.get_mut(name) else { return };
    let provider =
        |table: &Table| table.get("provider").and_then(|node| node.value.as_text().map(str::to_owned));
    let other_provider = match (provider(settings), provider(below)) {
        (Some(new), Some(old)) => new != old,
        _ => false,
    };
    if other_provider {
        connections.remove(name);
        return;
    }
    below.retain(|key, _| match settings.get(key).map(|node| &node.value) {
        Some(Value::Table(table)) => !looks_like_reference(table.keys().map(String::as_str)),
        _ => true,
    });
}

fn collect_leaves(value: &Merge, path: &mut Vec<String>, leaves: &mut Vec<Vec<String>>) {
    match value.as_dict() {
        Some(dict) if !dict.is_empty() && !looks_like_reference(dict.keys().map(String::as_str)) => {
            for (key, value) in dict {
                path.push(key.clone());
                collect_leaves(value, path, leaves);
                path.pop();
            }
        }
        Some(dict) if dict.is_empty() => {}
        _ => leaves.push(path.clone()),
    }
}

/// A layer as figment sees it: its number is its name.
struct Numbered<'a> {
    number: usize,
    layer: &'a Layer,
}

impl Provider for Numbered<'_> {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.number.to_string())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        Ok(Map::from([(Profile::Default, dict_of(&self.layer.tree))]))
    }
}

fn dict_of(table: &Table) -> Dict {
    table.iter().map(|(key, node)| (key.clone(), merge_of(&node.value))).collect()
}

fn merge_of(value: &Value) -> Merge {
    match value {
        Value::Text(text) => Merge::String(Tag::Default, text.clone()),
        Value::Integer(number) => Merge::Num(Tag::Default, Num::I64(*number)),
        Value::Float(number) => Merge::Num(Tag::Default, Num::F64(*number)),
        Value::Bool(flag) => Merge::Bool(Tag::Default, *flag),
        Value::Array(items) => {
            Merge::Array(Tag::Default, items.iter().map(|item| merge_of(&item.value)).collect())
        }
        Value::Table(table) => Merge::Dict(Tag::Default, dict_of(table)),
    }
}
