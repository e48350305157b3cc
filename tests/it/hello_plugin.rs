//! An author writes the 50 lines of the SDK's example, drops the shared object into the user's plugin
//! directory, and it is a provider like any other.

use std::fs;

use ccproxy_tests::home::Home;
use ccproxy_tests::http_client::Call;
use ccproxy_tests::program::build_dir;
use ccproxy_tests::sandbox::Sandbox;
use pretty_assertions::assert_eq;
use serde_json::json;

#[tokio::test]
async fn the_example_of_the_sdk_logs_in_and_serves() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let home = Home::new();
    let plugins = home.data_dir().join("plugins");
    fs::create_dir(&plugins).unwrap();
    let example = build_dir().join("examples/libhello.so");
    assert!(example.exists(), "{} is not built: run ./scripts/test", example.display());
    fs::copy(example, plugins.join("libhello.so")).unwrap();

    let upstream = format!("upstream={}", sandbox.upstream());
    let mut login = home.spawn_ccproxy(&["auth", "login", "hello", "--with-token", "--set", &upstream]);
    login.write_line("a-token-of-mine").await;
    login.finish().await.expect_success();

    let host = home.serve().await;
    let answer = Call::get(&host.url("/hello/who")).send().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["headers"]["authorization"], json!("Bearer a-token-of-mine"));
    host.stop().await.expect_success();
}
