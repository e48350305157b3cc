//! Plugins that are wrong, each in its own way, appear beside a running host: each is refused in one line that says
//! why and what to do, and everything else serves.

use std::collections::BTreeMap;
use std::path::Path;

use ccproxy_tests::corp::Corp;
use ccproxy_tests::home::Home;
use ccproxy_tests::http_client::Call;
use ccproxy_tests::parts::repository;
use ccproxy_tests::program::Host;
use pretty_assertions::assert_eq;
use serde_json::Value;
use tokio::process::Command;
use tokio::time::{Duration, Instant, sleep};

/// Builds them, which the first time takes a minute.
async fn place(directory: &Path) {
    let mut script = Command::new(repository().join("scripts/wrong-plugins"));
    let built = script.arg(directory).kill_on_drop(true).output().await.unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
}

/// A company, and a host that searches directories which are not there yet.
async fn company() -> (Corp, Host) {
    let corp = Corp::new(Corp::rotating()).await;
    let zoo = corp.home.data_dir().join("zoo");
    let dirs = ["files", "links", "group"].map(|name| format!("{:?}", zoo.join(name))).join(", ");
    let config = std::fs::read_to_string(corp.home.config_dir().join("config.toml")).unwrap();
    corp.home.write_config(&format!("{config}\n[plugins]\ndirs = [{dirs}]\n"));
    corp.login().await;
    let host = corp.home.serve().await;
    (corp, host)
}

/// The entries below a directory, by the name of the file, once there are as many.
async fn entries(home: &Home, directory: &Path, count: usize) -> BTreeMap<String, Value> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let told = home.ccproxy(&["plugin", "list", "--json"]).await.expect_success();
        let told: Value = serde_json::from_str(&told.stdout).unwrap();
        let plugins = told["plugins"].as_array().unwrap().iter();
        let found: BTreeMap<String, Value> = plugins
            .filter(|plugin| {
                plugin["path"].as_str().is_some_and(|path| Path::new(path).starts_with(directory))
            })
            .map(|plugin| (kind(plugin["path"].as_str().unwrap()), plugin.clone()))
            .collect();
        // Found is not yet tried.
        if found.len() == count && found.values().all(|plugin| plugin["state"] != "available") {
            return found;
        }
        assert!(Instant::now() < deadline, "{told:#}");
        sleep(Duration::from_millis(200)).await;
    }
}

fn kind(path: &str) -> String {
    let stem = Path::new(path).file_stem().unwrap().to_str().unwrap();
    stem.trim_start_matches("libccproxy_provider_").to_owned()
}

#[tokio::test]
async fn each_is_refused_in_one_line_that_says_why_and_everything_else_serves() {
    let (corp, host) = company().await;
    let zoo = corp.home.data_dir().join("zoo");
    assert_eq!(Call::get(&host.url("/corp/strict/x")).send().await.status, 200);
    place(&zoo).await;
    // A user who is in no other group than their own cannot place it.
    let has_group = zoo.join("group").exists();
    let found = entries(&corp.home, &zoo, if has_group { 11 } else { 10 }).await;

    let good = &found["good"];
    assert_eq!((&good["state"], &good["reason"]), (&"loaded".into(), &Value::Null));
    let target = good["target"].as_str().unwrap();
    let machine = if cfg!(target_arch = "x86_64") { "aarch64" } else { "x86_64" };
    let at = |place: &str| zoo.join(place).display().to_string();
    let open = at("files/libccproxy_provider_open.so");
    let abi = good["abi"].as_str().unwrap();
    // What is wrong, and which side to change.
    let mut wanted = vec![
        ("garbage", "not a shared object: ".to_owned(), "copy the file again".to_owned()),
        ("truncated", "not a shared object: it is cut off or damaged: ".into(), "copy the file again".into()),
        (
            "foreign",
            format!("it was built for {machine}, this host for {target}"),
            format!("use a build for {target}"),
        ),
        (
            "abort",
            "it was built with panic=abort, the host needs panic=unwind: ".into(),
            "rebuild it with panic = \"unwind\" in its profile".into(),
        ),
        (
            "major",
            format!("it speaks plugin ABI 2.0.0, this host speaks {abi}"),
            "update ccproxy, or use an older version of the plugin".into(),
        ),
        (
            "field",
            format!("its plugin ABI differs from this host's {abi}: "),
            "rebuild the plugin with this host's ccproxy-plugin-sdk, or update ccproxy".into(),
        ),
        (
            "symbol",
            "it exports no `ccproxy_plugin_root_v1`".into(),
            "rebuild it with a current ccproxy-plugin-sdk".into(),
        ),
        ("open", format!("`{open}` can be written by everybody (mode 0666)"), format!("chmod go-w {open}")),
        (
            "link",
            format!("`{}` can be written by everybody (mode 0777)", at("elsewhere")),
            format!("chmod go-w {}", at("elsewhere")),
        ),
    ];
    if has_group {
        let group = at("group");
        wanted.push((
            "team",
            format!("`{group}` can be written by the group "),
            format!("chmod g-w {group}"),
        ));
    }
    for (kind, why, cure) in &wanted {
        let plugin = &found[*kind];
        let reason = plugin["reason"].as_str().unwrap_or_default();
        assert_eq!(plugin["state"], "refused", "{plugin:#}");
        assert!(reason.starts_with(why.as_str()), "{kind}: {reason}");
        assert_eq!(plugin["hint"], Value::from(cure.as_str()), "{kind}");
    }
    assert!(found["field"]["reason"].as_str().unwrap().contains("settings_generation"), "{}", found["field"]);

    // The same for people: a line for each file.
    let told = corp.home.ccproxy(&["plugin", "list"]).await.expect_success().stdout;
    for (kind, why, cure) in &wanted {
        let file = format!("libccproxy_provider_{kind}.so ");
        let lines: Vec<_> = told.lines().filter(|line| line.contains(&file)).collect();
        assert_eq!(lines.len(), 1, "{told}");
        assert!(
            lines[0].contains(why.as_str()) && lines[0].ends_with(&format!("; hint: {cure}")),
            "{}",
            lines[0]
        );
    }
    assert_eq!(Call::get(&host.url("/corp/strict/x")).send().await.status, 200);
    host.stop().await.expect_success();
}

#[tokio::test]
async fn verify_says_the_same_of_a_file_that_no_host_knows() {
    let home = Home::new();
    let file = home.data_dir().join("libccproxy_provider_garbage.so");
    std::fs::write(&file, "not a plugin").unwrap();
    let told = home.ccproxy(&["plugin", "verify", file.to_str().unwrap()]).await.expect_code(6);
    assert!(
        told.stderr.contains("not a shared object") && told.stderr.contains("copy the file again"),
        "{told}"
    );
}
