//! `ccproxy serve`

use clap::Args;
use sd_notify::NotifyState;
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::context::Context;
use super::error::{CliError, Exit, chain};
use super::logging;
use crate::app::{App, StartError, dedicated_urls, shared_urls};
use crate::proxy::BindError;

/// Run the proxy in the foreground
///
/// Prints a line per listener and `ready` on standard error. Ends on SIGTERM or Ctrl-C after the
/// requests under way; a second one ends it now.
#[derive(Args, Debug)]
pub(super) struct ServeArgs {
    /// Listen here, and nowhere else; repeat for more: ADDR:PORT, unix:/PATH or fd:N
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<String>,
    /// Set any key of the configuration: --set refresh.ahead=20%
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

pub(super) async fn run(args: ServeArgs, context: Context) -> Result<Exit, CliError> {
    let config = context.config_with(args.set, args.listen)?;
    config.check_supported()?;
    config.check_references()?;
    logging::start(&context.global, Some(&config.resolved.logging));
    let mut stop = Stop::new()?;

    let app = App::open(config)?;
    let attached = tokio::select! {
        started = app.serve() => match started {
            Ok(attached) => attached,
            Err(error) => return Err(not_started(error, &context).await),
        },
        () = stop.requested() => return Err(CliError::cancelled("stopped before it was ready")),
    };
    let listeners = attached.listeners();
    for listener in &listeners {
        let route = listener.dedicated.as_ref().map(|route| format!(" for the route `{route}`"));
        context.out.say(&format!("listening on {listener}{}", route.unwrap_or_default()));
    }
    context.out.say("ready");
    if context.out.json {
        context.out.document(&json!({
            "schema": "ccproxy.serve/1",
            "listen": shared_urls(&listeners),
            "route_listeners": dedicated_urls(&listeners),
            "admin": attached.admin(),
            "pid": std::process::id(),
        }))?;
    }
    notify(NotifyState::Ready);

    stop.requested().await;
    notify(NotifyState::Stopping);
    attached.drain(stop.requested()).await;
    Ok(Exit::OK)
}

/// The two signals that ask for an end.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn new() -> Result<Self, CliError> {
        let listen = |kind| {
            signal(kind).map_err(|error| CliError::failed(format!("cannot listen for signals: {error}")))
        };
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn requested(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

async fn not_started(error: StartError, context: &Context) -> CliError {
    match error {
        StartError::Fault(fault) => fault.into(),
        StartError::Config(error) => error.into(),
        StartError::Bind(error) => not_bound(error, context).await,
    }
}

async fn not_bound(error: BindError, context: &Context) -> CliError {
    let message = chain(&error);
    let hint = match &error {
        // Interface section 6.
        BindError::NotLoopback { .. } => {
            return CliError::usage(message).hint("let the socket listen on a loopback address");
        }
        BindError::Unix { source, .. } => source.hint(),
        BindError::Inherited { source, .. } => source.hint().map(str::to_owned),
        BindError::InUse { .. } | BindError::Refused { .. } | BindError::Nothing | BindError::Workers(_) => {
            Some("ccproxy serve --listen 127.0.0.1:0".into())
        }
    };
    let failed = CliError { hint, ..CliError::failed(message) };
    match context.host().await {
        Ok(Some(host)) => failed.hint(format!(
            "a host runs on these directories already: pid {}, {}",
            host.status.pid,
            host.status.listen.join(" ")
        )),
        Ok(None) | Err(_) => failed,
    }
}

/// Tells the service manager, where there is one.
fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}
