//! `ccproxy auth logout`

use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::context::Context;
use crate::cli::error::{CliError, Exit};
use crate::model::{ConnectionId, Name};

/// Revoke a grant and forget it
///
/// The connection itself stays: `ccproxy auth login` brings it back.
#[derive(Args, Debug)]
pub(in crate::cli) struct LogoutArgs {
    /// The connection
    #[arg(value_name = "[ORG/]CONNECTION", required_unless_present = "all", conflicts_with = "all")]
    connection: Option<ConnectionId>,
    /// Log out of every connection
    #[arg(long)]
    all: bool,
    /// Forget the grant without telling the provider
    #[arg(long)]
    no_revoke: bool,
}

pub(super) async fn run(args: LogoutArgs, context: Context) -> Result<Exit, CliError> {
    let ids = match &args.connection {
        Some(id) => {
            context.known(id)?;
            vec![id.clone()]
        }
        None => context.config()?.resolved.connections.keys().cloned().collect(),
    };
    let mut failed = None;
    let mut done = Vec::new();
    for id in ids {
        match logout(&id, !args.no_revoke, &context).await {
            Ok(answer) => done.push(Outcome::new(id, &answer)),
            // The others are still logged out of; the first failure is what the command exits with.
            Err(error) if args.all => {
                context.out.report(&error);
                failed.get_or_insert(error.exit);
            }
            Err(error) => return Err(error),
        }
    }
    print(&done, &context)?;
    Ok(failed.unwrap_or(Exit::OK))
}

async fn logout(id: &ConnectionId, revoke: bool, context: &Context) -> Result<Value, CliError> {
    match context.host().await? {
        Some(host) => host.post_to(id, "logout", json!({ "revoke": revoke })).await,
        None => Ok(context.app()?.logout(id, revoke).await?),
    }
}

#[derive(Serialize)]
struct Outcome {
    org: Name,
    name: Name,
    revoked: bool,
    message: Option<String>,
}

impl Outcome {
    fn new(id: ConnectionId, answer: &Value) -> Self {
        Self {
            org: id.org,
            name: id.name,
            revoked: answer["revoked"].as_bool().unwrap_or(false),
            message: answer["message"].as_str().filter(|text| !text.is_empty()).map(str::to_owned),
        }
    }

    fn prose(&self) -> String {
        let id = ConnectionId { org: self.org.clone(), name: self.name.clone() };
        let what = if self.revoked { "revoked and forgotten" } else { "forgotten" };
        let why = self.message.as_ref().map(|message| format!(" ({message})")).unwrap_or_default();
        format!("`{id}` is logged out: {what}{why}")
    }
}

fn print(done: &[Outcome], context: &Context) -> Result<(), CliError> {
    if context.out.json {
        return context.out.document(&json!({"schema": "ccproxy.auth-logout/1", "connections": done}));
    }
    done.iter().try_for_each(|outcome| context.out.line(&outcome.prose()))
}
