//! `ccproxy plugin verify`

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{existing, refused};
use crate::app::plugin_document;
use crate::cli::context::Context;
use crate::cli::error::{CliError, Exit};
use crate::cli::output::Tone;
use crate::fault::{Code, Fault};

/// Check a plugin file as loading would, without running it
#[derive(Args, Debug)]
pub(in crate::cli) struct VerifyArgs {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(super) fn run(args: VerifyArgs, context: Context) -> Result<Exit, CliError> {
    let file = existing(&args.file)?;
    let app = context.app()?;
    let entry = app.registry().inspect(&file).map_err(|refusal| refused(&file, &refusal))?;
    let plugin = plugin_document(&entry);
    if plugin["trust"] == "changed" {
        let fault =
            Fault::new(Code::PluginFailed, format!("{} is not the file that was pinned", file.display()));
        return Err(fault.hint(format!("ccproxy plugin trust {}", file.display())).into());
    }
    if context.out.json {
        context.out.document(&json!({"schema": "ccproxy.plugin/1", "plugin": plugin}))?;
        return Ok(Exit::OK);
    }
    let good = context.out.paint(Tone::Good, Tone::Good.sign());
    let text = |member: &str| plugin[member].as_str().unwrap_or("—").to_owned();
    context.out.line(&format!(
        "{good} plugin `{}` {}: {}",
        text("id"),
        text("version"),
        text("description")
    ))?;
    context.out.line(&format!("{good} plugin ABI {}, {}", text("abi"), text("target")))?;
    context.out.line(&format!("{good} file and directories are safe; sha256 {}", text("sha256")))?;
    context.out.line(&match plugin["pinned_at"].as_str() {
        Some(since) => format!("{good} pinned since {since}"),
        None => {
            let warn = context.out.paint(Tone::Warn, Tone::Warn.sign());
            format!("{warn} not pinned yet: `ccproxy plugin trust {}`", file.display())
        }
    })?;
    Ok(Exit::OK)
}
