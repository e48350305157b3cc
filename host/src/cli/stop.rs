//! `ccproxy stop`

use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio::time::timeout;

use super::context::Context;
use super::error::{CliError, Exit};

/// What a host may take beyond its drain timeout: a refresh under way, its plugins' last calls.
const GRACE: Duration = Duration::from_secs(30);

/// End the running host, and wait until it has ended
///
/// Requests under way may finish within `server.drain_timeout`.
#[derive(Args, Debug)]
pub(super) struct StopArgs {
    /// Break off the requests under way
    #[arg(long)]
    now: bool,
}

pub(super) async fn run(args: StopArgs, context: Context) -> Result<Exit, CliError> {
    let host = context.running_host().await?;
    // Before it is asked: afterwards its number may be another's.
    let end = host.end();
    let answer = host.post("stop", json!({ "now": args.now })).await?;
    let drain = Duration::from_millis(answer["drain_timeout_ms"].as_u64().unwrap_or_default());
    let pid = host.status.pid;
    if timeout(drain.saturating_add(GRACE), end).await.is_err() {
        let text = format!("the host (pid {pid}) has not ended yet");
        return Err(CliError::try_again(text).hint("ccproxy stop --now"));
    }
    if context.out.json {
        context.out.document(&json!({ "schema": "ccproxy.stop/1", "pid": pid, "stopped": true }))?;
    } else {
        context.out.line(&format!("stopped (pid {pid})"))?;
    }
    Ok(Exit::OK)
}
