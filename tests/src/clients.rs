//! Clients that people point at the proxy: Python libraries in `.cache/venv`, programs of the system.

use std::ffi::OsStr;
use std::path::PathBuf;

use crate::home::Home;
use crate::parts;
use crate::program::{Finished, Program};

/// Runs a Python program with the client libraries. `modules` are those whose versions are printed.
pub async fn python(
    home: &Home,
    modules: &[&str],
    program: &str,
    env: &[(impl AsRef<OsStr>, impl AsRef<OsStr>)],
) -> Finished {
    let versions = "import sys; from importlib.metadata import version\n\
                    [print(m, version(m), file=sys.stderr) for m in sys.argv[1:]]\n";
    let mut command = home.command(parts::python());
    command.args(["-c", &format!("{versions}{program}")]).args(modules);
    command.envs(env.iter().map(|(name, value)| (name, value)));
    let finished = Program::spawn(command).finish().await;
    eprint!("{}", finished.stderr);
    finished
}

/// Runs a program of `tests/parts/clients/` with Node and the client libraries beside it.
pub async fn node(home: &Home, script: &str, env: &[(impl AsRef<OsStr>, impl AsRef<OsStr>)]) -> Finished {
    let mut command = home.command(parts::system_program("node"));
    command.arg(parts::script(&format!("clients/{script}")));
    command.envs(env.iter().map(|(name, value)| (name, value)));
    Program::spawn(command).finish().await
}

/// A program that a Python package installs, such as `http` of httpie.
pub fn python_program(name: &str) -> PathBuf {
    parts::python().with_file_name(name)
}

/// The variables that `ccproxy env NAME` prints, as a shell has them that evaluates what is printed.
pub async fn environment(home: &Home, name: &str) -> Vec<(String, String)> {
    let printed = home.ccproxy(&["env", name]).await.expect_success().stdout;
    let is_printed = |name: &str| printed.lines().any(|line| line.starts_with(&format!("export {name}=")));
    let mut shell = home.command("/bin/sh");
    shell.args(["-c", "eval \"$1\"; env", "sh", &printed]);
    let set = Program::spawn(shell).finish().await.expect_success().stdout;
    let set = set.lines().filter_map(|line| line.split_once('='));
    set.filter(|(name, _)| is_printed(name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
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
