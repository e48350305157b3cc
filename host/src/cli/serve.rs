//! `ccproxy serve`

use clap::Args;
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::context::Context;
use super::error::{CliError, Exit, chain};
use super::logging::{self, Log};
use crate::app::{App, Attached, StartError, dedicated_urls, service_manager, shared_urls};
use crate::proxy::BindError;

/// Run the proxy in the foreground
///
/// Prints a line per listener and `ready` on standard error. Ends on SIGTERM or Ctrl-C after the
/// requests under way; a second one ends it now. Follows its configuration files, and reads them
/// again on SIGHUP; a bad one changes nothing.
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
    config.check_exposure()?;
    config.check_references()?;
    let log = logging::start(&context.global, Some(&config.resolved.logging));
    let (mut stop, mut hangup) = (Stop::new()?, listen(SignalKind::hangup())?);

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
        context.out.say(&format!("listening on {listener}"));
    }
    if let Some(url) = attached.admin_url() {
        context.out.say(&format!("admin API on {url}"));
    }
    context.out.say("ready");
    if context.out.json {
        context.out.document(&json!({
            "schema": "ccproxy.serve/1",
            "listen": shared_urls(&listeners),
            "route_listeners": dedicated_urls(&listeners),
            "admin": attached.admin(),
            "admin_listen": attached.admin_url(),
            "pid": std::process::id(),
        }))?;
    }
    service_manager::ready();

    until_stopped(&attached, &mut stop, &mut hangup, &log).await;
    service_manager::stopping();
    attached.drain(stop.requested()).await;
    Ok(Exit::OK)
}

/// Serves until somebody asks for the end, and follows the configuration in the meantime.
async fn until_stopped(attached: &Attached, stop: &mut Stop, hangup: &mut Signal, log: &Log) {
    let mut configuration = attached.configuration();
    loop {
        tokio::select! {
            () = stop.requested() => return,
            () = attached.stop_asked() => return,
            _ = hangup.recv() => attached.reload(),
            Ok(()) = configuration.changed() => {
                log.follow(&configuration.borrow_and_update().resolved.logging);
            }
        }
    }
}

/// The two signals that ask for an end.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn new() -> Result<Self, CliError> {
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn requested(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn listen(kind: SignalKind) -> Result<Signal, CliError> {
    signal(kind).map_err(|error| CliError::failed(format!("cannot listen for signals: {error}")))
}

async fn not_started(error: StartError, context: &Context) -> CliError {
    match error {
        StartError::Fault(fault) => fault.into(),
        StartError::Bind(error) => not_bound(error, context).await,
        StartError::Admin(error) => {
            let hint =
                error.hint().unwrap_or_else(|| "use another address in `admin.listen`, or \"off\"".into());
            CliError::failed(format!("the listener of the admin API: {}", chain(&error))).hint(hint)
        }
    }
}

async fn not_bound(error: BindError, context: &Context) -> CliError {
    let message = chain(&error);
    if let BindError::NotLoopback { .. } = &error {
        // Interface section 6: a mistake of the configuration, whoever opened the socket.
        return CliError { hint: error.hint(), ..CliError::usage(message) };
    }
    let hint = error.hint().or_else(|| Some("ccproxy serve --listen 127.0.0.1:0".into()));
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
