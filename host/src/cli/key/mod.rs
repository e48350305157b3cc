//! `ccproxy key`: local keys, for tools whose socket does not say that they are ours.

mod create;
mod list;
mod revoke;

use clap::Subcommand;
use serde_json::{Value, json};

use super::context::Context;
use super::error::{CliError, Exit};
use crate::keys::{KeyFile, LocalKey};

/// Make, list and revoke local keys
#[derive(Subcommand, Debug)]
pub(super) enum KeyCommand {
    Create(create::CreateArgs),
    List(list::ListArgs),
    Revoke(revoke::RevokeArgs),
}

pub(super) async fn run(command: KeyCommand, context: Context) -> Result<Exit, CliError> {
    match command {
        KeyCommand::Create(args) => create::run(args, context).await,
        KeyCommand::List(args) => list::run(args, context).await,
        KeyCommand::Revoke(args) => revoke::run(args, context).await,
    }
}

fn file(context: &Context) -> Result<KeyFile, CliError> {
    Ok(KeyFile::at(context.paths()?.local_keys()))
}

/// Has the running host, if there is one, take over what was just written: without it the host would notice, but
/// a little later than this command ends.
async fn tell_host(context: &Context) -> Result<(), CliError> {
    if let Some(host) = context.host().await? {
        host.post("keys/reload", json!({})).await?;
    }
    Ok(())
}

/// What may be told of a key.
fn described(key: &LocalKey) -> Value {
    json!({
        "name": key.name,
        "routes": key.routes,
        "admin": key.admin,
        "created_at": key.created_at,
        "fingerprint": key.fingerprint(),
    })
}
