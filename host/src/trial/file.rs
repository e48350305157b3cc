//! What a file says before anybody logs in: may it load, what settings does it take, what does it describe?

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::report::{Finding, Objection};
use super::sandbox::Sandbox;
use super::settings::{Wishes, lenient};
use super::{Trial, shown};
use crate::config::{Given, StoredConnection};
use crate::fault::{Code, Fault};
use crate::model::{Connection, ConnectionId};
use crate::plugin::{ABI_VERSION, Plugin, Refusal};

/// A setting that no plugin has.
const NO_SETTING: &str = "no-such-setting";

impl Trial<'_> {
    /// Loads it as a host would. None if a host would not.
    pub(super) async fn load(&mut self) -> Option<Arc<Plugin>> {
        let file = self.report.file.clone();
        let entry = match self.house.app().registry().inspect(&file) {
            Ok(entry) => entry,
            Err(refusal) => return self.refuse(&refusal),
        };
        let sha256 = entry.sha256.map(|sha256| sha256.to_string()).unwrap_or_default();
        self.enter("file", Ok(format!("{} and its directories are safe; sha256 {sha256}", shown(&file))));
        let manifest = entry.manifest?;
        self.report.plugin = Some((manifest.id.clone(), manifest.version.clone()));
        self.house.names(&manifest.id);
        let commands =
            if manifest.commands.is_empty() { "none".into() } else { manifest.commands.join(", ") };
        let flows = if manifest.flows.is_empty() { "none".into() } else { manifest.flows.join(", ") };
        let about = format!("`{}` {}; flows {flows}; commands {commands}", manifest.id, manifest.version);
        self.enter("manifest", Ok(about));
        match self.house.plugin().await {
            Ok(plugin) => {
                self.enter(
                    "layout",
                    Ok(format!("its types are those of plugin ABI {ABI_VERSION}; it is loaded")),
                );
                Some(plugin)
            }
            Err(fault) => {
                self.report.refused = true;
                self.ear.hear_fault(&fault);
                let finding = Objection::failed(fault.message.clone());
                let finding = fault.hint.into_iter().fold(finding, Objection::hint);
                self.enter("layout", Err(finding));
                None
            }
        }
    }

    fn refuse(&mut self, refusal: &Refusal) -> Option<Arc<Plugin>> {
        let check = match refusal {
            Refusal::Unsafe { .. } | Refusal::Io { .. } | Refusal::Unsettled(_) | Refusal::NotAnObject(_) => {
                "file"
            }
            _ => "manifest",
        };
        self.report.refused = true;
        let objection =
            refusal.hint().into_iter().fold(Objection::failed(refusal.to_string()), Objection::hint);
        self.enter(check, Err(objection));
        None
    }

    /// Whether it says which setting is wrong.
    pub(super) async fn wrong_settings(&self, plugin: &Plugin) -> Finding {
        let schema = plugin.settings_schema();
        let one_by_one = lenient(schema);
        let connection = |settings: Map<String, Value>| StoredConnection {
            id: ConnectionId::global(plugin.id().clone()),
            provider: plugin.id().clone(),
            settings,
        };
        let refused = |key: &str, value: Value| {
            let settings = Map::from_iter([(key.to_owned(), value)]);
            connection(settings)
                .check(Given::Flags, Some(&one_by_one))
                .err()
                .map(|error| Fault::from(error).message)
        };
        if refused(NO_SETTING, "x".into()).is_none() {
            return Err(Objection::failed("a setting that it does not have is taken without a word")
                .hint("list the settings in `properties` of their schema"));
        }
        let keys = schema["properties"].as_object().into_iter().flatten().map(|(key, _)| key.as_str());
        let mut wrong = None;
        for key in keys {
            // A whole number is neither a text nor a list, a list of one neither a number nor a table.
            let candidates = [json!(-7), json!([-7]), json!({ "no": -7 })];
            let bad = candidates.into_iter().find(|value| refused(key, value.clone()).is_some());
            match bad {
                Some(bad) => wrong = wrong.or(Some((key, bad))),
                None => {
                    return Err(Objection::failed(format!("the setting `{key}` takes anything"))
                        .hint("give it a type in `Settings`"));
                }
            }
        }
        let Some((key, bad)) = wrong else {
            return Ok("it has no settings, and says so of one that it does not have".into());
        };
        // The host refuses it before; a plugin must not rely on that.
        let settings = Map::from_iter([(key.to_owned(), bad)]);
        let stored = connection(settings);
        let (id, provider, settings) = (stored.id, stored.provider, stored.settings);
        let lent = Connection { id, provider, settings, settings_generation: 0 };
        match plugin.describe(&lent).await {
            Err(fault) if fault.code == Code::InvalidConfig && fault.message.contains(key) => {
                Ok(format!("a wrong `{key}` is refused by its name: {}", fault.message))
            }
            Err(fault) if fault.code == Code::InvalidConfig => {
                self.ear.hear_fault(&fault);
                Err(Objection::failed(format!(
                    "a wrong `{key}` is refused without its name: {}",
                    fault.message
                )))
            }
            Err(fault) => {
                self.ear.hear_fault(&fault);
                Err(Objection::fault(&format!("`describe` with a wrong `{key}`"), &fault))
            }
            Ok(_) => Err(Objection::failed(format!("`describe` takes a wrong `{key}` without a word"))),
        }
    }

    /// Whether it says where a connection leads.
    pub(super) async fn description(&self, plugin: &Plugin, wishes: &Wishes, sandbox: &Sandbox) -> Finding {
        let tried = wishes.connection("trial", None, sandbox, &self.house);
        let tried = tried.map_err(|fault| Objection::fault("its settings", &fault))?;
        let (id, provider, settings) = (tried.id, tried.provider, tried.settings);
        let keys = settings.keys().cloned().collect::<Vec<_>>().join(", ");
        let connection = Connection { id, provider, settings, settings_generation: 0 };
        let empty = Connection { settings: Map::new(), ..connection.clone() };
        // Without any setting it may say what is missing, and nothing worse.
        if let Err(fault) = plugin.describe(&empty).await
            && fault.code != Code::InvalidConfig
        {
            self.ear.hear_fault(&fault);
            return Err(Objection::fault("`describe` without any setting", &fault));
        }
        let described = plugin.describe(&connection).await.map_err(|fault| {
            self.ear.hear_fault(&fault);
            Objection::fault(&format!("`describe` with the settings {keys}"), &fault)
        })?;
        let leads = described.routes.iter().filter_map(|route| route.upstream.as_deref()).collect::<Vec<_>>();
        let leads = if leads.is_empty() { "nowhere".to_owned() } else { leads.join(", ") };
        let flows: Vec<&str> = described.flows.iter().map(|flow| flow.as_str()).collect();
        let login =
            if described.needs_login { format!("login by {}", flows.join(", ")) } else { "no login".into() };
        Ok(format!("leads to {leads}; {login}; settings: {keys}"))
    }
}

/// Whether the schema of its settings is one that people can be told from.
pub(super) fn schema(schema: &Value) -> Finding {
    let wrong = |what: String| Objection::failed(what).hint("derive `JsonSchema` for `Settings`");
    let none = Map::new();
    // schemars leaves them out where there are none.
    let empty = (schema["type"] == "object").then_some(&none);
    let Some(properties) = schema["properties"].as_object().or(empty) else {
        return Err(wrong("it is no JSON Schema of an object with properties".into()));
    };
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    if let Some(unknown) = required.clone().find(|key| !properties.contains_key(*key)) {
        return Err(wrong(format!("`{unknown}` is required and no property")));
    }
    if let Some((key, _)) = properties.iter().find(|(_, property)| !property.is_object()) {
        return Err(wrong(format!("the property `{key}` is no schema")));
    }
    let dangling = properties.iter().find(|(_, property)| {
        let link = property["$ref"].as_str().and_then(|link| link.strip_prefix('#'));
        link.is_some_and(|pointer| schema.pointer(pointer).is_none())
    });
    if let Some((key, _)) = dangling {
        return Err(wrong(format!("the property `{key}` refers to a definition that is not there")));
    }
    let defaults: Map<String, Value> = properties
        .iter()
        .filter_map(|(key, property)| Some((key.clone(), property.get("default")?.clone())))
        .filter(|(_, default)| !default.is_null())
        .collect();
    let name = "trial".parse().expect("this is a name");
    let id = ConnectionId::global("trial".parse().expect("this is a name"));
    let stored = StoredConnection { id, provider: name, settings: defaults };
    if let Err(error) = stored.check(Given::Flags, Some(&lenient(schema))) {
        return Err(wrong(format!(
            "a default is not what the setting takes: {}",
            Fault::from(error).message
        )));
    }
    let bare = properties.iter().find(|(_, property)| described(property, schema).is_none());
    if let Some((key, _)) = bare {
        return Err(Objection::failed(format!("the setting `{key}` is not described"))
            .hint("write a doc comment: `auth login --help` shows its first line"));
    }
    let required: Vec<&str> = required.collect();
    let needed = if required.is_empty() {
        "none required".into()
    } else {
        format!("required: {}", required.join(", "))
    };
    Ok(format!("{} settings, each described; {needed}", properties.len()))
}

fn described<'a>(property: &'a Value, schema: &'a Value) -> Option<&'a str> {
    let own = property["description"].as_str();
    let link = property["$ref"].as_str().and_then(|link| link.strip_prefix('#'));
    own.or_else(|| schema.pointer(link?)?["description"].as_str()).filter(|text| !text.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    fn said(value: Value) -> String {
        match schema(&value) {
            Ok(seen) => seen,
            Err(objection) => super::super::Check::new("settings", Err(objection)).detail,
        }
    }

    #[test]
    fn a_schema_is_whole_and_says_what_each_setting_means() {
        let good = json!({ "type": "object", "required": ["a"], "properties": {
            "a": { "type": "string", "description": "A" },
            "b": { "$ref": "#/$defs/B" },
        }, "$defs": { "B": { "type": "string", "description": "B" } } });
        assert_eq!(said(good), "2 settings, each described; required: a");
        assert_eq!(said(json!({ "type": "object" })), "0 settings, each described; none required");
        assert_eq!(said(json!(true)), "it is no JSON Schema of an object with properties");
        let of = |property: Value| said(json!({ "type": "object", "properties": { "a": property } }));
        assert_eq!(of(json!({ "type": "string" })), "the setting `a` is not described");
        assert_eq!(of(json!(7)), "the property `a` is no schema");
        assert_eq!(
            of(json!({ "$ref": "#/$defs/X" })),
            "the property `a` refers to a definition that is not there"
        );
        let wrong = of(json!({ "type": "integer", "description": "A", "default": "x" }));
        assert!(wrong.starts_with("a default is not what the setting takes: "), "{wrong}");
        let unknown = json!({ "type": "object", "required": ["b"], "properties": {} });
        assert_eq!(said(unknown), "`b` is required and no property");
    }
}
