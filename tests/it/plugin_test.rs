//! An author tries the file that they built: `plugin test` says what is well, what is not and what to change,
//! touches nothing of theirs, and leaves nothing behind.

use std::fs;
use std::path::{Path, PathBuf};

use ccproxy_tests::author::{Author, acme};
use ccproxy_tests::home::Home;
use ccproxy_tests::program::{self, Finished, Program};
use pretty_assertions::assert_eq;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio::time::{Duration, Instant, sleep};

use crate::cli_json::members;

/// A machine whose temporary directory is its own.
fn machine() -> (Home, PathBuf) {
    let mut home = Home::new();
    let temporary = home.user_dir().join("tmp");
    fs::create_dir(&temporary).unwrap();
    home.set_env("TMPDIR", temporary.to_str().unwrap());
    (home, temporary)
}

async fn tried(home: &Home, file: &Path, more: &[&str]) -> Finished {
    let line = [&["--json", "plugin", "test", file.to_str().unwrap()], more].concat();
    home.ccproxy(&line).await
}

/// The checks that came to this, by name.
fn checks<'a>(report: &'a Value, result: &str) -> Vec<&'a str> {
    let all = report["checks"].as_array().unwrap_or_else(|| panic!("no report: {report}"));
    let of = all.iter().filter(|check| check["result"] == result);
    of.map(|check| check["check"].as_str().unwrap()).collect()
}

fn check<'a>(report: &'a Value, name: &str) -> &'a Value {
    let all = report["checks"].as_array().unwrap_or_else(|| panic!("no report: {report}"));
    all.iter().find(|check| check["check"] == name).unwrap_or_else(|| panic!("no `{name}` in {report:#}"))
}

/// What is in a directory, below it too.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn a_new_plugin_passes_every_check_and_nothing_of_the_author_is_touched() {
    let (_, library) = acme().await;
    let (home, temporary) = machine();
    let told = tried(&home, library, &[]).await.expect_success();
    assert_eq!(told.stderr, "");
    let report = told.json();
    assert_eq!(
        members(&report),
        ["checks", "failed", "file", "passed", "plugin", "refused", "schema", "skipped"]
    );
    assert_eq!(report["schema"], "ccproxy.plugin-test/1");
    assert_eq!(report["plugin"], json!({ "id": "acme", "version": "0.1.0" }));
    assert_eq!(members(check(&report, "file")), ["check", "detail", "hint", "result"]);
    assert_eq!(
        checks(&report, "passed"),
        [
            "file",
            "manifest",
            "layout",
            "settings",
            "wrong-setting",
            "describe",
            "paths",
            "events",
            "login.device",
            "login.token",
            "acquire",
            "refresh",
            "rotation",
            "outage.silent",
            "outage.error",
            "outage.html",
            "outage.huge",
            "outage.nonsense",
            "outage.over",
            "refused-refresh",
            "logout",
            "cell",
            "secrets",
        ]
    );
    assert_eq!((&report["failed"], &report["skipped"]), (&json!(0), &json!(0)));
    for directory in [home.config_dir(), home.state_dir(), home.data_dir(), home.runtime_dir(), temporary] {
        assert_eq!(files(&directory), Vec::<PathBuf>::new(), "{}", directory.display());
    }
}

#[tokio::test]
async fn our_own_plugins_pass_in_each_flow_that_needs_no_screen() {
    let home = Home::new();
    let tried_of = async |id: &str| {
        let told = tried(&home, &program::plugin(id), &[]).await.expect_success();
        told.json()
    };
    let reports = tokio::join!(tried_of("oidc"), tried_of("github"), tried_of("api-key"));
    let logins = |report: &Value| {
        let passed = checks(report, "passed").into_iter().filter_map(|name| name.strip_prefix("login."));
        passed.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(logins(&reports.0), "browser device client-credentials token");
    assert_eq!(logins(&reports.1), "browser device token");
    assert_eq!(logins(&reports.2), "token");
    for report in [&reports.0, &reports.1] {
        assert_eq!(checks(report, "skipped"), ["paths", "events"], "{report:#}");
    }
    // A key has no successor, and the report says so of each check that is about one.
    let skipped = ["paths", "events", "refresh", "rotation", "outage", "refused-refresh"];
    assert_eq!(checks(&reports.2, "skipped"), skipped);
    assert_eq!(check(&reports.2, "refresh")["detail"], "what a login by token yields is not renewed");
}

/// A plugin that gets wrong what its setting `clumsy` says.
async fn clumsy() -> &'static (Author, PathBuf) {
    static CLUMSY: OnceCell<(Author, PathBuf)> = OnceCell::const_new();
    CLUMSY
        .get_or_init(|| async {
            let author = Author::start("clumsy").await;
            author.edit(
                "schemas.rs",
                "    /// Scopes to ask for at login.",
                "    /// What it gets wrong.\n    #[serde(default)]\n    pub clumsy: String,\n    /// Scopes to ask for at login.",
            );
            author.edit(
                "manager.rs",
                "        let fields = [\n            (\"grant_type\", \"refresh_token\"),",
                "        let clumsy = connection.settings.clumsy.as_str();\n        \
                 match clumsy {\n            \
                 \"panic\" => panic!(\"{}\", refresh_token.expose()),\n            \
                 \"block\" => std::thread::sleep(std::time::Duration::from_secs(20)),\n            \
                 \"hang\" => std::future::pending().await,\n            \
                 \"tell\" => ccproxy_plugin_sdk::tracing::debug!(token = refresh_token.expose(), \"renewing\"),\n            \
                 _ => {}\n        }\n        \
                 let fields = [\n            (\"grant_type\", \"refresh_token\"),",
            );
            author.edit(
                "manager.rs",
                "match token(connection, &fields, Purpose::Refresh).await? {",
                "match token(connection, &fields, Purpose::Refresh).await.map_err(|error| match clumsy {\n            \
                 \"despair\" => Error::new(ErrorCode::ReauthRequired, \"no token\"),\n            \
                 \"repeat\" => Error::new(ErrorCode::Network, format!(\"no answer to {}\", refresh_token_sent)),\n            \
                 _ => error,\n        })? {",
            );
            author.edit(
                "manager.rs",
                "        let clumsy = connection",
                "        let refresh_token_sent = refresh_token.expose().to_owned();\n        let clumsy = connection",
            );
            author.edit(
                "manager.rs",
                "grant.save(renewed.clone()).await?;",
                "if clumsy == \"forget\" {\n            return Ok(credential(&renewed, grant.generation() + 1));\n        }\n        \
                 grant.save(renewed.clone()).await?;",
            );
            let library = author.build();
            (author, library)
        })
        .await
}

/// The report on one that gets this wrong.
async fn report_on(fault: &str) -> Value {
    let (_, library) = clumsy().await;
    let told = tried(&Home::new(), library, &["--set", &format!("clumsy={fault}")]).await.expect_code(1);
    told.json()
}

#[tokio::test]
async fn a_panic_is_told_with_its_place_and_without_what_it_quotes() {
    let report = report_on("panic").await;
    assert_eq!(checks(&report, "failed"), ["refresh", "cell"], "{report:#}");
    let why = check(&report, "refresh")["detail"].as_str().unwrap();
    assert!(why.contains("plugin panicked at") && why.contains("manager.rs:"), "{why}");
    assert_eq!(checks(&report, "skipped"), ["rotation", "outage", "refused-refresh"]);
}

#[tokio::test]
async fn a_blocked_thread_holds_nobody_up_and_the_other_checks_are_made() {
    let report = report_on("block").await;
    assert_eq!(checks(&report, "failed"), ["refresh", "cell"], "{report:#}");
    assert_eq!(
        check(&report, "cell")["detail"].as_str().unwrap().split(',').next(),
        Some("it blocks its thread after `refresh`")
    );
    assert_eq!(check(&report, "logout")["result"], "passed");
    let report = report_on("hang").await;
    assert_eq!(checks(&report, "failed"), ["refresh"], "{report:#}");
    assert!(check(&report, "refresh")["detail"].as_str().unwrap().contains("`timeout`"), "{report:#}");
}

#[tokio::test]
async fn a_secret_in_the_log_or_in_an_error_is_found_and_not_repeated() {
    for (fault, place) in [("tell", "a secret is in the log: "), ("repeat", "a secret is in an e")] {
        let report = report_on(fault).await;
        assert_eq!(checks(&report, "failed"), ["secrets"], "{report:#}");
        let told = check(&report, "secrets")["detail"].as_str().unwrap();
        assert!(told.starts_with(place) && told.contains("sbxrt_***"), "{told}");
    }
}

#[tokio::test]
async fn a_lost_refresh_token_and_a_login_that_an_outage_costs_are_told_by_the_check_that_is_about_it() {
    let report = report_on("forget").await;
    assert!(checks(&report, "failed").contains(&"rotation"), "{report:#}");
    assert_eq!(
        check(&report, "rotation")["detail"],
        "after a restart the spent refresh token came back: the new one was not stored"
    );
    let report = report_on("despair").await;
    let failed = checks(&report, "failed");
    assert!(
        failed.iter().all(|check| check.starts_with("outage.")) && failed.contains(&"outage.silent"),
        "{report:#}"
    );
    assert_eq!(
        check(&report, "outage.silent")["hint"],
        "answer `provider_unavailable`, `network`, `timeout` or `rate_limited`"
    );
}

#[tokio::test]
async fn what_no_host_would_load_is_refused_with_the_reason() {
    let home = Home::new();
    let file = home.user_dir().join("libacme.so");
    home.write(&file, "no shared object");
    let report = tried(&home, &file, &[]).await.expect_code(6).json();
    assert_eq!((&report["refused"], checks(&report, "failed")), (&json!(true), vec!["file"]));
    assert_eq!(check(&report, "file")["hint"], "copy the file again");
    fs::copy(program::plugin("oidc"), &file).unwrap();
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let report = tried(&home, &file, &[]).await.expect_code(6).json();
    assert!(
        check(&report, "file")["detail"].as_str().unwrap().contains("can be written by everybody"),
        "{report:#}"
    );
    assert!(check(&report, "file")["hint"].as_str().unwrap().starts_with("chmod"), "{report:#}");
}

#[tokio::test]
async fn people_read_lines_and_a_plain_terminal_words() {
    let mut home = Home::new();
    let file = program::plugin("api-key");
    let lines = ["plugin", "test", file.to_str().unwrap()];
    let told = home.ccproxy(&lines).await.expect_success();
    assert!(told.stdout.starts_with("✓ file "), "{told}");
    assert!(told.stdout.ends_with(" passed, 0 failed, 6 skipped\n"), "{told}");
    home.set_env("LC_ALL", "C");
    let told = home.ccproxy(&lines).await.expect_success();
    assert!(told.stdout.starts_with("passed  file ") && told.stdout.is_ascii(), "{told}");
}

#[tokio::test]
async fn what_is_asked_for_wrongly_is_said_before_anything_is_tried() {
    let home = Home::new();
    let oidc = program::plugin("oidc");
    let unknown = tried(&home, &oidc, &["--set", "isuer=x"]).await.expect_code(2).json_error();
    assert!(unknown["message"].as_str().unwrap().contains("isuer"), "{unknown}");
    assert_eq!(unknown["hint"], "did you mean `issuer`?");
    tried(&home, &oidc, &["--set", "issuer"]).await.expect_code(2);
    tried(&home, &home.user_dir().join("nothing.so"), &[]).await.expect_code(3);

    // Installed without the sandbox, it says where it looked and how to get it.
    let alone = home.user_dir().join("bin");
    fs::create_dir(&alone).unwrap();
    fs::copy(program::ccproxy(), alone.join("ccproxy")).unwrap();
    let mut command = home.command(alone.join("ccproxy"));
    command.env("PATH", "/nowhere").args(["--json", "plugin", "test", oidc.to_str().unwrap()]);
    let missing = Program::spawn(command).finish().await.expect_code(3).json_error();
    let told = missing["message"].as_str().unwrap();
    assert!(told.starts_with("there is no program `ccproxy-sandbox`; searched "), "{told}");
    assert!(missing["hint"].as_str().unwrap().contains("scripts/install"), "{missing}");
}

#[tokio::test]
async fn stopped_half_way_it_leaves_no_file_and_no_process() {
    for signal in [Signal::INT, Signal::TERM] {
        let (home, temporary) = machine();
        let mut trial = home.spawn_ccproxy(&["plugin", "test", program::plugin("oidc").to_str().unwrap()]);
        trial.stdout_line(|line| line.contains("login.browser")).await;
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", trial.pid())).unwrap();
        let sandbox = children.split_whitespace().next().unwrap().to_owned();
        assert!(!files(&temporary).is_empty());
        trial.signal(signal);
        trial.finish().await.expect_code(130);
        assert_eq!(files(&temporary), Vec::<PathBuf>::new());
        let deadline = Instant::now() + Duration::from_secs(30);
        while fs::read_to_string(format!("/proc/{sandbox}/cmdline"))
            .is_ok_and(|line| line.contains("sandbox"))
        {
            assert!(Instant::now() < deadline, "the sandbox lives on");
            sleep(Duration::from_millis(20)).await;
        }
    }
}
