//! Where Google is, and where a connection leads.

use ccproxy_plugin_oauth::{AuthorizationServer, Endpoint};
use ccproxy_plugin_sdk::{Description, Error, Flow};

use crate::schemas::{Conn, Settings};

/// What a connection leads to unless its settings say otherwise.
pub(crate) const UPSTREAM: &str = "https://www.googleapis.com";

/// Who issues Google's ID tokens, whatever host hands them out.
const ISSUER: &str = "https://accounts.google.com";

/// Endpoints: where Google has them, and below an `authority`. All fixed for years, so nothing is
/// discovered at every start.
const ENDPOINTS: [(&str, &str); 6] = [
    ("https://accounts.google.com", "/o/oauth2/v2/auth"),
    ("https://oauth2.googleapis.com", "/token"),
    ("https://oauth2.googleapis.com", "/device/code"),
    ("https://oauth2.googleapis.com", "/revoke"),
    ("https://www.googleapis.com", "/oauth2/v3/certs"),
    ("https://www.googleapis.com", "/oauth2/v3/userinfo"),
];

/// Google's authorization server, or that of the settings.
///
/// # Errors
/// `invalid_config` naming the key of a URL that breaks the rules.
pub(crate) fn server(settings: &Settings) -> Result<AuthorizationServer, Error> {
    let authority = settings.authority.as_deref().map(authority).transpose()?;
    let endpoint = |(host, path): (&str, &str)| {
        Endpoint::setting("authority", &format!("{}{path}", authority.unwrap_or(host))).map(Some)
    };
    let [authorize, token, device, revoke, certs, userinfo] = ENDPOINTS;
    let mut server = AuthorizationServer {
        issuer: Some(authority.unwrap_or(ISSUER).to_owned()),
        authorization_endpoint: endpoint(authorize)?,
        token_endpoint: endpoint(token)?,
        device_authorization_endpoint: endpoint(device)?,
        revocation_endpoint: endpoint(revoke)?,
        jwks_uri: endpoint(certs)?,
        userinfo_endpoint: endpoint(userinfo)?,
        ..AuthorizationServer::default()
    };
    settings.endpoints.apply(&mut server)?;
    Ok(server)
}

/// A base URL, without a final slash.
fn authority(text: &str) -> Result<&str, Error> {
    if Endpoint::setting("authority", text)?.as_str().contains('?') {
        return Err(Error::invalid_config(format!("`authority` must not have a query: {text}")));
    }
    Ok(text.trim_end_matches('/'))
}

/// Describes a connection from its settings alone.
///
/// # Errors
/// As [`server`].
pub(crate) fn describe(connection: &Conn) -> Result<Description, Error> {
    let settings = &connection.settings;
    server(settings)?;
    Ok(Description {
        upstream: Some(settings.upstream.as_deref().unwrap_or(UPSTREAM).to_owned()),
        flows: vec![Flow::Browser, Flow::Device, Flow::Paste, Flow::Token],
        ..Description::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ccproxy_plugin_sdk::serde_json::{Value, from_value, json};
    use pretty_assertions::assert_eq;

    fn endpoints(settings: Value) -> [String; 7] {
        let server = server(&from_value(settings).unwrap()).unwrap();
        let url = |endpoint: &Option<Endpoint>| endpoint.as_ref().unwrap().as_str().to_owned();
        [
            server.issuer.clone().unwrap(),
            url(&server.authorization_endpoint),
            url(&server.token_endpoint),
            url(&server.device_authorization_endpoint),
            url(&server.revocation_endpoint),
            url(&server.jwks_uri),
            url(&server.userinfo_endpoint),
        ]
    }

    #[test]
    fn the_issuer_is_the_host_of_the_pages_and_not_that_of_the_tokens() {
        assert_eq!(
            endpoints(json!({})),
            [
                "https://accounts.google.com",
                "https://accounts.google.com/o/oauth2/v2/auth",
                "https://oauth2.googleapis.com/token",
                "https://oauth2.googleapis.com/device/code",
                "https://oauth2.googleapis.com/revoke",
                "https://www.googleapis.com/oauth2/v3/certs",
                "https://www.googleapis.com/oauth2/v3/userinfo",
            ]
        );
    }

    #[test]
    fn an_authority_is_one_base_for_all_of_them_and_an_endpoint_by_hand_wins() {
        let settings = json!({
            "authority": "http://127.0.0.1:9000/google/",
            "userinfo_endpoint": "http://127.0.0.1:9001/me",
        });
        assert_eq!(
            endpoints(settings),
            [
                "http://127.0.0.1:9000/google",
                "http://127.0.0.1:9000/google/o/oauth2/v2/auth",
                "http://127.0.0.1:9000/google/token",
                "http://127.0.0.1:9000/google/device/code",
                "http://127.0.0.1:9000/google/revoke",
                "http://127.0.0.1:9000/google/oauth2/v3/certs",
                "http://127.0.0.1:9001/me",
            ]
        );
    }

    #[test]
    fn what_cannot_be_an_authority_is_named() {
        for (wrong, why) in [
            ("google.example.com", "`authority` is not an absolute URL: google.example.com"),
            ("http://h.example", "`authority` must be https (http only for loopback): http://h.example"),
            ("https://h.example/?a", "`authority` must not have a query: https://h.example/?a"),
        ] {
            let settings = from_value(json!({ "authority": wrong })).unwrap();
            assert_eq!(server(&settings).unwrap_err().message, why);
        }
    }
}
