//! `ccproxy run`

mod child;
mod environment;
mod signals;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::future::ready;

use clap::Args;

use super::context::Context;
use super::env::Mapping;
use super::error::{CliError, Exit, chain};
use super::local_key::{self, KeyArgs};
use crate::app::{App, Attached, StartError};
use crate::config::Config;
use crate::model::ConnectionId;
use signals::Signals;

/// Run a command with its tools pointed at routes
///
/// The command gets the variables that `ccproxy env` prints, and no token. Without a running host one
/// is started on a free port for as long as the command runs. Signals are passed on, and the exit code
/// is the command's: 128 and the signal if one ended it, 127 if there is no such program, 126 if it
/// cannot be executed, 125 if ccproxy itself failed.
#[derive(Args, Debug)]
pub(super) struct RunArgs {
    /// Routes, or connections for their own routes
    #[arg(value_name = "NAME", required = true)]
    names: Vec<ConnectionId>,
    #[command(flatten)]
    key: KeyArgs,
    /// The command and its arguments
    #[arg(value_name = "CMD", required = true, last = true)]
    command: Vec<OsString>,
}

/// Our own failure where no other code says what it is, as `env` and `timeout` have it.
const OURS: Exit = Exit(125);

pub(super) async fn run(args: RunArgs, context: Context) -> Result<Exit, CliError> {
    passed_on(args, context).await.map_err(|error| match error.exit {
        Exit::FAILED => CliError { exit: OURS, ..error },
        _ => error,
    })
}

async fn passed_on(args: RunArgs, context: Context) -> Result<Exit, CliError> {
    // From here on, so that none is lost between the start of the child and our hearing of it.
    let mut signals =
        Signals::listen().map_err(|error| CliError::failed(format!("cannot listen for signals: {error}")))?;
    let host = context.host().await?;
    let app = match &host {
        Some(_) => context.app()?,
        None => private(&context)?,
    };
    let config = app.config();
    let mappings = mappings(&app, &args.names).await?;
    let needed = local_key::is_needed(&context, &config).await?;
    let key = args.key.key(needed, &context, mappings.iter().map(|mapping| &mapping.name))?;
    warn(&app, &mappings, &context);
    let (private, urls, key) = match host {
        Some(_) => {
            let key = key.ok_or_else(|| local_key::missing(&mappings[0].name))?;
            let mut urls = Vec::with_capacity(mappings.len());
            for mapping in &mappings {
                urls.push(mapping.url(&context).await?);
            }
            (None, urls, key)
        }
        None => {
            let (app, key) = match key {
                Some(key) => (app, key),
                None => lending(app)?,
            };
            let attached = started(app).await?;
            let proxy = attached.listeners().first().map(ToString::to_string).unwrap_or_default();
            let urls = mappings.iter().map(|mapping| mapping.below(proxy.trim_end_matches('/'))).collect();
            (Some(attached), urls, key)
        }
    };
    for (name, url) in args.names.iter().zip(&urls) {
        if !context.global.quiet {
            context.out.remark(&format!("ccproxy: {name} → {url}"));
        }
    }
    let variables = mappings.iter().zip(&urls).flat_map(|(mapping, url)| mapping.variables(url, &key));
    let changes = environment::changes(std::env::vars_os(), &secrets(&config), variables);
    let ended = child::run(&args.command, changes, &mut signals).await;
    if let Some(host) = private {
        // The child is gone: nobody waits for a request. A refresh still reaches the store.
        host.drain(ready(())).await;
    }
    ended
}

/// What a host needs whose only client is our child.
fn private(context: &Context) -> Result<App, CliError> {
    let config = context.private_config()?;
    config.check_supported()?;
    config.check_exposure()?;
    config.check_references()?;
    Ok(App::open(config)?)
}

/// A host whose only client is our child has a key for it that ends with both.
fn lending(app: App) -> Result<(App, String), CliError> {
    let name = "run".parse().expect("it is a name");
    let (app, key) = app.lending_key(name)?;
    Ok((app, String::from_utf8_lossy(key.expose()).into_owned()))
}

async fn started(app: App) -> Result<Attached, CliError> {
    app.serve().await.map_err(|error| match error {
        StartError::Fault(fault) => fault.into(),
        StartError::Bind(error) | StartError::Admin(error) => CliError::failed(chain(&error)),
    })
}

/// Everybody's variables. Two that want one variable cannot both have it.
async fn mappings(app: &App, names: &[ConnectionId]) -> Result<Vec<Mapping>, CliError> {
    let mut mappings = Vec::with_capacity(names.len());
    let mut taken: BTreeMap<String, &ConnectionId> = BTreeMap::new();
    for name in names {
        let mapping = Mapping::of(app, name).await?;
        for (variable, _) in mapping.variables("", "") {
            if let Some(other) = taken.insert(variable.clone(), name) {
                return Err(CliError::usage(format!("`{other}` and `{name}` both set {variable}"))
                    .hint("run the command with one of them"));
            }
        }
        mappings.push(mapping);
    }
    Ok(mappings)
}

/// Says which of them will be refused until somebody logs in; the command may know what to do about it.
fn warn(app: &App, mappings: &[Mapping], context: &Context) {
    for mapping in mappings {
        let id = &mapping.connection;
        if app.status_of(id, Ok(()), mapping.needs_login).is_ok_and(|status| !status.is_usable()) {
            context.out.remark(&format!("warning: `{id}` needs a login\nhint: ccproxy auth login {id}"));
        }
    }
}

fn secrets(config: &Config) -> Vec<OsString> {
    config.secret_variables().into_iter().map(OsString::from).collect()
}
