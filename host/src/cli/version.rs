//! `ccproxy version`

use clap::Args;
use serde::Serialize;

use super::context::Context;
use super::error::{CliError, Exit};
use crate::plugin::ABI_VERSION;

/// Print the version, and what plugins must be built for
#[derive(Args, Debug)]
pub(super) struct VersionArgs {}

#[derive(Serialize)]
struct Version {
    schema: &'static str,
    version: &'static str,
    plugin_abi: &'static str,
    target: &'static str,
}

pub(super) fn run(_: VersionArgs, context: Context) -> Result<Exit, CliError> {
    let version = Version {
        schema: "ccproxy.version/1",
        version: env!("CARGO_PKG_VERSION"),
        plugin_abi: ABI_VERSION,
        target: env!("CCPROXY_TARGET"),
    };
    if context.out.json {
        context.out.document(&version)?;
    } else {
        context.out.line(&format!("ccproxy {}", version.version))?;
        context.out.line(&format!("plugin ABI {}, {}", version.plugin_abi, version.target))?;
    }
    Ok(Exit::OK)
}
