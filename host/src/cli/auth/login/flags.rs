//! Flags made from a provider's settings schema: `tenant` becomes `--tenant`.

use std::collections::BTreeMap;

use clap::builder::ValueParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, CommandFactory};
use serde_json::Value;

use crate::config::is_secret_name;

/// The flags that one provider adds to `auth login`.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct SettingFlags {
    heading: String,
    flags: Vec<Flag>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Flag {
    setting: String,
    long: String,
    aliases: Vec<String>,
    help: String,
    is_switch: bool,
}

impl SettingFlags {
    /// Of a schema. `aliases` maps further spellings to settings. Settings that have a flag of the
    /// command's own are left out, and secrets, because argv is public.
    pub(in crate::cli) fn of(provider: &str, schema: &Value, aliases: &BTreeMap<String, String>) -> Self {
        let command = crate::cli::Cli::command();
        let own = |flag: &str| {
            let login = command.find_subcommand("auth").and_then(|auth| auth.find_subcommand("login"));
            let of = |command: &clap::Command| {
                command.get_arguments().any(|arg| arg.get_long() == Some(flag)) || flag == "help"
            };
            of(&command) || login.is_some_and(of)
        };
        let spelling = |name: &str| name.replace('_', "-");
        let properties = schema["properties"].as_object().into_iter().flatten();
        let flags = properties
            .filter(|(setting, _)| !is_secret_name(setting) && !own(&spelling(setting)))
            .map(|(setting, property)| Flag {
                setting: setting.clone(),
                long: spelling(setting),
                aliases: aliases
                    .iter()
                    .filter(|(alias, of)| *of == setting && !own(alias) && **alias != spelling(setting))
                    .map(|(alias, _)| alias.clone())
                    .collect(),
                help: first_line(property["description"].as_str().unwrap_or_default()),
                is_switch: is_boolean(&property["type"]),
            })
            .collect();
        Self { heading: format!("Settings of {provider}"), flags }
    }

    /// As arguments of the command.
    pub(in crate::cli) fn arguments(&self) -> impl Iterator<Item = Arg> + '_ {
        self.flags.iter().map(|flag| {
            let arg = Arg::new(id_of(&flag.setting))
                .long(flag.long.clone())
                .visible_aliases(flag.aliases.clone())
                .help(flag.help.clone())
                .help_heading(self.heading.clone())
                .value_parser(ValueParser::string());
            match flag.is_switch {
                // `--admin-consent`, and `--admin-consent=false` over a setting that says true.
                true => {
                    arg.value_name("BOOL").num_args(0..=1).require_equals(true).default_missing_value("true")
                }
                false => arg.value_name("VALUE").action(ArgAction::Set),
            }
        })
    }

    /// What was given, by setting.
    pub(in crate::cli) fn values(&self, login: &ArgMatches) -> Vec<(String, String)> {
        let given =
            |flag: &&Flag| login.value_source(&id_of(&flag.setting)) == Some(ValueSource::CommandLine);
        self.flags
            .iter()
            .filter(given)
            .filter_map(|flag| {
                Some((flag.setting.clone(), login.get_one::<String>(&id_of(&flag.setting))?.clone()))
            })
            .collect()
    }
}

fn id_of(setting: &str) -> String {
    format!("setting:{setting}")
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim_end_matches('.').to_owned()
}

/// `"boolean"`, or `["boolean", "null"]` as schemas write an optional one.
fn is_boolean(kind: &Value) -> bool {
    let named = |kind: &Value| kind == "boolean";
    named(kind) || kind.as_array().is_some_and(|kinds| kinds.iter().any(named))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;
    use serde_json::json;

    fn azure() -> SettingFlags {
        let schema = json!({"properties": {
            "tenant": {"type": "string", "description": "Directory to log in to.\n\nMore."},
            "admin_consent": {"type": ["boolean", "null"]},
            "client_id": {"type": "string"},
            "client_secret": {"type": "object"},
            "key": {"type": "object"},
            "timeout": {"type": "string"},
        }});
        SettingFlags::of("azure", &schema, &BTreeMap::from([("tenant-id".into(), "tenant".into())]))
    }

    fn values(line: &[&str]) -> Result<Vec<(String, String)>, clap::Error> {
        let flags = azure();
        let command = flags.arguments().fold(clap::Command::new("login"), clap::Command::arg);
        Ok(flags.values(&command.no_binary_name(true).try_get_matches_from(line)?))
    }

    #[test]
    fn a_setting_is_a_flag_under_its_name_and_its_aliases() {
        let tenant = vec![("tenant".to_owned(), "contoso".to_owned())];
        assert_eq!(values(&["--tenant", "contoso"]).unwrap(), tenant);
        assert_eq!(values(&["--tenant-id=contoso"]).unwrap(), tenant);
        assert_eq!(values(&[]).unwrap(), []);
    }

    #[test]
    fn a_switch_needs_no_value() {
        assert_eq!(values(&["--admin-consent"]).unwrap(), [("admin_consent".into(), "true".into())]);
        assert_eq!(values(&["--admin-consent=false"]).unwrap(), [("admin_consent".into(), "false".into())]);
    }

    #[test]
    fn secrets_and_flags_of_our_own_are_left_out() {
        let flags: Vec<String> = azure().flags.into_iter().map(|flag| flag.long).collect();
        assert_eq!(flags, ["admin-consent", "tenant"]);
    }
}
