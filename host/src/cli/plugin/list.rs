//! `ccproxy plugin list`

use clap::Args;
use serde_json::Value;

use super::cell;
use crate::app::plugins_document;
use crate::cli::context::Context;
use crate::cli::error::{CliError, Exit};
use crate::cli::output::table;

/// List plugin files and what became of them
#[derive(Args, Debug)]
pub(in crate::cli) struct ListArgs {}

pub(super) async fn run(_: ListArgs, context: Context) -> Result<Exit, CliError> {
    let app = context.app()?;
    let document = match context.host().await? {
        Some(host) => host.get("plugins").await?,
        None => plugins_document(app.registry()),
    };
    if context.out.json {
        context.out.document(&document)?;
        return Ok(Exit::OK);
    }
    let plugins = document["plugins"].as_array().map(Vec::as_slice).unwrap_or_default();
    if plugins.is_empty() {
        context.out.line("no plugin found; searched")?;
        for directory in app.registry().directories() {
            context.out.line(&format!("  {}", directory.display()))?;
        }
    } else {
        context.out.text(&prose(plugins))?;
    }
    Ok(Exit::OK)
}

/// A line per file, and one more for each that may not load.
fn prose(plugins: &[Value]) -> String {
    let heading = ["PLUGIN", "VERSION", "STATE", "TRUST", "ABI", "FLOWS", "FILE"].map(str::to_owned).to_vec();
    let members = ["id", "version", "state", "trust", "abi", "flows", "path"];
    let rows = plugins.iter().map(|plugin| members.map(|member| cell(&plugin[member])).to_vec());
    let mut text = table(&std::iter::once(heading).chain(rows).collect::<Vec<_>>());
    for plugin in plugins {
        if let Some(reason) = plugin["reason"].as_str() {
            text.push_str(&format!("{}: {reason}\n", cell(&plugin["id"])));
            if let Some(hint) = plugin["hint"].as_str() {
                text.push_str(&format!("  hint: {hint}\n"));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_refused_plugin_says_why_below_the_table() {
        let text = prose(&[
            json!({
                "id": "github", "version": "1.2.0", "state": "available", "trust": "pinned", "abi": "1.0.0",
                "flows": ["browser", "device"], "path": "/p/libccproxy_provider_github.so", "reason": null,
            }),
            json!({
                "id": "mailer", "version": null, "state": "refused", "trust": "new", "abi": null, "flows": null,
                "path": "/p/libmailer.so", "reason": "it speaks plugin ABI 2.0.0, this host speaks 1.0.0",
                "hint": "update ccproxy",
            }),
        ]);
        insta::assert_snapshot!(text, @r"
        PLUGIN  VERSION  STATE      TRUST   ABI    FLOWS           FILE
        github  1.2.0    available  pinned  1.0.0  browser,device  /p/libccproxy_provider_github.so
        mailer  —        refused    new     —      —               /p/libmailer.so
        mailer: it speaks plugin ABI 2.0.0, this host speaks 1.0.0
          hint: update ccproxy
        ");
    }
}
