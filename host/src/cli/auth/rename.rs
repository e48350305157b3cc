//! `ccproxy auth rename`

use clap::Args;
use serde_json::json;

use crate::cli::context::Context;
use crate::cli::error::{CliError, Exit};
use crate::model::ConnectionId;

/// Give a connection another name
///
/// Its grant moves with it, so nobody has to log in again. What it was called before is free afterwards. Routes
/// written in a file must name the new one first.
#[derive(Args, Debug)]
pub(in crate::cli) struct RenameArgs {
    /// The connection
    #[arg(value_name = "[ORG/]CONNECTION")]
    from: ConnectionId,
    /// What it shall be called
    #[arg(value_name = "[ORG/]NAME")]
    to: ConnectionId,
}

pub(super) async fn run(args: RenameArgs, context: Context) -> Result<Exit, CliError> {
    let RenameArgs { from, to } = args;
    context.known(&from)?;
    let answer = match context.host().await? {
        Some(host) => host.post_to(&from, "rename", json!({ "to": to.to_string() })).await?,
        None => context.app()?.rename(&from, &to).await?,
    };
    if context.out.json {
        context.out.document(&answer)?;
    } else {
        context.out.line(&format!("`{from}` is now `{to}`"))?;
    }
    Ok(Exit::OK)
}
