//! `ccproxy key list`

use clap::Args;
use serde_json::{Value, json};

use crate::cli::context::Context;
use crate::cli::error::{CliError, Exit};
use crate::cli::output::table;
use crate::keys::LocalKey;

/// List local keys, not what they are
///
/// A fingerprint is the first 8 hex digits of the key's SHA-256: printf %s "$KEY" | sha256sum
#[derive(Args, Debug)]
pub(in crate::cli) struct ListArgs {}

pub(super) async fn run(_: ListArgs, context: Context) -> Result<Exit, CliError> {
    let keys = super::file(&context)?.read()?;
    if context.out.json {
        let keys: Vec<Value> = keys.iter().map(super::described).collect();
        context.out.document(&json!({ "schema": "ccproxy.keys/1", "keys": keys }))?;
    } else if keys.is_empty() {
        context.out.remark("there is no local key yet\nhint: ccproxy key create NAME");
    } else {
        context.out.text(&prose(&keys))?;
    }
    Ok(Exit::OK)
}

fn prose(keys: &[LocalKey]) -> String {
    let heading = ["NAME", "OPENS", "CREATED", "FINGERPRINT"].map(str::to_owned).to_vec();
    let rows = keys
        .iter()
        .map(|key| vec![key.name.to_string(), opens(key), key.created_at.clone(), key.fingerprint()]);
    table(&std::iter::once(heading).chain(rows).collect::<Vec<_>>())
}

fn opens(key: &LocalKey) -> String {
    match &key.routes {
        Some(routes) => routes.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
        None if key.admin => "all routes, admin".into(),
        None => "all routes".into(),
    }
}
