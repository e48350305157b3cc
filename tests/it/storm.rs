//! An expired token and everybody at once: the authorization server is asked once.

use std::collections::BTreeSet;
use std::time::Duration;

use ccproxy_tests::browser;
use ccproxy_tests::corp::{self, Corp};
use ccproxy_tests::crowd;
use ccproxy_tests::home::Home;
use ccproxy_tests::http_client::{Answer, Call};
use ccproxy_tests::login::{BrowserLogin, wait_for_state};
use ccproxy_tests::oidc_provider::{OidcProvider, Options};
use ccproxy_tests::program::Host;
use ccproxy_tests::sandbox::{Change, Sandbox, Settings, TokenState};
use pretty_assertions::assert_eq;

const SLOW: Duration = Duration::from_secs(5);

fn slow() -> Change {
    Change { token_delay: Some(SLOW), ..Change::default() }
}

fn all_good(answers: &[Answer]) {
    for answer in answers {
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

#[tokio::test]
async fn a_thousand_requests_on_an_expired_token_cost_one_token_request() {
    let corp = Corp::new(Corp::rotating()).await;
    corp.login_and_let_expire().await;
    corp.sandbox.change_settings(slow());
    let host = corp.home.serve().await;

    let answers = crowd::at_once(1000, &host.url("/corp/strict/storm")).await;
    assert_eq!(answers.len(), 1000);
    all_good(&answers);
    assert_eq!(corp.refreshes(), 1);
    let seen = corp.sandbox.requests();
    assert_eq!((seen.total, seen.with_state(TokenState::Valid)), (1000, 1000));
}

/// The token looks good here and is not: every request comes back with 401, and all of them are replayed.
#[tokio::test]
async fn a_thousand_rejected_requests_cost_one_token_request() {
    let corp = Corp::new(Corp::rotating()).await;
    corp.login().await;
    let host = corp.home.serve().await;
    all_good(&crowd::at_once(1, &host.url("/corp/strict/before")).await);
    assert_eq!(corp.sandbox.expire_access_tokens(None), 1);
    corp.sandbox.change_settings(slow());

    let answers = crowd::at_once(1000, &host.url("/corp/strict/storm")).await;
    all_good(&answers);
    assert_eq!(corp.refreshes(), 1);
    assert_eq!(corp.sandbox.requests().with_state(TokenState::Valid), 1 + 1000);
}

#[tokio::test]
async fn two_targets_of_one_login_refresh_one_after_the_other() {
    let corp = Corp::with_config(Corp::rotating(), |sandbox| {
        let route = |name: &str| {
            format!(
                "[routes.{name}]\nupstream = \"{}\"\nconnection = \"corp\"\nscopes = [\"api:{name}\"]\n\n",
                sandbox.upstream()
            )
        };
        route("read") + &route("write")
    })
    .await;
    let config = std::fs::read_to_string(corp.home.config_dir().join("config.toml")).unwrap();
    let scopes = "\"offline_access\", \"api:read\", \"api:write\"";
    corp.home.write_config(&config.replace("\"offline_access\"", scopes));
    corp.login().await;

    // Both targets get a token that dies at once.
    corp.shorten("refresh_token", 2);
    let host = corp.home.serve().await;
    let both = |host: &Host| {
        let urls = ["/read/strict/x", "/write/strict/x"].map(|path| host.url(path));
        crowd::all(urls.into_iter().map(|url| async move { Call::get(&url).send().await }))
    };
    all_good(&both(&host).await);
    host.stop().await;
    corp.sandbox.expire_access_tokens(None);
    let before = corp.refreshes();
    corp.sandbox.change_settings(Change { token_delay: Some(Duration::from_secs(1)), ..Change::default() });

    let host = corp.home.serve().await;
    all_good(&both(&host).await);
    let counts = corp.sandbox.counts();
    assert_eq!(counts.refreshes() - before, 2);
    assert_eq!(counts.most_concurrent_token_requests, 1);
    assert_eq!(counts.reuse_detected, 0);
    // The family lives: its newest token can still be used.
    corp.home.ccproxy(&["auth", "refresh", "corp"]).await.expect_success();
}

#[tokio::test]
async fn two_hosts_and_a_command_on_one_state_directory_cost_one_token_request() {
    let mut corp = Corp::new(Corp::rotating()).await;
    corp.login_and_let_expire().await;
    corp.sandbox.change_settings(slow());
    let hosts = two_hosts(&mut corp.home).await;

    let [first, second] = [&hosts[0], &hosts[1]].map(|host| host.url("/corp/strict/storm"));
    let (first, second, refresh, token) = tokio::join!(
        crowd::at_once(500, &first),
        crowd::at_once(500, &second),
        corp.home.ccproxy(&["auth", "refresh", "corp"]),
        corp.home.ccproxy(&["auth", "token", "corp"]),
    );
    all_good(&first);
    all_good(&second);
    refresh.expect_success();
    let token = token.expect_success().stdout;
    assert_eq!(corp.sandbox.token_state(token.trim()), TokenState::Valid);
    let counts = corp.sandbox.counts();
    assert_eq!((counts.refreshes(), counts.reuse_detected), (1, 0));
    assert_eq!(corp.sandbox.requests().distinct_tokens, 1);
}

/// The same against a server that is not ours: its own log has one refresh, and it revokes nothing.
#[tokio::test]
async fn a_certified_server_sees_one_refresh_of_two_hosts_and_a_command() {
    let options = Options { access_token_ttl: 30, ..Options::default() };
    let provider = OidcProvider::start(options).await;
    let api = Sandbox::start_default().await.unwrap();
    let mut home = Home::with_config(&corp::connection("corp", provider.issuer(), api.upstream(), "native"));
    let login = BrowserLogin::start(&home, &["corp"]).await;
    browser::approve(&login.url).await;
    login.succeed().await;
    wait_for_state(&home, "corp", "expired").await;
    let hosts = two_hosts(&mut home).await;

    let [first, second] = [&hosts[0], &hosts[1]].map(|host| host.url("/corp/storm"));
    // Whoever comes late gets what is there. (`auth refresh` would ask for one more, and rightly.)
    let (first, second, token) = tokio::join!(
        crowd::at_once(300, &first),
        crowd::at_once(300, &second),
        home.ccproxy(&["auth", "token", "corp", "--min-ttl", "5s", "--format", "header"]),
    );
    all_good(&first);
    all_good(&second);
    let token = token.expect_success().stdout.trim_end().replace("authorization: ", "");
    assert_eq!((provider.granted("refresh_token"), provider.refused("refresh_token")), (1, 0));
    assert_eq!(provider.revoked(), 0);
    let sent = first.iter().chain(&second).map(|answer| answer.json()["headers"]["authorization"].clone());
    let sent: BTreeSet<_> = sent.map(|field| field.as_str().unwrap_or_default().to_owned()).collect();
    assert_eq!(sent, BTreeSet::from([token]), "everybody got the one new token");
}

/// Two hosts, each with a runtime directory of its own: neither knows of the other but by the store. What is
/// run afterwards has yet another.
async fn two_hosts(home: &mut Home) -> [Host; 2] {
    let mut hosts = Vec::new();
    for name in ["run-a", "run-b", "run-c"] {
        let runtime = home.user_dir().join(name);
        std::fs::create_dir(&runtime).unwrap();
        home.set_env("CCPROXY_RUNTIME_DIR", runtime.to_str().unwrap());
        if name != "run-c" {
            hosts.push(home.serve().await);
        }
    }
    hosts.try_into().unwrap_or_else(|_| panic!("two hosts"))
}

#[tokio::test]
async fn a_client_that_leaves_does_not_take_the_refresh_along() {
    let corp = Corp::new(Settings { token_delay: Duration::from_secs(2), ..Corp::rotating() }).await;
    corp.login_and_let_expire().await;
    let host = corp.home.serve().await;
    let impatient = Call::get(&host.url("/corp/strict/x")).send();
    assert!(tokio::time::timeout(Duration::from_millis(500), impatient).await.is_err());
    corp.wait_for_state("corp", "ok").await;
    all_good(&crowd::at_once(1, &host.url("/corp/strict/x")).await);
    assert_eq!(corp.refreshes(), 1);
}
