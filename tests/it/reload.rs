//! The configuration changes while the host serves: by hand, by an editor, by a script, and by mistake.

use std::fs;
use std::time::Duration;

use ccproxy_tests::crowd::Regular;
use ccproxy_tests::home::Home;
use ccproxy_tests::http_client::Call;
use ccproxy_tests::keyed::{KEY, KeyedApi};
use ccproxy_tests::program::Host;
use ccproxy_tests::sandbox::Fingerprint;
use pretty_assertions::assert_eq;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

/// Within this time an edit is in force, on a machine that is busy with other things.
const SOON: Duration = Duration::from_secs(60);

async fn status_of(host: &Host, path: &str) -> u16 {
    Call::get(&host.url(path)).send().await.status.as_u16()
}

/// Waits until a path answers so.
async fn answers(host: &Host, path: &str, status: u16) {
    let wait = async {
        while status_of(host, path).await != status {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let done = timeout(SOON, wait).await;
    assert!(done.is_ok(), "{path} never answered {status}\n{}", host.log());
}

async fn logs(host: &mut Host, what: &str) {
    let what = what.to_owned();
    host.program().stderr_line(move |line| line.contains(&what)).await;
}

fn route(name: &str, upstream: &str) -> String {
    format!("[routes.{name}]\nconnection = \"api\"\nupstream = \"{upstream}\"\n\n")
}

/// The member `config` of `ccproxy status`.
async fn standing(home: &Home) -> Value {
    home.ccproxy(&["status", "--json"]).await.expect_success().json()["config"].clone()
}

#[tokio::test]
async fn an_edit_takes_effect_however_it_is_saved() {
    let api = KeyedApi::new().await;
    let (home, upstream) = (&api.home, api.sandbox.upstream());
    let file = home.config_dir().join("config.toml");
    let text = fs::read_to_string(&file).unwrap();
    let host = home.serve().await;
    assert_eq!(status_of(&host, "/one/x").await, 404);

    // Written in place, as `echo >>` does.
    home.write(&file, &format!("{text}{}", route("one", upstream)));
    answers(&host, "/one/x", 200).await;

    // Written beside it and renamed over it, as editors do.
    let draft = home.config_dir().join(".config.toml.swp");
    home.write(&draft, &format!("{text}{}", route("two", upstream)));
    fs::rename(&draft, &file).unwrap();
    answers(&host, "/two/x", 200).await;
    assert_eq!(status_of(&host, "/one/x").await, 404);

    // A file of its own in a directory that was not there, and gone again.
    let part = home.config_dir().join("conf.d/three.toml");
    fs::create_dir(part.parent().unwrap()).unwrap();
    home.write(&part, &route("three", upstream));
    answers(&host, "/three/x", 200).await;
    fs::remove_file(&part).unwrap();
    answers(&host, "/three/x", 404).await;
    assert_eq!(status_of(&host, "/two/x").await, 200);
    api.assert_only_our_key("authorization");
    host.stop().await.expect_success();
}

#[tokio::test]
async fn a_connection_that_is_made_or_removed_by_hand_comes_and_goes() {
    let api = KeyedApi::new().await;
    let home = &api.home;
    let host = home.serve().await;
    let file = home.config_dir().join("connections/global/other.toml");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let key = home.config_dir().join("key");
    let upstream = api.sandbox.upstream();
    let settings = format!(
        "provider = \"api-key\"\nupstream = \"{upstream}\"\nkey = {{ file = \"{}\" }}\n",
        key.display()
    );
    home.write(&file, &settings);
    answers(&host, "/other/x", 200).await;
    fs::remove_file(&file).unwrap();
    answers(&host, "/other/x", 404).await;
    let told = Call::get(&host.url("/other/x")).send().await;
    assert_eq!(told.json()["code"], "no_such_route");
    assert_eq!(status_of(&host, "/api/x").await, 200);
    host.stop().await.expect_success();
}

#[tokio::test]
async fn a_bad_edit_changes_nothing_and_names_the_line_until_it_is_mended() {
    let api = KeyedApi::new().await;
    let (home, upstream) = (&api.home, api.sandbox.upstream());
    let file = home.config_dir().join("config.toml");
    let good = fs::read_to_string(&file).unwrap();
    let mut host = home.serve().await;
    let place = |line: usize| format!("{}:{line}:1", file.display());

    // Half of the edit is good: none of it takes effect.
    let bad = format!("[refresh]\naheed = \"5m\"\n\n{good}{}", route("two", upstream));
    home.write_config(&bad);
    logs(&mut host, "unknown key `aheed`").await;
    let told = home.ccproxy(&["reload"]).await.expect_code(2);
    let checked = home.ccproxy(&["config", "check"]).await.expect_code(2);
    assert_eq!(told.stderr, checked.stderr);
    for word in ["unknown key `aheed` in [refresh]", &place(2), "did you mean `ahead`?"] {
        assert!(told.stderr.contains(word), "{word:?}: {told}");
    }
    let config = standing(home).await;
    assert_eq!(config["state"], "reload_failed");
    assert!(config["problem"]["message"].as_str().unwrap().contains(&place(2)), "{config}");
    let shown = home.ccproxy(&["status"]).await.expect_success();
    assert!(shown.stdout.contains("last reload failed at ") && shown.stdout.contains("aheed"), "{shown}");
    assert_eq!((status_of(&host, "/two/x").await, status_of(&host, "/api/x").await), (404, 200));

    home.write_config(&bad.replace("aheed", "ahead"));
    answers(&host, "/two/x", 200).await;
    assert_eq!(standing(home).await["problem"], Value::Null);
    host.stop().await.expect_success();
}

#[tokio::test]
async fn what_only_plugins_routes_or_files_can_tell_is_a_bad_edit_too() {
    let api = KeyedApi::new().await;
    let home = &api.home;
    let good = fs::read_to_string(home.config_dir().join("config.toml")).unwrap();
    let host = home.serve().await;
    let twice =
        route("two", api.sandbox.upstream()) + "path = \"one\"\n" + &route("one", api.sandbox.upstream());
    for (bad, said) in [
        (good.replace("key =", "keys ="), "unknown key `keys`"),
        (good.replace("provider =", "extra_ca = \"/not/there.pem\"\nprovider ="), "/not/there.pem"),
        (format!("{good}[routes.two]\nconnection = \"apo\"\n"), "did you mean `api`?"),
        (format!("{good}{twice}"), "both on the path `one`"),
        (format!("[server]\nallowed_hosts = [\"a b\"]\n{good}"), "allowed_hosts"),
        (good.replace("[connections.api]", "[connections.api"), "not TOML"),
    ] {
        home.write_config(&bad);
        let told = home.ccproxy(&["reload"]).await.expect_code(2);
        assert!(told.stderr.contains(said), "{said:?}: {told}");
        assert!(told.stderr.contains("config.toml:"), "{told}");
        assert_eq!(status_of(&host, "/api/x").await, 200, "{said}");
    }
    home.write_config(&good);
    home.ccproxy(&["reload"]).await.expect_success();
    assert_eq!(standing(home).await["state"], "ok");
    host.stop().await.expect_success();
}

#[tokio::test]
async fn ccproxy_reload_tells_what_changed_and_what_waits_for_a_restart() {
    let api = KeyedApi::new().await;
    let home = &api.home;
    let good = fs::read_to_string(home.config_dir().join("config.toml")).unwrap();
    let host = home.serve().await;
    assert_eq!(home.ccproxy(&["reload"]).await.expect_success().stdout, "nothing changed\n");

    let more = format!(
        "[refresh]\nahead = \"20%\"\n[storage]\nbackend = \"memory\"\n{good}{}",
        route("two", api.sandbox.upstream())
    );
    // Not by the watch: it has not settled yet, or has told it already.
    home.write_config(&more);
    let told = home.ccproxy(&["reload", "--json"]).await.expect_success().json();
    assert_eq!(
        (&told["schema"], &told["needs_restart"]),
        (&json!("ccproxy.reload/1"), &json!(["storage.backend"]))
    );
    assert_eq!(status_of(&host, "/two/x").await, 200);
    assert_eq!(standing(home).await["needs_restart"], json!(["storage.backend"]));
    assert!(host.log().contains("`storage.backend` needs a restart"), "{}", host.log());

    home.write_config(&good);
    home.ccproxy(&["reload"]).await.expect_success();
    assert_eq!(standing(home).await["needs_restart"], json!([]));
    assert_eq!(status_of(&host, "/two/x").await, 404);
    host.stop().await.expect_success();
}

#[tokio::test]
async fn listeners_change_with_the_configuration_all_of_them_or_none() {
    let api = KeyedApi::new().await;
    let home = &api.home;
    let good = fs::read_to_string(home.config_dir().join("config.toml")).unwrap();
    let host = home.serve().await;
    let socket = home.runtime_dir().join("two.sock");
    let two = route("two", api.sandbox.upstream());
    let own = |listen: &str| {
        format!("{good}{}listen = \"{listen}\"\n", two.trim_end_matches('\n').to_owned() + "\n")
    };
    home.write_config(&own(&format!("unix:{}", socket.display())));
    home.ccproxy(&["reload"]).await.expect_success();
    let mut at_root = Regular::connect_unix(&socket).await;
    assert_eq!(at_root.get("/x").await.status.as_u16(), 200);

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    home.write_config(&own(&address));
    let told = home.ccproxy(&["reload"]).await.expect_code(2);
    assert!(
        told.stderr.contains(&format!("{address} is in use")) && told.stderr.contains("config.toml:"),
        "{told}"
    );
    assert_eq!(at_root.get("/x").await.status.as_u16(), 200);

    home.write_config(&good);
    home.ccproxy(&["reload"]).await.expect_success();
    assert!(!socket.exists());
    assert_eq!(status_of(&host, "/api/x").await, 200);
    host.stop().await.expect_success();
}

#[tokio::test]
async fn a_hangup_reads_the_configuration_and_so_does_a_changed_level_of_the_log() {
    let api = KeyedApi::new().await;
    let home = &api.home;
    let good = fs::read_to_string(home.config_dir().join("config.toml")).unwrap();
    let mut host = home.serve().await;
    assert!(!host.log().contains("the configuration is as it was"));
    home.write_config(&format!("[logging]\nlevel = \"debug\"\naccess_log = true\n{good}"));
    host.program().signal(Signal::HUP);
    logs(&mut host, "logging.level").await;
    // Only the level of now lets it through.
    host.program().signal(Signal::HUP);
    logs(&mut host, "the configuration is as it was").await;
    assert_eq!(status_of(&host, "/api/logged").await, 200);
    logs(&mut host, "/logged").await;
    host.stop().await.expect_success();
}

#[tokio::test]
async fn tokens_of_what_did_not_change_stay_and_changed_settings_are_asked_for_anew() {
    let api = KeyedApi::new().await;
    let home = &api.home;
    let calls =
        async || home.ccproxy(&["status", "--json"]).await.expect_success().json()["plugin_calls"].clone();
    let good = fs::read_to_string(home.config_dir().join("config.toml")).unwrap();
    let other = api.connection("other", api.sandbox.upstream(), "");
    home.write_config(&format!("{good}{other}"));
    let host = home.serve().await;
    assert_eq!((status_of(&host, "/api/x").await, status_of(&host, "/other/x").await), (200, 200));
    assert_eq!(calls().await, 2);

    // `api` changes, `other` does not; the key is another one from now on.
    let key = home.config_dir().join("key2");
    home.write(&key, "sbx-key-of-somebody-else");
    let changed =
        good.replace(&home.config_dir().join("key").display().to_string(), &key.display().to_string());
    home.write_config(&format!("{changed}{other}"));
    home.ccproxy(&["reload"]).await.expect_success();
    assert_eq!(status_of(&host, "/other/x").await, 200);
    assert_eq!(calls().await, 2, "a reload asks nobody for a token");
    _ = status_of(&host, "/api/anew").await;
    assert!(calls().await.as_u64() > Some(2));
    let seen = api.sandbox.requests().requests;
    let key_of = |path: &str| {
        seen.iter().rfind(|request| request.path.ends_with(path)).and_then(|request| request.token.clone())
    };
    assert_eq!(key_of("/anew"), Some(Fingerprint::of("sbx-key-of-somebody-else")));
    assert_eq!(key_of("/x"), Some(Fingerprint::of(KEY)));
    host.stop().await.expect_success();
}

#[tokio::test]
async fn routes_come_and_go_under_load_and_no_request_fails() {
    const EDITS: usize = 200;
    let api = KeyedApi::new().await;
    let (home, upstream) = (&api.home, api.sandbox.upstream());
    let good = fs::read_to_string(home.config_dir().join("config.toml")).unwrap();
    let host = home.serve().await;
    let (end, ended) = tokio::sync::watch::channel(false);
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (authority, ended) = (host.authority().to_owned(), ended.clone());
            tokio::spawn(async move {
                let mut regular = Regular::connect(&authority).await;
                let mut answers = Vec::new();
                while !*ended.borrow() {
                    answers.push(regular.get("/api/steady").await.status.as_u16());
                }
                answers
            })
        })
        .collect();
    let mut commander = Regular::connect_unix(&home.admin_socket()).await;
    for edit in 0..EDITS {
        let routes: String =
            (0..edit % 5).map(|route| self::route(&format!("r{edit}-{route}"), upstream)).collect();
        home.write_config(&format!("{good}{routes}"));
        let told = commander.post("/api/v1/reload", &json!({})).await;
        assert_eq!(told.status.as_u16(), 200, "{}", told.text());
    }
    end.send_replace(true);
    let mut total = 0;
    for client in clients {
        let answers = client.await.unwrap();
        let failed: Vec<_> = answers.iter().filter(|status| **status != 200).collect();
        assert!(failed.is_empty(), "{failed:?} of {}", answers.len());
        total += answers.len();
    }
    assert!(total > EDITS, "only {total} requests were made meanwhile");
    host.stop().await.expect_success();
}

#[tokio::test]
async fn a_host_is_stopped_by_name_and_waited_for() {
    let api = KeyedApi::new().await;
    let home = &api.home;
    for command in ["status", "reload", "stop"] {
        let told = home.ccproxy(&[command]).await.expect_code(3);
        assert!(told.stderr.contains("no host runs"), "{told}");
    }
    let host = home.serve().await;
    let shown = home.ccproxy(&["status"]).await.expect_success();
    assert!(shown.stdout.contains(&format!("pid {}", host.pid)), "{shown}");
    assert!(shown.stdout.contains("connections  1 of 1 usable\n"), "{shown}");
    let told = home.ccproxy(&["stop"]).await.expect_success();
    assert_eq!(told.stdout, format!("stopped (pid {})\n", host.pid));
    // It has ended already: by itself, and well.
    host.ended().await.expect_success();
    assert!(!home.admin_socket().exists());
}
