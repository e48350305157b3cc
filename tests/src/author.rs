//! Somebody who writes a plugin far from this workspace: starts it with `plugin new`, and builds it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::home::Home;
use crate::parts::repository;
use crate::program::{self, Program};

/// An author's directory with a crate in it.
pub struct Author {
    _work: TempDir,
    id: String,
    pub crate_dir: PathBuf,
}

/// The crate `acme` as `plugin new` makes it, built; one for all stories, because it takes a while.
pub async fn acme() -> &'static (Author, PathBuf) {
    static ACME: OnceCell<(Author, PathBuf)> = OnceCell::const_new();
    ACME.get_or_init(|| async {
        let author = Author::start("acme").await;
        let library = author.build();
        (author, library)
    })
    .await
}

impl Author {
    /// Starts a crate. Each id once at a time: what is built from it lies in one place.
    pub async fn start(id: &str) -> Self {
        let work = tempfile::tempdir().expect("the temporary directory is writable");
        let sdk = repository().join("plugin-api/sdk").display().to_string();
        let mut command = Home::new().command(program::ccproxy());
        command.args(["plugin", "new", id, "--sdk", &sdk, "--json"]).current_dir(work.path());
        let made = Program::spawn(command).finish().await.expect_success().json();
        let crate_dir = work.path().join(id);
        assert_eq!(made["directory"].as_str(), crate_dir.to_str(), "{made}");
        // The versions that are here already, so that nothing is fetched.
        fs::copy(repository().join("Cargo.lock"), crate_dir.join("Cargo.lock")).expect("the crate is ours");
        Self { _work: work, id: id.to_owned(), crate_dir }
    }

    /// Changes a file of the crate in one place.
    #[track_caller]
    pub fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.crate_dir.join(file);
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(text.matches(from).count(), 1, "{file} has one {from:?}");
        fs::write(&path, text.replace(from, to)).expect("the crate is ours");
    }

    /// Runs `cargo`, which may not warn; the dependencies are compiled once for all runs.
    #[track_caller]
    pub fn cargo(&self, arguments: &[&str]) -> String {
        let output = Command::new("cargo")
            .args(arguments)
            .current_dir(&self.crate_dir)
            .env("CARGO_NET_OFFLINE", "true")
            .env("CARGO_TARGET_DIR", target())
            .env("CARGO_PROFILE_DEV_DEBUG", "false")
            .env("CARGO_INCREMENTAL", "0")
            .output()
            .expect("cargo runs this test, too");
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "cargo {arguments:?}\n{said}");
        assert!(!said.contains("warning:"), "cargo {arguments:?} warns\n{said}");
        said
    }

    /// Builds, and keeps the file apart: the next build writes to the same place.
    #[track_caller]
    pub fn build(&self) -> PathBuf {
        self.cargo(&["build"]);
        let name = format!("libccproxy_provider_{}.so", self.id.replace('-', "_"));
        let library = self.crate_dir.join(&name);
        fs::copy(target().join("debug").join(&name), &library).expect("cargo has built it");
        library
    }
}

fn target() -> PathBuf {
    repository().join("target/third-party")
}
