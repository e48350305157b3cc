//! Metadata (OpenID Connect Discovery 1.0, RFC 8414) and the key set.

use serde_json::{Map, Value, json};

use super::authority::State;
use super::authorize::SCOPES;
use super::reply::Reply;
use super::token::DEVICE_GRANT;

pub(crate) fn metadata(issuer: &str) -> Reply {
    let endpoints = [
        ("authorization_endpoint", "authorize"),
        ("token_endpoint", "token"),
        ("device_authorization_endpoint", "device_authorization"),
        ("revocation_endpoint", "revoke"),
        ("introspection_endpoint", "introspect"),
        ("userinfo_endpoint", "userinfo"),
        ("jwks_uri", "jwks"),
    ];
    let mut metadata = json!({
        "issuer": issuer,
        "scopes_supported": SCOPES,
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials", DEVICE_GRANT],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "claims_supported": ["sub", "email", "email_verified", "name"],
    });
    let urls: Map<String, Value> = endpoints
        .into_iter()
        .map(|(name, path)| (name.to_owned(), json!(format!("{issuer}/{path}"))))
        .collect();
    if let Some(members) = metadata.as_object_mut() {
        members.extend(urls);
    }
    Reply::json(metadata)
}

pub(crate) fn jwks(state: &State) -> Reply {
    Reply::json(state.keys.public())
}
