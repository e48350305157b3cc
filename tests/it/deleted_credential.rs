//! Grants that go away: deleted by hand, by `auth logout`, or broken on disk.

use std::time::Duration;

use ccproxy_tests::corp::Corp;
use ccproxy_tests::http_client::{Answer, Call};
use ccproxy_tests::login::status;
use ccproxy_tests::program::Host;
use ccproxy_tests::sandbox::TokenState;
use pretty_assertions::assert_eq;
use serde_json::Value;
use tokio::time::{Instant, sleep};

async fn get(host: &Host) -> Answer {
    Call::get(&host.url("/corp/strict/x")).send().await
}

/// Asks until the host has noticed; it may take a moment, never a restart.
async fn until_refused(host: &Host) -> Answer {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let answer = get(host).await;
        if answer.status != 200 {
            return answer;
        }
        assert!(Instant::now() < deadline, "the host never noticed");
        sleep(Duration::from_millis(50)).await;
    }
}

fn is_not_logged_in(answer: &Answer) {
    assert_eq!(answer.status, 401, "{}", answer.text());
    assert_eq!(answer.header("ccproxy-error"), "not_logged_in");
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let problem = answer.json();
    assert_eq!((&problem["code"], &problem["route"]), (&"not_logged_in".into(), &"corp".into()));
    assert_eq!(problem["hint"], "ccproxy auth login corp");
    assert!(problem["request_id"].is_string());
}

#[tokio::test]
async fn a_grant_deleted_under_a_running_host_needs_a_login_and_nothing_else() {
    let corp = Corp::new(Corp::rotating()).await;
    corp.login().await;
    let host = corp.home.serve().await;
    assert_eq!(get(&host).await.status, 200);

    std::fs::remove_file(corp.home.credential("corp")).unwrap();
    is_not_logged_in(&until_refused(&host).await);
    assert_eq!(status(&corp.home, "corp").await["state"], "not_logged_in");

    corp.login().await;
    assert_eq!(get(&host).await.status, 200);
}

#[tokio::test]
async fn logging_out_revokes_the_grant_and_the_host_knows_at_once() {
    let corp = Corp::new(Corp::rotating()).await;
    corp.login().await;
    let host = corp.home.serve().await;
    let echo = get(&host).await.json();
    let token =
        echo["headers"]["authorization"].as_str().unwrap().strip_prefix("Bearer ").unwrap().to_owned();

    corp.home.ccproxy(&["auth", "logout", "corp"]).await.expect_success();
    is_not_logged_in(&get(&host).await);
    assert!(!corp.home.credential("corp").exists());
    assert_eq!(corp.sandbox.token_state(&token), TokenState::Revoked);
}

#[tokio::test]
async fn logging_out_without_a_network_still_forgets_the_grant() {
    let corp = Corp::new(Corp::rotating()).await;
    corp.login().await;
    corp.sandbox.fault(ccproxy_tests::sandbox::Endpoint::Revoke, 100, ccproxy_tests::sandbox::Fault::Close);
    corp.home.ccproxy(&["auth", "logout", "corp"]).await;
    assert!(!corp.home.credential("corp").exists());
    assert_eq!(status(&corp.home, "corp").await["state"], "not_logged_in");
}

#[tokio::test]
async fn a_corrupt_record_is_kept_aside_and_stops_no_other() {
    let corp = Corp::with_config(Corp::rotating(), |sandbox| {
        ccproxy_tests::corp::connection("other", sandbox.issuer(), sandbox.upstream(), "native")
    })
    .await;
    corp.login().await;
    // A record of another connection, good as it is.
    let record = std::fs::read(corp.home.credential("corp")).unwrap();
    std::fs::write(corp.home.credential("corp"), &record[..record.len() / 2]).unwrap();
    let host = corp.home.serve().await;
    is_not_logged_in(&get(&host).await);

    let directory = corp.home.credential("corp").parent().unwrap().to_owned();
    let aside: Vec<_> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| std::fs::read(path).unwrap() == record[..record.len() / 2])
        .collect();
    assert_eq!(aside.len(), 1, "the broken bytes are kept: {aside:?}");
    assert_ne!(aside[0], corp.home.credential("corp"));

    corp.login().await;
    assert_eq!(get(&host).await.status, 200);
    let states: Value = corp.home.ccproxy(&["auth", "status", "--json"]).await.json();
    let states: Vec<_> =
        states["connections"].as_array().unwrap().iter().map(|c| c["state"].clone()).collect();
    assert_eq!(states, ["ok", "not_logged_in"]);
}
