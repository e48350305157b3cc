//! The access log: a line per request, the last ones included.

use std::fs::{self, File};
use std::io::Read as _;

use ccproxy_tests::crowd::Regular;
use ccproxy_tests::keyed::KeyedApi;
use pretty_assertions::assert_eq;
use rustix::process::Signal;
use serde_json::{Value, json};

/// Far more than a pipe holds, and fewer than may wait.
const REQUESTS: usize = 3000;

#[tokio::test]
async fn a_host_that_is_told_to_stop_has_logged_every_request() {
    let api = KeyedApi::new().await;
    let config = fs::read_to_string(api.home.config_dir().join("config.toml")).unwrap();
    api.home.write_config(&format!("[logging]\naccess_log = true\nformat = \"json\"\n{config}"));
    // Standard error is a pipe that nobody reads before the host is told to stop.
    let mut host = api.home.serve_after("mkfifo log; exec 2<>log").await;
    let mut log = File::open(api.home.user_dir().join("log")).unwrap();
    let page = Regular::connect_unix(&api.home.admin_socket()).await.get("/metrics").await.text();
    assert!(page.lines().any(|line| line == "ccproxy_access_log_lines_dropped_total 0"), "{page}");

    let mut client = Regular::connect(host.authority()).await;
    for number in 0..REQUESTS {
        assert_eq!(client.get(&format!("/api/echo/{number}?q=secret-query")).await.status, 200);
    }
    assert_eq!(client.get("/nowhere/x").await.status, 404);
    drop(client);

    host.program().signal(Signal::TERM);
    let reading = tokio::task::spawn_blocking(move || {
        let mut told = String::new();
        log.read_to_string(&mut told).map(|_| told)
    });
    host.ended().await.expect_success();
    let told = reading.await.unwrap().unwrap();
    assert!(!told.contains("secret-query"));
    let lines = told.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut lines: Vec<_> = lines.filter(|line| line["target"] == "ccproxy::access").collect();
    let refused = lines.pop().expect("there are lines");
    assert_eq!((&refused["status"], &refused["result"]), (&json!(404), &json!("no_such_route")));
    let paths: Vec<_> = lines.iter().map(|line| line["path"].as_str().unwrap()).collect();
    let expected: Vec<_> = (0..REQUESTS).map(|number| format!("/echo/{number}")).collect();
    assert_eq!(paths, expected);
    let last = lines[REQUESTS - 1].as_object().unwrap();
    assert_eq!(
        last.keys().collect::<Vec<_>>(),
        [
            "bytes",
            "duration_ms",
            "level",
            "method",
            "path",
            "request_id",
            "result",
            "route",
            "status",
            "target",
            "timestamp"
        ]
    );
    assert_eq!(
        (&last["method"], &last["route"], &last["status"], &last["result"]),
        (&json!("GET"), &json!("api"), &json!(200), &json!("ok"))
    );
}
