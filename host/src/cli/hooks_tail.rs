//! `ccproxy hooks tail`

use clap::{Args, Subcommand};
use serde_json::Value;

use super::context::Context;
use super::error::{CliError, Exit};

/// See what the running host does
#[derive(Subcommand, Debug)]
pub(super) enum HooksCommand {
    Tail(TailArgs),
}

/// Print hook events as they happen
///
/// One line each, or with --json one document each. Ends with the host, or with Ctrl-C.
#[derive(Args, Debug)]
pub(super) struct TailArgs {}

pub(super) async fn run(command: HooksCommand, context: Context) -> Result<Exit, CliError> {
    let HooksCommand::Tail(TailArgs {}) = command;
    let Some(host) = context.host().await? else {
        return Err(CliError::not_found("no host is running").hint("ccproxy serve"));
    };
    let mut events = host.events().await?;
    context.out.remark(&format!("events of the host with pid {}:", host.status.pid));
    while let Some(event) = events.next().await {
        if context.out.json {
            context.out.document(&event)?;
        } else {
            context.out.line(&prose(&event))?;
        }
    }
    Ok(Exit::OK)
}

/// Members that have a place of their own in the line, or none.
const PLACED: [&str; 7] = ["schema", "id", "time", "event", "org", "connection", "provider"];

/// `TIME EVENT CONNECTION key=value ...`
fn prose(event: &Value) -> String {
    let text = |member: &str| event[member].as_str().unwrap_or("-");
    let connection = match (event["org"].as_str(), event["connection"].as_str()) {
        (Some(org), Some(name)) if org != crate::model::GLOBAL_ORG => format!(" {org}/{name}"),
        (_, Some(name)) => format!(" {name}"),
        (_, None) => String::new(),
    };
    let members = event.as_object().into_iter().flatten();
    let fields: String = members
        .filter(|(key, value)| !PLACED.contains(&key.as_str()) && !value.is_null())
        .map(|(key, value)| match value {
            Value::String(text) if plain(text) => format!(" {key}={text}"),
            value => format!(" {key}={value}"),
        })
        .collect();
    format!("{} {}{connection}{fields}", text("time"), text("event"))
}

/// Text that needs no quotes to be one word of a line.
fn plain(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() && c != '"')
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;
    use serde_json::json;

    #[test]
    fn an_event_is_a_line() {
        let event = json!({
            "schema": "ccproxy.event/1", "id": "1", "time": "2026-11-21T03:53:07Z",
            "event": "oauth.refresh.response", "org": "acme", "connection": "github", "provider": "github",
            "request_id": null, "status": 200, "reason": "near its end",
        });
        assert_eq!(
            prose(&event),
            "2026-11-21T03:53:07Z oauth.refresh.response acme/github reason=\"near its end\" status=200"
        );
    }

    #[test]
    fn what_a_peer_wrote_cannot_break_the_line() {
        let event = json!({"time": "T", "event": "oauth.error", "error": "a\nb\u{1b}[2J"});
        assert_eq!(prose(&event), "T oauth.error error=\"a\\nb\\u001b[2J\"");
    }
}
