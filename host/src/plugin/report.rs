//! The events of the plugin room: what plugins do, and what happens to them.

use std::time::Instant;

use ccproxy_plugin_abi::HttpResponse;
use serde_json::{Map, Value};

use super::codes::one_line;
use super::exchange::Outgoing;
use crate::fault::Fault;
use crate::hook::{Event, HookSink, Kind};
use crate::model::{ConnectionId, Name};

/// Fields of a custom event.
const MAX_FIELDS: usize = 32;
/// Characters of a name or a text in one.
const MAX_TEXT: usize = 512;

/// A call that a plugin makes through the host. Never shows a body, a query or a field value.
pub(super) struct Call<'a> {
    hooks: &'a dyn HookSink,
    plugin: &'a Name,
    connection: Option<&'a ConnectionId>,
    oauth: Option<Oauth>,
    what: Map<String, Value>,
    began: Instant,
}

#[derive(Clone, Copy)]
struct Oauth {
    request: Kind,
    response: Kind,
}

impl<'a> Call<'a> {
    pub(super) fn begin(
        hooks: &'a dyn HookSink,
        plugin: &'a Name,
        connection: Option<&'a ConnectionId>,
        purpose: &str,
        outgoing: &Outgoing,
    ) -> Self {
        let oauth = match purpose {
            "oauth.token" => {
                Some(Oauth { request: Kind::OauthTokenRequest, response: Kind::OauthTokenResponse })
            }
            "oauth.refresh" => {
                Some(Oauth { request: Kind::OauthRefreshRequest, response: Kind::OauthRefreshResponse })
            }
            _ => None,
        };
        let what = [
            ("method", outgoing.method.as_str()),
            ("host", &outgoing.origin.authority()),
            ("path", outgoing.url.path()),
        ];
        let what = what.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
        let call = Self { hooks, plugin, connection, oauth, what, began: Instant::now() };
        call.emit(Kind::HttpRequest, &[]);
        if let Some(oauth) = oauth {
            call.emit(oauth.request, &[]);
        }
        call
    }

    pub(super) fn end(&self, answer: &Result<HttpResponse, Fault>) {
        let took = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let duration = ("duration_ms", Value::from(took));
        match answer {
            Ok(answer) => {
                let status = ("status", Value::from(answer.status));
                self.emit(Kind::HttpResponse, &[status.clone(), duration.clone()]);
                let Some(oauth) = self.oauth else { return };
                self.emit(oauth.response, &[status.clone(), duration.clone()]);
                // A server that cannot even say no in JSON is still known by its status.
                let error = oauth_error(&answer.body);
                if answer.status >= 400 || error.is_some() {
                    self.emit(Kind::OauthError, &[status, duration, ("error", error.into())]);
                }
            }
            Err(fault) => {
                let code = ("code", Value::from(fault.code.as_str()));
                let message = ("message", Value::from(fault.message.as_str()));
                self.emit(Kind::HttpError, &[code.clone(), message.clone(), duration.clone()]);
                if self.oauth.is_some() {
                    self.emit(Kind::OauthError, &[code, message, duration]);
                }
            }
        }
    }

    fn emit(&self, kind: Kind, more: &[(&str, Value)]) {
        if !self.hooks.wants(kind) {
            return;
        }
        let mut event = about(kind, self.plugin, self.connection);
        event.fields = self.what.clone();
        self.hooks.emit(more.iter().fold(event, |event, (key, value)| event.with(key, value.clone())));
    }
}

/// Emits what a plugin wants known. Scalars only, each bounded; what is named like a secret is masked.
pub(super) fn custom_event(
    hooks: &dyn HookSink,
    plugin: &Name,
    connection: Option<&ConnectionId>,
    name: &str,
    fields_json: &str,
) {
    if !hooks.wants(Kind::CustomEvent) {
        return;
    }
    let mut event = about(Kind::CustomEvent, plugin, connection).with("name", short(name));
    if let Ok(Value::Object(fields)) = serde_json::from_str(fields_json) {
        let fields = fields
            .into_iter()
            .filter_map(|(key, value)| masked(&key, value).map(|value| (short(&key), value)));
        let fields: Map<String, Value> = fields.take(MAX_FIELDS).collect();
        event.fields.insert("fields".into(), fields.into());
    }
    hooks.emit(event);
}

/// A plugin serves, stopped serving, or failed.
pub(super) fn plugin_event(hooks: &dyn HookSink, kind: Kind, plugin: &str, fields: &[(&str, &str)]) {
    if hooks.wants(kind) {
        let mut event = Event::new(kind);
        event.provider = Some(plugin.to_owned());
        hooks.emit(fields.iter().fold(event, |event, (key, value)| event.with(key, *value)));
    }
}

fn about(kind: Kind, plugin: &Name, connection: Option<&ConnectionId>) -> Event {
    let mut event = Event::new(kind);
    event.connection = connection.cloned();
    event.provider = Some(plugin.to_string());
    event
}

fn masked(key: &str, value: Value) -> Option<Value> {
    const SECRET: [&str; 8] =
        ["token", "secret", "passw", "authoriz", "cookie", "credential", "api_key", "code"];
    let lower = key.to_ascii_lowercase().replace('-', "_");
    match value {
        Value::String(_) if SECRET.iter().any(|word| lower.contains(word)) => Some("***".into()),
        Value::String(text) => Some(short(&text).into()),
        Value::Null | Value::Bool(_) | Value::Number(_) => Some(value),
        Value::Array(_) | Value::Object(_) => None,
    }
}

fn short(text: &str) -> String {
    one_line(text).chars().take(MAX_TEXT).collect()
}

/// The error code of RFC 6749 section 5.2, if the body has one: JSON, or the form that GitHub sends.
fn oauth_error(body: &[u8]) -> Option<String> {
    let found = match serde_json::from_slice::<Value>(body) {
        Ok(json) => json.get("error")?.as_str()?.to_owned(),
        Err(_) => url::form_urlencoded::parse(body).find(|(key, _)| key == "error")?.1.into_owned(),
    };
    let plain = |byte: u8| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'.');
    (matches!(found.len(), 1..=64) && found.bytes().all(plain)).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;
    use serde_json::json;
    use std::sync::Mutex;

    #[derive(Default)]
    struct Heard(Mutex<Vec<Event>>);

    impl HookSink for Heard {
        fn wants(&self, _: Kind) -> bool {
            true
        }

        fn emit(&self, event: Event) {
            self.0.lock().unwrap().push(event);
        }
    }

    #[test]
    fn an_oauth_error_is_a_code_and_nothing_else_of_the_body() {
        assert_eq!(oauth_error(br#"{"error":"invalid_grant","x":1}"#), Some("invalid_grant".into()));
        assert_eq!(oauth_error(b"error=bad_verification_code&x=y"), Some("bad_verification_code".into()));
        for body in
            [&br#"{"error":"Canary Secret"}"#[..], br#"{"error":{}}"#, b"", b"<html>", br#"{"error":""}"#]
        {
            assert_eq!(oauth_error(body), None);
        }
    }

    #[test]
    fn a_custom_event_holds_scalars_and_no_named_secret() {
        let heard = Heard::default();
        let fields = json!({
            "count": 3, "ok": true, "text": "a\nb", "deep": { "token": "canary" }, "list": ["canary"],
            "access_token": "canary", "X-Api-Key": "canary",
        });
        custom_event(&heard, &"acme".parse().unwrap(), None, "seen", &fields.to_string());
        let event = heard.0.lock().unwrap().remove(0);
        let shown = json!({
            "count": 3, "ok": true, "text": "a b", "access_token": "***", "X-Api-Key": "***",
        });
        assert_eq!(event.fields["fields"], shown);
        assert_eq!((event.fields["name"].as_str(), event.provider.as_deref()), (Some("seen"), Some("acme")));
    }
}
