//! Clients that people point at the proxy: Python libraries in `.cache/venv`, programs of the system.

use std::path::PathBuf;

use crate::home::Home;
use crate::parts;
use crate::program::{Finished, Program};

/// Runs a Python program with the client libraries. `modules` are those whose versions are printed.
pub async fn python(home: &Home, modules: &[&str], program: &str, env: &[(&str, &str)]) -> Finished {
    let versions = "import sys; from importlib.metadata import version\n\
                    [print(m, version(m), file=sys.stderr) for m in sys.argv[1:]]\n";
    let mut command = home.command(parts::python());
    command.args(["-c", &format!("{versions}{program}")]).args(modules).envs(env.iter().copied());
    let finished = Program::spawn(command).finish().await;
    eprint!("{}", finished.stderr);
    finished
}

/// Runs a program of the system on a machine of one's own, and prints its version first.
pub async fn program(home: &Home, name: &str, args: &[&str], env: &[(&str, &str)]) -> Finished {
    let path: PathBuf = parts::system_program(name);
    let mut version = home.command(&path);
    version.arg("--version");
    let version = Program::spawn(version).finish().await;
    eprintln!("{}", version.stdout.lines().next().unwrap_or(name));
    let mut command = home.command(&path);
    command.args(args).envs(env.iter().copied());
    Program::spawn(command).finish().await
}
