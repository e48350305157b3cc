//! `ccproxy plugin run`

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::Value;

use crate::app::plugins_document;
use crate::cli::context::Context;
use crate::cli::error::{CliError, Exit};
use crate::fault::{Code, Fault};
use crate::login::nearest;
use crate::model::Name;

/// Run a command that a plugin brings
///
/// What the plugin prints is passed on byte for byte, and its exit code too. A running host runs it, so that
/// it may use the connections' credentials; without one it runs here and may not. `ccproxy plugin info PLUGIN`
/// lists the commands.
#[derive(Args, Debug)]
pub(in crate::cli) struct RunArgs {
    /// The plugin, by the id of its provider
    #[arg(value_name = "PLUGIN")]
    plugin: Name,
    /// The command, as the plugin calls it
    #[arg(value_name = "COMMAND")]
    command: String,
    /// What the command takes; options too
    #[arg(value_name = "ARG", trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(super) async fn run(args: RunArgs, context: Context) -> Result<Exit, CliError> {
    let arguments = [vec![args.command.clone()], args.arguments].concat();
    let output = match context.host().await? {
        Some(host) => {
            declared(&host.get("plugins").await?, &args.plugin, &args.command)?;
            host.run(&args.plugin, &arguments).await?
        }
        None => {
            let app = context.app()?;
            declared(&plugins_document(app.registry()), &args.plugin, &args.command)?;
            app.run_command(&args.plugin, arguments).await?
        }
    };
    if context.out.json {
        context.out.document(&output)?;
    } else {
        context.out.bytes(&printed(&output)?)?;
    }
    let code = output["exit_code"].as_u64().and_then(|code| u8::try_from(code).ok());
    Ok(Exit(code.ok_or_else(senseless)?))
}

/// Refuses a plugin that is not there and a command that it does not declare, with the nearest.
fn declared(plugins: &Value, plugin: &Name, command: &str) -> Result<(), CliError> {
    let known = plugins["plugins"].as_array().map(Vec::as_slice).unwrap_or_default();
    let ids = || known.iter().filter_map(|entry| entry["id"].as_str());
    // The first is the one that counts, the others are shadowed by it.
    let Some(entry) = known.iter().find(|entry| entry["id"] == plugin.as_str()) else {
        return Err(CliError::no_such("plugin", plugin.as_str(), ids()));
    };
    // A refused file may have no manifest that can be read; its refusal is told when it is loaded.
    let Some(commands) = entry["commands"].as_array() else { return Ok(()) };
    let commands: Vec<&str> = commands.iter().filter_map(Value::as_str).collect();
    if commands.contains(&command) {
        return Ok(());
    }
    let error = CliError::not_found(format!("plugin `{plugin}` has no command `{command}`"));
    Err(match (nearest(command, commands.iter().copied()), commands.as_slice()) {
        (_, []) => error.hint("it brings none"),
        (Some(near), all) => error.hint(format!("did you mean `{near}`? its commands: {}", all.join(", "))),
        (None, all) => error.hint(format!("its commands: {}", all.join(", "))),
    })
}

/// The bytes that the command printed.
fn printed(output: &Value) -> Result<Vec<u8>, CliError> {
    match (&output["stdout"], &output["stdout_base64"]) {
        (Value::String(text), _) => Ok(text.clone().into_bytes()),
        (_, Value::String(coded)) => Ok(STANDARD.decode(coded).map_err(|_| senseless())?),
        _ => Err(senseless().into()),
    }
}

fn senseless() -> Fault {
    Fault::new(Code::Internal, "the host's answer to a plugin's command makes no sense")
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;
    use serde_json::json;

    fn refused(plugin: &str, command: &str) -> (String, Option<String>) {
        let plugins = json!({"plugins": [
            {"id": "acme", "commands": ["get", "heard"]},
            {"id": "quiet", "commands": []},
            {"id": "broken", "commands": null},
        ]});
        match declared(&plugins, &plugin.parse().unwrap(), command) {
            Ok(()) => ("declared".into(), None),
            Err(error) => {
                assert_eq!(error.exit, Exit::NOT_FOUND);
                (error.message, error.hint)
            }
        }
    }

    #[test]
    fn a_command_that_does_not_exist_names_those_that_do() {
        assert_eq!(refused("acme", "get").0, "declared");
        assert_eq!(refused("broken", "get").0, "declared");
        assert_eq!(
            refused("acme", "haerd"),
            (
                "plugin `acme` has no command `haerd`".into(),
                Some("did you mean `heard`? its commands: get, heard".into())
            )
        );
        assert_eq!(refused("acme", "zzz").1.as_deref(), Some("its commands: get, heard"));
        assert_eq!(refused("quiet", "get").1.as_deref(), Some("it brings none"));
        assert_eq!(refused("acmee", "get").1.as_deref(), Some("did you mean `acme`?"));
    }

    #[test]
    fn what_is_no_text_is_printed_as_it_is() {
        assert_eq!(printed(&json!({"stdout": "a\n", "stdout_base64": null})).unwrap(), b"a\n");
        assert_eq!(printed(&json!({"stdout": null, "stdout_base64": "/wA="})).unwrap(), [0xff, 0]);
        assert!(printed(&json!({})).is_err());
    }
}
