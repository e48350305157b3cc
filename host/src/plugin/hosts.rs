//! Which hosts a plugin may reach: those its manifest declares, resolved with a connection's settings.

use url::{Host, Url};

use super::manifest::Manifest;
use crate::fault::{Code, Fault};
use crate::model::Connection;
use crate::upstream::Origin;

/// The origin of `url`, if this plugin may send a request there on behalf of `connection`.
///
/// On nobody's behalf only what is declared literally counts.
pub(super) fn permit(
    manifest: &Manifest,
    connection: Option<&Connection>,
    url: &Url,
) -> Result<Origin, Fault> {
    let refuse = |why: String| Fault::new(Code::InvalidConfig, format!("plugin `{}` {why}", manifest.id));
    let origin = Origin::of(url).map_err(|error| refuse(format!("may not send a request: {error}")))?;
    let settings = connection.map(|connection| &connection.settings);
    let setting = |name: &str| settings?.get(name)?.as_str();
    let declared = manifest.hosts.iter().any(|pattern| {
        match pattern.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(name) => setting(name).is_some_and(|value| names(value, origin.host())),
            None => matches(pattern, origin.host()),
        }
    });
    // Where its own credential goes anyway.
    let upstream = setting("upstream").into_iter().chain([manifest.upstream.as_str()]);
    if declared || upstream.into_iter().any(|url| names(url, origin.host())) {
        return Ok(origin);
    }
    let declared = if manifest.hosts.is_empty() { "none".into() } else { manifest.hosts.join(", ") };
    Err(refuse(format!("may not reach {}: its manifest declares {declared}", origin.host())))
}

fn matches(pattern: &str, host: &Host<String>) -> bool {
    match (pattern, host) {
        ("*", _) => true,
        (pattern, Host::Domain(name)) => match pattern.strip_prefix("*.") {
            Some(suffix) => {
                name.strip_suffix(suffix).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
            None => pattern.eq_ignore_ascii_case(name),
        },
        (pattern, address) => names(pattern, address),
    }
}

/// Whether a setting, a URL or a bare host (with or without a port), names this host.
fn names(value: &str, host: &Host<String>) -> bool {
    let url = if value.contains("://") { Url::parse(value) } else { Url::parse(&format!("https://{value}")) };
    url.is_ok_and(|url| url.host().is_some_and(|named| named.to_owned() == *host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;
    use serde_json::json;

    fn may(hosts: &[&str], settings: serde_json::Value, url: &str) -> Result<(), String> {
        let manifest: Manifest = serde_json::from_value(json!({
            "abi": "1", "target": "t", "id": "acme", "name": "Acme", "version": "1", "hosts": hosts,
        }))
        .unwrap();
        let connection = Connection {
            id: "work".parse().unwrap(),
            provider: manifest.id.clone(),
            settings: settings.as_object().cloned().unwrap_or_default(),
            settings_generation: 0,
        };
        let connection = settings.is_object().then_some(&connection);
        permit(&manifest, connection, &Url::parse(url).unwrap()).map(drop).map_err(|fault| fault.message)
    }

    #[test]
    fn a_host_is_reached_if_it_is_declared() {
        let none = json!(null);
        assert_eq!(may(&["id.acme.example"], none.clone(), "https://id.acme.example/token"), Ok(()));
        assert_eq!(may(&["*.acme.example"], none.clone(), "https://a.b.acme.example/"), Ok(()));
        assert_eq!(may(&["*"], none.clone(), "https://anything.example/"), Ok(()));
        for (pattern, url) in [
            ("id.acme.example", "https://id.acme.example.evil.example/"),
            ("*.acme.example", "https://acme.example/"),
            ("*.acme.example", "https://evilacme.example/"),
            ("*.acme.example", "https://.acme.example/"),
        ] {
            assert!(may(&[pattern], none.clone(), url).is_err(), "{pattern} {url}");
        }
        assert_eq!(
            may(&[], none, "https://evil.example/"),
            Err("plugin `acme` may not reach evil.example: its manifest declares none".into())
        );
    }

    #[test]
    fn a_setting_stands_for_its_host_url_or_bare_but_only_with_a_connection() {
        let url = "https://id.corp.example:8443/token";
        for value in ["https://id.corp.example:8443/x", "id.corp.example", "id.corp.example:8443"] {
            assert_eq!(may(&["{issuer}"], json!({ "issuer": value }), url), Ok(()), "{value}");
        }
        assert!(may(&["{issuer}"], json!({ "issuer": { "env": "X" } }), url).is_err());
        assert!(may(&["{issuer}"], json!({}), url).is_err());
        assert!(may(&["{issuer}"], json!(null), url).is_err());
        assert_eq!(may(&["{host}"], json!({ "host": "127.0.0.1:9" }), "http://127.0.0.1:9/"), Ok(()));
        assert_eq!(
            may(&[], json!({ "upstream": "https://api.corp.example/v1" }), "https://api.corp.example/me"),
            Ok(())
        );
    }

    #[test]
    fn cleartext_leaves_the_machine_for_no_plugin() {
        let refused = may(&["*"], json!(null), "http://id.acme.example/").unwrap_err();
        assert!(refused.contains("in the clear"), "{refused}");
        assert!(may(&["*"], json!(null), "https://a:b@id.acme.example/").is_err());
    }
}
