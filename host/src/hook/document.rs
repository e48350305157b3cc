//! The JSON document of an event.

use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::Event;

/// The schema of every event document.
pub const SCHEMA: &str = "ccproxy.event/1";

/// What the host says of every event. A field of the same name cannot stand in for it.
const OURS: [&str; 9] =
    ["schema", "id", "time", "event", "request_id", "login_id", "org", "connection", "provider"];

/// Renders an event under its id: one line, the common members first.
pub(super) fn render(id: &str, event: &Event) -> Arc<str> {
    serde_json::to_string(&Document { id, event }).expect("text, numbers and JSON values serialise").into()
}

struct Document<'a> {
    id: &'a str,
    event: &'a Event,
}

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let event = self.event;
        let time = jiff::Timestamp::from_millisecond(event.time.0).unwrap_or_default().to_string();
        let mut map = out.serialize_map(None)?;
        map.serialize_entry("schema", SCHEMA)?;
        map.serialize_entry("id", self.id)?;
        map.serialize_entry("time", &time)?;
        map.serialize_entry("event", event.kind.as_str())?;
        for (key, value) in [("request_id", &event.request_id), ("login_id", &event.login_id)] {
            if let Some(value) = value {
                map.serialize_entry(key, value)?;
            }
        }
        if let Some(connection) = &event.connection {
            map.serialize_entry("org", connection.org.as_str())?;
            map.serialize_entry("connection", connection.name.as_str())?;
        }
        if let Some(provider) = &event.provider {
            map.serialize_entry("provider", provider)?;
        }
        for (key, value) in event.fields.iter().filter(|(key, _)| !OURS.contains(&key.as_str())) {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hook::Kind;
    use crate::model::UnixMillis;
    use pretty_assertions::assert_eq;

    fn event() -> Event {
        Event { time: UnixMillis(1_795_233_187_042), ..Event::new(Kind::RequestCompleted) }
    }

    #[test]
    fn a_document_names_the_event_before_its_fields() {
        let full =
            event().of_request("r1").about(&"acme/github".parse().unwrap(), "github").with("status", 200);
        assert_eq!(
            &*render("7-1", &full),
            r#"{"schema":"ccproxy.event/1","id":"7-1","time":"2026-11-21T03:53:07.042Z","event":"request.completed","request_id":"r1","org":"acme","connection":"github","provider":"github","status":200}"#
        );
        assert_eq!(
            &*render("7-2", &event()),
            r#"{"schema":"ccproxy.event/1","id":"7-2","time":"2026-11-21T03:53:07.042Z","event":"request.completed"}"#
        );
    }

    #[test]
    fn a_field_cannot_pose_as_what_the_host_says() {
        let posing = event().with("provider", "forged").with("event", "app.ready").with("kept", true);
        let document: serde_json::Value = serde_json::from_str(&render("1", &posing)).unwrap();
        assert_eq!((&document["event"], &document["kept"]), (&"request.completed".into(), &true.into()));
        assert_eq!(document.get("provider"), None);
    }
}
