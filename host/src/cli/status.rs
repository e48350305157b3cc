//! `ccproxy status`

use clap::Args;
use serde_json::{Value, json};

use super::context::Context;
use super::error::{CliError, Exit};
use super::time::{parse_rfc3339, roughly};
use crate::app::ConnectionStatus;
use crate::config::few;
use crate::model::UnixMillis;

/// Show the running host: where it listens, its configuration, plugins and connections
#[derive(Args, Debug)]
pub(super) struct StatusArgs {}

pub(super) async fn run(_: StatusArgs, context: Context) -> Result<Exit, CliError> {
    let host = context.running_host().await?;
    let mut document = host.get("status").await?;
    let plugins = host.get("plugins").await?;
    let connections = host.connections().await?;
    document["plugins"] = plugins_member(&plugins);
    document["connections"] = json!({
        "total": connections.len(),
        "usable": connections.iter().filter(|connection| connection.is_usable()).count(),
    });
    if context.out.json {
        context.out.document(&document)?;
    } else {
        context.out.text(&prose(&document, &connections, UnixMillis::now()))?;
    }
    Ok(Exit::OK)
}

/// Which plugins serve, and why others do not.
fn plugins_member(document: &Value) -> Value {
    let all = document["plugins"].as_array().map(Vec::as_slice).unwrap_or_default();
    let loaded: Vec<&Value> =
        all.iter().filter(|plugin| plugin["state"] == "loaded").map(|one| &one["id"]).collect();
    let broken = ["refused", "quarantined", "stalled"];
    let refused =
        all.iter().filter(|plugin| plugin["state"].as_str().is_some_and(|state| broken.contains(&state)));
    let refused: Vec<Value> = refused
        .map(|plugin| {
            let member = |name: &str| plugin[name].clone();
            json!({
                "id": member("id"), "path": member("path"), "state": member("state"),
                "reason": member("reason"), "hint": member("hint"),
            })
        })
        .collect();
    json!({ "loaded": loaded, "refused": refused })
}

fn prose(document: &Value, connections: &[ConnectionStatus], now: UnixMillis) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("—").to_owned();
    let mut lines = Vec::new();
    let mut line = |name: &str, value: String| lines.push(format!("{name:<12} {value}"));
    let up = parse_rfc3339(&text(&document["started_at"])).map(|at| roughly(at.until(now)));
    line(
        "running",
        format!(
            "pid {}, version {}, up {}",
            document["pid"],
            text(&document["version"]),
            up.unwrap_or_else(|| "—".into())
        ),
    );
    line("listening", few(&texts(&document["listen"])));
    line("admin", text(&document["admin"]));
    if document["admin_listen"].is_string() {
        line("", text(&document["admin_listen"]));
    }

    let config = &document["config"];
    let problem = &config["problem"];
    line(
        "config",
        match problem["at"].as_str() {
            Some(at) => {
                format!("last reload failed at {at}; the one of {} is in force", text(&config["loaded_at"]))
            }
            None => format!("ok, of {}", text(&config["loaded_at"])),
        },
    );
    for key in texts(&config["needs_restart"]) {
        line("", format!("`{key}` needs a restart"));
    }

    let plugins = &document["plugins"];
    line(
        "plugins",
        match texts(&plugins["loaded"]).as_slice() {
            [] => "none loaded".into(),
            loaded => few(loaded),
        },
    );
    for refused in plugins["refused"].as_array().into_iter().flatten() {
        line("", format!("{}: {}", text(&refused["path"]), text(&refused["reason"])));
    }

    line(
        "connections",
        format!("{} of {} usable", document["connections"]["usable"], document["connections"]["total"]),
    );
    let unusable: Vec<String> = connections
        .iter()
        .filter(|connection| !connection.is_usable())
        .map(|connection| format!("{} ({})", connection.id(), connection.state))
        .collect();
    if !unusable.is_empty() {
        line("", format!("not usable: {}", few(&unusable)));
    }
    let mut all = lines.join("\n");
    all.push('\n');
    if let Some(message) = problem["detail"].as_str().or(problem["message"].as_str()) {
        all.push_str(&format!("\n{}\n", message.trim_end()));
    }
    all
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    fn document() -> Value {
        json!({
            "schema": "ccproxy.status/1", "version": "0.1.0", "pid": 7, "started_at": "2026-11-21T03:53:07Z",
            "listen": ["http://127.0.0.1:8462", "http://[::1]:8462"], "admin": "/run/admin.sock",
            "config": {"state": "ok", "loaded_at": "2026-11-21T03:53:07Z", "problem": null, "needs_restart": []},
            "plugins": {"loaded": ["github", "oidc"], "refused": []},
            "connections": {"total": 3, "usable": 3},
        })
    }

    const LATER: UnixMillis = UnixMillis(1_795_233_187_000 + 7_200_000);

    #[test]
    fn a_host_that_is_well_takes_six_lines() {
        assert_eq!(
            prose(&document(), &[], LATER),
            "running      pid 7, version 0.1.0, up 2 h\n\
             listening    http://127.0.0.1:8462, http://[::1]:8462\n\
             admin        /run/admin.sock\n\
             config       ok, of 2026-11-21T03:53:07Z\n\
             plugins      github, oidc\n\
             connections  3 of 3 usable\n"
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let mut document = document();
        document["config"] = json!({
            "state": "reload_failed", "loaded_at": "2026-11-21T03:53:07Z", "needs_restart": ["server.workers"],
            "problem": {"at": "2026-11-21T04:00:00Z", "message": "m", "detail": "error: m\n  ┌ config.toml:3:1\n"},
        });
        document["plugins"]["refused"] =
            json!([{"id": "acme", "path": "/p/acme.so", "reason": "its file has changed"}]);
        let text = prose(&document, &[], LATER);
        for said in [
            "config       last reload failed at 2026-11-21T04:00:00Z; the one of 2026-11-21T03:53:07Z is in force\n",
            "             `server.workers` needs a restart\n",
            "             /p/acme.so: its file has changed\n",
            "\n\nerror: m\n  ┌ config.toml:3:1\n",
        ] {
            assert!(text.contains(said), "{said:?} is not in\n{text}");
        }
    }

    #[test]
    fn plugins_are_told_apart() {
        let plugins = json!({"plugins": [
            {"id": "oidc", "state": "loaded", "reason": null},
            {"id": "acme", "state": "refused", "path": "/p/acme.so", "reason": "r", "hint": "h"},
            {"id": "idle", "state": "available", "reason": null},
        ]});
        let told = plugins_member(&plugins);
        assert_eq!(told["loaded"], json!(["oidc"]));
        assert_eq!(told["refused"][0]["path"], "/p/acme.so");
        assert_eq!(told["refused"].as_array().unwrap().len(), 1);
    }
}
