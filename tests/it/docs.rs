//! A reader follows README and manual from top to bottom and types every command. Each is run as it is
//! written; the few that need a person or a name of one's own are named here, and nothing else is left out.

use std::fs;
use std::path::PathBuf;

use ccproxy_tests::corp;
use ccproxy_tests::home::Home;
use ccproxy_tests::http_client::Call;
use ccproxy_tests::parts::repository;
use ccproxy_tests::program::{Program, build_dir};
use ccproxy_tests::sandbox::Sandbox;
use pretty_assertions::assert_eq;

/// A key that the sandbox's vendors know.
const KEY: &str = "sk-of-the-docs";

/// What a command needs besides a shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    /// Nothing.
    Types,
    /// Ends the tour instead of stopping it by hand.
    WatchesTheDemo,
    /// Cannot run itself; CI runs it.
    TrustsCi,
    /// Leaves it running.
    Serves,
    /// Approves in a browser.
    Approves,
    /// Enters the code on another device.
    EntersTheCode,
}

/// Every command that is not simply typed.
const SPECIAL: &[(&str, Reader)] = &[
    ("./scripts/demo", Reader::WatchesTheDemo),
    ("./scripts/test", Reader::TrustsCi),
    ("ccproxy serve", Reader::Serves),
    ("ccproxy auth login github --client-id YOUR_CLIENT_ID", Reader::EntersTheCode),
    ("ccproxy auth login corp --flow browser", Reader::Approves),
    ("ccproxy auth login corp --device", Reader::EntersTheCode),
];

#[tokio::test]
async fn every_command_of_the_docs_works_as_written() {
    let mut desk = Desk::new().await;
    let mut special = Vec::new();
    for fence in fences(&["sh", "console"]) {
        for (command, reader) in fence.steps() {
            eprintln!("{}:{} {command}", fence.file, fence.line);
            if reader != Reader::Types {
                special.push(command.clone());
            }
            desk.run(&command, reader).await;
        }
    }
    let listed: Vec<_> = SPECIAL.iter().map(|(command, _)| (*command).to_owned()).collect();
    assert_eq!(special, listed, "every special command stands in the docs, once and in this order");
}

#[tokio::test]
async fn every_configuration_of_the_docs_loads() {
    let mut loaded = 0;
    for fence in fences(&["toml"]).into_iter().filter(|fence| !fence.text.starts_with("[package]")) {
        let home = Home::new();
        // A snippet that uses a connection of the text around it.
        let github =
            fence.text.contains("connection = \"github\"") && !fence.text.contains("[connections.github]");
        let around = if github { "[connections.github]\nprovider = \"github\"\n" } else { "" };
        home.write_config(&format!("{around}{}", fence.text));
        let checked = home.ccproxy(&["config", "check"]).await;
        assert_eq!(checked.code(), 0, "{}:{}\n{checked}", fence.file, fence.line);
        loaded += 1;
    }
    assert!(loaded >= 3, "only {loaded} were found");
}

/// Where the reader sits: a machine with the sandbox's servers in place of the ones of the text.
struct Desk {
    sandbox: Sandbox,
    home: Home,
    host: Option<(Program, String)>,
}

impl Desk {
    async fn new() -> Self {
        let sandbox = Sandbox::start_default().await.unwrap();
        sandbox.accept_key(KEY);
        let mut home =
            Home::with_config(&corp::connection("corp", sandbox.issuer(), sandbox.upstream(), "native"));
        let venv = repository().join(".cache/venv/bin");
        let path = std::env::var("PATH").unwrap();
        home.set_env("PATH", &format!("{}:{}:{path}", build_dir().display(), venv.display()));
        home.set_env("CCPROXY_BUILT", build_dir().to_str().unwrap());
        home.set_env("CCPROXY_SERVER__LISTEN", "127.0.0.1:0");
        let stored = home.config_dir().join("connections/global");
        fs::create_dir_all(&stored).unwrap();
        let github = format!("web_url = \"{}\"\napi_url = \"{}\"", sandbox.github(), sandbox.github_api());
        home.write(&stored.join("github.toml"), &format!("provider = \"github\"\n{github}\n"));
        let openai = format!("preset = \"openai\"\nupstream = \"{}/openai\"", sandbox.upstream());
        home.write(&stored.join("openai.toml"), &format!("provider = \"api-key\"\n{openai}\n"));
        home.write(&home.user_dir().join("key.txt"), &format!("{KEY}\n"));
        Self { sandbox, home, host: None }
    }

    async fn run(&mut self, command: &str, reader: Reader) {
        match reader {
            Reader::Types => self.shell(command).await,
            Reader::WatchesTheDemo => self.shell(&format!("{command} --once")).await,
            Reader::TrustsCi => {
                let ci = fs::read_to_string(repository().join(".ci/run")).unwrap();
                assert!(ci.contains(&format!("\n{command}\n")), "CI runs what the README says");
                self.shell(&format!("bash -n {command} && test -x {command}")).await;
            }
            Reader::Serves => {
                let mut program = self.home.spawn_ccproxy(&arguments(command));
                let line = program.stderr_line(|line| line.starts_with("listening on http://")).await;
                let authority = line.trim_start_matches("listening on http://").to_owned();
                program.stderr_line(|line| line == "ready").await;
                self.host = Some((program, authority));
            }
            Reader::Approves => {
                let mut login = self.home.spawn_ccproxy(&arguments(command));
                let line = login.stderr_line(|line| line.starts_with("open: ")).await;
                let back = self.sandbox.approve(line.trim_start_matches("open: "), "alice").await;
                assert_eq!(Call::get(back.as_str()).send().await.status, 200);
                login.finish().await.expect_success();
                // The next flow of the text starts from nothing, too.
                self.home.ccproxy(&["auth", "logout", "corp"]).await.expect_success();
            }
            Reader::EntersTheCode => {
                let command = command.replace("YOUR_CLIENT_ID", "gh-oauth-app");
                let mut login = self.home.spawn_ccproxy(&arguments(&command));
                let line = login.stderr_line(|line| line.starts_with("code: ")).await;
                assert!(self.sandbox.approve_device(line.trim_start_matches("code: "), "alice"));
                login.finish().await.expect_success();
            }
        }
    }

    /// In the repository, as the text is read there; files of the reader's own are in the home directory.
    async fn shell(&self, command: &str) {
        let authority = self.host.as_ref().map_or("127.0.0.1:8462", |(_, authority)| authority);
        let command = command.replace("127.0.0.1:8462", authority).replace("< key.txt", "< ~/key.txt");
        let mut shell = self.home.command("bash");
        shell.current_dir(repository()).args(["-euo", "pipefail", "-c", &command]);
        let finished = Program::spawn(shell).finish_within(std::time::Duration::from_secs(120)).await;
        assert_eq!(finished.code(), 0, "{command}\n{finished}");
    }
}

fn arguments(command: &str) -> Vec<&str> {
    command.split(' ').skip(1).collect()
}

/// A fenced block.
struct Fence {
    file: String,
    line: usize,
    text: String,
    is_console: bool,
}

impl Fence {
    /// Its commands. Typed ones that follow each other are one, because the second may need what the first set.
    fn steps(&self) -> Vec<(String, Reader)> {
        let commands = self.text.lines().filter_map(|line| match self.is_console {
            true => line.strip_prefix("$ "),
            false => Some(line).filter(|line| !line.is_empty()),
        });
        let mut steps: Vec<(String, Reader)> = Vec::new();
        for command in commands {
            let special = SPECIAL.iter().find(|(special, _)| *special == command);
            let reader = special.map_or(Reader::Types, |(_, reader)| *reader);
            match steps.last_mut() {
                Some((typed, Reader::Types)) if reader == Reader::Types => {
                    *typed = format!("{typed}\n{command}")
                }
                _ => steps.push((command.to_owned(), reader)),
            }
        }
        assert!(!steps.is_empty(), "{}:{} has no command", self.file, self.line);
        steps
    }
}

/// README first, then docs/ by name, as they are read.
fn fences(languages: &[&str]) -> Vec<Fence> {
    let mut files: Vec<PathBuf> = fs::read_dir(repository().join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    files.sort();
    files.insert(0, repository().join("README.md"));
    files.iter().flat_map(|path| fences_of(path, languages)).collect()
}

fn fences_of(path: &PathBuf, languages: &[&str]) -> Vec<Fence> {
    let text = fs::read_to_string(path).unwrap();
    let file = path.file_name().unwrap().to_string_lossy().into_owned();
    let mut found = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(language) = line.strip_prefix("```") else { continue };
        let body: Vec<_> = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
        if languages.contains(&language) {
            let is_console = language == "console";
            found.push(Fence { file: file.clone(), line: number + 1, text: body.join("\n"), is_console });
        }
    }
    found
}
