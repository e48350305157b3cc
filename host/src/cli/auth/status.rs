//! `ccproxy auth status`

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::app::{ConnectionStatus, shown_account};
use crate::cli::client::Host;
use crate::cli::context::Context;
use crate::cli::error::{CliError, Exit};
use crate::cli::output::{Output, Tone};
use crate::cli::time::{parse_rfc3339, roughly};
use crate::model::{ConnectionId, UnixMillis};
use crate::vault::{Account, Problem, State};

/// How often `--watch` looks. Reading a hundred small files costs a few milliseconds.
const LOOK: Duration = Duration::from_secs(1);
/// How often `--watch --check` asks providers, which count our requests.
const CHECK: Duration = Duration::from_secs(60);

/// Show how connections stand
///
/// Reads what is stored and never uses the network, unless --check asks to. Exits with 0 when all that
/// is listed is usable, else with 4; with --check also with the code of a provider that fails.
#[derive(Args, Debug)]
pub(in crate::cli) struct StatusArgs {
    /// Show this connection only
    #[arg(value_name = "[ORG/]CONNECTION")]
    connection: Option<ConnectionId>,
    /// Show the connections of this provider only
    #[arg(long, value_name = "PROVIDER")]
    provider: Option<String>,
    /// Acquire a token and ask each provider whose account it is
    #[arg(long)]
    check: bool,
    /// Print again whenever something changes
    #[arg(long)]
    watch: bool,
}

impl StatusArgs {
    /// Whether tokens may be acquired.
    pub(super) fn checks(&self) -> bool {
        self.check
    }
}

/// The document `ccproxy.auth-status/1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::cli) struct StatusDocument {
    schema: String,
    connections: Vec<ConnectionStatus>,
}

impl StatusDocument {
    fn new(connections: Vec<ConnectionStatus>) -> Self {
        Self { schema: "ccproxy.auth-status/1".into(), connections }
    }

    /// 0 when everything listed is usable, 7 for a store that cannot be read, else 4.
    fn exit(&self) -> Exit {
        if self.connections.iter().any(|connection| connection.state == State::StoreLocked) {
            Exit::STORE
        } else if self.connections.iter().all(ConnectionStatus::is_usable) {
            Exit::OK
        } else {
            Exit::LOGIN
        }
    }
}

pub(super) async fn run(args: StatusArgs, context: Context) -> Result<Exit, CliError> {
    let mut last: Option<StatusDocument> = None;
    loop {
        let host = context.host().await;
        let mut document = StatusDocument::new(look(&args, &host, &context).await?);
        let checked = if args.check { check_all(&mut document, &context).await } else { Exit::OK };
        if last.as_ref() != Some(&document) {
            print(&document, &host, args.watch, &context.out)?;
        }
        if !args.watch {
            let exit = document.exit();
            return Ok(if exit == Exit::OK { checked } else { exit });
        }
        last = Some(document);
        tokio::time::sleep(if args.check { CHECK } else { LOOK }).await;
    }
}

/// The running host, none, or one that does not answer.
type Found = Result<Option<Host>, CliError>;

async fn look(args: &StatusArgs, host: &Found, context: &Context) -> Result<Vec<ConnectionStatus>, CliError> {
    let one = match &args.connection {
        Some(id) => one(id, host, context).await?,
        None => None,
    };
    let mut connections = match one {
        Some(one) => vec![one],
        None => statuses(host, context).await?,
    };
    if let Some(id) = &args.connection {
        let known: Vec<String> = connections.iter().map(|connection| connection.id().to_string()).collect();
        connections.retain(|connection| connection.id() == *id);
        if connections.is_empty() {
            return Err(CliError::no_such("connection", &id.to_string(), known.iter().map(String::as_str)));
        }
    }
    if let Some(provider) = &args.provider {
        let known: BTreeSet<String> =
            connections.iter().map(|connection| connection.provider.to_string()).collect();
        connections.retain(|connection| connection.provider.as_str() == provider);
        if connections.is_empty() {
            let known = known.iter().map(String::as_str);
            return Err(CliError::no_such("connection of a provider", provider, known));
        }
    }
    Ok(connections)
}

/// The connection of this name, if there is one, without asking for all.
async fn one(
    id: &ConnectionId,
    host: &Found,
    context: &Context,
) -> Result<Option<ConnectionStatus>, CliError> {
    if let Ok(Some(host)) = host {
        return Ok(host.connection(id).await.ok());
    }
    let app = context.app()?;
    match app.config().resolved.connections.contains_key(id) {
        true => Ok(Some(app.status_of_one(id).await?)),
        false => Ok(None),
    }
}

/// Every connection: as the running host sees it, else as it is stored. A host that is stuck does not
/// keep a person from seeing what is stored.
pub(super) async fn statuses(host: &Found, context: &Context) -> Result<Vec<ConnectionStatus>, CliError> {
    if let Ok(Some(host)) = host
        && let Ok(connections) = host.connections().await
    {
        return Ok(connections);
    }
    Ok(context.app()?.status().await)
}

/// Asks every provider; the exit code of the first that has no good answer.
async fn check_all(document: &mut StatusDocument, context: &Context) -> Exit {
    let mut first = Exit::OK;
    for connection in &mut document.connections {
        match super::test::test(&connection.id(), context).await {
            Ok(account) => connection.account = Some(account),
            Err(error) => {
                first = if first == Exit::OK { error.exit } else { first };
                refused(connection, &error);
            }
        }
    }
    first
}

fn refused(connection: &mut ConnectionStatus, error: &CliError) {
    // A provider that cannot be reached says nothing of the grant.
    if error.exit == Exit::LOGIN && connection.is_usable() {
        connection.state = State::ReauthRequired;
    }
    connection.problem = Some(Problem {
        code: error.code.to_owned(),
        message: error.message.clone(),
        hint: error.hint.clone(),
    });
}

fn print(document: &StatusDocument, host: &Found, watch: bool, out: &Output) -> Result<(), CliError> {
    if out.json {
        return out.document(document);
    }
    let paint = |tone: Tone| out.paint(tone, tone.sign());
    let text = render(&document.connections, &proxy(host), UnixMillis::now(), paint);
    if watch { out.redraw(&text) } else { out.text(&text) }
}

fn proxy(host: &Found) -> String {
    match host {
        Ok(Some(host)) => {
            let listen = host.status.listen.first().map(|url| format!(", {url}")).unwrap_or_default();
            format!("proxy running (pid {}{listen})", host.status.pid)
        }
        Ok(None) => "proxy not running".into(),
        Err(error) => format!("proxy not answering: {}", error.message),
    }
}

/// Two lines a connection, and one about the proxy.
fn render(
    connections: &[ConnectionStatus],
    proxy: &str,
    now: UnixMillis,
    paint: impl Fn(Tone) -> String,
) -> String {
    if connections.is_empty() {
        return "no connections yet: `ccproxy auth login PROVIDER` makes one\n".into();
    }
    let width = |text: fn(&ConnectionStatus) -> String| {
        connections.iter().map(|connection| text(connection).chars().count()).max().unwrap_or(0)
    };
    let (names, accounts) = (width(|connection| connection.id().to_string()), width(who));
    let mut text = String::new();
    for connection in connections {
        let (id, who) = (connection.id().to_string(), who(connection));
        let sign = paint(tone(connection));
        let indent = " ".repeat(names + 4);
        text.push_str(&format!("{sign} {id:names$}  {who:accounts$}  {}\n", standing(connection, now)));
        for detail in details(connection, now) {
            text.push_str(&format!("{indent}{detail}\n"));
        }
    }
    let usable = connections.iter().filter(|connection| connection.is_usable()).count();
    text.push_str(&format!("{proxy} · {usable} of {} usable\n", connections.len()));
    text
}

fn tone(connection: &ConnectionStatus) -> Tone {
    match connection.state {
        State::Ok | State::Refreshing if connection.problem.is_none() => Tone::Good,
        _ if connection.is_usable() => Tone::Warn,
        State::LoginPending => Tone::Warn,
        _ => Tone::Bad,
    }
}

fn who(connection: &ConnectionStatus) -> String {
    let Some(account) = &connection.account else { return "—".into() };
    match (shown_account(account), &account.host) {
        (name, _) if name.is_empty() => "—".into(),
        (name, Some(host)) if !name.contains(['@', ' ']) => format!("{name}@{host}"),
        (name, _) => name,
    }
}

/// The state in words: when the first token dies, and whether somebody has to care.
fn standing(connection: &ConnectionStatus, now: UnixMillis) -> String {
    let care = if connection.refreshable { "refreshes automatically" } else { "cannot refresh" };
    match connection.state {
        State::Ok | State::Expiring => match expires_at(connection) {
            Some(at) => format!("expires in {} · {care}", roughly(now.until(at))),
            None if connection.credentials.is_empty() && connection.refreshable => {
                "acquired when first used".into()
            }
            None => "does not expire".into(),
        },
        State::Expired if connection.refreshable => format!("expired · {care}"),
        State::Expired => "expired · cannot refresh: log in again".into(),
        State::Refreshing => "refreshing now".into(),
        State::LoginPending => "a login is under way".into(),
        State::ReauthRequired => "refused: log in again".into(),
        State::NotLoggedIn => "not logged in".into(),
        State::PluginMissing => format!("the plugin `{}` cannot be used", connection.provider),
        State::StoreLocked => "the store cannot be read".into(),
    }
}

/// When the first token of a connection dies.
pub(super) fn expires_at(connection: &ConnectionStatus) -> Option<UnixMillis> {
    let times = connection.credentials.iter().filter_map(|credential| credential.expires_at.as_deref());
    times.filter_map(parse_rfc3339).min()
}

fn details(connection: &ConnectionStatus, now: UnixMillis) -> Vec<String> {
    let mut facts = Vec::new();
    let scopes = connection.scopes_granted.as_ref().unwrap_or(&connection.scopes_requested);
    if !scopes.is_empty() {
        facts.push(format!("scopes {}", scopes.join(", ")));
    }
    // A token of the environment is used without being stored, and that must be seen.
    let overridden = connection.state == State::Ok && !connection.refreshable;
    if !connection.credentials.is_empty() || overridden {
        facts.push(connection.storage.clone());
    }
    if let Some(last) = &connection.last_refresh
        && let Some(at) = parse_rfc3339(&last.at)
    {
        facts.push(format!("last refresh {} ago, {}", roughly(at.until(now)), last.result));
    }
    if let Some(next) = connection.next_refresh_at.as_deref().and_then(parse_rfc3339) {
        facts.push(format!("next in {}", roughly(now.until(next))));
    }
    let mut lines: Vec<String> = (!facts.is_empty()).then(|| facts.join(" · ")).into_iter().collect();
    if let Some(problem) = &connection.problem {
        // "not logged in" is already what the first line says.
        if connection.state != State::NotLoggedIn {
            lines.push(format!("{}: {}", problem.code, problem.message));
        }
        lines.extend(problem.hint.as_ref().map(|hint| format!("hint: {hint}")));
    }
    lines
}

/// The account of a connection in a document of ours.
pub(super) fn account_of(document: &serde_json::Value) -> Option<Account> {
    serde_json::from_value(document.clone()).ok()
}

#[cfg(test)]
mod tests;
