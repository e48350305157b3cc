//! `ccproxy routes`

use clap::Args;
use serde_json::Value;

use super::context::{Context, WayIn};
use super::error::{CliError, Exit};
use super::output::table;

/// List the routes and where they lead
#[derive(Args, Debug)]
pub(super) struct RoutesArgs {}

pub(super) async fn run(_: RoutesArgs, context: Context) -> Result<Exit, CliError> {
    let document = match context.host().await? {
        Some(host) => host.get("routes").await?,
        None => context.app()?.routes().await?,
    };
    if context.out.json {
        context.out.document(&document)?;
    } else {
        let way_in = context.way_in().await?;
        context.out.text(&prose(&document, &way_in.base_url()))?;
        if let WayIn::Socket(path) = way_in {
            context.out.say(&format!("these are reached through a socket: curl --unix-socket {path} URL"));
        }
    }
    Ok(Exit::OK)
}

fn prose(document: &Value, base: &str) -> String {
    let routes = document["routes"].as_array().map(Vec::as_slice).unwrap_or_default();
    if routes.is_empty() {
        return "no routes yet: `ccproxy auth login PROVIDER` makes one\n".into();
    }
    let text = |value: &Value| value.as_str().unwrap_or("—").to_owned();
    let heading = ["ROUTE", "URL", "UPSTREAM", "CONNECTION"].map(str::to_owned).to_vec();
    let rows = routes.iter().map(|route| {
        let url = match route["listen"].as_str() {
            // A listener of its own, where it is at `/`.
            Some(own) if own.starts_with("http") => format!("{own}/"),
            Some(own) => own.to_owned(),
            None => format!("{base}{}", route["path"].as_str().unwrap_or("/")),
        };
        vec![text(&route["name"]), url, text(&route["upstream"]), text(&route["connection"])]
    });
    table(&std::iter::once(heading).chain(rows).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;
    use serde_json::json;

    #[test]
    fn a_route_is_a_line_with_the_url_to_use() {
        let document = json!({"schema": "ccproxy.routes/1", "routes": [
            {"name": "graph", "path": "/graph/", "connection": "azure", "upstream": "https://graph.example/v1.0"},
            {"name": "corp", "path": "/corp/", "connection": "acme/corp", "upstream": null, "listen": null},
            {"name": "rpc", "path": "/rpc/", "connection": "corp", "upstream": "https://rpc.example",
             "listen": "http://127.0.0.1:8471"},
            {"name": "gh", "path": "/gh/", "connection": "gh", "upstream": "https://api.example",
             "listen": "unix:/run/gh.sock"},
        ]});
        assert_eq!(
            prose(&document, "http://127.0.0.1:8462"),
            "ROUTE  URL                           UPSTREAM                    CONNECTION\n\
             graph  http://127.0.0.1:8462/graph/  https://graph.example/v1.0  azure\n\
             corp   http://127.0.0.1:8462/corp/   —                           acme/corp\n\
             rpc    http://127.0.0.1:8471/        https://rpc.example         corp\n\
             gh     unix:/run/gh.sock             https://api.example         gh\n"
        );
    }
}
