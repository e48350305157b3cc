//! The OpenAPI document, made from the table that requests are matched with: it cannot promise what is
//! not there, nor hide what is.

use serde_json::{Map, Value, json};

use super::entrance::cookie_name;
use super::handlers::NAME;
use super::routes::{Access, Gives, Operation, TABLE};

/// The document: OpenAPI 3.1. At a port sessions have a cookie of its number; on the Unix socket there are none.
pub(super) fn document(port: Option<u16>) -> Value {
    let cookie = port.map_or("ccproxy-session-PORT".into(), cookie_name);
    let mut paths = Map::new();
    for operation in TABLE {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method.to_ascii_lowercase()] = described(operation, port);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "ccproxy",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The admin API of a running ccproxy host. No answer but `credential` holds a token.",
        },
        "paths": paths,
        "components": {
            "schemas": { "Problem": problem() },
            "securitySchemes": {
                "key": { "type": "http", "scheme": "bearer", "description": "A local key: ccproxy key create NAME --admin; for metrics any that is not limited to routes" },
                "session": { "type": "apiKey", "in": "cookie", "name": cookie, "description": "A session: POST /api/v1/session" },
            },
        },
    })
}

fn described(operation: &Operation, port: Option<u16>) -> Value {
    let mut responses = Map::new();
    let (media, schema) = match operation.gives {
        Gives::Document(schema) => (
            "application/json",
            match schema {
                Some(name) => json!({
                    "type": "object",
                    "required": ["schema"],
                    "properties": { "schema": { "const": name } },
                }),
                None => json!({ "type": "object" }),
            },
        ),
        Gives::Text(media) => (media, json!({ "type": "string" })),
    };
    let status = operation.status.to_string();
    responses
        .insert(status, json!({ "description": operation.does, "content": { media: { "schema": schema } } }));
    responses.insert(
        "default".into(),
        json!({
            "description": "What is wrong, and what to do about it",
            "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
        }),
    );
    let mut described = json!({
        "operationId": operation_id(operation),
        "summary": operation.does,
        "responses": responses,
    });
    let parameters: Vec<Value> = parameters(operation).collect();
    if !parameters.is_empty() {
        described["parameters"] = parameters.into();
    }
    if let Some(takes) = operation.takes {
        described["requestBody"] =
            json!({ "required": true, "content": { "application/json": { "schema": takes() } } });
    }
    // On the Unix socket nobody has to say who they are.
    if port.is_some() && matches!(operation.access, Access::Known | Access::Admin) {
        described["security"] = json!([{ "key": [] }, { "session": [] }]);
    }
    described
}

fn parameters(operation: &Operation) -> impl Iterator<Item = Value> {
    let path = operation.path.split('/').filter_map(|segment| {
        let name = segment.strip_prefix('{')?.strip_suffix('}')?;
        let mut schema = json!({ "type": "string" });
        // The id of a login is random; all others are names.
        if !operation.path.contains("/logins/") {
            schema["pattern"] = NAME.into();
        }
        Some(json!({ "name": name, "in": "path", "required": true, "schema": schema }))
    });
    let query = operation.asks.iter().map(|ask| {
        let mut schema = json!({ "type": "string" });
        if let Some(pattern) = ask.pattern {
            schema["pattern"] = pattern.into();
        }
        json!({ "name": ask.name, "in": "query", "description": ask.what, "schema": schema })
    });
    path.chain(query)
}

/// `postConnectionsOrgNameRefresh`.
fn operation_id(operation: &Operation) -> String {
    let words = operation.path.trim_start_matches("/api/v1").split(['/', '{', '}', '.']);
    let capital = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
    let words: String = words.filter(|word| !word.is_empty()).map(capital).collect();
    operation.method.to_ascii_lowercase() + &words
}

/// RFC 9457, with the members of interface section 7 that the API has.
fn problem() -> Value {
    json!({
        "type": "object",
        "required": ["type", "title", "status", "code"],
        "properties": {
            "type": { "type": "string" },
            "title": { "type": "string" },
            "detail": { "type": "string" },
            "status": { "type": "integer" },
            "code": { "type": "string" },
            "hint": { "type": ["string", "null"] },
            "retry_after": { "type": "integer" },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn every_operation_of_the_table_is_in_the_document_under_an_id_of_its_own() {
        let document = document(None);
        let mut ids = std::collections::BTreeSet::new();
        for operation in TABLE {
            let described = &document["paths"][operation.path][operation.method.to_ascii_lowercase()];
            assert_eq!(described["summary"], operation.does, "{}", operation.path);
            ids.insert(described["operationId"].as_str().unwrap().to_owned());
            let parameters = described["parameters"].as_array().map_or(0, Vec::len);
            assert_eq!(parameters, operation.path.matches('{').count() + operation.asks.len());
        }
        assert_eq!(ids.len(), TABLE.len());
        assert!(ids.contains("postConnectionsOrgNameRefresh"), "{ids:?}");
    }

    #[test]
    fn what_changes_something_takes_json() {
        for operation in TABLE.iter().filter(|operation| !matches!(operation.method, "GET" | "DELETE")) {
            assert!(operation.takes.is_some(), "{}", operation.path);
        }
    }
}
