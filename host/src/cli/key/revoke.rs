//! `ccproxy key revoke`

use clap::Args;
use serde_json::json;

use crate::cli::context::Context;
use crate::cli::error::{CliError, Exit};
use crate::model::Name;

/// Revoke a local key: whoever has it is let in no more
#[derive(Args, Debug)]
pub(in crate::cli) struct RevokeArgs {
    /// The key's name
    #[arg(value_name = "NAME")]
    name: Name,
}

pub(super) async fn run(args: RevokeArgs, context: Context) -> Result<Exit, CliError> {
    let name = &args.name;
    if let Err(known) = super::file(&context)?.revoke(name)? {
        return Err(CliError::no_such("key", name.as_str(), known.iter().map(Name::as_str)));
    }
    super::tell_host(&context).await.map_err(|error| {
        let message = format!("the key `{name}` is revoked, but the running host has not said that it knows");
        CliError::try_again(format!("{message}: {}", error.message))
            .hint("it reads the list again by itself; `ccproxy key list` tells what is in it")
    })?;
    if context.out.json {
        context.out.document(&json!({ "schema": "ccproxy.key-revoke/1", "name": name }))?;
    } else {
        context.out.line(&format!("revoked {name}"))?;
    }
    Ok(Exit::OK)
}
