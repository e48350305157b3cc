//! Somebody watches: every fact is told, and no secret is.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ccproxy_tests::corp::{self, Corp, SVC_SECRET};
use ccproxy_tests::http_client::Call;
use ccproxy_tests::program::{self, Program};
use ccproxy_tests::sandbox::{Endpoint, Fault, Settings};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

/// What a client of the proxy sends of its own, which must go no further.
const CLIENTS_OWN: &str = "clients-own-credential";

/// A key that somebody types.
const TYPED: &str = "key-typed-by-a-person";

/// A company with a person's connection and a service's.
async fn company() -> Corp {
    let mut corp = Corp::with_config(Corp::rotating(), |sandbox| {
        corp::service("svc", sandbox.issuer(), sandbox.upstream())
    })
    .await;
    corp.home.set_env("SVC_SECRET", SVC_SECRET);
    corp
}

async fn event(tail: &mut Program, name: &str) -> Value {
    let event = tail.json_line_with("event", name).await;
    assert_eq!(event["schema"], "ccproxy.event/1");
    for member in ["id", "time"] {
        assert!(event[member].is_string(), "no {member} in {event}");
    }
    event
}

#[tokio::test]
async fn whoever_tails_sees_requests_tokens_refreshes_and_failures() {
    let corp = company().await;
    corp.login().await;
    corp.home.add_plugin(&program::example_plugin("listener"));
    let host = corp.home.serve().await;
    let mut tail = corp.home.tail_events(&host).await;

    let answer = Call::get(&host.url("/corp/strict/x")).send().await;
    let request_id = answer.header("ccproxy-request-id").to_owned();
    for name in [
        "request.started",
        "provider.request.prepared",
        "provider.request.sent",
        "provider.response.received",
        "request.completed",
    ] {
        let told = event(&mut tail, name).await;
        assert_eq!(told["request_id"], Value::from(request_id.as_str()), "{told}");
        assert_eq!((&told["org"], &told["connection"]), (&json!("global"), &json!("corp")), "{told}");
    }

    assert_eq!(Call::get(&host.url("/svc/strict/x")).send().await.status, 200);
    for name in ["oauth.token.request", "oauth.token.response"] {
        let told = event(&mut tail, name).await;
        assert_eq!((&told["connection"], &told["provider"]), (&json!("svc"), &json!("oidc")), "{told}");
    }

    corp.home.ccproxy(&["auth", "refresh", "corp"]).await.expect_success();
    for name in ["oauth.refresh.request", "oauth.refresh.response"] {
        assert_eq!(event(&mut tail, name).await["connection"], "corp");
    }

    corp.sandbox.fault(Endpoint::Token, 1, Fault::Status { status: 503, retry_after: None, error: None });
    corp.home.ccproxy(&["auth", "refresh", "corp"]).await.expect_code(5);
    assert_eq!(event(&mut tail, "oauth.error").await["connection"], "corp");

    let refused = Call::get(&host.url("/nowhere/x")).send().await;
    let told = event(&mut tail, "request.failed").await;
    assert_eq!(told["request_id"], Value::from(refused.header("ccproxy-request-id")));
    assert_eq!((&told["code"], &told["status"]), (&json!("no_such_route"), &json!(404)));

    // A plugin's file changes: it is refused until somebody trusts it.
    let file = corp.home.data_dir().join("plugins/liblistener.so");
    let changed = [&std::fs::read(&file).unwrap()[..], b"\n"].concat();
    std::fs::write(file.with_extension("new"), changed).unwrap();
    std::fs::rename(file.with_extension("new"), &file).unwrap();
    assert_eq!(event(&mut tail, "plugin.error").await["provider"], "listener");
    // The one that was loaded serves on, and has heard it, too.
    while event(&mut tail, "custom.event").await["fields"]["heard"] != "plugin.error" {}
    corp.home.ccproxy(&["plugin", "trust", file.to_str().unwrap()]).await.expect_success();
    assert_eq!(event(&mut tail, "plugin.loaded").await["provider"], "listener");

    host.stop().await.expect_success();
    event(&mut tail, "app.shutdown").await;
    tail.finish().await.expect_success();
}

#[tokio::test]
async fn a_plugin_that_subscribes_hears_the_same() {
    let corp = company().await;
    corp.login().await;
    corp.home.add_plugin(&program::example_plugin("listener"));
    let host = corp.home.serve().await;
    let mut tail = corp.home.tail_events(&host).await;

    assert_eq!(Call::get(&host.url("/svc/strict/x")).send().await.status, 200);
    corp.home.ccproxy(&["auth", "refresh", "corp"]).await.expect_success();
    corp.sandbox.fault(Endpoint::Token, 1, Fault::Status { status: 503, retry_after: None, error: None });
    corp.home.ccproxy(&["auth", "refresh", "corp"]).await.expect_code(5);
    // The same bytes as a new file: loaded beside the running ones.
    corp.home
        .ccproxy(&["plugin", "trust", program::plugin("github").to_str().unwrap()])
        .await
        .expect_success();
    assert_eq!(Call::get(&host.url("/corp/strict/last")).send().await.status, 200);

    let wanted = [
        ("request.started", "svc"),
        ("oauth.token.request", "svc"),
        ("oauth.token.response", "svc"),
        ("provider.request.sent", "svc"),
        ("request.completed", "svc"),
        ("oauth.refresh.request", "corp"),
        ("oauth.refresh.response", "corp"),
        ("oauth.error", "corp"),
        ("request.completed", "corp"),
    ];
    let mut missing: BTreeSet<_> = wanted.into();
    while !missing.is_empty() {
        let repeated = event(&mut tail, "custom.event").await;
        let word = |member: &str| repeated["fields"][member].as_str().unwrap_or_default().to_owned();
        let (heard, of) = (word("heard"), word("of"));
        missing.retain(|wanted| *wanted != (heard.as_str(), of.as_str()));
    }
}

#[tokio::test]
async fn no_secret_is_in_any_output_or_file_but_the_vault() {
    let mut corp = Corp::with_config(
        Settings { device_interval: Duration::from_secs(1), ..Corp::rotating() },
        |sandbox| {
            corp::service("svc", sandbox.issuer(), sandbox.upstream())
                + &format!(
                    "[connections.keyed]\nprovider = \"api-key\"\nupstream = \"{}\"\n\n\
                     [connections.hub]\nprovider = \"github\"\nclient_id = \"gh-app\"\n\
                     web_url = \"{}\"\napi_url = \"{}\"\n",
                    sandbox.upstream(),
                    sandbox.github(),
                    sandbox.github_api()
                )
        },
    )
    .await;
    corp.home.set_env("SVC_SECRET", SVC_SECRET);
    corp.sandbox.accept_key(TYPED);
    let mut said = Vec::new();
    let host =
        corp.home.serve_with(&["--listen", "127.0.0.1:0", "-vv", "--set", "logging.access_log=true"]).await;
    let tail = corp.home.tail_events(&host).await;

    corp.login_with(&["-vv"]).await;
    for (name, typed) in [("keyed", TYPED), ("hub", "")] {
        let flow = if typed.is_empty() { "--device" } else { "--with-token" };
        let mut login = corp.home.spawn_ccproxy(&["auth", "login", name, flow, "-vv"]);
        if typed.is_empty() {
            let code = login.stderr_line(|line| line.starts_with("code: ")).await;
            assert!(corp.sandbox.approve_device(code.trim_start_matches("code: "), "alice"));
        } else {
            login.write_line(typed).await;
        }
        let told = login.finish().await.expect_success();
        said.push((format!("auth login {name}"), format!("{}{}", told.stdout, told.stderr)));
    }
    let own = |url: &str| Call::get(url).bearer(CLIENTS_OWN).header("x-api-key", CLIENTS_OWN);
    for path in [
        "/corp/strict/x",
        "/svc/strict/x",
        "/keyed/strict/x",
        "/hub/user",
        "/corp/status/500",
        "/corp/close",
        "/nowhere",
    ] {
        own(&host.url(path)).send().await;
    }
    // A rejection, a refresh that fails, one that works, and commands that talk about all of it.
    corp.sandbox.expire_access_tokens(None);
    own(&host.url("/corp/strict/x")).send().await;
    corp.sandbox.fault(Endpoint::Token, 1, Fault::Echo);
    for args in [
        &["auth", "refresh", "corp", "-vv"][..],
        &["auth", "refresh", "corp", "-vv"],
        &["auth", "refresh", "hub", "-vv"],
        &["auth", "status", "keyed", "--check", "-vv"],
        &["auth", "status"],
        &["auth", "status", "--json", "--check"],
        &["auth", "list", "--json"],
        &["auth", "test", "corp", "--json"],
        &["config", "show", "--origin"],
        &["routes", "--json"],
        &["plugin", "list", "--json"],
        &["env", "corp"],
        &["auth", "logout", "svc", "-vv"],
    ] {
        let told = corp.home.ccproxy(args).await;
        said.push((args.join(" "), format!("{}{}", told.stdout, told.stderr)));
    }
    let echoed = corp.sandbox.log().iter().any(|entry| entry.fault.as_deref() == Some("echo"));
    assert!(echoed, "the server repeated a refresh token in an error");
    let told = host.stop().await;
    said.push(("serve".into(), format!("{}{}", told.stdout, told.stderr)));
    let told = tail.finish().await;
    said.push(("hooks tail".into(), format!("{}{}", told.stdout, told.stderr)));
    for directory in [
        corp.home.config_dir(),
        corp.home.state_dir(),
        corp.home.data_dir(),
        corp.home.runtime_dir(),
        corp.home.user_dir(),
    ] {
        read_files(&directory, &mut said);
    }

    let vault = said.iter().filter(|(name, _)| name.contains("/credentials/"));
    assert!(vault.clone().any(|(_, text)| text.contains("sbxrt_")), "the search finds what is there");
    let leaks: Vec<_> = said
        .iter()
        .filter(|(name, _)| !name.contains("/credentials/"))
        .filter_map(|(name, text)| {
            canaries().into_iter().find(|canary| text.contains(canary)).map(|c| (name, c))
        })
        .collect();
    assert_eq!(leaks, []);
}

/// How secrets begin, or are spelled on the way.
fn canaries() -> Vec<String> {
    let encoded = "svc%3Ase%2Bcr%2Fet";
    let basic = STANDARD.encode(format!("svc:{encoded}+%25"));
    let spelled = [SVC_SECRET, encoded, &basic, CLIENTS_OWN, TYPED, "eyJ"].map(str::to_owned);
    // The prefixes alone are in no output: what follows them is the secret.
    let tokens = ["sbxat_", "sbxrt_", "sbxac_", "sbxdc_", "ghu_", "ghr_"].map(str::to_owned);
    spelled.into_iter().chain(tokens).collect()
}

fn read_files(directory: &Path, said: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let kind = std::fs::symlink_metadata(&path).unwrap().file_type();
        if kind.is_dir() {
            read_files(&path, said);
        } else if kind.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            said.push((path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
}
