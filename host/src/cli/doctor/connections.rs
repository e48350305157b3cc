//! How each connection stands, and its cure.

use tokio::runtime::Handle;

use super::check::{Check, Finding, looked, unseen};
use crate::app::{App, ConnectionStatus};
use crate::cli::client::Host;
use crate::config::{ConfigError, SecretRef};
use crate::hint::listed;
use crate::vault::State;

const GROUP: &str = "connections";

/// As the running host sees them, else as they are stored.
pub(super) async fn checks(host: Option<&Host>, app: Option<&App>) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some(app) = app {
        checks.extend(settings(app).await);
    }
    if let Some(app) = app {
        checks.extend(secrets(app, host.is_some()).await);
    }
    let statuses = match (host, app) {
        (Some(host), _) => match host.connections().await {
            Ok(statuses) => statuses,
            Err(error) => return vec![Check::fail(GROUP, "host", error.message)],
        },
        (None, Some(app)) => app.status().await,
        (None, None) => return vec![unseen(GROUP, "state")],
    };
    if statuses.is_empty() {
        checks.push(Check::warn(GROUP, "state", "there is none yet").hint("ccproxy auth login PROVIDER"));
        return checks;
    }
    let (good, bad): (Vec<_>, Vec<_>) =
        statuses.iter().partition(|status| status.is_usable() && status.problem.is_none());
    if !good.is_empty() {
        let names: Vec<String> = good.iter().map(|status| status.id().to_string()).collect();
        let what =
            format!("{} of {}: {}", good.len(), statuses.len(), listed(names.iter().map(String::as_str)));
        checks.push(Check::ok(GROUP, "usable", what));
    }
    checks.extend(bad.into_iter().map(one));
    checks
}

/// Settings that their plugins do not know.
async fn settings(app: &App) -> Vec<Check> {
    let config = app.config();
    let mut checks = Vec::new();
    for (id, own) in &config.resolved.connections {
        // One whose plugin is missing says so by its state.
        let Ok(plugin) = app.registry().load(&own.provider).await else { continue };
        let problems = ConfigError::check(config.check_settings(id, plugin.settings_schema()));
        for diagnostic in problems.err().iter().flat_map(ConfigError::diagnostics) {
            let check = Check::fail(GROUP, diagnostic.origin.to_string(), diagnostic.message.clone());
            checks.push(check.hint(diagnostic.hint.clone().unwrap_or_else(|| "ccproxy config check".into())));
        }
    }
    checks
}

/// Secrets that are not where the configuration says. A program that knows one is not run for this.
async fn secrets(app: &App, host_runs: bool) -> Vec<Check> {
    let config = app.config();
    let mut checks = Vec::new();
    for (id, own) in &config.resolved.connections {
        for (name, value) in own.settings.iter().filter(|(_, value)| value.is_object()) {
            let Ok(reference @ (SecretRef::Env(_) | SecretRef::File(_))) = SecretRef::parse(value) else {
                continue;
            };
            let (env, runtime) = (config.sources().env.clone(), Handle::current());
            let is_variable = matches!(reference, SecretRef::Env(_));
            let found = looked(GROUP, move || runtime.block_on(reference.resolve(&env)).map(drop)).await;
            let check = match found {
                Ok(Ok(())) => continue,
                Ok(Err(fault)) => Check::fault(GROUP, format!("{id}.{name}"), &fault),
                Err(silent) => silent,
            };
            let elsewhere = format!("put it there, or let `connections.{id}.{name}` say where it is");
            let hint = check.hint.clone().or(Some(elsewhere));
            // A running host has an environment of its own.
            let result = if is_variable && host_runs { Finding::Warn } else { check.result };
            checks.push(Check { result, hint, ..check });
        }
    }
    checks
}

fn one(status: &ConnectionStatus) -> Check {
    let id = status.id();
    let login = || format!("ccproxy auth login {id}");
    let (problem, cure) = match &status.problem {
        Some(problem) => (problem.message.clone(), problem.hint.clone()),
        None => (status.state.as_str().replace('_', " "), None),
    };
    if status.is_usable() || status.state == State::LoginPending {
        let check = Check::warn(GROUP, id.to_string(), problem);
        return match cure {
            Some(cure) => check.hint(cure),
            None => check,
        };
    }
    let needs_login = matches!(status.state, State::NotLoggedIn | State::ReauthRequired | State::Expired);
    let check = Check::fail(GROUP, id.to_string(), problem);
    match cure.or_else(|| needs_login.then(login)) {
        Some(cure) => check.hint(cure),
        None => check.hint("ccproxy plugin list"),
    }
}
