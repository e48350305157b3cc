//! The crate example is a whole provider in 50 lines, and it works.

use ccproxy_plugin_sdk::testing::Bench;
use ccproxy_plugin_sdk::{ErrorCode, Flow};
use pretty_assertions::assert_eq;
use serde_json::json;

mod hello {
    #![allow(dead_code)]
    include!("../examples/hello.rs");
}

#[test]
fn a_whole_provider_fits_in_50_lines_after_rustfmt() {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/hello.rs");
    let formatted = std::process::Command::new("rustfmt")
        .args(["--check", "--edition", "2024", "--config-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../.rustfmt.toml"))
        .arg(source)
        .output()
        .expect("rustfmt is installed with the toolchain");
    assert!(formatted.status.success(), "{}", String::from_utf8_lossy(&formatted.stdout));
    let lines = std::fs::read_to_string(source).expect("the example is readable").lines().count();
    assert!(lines <= 50, "{lines} lines");
}

#[tokio::test]
async fn it_asks_for_a_token_stores_it_and_injects_it() {
    let bench = Bench::new::<hello::Hello>(json!({ "upstream": "https://api.example.com" }));
    assert_eq!(bench.describe().unwrap().upstream.as_deref(), Some("https://api.example.com"));

    let missing = bench.acquire().await.err().unwrap();
    assert_eq!(missing.code, ErrorCode::NotLoggedIn);
    assert_eq!(missing.hint.as_deref(), Some("ccproxy auth login test"));

    let ask = bench.login_begin(Flow::Token, "", "").await.unwrap();
    assert_eq!((ask.kind, &ask.data["prompt"]), ("ask", &json!("token")));
    let done = bench.login_answer(&ask, "s3cret").await.unwrap();
    bench.commit(&done);

    let credential = bench.acquire().await.unwrap();
    assert_eq!(credential.fields, [("authorization".to_owned(), b"Bearer s3cret".to_vec())]);
}
