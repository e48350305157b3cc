//! Command-line tools written in Python: httpie reads and posts, twine uploads a package.

use std::fs;
use std::path::Path;

use ccproxy_tests::clients::python_program;
use ccproxy_tests::keyed::KeyedApi;
use ccproxy_tests::program::{Finished, Program};
use pretty_assertions::assert_eq;
use serde_json::json;

async fn run(api: &KeyedApi, tool: &str, args: &[&str]) -> Finished {
    let mut command = api.home.command(python_program(tool));
    command.args(args);
    Program::spawn(command).finish().await
}

#[tokio::test]
async fn httpie_posts_and_reads_the_answer() {
    let api = KeyedApi::new().await;
    let host = api.home.serve().await;
    let url = host.url("/api/things?x=1");
    let told =
        run(&api, "http", &["--ignore-stdin", "--check-status", "--body", "POST", &url, "name=a"]).await;
    let echo = told.expect_success().json();
    assert_eq!(
        (&echo["method"], &echo["path"], &echo["query"]),
        (&json!("POST"), &json!("/things"), &json!("x=1"))
    );
    api.assert_only_our_key("authorization");
}

#[tokio::test]
async fn twine_uploads_with_a_password_that_is_none() {
    let api = KeyedApi::new().await;
    let host = api.home.serve().await;
    let package = source_package(&api.home.user_dir());
    let repository = host.url("/api/pypi/legacy/");
    let args = ["upload", "--non-interactive", "--disable-progress-bar", "--repository-url", &repository];
    let told = run(&api, "twine", &[&args[..], &["-u", "__token__", "-p", "dummy", &package]].concat()).await;
    told.expect_success();
    // What twine sent, Basic with the dummy, did not arrive.
    api.assert_only_our_key("authorization");
}

/// The least that an index takes: an archive with its metadata in it.
fn source_package(directory: &Path) -> String {
    let root = directory.join("acme-1.0");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("PKG-INFO"), "Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n").unwrap();
    let archive = directory.join("acme-1.0.tar.gz");
    let packed = std::process::Command::new("tar")
        .args(["-czf", archive.to_str().unwrap(), "-C", directory.to_str().unwrap(), "acme-1.0"])
        .status();
    assert!(packed.unwrap().success(), "tar packs a directory");
    archive.to_str().unwrap().to_owned()
}
