//! `ccproxy run`: a command is pointed at routes, knows no secret, and behaves as if nobody stood in between.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use ccproxy_tests::home::Home;
use ccproxy_tests::http_client::Call;
use ccproxy_tests::keyed::{KEY, KeyedApi};
use ccproxy_tests::program::{self, Program};
use pretty_assertions::assert_eq;
use rustix::process::Signal;

async fn openai() -> KeyedApi {
    KeyedApi::vendor("openai", "openai").await
}

/// The command line of a shell script under `run`.
fn script(script: &str) -> [&str; 7] {
    ["run", "-q", "openai", "--", "sh", "-c", script]
}

#[tokio::test]
async fn a_command_is_pointed_at_the_running_host() {
    let api = openai().await;
    let host = api.home.serve().await;
    let told =
        api.home.ccproxy(&["run", "openai", "--", "sh", "-c", "echo $OPENAI_BASE_URL $OPENAI_API_KEY"]).await;
    let told = told.expect_success();
    assert_eq!(told.stdout, format!("{} ccproxy-local\n", host.url("/openai/v1")));
    assert_eq!(told.stderr, format!("ccproxy: openai → {}\n", host.url("/openai")));
    host.stop().await.expect_success();
}

#[tokio::test]
async fn without_a_host_one_lives_as_long_as_the_command() {
    let api = openai().await;
    // Beside it everything that a host listens on is somebody else's.
    let before = fs::read_to_string(api.home.config_dir().join("config.toml")).unwrap();
    api.home.write_config(&format!("[server]\nlisten = [\"127.0.0.1:1\"]\n\n{before}"));
    let told = api.home.ccproxy(&script("echo $OPENAI_BASE_URL; curl -sS $OPENAI_BASE_URL/models -H \"Authorization: Bearer $OPENAI_API_KEY\"; ls \"$CCPROXY_RUNTIME_DIR\"")).await;
    let told = told.expect_success();
    let (base, answer) = told.stdout.split_once('\n').unwrap();
    assert!(base.starts_with("http://127.0.0.1:") && !base.starts_with("http://127.0.0.1:1/"), "{told}");
    assert!(answer.contains("\"data\"") && !answer.contains("admin"), "{told}");
    api.assert_only_our_key("authorization");
    assert!(Call::get(base).try_send().await.is_err(), "the host outlived the command");
}

#[tokio::test]
async fn the_exit_code_is_the_commands_own() {
    let api = openai().await;
    for (line, code) in [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 137), ("kill -TERM $$", 143)] {
        let told = api.home.ccproxy(&script(line)).await.expect_code(code);
        assert_eq!((told.stdout.as_str(), told.stderr.as_str()), ("", ""), "{line}");
    }
    let told = api.home.ccproxy(&["run", "-q", "openai", "--", "no-such-program"]).await.expect_code(127);
    assert_eq!(told.stderr, "error: there is no program `no-such-program`\n");
    let file = api.home.user_dir().join("plain");
    fs::write(&file, "text").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    api.home.ccproxy(&["run", "-q", "openai", "--", file.to_str().unwrap()]).await.expect_code(126);
}

#[tokio::test]
async fn names_are_known_before_anything_is_started() {
    let api = openai().await;
    let more = api.connection("other", api.sandbox.upstream(), "preset = \"openai\"\n");
    let before = fs::read_to_string(api.home.config_dir().join("config.toml")).unwrap();
    api.home.write_config(&format!("{before}{more}"));
    for (names, code, said) in [
        (&["opnai"][..], 3, "did you mean `openai`?"),
        (&["openai", "other"], 2, "`openai` and `other` both set OPENAI_"),
    ] {
        let line = [&["run"], names, &["--", "echo", "started"]].concat();
        let told = api.home.ccproxy(&line).await.expect_code(code);
        assert!(told.stderr.contains(said), "{told}");
        assert_eq!(told.stdout, "");
    }
    let told = api.home.ccproxy(&["run", "openai"]).await.expect_code(2);
    assert!(told.stderr.contains("<CMD>"), "{told}");
}

#[tokio::test]
async fn no_secret_of_ours_is_inherited() {
    let mut api = openai().await;
    api.home.set_env("REAL_KEY", KEY);
    api.home.set_env("CCPROXY_TOKEN__OTHER", "a-token");
    api.home.set_env("OPENAI_API_KEY", KEY);
    api.home.set_env("KEPT", "kept");
    api.home.set_env("HTTP_PROXY", "http://127.0.0.1:9");
    api.home.write_config(&format!(
        "[upstream]\noutbound_proxy = \"none\"\n\n[connections.openai]\nprovider = \"api-key\"\npreset = \"openai\"\nkey = {{ env = \"REAL_KEY\" }}\nupstream = \"{}/openai\"\n",
        api.sandbox.upstream(),
    ));
    let told = api.home.ccproxy(&script("env; curl -sS $OPENAI_BASE_URL/models")).await.expect_success();
    let has = |line: &str| told.stdout.lines().any(|one| one == line);
    assert!(has("KEPT=kept") && has("OPENAI_API_KEY=ccproxy-local"), "{told}");
    assert!(has("NO_PROXY=127.0.0.1,localhost,::1"), "{told}");
    assert!(!told.stdout.contains(KEY) && !told.stdout.contains("a-token"), "a secret was handed on");
    api.assert_only_our_key("authorization");
}

#[tokio::test]
async fn signals_are_passed_on_and_the_answer_is_the_commands() {
    let api = openai().await;
    let traps = "for s in INT TERM HUP QUIT USR1 USR2 WINCH; do trap \"echo $s\" $s; done; trap 'exit 9' USR2; echo ready; while :; do sleep 0.02; done";
    let mut program = api.home.spawn_ccproxy(&script(traps));
    program.stdout_line(|line| line == "ready").await;
    for (signal, name) in [
        (Signal::INT, "INT"),
        (Signal::TERM, "TERM"),
        (Signal::HUP, "HUP"),
        (Signal::QUIT, "QUIT"),
        (Signal::USR1, "USR1"),
        (Signal::WINCH, "WINCH"),
    ] {
        program.signal(signal);
        assert_eq!(program.stdout_line(|_| true).await, name);
    }
    program.signal(Signal::USR2);
    program.finish().await.expect_code(9);
}

#[tokio::test]
async fn a_signal_that_is_not_caught_ends_both() {
    let api = openai().await;
    let mut program = api.home.spawn_ccproxy(&script("echo ready; exec sleep 600"));
    program.stdout_line(|line| line == "ready").await;
    program.signal(Signal::TERM);
    program.finish().await.expect_code(143);
}

/// Ctrl-C on a terminal reaches the whole foreground: the command must not have it twice.
#[tokio::test]
async fn what_a_terminal_sends_arrives_once() {
    let api = openai().await;
    let mut program = on_a_terminal(
        &api.home,
        "trap 'n=$((n+1))' INT; echo ready; while [ -z \"$n\" ]; do sleep 0.02; done; sleep 0.3; echo got $n; exit 5",
    );
    program.stdout_line(|line| line.ends_with("ready")).await;
    program.write_line("\u{3}").await;
    let got = program.stdout_line(|line| line.contains("got")).await;
    assert!(got.ends_with("got 1"), "{got}");
    program.finish().await.expect_code(5);
}

/// Ctrl-Z stops both, and the shell's `fg` brings both back.
#[tokio::test]
async fn a_job_is_stopped_and_brought_back() {
    let api = openai().await;
    let inner = "echo ready; read line; echo back $line";
    let line = format!(
        "set -m; \"$0\" run -q openai -- sh -c '{inner}'; echo stopped with $?; fg >/dev/null; echo ended with $?"
    );
    let mut program = terminal(&api.home, &line);
    program.stdout_line(|line| line.ends_with("ready")).await;
    program.write_line("\u{1a}").await;
    program.stdout_line(|line| line.contains("stopped with 148")).await;
    program.write_line("again").await;
    program.stdout_line(|line| line.contains("back")).await;
    program.stdout_line(|line| line.contains("ended with 0")).await;
    program.finish().await.expect_success();
}

fn on_a_terminal(home: &Home, inner: &str) -> Program {
    let inner = inner.replace('\'', r"'\''");
    terminal(home, &format!("exec \"$0\" run -q openai -- sh -c '{inner}'"))
}

/// A shell line on a terminal of its own; `$0` is `ccproxy`.
fn terminal(home: &Home, line: &str) -> Program {
    const SPAWN: &str =
        "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(['bash', '-c', *sys.argv[1:]])))";
    let mut command = home.command("python3");
    command.args(["-c", SPAWN, line]).arg(program::ccproxy());
    Program::spawn(command)
}
