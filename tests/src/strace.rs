//! What a program asks of the kernel, seen by strace.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use tokio::process::Command;

use crate::parts;

/// Turns a command into the same one under strace. The program stays the direct child, so its process id and
/// its signals are its own.
pub fn traced(command: &Command, calls: &str, output: &Path) -> Command {
    let inner = command.as_std();
    let mut outer = Command::new(parts::system_program("strace"));
    outer.args(["-D", "-f", "-y", "-s", "65536", "--decode-pids=comm", "-e"]);
    outer.arg(format!("trace={calls}")).arg("-o").arg(output).arg("--").arg(inner.get_program());
    outer.args(inner.get_args());
    if let Some(directory) = inner.get_current_dir() {
        outer.current_dir(directory);
    }
    outer.env_clear();
    outer.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    outer
}

/// One system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemCall {
    /// The thread's name.
    pub thread: String,
    pub name: String,
    pub arguments: String,
    pub result: String,
    /// The line on which it began and the one on which it returned.
    pub lines: (usize, usize),
}

/// What is in a trace so far.
pub fn read(output: &Path) -> Vec<SystemCall> {
    let text = fs::read(output).unwrap_or_else(|e| panic!("{}: {e}", output.display()));
    parse(&String::from_utf8_lossy(&text))
}

/// Calls that had not returned are left out, as are signals and exits.
fn parse(trace: &str) -> Vec<SystemCall> {
    let mut calls = Vec::new();
    let mut pending: HashMap<&str, (usize, String)> = HashMap::new();
    for (number, line) in trace.lines().enumerate() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        if let Some(begun) = rest.strip_suffix(" <unfinished ...>") {
            pending.insert(thread, (number, begun.to_owned()));
        } else if let Some(resumed) = rest.strip_prefix("<... ") {
            let Some((_, end)) = resumed.split_once(" resumed>") else { continue };
            let Some((began, text)) = pending.remove(thread) else { continue };
            calls.extend(call(thread, &format!("{text}{end}"), (began, number)));
        } else {
            calls.extend(call(thread, rest, (number, number)));
        }
    }
    calls
}

fn call(thread: &str, text: &str, lines: (usize, usize)) -> Option<SystemCall> {
    let (name, rest) = text.split_once('(')?;
    let (arguments, result) = rest.rsplit_once(" = ")?;
    let thread = thread.split_once('<').map_or(thread, |(_, name)| name.trim_end_matches('>'));
    Some(SystemCall {
        thread: thread.to_owned(),
        name: name.to_owned(),
        arguments: arguments.trim_end().trim_end_matches(')').to_owned(),
        result: result.to_owned(),
        lines,
    })
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    #[test]
    fn calls_are_put_together_across_threads() {
        let trace = "12<host> fsync(5</a/b> <unfinished ...>\n\
                     13<worker> write(6<socket:[1]>, \"a = (b)\", 7) = 7\n\
                     12<host> <... fsync resumed>)       = 0\n\
                     12<host> --- SIGCHLD {si_signo=SIGCHLD} ---\n\
                     12<host> read(5<unfinished ...>\n\
                     12<host> +++ exited with 0 +++\n";
        let of = |thread: &str, name: &str, arguments: &str, result: &str, lines| SystemCall {
            thread: thread.to_owned(),
            name: name.to_owned(),
            arguments: arguments.to_owned(),
            result: result.to_owned(),
            lines,
        };
        assert_eq!(
            parse(trace),
            [
                of("worker", "write", "6<socket:[1]>, \"a = (b)\", 7", "7", (1, 1)),
                of("host", "fsync", "5</a/b>", "0", (0, 2)),
            ]
        );
    }
}
