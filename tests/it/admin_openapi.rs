//! A stranger holds the API to its document: schemathesis makes requests of it, good and bad ones, and looks
//! whether the answers are those that it promises.

use ccproxy_tests::bridge::Bridge;
use ccproxy_tests::clients::python_program;
use ccproxy_tests::home::Home;
use ccproxy_tests::keyed::KeyedApi;
use ccproxy_tests::program::{Finished, Program};
use pretty_assertions::assert_eq;
use serde_json::json;

/// Runs schemathesis on a machine of its own, always with the same requests.
async fn schemathesis(home: &Home, args: &[&str]) -> Finished {
    let mut command = home.command(python_program("schemathesis"));
    command.args(["run"]).args(args).args([
        "--checks",
        "all",
        "--phases",
        "examples,coverage,fuzzing",
        "--seed",
        "1",
        "--request-timeout",
        "10",
        "--max-failures",
        "20",
        // A body that is not read closes the connection, which a client may notice only with its next request.
        "--request-retries",
        "2",
        "--no-color",
    ]);
    Program::spawn(command).finish().await
}

/// What would end the host, and what ends only with it.
const LEFT_OUT: [&str; 4] = ["--exclude-operation-id", "postStop", "--exclude-operation-id", "getEvents"];

#[tokio::test]
async fn every_answer_is_one_that_the_document_promises() {
    let api = KeyedApi::new().await;
    let _host = api.home.serve().await;
    let bridge = Bridge::to(&api.home.admin_socket()).await;
    let document = bridge.url("/api/v1/openapi.json");
    let args = [&[document.as_str(), "--max-examples", "15"][..], &LEFT_OUT].concat();
    let checked = schemathesis(&api.home, &args).await;
    eprintln!("{}", checked.stdout);
    checked.expect_success();
}

#[tokio::test]
async fn a_connection_that_there_is_answers_as_promised_too() {
    let api = KeyedApi::new().await;
    let _host = api.home.serve().await;
    let bridge = Bridge::to(&api.home.admin_socket()).await;
    let known = api.home.user_dir().join("schemathesis.toml");
    api.home.write(
        &known,
        "[parameters]\n\"path.org\" = \"global\"\n\"path.name\" = \"api\"\n\"path.id\" = \"api-key\"\n",
    );
    let document = bridge.url("/api/v1/openapi.json");
    let below = ["--include-path-regex", r"/(connections|providers|plugins)/\{"];
    let args = [&[document.as_str(), "--max-examples", "10"][..], &below].concat();
    let checked = schemathesis(&api.home, &args).await;
    eprintln!("{}", checked.stdout);
    checked.expect_success();
    // It is written in a file, so nobody could change or remove it.
    api.home.ccproxy(&["auth", "test", "api"]).await.expect_success();
}

#[tokio::test]
async fn a_document_that_lies_is_found_out() {
    let api = KeyedApi::new().await;
    let _host = api.home.serve().await;
    let bridge = Bridge::to(&api.home.admin_socket()).await;
    let told = ccproxy_tests::http_client::Call::get(&bridge.url("/api/v1/openapi.json")).send().await;
    let mut document = told.json();
    let answers = &mut document["paths"]["/api/v1/status"]["get"]["responses"];
    let schema = &mut answers["200"]["content"]["application/json"]["schema"];
    assert_eq!(schema["properties"]["schema"], json!({ "const": "ccproxy.status/1" }));
    schema["properties"]["schema"] = json!({ "const": "ccproxy.status/2" });
    let lie = api.home.user_dir().join("openapi.json");
    api.home.write(&lie, &document.to_string());
    let path = lie.display().to_string();
    let only = ["--url", &bridge.url(""), "--include-path", "/api/v1/status", "--max-examples", "5"];
    let checked = schemathesis(&api.home, &[&[path.as_str()][..], &only].concat()).await;
    assert_eq!(checked.code(), 1, "{checked}");
    assert!(checked.stdout.contains("ccproxy.status/2"), "{checked}");
}
