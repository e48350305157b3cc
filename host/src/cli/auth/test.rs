//! `ccproxy auth test`

use clap::Args;
use serde_json::json;

use super::status::account_of;
use crate::app::shown_account;
use crate::cli::context::Context;
use crate::cli::error::{CliError, Exit};
use crate::model::ConnectionId;
use crate::vault::Account;

/// Acquire a token and ask the provider whose account it is
#[derive(Args, Debug)]
pub(in crate::cli) struct TestArgs {
    /// The connection
    #[arg(value_name = "[ORG/]CONNECTION")]
    connection: ConnectionId,
}

pub(super) async fn run(args: TestArgs, context: Context) -> Result<Exit, CliError> {
    let id = args.connection;
    context.known(&id)?;
    let account = test(&id, &context).await?;
    if context.out.json {
        context.out.document(&json!({
            "schema": "ccproxy.auth-test/1",
            "connection": id.to_string(),
            "account": account,
        }))?;
    } else {
        let who = shown_account(&account);
        let who = if who.is_empty() { "the provider names no account".to_owned() } else { who };
        context.out.line(&format!("`{id}` works: {who}"))?;
    }
    Ok(Exit::OK)
}

/// Whose account a connection is, asked now.
pub(super) async fn test(id: &ConnectionId, context: &Context) -> Result<Account, CliError> {
    let answer = match context.host().await? {
        Some(host) => host.post_to(id, "test", json!({})).await?,
        None => context.app()?.test(id).await?,
    };
    Ok(account_of(&answer["account"]).unwrap_or_default())
}
