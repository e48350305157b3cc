//! The stored record, and how older ones are brought forward.

use ccproxy_plugin_oauth::{DEFAULT_TOKEN, OAuthRecord};
use ccproxy_plugin_sdk::serde_json::{Map, Value, json};
use ccproxy_plugin_sdk::{Error, ErrorCode, JsonTokenStorage};

/// Storage of `oidc`: the record that all OAuth providers share.
///
/// Version 1 held one access token, with its expiry in seconds and its scopes in one text. Version 2
/// holds a token per target.
pub struct Storage;

impl JsonTokenStorage for Storage {
    type Record = OAuthRecord;
    const SCHEMA_VERSION: u32 = 2;

    fn migrate(from: u32, record: Map<String, Value>) -> Result<Map<String, Value>, Error> {
        match from {
            1 => Ok(one_to_two(record)),
            _ => Err(Error::new(ErrorCode::Storage, format!("no migration from record schema {from}"))),
        }
    }
}

fn one_to_two(mut old: Map<String, Value>) -> Map<String, Value> {
    let scopes = match old.remove("scope") {
        Some(Value::String(scopes)) => json!(scopes.split_ascii_whitespace().collect::<Vec<_>>()),
        _ => json!([]),
    };
    let expires_at = old.remove("expires_at").and_then(|at| at.as_i64()).map(|at| at.saturating_mul(1000));
    let mut tokens = Map::new();
    if let Some(access_token) = old.remove("access_token") {
        let token = json!({ "access_token": access_token, "expires_at": expires_at, "scopes": scopes });
        tokens.insert(DEFAULT_TOKEN.into(), token);
    }
    let subject = old.remove("sub").unwrap_or_default();
    let account = match (&subject, old.remove("account_name")) {
        (Value::String(subject), name) => {
            json!({ "subject": subject, "display_name": name.unwrap_or_else(|| "".into()) })
        }
        _ => Value::Null,
    };
    let mut new = Map::new();
    new.insert("grant_type".into(), "authorization_code".into());
    for kept in ["refresh_token", "issuer", "client_id"] {
        if let Some(value) = old.remove(kept) {
            new.insert(kept.into(), value);
        }
    }
    new.insert("tokens".into(), Value::Object(tokens));
    new.insert("account".into(), account);
    new.insert("id_token_sub".into(), subject);
    new.insert("scopes_requested".into(), scopes.clone());
    new.insert("scopes_granted".into(), scopes);
    new
}
