//! From merged layers to what the host runs on.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::Digest;
use url::Url;

use super::check::shown_path;
use super::diagnostic::Diagnostic;
use super::duration;
use super::layers::{Merged, Rank};
use super::named::{ConnectionConfig, Cookies, RouteConfig};
use super::origin::Origin;
use super::typed::{ListenAddress, OutboundProxy, Resolved, Server, optional_url};
use crate::credential::{Ahead, Policy};
use crate::model::{ConnectionId, Name, Target};

/// Resolves everything; what is missing or contradictory is a problem.
pub(super) fn resolve(merged: &Merged, problems: &mut Vec<Diagnostic>) -> Option<Resolved> {
    let connections = connections(merged, problems);
    let routes = routes(merged, problems);
    two_on_one_path(&routes, problems);
    let refresh: Refresh = section(merged, "refresh", problems)?;
    let server: Server = section(merged, "server", problems)?;
    two_on_one_listener(merged, &server, &routes, problems);
    Some(Resolved {
        server,
        admin: section(merged, "admin", problems)?,
        upstream: section(merged, "upstream", problems)?,
        plugins: section(merged, "plugins", problems)?,
        storage: section(merged, "storage", problems)?,
        logging: section(merged, "logging", problems)?,
        refresh: refresh.into(),
        connections,
        routes,
    })
}

/// `[refresh]` as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refresh {
    #[serde(deserialize_with = "duration::deserialize_ahead")]
    ahead: Ahead,
    #[serde(deserialize_with = "duration::deserialize")]
    max_ahead: Duration,
    #[serde(deserialize_with = "duration::deserialize_share")]
    jitter: f64,
    #[serde(deserialize_with = "duration::deserialize")]
    sweep: Duration,
}

impl From<Refresh> for Policy {
    fn from(written: Refresh) -> Self {
        Self {
            ahead: written.ahead,
            max_ahead: written.max_ahead,
            jitter: written.jitter,
            sweep: written.sweep,
        }
    }
}

/// The settings of a connection that the host itself reads.
#[derive(Deserialize)]
struct Common {
    provider: Name,
    #[serde(default, deserialize_with = "optional_url")]
    upstream: Option<Url>,
    #[serde(default, deserialize_with = "duration::deserialize_optional")]
    timeout: Option<Duration>,
    extra_ca: Option<PathBuf>,
    outbound_proxy: Option<OutboundProxy>,
    flow: Option<String>,
}

/// A route as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Route {
    path: Option<String>,
    #[serde(default, deserialize_with = "optional_url")]
    upstream: Option<Url>,
    connection: ConnectionId,
    #[serde(default)]
    scopes: Vec<String>,
    audience: Option<String>,
    resource: Option<String>,
    inject: Option<String>,
    #[serde(deserialize_with = "duration::deserialize")]
    timeout: Duration,
    methods: Vec<String>,
    cookies: Cookies,
    rewrite: Vec<String>,
    rewrite_json: Vec<String>,
    listen: Option<ListenAddress>,
    host: Option<String>,
    http2: Option<bool>,
}

fn section<T: DeserializeOwned>(merged: &Merged, name: &str, problems: &mut Vec<Diagnostic>) -> Option<T> {
    let missing = || Err(Diagnostic::new(Origin::BuiltIn, format!("[{name}] has no defaults")));
    merged.read(&[name]).unwrap_or_else(missing).map_err(|problem| problems.push(problem)).ok()
}

fn connections(merged: &Merged, problems: &mut Vec<Diagnostic>) -> BTreeMap<ConnectionId, ConnectionConfig> {
    let mut connections = BTreeMap::new();
    for name in merged.names(&["connections"]) {
        match connection(merged, name) {
            Ok((id, connection)) => {
                connections.insert(id, connection);
            }
            Err(problem) => problems.push(problem),
        }
    }
    connections
}

fn connection(merged: &Merged, name: &str) -> Result<(ConnectionId, ConnectionConfig), Diagnostic> {
    let path = ["connections", name];
    require(merged, &path, "provider", "provider = \"ID\"")?;
    let common: Common = read(merged, &path)?;
    let mut settings: serde_json::Map<String, serde_json::Value> = read(merged, &path)?;
    settings.remove("provider");
    let id =
        name.parse().map_err(|error: crate::model::InvalidName| problem(merged, &path, error.to_string()))?;
    let ranks: Vec<Rank> = merged
        .layers()
        .iter()
        .filter(|layer| layer.connections().is_some_and(|table| table.contains_key(name)))
        .map(|layer| layer.rank)
        .collect();
    let in_store = ranks.contains(&Rank::Stored);
    let connection = ConnectionConfig {
        origin: origin(merged, &["connections", name, "provider"]),
        stored: ranks == [Rank::Stored],
        shadowed_store: in_store && ranks.iter().any(|rank| matches!(rank, Rank::User | Rank::Directory)),
        generation: digest(&common.provider, &settings),
        provider: common.provider,
        upstream: common.upstream,
        timeout: common.timeout,
        extra_ca: common.extra_ca,
        outbound_proxy: common.outbound_proxy,
        flow: common.flow,
        settings,
    };
    Ok((id, connection))
}

fn routes(merged: &Merged, problems: &mut Vec<Diagnostic>) -> BTreeMap<Name, RouteConfig> {
    let mut routes = BTreeMap::new();
    for name in merged.names(&["routes"]) {
        match route(merged, name) {
            Ok((name, route)) => {
                routes.insert(name, route);
            }
            Err(problem) => problems.push(problem),
        }
    }
    routes
}

fn route(merged: &Merged, name: &str) -> Result<(Name, RouteConfig), Diagnostic> {
    let path = ["routes", name];
    require(merged, &path, "connection", "connection = \"NAME\"")?;
    let written: Route = read(merged, &path)?;
    let parsed = |what: &str| problem(merged, &["routes", name, what], format!("`{what}` is not valid"));
    let methods = written.methods.iter().map(|method| method.parse()).collect::<Result<_, _>>();
    let rewrite = written.rewrite.iter().map(|field| field.parse()).collect::<Result<_, _>>();
    let route = RouteConfig {
        path: written.path.unwrap_or_else(|| name.to_owned()),
        upstream: written.upstream,
        connection: written.connection,
        target: Target {
            scopes: written.scopes,
            audience: written.audience,
            resource: written.resource,
            inject: written.inject,
        },
        timeout: written.timeout,
        methods: methods.map_err(|_| parsed("methods"))?,
        cookies: written.cookies,
        rewrite: rewrite.map_err(|_| parsed("rewrite"))?,
        rewrite_json: written.rewrite_json,
        listen: written.listen,
        host: written.host,
        http2: written.http2,
        origin: origin(merged, &["routes", name, "connection"]),
    };
    let name =
        name.parse().map_err(|error: crate::model::InvalidName| problem(merged, &path, error.to_string()))?;
    Ok((name, route))
}

fn two_on_one_path(routes: &BTreeMap<Name, RouteConfig>, problems: &mut Vec<Diagnostic>) {
    let mut taken: BTreeMap<&str, (&Name, &RouteConfig)> = BTreeMap::new();
    for (name, route) in routes {
        if let Some((other, first)) = taken.get(route.path.as_str()) {
            let message = format!(
                "routes `{other}` and `{name}` are both on the path `{}`: the first is at {}",
                route.path, first.origin
            );
            let hint = "give one of them another `path`";
            problems.push(Diagnostic::new(route.origin.clone(), message).with_hint(hint));
        } else {
            taken.insert(&route.path, (name, route));
        }
    }
}

/// A listener is the server's or one route's.
fn two_on_one_listener(
    merged: &Merged,
    server: &Server,
    routes: &BTreeMap<Name, RouteConfig>,
    problems: &mut Vec<Diagnostic>,
) {
    let shared =
        server.listen.iter().map(|address| (address, "`server.listen`".into(), vec!["server", "listen"]));
    let own = routes.iter().filter_map(|(name, route)| {
        let path = vec!["routes", name.as_str(), "listen"];
        Some((route.listen.as_ref()?, format!("`routes.{name}.listen`"), path))
    });
    let mut taken: Vec<(&ListenAddress, String, Origin)> = Vec::new();
    for (address, what, path) in shared.chain(own) {
        let origin = origin(merged, &path);
        if let Some((_, other, first)) = taken.iter().find(|(one, ..)| address.collides_with(one)) {
            let message = format!("{other} and {what} both want `{address}`: the first is at {first}");
            let hint = "give one of them another address";
            problems.push(Diagnostic::new(origin, message).with_hint(hint));
        } else {
            taken.push((address, what, origin));
        }
    }
}

/// A key that a named table cannot do without.
fn require(merged: &Merged, path: &[&str], key: &str, example: &str) -> Result<(), Diagnostic> {
    if merged.position(&[path, &[key]].concat()).is_some() {
        return Ok(());
    }
    let message = format!("[{}] has no `{key}`", shown_path(path));
    Err(problem(merged, path, message).with_hint(format!("add {example} or whichever it is")))
}

fn read<T: DeserializeOwned>(merged: &Merged, path: &[&str]) -> Result<T, Diagnostic> {
    let missing = || Err(Diagnostic::new(Origin::BuiltIn, format!("[{}] is missing", shown_path(path))));
    merged.read(path).unwrap_or_else(missing)
}

fn problem(merged: &Merged, path: &[&str], message: String) -> Diagnostic {
    match merged.position(path) {
        Some(position) => Diagnostic::at_key(position, message),
        None => Diagnostic::new(Origin::BuiltIn, message),
    }
}

fn origin(merged: &Merged, path: &[&str]) -> Origin {
    merged.position(path).map_or(Origin::BuiltIn, |position| position.origin())
}

/// 53 bits, so that every JSON reader keeps them.
fn digest(provider: &Name, settings: &serde_json::Map<String, serde_json::Value>) -> u64 {
    let mut hash = sha2::Sha256::new();
    hash.update(provider.as_str());
    hash.update([0]);
    hash.update(serde_json::to_vec(settings).unwrap_or_default());
    let first = hash.finalize().iter().take(8).fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    first >> 11
}
