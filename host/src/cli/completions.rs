//! `ccproxy completions`

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use serde_json::json;

use super::Cli;
use super::context::Context;
use super::error::{CliError, Exit};

/// Print a script that completes commands and options in a shell
///
/// For bash: ccproxy completions bash > ~/.local/share/bash-completion/completions/ccproxy
#[derive(Args, Debug)]
pub(super) struct CompletionsArgs {
    /// The shell that reads the script
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub(super) fn run(args: CompletionsArgs, context: Context) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "ccproxy", &mut script);
    if context.out.json {
        context.out.document(&json!({
            "schema": "ccproxy.completions/1",
            "shell": args.shell.to_string(),
            "script": String::from_utf8_lossy(&script),
        }))?;
    } else {
        context.out.bytes(&script)?;
    }
    Ok(Exit::OK)
}
