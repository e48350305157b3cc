//! `ccproxy config check`

use clap::Args;
use serde_json::json;

use crate::cli::context::Context;
use crate::cli::error::{CliError, Exit};
use crate::config::ConfigError;

/// Check the configuration, settings of plugins included
#[derive(Args, Debug)]
pub(in crate::cli) struct CheckArgs {}

pub(super) async fn run(_: CheckArgs, context: Context) -> Result<Exit, CliError> {
    let config = context.config()?;
    config.check_supported()?;
    config.check_exposure()?;
    config.check_references()?;
    let app = context.app()?;
    let mut problems = Vec::new();
    let mut unchecked = Vec::new();
    for (id, own) in &config.resolved.connections {
        match app.registry().load(&own.provider).await {
            Ok(plugin) => problems.extend(config.check_settings(id, plugin.settings_schema())),
            // The host serves on without it, so the configuration is not wrong for that.
            Err(fault) => unchecked.push((id, fault)),
        }
    }
    ConfigError::check(problems)?;
    for (id, fault) in &unchecked {
        context.out.remark(&format!("warning: the settings of `{id}` were not checked: {fault}"));
    }
    if context.out.json {
        let unchecked: Vec<String> = unchecked.iter().map(|(id, _)| id.to_string()).collect();
        context
            .out
            .document(&json!({"schema": "ccproxy.config-check/1", "ok": true, "unchecked": unchecked}))?;
    } else {
        context.out.line("the configuration is good")?;
    }
    Ok(Exit::OK)
}
