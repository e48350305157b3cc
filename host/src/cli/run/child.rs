//! The child: started, told of signals, waited for.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::environment::Change;
use super::signals::Signals;
use crate::cli::error::{CliError, Exit};

const NOT_EXECUTABLE: Exit = Exit(126);
const NOT_FOUND: Exit = Exit(127);

/// Runs a command to its end, and answers what a shell would say of it.
pub(super) async fn run(
    words: &[OsString],
    changes: Vec<Change>,
    signals: &mut Signals,
) -> Result<Exit, CliError> {
    let [program, arguments @ ..] = words else { return Err(CliError::usage("a command is missing")) };
    let mut command = Command::new(program);
    command.args(arguments);
    for (name, value) in changes {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let mut child = command.spawn().map_err(|error| not_started(program, &error))?;
    loop {
        tokio::select! {
            ended = child.wait() => {
                return match ended {
                    Ok(status) => Ok(exit_of(status)),
                    Err(error) => Err(CliError::failed(format!("cannot wait for the command: {error}"))),
                };
            }
            Some(signal) = signals.next() => pass_on(&child, signal),
        }
    }
}

fn pass_on(child: &Child, signal: i32) {
    // None once it was waited for: its number may be another's by now.
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let (Some(pid), Some(signal)) = (pid, Signal::from_named_raw(signal)) {
        // It has just ended, or runs as somebody else: either way there is nothing more to do.
        let _ = kill_process(pid, signal);
    }
}

/// 128 and the number of the signal that ended it, else its own code.
fn exit_of(status: ExitStatus) -> Exit {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    Exit(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX))
}

fn not_started(program: &OsString, error: &std::io::Error) -> CliError {
    let name = program.to_string_lossy();
    match error.kind() {
        ErrorKind::NotFound => {
            CliError { exit: NOT_FOUND, ..CliError::not_found(format!("there is no program `{name}`")) }
        }
        _ => CliError {
            exit: NOT_EXECUTABLE,
            ..CliError::failed(format!("the program `{name}` cannot be executed: {error}"))
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn a_signal_counts_from_128_as_in_a_shell() {
        assert_eq!(exit_of(ExitStatus::from_raw(7 << 8)), Exit(7));
        assert_eq!(exit_of(ExitStatus::from_raw(15)), Exit(143));
    }
}
