//! Something does not work, and nobody knows what: `ccproxy doctor` finds it, and says what to type.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use ccproxy_tests::corp::Corp;
use ccproxy_tests::home::Home;
use ccproxy_tests::keyed::KeyedApi;
use ccproxy_tests::parts::is_root;
use ccproxy_tests::program::plugin;
use ccproxy_tests::sandbox::Settings;
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use crate::cli_json::members;

/// What the doctor says, with this exit code.
async fn examined(home: &Home, code: i32) -> Vec<Value> {
    let told = home.ccproxy(&["doctor", "--json"]).await.expect_code(code);
    assert_eq!(told.stderr, "", "{told}");
    let document = told.json();
    assert_eq!(members(&document), ["checks", "failures", "schema", "warnings"]);
    assert_eq!(document["schema"], json!("ccproxy.doctor/1"));
    let checks = document["checks"].as_array().unwrap().clone();
    let count = |result: &str| checks.iter().filter(|check| check["result"] == result).count();
    assert_eq!(document["failures"], json!(count("fail")), "{document:#}");
    assert_eq!(document["warnings"], json!(count("warn")), "{document:#}");
    for check in &checks {
        assert_eq!(members(check), ["check", "detail", "group", "hint", "result"]);
        assert!(check["result"] == "ok" || check["hint"].is_string(), "a problem without a cure: {check}");
    }
    checks
}

fn failures(checks: &[Value]) -> Vec<(&str, &str)> {
    let failed = checks.iter().filter(|check| check["result"] == "fail");
    failed.map(|check| (check["group"].as_str().unwrap(), check["check"].as_str().unwrap())).collect()
}

#[track_caller]
fn find<'a>(checks: &'a [Value], group: &str, check: &str) -> &'a Value {
    let found = checks.iter().find(|one| one["group"] == group && one["check"] == check);
    found.unwrap_or_else(|| panic!("no {check} of {group} in {checks:#?}"))
}

/// Every file and directory with its mode and the time of its last change.
fn state_of(directory: &Path) -> BTreeMap<String, (u32, i64, i64)> {
    let mut found = BTreeMap::new();
    let mut left = vec![directory.to_owned()];
    while let Some(path) = left.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        found.insert(path.display().to_string(), (meta.mode(), meta.ctime(), meta.ctime_nsec()));
        if meta.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    found
}

fn with_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn a_fresh_machine_is_well_and_stays_as_it_is() {
    let home = Home::new();
    let root = home.config_dir().parent().unwrap().to_owned();
    let before = state_of(&root);
    let checks = examined(&home, 0).await;
    let mut groups: Vec<&str> = checks.iter().map(|check| check["group"].as_str().unwrap()).collect();
    groups.dedup();
    assert_eq!(
        groups,
        ["program", "configuration", "storage", "plugins", "connections", "host", "listeners", "environment"]
    );
    assert_eq!(find(&checks, "connections", "state")["hint"], json!("ccproxy auth login PROVIDER"));
    assert_eq!(find(&checks, "host", "running")["hint"], json!("ccproxy serve"));
    assert_eq!(find(&checks, "plugins", "oidc")["result"], json!("ok"));
    assert_eq!(state_of(&root), before);

    let text = home.ccproxy(&["doctor"]).await.expect_success().stdout;
    assert!(text.starts_with("Program\n  ✓ version: ccproxy "), "{text}");
    assert!(text.ends_with("0 problems, 2 warnings\n"), "{text}");
    let mut plain = Home::new();
    plain.set_env("LC_ALL", "C");
    let text = plain.ccproxy(&["doctor"]).await.expect_success().stdout;
    assert!(text.is_ascii() && text.contains("\n  ok   PATH: "), "{text}");
}

#[tokio::test]
async fn a_connection_that_does_not_work_is_told_with_its_cure_and_nobody_is_asked() {
    let corp =
        Corp::with_config(Settings::default(), |_| "\n[connections.gone]\nprovider = \"gihub\"\n".into())
            .await;
    let root = corp.home.config_dir().parent().unwrap().to_owned();
    let before = state_of(&root);
    let checks = examined(&corp.home, 1).await;
    assert_eq!(failures(&checks), [("connections", "corp"), ("connections", "gone")]);
    assert_eq!(find(&checks, "connections", "corp")["hint"], json!("ccproxy auth login corp"));
    assert!(find(&checks, "connections", "gone")["detail"].as_str().unwrap().contains("gihub"));
    assert_eq!(state_of(&root), before, "no plugin is pinned, nothing is made");
    assert_eq!(corp.sandbox.log().len(), 0, "no provider was asked");

    corp.login().await;
    let (asked, sent) = (corp.sandbox.log().len(), corp.sandbox.requests().total);
    let checks = examined(&corp.home, 1).await;
    assert_eq!(failures(&checks), [("connections", "gone")]);
    assert_eq!(find(&checks, "storage", "grants")["detail"], json!("1, for us only"));
    let _host = corp.home.serve().await;
    let checks = examined(&corp.home, 1).await;
    assert_eq!(failures(&checks), [("connections", "gone")]);
    assert_eq!(find(&checks, "host", "version")["result"], json!("ok"));
    assert_eq!((corp.sandbox.log().len(), corp.sandbox.requests().total), (asked, sent));
}

#[tokio::test]
async fn a_mistake_in_a_file_is_told_with_its_line_and_the_rest_is_looked_at_nevertheless() {
    let home = Home::with_config("[server]\nlisten = [\"127.0.0.1:0\"]\nworkerz = 2\n");
    let checks = examined(&home, 1).await;
    let at = format!("{}/config.toml:3:1", home.config_dir().display());
    let wrong = find(&checks, "configuration", &at);
    assert!(wrong["detail"].as_str().unwrap().contains("workerz"), "{wrong}");
    assert!(wrong["hint"].as_str().unwrap().contains("workers"), "{wrong}");
    assert_eq!(failures(&checks), [("configuration", at.as_str())]);
    find(&checks, "storage", "state directory");
    find(&checks, "environment", "open files");

    home.write_config("[connections.api]\nprovider = \"api-key\"\npresett = \"openai\"\n");
    let checks = examined(&home, 1).await;
    let at = format!("{}/config.toml:3:1", home.config_dir().display());
    let wrong = find(&checks, "connections", &at);
    assert!(wrong["hint"].as_str().unwrap().contains("preset"), "{wrong}");
}

#[tokio::test]
async fn what_is_open_to_others_is_closed_by_typing_what_is_told() {
    let corp = Corp::new(Settings::default()).await;
    corp.login().await;
    let grant = corp.home.credential("corp");
    with_mode(&grant, 0o644);
    with_mode(&corp.home.state_dir(), 0o755);
    let checks = examined(&corp.home, 1).await;
    assert_eq!(failures(&checks), [("storage", "state directory"), ("storage", "grants")]);
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!((mode(&grant), mode(&corp.home.state_dir())), (0o644, 0o755), "looking mends nothing");
    for check in checks.iter().filter(|check| check["result"] == "fail") {
        let typed = check["hint"].as_str().unwrap();
        let done = corp.home.command("sh").args(["-c", typed]).status().await.unwrap();
        assert!(done.success(), "{typed}");
    }
    examined(&corp.home, 0).await;
    assert_eq!((mode(&grant), mode(&corp.home.state_dir())), (0o600, 0o700));

    if is_root("a state directory of another user") {
        std::os::unix::fs::chown(corp.home.state_dir(), Some(12345), None).unwrap();
        let checks = examined(&corp.home, 1).await;
        let wrong = find(&checks, "storage", "state directory");
        assert!(wrong["detail"].as_str().unwrap().contains("belongs to uid 12345"), "{wrong}");
        assert!(wrong["hint"].as_str().unwrap().starts_with("chown -R 0 "), "{wrong}");
    }
}

#[tokio::test]
async fn a_plugin_that_is_refused_is_told_as_plugin_list_tells_it() {
    let home = Home::new();
    home.add_plugin(&plugin("oidc"));
    let file = home.data_dir().join("plugins").join(plugin("oidc").file_name().unwrap());
    with_mode(&file, 0o666);
    let checks = examined(&home, 1).await;
    let [("plugins", _)] = failures(&checks)[..] else { panic!("{checks:#?}") };
    let wrong = checks.iter().find(|check| check["result"] == "fail").unwrap();
    assert!(wrong["detail"].as_str().unwrap().contains("can be written by everybody"), "{wrong}");
    assert!(wrong["hint"].as_str().unwrap().contains(&format!("chmod go-w {}", file.display())), "{wrong}");
}

#[tokio::test]
async fn a_port_that_somebody_has_and_a_host_that_hangs_are_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let home = Home::with_config(&format!("[server]\nlisten = [\"{address}\"]\n"));
    let checks = examined(&home, 1).await;
    let url = format!("http://{address}");
    assert_eq!(failures(&checks), [("listeners", url.as_str())]);
    let owner = format!("(pid {})", std::process::id());
    assert!(find(&checks, "listeners", &url)["detail"].as_str().unwrap().contains(&owner), "{checks:#?}");
    drop(taken);
    examined(&home, 0).await;

    let host = home.serve_with(&["--listen", "127.0.0.1:0"]).await;
    let checks = examined(&home, 0).await;
    assert_eq!(find(&checks, "listeners", &host.listen[0])["result"], json!("ok"));
    assert_eq!(find(&checks, "listeners", &url)["result"], json!("warn"), "configured, but not listened on");
    home.write_config("[server]\nworkerz = 1\n");
    home.ccproxy(&["reload"]).await.expect_code(2);
    let checks = examined(&home, 1).await;
    assert_eq!(find(&checks, "host", "configuration")["result"], json!("fail"));
    home.write_config("");
    host.stop().await;

    // Something holds the socket and says nothing.
    let _silent = std::os::unix::net::UnixListener::bind(home.admin_socket()).unwrap();
    let checks = examined(&home, 1).await;
    assert_eq!(failures(&checks), [("host", "answer")]);
    assert!(
        find(&checks, "host", "answer")["detail"].as_str().unwrap().contains("did not answer within 5 s")
    );
}

#[tokio::test]
async fn a_secret_that_is_not_where_it_is_said_to_be_is_missed() {
    let home = Home::with_config(
        "[connections.one]\nprovider = \"api-key\"\npreset = \"openai\"\nkey = { env = \"NOT_SET_KEY\" }\n\
         [connections.two]\nprovider = \"api-key\"\npreset = \"openai\"\nkey = { file = \"no-such-file\" }\n",
    );
    let checks = examined(&home, 1).await;
    assert_eq!(failures(&checks), [("connections", "one.key"), ("connections", "two.key")]);
    let hint = find(&checks, "connections", "one.key")["hint"].as_str().unwrap();
    assert!(hint.contains("NOT_SET_KEY"), "{hint}");
}

#[tokio::test]
async fn a_file_that_never_ends_does_not_keep_the_report() {
    let home = Home::new();
    let fifo = home.config_dir().join("config.toml");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let checks = examined(&home, 1).await;
    assert_eq!(failures(&checks), [("configuration", "answer")]);
    find(&checks, "environment", "umask");
}

#[tokio::test]
async fn nothing_secret_is_told() {
    let mut api = KeyedApi::new().await;
    api.home.set_env("CCPROXY_TOKEN__API", "tok-hunter2");
    api.home.set_env("CCPROXY_SERVER__WORKERS", "2");
    api.home.set_env("HTTPS_PROXY", "http://me:hunter2@127.0.0.1:9");
    let told = api.home.ccproxy(&["doctor"]).await.expect_success();
    assert!(!told.to_string().contains("hunter2"), "{told}");
    assert!(told.stdout.contains("CCPROXY_SERVER__WORKERS sets `server.workers`"), "{told}");
    assert!(told.stdout.contains("stands in for the login of `api`"), "{told}");
    assert!(told.stdout.contains("outbound proxy: http://127.0.0.1:9"), "{told}");
}
