//! From arguments to a command. `auth login` takes flags that only the provider's plugin knows.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{ArgMatches, CommandFactory, FromArgMatches};

use super::auth::login_flags::{self, SettingFlags};
use super::context::Context;
use super::error::CliError;
use super::output::Output;
use super::{Cli, Global};

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
                (with_flags(&flags).try_get_matches_from(&arguments), flags)
            }
            // Help is not withheld because the provider is unknown or cannot be loaded.
            (Some(login), ErrorKind::DisplayHelp) => {
                let flags = flags_of(&login).await.unwrap_or_default();
                (with_flags(&flags).try_get_matches_from(&arguments), flags)
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
        Err(error) => Err(error.into()),
    }
}

/// A login, read without knowing its provider's flags.
struct LooseLogin {
    global: Global,
    words: Vec<String>,
}

fn loose_login(arguments: &[OsString]) -> Option<LooseLogin> {
    let command = Cli::command().mut_subcommand("auth", |auth| {
        auth.mut_subcommand("login", |login| {
            // Unknown flags and their values fall into the one positional, in their order.
            login
                .disable_help_flag(true)
                .mut_arg("target", |target| target.num_args(1..).allow_hyphen_values(true))
        })
    });
    let matches = command.try_get_matches_from(arguments).ok()?;
    let login = login_matches(&matches)?;
    let words = login.get_many::<String>("target")?.cloned().collect();
    Some(LooseLogin { global: Global::from_arg_matches(login).ok()?, words })
}

fn login_matches(matches: &ArgMatches) -> Option<&ArgMatches> {
    matches.subcommand_matches("auth")?.subcommand_matches("login")
}

fn with_flags(flags: &SettingFlags) -> clap::Command {
    Cli::command().mut_subcommand("auth", |auth| {
        auth.mut_subcommand("login", |login| flags.arguments().fold(login, clap::Command::arg))
    })
}

/// The flags of the provider that is meant.
async fn flags_of(login: &LooseLogin) -> Result<SettingFlags, CliError> {
    let Some(target) = login_flags::target(&login.words) else { return Ok(SettingFlags::default()) };
    let (provider, schema, aliases) = Context::new(login.global.clone()).provider_schema(target).await?;
    Ok(SettingFlags::of(&provider, &schema, &aliases))
}
