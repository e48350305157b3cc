//! The running host: whether it is ours, of our version, and well.

use serde_json::Value;

use super::Answering;
use super::check::Check;
use crate::cli::client::Host;
use crate::config::Paths;

const GROUP: &str = "host";

pub(super) async fn checks(found: &Answering, paths: &Paths) -> Vec<Check> {
    let socket = paths.admin_socket();
    match found {
        Ok(Some(host)) => match host.get("status").await {
            Ok(status) => running(host, &status),
            Err(error) => {
                vec![Check::fail(GROUP, "answer", error.message).hint("end it, and start it again")]
            }
        },
        Ok(None) => match Host::elsewhere(paths).await {
            Some(other) => vec![
                Check::warn(
                    GROUP,
                    "running",
                    format!("the one at {} runs on other directories: {other}", socket.display()),
                )
                .hint("set the same CCPROXY_... directories for both"),
            ],
            None => {
                vec![Check::warn(GROUP, "running", "none runs on these directories").hint("ccproxy serve")]
            }
        },
        Err(error) => {
            let hint = error.hint.clone().unwrap_or_else(|| "end it, and start it again".into());
            vec![Check::fail(GROUP, "answer", error.message.clone()).hint(hint)]
        }
    }
}

fn running(host: &Host, status: &Value) -> Vec<Check> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut checks =
        vec![Check::ok(GROUP, "running", format!("pid {}, on these directories", host.status.pid))];
    let (theirs, ours) = (text(&status["version"]), env!("CARGO_PKG_VERSION"));
    checks.push(if theirs == ours {
        Check::ok(GROUP, "version", format!("{theirs}, as this program"))
    } else {
        Check::warn(GROUP, "version", format!("{theirs}, and this program is {ours}"))
            .hint("ccproxy stop, then ccproxy serve")
    });
    let config = &status["config"];
    if config["state"] == "reload_failed" {
        let problem = text(&config["problem"]["message"]);
        let at = text(&config["loaded_at"]);
        checks.push(
            Check::fail(GROUP, "configuration", format!("the one of {at} is in force: {problem}"))
                .hint("ccproxy config check, then ccproxy reload"),
        );
    }
    let restart = config["needs_restart"].as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
    if !restart.is_empty() {
        checks.push(
            Check::warn(GROUP, "configuration", format!("`{}` needs a restart", restart.join("`, `")))
                .hint("ccproxy stop, then ccproxy serve"),
        );
    }
    checks
}
