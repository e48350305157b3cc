//! The access log: a line per request, the last ones included.

use ccproxy_tests::crowd::Regular;
use ccproxy_tests::keyed::KeyedApi;
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

const REQUESTS: usize = 300;

#[tokio::test]
async fn a_host_that_is_told_to_stop_has_logged_every_request() {
    let api = KeyedApi::new().await;
    let logged = ["--set", "logging.access_log=true", "--set", "logging.format=json"];
    let host = api.home.serve_with(&[&["--listen", "127.0.0.1:0"][..], &logged].concat()).await;
    let page = Regular::connect_unix(&api.home.admin_socket()).await.get("/metrics").await.text();
    assert!(page.lines().any(|line| line == "ccproxy_access_log_lines_dropped_total 0"), "{page}");

    let mut client = Regular::connect(host.authority()).await;
    for number in 0..REQUESTS {
        assert_eq!(client.get(&format!("/api/echo/{number}?q=secret-query")).await.status, 200);
    }
    assert_eq!(client.get("/nowhere/x").await.status, 404);
    drop(client);

    // At once, before the writer can have caught up.
    let told = host.stop().await.expect_success();
    assert!(!told.stderr.contains("secret-query"));
    let lines = told.stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
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
