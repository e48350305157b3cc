//! As much of JSON Schema as settings need: properties, types, words, references within the document.

use std::collections::BTreeSet;

use serde_json::Value as Json;

/// Schemas refer to themselves; this deep nobody writes settings.
pub(super) const DEEPEST: usize = 16;

/// The defaults that a schema declares.
pub(super) fn defaults(schema: &Json) -> impl Iterator<Item = (&str, &Json)> {
    let properties = schema.get("properties").and_then(Json::as_object).into_iter().flatten();
    properties.filter_map(|(key, wanted)| {
        Some((key.as_str(), wanted.get("default").filter(|value| !value.is_null())?))
    })
}

/// Follows `$ref` within the document.
pub(super) fn resolve<'a>(schema: &'a Json, root: &'a Json) -> &'a Json {
    let mut schema = schema;
    for _ in 0..DEEPEST {
        let target = schema.get("$ref").and_then(Json::as_str).and_then(|link| link.strip_prefix('#'));
        match target.and_then(|pointer| root.pointer(pointer)) {
            Some(next) => schema = next,
            None => break,
        }
    }
    schema
}

/// The alternatives of `anyOf`, `oneOf` and `allOf`.
fn parts(schema: &Json) -> impl Iterator<Item = &Json> {
    ["anyOf", "oneOf", "allOf"].into_iter().filter_map(|key| schema.get(key)?.as_array()).flatten()
}

pub(super) fn property<'a>(schema: &'a Json, root: &'a Json, key: &str) -> Option<&'a Json> {
    let schema = resolve(schema, root);
    let own = schema.get("properties").and_then(|properties| properties.get(key));
    own.or_else(|| parts(schema).find_map(|part| resolve(part, root).get("properties")?.get(key)))
}

pub(super) fn property_names<'a>(schema: &'a Json, root: &'a Json) -> BTreeSet<&'a str> {
    std::iter::once(schema)
        .chain(parts(schema).map(|part| resolve(part, root)))
        .filter_map(|schema| schema.get("properties")?.as_object())
        .flat_map(|properties| properties.keys().map(String::as_str))
        .collect()
}

pub(super) fn required(schema: &Json) -> impl Iterator<Item = &str> {
    schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str)
}

/// Whether keys beyond the properties are allowed inside a nested object.
pub(super) fn open(schema: &Json) -> bool {
    schema.get("additionalProperties") != Some(&Json::Bool(false))
}

pub(super) fn is_marked_secret(schema: &Json) -> bool {
    schema.get("writeOnly") == Some(&Json::Bool(true)) || schema.get("format") == Some(&"password".into())
}

/// The SDK's type for a secret reference, or an option of it.
pub(super) fn is_reference(schema: &Json) -> bool {
    let is_it = |schema: &Json| {
        schema.get("$ref").and_then(Json::as_str).is_some_and(|link| link.ends_with("/SecretRef"))
    };
    is_it(schema) || parts(schema).any(is_it)
}

fn types(schema: &Json) -> Vec<&str> {
    match schema.get("type") {
        Some(Json::String(one)) => vec![one],
        Some(Json::Array(many)) => many.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    }
}

pub(super) fn accepts(value: &Json, schema: &Json, root: &Json, depth: usize) -> bool {
    let schema = resolve(schema, root);
    let Some(depth) = depth.checked_sub(1) else { return true };
    let any = |key: &str| {
        let alternatives = schema.get(key).and_then(Json::as_array);
        alternatives.is_none_or(|each| each.iter().any(|schema| accepts(value, schema, root, depth)))
    };
    let all = schema.get("allOf").and_then(Json::as_array);
    let of_type = types(schema);
    let listed = schema.get("enum").and_then(Json::as_array);
    let items = value.as_array().zip(schema.get("items"));
    any("anyOf")
        && any("oneOf")
        && all.is_none_or(|each| each.iter().all(|schema| accepts(value, schema, root, depth)))
        && (of_type.is_empty() || of_type.iter().any(|name| is_of(value, name)))
        && listed.is_none_or(|words| words.contains(value))
        && schema.get("const").is_none_or(|only| only == value)
        && items.is_none_or(|(items, schema)| items.iter().all(|item| accepts(item, schema, root, depth)))
}

fn is_of(value: &Json, name: &str) -> bool {
    match name {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        _ => true,
    }
}

/// The words that a schema lists, in `enum` or as `const` alternatives.
pub(super) fn words<'a>(schema: &'a Json, root: &'a Json, depth: usize) -> BTreeSet<&'a str> {
    let schema = resolve(schema, root);
    let Some(depth) = depth.checked_sub(1) else { return BTreeSet::new() };
    let listed = schema.get("enum").and_then(Json::as_array).into_iter().flatten();
    let own = listed.chain(schema.get("const")).filter_map(Json::as_str);
    own.chain(parts(schema).flat_map(|part| words(part, root, depth))).collect()
}

pub(super) fn expected(schema: &Json, root: &Json) -> String {
    let words = words(schema, root, DEEPEST);
    if !words.is_empty() {
        let quoted: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
        return format!("one of {}", quoted.join(", "));
    }
    let alternatives = parts(schema).map(|part| resolve(part, root));
    let mut names: Vec<&str> = types(schema).into_iter().chain(alternatives.flat_map(types)).collect();
    names.retain(|name| *name != "null");
    names.dedup();
    let said = |name: &&str| {
        match *name {
            "string" => "text",
            "integer" => "a whole number",
            "number" => "a number",
            "boolean" => "true or false",
            "array" => "a list",
            "object" => "a table",
            other => other,
        }
        .to_owned()
    };
    let said = names.iter().map(said).collect::<Vec<_>>().join(" or ");
    match resolve(schema, root).get("items").map(|items| expected(items, root)) {
        Some(items) if names == ["array"] => format!("a list, each {items}"),
        _ if said.is_empty() => "what the provider takes".into(),
        _ => said,
    }
}

/// Plain text as the first type of the schema that it can be.
pub(super) fn typed(text: &str, schema: &Json, root: &Json) -> Option<Json> {
    let schema = resolve(schema, root);
    let alternatives = std::iter::once(schema).chain(parts(schema).map(|part| resolve(part, root)));
    let mut names = alternatives.flat_map(types);
    names.find_map(|name| match name {
        "string" => Some(Json::from(text)),
        "integer" => text.trim().parse::<i64>().ok().map(Json::from),
        "number" => text.trim().parse::<f64>().ok().map(Json::from),
        "boolean" => text.trim().parse::<bool>().ok().map(Json::from),
        "array" => {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            Some(parts.map(Json::from).collect())
        }
        "object" => table(text),
        _ => None,
    })
}

/// A table on a command line: as JSON, or as TOML has it in one line, `{ env = "NAME" }`.
fn table(text: &str) -> Option<Json> {
    let json = || serde_json::from_str(text).ok();
    let toml = || toml::from_str::<toml::Table>(&format!("value = {text}")).ok()?.remove("value");
    let found = json().or_else(|| serde_json::to_value(toml()?).ok());
    found.filter(Json::is_object)
}
