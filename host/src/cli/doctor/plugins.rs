//! Where plugins are, and each file that does not serve.

use serde_json::Value;

use super::check::{Check, unseen};
use crate::app::{App, plugins_document};
use crate::cli::client::Host;

const GROUP: &str = "plugins";

/// As the running host sees them, else as a host would that starts now.
pub(super) async fn checks(host: Option<&Host>, app: Option<&App>) -> Vec<Check> {
    let mut checks: Vec<Check> = app.map(searched).into_iter().collect();
    let document = match (host, app) {
        (Some(host), _) => match host.get("plugins").await {
            Ok(document) => document,
            Err(error) => return vec![Check::fail(GROUP, "host", error.message)],
        },
        (None, Some(app)) => plugins_document(app.registry()),
        (None, None) => return vec![unseen(GROUP, "files")],
    };
    let files = document["plugins"].as_array().map(Vec::as_slice).unwrap_or_default();
    if files.is_empty() {
        checks.push(Check::warn(GROUP, "files", "no plugin found").hint("scripts/install PREFIX"));
    }
    checks.extend(files.iter().map(file));
    if document["images"]["alarm"] == true {
        let what =
            format!("{} of {} images are mapped", document["images"]["mapped"], document["images"]["limit"]);
        checks.push(Check::warn(GROUP, "images", what).hint("restart the host"));
    }
    checks
}

fn searched(app: &App) -> Check {
    let directories = app.registry().directories();
    let shown: Vec<String> = directories
        .iter()
        .map(|directory| {
            let is_there = if directory.is_dir() { "" } else { " (not there)" };
            format!("{}{is_there}", directory.display())
        })
        .collect();
    Check::ok(GROUP, "searched", shown.join("\n"))
}

fn file(plugin: &Value) -> Check {
    let text = |member: &str| plugin[member].as_str().unwrap_or_default();
    let name = if plugin["id"].is_string() { text("id") } else { text("path") };
    let state = text("state");
    let reason = if plugin["reason"].is_string() { text("reason").to_owned() } else { state.to_owned() };
    let at = format!("{} at {}", text("version"), text("path"));
    let check = match state {
        "available" | "loaded" | "disabled" => Check::ok(GROUP, name, format!("{state}, {at}")),
        "shadowed" => Check::warn(GROUP, name, format!("{} is not used: {reason}", text("path"))),
        _ => Check::fail(GROUP, name, format!("{}: {reason}", text("path"))),
    };
    match plugin["hint"].as_str() {
        Some(hint) => check.hint(hint),
        None => check,
    }
}
