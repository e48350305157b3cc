//! `ccproxy auth`: logins and what became of them.

mod list;
pub(super) mod login;
mod logout;
mod refresh;
mod rename;
mod status;
mod test;
mod token;

use clap::Subcommand;

use super::context::Context;
use super::error::{CliError, Exit};

/// Log in, and see what became of it
#[derive(Subcommand, Debug)]
pub(super) enum AuthCommand {
    #[command(alias = "add")]
    Login(login::LoginArgs),
    Create(login::CreateArgs),
    Status(status::StatusArgs),
    List(list::ListArgs),
    #[command(alias = "renew")]
    Refresh(refresh::RefreshArgs),
    #[command(alias = "remove")]
    Logout(logout::LogoutArgs),
    Rename(rename::RenameArgs),
    Token(token::TokenArgs),
    Test(test::TestArgs),
}

impl AuthCommand {
    /// Whether the command may use a grant up, so that its end must reach the store.
    pub(super) fn spends_grants(&self) -> bool {
        match self {
            Self::Refresh(_) | Self::Rename(_) | Self::Token(_) | Self::Test(_) => true,
            Self::Status(args) => args.checks(),
            Self::Login(_) | Self::Create(_) | Self::List(_) | Self::Logout(_) => false,
        }
    }

    /// Whether the command logs in, and saves nothing unless that succeeds.
    pub(super) fn logs_in(&self) -> bool {
        matches!(self, Self::Login(_) | Self::Create(_))
    }
}

pub(super) async fn run(
    command: AuthCommand,
    settings: Vec<(String, String)>,
    context: Context,
) -> Result<Exit, CliError> {
    match command {
        AuthCommand::Login(args) => login::run(args, settings, context).await,
        AuthCommand::Create(args) => login::create(args, settings, context).await,
        AuthCommand::Status(args) => status::run(args, context).await,
        AuthCommand::List(args) => list::run(args, context).await,
        AuthCommand::Refresh(args) => refresh::run(args, context).await,
        AuthCommand::Logout(args) => logout::run(args, context).await,
        AuthCommand::Rename(args) => rename::run(args, context).await,
        AuthCommand::Token(args) => token::run(args, context).await,
        AuthCommand::Test(args) => test::run(args, context).await,
    }
}
