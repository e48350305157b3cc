//! What ccproxy answers on paths of its own.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use super::Reply;
use crate::guard::Preflight;
use crate::message::{Known, RequestHead};
use crate::route::{Forward, Route, Unavailable};

/// `GET /`: the routes that the client may use, as text or as JSON by `Accept`.
pub fn index(head: &RequestHead<'_>, authority: &[u8], routes: &[&Arc<Route>]) -> Reply {
    let base = format!("http://{}", String::from_utf8_lossy(authority));
    if head.fields.values(Known::Accept).any(wants_json) {
        let routes: Vec<_> = routes.iter().map(|route| row(route, &base)).collect();
        return json_reply(200, &json!({ "schema": "ccproxy.routes/1", "routes": routes }));
    }
    let mut text = String::from("ccproxy\n\n");
    if routes.is_empty() {
        text.push_str("no routes yet: ccproxy auth login PROVIDER\n");
    }
    for route in routes {
        let leads_to = match &route.forward {
            Forward::To(to) => to.base.to_string(),
            Forward::Nowhere(Unavailable::Fault(fault)) => format!("({fault})"),
            Forward::Nowhere(Unavailable::NoUpstream { key }) => format!("(no upstream: set {key})"),
        };
        text.push_str(&format!("{base}/{}/ -> {leads_to}\n", route.path));
    }
    reply(200, "text/plain; charset=utf-8", text.into_bytes())
}

fn row(route: &Route, base: &str) -> Value {
    let (upstream, problem) = match &route.forward {
        Forward::To(to) => (Some(to.base.to_string()), None),
        Forward::Nowhere(Unavailable::Fault(fault)) => (None, Some(fault.code.as_str())),
        Forward::Nowhere(Unavailable::NoUpstream { .. }) => (None, Some("no_upstream")),
    };
    json!({
        "name": route.name,
        "path": format!("/{}/", route.path),
        "url": format!("{base}/{}/", route.path),
        "upstream": upstream,
        "connection": route.connection.as_ref().map(ToString::to_string),
        "provider": route.provider,
        "problem": problem,
    })
}

fn wants_json(accept: &[u8]) -> bool {
    accept.split(|byte| *byte == b',').any(|range| {
        let media = range.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        media.eq_ignore_ascii_case(b"application/json")
    })
}

/// `/_ccproxy/livez`: this process answers.
pub fn live() -> Reply {
    json_reply(200, &json!({ "status": "live" }))
}

/// `/_ccproxy/readyz`: whether new requests are welcome.
pub fn ready(is_ready: bool) -> Reply {
    readiness(is_ready, None)
}

/// One thing that was looked at, for `readyz?verbose`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What.
    pub name: String,
    /// What is wrong with it, if anything is. Requests may be welcome nevertheless: other routes work.
    pub problem: Option<String>,
}

/// The same with what was looked at.
pub fn readiness(is_ready: bool, checks: Option<&[Check]>) -> Reply {
    let (status, word) = if is_ready { (200, "ready") } else { (503, "draining") };
    let mut document = json!({ "status": word });
    if let Some(checks) = checks {
        document["checks"] = json!(checks);
    }
    json_reply(status, &document)
}

/// `/<route>`, moved to `/<route>/` for good. 308 keeps the method and the body.
pub fn missing_slash(location: Vec<u8>) -> Reply {
    Reply { status: 308, error: None, fields: vec![("location", location)], body: Default::default() }
}

/// The answer to a preflight of an allowed origin. Never a word about private networks.
pub fn preflight(asked: &Preflight<'_>) -> Reply {
    let mut fields = vec![
        ("access-control-allow-origin", asked.origin.to_vec()),
        ("access-control-allow-methods", asked.method.to_vec()),
        ("access-control-max-age", b"600".to_vec()),
        ("vary", b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers".to_vec()),
    ];
    if let Some(names) = asked.fields {
        fields.push(("access-control-allow-headers", names.to_vec()));
    }
    Reply { status: 204, error: None, fields, body: Default::default() }
}

fn json_reply(status: u16, document: &Value) -> Reply {
    reply(status, "application/json", format!("{document}\n").into_bytes())
}

fn reply(status: u16, media: &'static str, body: Vec<u8>) -> Reply {
    let fields = vec![("content-type", media.into()), ("cache-control", b"no-store".to_vec())];
    Reply { status, error: None, fields, body: body.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Code, Fault};
    use crate::message::{Field, Lines, Version};
    use crate::route::Policy;
    use pretty_assertions::assert_eq;

    fn route() -> Arc<Route> {
        Arc::new(Route {
            name: "acme".parse().unwrap(),
            path: "acme".parse().unwrap(),
            written_at: None,
            connection: Some("acme".parse().unwrap()),
            provider: Some("acme".parse().unwrap()),
            policy: Policy::default(),
            forward: Forward::Nowhere(Unavailable::Fault(Fault::new(Code::PluginMissing, "no plugin acme"))),
            meter: Default::default(),
        })
    }

    fn get(accept: &str) -> (String, String) {
        let fields = [Field::new(b"accept", accept.as_bytes())];
        let head = RequestHead {
            method: b"GET",
            target: b"/",
            version: Version::Http11,
            authority: None,
            fields: Lines::of(&fields),
        };
        let reply = index(&head, b"127.0.0.1:8462", &[&route()]);
        (
            String::from_utf8(reply.fields[0].1.clone()).unwrap(),
            String::from_utf8(reply.body.to_vec()).unwrap(),
        )
    }

    #[test]
    fn the_index_is_text_for_people() {
        let (media, body) = get("*/*");
        assert_eq!(media, "text/plain; charset=utf-8");
        assert_eq!(body, "ccproxy\n\nhttp://127.0.0.1:8462/acme/ -> (no plugin acme)\n");
    }

    #[test]
    fn the_index_is_json_for_who_asks() {
        let (media, body) = get("text/html, application/json;q=0.9");
        assert_eq!(media, "application/json");
        assert_eq!(
            serde_json::from_str::<Value>(&body).unwrap(),
            json!({"schema": "ccproxy.routes/1", "routes": [{
                "name": "acme", "path": "/acme/", "url": "http://127.0.0.1:8462/acme/", "upstream": null,
                "connection": "acme", "provider": "acme", "problem": "plugin_missing",
            }]})
        );
    }
}
