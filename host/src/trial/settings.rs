//! The settings of the connections that are tried: the sandbox's for the keys that the plugin has, and above
//! them the author's.

use serde_json::{Map, Value, json};

use super::house::House;
use super::sandbox::{Dialect, Sandbox};
use crate::config::{Given, StoredConnection, setting_of_text};
use crate::fault::Fault;
use crate::login::Flow;
use crate::model::{ConnectionId, Name};
use crate::plugin::Plugin;

/// Settings of which one says where everything else is.
const BASES: [&str; 2] = ["issuer", "authority"];

/// What the author wants.
pub(super) struct Wishes {
    provider: Name,
    schema: Value,
    given: Map<String, Value>,
}

impl Wishes {
    /// Refuses what the plugin does not know, naming the nearest setting that it does.
    pub(super) fn new(plugin: &Plugin, given: Vec<(String, String)>) -> Result<Self, Fault> {
        let (provider, schema) = (plugin.id().clone(), plugin.settings_schema().clone());
        let typed = given.into_iter().map(|(key, text)| {
            let value = setting_of_text(&schema, &key, &text);
            (key, value)
        });
        let given: Map<String, Value> = typed.collect();
        let id = ConnectionId::global(provider.clone());
        let stored = StoredConnection { id, provider: provider.clone(), settings: given.clone() };
        // Flags have no lines that an excerpt could show.
        stored
            .check(Given::Flags, Some(&lenient(&schema)))
            .map_err(|error| Fault { transcript: None, ..Fault::from(error) })?;
        Ok(Self { provider, schema, given })
    }

    pub(super) fn dialect(&self, sandbox: &Sandbox, flow: Option<Flow>) -> Dialect {
        sandbox.dialect(self.provider.as_str(), flow.map(Flow::as_str))
    }

    /// A connection of this name, for a login by this flow.
    pub(super) fn connection(
        &self,
        name: &str,
        flow: Option<Flow>,
        sandbox: &Sandbox,
        house: &House,
    ) -> Result<StoredConnection, Fault> {
        let dialect = self.dialect(sandbox, flow);
        let by_base = dialect.common && BASES.iter().any(|base| self.knows(base));
        let mut settings: Map<String, Value> = dialect
            .settings
            .into_iter()
            .filter(|(key, _)| self.knows(key) && !(by_base && is_an_endpoint(key)))
            .collect();
        if let Some(secret) = dialect.secret.filter(|_| self.knows("client_secret")) {
            let path = house.keep_secret(&format!("{name}.secret"), &secret)?;
            settings.insert("client_secret".into(), json!({ "file": path }));
        }
        if flow == Some(Flow::ClientCredentials) && self.knows("flow") {
            settings.insert("flow".into(), Flow::ClientCredentials.as_str().into());
        }
        settings.extend(self.given.clone());
        let id = ConnectionId::global(name.parse().expect("the names of tried connections are names"));
        Ok(StoredConnection { id, provider: self.provider.clone(), settings })
    }

    /// Secrets that are not the sandbox's to know.
    pub(super) fn secrets(&self, sandbox: &Sandbox) -> Vec<String> {
        let flows = [None, Some(Flow::Device), Some(Flow::ClientCredentials)];
        let mut secrets: Vec<String> =
            flows.into_iter().filter_map(|flow| self.dialect(sandbox, flow).secret).collect();
        secrets.dedup();
        secrets
    }

    fn knows(&self, key: &str) -> bool {
        self.schema["properties"].get(key).is_some()
    }
}

/// The schema with nothing required: settings are looked at one by one.
pub(super) fn lenient(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(members) = schema.as_object_mut() {
        members.remove("required");
    }
    schema
}

/// Whether a setting names a single endpoint of an authorization server.
fn is_an_endpoint(key: &str) -> bool {
    key.ends_with("_endpoint") || matches!(key, "jwks_uri" | "token_url")
}
