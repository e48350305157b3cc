//! The command line: one file per command, laid out like the commands themselves.
//!
//! A command parses, calls the library and prints. `output` alone writes standard output, `error`
//! alone decides what a failure looks like and exits with.

mod auth;
mod client;
mod completions;
mod config;
mod context;
mod doctor;
mod env;
mod error;
mod explain;
mod hooks_tail;
mod key;
mod local_key;
mod logging;
mod man;
mod output;
mod parse;
mod plugin;
mod reload;
mod routes;
mod run;
mod serve;
mod status;
mod stop;
mod time;
mod version;

use std::ffi::OsString;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use context::Context;
use error::{CliError, Exit};
use output::Output;

/// Carry credentials for your tools
///
/// Log in once; every tool pointed at http://127.0.0.1:8462/ROUTE/ then works with a fresh
/// credential and knows none.
#[derive(Parser, Debug)]
#[command(name = "ccproxy", version, max_term_width = 100, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Read FILE instead of the user's config.toml
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Look for plugins in DIR before anywhere else
    #[arg(long, global = true, value_name = "DIR")]
    plugin_dir: Vec<PathBuf>,
    /// Print JSON documents instead of prose
    #[arg(long, global = true)]
    json: bool,
    /// Ask no questions
    #[arg(long, global = true)]
    no_input: bool,
    /// Log more; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Log errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
}

#[derive(Subcommand, Debug)]
enum Command {
    Serve(serve::ServeArgs),
    Status(status::StatusArgs),
    Reload(reload::ReloadArgs),
    Stop(stop::StopArgs),
    #[command(subcommand)]
    Auth(auth::AuthCommand),
    /// Log in: the same as `ccproxy auth login`
    Login(auth::login::LoginArgs),
    #[command(subcommand, alias = "plugins")]
    Plugin(plugin::PluginCommand),
    Routes(routes::RoutesArgs),
    Explain(explain::ExplainArgs),
    Env(env::EnvArgs),
    Run(run::RunArgs),
    #[command(subcommand, alias = "keys")]
    Key(key::KeyCommand),
    #[command(subcommand)]
    Config(config::ConfigCommand),
    #[command(subcommand)]
    Hooks(hooks_tail::HooksCommand),
    Doctor(doctor::DoctorArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
    Version(version::VersionArgs),
}

/// Runs the process's command line to its exit code.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let json = parse::wants_json(&arguments);
    match run(arguments) {
        Ok(Exit(code)) => ExitCode::from(code),
        Err(error) => {
            Output::from_environment(json).report(&error);
            ExitCode::from(error.exit.0)
        }
    }
}

fn run(arguments: Vec<OsString>) -> Result<Exit, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::failed(format!("cannot start: {error}")))?;
    let result = runtime.block_on(async {
        let Some(parse::Parsed { cli, settings }) = parse::parse(arguments).await? else {
            return Ok(Exit::OK);
        };
        let context = Context::new(cli.global);
        if let Command::Serve(args) = cli.command {
            return serve::run(args, context).await;
        }
        // It looks at its own log.
        if let Command::Plugin(plugin::PluginCommand::Test(args)) = cli.command {
            return plugin::test::run(args, context).await;
        }
        logging::start(&context.global, None);
        // Its signals are its child's.
        if let Command::Run(args) = cli.command {
            return run::run(args, context).await;
        }
        until_interrupted(cli.command, settings, context).await
    });
    // A line still awaited from standard input must not keep the process.
    runtime.shutdown_background();
    result
}

/// Ctrl-C ends a command at once, but for one that may have spent a refresh token whose successor is
/// on its way: that takes a second one.
async fn until_interrupted(
    command: Command,
    settings: Vec<(String, String)>,
    context: Context,
) -> Result<Exit, CliError> {
    let logs_in = match &command {
        Command::Auth(command) => command.logs_in(),
        other => matches!(other, Command::Login(_)),
    };
    let spends = matches!(&command, Command::Auth(command) if command.spends_grants());
    let mut running = pin!(dispatch(command, settings, context));
    tokio::select! {
        result = &mut running => return result,
        _ = tokio::signal::ctrl_c() => {}
    }
    if spends {
        Output::from_environment(false).say("waiting for the provider's answer; Ctrl-C again to give up");
        tokio::select! {
            result = &mut running => return result,
            _ = tokio::signal::ctrl_c() => {}
        }
    }
    Err(CliError::cancelled(if logs_in { "cancelled: nothing was saved" } else { "cancelled" }))
}

async fn dispatch(
    command: Command,
    settings: Vec<(String, String)>,
    context: Context,
) -> Result<Exit, CliError> {
    match command {
        Command::Serve(args) => serve::run(args, context).await,
        Command::Status(args) => status::run(args, context).await,
        Command::Reload(args) => reload::run(args, context).await,
        Command::Stop(args) => stop::run(args, context).await,
        Command::Auth(command) => auth::run(command, settings, context).await,
        Command::Login(args) => auth::login::run(args, settings, context).await,
        Command::Plugin(command) => plugin::run(command, context).await,
        Command::Routes(args) => routes::run(args, context).await,
        Command::Explain(args) => explain::run(args, context).await,
        Command::Env(args) => env::run(args, context).await,
        Command::Run(args) => run::run(args, context).await,
        Command::Key(command) => key::run(command, context).await,
        Command::Config(command) => config::run(command, context).await,
        Command::Hooks(command) => hooks_tail::run(command, context).await,
        Command::Doctor(args) => doctor::run(args, context).await,
        Command::Completions(args) => completions::run(args, context),
        Command::Man(args) => man::run(args, context),
        Command::Version(args) => version::run(args, context),
    }
}

#[cfg(test)]
mod tests;
