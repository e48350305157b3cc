//! `ccproxy env`

use clap::{Args, ValueEnum};
use serde_json::json;

use super::context::{Context, WayIn, from_here};
use super::error::{CliError, Exit};
use super::local_key::{self, KeyArgs};
use crate::app::App;
use crate::config::Config;
use crate::model::{ConnectionId, Name};

/// Print the variables that point a tool at a route
///
/// For a shell: eval "$(ccproxy env NAME)"
#[derive(Args, Debug)]
pub(super) struct EnvArgs {
    /// A route, or a connection for its own route
    #[arg(value_name = "NAME")]
    name: ConnectionId,
    /// Print for this shell
    #[arg(long, value_enum, default_value_t = Shell::Bash)]
    shell: Shell,
    #[command(flatten)]
    key: KeyArgs,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum Shell {
    /// And every other POSIX shell
    Bash,
    Fish,
    /// PowerShell
    Pwsh,
    /// A file of NAME=VALUE lines
    Dotenv,
}

pub(super) async fn run(args: EnvArgs, context: Context) -> Result<Exit, CliError> {
    let app = context.app()?;
    let mapping = Mapping::of(&app, &args.name).await?;
    let needed = local_key::is_needed(&context, &app.config()).await?;
    let key = args.key.key(needed, &context, [&mapping.name])?;
    let key = key.ok_or_else(|| local_key::missing(&mapping.name))?;
    let variables = mapping.variables(&mapping.url(&context).await?, &key);
    if context.out.json {
        let variables: serde_json::Map<_, _> =
            variables.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        context.out.document(&json!({"schema": "ccproxy.env/1", "variables": variables}))?;
    } else {
        for (name, value) in &variables {
            context.out.line(&line(args.shell, name, value))?;
        }
    }
    Ok(Exit::OK)
}

/// How a tool is pointed at a route: the variables it reads.
pub(super) struct Mapping {
    pub(super) name: Name,
    path: String,
    /// Whose credential the route carries.
    pub(super) connection: ConnectionId,
    /// Whether a person must log in before the first use.
    pub(super) needs_login: bool,
    templates: Vec<(String, String)>,
}

impl Mapping {
    /// What the provider says of this route or connection. One without variables is not found.
    pub(super) async fn of(app: &App, name: &ConnectionId) -> Result<Self, CliError> {
        let (path, connection) = route(&app.config(), name)?;
        let description = app.describe(&connection).await?;
        let needs_login = description.needs_login;
        let env = description.routes.into_iter().next().map(|route| route.env).unwrap_or_default();
        if env.is_empty() {
            return Err(CliError::not_found(format!("`{name}` has no environment mapping"))
                .hint("point the tool at the URL that `ccproxy routes` prints"));
        }
        let name = name.name.clone();
        Ok(Self { name, path, connection, needs_login, templates: env.into_iter().collect() })
    }

    /// The URL of the route: its own listener, else its path at the host that runs or would.
    pub(super) async fn url(&self, context: &Context) -> Result<String, CliError> {
        match context.own_url(&self.name).await? {
            Some(own) if own.starts_with("http") => Ok(from_here(&own)),
            // A base URL cannot name a Unix socket; the path leads to the route too.
            Some(_) | None => match context.way_in().await? {
                WayIn::Web(proxy) => Ok(self.below(&proxy)),
                WayIn::Socket(socket) => {
                    let message = format!("the proxy is only reached through the socket {socket}");
                    Err(CliError::not_found(message).hint("add \"127.0.0.1:8462\" to `server.listen`"))
                }
            },
        }
    }

    /// The URL of the route below a proxy's.
    pub(super) fn below(&self, proxy: &str) -> String {
        format!("{proxy}/{}", self.path)
    }

    /// The variables, for the URL of the route and the key of the tool.
    pub(super) fn variables(&self, base: &str, key: &str) -> Vec<(String, String)> {
        self.templates.iter().map(|(name, template)| (name.clone(), fill(template, base, key))).collect()
    }
}

/// The path of a route and its connection, of the routes written and those that connections have.
fn route(config: &Config, id: &ConnectionId) -> Result<(String, ConnectionId), CliError> {
    if !id.is_global() {
        return Err(CliError::not_found(format!("`{id}` has no route of its own"))
            .hint(format!("ccproxy env ROUTE, of a route with `connection = \"{id}\"`")));
    }
    let name = &id.name;
    if let Some(route) = config.resolved.routes.get(name) {
        return Ok((route.path.to_string(), route.connection.clone()));
    }
    if config.resolved.connections.contains_key(id) {
        return Ok((name.to_string(), id.clone()));
    }
    let routes = config.resolved.routes.keys().map(Name::as_str);
    let own = config.resolved.connections.keys().filter(|id| id.is_global()).map(|id| id.name.as_str());
    Err(CliError::no_such("route or connection", name.as_str(), routes.chain(own)))
}

fn fill(template: &str, base: &str, key: &str) -> String {
    template.replace("{base}", base).replace("{key}", key)
}

/// One assignment. Quoted, because a template is a plugin's text.
fn line(shell: Shell, name: &str, value: &str) -> String {
    match shell {
        Shell::Bash => format!("export {name}='{}'", value.replace('\'', r"'\''")),
        Shell::Fish => format!("set -gx {name} '{}'", value.replace('\\', r"\\").replace('\'', r"\'")),
        Shell::Pwsh => format!("$env:{name} = '{}'", value.replace('\'', "''")),
        Shell::Dotenv => {
            format!("{name}=\"{}\"", value.replace('\\', r"\\").replace('"', "\\\"").replace('$', r"\$"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::PLACEHOLDER;
    use pretty_assertions::assert_eq;

    #[test]
    fn a_template_names_base_and_key() {
        let base = "http://127.0.0.1:8462/openai";
        assert_eq!(fill("{base}/v1", base, PLACEHOLDER), "http://127.0.0.1:8462/openai/v1");
        assert_eq!(fill("{key}", base, PLACEHOLDER), "ccproxy-local");
    }

    #[test]
    fn every_shell_reads_the_value_as_it_is() {
        let all = |value: &str| {
            [Shell::Bash, Shell::Fish, Shell::Pwsh, Shell::Dotenv].map(|shell| line(shell, "X", value))
        };
        assert_eq!(all("a b"), ["export X='a b'", "set -gx X 'a b'", "$env:X = 'a b'", "X=\"a b\""]);
        assert_eq!(
            all("it's $HOME"),
            [
                r"export X='it'\''s $HOME'",
                r"set -gx X 'it\'s $HOME'",
                "$env:X = 'it''s $HOME'",
                r#"X="it's \$HOME""#
            ]
        );
    }
}
