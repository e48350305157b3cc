//! `ccproxy serve`

use clap::Args;
use sd_notify::NotifyState;
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::context::Context;
use super::error::{CliError, Exit, chain};
use super::logging;
use crate::app::{App, StartError};

/// Run the proxy in the foreground
///
/// Prints a line per listener and `ready` on standard error. Ends on SIGTERM or Ctrl-C after the
/// requests under way; a second one ends it now.
#[derive(Args, Debug)]
pub(super) struct ServeArgs {
    /// Listen here, and nowhere else; repeat for more: ADDR:PORT or unix:/PATH
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
    for url in attached.listen_urls() {
        context.out.say(&format!("listening on {url}"));
    }
    context.out.say("ready");
    if context.out.json {
        context.out.document(&json!({
            "schema": "ccproxy.serve/1",
            "listen": attached.listen_urls(),
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
    let error = match error {
        StartError::Fault(fault) => return fault.into(),
        StartError::Config(error) => return error.into(),
        StartError::Bind(error) => CliError::failed(chain(&error)),
    };
    match context.host().await {
        Ok(Some(host)) => error.hint(format!(
            "a host runs on these directories already: pid {}, {}",
            host.status.pid,
            host.status.listen.join(" ")
        )),
        Ok(None) | Err(_) => error.hint("ccproxy serve --listen 127.0.0.1:0"),
    }
}

/// Tells the service manager, where there is one.
fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}
