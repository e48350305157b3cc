//! A rotated refresh token is on disk before its access token is used: a power failure costs no login.

use ccproxy_tests::corp::Corp;
use ccproxy_tests::http_client::Call;
use ccproxy_tests::program::{self, Host};
use ccproxy_tests::strace::{self, SystemCall};
use pretty_assertions::assert_eq;

const CALLS: &str = "openat,fsync,fdatasync,rename,renameat,renameat2,write,writev,sendto,sendmsg";

#[tokio::test]
async fn a_new_token_goes_upstream_after_file_rename_and_directory_are_on_disk() {
    let corp = Corp::new(Corp::rotating()).await;
    corp.login_and_let_expire().await;
    let trace = corp.home.user_dir().join("trace");
    let mut command = corp.home.command(program::ccproxy());
    command.args(["serve", "--json", "--listen", "127.0.0.1:0"]);
    let host = Host::spawn(strace::traced(&command, CALLS, &trace)).await;

    let echo = Call::get(&host.url("/corp/strict/x")).send().await.json();
    let sent = echo["headers"]["authorization"].as_str().unwrap().to_owned();
    host.stop().await.expect_success();

    let calls = strace::read(&trace);
    let record = corp.home.credential("corp");
    let directory = record.parent().unwrap().to_str().unwrap();
    let after = |begin: usize, what: &str, is_it: &dyn Fn(&SystemCall) -> bool| {
        let found = calls.iter().find(|call| call.lines.0 > begin && is_it(call));
        found.unwrap_or_else(|| panic!("no {what} after line {begin} of\n{calls:#?}")).lines.1
    };
    let token = sent.strip_prefix("Bearer ").unwrap();
    let in_directory = |call: &SystemCall| call.arguments.contains(&format!("<{directory}/"));
    let is_sync = |call: &SystemCall| ["fsync", "fdatasync"].contains(&call.name.as_str());

    let written = after(0, "write of the new token", &|call| {
        call.name.starts_with("write") && in_directory(call) && call.arguments.contains(token)
    });
    let file_synced = after(written, "fsync of the file", &|call| is_sync(call) && in_directory(call));
    let renamed = after(file_synced, "rename over the record", &|call| {
        call.name.starts_with("rename") && call.arguments.ends_with(&format!("{}\"", record.display()))
    });
    let directory_synced = after(renamed, "fsync of the directory", &|call| {
        call.name == "fsync" && call.arguments.ends_with(&format!("<{directory}>"))
    });
    let sent = calls.iter().filter(|call| call.arguments.contains(&format!("Bearer {token}")));
    let first_sent = sent.map(|call| call.lines.0).min().expect("the token went upstream");
    assert!(
        directory_synced < first_sent,
        "the directory was synced on line {directory_synced}, the token sent on {first_sent}"
    );
}

/// The answer to a rotation is lost on the way: nobody can mend that, but nothing else may break.
#[tokio::test]
async fn a_record_is_replaced_whole_or_not_at_all() {
    let corp = Corp::new(Corp::rotating()).await;
    corp.login_and_let_expire().await;
    let before = std::fs::read(corp.home.credential("corp")).unwrap();
    corp.sandbox.change_settings(ccproxy_tests::sandbox::Change {
        token_delay: Some(std::time::Duration::from_secs(30)),
        ..Default::default()
    });
    let host = corp.home.serve().await;
    let url = host.url("/corp/strict/x");
    let waiting = tokio::spawn(async move { Call::get(&url).try_send().await.map(|answer| answer.status) });
    while corp.refreshes() == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    host.kill().await;
    assert!(waiting.await.unwrap().is_err(), "a host that is gone answers nobody");
    assert_eq!(std::fs::read(corp.home.credential("corp")).unwrap(), before);
    let left: Vec<_> = std::fs::read_dir(corp.home.credential("corp").parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".json"))
        .collect();
    assert_eq!(left, ["corp.json"]);
}
