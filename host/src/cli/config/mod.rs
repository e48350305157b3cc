//! `ccproxy config`: what is configured, and whether it makes sense.

mod check;
mod init;
mod schema;
mod show;

use clap::Subcommand;

use super::context::Context;
use super::error::{CliError, Exit};

/// Check, show and start the configuration
#[derive(Subcommand, Debug)]
pub(super) enum ConfigCommand {
    Check(check::CheckArgs),
    Show(show::ShowArgs),
    Schema(schema::SchemaArgs),
    Init(init::InitArgs),
}

pub(super) async fn run(command: ConfigCommand, context: Context) -> Result<Exit, CliError> {
    match command {
        ConfigCommand::Check(args) => check::run(args, context).await,
        ConfigCommand::Show(args) => show::run(args, context).await,
        ConfigCommand::Schema(args) => schema::run(args, context).await,
        ConfigCommand::Init(args) => init::run(args, context).await,
    }
}
