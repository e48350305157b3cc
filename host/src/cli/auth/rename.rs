//! `ccproxy auth rename`

use clap::Args;
use serde_json::{Value, json};

use crate::cli::context::Context;
use crate::cli::error::{CliError, Exit};
use crate::model::ConnectionId;

/// Give a connection another name
///
/// Its grant moves with it, so nobody has to log in again. What it was called before is free afterwards.
#[derive(Args, Debug)]
pub(in crate::cli) struct RenameArgs {
    /// The connection
    #[arg(value_name = "[ORG/]CONNECTION")]
    from: ConnectionId,
    /// What it shall be called
    #[arg(value_name = "[ORG/]NAME")]
    to: ConnectionId,
}

pub(super) async fn run(args: RenameArgs, context: Context) -> Result<Exit, CliError> {
    let RenameArgs { from, to } = args;
    context.known(&from)?;
    let answer = match context.host().await? {
        Some(host) => host.post_to(&from, "rename", json!({ "to": to.to_string() })).await?,
        None => context.app()?.rename(&from, &to).await?,
    };
    if context.out.json {
        context.out.document(&answer)?;
    } else {
        context.out.line(&format!("`{from}` is now `{to}`"))?;
        for route in answer["routes"].as_array().into_iter().flatten() {
            context.out.say(&hint(route, &to));
        }
    }
    Ok(Exit::OK)
}

/// A written route that still names the old one leads nowhere until somebody changes it.
fn hint(route: &Value, to: &ConnectionId) -> String {
    let text = |member: &str| route[member].as_str().unwrap_or_default();
    format!(
        "hint: the route `{}` names the old one: write `connection = \"{to}\"` in {}",
        text("name"),
        text("written_at"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn a_route_that_names_the_old_one_is_told_with_its_place() {
        let route = json!({ "name": "graph", "written_at": "/etc/ccproxy/config.toml:3:1" });
        assert_eq!(
            hint(&route, &"work".parse().unwrap()),
            "hint: the route `graph` names the old one: write `connection = \"work\"` in /etc/ccproxy/config.toml:3:1"
        );
    }
}
