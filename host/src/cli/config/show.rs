//! `ccproxy config show`

use clap::Args;

use crate::cli::context::Context;
use crate::cli::error::{CliError, Exit};
use crate::config::Schemas;

/// Print every value in effect
#[derive(Args, Debug)]
pub(in crate::cli) struct ShowArgs {
    /// Print where each value came from
    #[arg(long)]
    origin: bool,
}

pub(super) async fn run(args: ShowArgs, context: Context) -> Result<Exit, CliError> {
    let app = context.app()?;
    let config = app.config();
    let mut schemas = Schemas::new();
    for own in config.resolved.connections.values() {
        // A provider whose plugin cannot be used has no defaults to show.
        if !schemas.contains_key(&own.provider)
            && let Ok(plugin) = app.registry().load(&own.provider).await
        {
            schemas.insert(own.provider.clone(), plugin.settings_schema().clone());
        }
    }
    if context.out.json {
        context.out.document(&config.show_json(&schemas))?;
    } else {
        context.out.text(&config.show(args.origin, &schemas))?;
    }
    Ok(Exit::OK)
}
