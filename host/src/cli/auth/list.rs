//! `ccproxy auth list`

use clap::Args;
use serde_json::json;

use super::status::{expires_at, statuses};
use crate::app::{ConnectionStatus, shown_account};
use crate::cli::context::Context;
use crate::cli::error::{CliError, Exit};
use crate::cli::output::table;
use crate::cli::time::roughly;
use crate::model::UnixMillis;

/// List connections, one line each
#[derive(Args, Debug)]
pub(in crate::cli) struct ListArgs {}

pub(super) async fn run(_: ListArgs, context: Context) -> Result<Exit, CliError> {
    let connections = statuses(&context.host().await, &context).await?;
    if context.out.json {
        let connections: Vec<_> = connections.iter().map(member).collect();
        context.out.document(&json!({"schema": "ccproxy.auth-list/1", "connections": connections}))?;
    } else {
        let now = UnixMillis::now();
        let heading = ["CONNECTION", "PROVIDER", "ACCOUNT", "STATE", "EXPIRES", "REFRESH", "STORAGE"];
        let rows = connections.iter().map(|connection| row(connection, now));
        let rows: Vec<Vec<String>> =
            std::iter::once(heading.map(str::to_owned).to_vec()).chain(rows).collect();
        context.out.text(&table(&rows))?;
    }
    Ok(Exit::OK)
}

fn member(connection: &ConnectionStatus) -> serde_json::Value {
    json!({
        "org": connection.org,
        "name": connection.name,
        "provider": connection.provider,
        "state": connection.state,
        "account": connection.account,
        "storage": connection.storage,
    })
}

fn row(connection: &ConnectionStatus, now: UnixMillis) -> Vec<String> {
    let dash = || "—".to_owned();
    let account = connection.account.as_ref().map(shown_account).filter(|account| !account.is_empty());
    let expires = match expires_at(connection) {
        Some(at) if at <= now => "past".into(),
        Some(at) => roughly(now.until(at)).replace(' ', ""),
        None if connection.credentials.is_empty() => dash(),
        None => "never".into(),
    };
    vec![
        connection.id().to_string(),
        connection.provider.to_string(),
        account.unwrap_or_else(dash),
        connection.state.to_string(),
        expires,
        if connection.refreshable { "auto".into() } else { dash() },
        connection.storage.clone(),
    ]
}
