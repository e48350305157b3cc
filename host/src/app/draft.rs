//! A connection as it will be if its login succeeds: what is known of it, and what was typed.

use serde_json::{Map, Value, json};

use crate::config::{ConfigError, Given, SecretRef, StoredConnection, setting_of_text};
use crate::fault::{Code, Fault};
use crate::login::{LoginOptions, SecretSource, Target};
use crate::model::Connection;
use crate::vault::{TypedSecret, keep_secret};

use super::App;
use super::login::Client;

/// A connection that is not stored yet, or not as it is stored.
pub(super) struct Draft {
    pub(super) connection: Connection,
    /// Whether the store must be written with the grant.
    pub(super) write: bool,
    /// A client secret that was typed: gone with the draft unless the login succeeds.
    typed: Option<TypedSecret>,
}

impl Draft {
    /// The login succeeded and the settings are stored.
    pub(super) fn settle(&mut self) {
        if let Some(typed) = self.typed.take() {
            typed.keep();
        }
    }

    /// What is written to the store.
    pub(super) fn stored(&self) -> StoredConnection {
        StoredConnection {
            id: self.connection.id.clone(),
            provider: self.connection.provider.clone(),
            settings: self.connection.settings.clone(),
        }
    }
}

impl App {
    /// The connection that a login is for, with what the options change about it, checked against the
    /// provider's schema.
    pub(super) async fn draft(
        &self,
        target: &Target,
        options: &LoginOptions,
        client: &mut dyn Client,
    ) -> Result<Draft, Fault> {
        let config = self.directory.settings.config();
        let (id, provider, known) = match target {
            Target::Existing(id) => {
                let known = config.resolved.connections.get(id);
                let known = known.ok_or_else(|| super::unknown_connection(id, &config))?;
                (id.clone(), known.provider.clone(), Some(known))
            }
            Target::New { id, provider, .. } => (id.clone(), provider.clone(), None),
        };
        let plugin = self.directory.registry.load(&provider).await?;
        let schema = plugin.settings_schema();
        if known.is_some() {
            ConfigError::check(config.check_settings(&id, schema))?;
        }
        let before = match known {
            Some(_) => config.typed_settings(&id, schema),
            None => preset_of(target),
        };
        let mut draft = Draft {
            connection: Connection {
                id,
                provider,
                settings: before.clone(),
                settings_generation: known.map_or(0, |known| known.generation),
            },
            write: false,
            typed: None,
        };
        // Scopes of a connection in a file are asked for once; those of one of ours are kept.
        let keeps_scopes = known.is_none_or(|known| known.stored);
        apply(&mut draft.connection.settings, options, schema, keeps_scopes)?;
        if options.client_secret == Some(SecretSource::Prompt) {
            self.ask_secret(&mut draft, client).await?;
        }
        if options.interactive && keeps_scopes {
            ask_missing(&mut draft.connection, schema, options, client).await?;
        }
        let changed = draft.connection.settings != before;
        if let Some(known) = known.filter(|known| changed && !known.stored) {
            let what = format!("the connection `{}` is written in {}", draft.connection.id, known.origin);
            return Err(Fault::new(Code::InvalidConfig, what)
                .hint("change its settings there, or make another with `--connection NAME`"));
        }
        draft.write = known.is_none() || changed;
        if draft.write {
            // Flags have no lines that an excerpt could show.
            let checked = draft.stored().check(Given::Flags, Some(schema)).map_err(Fault::from);
            checked.map_err(|fault| Fault { transcript: None, ..fault })?;
        }
        Ok(draft)
    }

    async fn ask_secret(&self, draft: &mut Draft, client: &mut dyn Client) -> Result<(), Fault> {
        let secret = client.ask("client secret", true).await?;
        let typed = keep_secret(&self.paths.state_dir, &draft.connection.id, "client_secret", &secret)?;
        draft.connection.settings.insert("client_secret".into(), json!({ "file": typed.path() }));
        draft.typed = Some(typed);
        Ok(())
    }
}

/// The settings of a new connection before anything typed counts.
fn preset_of(target: &Target) -> Map<String, Value> {
    match target {
        Target::New { preset: Some(preset), .. } => {
            Map::from_iter([("preset".to_owned(), Value::from(preset.as_str()))])
        }
        Target::New { preset: None, .. } | Target::Existing(_) => Map::new(),
    }
}

/// Puts what was typed into the settings, with the types of the schema.
fn apply(
    settings: &mut Map<String, Value>,
    options: &LoginOptions,
    schema: &Value,
    keeps_scopes: bool,
) -> Result<(), Fault> {
    if let Some(client_id) = &options.client_id {
        settings.insert("client_id".into(), client_id.as_str().into());
    }
    if keeps_scopes && !options.scopes.is_empty() {
        settings.insert("scopes".into(), options.scopes.clone().into());
    }
    for (key, text) in &options.settings {
        settings.insert(key.clone(), setting_of_text(schema, key, text));
    }
    if let Some(SecretSource::Reference(reference)) = &options.client_secret {
        SecretRef::parse(reference).map_err(|why| Fault::new(Code::InvalidConfig, why))?;
        settings.insert("client_secret".into(), reference.clone());
    }
    Ok(())
}

/// Asks for what nobody gave. Nothing typed leaves it to the provider to say all that it needs.
async fn ask_missing(
    connection: &mut Connection,
    schema: &Value,
    options: &LoginOptions,
    client: &mut dyn Client,
) -> Result<(), Fault> {
    for key in missing(&connection.settings, schema, options) {
        let answer = client.ask(&format!("{key} of `{}`", connection.id), false).await?;
        let text = String::from_utf8_lossy(answer.expose()).into_owned();
        if !text.is_empty() {
            connection.settings.insert(key.to_owned(), setting_of_text(schema, key, &text));
        }
    }
    Ok(())
}

/// What the schema requires, and what no schema can: an issuer may be written as endpoints, and a
/// token that the person already has needs no OAuth client.
fn missing<'a>(settings: &Map<String, Value>, schema: &'a Value, options: &LoginOptions) -> Vec<&'a str> {
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut missing: Vec<&str> = required.collect();
    let has_token = options.flow.as_deref() == Some("token");
    for (key, needless) in [("issuer", settings.contains_key("token_endpoint")), ("client_id", has_token)] {
        if needless {
            missing.retain(|required| *required != key);
        } else if schema["properties"].get(key).is_some() && !missing.contains(&key) {
            missing.push(key);
        }
    }
    missing.retain(|key| !settings.contains_key(*key));
    missing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ConnectionId, Name};
    use pretty_assertions::assert_eq;

    fn schema() -> Value {
        json!({ "properties": { "scopes": { "type": "array", "items": { "type": "string" } },
            "pkce": { "type": "string" }, "size": { "type": ["integer", "null"] } } })
    }

    #[test]
    fn what_is_typed_gets_the_type_of_the_schema() {
        let mut settings = Map::new();
        let options = LoginOptions {
            client_id: Some("cli".into()),
            scopes: vec!["a".into()],
            settings: vec![("pkce".into(), "off".into()), ("size".into(), "7".into())],
            ..LoginOptions::new("corp")
        };
        apply(&mut settings, &options, &schema(), true).unwrap();
        let expected = json!({ "client_id": "cli", "scopes": ["a"], "pkce": "off", "size": 7 });
        assert_eq!(Value::Object(settings), expected);
    }

    #[test]
    fn scopes_for_a_connection_of_a_file_are_asked_for_once_and_not_kept() {
        let mut settings = Map::new();
        let options = LoginOptions { scopes: vec!["a".into()], ..LoginOptions::new("corp") };
        apply(&mut settings, &options, &schema(), false).unwrap();
        assert_eq!(settings, Map::new());
    }

    #[test]
    fn a_preset_is_a_setting_of_a_new_connection() {
        let provider: Name = "api-key".parse().unwrap();
        let id: ConnectionId = "openai".parse().unwrap();
        let target = Target::New { id, provider, preset: Some("openai".into()) };
        assert_eq!(Value::Object(preset_of(&target)), json!({ "preset": "openai" }));
    }

    #[test]
    fn issuer_and_client_are_asked_for_where_they_mean_something() {
        let schema = json!({ "required": ["a"], "properties": { "a": {}, "issuer": {}, "client_id": {} } });
        let ask = |settings: Value, flow: Option<&str>| {
            let options = LoginOptions { flow: flow.map(str::to_owned), ..LoginOptions::new("corp") };
            let Value::Object(settings) = settings else { panic!("not settings") };
            missing(&settings, &schema, &options).join(" ")
        };
        assert_eq!(ask(json!({}), None), "a issuer client_id");
        assert_eq!(ask(json!({ "a": 1, "issuer": "x", "client_id": "y" }), None), "");
        assert_eq!(ask(json!({ "token_endpoint": "x" }), Some("token")), "a");
    }
}
