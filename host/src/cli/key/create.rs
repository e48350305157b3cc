//! `ccproxy key create`

use clap::Args;

use crate::cli::context::Context;
use crate::cli::error::{CliError, Exit};
use crate::config::Config;
use crate::model::Name;

/// Make a local key and print it
///
/// It is printed this once: what is kept is a hash. Give it to a tool in the place of the key of its own API.
#[derive(Args, Debug)]
pub(in crate::cli) struct CreateArgs {
    /// What to call it
    #[arg(value_name = "NAME")]
    name: Name,
    /// Open these routes only; repeat for more, or put commas between them
    #[arg(long, value_name = "ROUTE", value_delimiter = ',')]
    routes: Vec<Name>,
    /// Open the admin API over TCP, too
    #[arg(long, conflicts_with = "routes")]
    admin: bool,
}

pub(super) async fn run(args: CreateArgs, context: Context) -> Result<Exit, CliError> {
    let config = context.config()?;
    for route in &args.routes {
        known(&config, route)?;
    }
    let mut routes = args.routes;
    routes.sort();
    routes.dedup();
    let routes = Some(routes).filter(|routes| !routes.is_empty());
    let key = super::file(&context)?.create(args.name, routes, args.admin)?;
    if context.out.json {
        let mut document = super::described(&key.kept);
        document["schema"] = "ccproxy.key-create/1".into();
        document["key"] = String::from_utf8_lossy(key.text.expose()).into();
        context.out.document(&document)?;
    } else {
        context.out.bytes(key.text.expose())?;
        context.out.bytes(b"\n")?;
    }
    context.out.remark("this key is shown once: keep it where its tool reads it");
    if let Err(error) = super::tell_host(&context).await {
        // The key is made and printed; failing now would only have it made again.
        context.out.remark(&format!("warning: the running host has not heard of it yet: {}", error.message));
    }
    Ok(Exit::OK)
}

/// Refuses a route that there is not: a key for it would open nothing.
fn known(config: &Config, route: &Name) -> Result<(), CliError> {
    let written = config.resolved.routes.keys();
    let own = config.resolved.connections.keys().filter(|id| id.is_global()).map(|id| &id.name);
    let all: Vec<&Name> = written.chain(own).collect();
    if all.contains(&route) {
        return Ok(());
    }
    Err(CliError::no_such("route", route.as_str(), all.into_iter().map(Name::as_str)))
}
