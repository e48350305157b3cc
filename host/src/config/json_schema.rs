//! `config schema`: the table of keys as a JSON Schema, with the settings of the providers, for editors.

use serde_json::{Map, Value as Json, json};

use super::Schemas;
use super::kind::Kind;
use super::schema::{Key, ROOT, Shape};
use super::secret_ref::KINDS;
use crate::model::Name;

/// The schema of `config.toml`, with what these providers take in a connection.
pub fn json_schema(providers: &Schemas) -> Json {
    let mut schema = object(&ROOT, false);
    let settings: Vec<Json> = providers.iter().map(|(id, own)| of_provider(id, own)).collect();
    if !settings.is_empty() {
        schema["properties"]["connections"]["additionalProperties"]["allOf"] = settings.into();
    }
    schema.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    schema.insert("title".into(), "ccproxy configuration".into());
    Json::Object(schema)
}

/// What a connection may have if it is this provider's.
fn of_provider(id: &Name, settings: &Json) -> Json {
    let mut then = Map::new();
    for member in ["properties", "$defs"] {
        if let Some(part) = settings.get(member) {
            then.insert(member.to_owned(), part.clone());
        }
    }
    let is_it = json!({ "properties": { "provider": { "const": id } }, "required": ["provider"] });
    json!({ "if": is_it, "then": then })
}

fn object(keys: &'static [Key], open: bool) -> Map<String, Json> {
    let properties: Map<String, Json> = keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    Map::from_iter([
        ("type".to_owned(), "object".into()),
        ("properties".to_owned(), properties.into()),
        ("additionalProperties".to_owned(), open.into()),
    ])
}

fn property(key: &'static Key) -> Json {
    let mut schema = match &key.shape {
        Shape::Value(kind) => of_kind(kind),
        Shape::Table(keys) => object(keys, false),
        Shape::Named { keys, open, .. } => Map::from_iter([
            ("type".to_owned(), "object".into()),
            ("additionalProperties".to_owned(), object(keys, *open).into()),
        ]),
    };
    schema.insert("description".into(), key.why.into());
    if let Some(default) = key.default.and_then(|text| serde_json::from_str::<Json>(text).ok()) {
        schema.insert("default".into(), default);
    }
    Json::Object(schema)
}

fn of_kind(kind: &'static Kind) -> Map<String, Json> {
    let schema = match kind {
        Kind::Bool => json!({"type": "boolean"}),
        Kind::Count { most } => json!({"type": "integer", "minimum": 0, "maximum": most}),
        Kind::OneOf(words) => json!({"enum": words}),
        Kind::List(of) => json!({"type": "array", "items": of_kind(of)}),
        Kind::Secret => {
            let one = |kind: &&str| json!({"type": "object", "required": [kind], "maxProperties": 1});
            json!({"oneOf": KINDS.iter().map(one).collect::<Vec<_>>()})
        }
        Kind::BaseUrl | Kind::Endpoint | Kind::RedirectUri => json!({"type": "string", "format": "uri"}),
        _ => json!({"type": "string"}),
    };
    match schema {
        Json::Object(members) => members,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn the_schema_knows_types_defaults_and_reasons() {
        let schema = json_schema(&Schemas::new());
        assert_eq!(
            schema["properties"]["server"]["properties"]["http2"],
            json!({"type": "boolean", "default": false, "description": "cleartext HTTP/2 from clients; gRPC needs it"})
        );
        assert_eq!(schema["properties"]["server"]["additionalProperties"], json!(false));
        assert_eq!(
            schema["properties"]["connections"]["additionalProperties"]["additionalProperties"],
            json!(true)
        );
    }
}
