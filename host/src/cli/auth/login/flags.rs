//! Flags made from a provider's settings schema: `tenant` becomes `--tenant`.

use std::collections::BTreeMap;

use clap::builder::ValueParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, CommandFactory};
use serde_json::Value;

use crate::cli::parse::logins;
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
    takes: Takes,
}

/// How a flag of a setting is typed. What it means is for the schema to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    /// `--tenant X`.
    Value,
    /// `--required-scopes a --required-scopes b`, or `--required-scopes a,b`.
    List,
    /// `--admin-consent`, and `--admin-consent=false` over a setting that says true.
    Switch,
}

impl SettingFlags {
    /// Of a schema. `aliases` maps further spellings to settings. Settings that have a flag of the
    /// command's own are left out, and secrets, because argv is public.
    pub(in crate::cli) fn of(provider: &str, schema: &Value, aliases: &BTreeMap<String, String>) -> Self {
        let command = crate::cli::Cli::command();
        let own = |flag: &str| {
            let of =
                |command: &clap::Command| command.get_arguments().any(|arg| arg.get_long() == Some(flag));
            flag == "help" || of(&command) || logins(&command).any(of)
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
                takes: Takes::of(&property["type"]),
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
            match flag.takes {
                Takes::Value => arg.value_name("VALUE").action(ArgAction::Set),
                Takes::List => arg.value_name("VALUE").action(ArgAction::Append),
                Takes::Switch => {
                    arg.value_name("BOOL").num_args(0..=1).require_equals(true).default_missing_value("true")
                }
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
                let values = login.get_many::<String>(&id_of(&flag.setting))?;
                // Only a list is ever given twice.
                let values: Vec<&str> = values.map(String::as_str).collect();
                Some((flag.setting.clone(), values.join(",")))
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

impl Takes {
    /// Of the type in a schema: `"boolean"`, or `["boolean", "null"]` as schemas write an optional one.
    fn of(kind: &Value) -> Self {
        let is = |name: &str| {
            *kind == name || kind.as_array().is_some_and(|all| all.iter().any(|one| one == name))
        };
        if is("boolean") {
            Self::Switch
        } else if is("array") {
            Self::List
        } else {
            Self::Value
        }
    }
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
            "required_scopes": {"type": ["array", "null"]},
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
    fn a_list_is_given_at_once_or_piece_by_piece_and_nothing_else_is_given_twice() {
        let both = vec![("required_scopes".to_owned(), "a,b".to_owned())];
        assert_eq!(values(&["--required-scopes", "a", "--required-scopes", "b"]).unwrap(), both);
        assert_eq!(values(&["--required-scopes", "a,b"]).unwrap(), both);
        assert!(values(&["--tenant", "a", "--tenant-id", "b"]).is_err());
    }

    #[test]
    fn secrets_and_flags_of_our_own_are_left_out() {
        let flags: Vec<String> = azure().flags.into_iter().map(|flag| flag.long).collect();
        assert_eq!(flags, ["admin-consent", "required-scopes", "tenant"]);
    }
}
