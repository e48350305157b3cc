//! Without a terminal, with `--no-input` or in CI nothing is asked: what is missing is said, with the command
//! that brings it.

use ccproxy_tests::home::Home;
use ccproxy_tests::program::{Finished, Program, ccproxy};
use pretty_assertions::assert_eq;
use serde_json::json;

/// Commands that would have a question, and what they say instead.
const QUESTIONS: &[(&str, i32, &str)] = &[
    ("auth login github", 2, "ccproxy auth login github --client-id ID"),
    ("auth login oidc", 2, "issuer"),
    ("auth login openai", 4, "ccproxy auth login openai < FILE"),
    ("auth login github --with-token", 4, "token"),
];

#[tokio::test]
async fn with_an_empty_stdin_nothing_is_asked() {
    for (line, code, said) in QUESTIONS {
        let home = Home::new();
        let words: Vec<&str> = line.split(' ').collect();
        let told = home.ccproxy(&words).await.expect_code(*code);
        assert!(told.stderr.contains("error: ") && told.stderr.contains(said), "{line}\n{told}");
        assert_nothing_is_kept(&home);
        let told = home.ccproxy(&[&words[..], &["--json"]].concat()).await.expect_code(*code);
        assert_eq!(told.json_error()["schema"], json!("ccproxy.error/1"), "{line}");
    }
}

/// There is a terminal, and somebody at it who says nothing.
#[tokio::test]
async fn on_a_terminal_no_input_and_ci_forbid_questions() {
    for (line, code, _) in QUESTIONS {
        for (flag, variable) in [(" --no-input", None), ("", Some("CI"))] {
            let mut home = Home::new();
            home.set_env("NO_COLOR", "1");
            if let Some(variable) = variable {
                home.set_env(variable, "true");
            }
            let told = on_a_terminal(&home, &format!("{line}{flag}")).await;
            assert_eq!(told.code(), *code, "{line}{flag}: {told}");
            assert!(told.stdout.contains("error: "), "{line}{flag}: {told}");
            assert_nothing_is_kept(&home);
        }
    }
}

/// `script` makes the terminal, and shows on its stdout what is shown there.
async fn on_a_terminal(home: &Home, line: &str) -> Finished {
    let mut command = home.command("script");
    let shell = format!("'{}' {line}", ccproxy().display());
    command.args(["--quiet", "--return", "--command", &shell, "/dev/null"]);
    let mut program = Program::spawn(command);
    // Held open: an answer could come, and the question must not.
    let said = program.stdout_line(|said| said.starts_with("error: ")).await;
    assert!(!said.is_empty());
    program.finish().await
}

#[track_caller]
fn assert_nothing_is_kept(home: &Home) {
    for directory in [home.config_dir().join("connections"), home.state_dir().join("credentials")] {
        let files = walk(&directory);
        assert!(files.is_empty(), "{files:?}");
    }
}

/// Files below a directory, locks aside.
fn walk(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let all = entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] });
    all.filter(|path| path.extension().is_some_and(|suffix| suffix == "json" || suffix == "toml")).collect()
}
