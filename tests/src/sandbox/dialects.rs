//! What a plugin must be told to speak with this sandbox: settings by the id of its provider, `oauth` for one
//! whose dialect is nobody's own. `ccproxy plugin test` reads it from the line that the program prints.

use serde_json::{Value, json};

use super::Sandbox;

/// `settings` lead here, `secret` belongs to the client in them; `flows` has both for a flow that takes another
/// client. What a plugin's schema does not know is not for it.
pub(crate) fn dialects(sandbox: &Sandbox) -> Value {
    let (issuer, upstream) = (sandbox.issuer(), sandbox.upstream());
    let scopes = json!(["openid", "email", "offline_access"]);
    json!({
        "oauth": {
            "settings": {
                "issuer": issuer,
                "authority": issuer,
                "authorization_endpoint": format!("{issuer}/authorize"),
                "token_endpoint": format!("{issuer}/token"),
                "token_url": format!("{issuer}/token"),
                "device_authorization_endpoint": format!("{issuer}/device_authorization"),
                "revocation_endpoint": format!("{issuer}/revoke"),
                "introspection_endpoint": format!("{issuer}/introspect"),
                "userinfo_endpoint": format!("{issuer}/userinfo"),
                "jwks_uri": format!("{issuer}/jwks"),
                "client_id": "native",
                "scopes": scopes,
                "web_url": issuer,
                "base_url": upstream,
                "api_url": upstream,
                "upstream": upstream,
            },
            "flows": { "client-credentials": {
                "settings": { "client_id": "web", "scopes": ["api:read"] },
                "secret": "web-secret",
            }},
        },
        "github": {
            "settings": {
                "web_url": sandbox.github(),
                "api_url": sandbox.github_api(),
                "upstream": upstream,
                "client_id": "gh-app",
            },
            "secret": "gh-app-secret",
        },
        "google": {
            "settings": {
                "authority": sandbox.google(),
                "upstream": upstream,
                "client_id": "desktop.apps.test",
            },
            "secret": "GOCSPX-desktop",
            "flows": { "device": {
                "settings": { "client_id": "tv.apps.test" },
                "secret": "GOCSPX-tv",
            }},
        },
        "azure": {
            "settings": {
                "authority": sandbox.azure(),
                "tenant": "organizations",
                "upstream": upstream,
                "client_id": "az-public",
                "scopes": ["https://graph.microsoft.com/.default"],
            },
            "flows": { "client-credentials": {
                "settings": { "client_id": "az-confidential", "tenant": "contoso.example" },
                "secret": "az:se+cr/et &= %",
            }},
        },
        "api-key": { "settings": {
            "preset": "generic",
            "upstream": upstream,
            "probe": "GET /strict/who",
        }},
    })
}
