//! What a plugin answers and hears itself: its paths take anything that anybody sends, its events come as they
//! come.

use http::{HeaderMap, Method};
use serde_json::json;

use super::Trial;
use super::report::{Finding, Objection};
use crate::model::UnixMillis;
use crate::plugin::{Message, Plugin};

impl Trial<'_> {
    /// Sends to each declared path what nobody expects.
    pub(super) async fn own_paths(&self, plugin: &Plugin) -> Finding {
        let paths = &plugin.manifest().paths;
        if paths.is_empty() {
            return Err(Objection::skipped("it declares no path of its own"));
        }
        let sent: [(Method, &str, &[u8]); 4] = [
            (Method::GET, "", b""),
            (Method::POST, "", b"\xff\xfe\0{"),
            (Method::POST, "?a=%ff&&=", b"{\"a\":[[[[[[[["),
            (Method::DELETE, "?", b""),
        ];
        let mut answers = Vec::new();
        for handled in paths {
            for (method, query, body) in &sent {
                let message = Message {
                    method: method.clone(),
                    path_and_query: format!("{}{query}", handled.path),
                    headers: HeaderMap::new(),
                    body: body.to_vec(),
                };
                match plugin.handle(message).await {
                    Ok(answer) => answers.push(answer.status.as_u16()),
                    Err(fault) => {
                        let what = format!("{method} {}{query}", handled.path);
                        return Err(self.objection(&what, &fault));
                    }
                }
            }
        }
        answers.sort_unstable();
        answers.dedup();
        let answers: Vec<String> = answers.iter().map(ToString::to_string).collect();
        Ok(format!("{} paths answer what nobody expects with {}", paths.len(), answers.join(", ")))
    }

    /// Tells it each event that it declares, of a connection that it does not know.
    pub(super) async fn own_events(&self, plugin: &Plugin) -> Finding {
        let events = &plugin.manifest().events;
        if events.is_empty() {
            return Err(Objection::skipped("it hears no event"));
        }
        for event in events {
            let document = json!({
                "schema": "ccproxy.event/1",
                "id": "trial",
                "time": UnixMillis::now().rfc3339(),
                "event": event,
                "org": "global",
                "connection": "nobody",
                "provider": plugin.id(),
            });
            if let Err(fault) = plugin.on_event(&document.to_string()).await {
                return Err(self.objection(&format!("hearing `{event}`"), &fault));
            }
        }
        Ok(format!("it hears {}", events.join(", ")))
    }
}
