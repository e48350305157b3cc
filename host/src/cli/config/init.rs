//! `ccproxy config init`

use clap::Args;
use serde_json::json;

use crate::cli::context::Context;
use crate::cli::error::{CliError, Exit};
use crate::config::write_annotated;

/// Write a config.toml with every setting, its default and what it is for
///
/// A file that is there already is left alone. What is written changes nothing until it is edited.
#[derive(Args, Debug)]
pub(in crate::cli) struct InitArgs {}

pub(super) async fn run(_: InitArgs, context: Context) -> Result<Exit, CliError> {
    let path = match &context.global.config {
        Some(file) => file.clone(),
        None => context.paths()?.config_file(),
    };
    write_annotated(&path)?;
    if context.out.json {
        context.out.document(&json!({ "schema": "ccproxy.config-init/1", "path": path }))?;
    } else {
        context.out.line(&path.display().to_string())?;
        context.out.say("keep the lines you change; `ccproxy config check` finds mistakes");
    }
    Ok(Exit::OK)
}
