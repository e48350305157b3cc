//! `ccproxy config schema`

use clap::Args;

use crate::cli::context::Context;
use crate::cli::error::{CliError, Exit};
use crate::config::{Schemas, json_schema};

/// Print a JSON Schema of the configuration, for editors
///
/// It knows the settings of every plugin that is found and may be loaded.
#[derive(Args, Debug)]
pub(in crate::cli) struct SchemaArgs {}

pub(super) async fn run(_: SchemaArgs, context: Context) -> Result<Exit, CliError> {
    let app = context.app()?;
    let mut schemas = Schemas::new();
    for provider in app.registry().manifests().into_keys() {
        // One that may not be loaded has settings that nobody knows; `plugin list` says why.
        if let Ok(plugin) = app.registry().load(&provider).await {
            schemas.insert(provider, plugin.settings_schema().clone());
        }
    }
    context.out.document(&json_schema(&schemas))?;
    Ok(Exit::OK)
}
