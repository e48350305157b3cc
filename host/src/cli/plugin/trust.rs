//! `ccproxy plugin trust`

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{cell, existing, refused};
use crate::app::plugin_document;
use crate::cli::context::Context;
use crate::cli::error::{CliError, Exit};

/// Trust a plugin file from now on
///
/// A plugin runs inside ccproxy and can read every token it holds. A running host picks it up at once.
#[derive(Args, Debug)]
pub(in crate::cli) struct TrustArgs {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(super) async fn run(args: TrustArgs, context: Context) -> Result<Exit, CliError> {
    let file = existing(&args.file)?;
    let plugin = match context.host().await? {
        Some(host) => host.post("plugins/trust", json!({ "file": file })).await?,
        None => {
            let trusted = context.app()?.registry().trust(&file);
            plugin_document(&trusted.map_err(|refusal| refused(&file, &refusal))?)
        }
    };
    if context.out.json {
        context.out.document(&json!({"schema": "ccproxy.plugin/1", "plugin": plugin}))?;
    } else {
        let (id, version, sha256) = (cell(&plugin["id"]), cell(&plugin["version"]), cell(&plugin["sha256"]));
        context.out.line(&format!("trusted `{id}` {version} (sha256 {sha256})"))?;
    }
    match plugin["reason"].as_str() {
        // Trusted all the same: it is what the person said.
        Some(reason) if plugin["state"] != "shadowed" => {
            context.out.remark(&format!("warning: it does not serve: {reason}"));
            if let Some(hint) = plugin["hint"].as_str() {
                context.out.remark(&format!("hint: {hint}"));
            }
        }
        _ => {}
    }
    Ok(Exit::OK)
}
