//! A plugin breaks in every way a plugin can without taking the process along: only its own routes notice.

use std::time::{Duration, Instant};

use ccproxy_tests::corp::Corp;
use ccproxy_tests::crowd::Regular;
use ccproxy_tests::http_client::{Answer, Call};
use ccproxy_tests::program::{self, Host};
use pretty_assertions::assert_eq;
use serde_json::Value;

const KEY: &str = "key-of-the-faulty-plugin";

/// The company, and connections of a plugin that does in each call what it is told.
async fn company(faults: &[(&str, &str)]) -> Corp {
    // It lies beside the others.
    assert!(program::faulty_plugin().exists());
    let mut corp = Corp::with_config(Corp::rotating(), |sandbox| {
        let faulty = |(name, fault): &(&str, &str)| {
            format!(
                "[connections.{name}]\nprovider = \"faulty\"\nkey = {{ env = \"FAULTY_KEY\" }}\n\
                 upstream = \"{}\"\n{fault}\n\n",
                sandbox.upstream()
            )
        };
        faults.iter().map(faulty).collect()
    })
    .await;
    corp.home.set_env("FAULTY_KEY", KEY);
    corp.sandbox.accept_key(KEY);
    corp.login().await;
    corp
}

async fn get(host: &Host, route: &str) -> Answer {
    Call::get(&host.url(&format!("/{route}/strict/x"))).send().await
}

fn is_problem(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
    assert_eq!(answer.header("ccproxy-error"), code);
}

#[tokio::test]
async fn a_plugin_that_panics_for_a_request_costs_that_request() {
    let corp = company(&[
        ("works", ""),
        ("panics", "acquire = \"panic\""),
        ("panics-later", "acquire = \"panic_later\""),
    ])
    .await;
    let mut host = corp.home.serve().await;
    assert_eq!(get(&host, "works").await.status, 200);
    for route in ["panics", "panics-later"] {
        is_problem(&get(&host, route).await, 503, "plugin_failed");
        assert_eq!(get(&host, "works").await.status, 200, "one panic is not held against the plugin");
        assert_eq!(get(&host, "corp").await.status, 200);
    }
    let told = host.program().stderr_line(|line| line.contains("plugin panicked at")).await;
    assert!(!told.contains("canary-secret"), "what a plugin says as it panics may be a secret: {told}");
}

#[tokio::test]
async fn a_plugin_that_panics_again_and_again_is_not_called_and_the_others_serve() {
    let corp = company(&[("works", ""), ("panics", "acquire = \"panic\"")]).await;
    let host = corp.home.serve().await;
    for _ in 0..20 {
        is_problem(&get(&host, "panics").await, 503, "plugin_failed");
        assert_eq!(get(&host, "corp").await.status, 200);
    }
    corp.home.ccproxy(&["auth", "refresh", "corp"]).await.expect_success();
    assert_eq!(get(&host, "corp").await.status, 200);
    host.stop().await.expect_success();
}

#[tokio::test]
async fn a_plugin_whose_description_panics_keeps_no_host_from_starting() {
    let corp = company(&[("works", ""), ("nothing-known", "describe = \"panic\"")]).await;
    let host = corp.home.serve().await;
    for route in ["corp", "works"] {
        assert_eq!(get(&host, route).await.status, 200);
    }
    let answer = get(&host, "nothing-known").await;
    assert!(answer.status.is_client_error() || answer.status.is_server_error());
    assert!(answer.headers.contains_key("ccproxy-error"), "{}", answer.text());
}

#[tokio::test]
async fn a_plugin_that_blocks_its_thread_holds_up_nobody_else() {
    let release = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    std::fs::remove_file(&release).unwrap();
    let fault = format!("acquire = {{ block_until = \"{}\" }}", release.display());
    let corp = company(&[("blocks", &fault)]).await;
    let host = corp.home.serve().await;
    let mut client = Regular::connect(host.authority()).await;
    assert_eq!(client.get("/corp/strict/x").await.status, 200);

    let began = Instant::now();
    let url = host.url("/blocks/strict/x");
    let blocked = tokio::spawn(async move { (Call::get(&url).send().await, began.elapsed()) });
    let mut slowest = Duration::ZERO;
    while !blocked.is_finished() {
        let sent = Instant::now();
        assert_eq!(client.get("/corp/strict/x").await.status, 200);
        slowest = slowest.max(sent.elapsed());
    }
    // A refresh of another plugin goes on as well.
    corp.home.ccproxy(&["auth", "refresh", "corp"]).await.expect_success();
    let (answer, waited) = blocked.await.unwrap();
    is_problem(&answer, 503, "plugin_failed");
    assert!(waited < Duration::from_secs(20), "the client waited {waited:?}");
    assert!(slowest < Duration::from_secs(1), "another route took {slowest:?}");
    std::fs::write(&release, "").unwrap();
    assert_eq!(get(&host, "corp").await.status, 200);
}

#[tokio::test]
async fn a_plugin_that_waits_for_ever_lets_its_other_connections_go_on() {
    let corp = company(&[("works", ""), ("hangs", "acquire = \"hang\"")]).await;
    let host = corp.home.serve().await;
    let url = host.url("/hangs/strict/x");
    let hanging = tokio::spawn(async move { Call::get(&url).send().await });
    for route in ["works", "corp"] {
        assert_eq!(get(&host, route).await.status, 200);
    }
    is_problem(&hanging.await.unwrap(), 504, "credential_timeout");
}

#[tokio::test]
async fn a_command_whose_plugin_panics_says_so_and_saves_nothing() {
    let corp = company(&[
        ("login-panics", "login = \"panic\""),
        ("probe-panics", "probe = \"panic\""),
        ("probe-panics-late", "probe = \"panic_in_drop\""),
    ])
    .await;
    for name in ["login-panics", "probe-panics", "probe-panics-late"] {
        let mut login = corp.home.spawn_ccproxy(&["auth", "login", name, "--with-token", "--json"]);
        login.write_line("token").await;
        let ended = login.finish().await.expect_code(6);
        let error: Value = serde_json::from_str(ended.stderr.lines().last().unwrap()).unwrap();
        assert_eq!(error["code"], "plugin_failed", "{name}");
        assert!(!ended.stderr.contains("canary-secret"), "{ended}");
        assert!(!corp.home.credential(name).exists(), "{name}");
    }
    corp.home.ccproxy(&["auth", "status", "corp"]).await.expect_success();
}

#[tokio::test]
async fn a_logout_whose_plugin_panics_still_forgets_the_grant() {
    let corp = company(&[("logout-panics", "logout = \"panic\"")]).await;
    let mut login = corp.home.spawn_ccproxy(&["auth", "login", "logout-panics", "--with-token"]);
    login.write_line("token").await;
    login.finish().await.expect_success();
    assert!(corp.home.credential("logout-panics").exists());
    corp.home.ccproxy(&["auth", "logout", "logout-panics"]).await;
    assert!(!corp.home.credential("logout-panics").exists());
    let host = corp.home.serve().await;
    assert_eq!(get(&host, "corp").await.status, 200);
}
