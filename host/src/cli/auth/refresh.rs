//! `ccproxy auth refresh`

use clap::Args;
use serde_json::json;

use crate::cli::context::Context;
use crate::cli::error::{CliError, Exit};
use crate::cli::time::roughly;
use crate::model::{ConnectionId, UnixMillis};

/// Acquire a new token now
#[derive(Args, Debug)]
pub(in crate::cli) struct RefreshArgs {
    /// The connection
    #[arg(value_name = "[ORG/]CONNECTION")]
    connection: ConnectionId,
}

pub(super) async fn run(args: RefreshArgs, context: Context) -> Result<Exit, CliError> {
    let id = args.connection;
    context.known(&id)?;
    let answer = match context.host().await? {
        Some(host) => host.post_to(&id, "refresh", json!({})).await?,
        None => context.app()?.refresh(&id).await?,
    };
    let expires_at = answer["expires_at"].as_str();
    if context.out.json {
        context.out.document(&json!({
            "schema": "ccproxy.auth-refresh/1",
            "connection": id.to_string(),
            "expires_at": expires_at,
        }))?;
    } else {
        let life = expires_at.and_then(crate::cli::time::parse_rfc3339);
        let life = life.map(|at| format!(", expires in {}", roughly(UnixMillis::now().until(at))));
        context.out.line(&format!("refreshed `{id}`{}", life.unwrap_or_default()))?;
    }
    Ok(Exit::OK)
}
