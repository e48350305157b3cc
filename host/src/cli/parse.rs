//! From arguments to a command. `auth login` takes flags that only the provider's plugin knows.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, CommandFactory, FromArgMatches};

use super::auth::login::flags::SettingFlags;
use super::context::Context;
use super::error::CliError;
use super::output::Output;
use super::{Cli, Global};
use crate::app::App;

/// A command line that makes sense.
pub(super) struct Parsed {
    pub(super) cli: Cli,
    /// Settings of the provider given as flags of their own, by their name in the schema.
    pub(super) settings: Vec<(String, String)>,
}

/// Whether errors are to be documents, known before the line could be parsed.
pub(super) fn wants_json(arguments: &[OsString]) -> bool {
    arguments.iter().take_while(|argument| *argument != "--").any(|argument| argument == "--json")
}

/// Parses; `None` when the line only asked for help or the version, which is printed then.
pub(super) async fn parse(arguments: Vec<OsString>) -> Result<Option<Parsed>, CliError> {
    let out = Output::from_environment(wants_json(&arguments));
    let first = Cli::command().try_get_matches_from(&arguments);
    let (matches, flags) = match first {
        Ok(matches) => (Ok(matches), SettingFlags::default()),
        Err(error) => match (loose_login(&arguments), error.kind()) {
            (Some(login), ErrorKind::UnknownArgument) => {
                let flags = flags_of(&login).await?;
                (with_arguments(flags.arguments()).try_get_matches_from(&arguments), flags)
            }
            // Help is not withheld because the provider is unknown or cannot be loaded.
            (Some(login), ErrorKind::DisplayHelp) => {
                let flags = flags_of(&login).await.unwrap_or_default();
                (with_arguments(flags.arguments()).try_get_matches_from(&arguments), flags)
            }
            _ => (Err(error), SettingFlags::default()),
        },
    };
    match matches {
        Ok(matches) => {
            let settings = login_matches(&matches).map(|login| flags.values(login)).unwrap_or_default();
            Ok(Some(Parsed { cli: Cli::from_arg_matches(&matches)?, settings }))
        }
        Err(error) if !error.use_stderr() => {
            out.text(&error.render().to_string())?;
            Ok(None)
        }
        Err(error) => Err(unknown(error, &arguments)),
    }
}

/// A line that makes no sense. A word that is a command of a plugin is one in another place.
fn unknown(error: clap::Error, arguments: &[OsString]) -> CliError {
    let word = match (error.kind(), error.get(ContextKind::InvalidSubcommand)) {
        (ErrorKind::InvalidSubcommand, Some(ContextValue::String(word))) => word.clone(),
        _ => return error.into(),
    };
    let first = arguments.iter().skip(1).find(|argument| !argument.to_string_lossy().starts_with('-'));
    let plugin = match first.is_some_and(|first| first == word.as_str()) {
        true => plugin_with(&word),
        false => None,
    };
    let told = CliError::from(error);
    match plugin {
        Some(plugin) => told.hint(format!("ccproxy plugin run {plugin} {word}")),
        None => told,
    }
}

/// The plugin that has a command of this name. Read from its manifest; nothing is loaded.
fn plugin_with(command: &str) -> Option<String> {
    let app = App::open_to_look(Context::new(Global::default()).config().ok()?).ok()?;
    let manifests = app.registry().manifests();
    let (id, _) = manifests.iter().find(|(_, own)| own.commands.iter().any(|known| known == command))?;
    Some(id.to_string())
}

/// The commands that log in. Their flags depend on whom to.
const LOGINS: [&[&str]; 3] = [&["auth", "login"], &["auth", "create"], &["login"]];

/// A login, read without knowing its provider's flags.
struct LooseLogin {
    global: Global,
    target: String,
}

/// Takes one unknown flag after the other for a flag with a value, until the line can be read.
fn loose_login(arguments: &[OsString]) -> Option<LooseLogin> {
    let help = Arg::new("help").short('h').long("help").action(ArgAction::SetTrue);
    let mut command = every_login(Cli::command(), &|login| login.disable_help_flag(true).arg(help.clone()));
    for _ in arguments {
        let error = match command.clone().try_get_matches_from(arguments) {
            Ok(matches) => return read_loosely(login_matches(&matches)?),
            Err(error) => error,
        };
        let Some(ContextValue::String(unknown)) = error.get(ContextKind::InvalidArg) else { return None };
        let flag = unknown.strip_prefix("--")?.to_owned();
        if error.kind() != ErrorKind::UnknownArgument || knows(&command, &flag) {
            return None;
        }
        let unknown = Arg::new(flag.clone()).long(flag.clone()).num_args(0..=1).action(ArgAction::Append);
        command = every_login(command, &|login| match has(&login, &flag) {
            true => login,
            false => login.arg(unknown.clone()),
        });
    }
    None
}

/// Whether each of them has the flag, so that adding it would not help.
fn knows(command: &clap::Command, flag: &str) -> bool {
    logins(command).all(|login| has(login, flag))
}

fn has(command: &clap::Command, flag: &str) -> bool {
    command.get_arguments().any(|arg| arg.get_id() == flag || arg.get_long() == Some(flag))
}

fn read_loosely(login: &ArgMatches) -> Option<LooseLogin> {
    // `auth create NAME --provider P` names the provider apart.
    let target = login.try_get_one::<String>("target").ok().flatten();
    let target = target.or_else(|| login.try_get_one::<String>("provider").ok().flatten())?.clone();
    Some(LooseLogin { global: Global::from_arg_matches(login).ok()?, target })
}

/// The commands that log in, of a tree.
pub(super) fn logins(command: &clap::Command) -> impl Iterator<Item = &clap::Command> {
    LOGINS.iter().filter_map(move |path| path.iter().try_fold(command, |at, name| at.find_subcommand(name)))
}

fn every_login(command: clap::Command, change: &dyn Fn(clap::Command) -> clap::Command) -> clap::Command {
    fn at(
        command: clap::Command,
        path: &[&'static str],
        change: &dyn Fn(clap::Command) -> clap::Command,
    ) -> clap::Command {
        match path {
            [] => change(command),
            [first, rest @ ..] => command.mut_subcommand(first, |below| at(below, rest, change)),
        }
    }
    LOGINS.iter().fold(command, |command, path| at(command, path, change))
}

fn login_matches(matches: &ArgMatches) -> Option<&ArgMatches> {
    LOGINS.iter().find_map(|path| path.iter().try_fold(matches, |at, name| at.subcommand_matches(name)))
}

fn with_arguments(arguments: impl IntoIterator<Item = Arg>) -> clap::Command {
    let arguments: Vec<Arg> = arguments.into_iter().collect();
    every_login(Cli::command(), &|login| login.args(arguments.clone()))
}

/// The flags of the provider that is meant.
async fn flags_of(login: &LooseLogin) -> Result<SettingFlags, CliError> {
    let target = &login.target;
    let (provider, schema, aliases) = Context::new(login.global.clone()).provider_schema(target).await?;
    Ok(SettingFlags::of(&provider, &schema, &aliases))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;
    use serde_json::json;

    fn arguments(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn a_login_is_read_past_flags_that_only_its_provider_knows() {
        for line in [
            "ccproxy auth login azure --tenant contoso --json --plugin-dir /p --admin-consent",
            "ccproxy --json auth login --tenant contoso azure --plugin-dir=/p",
            "ccproxy auth login --tenant=contoso --json azure --plugin-dir /p -h",
            "ccproxy auth login azure --json --plugin-dir /p --help",
            "ccproxy auth login azure --json --plugin-dir /p --tenant a --tenant b",
            "ccproxy auth create work --provider azure --tenant a --json --plugin-dir /p --admin-consent",
            "ccproxy login azure --json --plugin-dir /p --tenant a",
            "ccproxy auth add azure --json --plugin-dir /p --tenant a",
        ] {
            let login = loose_login(&arguments(line)).unwrap_or_else(|| panic!("{line}"));
            assert_eq!(login.target, "azure", "{line}");
            assert!(login.global.json, "{line}");
            assert_eq!(login.global.plugin_dir, [std::path::Path::new("/p")], "{line}");
        }
    }

    #[test]
    fn what_no_flag_can_mend_is_not_read_past() {
        for line in [
            "ccproxy auth status --tenant x",
            "ccproxy auth login --tenant",
            "ccproxy auth login azure another",
            "ccproxy auth login azure -x",
            "ccproxy auth login azure --flow nonsense",
        ] {
            assert!(loose_login(&arguments(line)).is_none(), "{line}");
        }
    }

    #[test]
    fn with_the_flags_of_its_provider_the_line_means_something() {
        let schema = json!({"properties": {"tenant": {}, "admin_consent": {"type": "boolean"}}});
        let flags = SettingFlags::of("azure", &schema, &Default::default());
        let parse = |line: &str| with_arguments(flags.arguments()).try_get_matches_from(arguments(line));
        let matches = parse("ccproxy auth login --tenant contoso azure --admin-consent").unwrap();
        let given = flags.values(login_matches(&matches).unwrap());
        let setting = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(given, [setting("admin_consent", "true"), setting("tenant", "contoso")]);
        let error = CliError::from(parse("ccproxy auth login azure --tenat contoso").unwrap_err());
        assert_eq!(error.hint.as_deref(), Some("did you mean `--tenant`?"));
    }

    #[test]
    fn errors_are_documents_as_soon_as_json_is_asked_for() {
        assert!(wants_json(&arguments("ccproxy auth statsu --json")));
        assert!(!wants_json(&arguments("ccproxy auth status")));
        assert!(!wants_json(&arguments("ccproxy auth status -- --json")));
    }
}
