//! What a request costs when everything is well: nothing but the request.

use std::path::Path;
use std::time::{Duration, Instant};

use ccproxy_tests::corp::{self, Corp, SVC_SECRET};
use ccproxy_tests::crowd::Regular;
use ccproxy_tests::home::Home;
use ccproxy_tests::http_client::Call;
use ccproxy_tests::program::{self, Host, Program};
use ccproxy_tests::sandbox::Sandbox;
use ccproxy_tests::strace;
use pretty_assertions::assert_eq;
use serde_json::Value;

/// How often the host has asked plugins for a credential.
async fn plugin_calls(home: &Home) -> u64 {
    let status = Regular::connect_unix(&home.admin_socket()).await.get("/api/v1/status").await.json();
    status["plugin_calls"].as_u64().unwrap_or_else(|| panic!("no plugin_calls in {status}"))
}

#[tokio::test]
async fn a_cached_credential_costs_a_request_no_plugin_call() {
    let corp = Corp::new(Corp::rotating()).await;
    corp.login().await;
    let host = corp.home.serve().await;
    let mut client = Regular::connect(host.authority()).await;
    assert_eq!(client.get("/corp/strict/x").await.status, 200);

    let before = plugin_calls(&corp.home).await;
    corp.home.ccproxy(&["auth", "refresh", "corp"]).await.expect_success();
    let after = plugin_calls(&corp.home).await;
    assert!(after > before, "the counter counts refreshes");

    for _ in 0..10_000 {
        assert_eq!(client.get("/corp/strict/x").await.status, 200);
    }
    assert_eq!(plugin_calls(&corp.home).await, after);
}

#[tokio::test]
async fn a_cached_credential_costs_a_request_no_file_and_no_lock() {
    const REQUESTS: usize = 1000;
    let corp = Corp::new(Corp::rotating()).await;
    corp.login().await;
    let trace = corp.home.user_dir().join("trace");
    let mut command = corp.home.command(program::ccproxy());
    command.args(["serve", "--json", "--listen", "127.0.0.1:0"]);
    let host = Host::spawn(strace::traced(&command, "%file,futex,flock,fcntl,fsync,fdatasync", &trace)).await;
    let mut client = Regular::connect(host.authority()).await;
    for _ in 0..50 {
        assert_eq!(client.get("/corp/strict/x").await.status, 200);
    }

    let before = strace::read(&trace).len();
    assert!(before > 0, "the host was traced");
    for _ in 0..REQUESTS {
        assert_eq!(client.get("/corp/strict/x").await.status, 200);
    }
    let calls = strace::read(&trace).split_off(before);
    // Timers and the like may tick; what requests cause comes a thousand times.
    assert!(calls.len() < REQUESTS / 50, "{} calls for {REQUESTS} requests: {calls:#?}", calls.len());
}

#[tokio::test]
async fn client_credentials_are_acquired_within_half_a_second_discovery_included() {
    let mut fastest = Duration::MAX;
    // The machine may be busy with other stories: the fastest of some.
    for _ in 0..5 {
        let sandbox = Sandbox::start_default().await.unwrap();
        let mut home = Home::with_config(&corp::service("svc", sandbox.issuer(), sandbox.upstream()));
        home.set_env("SVC_SECRET", SVC_SECRET);
        let host = home.serve().await;
        let started = Instant::now();
        let answer = Call::get(&host.url("/svc/strict/x")).send().await;
        fastest = fastest.min(started.elapsed());
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(sandbox.counts().token_requests("client_credentials"), 1);
    }
    assert!(fastest < Duration::from_millis(500), "took {fastest:?}");
}

#[tokio::test]
async fn the_status_of_a_hundred_connections_takes_a_tenth_of_a_second_and_no_network() {
    const CONNECTIONS: usize = 100;
    let corp = Corp::new(Corp::rotating()).await;
    corp.login().await;
    let mut config = String::new();
    for number in 0..CONNECTIONS {
        let name = format!("corp{number}");
        config += &corp::connection(&name, corp.sandbox.issuer(), corp.sandbox.upstream(), "native");
        std::fs::copy(corp.home.credential("corp"), corp.home.credential(&name)).unwrap();
    }
    corp.home.write_config(&config);
    let asked = corp.sandbox.log().len();

    let told = corp.home.ccproxy(&["auth", "status", "--json"]).await.expect_success();
    let connections = told.json()["connections"].as_array().cloned().unwrap_or_default();
    assert_eq!(connections.len(), CONNECTIONS);
    assert!(connections.iter().all(|connection| connection["state"] == "ok"), "{told}");
    let mut least = Duration::MAX;
    for _ in 0..10 {
        least = least.min(processor_time(&corp.home, "ccproxy auth status --json").await);
    }
    assert_eq!(corp.sandbox.log().len(), asked, "nobody was asked over the network");
    assert_eq!(sockets(&corp.home, &["auth", "status"]).await, [""; 0]);
    assert!(least < Duration::from_millis(100), "took {least:?}");
}

/// What a command that waits for nobody takes: not by the clock, which counts other stories, too.
async fn processor_time(home: &Home, command: &str) -> Duration {
    let mut shell = home.command("bash");
    let program = program::ccproxy();
    let command = command.replacen("ccproxy", &program.to_string_lossy(), 1);
    shell.args(["-c", &format!("TIMEFORMAT='%3U %3S'; time {command} >/dev/null")]);
    let told = Program::spawn(shell).finish().await.expect_success();
    let seconds = told.stderr.split_whitespace().map(|part| part.parse::<f64>().unwrap());
    Duration::from_secs_f64(seconds.sum())
}

/// What a command connects to or binds, except for Unix sockets.
async fn sockets(home: &Home, args: &[&str]) -> Vec<String> {
    let trace = home.user_dir().join("status-trace");
    let mut command = home.command(program::ccproxy());
    command.args(args);
    Program::spawn(strace::traced(&command, "connect,bind,sendto,sendmsg", &trace))
        .finish()
        .await
        .expect_success();
    traced_sockets(&trace)
}

fn traced_sockets(trace: &Path) -> Vec<String> {
    let calls = strace::read(trace);
    let outside = calls.into_iter().filter(|call| !call.arguments.contains("AF_UNIX"));
    outside.map(|call| format!("{}({})", call.name, call.arguments)).collect()
}

/// A document without surprises: what the counter lives in.
#[tokio::test]
async fn the_status_of_the_host_names_its_process_and_its_listeners() {
    let home = Home::new();
    let host = home.serve().await;
    let status: Value = Regular::connect_unix(&home.admin_socket()).await.get("/api/v1/status").await.json();
    assert_eq!(status["pid"], host.pid);
    assert_eq!(status["listen"][0].as_str().unwrap(), host.listen[0]);
}
