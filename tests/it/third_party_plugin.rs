//! Somebody writes a plugin: starts it with `plugin new`, builds and tests it far from this workspace, drops
//! the file beside a running host, and uses everything that it brings.

use std::fs;
use std::time::Duration;

use ccproxy_tests::author::acme;
use ccproxy_tests::home::Home;
use ccproxy_tests::http_client::Call;
use ccproxy_tests::program::{Host, Program};
use ccproxy_tests::sandbox::{Sandbox, SandboxConfig, Settings};
use http::Method;
use pretty_assertions::assert_eq;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// A sandbox whose device logins do not wait for long.
async fn sandbox() -> Sandbox {
    let settings = Settings { device_interval: Duration::from_secs(1), ..Settings::default() };
    Sandbox::start(SandboxConfig { settings, ..SandboxConfig::default() }).await.unwrap()
}

/// Logs in with a code, as a person who has it entered elsewhere.
async fn log_in(home: &Home, sandbox: &Sandbox) {
    let (authority, upstream) = (sandbox.issuer(), sandbox.upstream());
    let mut login = home.spawn_ccproxy(&[
        "auth",
        "login",
        "acme",
        "--device",
        "--client-id",
        "native",
        "--authority",
        authority,
        "--upstream",
        upstream,
        "--scopes",
        "openid",
        "--scopes",
        "email",
        "--scopes",
        "offline_access",
    ]);
    let code = login.stderr_line(|line| line.starts_with("code: ")).await;
    assert!(sandbox.approve_device(code.trim_start_matches("code: "), "alice"));
    login.finish().await.expect_success();
}

/// Waits for what a running host takes over by itself.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds().await {
        assert!(Instant::now() < deadline, "it never came to this: {what}");
        sleep(Duration::from_millis(50)).await;
    }
}

async fn listed(home: &Home) -> Value {
    let list = home.ccproxy(&["plugin", "list", "--json"]).await.expect_success().json();
    let plugins = list["plugins"].as_array().unwrap();
    plugins.iter().find(|plugin| plugin["id"] == "acme").cloned().unwrap_or_default()
}

fn own(host: &Host, path: &str) -> String {
    host.url(&format!("/_ccproxy/plugins/acme/{path}"))
}

#[tokio::test]
async fn the_new_crate_builds_tests_and_lints_without_a_warning() {
    let (author, _) = acme().await;
    let told = author.cargo(&["test", "--tests"]);
    assert!(told.contains("test result: ok. 7 passed; 0 failed"), "{told}");
    author.cargo(&["clippy", "--all-targets", "--", "-D", "warnings"]);
}

#[tokio::test]
async fn dropped_beside_a_running_host_it_logs_in_serves_and_does_all_that_it_declares() {
    let (_, library) = acme().await;
    let (home, sandbox) = (Home::new(), sandbox().await);
    fs::create_dir_all(home.data_dir().join("plugins")).unwrap();
    let host = home.serve().await;
    home.add_plugin(library);
    until("it is listed", async || listed(&home).await["state"].is_string()).await;
    assert_eq!(listed(&home).await["commands"], json!(["get", "heard"]));

    log_in(&home, &sandbox).await;
    let answer = Call::get(&host.url("/acme/strict/who")).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let told = home.ccproxy(&["auth", "status", "acme", "--json"]).await.expect_success().json();
    assert_eq!(told["connections"][0]["account"]["display_name"], "alice@example.test");

    // A command asks the upstream with a credential that neither it nor the plugin sees.
    let got = home.ccproxy(&["plugin", "run", "acme", "get", "/strict/me"]).await.expect_success().json();
    assert!(got["headers"]["authorization"].as_str().unwrap().starts_with("Bearer sbxat_"), "{got}");
    let refused = home.ccproxy(&["plugin", "run", "acme", "get", "/status/500"]).await;
    assert_eq!(refused.code(), 1, "the command's own exit code");

    // Events reach it; a path for whoever may use the proxy and a command tell of them.
    home.ccproxy(&["auth", "refresh", "acme"]).await.expect_success();
    let heard = json!({ "oauth.refresh.response": 1 });
    until("it heard the refresh", async || Call::get(&own(&host, "heard")).send().await.json() == heard)
        .await;
    assert_eq!(home.ccproxy(&["plugin", "run", "acme", "heard"]).await.expect_success().json(), heard);
    let under_json =
        home.ccproxy(&["--json", "plugin", "run", "acme", "heard"]).await.expect_success().json();
    assert_eq!(
        (&under_json["schema"], &under_json["exit_code"], &under_json["stdout"]),
        (&json!("ccproxy.plugin-run/1"), &json!(0), &json!(format!("{heard}\n")))
    );

    // A webhook: what it is sent becomes an event of the plugin's own.
    let mut tail = home.spawn_ccproxy(&["hooks", "tail", "--json"]);
    until("the tail follows", async || {
        Call::get(&host.url("/nowhere/")).send().await;
        !tail.stdout_so_far().is_empty()
    })
    .await;
    let sent = Call::new(Method::POST, &own(&host, "webhook")).body("payload").send().await;
    assert_eq!(sent.status, 204);
    let event = tail.json_line_with("event", "custom.event").await;
    assert_eq!((&event["provider"], &event["fields"]), (&json!("acme"), &json!({ "bytes": 7 })));

    // The limits of such a path are the host's.
    assert_eq!(Call::get(&own(&host, "webhook")).send().await.status, 405);
    let large = Call::new(Method::POST, &own(&host, "webhook")).body(vec![b'x'; (1 << 20) + 1]).send().await;
    assert_eq!((large.status.as_u16(), large.header("ccproxy-error")), (413, "body_too_large"));
    let undeclared = Call::get(&own(&host, "other")).send().await;
    assert_eq!((undeclared.status.as_u16(), undeclared.header("ccproxy-error")), (404, "no_such_route"));
    host.stop().await.expect_success();
}

#[tokio::test]
async fn another_user_reaches_the_public_path_and_nothing_else() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("only root can be another user");
        return;
    }
    let (_, library) = acme().await;
    let home = Home::new();
    home.add_plugin(library);
    let host = home.serve().await;
    let as_nobody = async |method: &str, path: &str| {
        let mut curl = home.command("curl");
        curl.args(["-sS", "-X", method, "-o", "/dev/null", "-w", "%{http_code}"]).arg(own(&host, path));
        curl.current_dir("/").uid(65534).gid(65534);
        Program::spawn(curl).finish().await.expect_success().stdout
    };
    assert_eq!(as_nobody("POST", "webhook").await, "204");
    assert_eq!(as_nobody("POST", "webhook/").await, "401");
    assert_eq!(as_nobody("GET", "heard").await, "401");
    assert_eq!(as_nobody("POST", "../acme/webhook").await, "204", "curl resolves dot segments itself");
    // Neither a foreign name nor a web page gets in by it.
    for (name, value) in [("host", "evil.example"), ("origin", "https://evil.example")] {
        let refused = Call::new(Method::POST, &own(&host, "webhook")).header(name, value).send().await;
        assert_eq!(refused.status, 403, "{name}");
    }
}

#[tokio::test]
async fn a_command_that_does_not_exist_names_the_plugins_commands() {
    let (_, library) = acme().await;
    let home = Home::new();
    home.add_plugin(library);
    // Without a host it runs here, and has no credentials to use.
    assert_eq!(home.ccproxy(&["plugin", "run", "acme", "heard"]).await.expect_success().stdout, "{}\n");
    let missing =
        home.ccproxy(&["--json", "plugin", "run", "acme", "herd"]).await.expect_code(3).json_error();
    assert_eq!(missing["message"], "plugin `acme` has no command `herd`");
    assert_eq!(missing["hint"], "did you mean `heard`? its commands: get, heard");
    let nobody =
        home.ccproxy(&["--json", "plugin", "run", "acne", "heard"]).await.expect_code(3).json_error();
    assert_eq!(nobody["hint"], "did you mean `acme`?");
    let usage = home.ccproxy(&["plugin", "run", "acme", "get"]).await.expect_code(2);
    assert!(usage.stderr.contains("get PATH [CONNECTION]"), "{usage}");
}
