//! `ccproxy reload`

use clap::Args;
use serde_json::{Value, json};

use super::context::Context;
use super::error::{CliError, Exit};
use crate::config::few;

/// Have the running host read its configuration again
///
/// A host follows its files by itself; this says at once what came of it. A bad configuration is shown as
/// `config check` shows it, and the host stays with the one it has.
#[derive(Args, Debug)]
pub(super) struct ReloadArgs {}

pub(super) async fn run(_: ReloadArgs, context: Context) -> Result<Exit, CliError> {
    let answer = context.running_host().await?.post("reload", json!({})).await?;
    if context.out.json {
        context.out.document(&answer)?;
    } else {
        context.out.text(&prose(&answer))?;
    }
    Ok(Exit::OK)
}

fn prose(answer: &Value) -> String {
    let mut lines = Vec::new();
    let mut add = |what: &str, names: &Value| {
        let names = texts(names);
        if !names.is_empty() {
            lines.push(format!("{what}: {}", few(&names)));
        }
    };
    add("settings changed", &answer["settings"]);
    for kind in ["connections", "routes"] {
        for how in ["added", "changed", "removed"] {
            add(&format!("{kind} {how}"), &answer[kind][how]);
        }
    }
    if lines.is_empty() {
        lines.push("nothing changed".into());
    }
    lines.extend(texts(&answer["needs_restart"]).iter().map(|key| format!("`{key}` needs a restart")));
    lines.push(String::new());
    lines.join("\n")
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn what_changed_is_told_by_kind_and_what_did_not_take_effect_last() {
        let answer = json!({
            "settings": ["refresh.ahead", "storage.backend"],
            "connections": {"added": ["acme/github"], "changed": [], "removed": []},
            "routes": {"added": [], "changed": ["graph"], "removed": ["old"]},
            "needs_restart": ["storage.backend"],
        });
        assert_eq!(
            prose(&answer),
            "settings changed: refresh.ahead, storage.backend\n\
             connections added: acme/github\n\
             routes changed: graph\n\
             routes removed: old\n\
             `storage.backend` needs a restart\n"
        );
        assert_eq!(prose(&json!({})), "nothing changed\n");
    }
}
