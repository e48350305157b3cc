//! A third party's plugin is dropped into the directory of a running host, replaced again and again while
//! requests pour in, removed and put back. Nobody restarts anything, and no request fails.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ccproxy_tests::corp::Corp;
use ccproxy_tests::crowd::Regular;
use ccproxy_tests::http_client::{Answer, Call};
use ccproxy_tests::program::{self, Host};
use pretty_assertions::{assert_eq, assert_ne};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, interval, sleep};

/// What the connections of the plugin inject.
const KEY: &str = "key-of-a-third-party";
const REPLACEMENTS: usize = 20;
/// So many clients, each with a connection of its own ...
const CLIENTS: usize = 20;
/// ... and a request in so long: 500 in a second.
const PAUSE: Duration = Duration::from_millis(40);

/// The company, and a connection of a plugin that is not there yet.
async fn company(trust: &str) -> Corp {
    let mut corp = Corp::with_config(Corp::rotating(), |sandbox| {
        let upstream = sandbox.upstream();
        format!(
            "[plugins]\ntrust = \"{trust}\"\n\n\
             [connections.acme]\nprovider = \"faulty\"\nkey = {{ env = \"ACME_KEY\" }}\nupstream = \"{upstream}\"\n\n\
             [connections.panics]\nprovider = \"faulty\"\nacquire = \"panic\"\nupstream = \"{upstream}\"\n\n\
             [connections.typed]\nprovider = \"faulty\"\nupstream = \"{upstream}\"\n\n"
        )
    })
    .await;
    // The built plugins but this one are found beside the program.
    let directory = corp.home.data_dir().join("plugins").display().to_string();
    corp.home.set_env("CCPROXY_PLUGIN_DIR", &directory);
    corp.home.set_env("ACME_KEY", KEY);
    corp.sandbox.accept_key(KEY);
    corp.login().await;
    corp
}

/// Where the user puts the plugin.
fn file(corp: &Corp) -> PathBuf {
    corp.home.data_dir().join("plugins/libacme.so")
}

/// A build of the plugin: the same code in bytes that nobody has seen before.
fn build(corp: &Corp, number: usize) -> PathBuf {
    let path = corp.home.user_dir().join(format!("build-{number}.so"));
    let code = fs::read(program::faulty_plugin()).unwrap();
    fs::write(&path, [&code[..], format!("build {number}").as_bytes()].concat()).unwrap();
    path
}

/// As `cp` does it: the file that is there is written over.
fn copy_over(corp: &Corp, number: usize) {
    fs::create_dir_all(file(corp).parent().unwrap()).unwrap();
    assert!(Command::new("cp").arg(build(corp, number)).arg(file(corp)).status().unwrap().success());
}

/// As a careful installer does it: another file takes the name.
fn rename_over(corp: &Corp, number: usize) {
    let beside = file(corp).with_extension("new");
    fs::copy(build(corp, number), &beside).unwrap();
    fs::rename(beside, file(corp)).unwrap();
}

/// How the running host sees the plugin.
async fn listed(corp: &Corp) -> Value {
    let told = corp.home.ccproxy(&["plugin", "list", "--json"]).await.expect_success();
    let told: Value = serde_json::from_str(&told.stdout).unwrap();
    let path = file(corp).display().to_string();
    let plugin = told["plugins"].as_array().unwrap().iter().find(|plugin| plugin["path"] == path.as_str());
    plugin.cloned().unwrap_or_default()
}

async fn wait_for_state(corp: &Corp, state: &str) -> Value {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let plugin = listed(corp).await;
        if plugin["state"] == state {
            return plugin;
        }
        assert!(Instant::now() < deadline, "it never was {state}: {plugin:#}");
        sleep(Duration::from_millis(100)).await;
    }
}

async fn get(host: &Host, path: &str) -> Answer {
    Call::get(&host.url(path)).send().await
}

/// Asks until the answer is this one: what was dropped in takes effect once it has settled.
async fn wait_for(host: &Host, path: &str, status: u16) -> Answer {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let answer = get(host, path).await;
        if answer.status == status {
            return answer;
        }
        assert!(Instant::now() < deadline, "{path} answers {}: {}", answer.status, answer.text());
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_plugin_comes_goes_and_comes_back_while_the_host_serves() {
    let corp = company("tofu").await;
    let host = corp.home.serve().await;
    let mut tail = corp.home.tail_events(&host).await;
    let missing = get(&host, "/acme/strict/x").await;
    assert_eq!((missing.status.as_u16(), missing.header("ccproxy-error")), (503, "plugin_missing"));

    copy_over(&corp, 0);
    assert_eq!(tail.json_line_with("event", "plugin.loaded").await["provider"], "faulty");
    assert_eq!(
        wait_for(&host, "/acme/strict/x", 200).await.json()["headers"]["authorization"],
        format!("Bearer {KEY}")
    );
    assert_eq!(wait_for_state(&corp, "loaded").await["trust"], "pinned");
    assert_eq!(get(&host, "/_ccproxy/plugins/faulty/hook").await.status, 200);

    // Somebody logs in to it through the host.
    let mut login = corp.home.spawn_ccproxy(&["auth", "login", "typed", "--with-token"]);
    login.write_line(KEY).await;
    login.finish().await.expect_success();
    assert_eq!(get(&host, "/typed/strict/x").await.status, 200);

    // A changed file is refused, and costs nothing.
    copy_over(&corp, 1);
    assert_eq!(tail.json_line_with("event", "plugin.error").await["provider"], "faulty");
    let refused = wait_for_state(&corp, "refused").await;
    assert!(refused["reason"].as_str().unwrap().ends_with("serves on"), "{refused}");
    assert_eq!(refused["hint"], format!("ccproxy plugin trust {}", file(&corp).display()));
    assert_eq!(get(&host, "/typed/strict/x").await.status, 200);

    fs::remove_file(file(&corp)).unwrap();
    assert_eq!(tail.json_line_with("event", "plugin.unloaded").await["provider"], "faulty");
    let gone = wait_for(&host, "/typed/strict/x", 503).await;
    assert_eq!(gone.header("ccproxy-error"), "plugin_missing");
    assert_eq!(get(&host, "/_ccproxy/plugins/faulty/hook").await.status, 404);
    assert_eq!(get(&host, "/corp/strict/x").await.status, 200);
    assert!(corp.home.credential("typed").exists(), "the grant waits for its plugin");

    rename_over(&corp, 0);
    wait_for(&host, "/typed/strict/x", 200).await;
    assert_eq!(get(&host, "/acme/strict/x").await.status, 200);
    host.stop().await.expect_success();
}

#[tokio::test]
async fn a_plugin_that_comes_later_hears_the_events_it_declares() {
    let corp = company("tofu").await;
    let host = corp.home.serve().await;
    let mut tail = corp.home.tail_events(&host).await;
    corp.home.add_plugin(&program::example_plugin("listener"));
    tail.json_line_with("event", "plugin.loaded").await;
    assert_eq!(get(&host, "/corp/strict/x").await.status, 200);
    while tail.json_line_with("event", "custom.event").await["fields"]
        != json!({ "heard": "request.completed", "of": "corp" })
    {}
    host.stop().await.expect_success();
}

#[tokio::test]
async fn out_of_quarantine_leads_trust_in_the_same_file_a_reload_or_a_new_file() {
    let corp = company("any").await;
    copy_over(&corp, 0);
    let host = corp.home.serve().await;
    assert_eq!(get(&host, "/acme/strict/x").await.status, 200);
    for way_out in ["trust", "reload", "replace"] {
        while listed(&corp).await["state"] == "loaded" {
            // One that just failed is not asked again at once.
            corp.home.ccproxy(&["auth", "refresh", "panics"]).await.expect_code(6);
        }
        let quarantined = wait_for_state(&corp, "quarantined").await;
        let why = quarantined["reason"].as_str().unwrap();
        assert!(why.contains("it panicked 3 times within 60 s, last: ") && !why.contains("canary"), "{why}");
        assert!(quarantined["tried_again_at"].is_string() && quarantined["broken_since"].is_string());
        assert_eq!(
            get(&host, "/_ccproxy/plugins/faulty/hook").await.header("ccproxy-error"),
            "plugin_failed"
        );
        assert_eq!(get(&host, "/acme/strict/x").await.status, 200, "its token is good");
        let path = file(&corp).display().to_string();
        match way_out {
            "trust" => drop(corp.home.ccproxy(&["plugin", "trust", &path]).await.expect_success()),
            "reload" => drop(corp.home.ccproxy(&["reload"]).await.expect_success()),
            _ => rename_over(&corp, 1),
        }
        wait_for_state(&corp, "loaded").await;
        assert_eq!(get(&host, "/_ccproxy/plugins/faulty/hook").await.status, 200);
    }
}

#[tokio::test]
async fn it_is_replaced_under_load_by_whoever_trusts_each_build() {
    replace_under_load("tofu").await;
}

#[tokio::test]
async fn it_is_replaced_under_load_where_every_build_is_trusted() {
    replace_under_load("any").await;
}

async fn replace_under_load(trust: &str) {
    let corp = company(trust).await;
    copy_over(&corp, 0);
    let mut host = corp.home.serve().await;
    let done = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        // Most requests need a credential of the plugin, every fourth is answered by the plugin itself.
        let path = if number % 4 == 0 { "/_ccproxy/plugins/faulty/hook" } else { "/acme/strict/x" };
        clients.spawn(work(host.authority().to_owned(), path, Arc::clone(&done)));
    }
    let mut serving = wait_for_state(&corp, "loaded").await["sha256"].clone();
    let (began, before, runtimes) = (Instant::now(), resident(host.pid), runtimes(host.pid));
    for number in 1..=REPLACEMENTS {
        if number % 2 == 0 {
            copy_over(&corp, number)
        } else {
            rename_over(&corp, number)
        }
        if trust == "tofu" {
            corp.home.ccproxy(&["plugin", "trust", file(&corp).to_str().unwrap()]).await.expect_success();
        }
        host.program().stderr_line(|line| line.contains("plugin loaded") && line.contains("libacme")).await;
        let now = wait_for_state(&corp, "loaded").await["sha256"].clone();
        assert_ne!(now, serving);
        serving = now;
        // Its credential is of the new image from now on.
        corp.home.ccproxy(&["auth", "refresh", "acme"]).await.expect_success();
    }
    let (took, after) = (began.elapsed(), resident(host.pid));
    done.store(true, Ordering::Relaxed);
    let answers = clients.join_all().await.concat();
    let failed: Vec<_> = answers.iter().filter(|status| **status != 200).collect();
    assert_eq!(failed, [&200; 0], "of {} requests", answers.len());
    assert!(answers.len() > REPLACEMENTS * CLIENTS, "{} requests are no load", answers.len());
    let told = corp.home.ccproxy(&["plugin", "list", "--json"]).await.expect_success();
    let images = serde_json::from_str::<Value>(&told.stdout).unwrap()["images"]["mapped"].clone();
    eprintln!(
        "trust = {trust}: {} requests in {:.1} s, none failed; {images} images mapped, {} KiB more for {REPLACEMENTS}",
        answers.len(),
        took.as_secs_f32(),
        after.saturating_sub(before)
    );
    wait_for_runtimes(host.pid, runtimes).await;
    host.stop().await.expect_success();
}

/// One client: asks at its pace until the work is done.
async fn work(authority: String, path: &'static str, done: Arc<AtomicBool>) -> Vec<u16> {
    let mut client = Regular::connect(&authority).await;
    let mut pace = interval(PAUSE);
    let mut answers = Vec::new();
    while !done.load(Ordering::Relaxed) {
        pace.tick().await;
        answers.push(client.get(path).await.status.as_u16());
    }
    answers
}

/// Each plugin's thread has a runtime, which waits in the kernel.
fn runtimes(pid: u32) -> usize {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let waiting = |path: PathBuf| path.to_string_lossy().contains("eventpoll");
    files.filter(|file| fs::read_link(file.path()).is_ok_and(waiting)).count()
}

/// What is replaced leaves its image behind, and nothing else.
async fn wait_for_runtimes(pid: u32, count: usize) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while runtimes(pid) > count {
        assert!(Instant::now() < deadline, "{} runtimes, there were {count}", runtimes(pid));
        sleep(Duration::from_millis(50)).await;
    }
}

/// Memory of a process, in KiB.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap()
}
