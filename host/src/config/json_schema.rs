//! `config schema`: the table of keys as a JSON Schema, for editors.

use serde_json::{Map, Value as Json, json};

use super::kind::Kind;
use super::schema::{Key, ROOT, Shape};
use super::secret_ref::KINDS;

/// The schema of `config.toml`.
pub fn json_schema() -> Json {
    let mut schema = object(&ROOT, false);
    schema.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    schema.insert("title".into(), "ccproxy configuration".into());
    Json::Object(schema)
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
        let schema = json_schema();
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
