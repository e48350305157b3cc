//! Arguments, runtime, exit code.

use std::process::ExitCode;

use rustix::process::{Resource, Rlimit};

fn main() -> ExitCode {
    harden();
    let run = || ccproxy::cli::main(std::env::args_os().collect());
    // A panic is a bug of ours: `internal` of the taxonomy, exit code 1.
    std::panic::catch_unwind(run).unwrap_or(ExitCode::FAILURE)
}

/// Keeps secrets in memory out of core files, out of other processes' reach and out of panics.
fn harden() {
    // Where the system refuses, it is one fence fewer, not a reason to not work.
    let _ = rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    // The message of a panic may quote a value; its place is what a bug report needs.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_else(|| "an unknown place".into());
        eprintln!("ccproxy: internal error at {place}");
    }));
}
