//! The benchmark runs, tells what it saw, and its gate refuses what costs more than it may. What the figures are is
//! nobody's promise here: they depend on the machine, and CI builds without optimisation.

use std::fs;
use std::process::Output;

use ccproxy_tests::home::Home;
use ccproxy_tests::parts::repository;
use ccproxy_tests::program::build_dir;
use pretty_assertions::assert_eq;
use serde_json::Value;
use tokio::process::Command;

async fn bench(script: &str, arguments: &str) -> Output {
    let mut command = Command::new(repository().join("scripts/bench").join(script));
    command.args(arguments.split(' ')).env("CCPROXY_BUILT", build_dir()).kill_on_drop(true);
    command.output().await.unwrap()
}

#[tokio::test]
async fn a_run_proves_each_peer_and_tells_every_slice() {
    let home = Home::new();
    let json = home.user_dir().join("run.json");
    let peers = "--peer ccproxy --peer minimal --peer forward";
    let told =
        bench("run", &format!("--case 0.2 {peers} --clean 1 --limit 4 --json {}", json.display())).await;
    assert!(told.status.success(), "{told:?}");
    let table = String::from_utf8(told.stdout).unwrap();
    assert!(table.contains("ccproxy/floor") && table.contains("0.2 KB | µs CPU"), "{table}");

    let run: Value = serde_json::from_str(&fs::read_to_string(json).unwrap()).unwrap();
    assert_eq!(run["schema"], "ccproxy.bench/1");
    let case = &run["cases"][0];
    assert_eq!(case["failed"], serde_json::json!({}), "{run:#}");
    for peer in ["ccproxy", "minimal", "forward"] {
        for slice in case["slices"][peer].as_array().unwrap() {
            assert!(slice["value"].as_f64().unwrap() > 0.0, "{peer}: {slice}");
            assert!(slice["clean"].is_boolean(), "{slice}");
        }
    }
}

#[tokio::test]
async fn a_count_above_its_limit_fails_by_name() {
    let told = bench("counts", "--only allocations --limit allocations=100000").await;
    assert!(told.status.success(), "{told:?}");

    let told = bench("counts", "--only allocations --limit allocations=0").await;
    assert_eq!(told.status.code(), Some(1));
    let why = String::from_utf8(told.stderr).unwrap();
    assert!(why.contains("allocations: ") && why.contains("is above the limit of 0"), "{why}");
}

#[tokio::test]
async fn a_name_that_is_no_case_is_refused_with_those_that_are() {
    let told = bench("run", "--case nothing").await;
    assert_eq!(told.status.code(), Some(1));
    let why = String::from_utf8(told.stderr).unwrap();
    assert!(why.contains("no case begins like this") && why.contains("TLS upstream, 10 KB"), "{why}");
}
