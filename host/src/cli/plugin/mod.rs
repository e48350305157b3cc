//! `ccproxy plugin`: what is installed, and whether it may load.

mod info;
mod list;
mod new;
mod run;
pub(super) mod test;
mod trust;
mod verify;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::Value;

use super::context::Context;
use super::error::{CliError, Exit};
use crate::app::plugins_document;
use crate::plugin::Refusal;

/// See, trust, write and try plugins
#[derive(Subcommand, Debug)]
pub(super) enum PluginCommand {
    List(list::ListArgs),
    Info(info::InfoArgs),
    Verify(verify::VerifyArgs),
    Trust(trust::TrustArgs),
    New(new::NewArgs),
    Test(test::TestArgs),
    Run(run::RunArgs),
}

pub(super) async fn run(command: PluginCommand, context: Context) -> Result<Exit, CliError> {
    match command {
        PluginCommand::List(args) => list::run(args, context).await,
        PluginCommand::Info(args) => info::run(args, context).await,
        PluginCommand::Verify(args) => verify::run(args, context),
        PluginCommand::Trust(args) => trust::run(args, context).await,
        PluginCommand::New(args) => new::run(args, context),
        PluginCommand::Test(args) => test::run(args, context).await,
        PluginCommand::Run(args) => run::run(args, context).await,
    }
}

/// How all plugin files stand: as the running host sees them, else as a host would that starts now.
async fn plugins(context: &Context) -> Result<Value, CliError> {
    match context.host().await? {
        Some(host) => host.get("plugins").await,
        None => Ok(plugins_document(context.app()?.registry())),
    }
}

/// A file that somebody named, made absolute: a host has another working directory.
fn existing(file: &Path) -> Result<PathBuf, CliError> {
    let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    match absolute.try_exists() {
        Ok(false) => Err(CliError::not_found(format!("there is no file {}", file.display()))),
        // One that cannot be looked at is refused with its reason when it is read.
        Ok(true) | Err(_) => Ok(absolute),
    }
}

fn refused(file: &Path, refusal: &Refusal) -> CliError {
    let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy();
    refusal.fault(&name).into()
}

/// A member of a plugin's document as a table shows it.
fn cell(value: &Value) -> String {
    match value {
        Value::String(text) if !text.is_empty() => text.clone(),
        Value::Array(items) if !items.is_empty() => items.iter().map(cell).collect::<Vec<_>>().join(","),
        _ => "—".into(),
    }
}
