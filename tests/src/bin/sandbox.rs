//! `ccproxy-sandbox`: the sandbox as a program, for the demo, for benchmarks and for trying things by hand.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use ccproxy_tests::parse_duration;
use ccproxy_tests::sandbox::{Sandbox, SandboxConfig, Settings};
use clap::Parser;
use tokio::io::AsyncReadExt;
use tokio::signal::unix::{SignalKind, signal};

/// Run an authorization server and a recording upstream on loopback
///
/// Prints one line of JSON with their addresses when they are ready.
#[derive(Parser)]
#[command(name = "ccproxy-sandbox")]
struct Args {
    /// Port of the authorization server; 0 picks a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Port of the upstream; 0 picks a free one
    #[arg(long, default_value_t = 0)]
    upstream_port: u16,
    #[arg(long, default_value = "60s", value_parser = parse_duration)]
    access_token_ttl: Duration,
    #[arg(long, default_value = "1h", value_parser = parse_duration)]
    refresh_token_ttl: Duration,
    /// Answer every refresh with a new refresh token
    #[arg(long)]
    rotate: bool,
    /// Revoke a grant whose spent refresh token comes back
    #[arg(long)]
    reuse_detection: bool,
    /// How long the token endpoint thinks
    #[arg(long, default_value = "0s", value_parser = parse_duration)]
    token_delay: Duration,
    /// How often a device may poll
    #[arg(long, default_value = "5s", value_parser = parse_duration)]
    device_interval: Duration,
    /// Approve every authorization request as this user, without a page
    #[arg(long, value_name = "USER", num_args = 0..=1, default_missing_value = "alice")]
    auto_approve: Option<String>,
    /// Serve over TLS, too, with a private CA
    #[arg(long)]
    tls: bool,
    /// End after this time in any case
    #[arg(long, default_value = "1h", value_parser = parse_duration)]
    max_life: Duration,
    /// End when stdin is closed, so that it dies with the program that started it
    #[arg(long)]
    exit_with_stdin: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = runtime.and_then(|runtime| {
        let ended = runtime.block_on(run(args));
        // A read of stdin that is still waiting must not hold up the end.
        runtime.shutdown_background();
        ended
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (max_life, exit_with_stdin) = (args.max_life, args.exit_with_stdin);
    let sandbox = Sandbox::start(args.into_config()).await?;
    writeln!(io::stdout(), "{}", sandbox.ready_line())?;
    tokio::select! {
        _ = terminate.recv() => (),
        _ = interrupt.recv() => (),
        () = tokio::time::sleep(max_life) => (),
        () = stdin_closed(), if exit_with_stdin => (),
    }
    Ok(())
}

impl Args {
    fn into_config(self) -> SandboxConfig {
        SandboxConfig {
            port: self.port,
            upstream_port: self.upstream_port,
            tls: self.tls,
            settings: Settings {
                access_token_ttl: self.access_token_ttl,
                refresh_token_ttl: self.refresh_token_ttl,
                rotate: self.rotate,
                reuse_detection: self.reuse_detection,
                token_delay: self.token_delay,
                device_interval: self.device_interval,
                auto_approve: self.auto_approve,
                ..Settings::default()
            },
        }
    }
}

async fn stdin_closed() {
    let mut stdin = tokio::io::stdin();
    let mut ignored = [0; 256];
    while matches!(stdin.read(&mut ignored).await, Ok(read) if read > 0) {}
}
