//! `ccproxy plugin list`

use clap::Args;
use serde_json::Value;

use super::cell;
use crate::cli::context::Context;
use crate::cli::error::{CliError, Exit};
use crate::cli::output::table;

/// List plugin files and what became of them
#[derive(Args, Debug)]
pub(in crate::cli) struct ListArgs {}

pub(super) async fn run(_: ListArgs, context: Context) -> Result<Exit, CliError> {
    let app = context.app()?;
    let document = super::plugins(&context).await?;
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
    let images = &document["images"];
    if images["alarm"] == true {
        let (mapped, limit) = (&images["mapped"], &images["limit"]);
        context
            .out
            .say(&format!("warning: {mapped} of {limit} plugin images are mapped, and none can be unmapped"));
        context.out.remark("hint: restart the host before no plugin can be replaced any more");
    }
    Ok(Exit::OK)
}

/// A line per file; for one that does not serve, why and what to do.
fn prose(plugins: &[Value]) -> String {
    let mut heading =
        ["PLUGIN", "VERSION", "STATE", "TRUST", "ABI", "FLOWS", "FILE"].map(str::to_owned).to_vec();
    let members = ["id", "version", "state", "trust", "abi", "flows", "path"];
    let mut rows: Vec<Vec<String>> =
        plugins.iter().map(|plugin| members.map(|member| cell(&plugin[member])).to_vec()).collect();
    if plugins.iter().any(|plugin| plugin["reason"].is_string()) {
        heading.push("WHY".into());
        for (row, plugin) in rows.iter_mut().zip(plugins) {
            row.extend(why(plugin));
        }
    }
    table(&std::iter::once(heading).chain(rows).collect::<Vec<_>>())
}

fn why(plugin: &Value) -> Option<String> {
    let reason = plugin["reason"].as_str()?;
    // A hint may be steps, one below the other.
    let hint = plugin["hint"].as_str().map(|hint| hint.split_whitespace().collect::<Vec<_>>().join(" "));
    Some(hint.map_or_else(|| reason.to_owned(), |hint| format!("{reason}; hint: {hint}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_file_is_explained_in_one_line() {
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
            json!({
                "id": "mailer", "version": "1.0.0", "state": "shadowed", "trust": "new", "abi": "1.0.0", "flows": [],
                "path": "/q/libmailer.so", "reason": "/p/libmailer.so has the same id and comes first",
                "hint": "remove\none of the two",
            }),
        ]);
        insta::assert_snapshot!(text, @r"
        PLUGIN  VERSION  STATE      TRUST   ABI    FLOWS           FILE                              WHY
        github  1.2.0    available  pinned  1.0.0  browser,device  /p/libccproxy_provider_github.so
        mailer  —        refused    new     —      —               /p/libmailer.so                   it speaks plugin ABI 2.0.0, this host speaks 1.0.0; hint: update ccproxy
        mailer  1.0.0    shadowed   new     1.0.0  —               /q/libmailer.so                   /p/libmailer.so has the same id and comes first; hint: remove one of the two
        ");
    }

    #[test]
    fn where_all_is_well_there_is_nothing_to_explain() {
        let well = [json!({"id": "github", "state": "loaded", "path": "/p/x.so", "reason": null})];
        assert!(!prose(&well).contains("WHY"));
    }
}
