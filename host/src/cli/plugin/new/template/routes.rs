//! What this plugin answers itself: paths below `/_ccproxy/plugins/acme/`, commands of
//! `ccproxy plugin run acme`, events.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ccproxy_plugin_sdk::{
    CommandOutput, Error, Host, Request, Response, Target, serde_json, tracing,
};
use serde_json::{Map, Value, json};

use crate::schemas::Settings;

/// Counts what it hears. Nothing per connection is kept here: settings travel with every call.
pub struct Own {
    host: Host,
    heard: Mutex<BTreeMap<String, u64>>,
}

impl Own {
    pub fn new(host: Host) -> Self {
        Self {
            host,
            heard: Mutex::default(),
        }
    }

    /// An event that the manifest asks for. Events of all providers come.
    pub fn hear(&self, event: &Value) {
        if event["provider"] != "acme" {
            return;
        }
        let kind = event["event"].as_str().unwrap_or_default();
        tracing::debug!(kind, "heard");
        *self.heard().entry(kind.to_owned()).or_default() += 1;
    }

    /// A path that the manifest declares; `request.url` is what follows the plugin's id.
    pub fn handle(&self, request: &Request) -> Response {
        let path = request.url.split('?').next().unwrap_or_default();
        match (request.method.as_str(), path) {
            ("GET", "heard") => json(200, &json!(*self.heard())),
            ("POST", "webhook") => {
                // Anybody may send this. Check the sender's signature before you believe a word.
                let fields = Map::from_iter([("bytes".to_owned(), request.body.len().into())]);
                self.host.emit("webhook", &fields);
                Response {
                    status: 204,
                    ..Response::default()
                }
            }
            _ => json(405, &json!({ "error": "method not allowed" })),
        }
    }

    /// A command that the manifest declares: its name, then its arguments.
    pub async fn command(&self, arguments: &[String]) -> Result<CommandOutput, Error> {
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["heard"] => {
                let stdout = format!("{}\n", json!(*self.heard())).into_bytes();
                Ok(CommandOutput {
                    stdout,
                    exit_code: 0,
                })
            }
            ["get", path] => self.get(path, "acme").await,
            ["get", path, connection] => self.get(path, connection).await,
            _ => Err(Error::unsupported(
                "the commands are `heard` and `get PATH [CONNECTION]`",
            )),
        }
    }

    /// Asks the API with a connection's credential. The plugin never sees it: the host attaches a
    /// live one, to this connection's upstream only.
    async fn get(&self, path: &str, connection: &str) -> Result<CommandOutput, Error> {
        let connection = self.host.connection::<Settings>(connection)?;
        let base = connection.settings.upstream.trim_end_matches('/');
        let request = Request::get(format!("{base}/{}", path.trim_start_matches('/')));
        let answer = connection.http_as(&Target::default(), request).await?;
        let exit_code = u8::from(!(200..300).contains(&answer.status));
        Ok(CommandOutput {
            stdout: answer.body,
            exit_code,
        })
    }

    fn heard(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn json(status: u16, body: &Value) -> Response {
    Response {
        status,
        headers: vec![("content-type".into(), b"application/json".to_vec())],
        body: body.to_string().into_bytes(),
    }
}
