//! A place that is taken, missing, somebody else's, read-only or full: each has its line and its exit code, and
//! no stored grant is lost.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ccproxy_tests::home::Home;
use ccproxy_tests::http_client::Call;
use ccproxy_tests::keyed::KeyedApi;
use ccproxy_tests::octo::{Octo, github_status};
use ccproxy_tests::parts::is_root;
use ccproxy_tests::program::{Finished, Host};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

#[tokio::test]
async fn a_port_in_use_names_its_owner() {
    let home = Home::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let told = home.ccproxy(&["serve", "--listen", &address]).await.expect_code(1);
    let me = format!("(pid {})", std::process::id());
    assert!(told.stderr.contains(&address) && told.stderr.contains(&me), "{told}");

    let host = home.serve().await;
    let other = Home::new();
    let told = other.ccproxy(&["serve", "--listen", host.authority()]).await.expect_code(1);
    assert!(told.stderr.contains(&format!("ccproxy (pid {})", host.pid)), "{told}");
    assert!(told.stderr.contains("hint: "), "{told}");
}

#[tokio::test]
async fn a_state_directory_that_is_missing_is_made_for_its_owner_alone() {
    let api = KeyedApi::new().await;
    fs::remove_dir(api.home.state_dir()).unwrap();
    let _host = api.home.serve().await;
    let mode = fs::metadata(api.home.state_dir()).unwrap().mode() & 0o777;
    assert_eq!(mode, 0o700);
}

#[tokio::test]
async fn a_state_directory_that_cannot_be_made_is_said_so() {
    let mut home = Home::new();
    home.write(&home.user_dir().join("file"), "");
    home.set_env("CCPROXY_STATE_DIR", home.user_dir().join("file/state").to_str().unwrap());
    assert_storage(home.ccproxy(&["serve", "--json"]).await, "file/state");
}

#[tokio::test]
async fn somebody_elses_state_directory_is_not_used() {
    if !is_root("a state directory of another user") {
        return;
    }
    let octo = Octo::new("gh-app", "").await;
    octo.login_by_device().await;
    let credentials = octo.home.state_dir().join("credentials");
    for given_away in [octo.home.state_dir(), credentials] {
        chown(&given_away, Some(65534), Some(65534)).unwrap();
        let place = given_away.to_str().unwrap();
        assert_storage(octo.home.ccproxy(&["auth", "refresh", "github", "--json"]).await, place);
        chown(&given_away, Some(0), Some(0)).unwrap();
    }
    assert_still_logged_in(&octo).await;
}

/// A GitHub App's refresh token is good for one use: spent and not written down, the login would be gone.
#[tokio::test]
async fn a_command_spends_no_refresh_token_that_it_could_not_write_down() {
    let octo = Octo::new("gh-app", "").await;
    octo.login_by_device().await;
    for trouble in [read_only(&octo.home), small_disk(&octo.home) + " && " + &full(&octo.home)] {
        let told = octo.home.ccproxy_after(&trouble, &["auth", "refresh", "github", "--json"]).await;
        let error = assert_storage(told, "github");
        assert!(error["hint"].is_string(), "{error}");
        assert_eq!(octo.sandbox.counts().refreshes(), 0, "{trouble}");
        // A token that is good as it is needs no room.
        let told = octo.home.ccproxy_after(&trouble, &["auth", "token", "github"]).await.expect_success();
        assert!(told.stdout.starts_with("ghu_"), "{told}");
    }
    assert_still_logged_in(&octo).await;
}

/// A host lives on: it serves what it cannot write down, and writes it as soon as there is room.
#[tokio::test]
async fn a_host_on_a_full_disk_serves_on_and_writes_down_when_there_is_room() {
    let octo = Octo::new("gh-app", "").await;
    octo.login_by_device().await;
    let host = octo.home.serve_after(&small_disk(&octo.home)).await;
    let disk = seen_by(&host, &octo.home.state_dir());
    let record = || fs::read_to_string(disk.join("credentials/global/github.json")).unwrap();
    let before = record();
    fill(&disk.join("filler"));

    octo.home.ccproxy(&["auth", "refresh", "github"]).await.expect_success();
    let answer = Call::get(&host.url("/github/user")).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(record(), before, "what was there is whole");
    assert!(host.log().contains("only in memory"), "{}", host.log());

    fs::remove_file(disk.join("filler")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(45);
    while record() == before {
        assert!(Instant::now() < deadline, "there is room, and nothing was written\n{}", host.log());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let counts = octo.sandbox.counts();
    assert_eq!((counts.refreshes(), counts.reuse_detected), (1, 0));
}

fn read_only(home: &Home) -> String {
    format!("mount --bind -o ro '{0}' '{0}'", home.state_dir().display())
}

/// A disk of 64 kB with a copy of the state directory, mounted over it.
fn small_disk(home: &Home) -> String {
    let (state, disk) = (home.state_dir(), home.user_dir().join("disk"));
    let (state, disk) = (state.display(), disk.display());
    format!(
        "mkdir -p '{disk}' && mount -t tmpfs -o size=64k,mode=700 disk '{disk}' && cp -a '{state}/.' '{disk}' \
         && mount --bind '{disk}' '{state}'"
    )
}

fn full(home: &Home) -> String {
    format!("! cat /dev/zero > '{}/filler' 2>/dev/null", home.state_dir().display())
}

/// A path as a host in a mount namespace of its own sees it.
fn seen_by(host: &Host, path: &Path) -> PathBuf {
    PathBuf::from(format!("/proc/{}/root{}", host.pid, path.display()))
}

/// Writes until there is no room, the last byte included.
fn fill(path: &Path) {
    use std::io::Write;
    let mut file = fs::File::create(path).unwrap();
    for size in [4096, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

#[track_caller]
fn assert_storage(told: Finished, place: &str) -> Value {
    let told = told.expect_code(7);
    let error = told.json_error();
    assert_eq!(error["code"], json!("storage"), "{error}");
    assert!(error["message"].as_str().unwrap().contains(place), "{place} is not named: {error}");
    error
}

async fn assert_still_logged_in(octo: &Octo) {
    octo.home.ccproxy(&["auth", "refresh", "github"]).await.expect_success();
    assert_eq!(octo.sandbox.counts().reuse_detected, 0);
    assert_eq!(github_status(&octo.home).await["state"], json!("ok"));
}
