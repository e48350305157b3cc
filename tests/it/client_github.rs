//! PyGithub through the proxy: a login by device, by GitHub App and by personal token.

use std::time::Duration;

use ccproxy_tests::clients::{environment, python};
use ccproxy_tests::octo::{Octo, github_status};
use ccproxy_tests::sandbox::{Change, Endpoint};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

const PAGING: &str = include_str!("../parts/clients/pygithub_paging.py");

/// Lists octo's seven repositories, one a page, with a pause after each.
async fn list_repositories(octo: &Octo, pause: &str) -> Value {
    let mut environment = environment(&octo.home, "github").await;
    environment.push(("PAUSE".to_owned(), pause.to_owned()));
    python(&octo.home, &["PyGithub"], PAGING, &environment).await.expect_success().json()
}

fn all_repositories() -> Value {
    let names: Vec<String> = (0..7).map(|n| format!("repository-{n}")).collect();
    json!({ "login": "octo", "repositories": names })
}

/// Status of every page of repositories, in order.
fn pages(octo: &Octo) -> Vec<Option<u16>> {
    let log = octo.sandbox.log();
    log.iter().filter(|entry| entry.endpoint == Endpoint::GithubRepos).map(|entry| entry.status).collect()
}

#[tokio::test]
async fn pygithub_follows_the_links_of_pages_through_the_proxy() {
    let octo = Octo::new("gh-oauth-app", "scopes = [\"repo\", \"user:email\"]").await;
    let _host = octo.home.serve().await;
    octo.login_by_device().await;
    assert_eq!(list_repositories(&octo, "0").await, all_repositories());
    // A link that led away would have carried the dummy key, and been refused.
    assert_eq!(pages(&octo), [Some(200); 7]);
}

/// Its tokens live for hours; here for three seconds, while the client takes its time.
#[tokio::test]
async fn a_github_apps_token_expires_between_pages_and_nobody_notices() {
    let octo = Octo::new("gh-app", "").await;
    octo.sandbox.change_settings(Change {
        client: Some("gh-app".to_owned()),
        access_token_ttl: Some(Duration::from_secs(6)),
        ..Change::default()
    });
    let _host = octo.home.serve().await;
    octo.login_by_device().await;
    assert_eq!(list_repositories(&octo, "1.2").await, all_repositories());
    let counts = octo.sandbox.counts();
    assert!(counts.refreshes() >= 1, "seven pages at 1.2 s outlive a token of 6 s: {counts:?}");
    assert_eq!(counts.reuse_detected, 0);
    assert_eq!(github_status(&octo.home).await["problem"], Value::Null);
}

/// The token that GitHub calls dead is replaced, and the request sent again, once.
#[tokio::test]
async fn a_github_apps_token_that_was_revoked_is_replaced_and_the_page_asked_for_again() {
    let octo = Octo::new("gh-app", "").await;
    octo.login_by_device().await;
    assert_eq!(octo.sandbox.expire_access_tokens(Some("gh-app")), 1);
    let _host = octo.home.serve().await;
    assert_eq!(list_repositories(&octo, "0").await, all_repositories());
    let counts = octo.sandbox.counts();
    assert_eq!((counts.refreshes(), counts.reuse_detected), (1, 0));
}

#[tokio::test]
async fn a_personal_token_is_read_from_stdin_and_kept() {
    let octo = Octo::new("gh-oauth-app", "").await;
    let token = octo.personal_token().await;
    let mut login = octo.home.spawn_ccproxy(&["auth", "login", "github", "--with-token"]);
    login.write_line(&token).await;
    let told = login.finish().await.expect_success();
    assert!(!format!("{}{}", told.stdout, told.stderr).contains(&token), "the token is repeated");
    let status = github_status(&octo.home).await;
    assert_eq!(
        (&status["state"], &status["account"]["display_name"], &status["refreshable"]),
        (&json!("ok"), &json!("octo"), &json!(false))
    );
    let _host = octo.home.serve().await;
    assert_eq!(list_repositories(&octo, "0").await, all_repositories());
}

#[tokio::test]
async fn a_personal_token_that_github_refuses_is_not_saved() {
    let octo = Octo::new("gh-oauth-app", "").await;
    let mut login = octo.home.spawn_ccproxy(&["auth", "login", "github", "--with-token", "--json"]);
    login.write_line("ghp_nonsense").await;
    let told = login.finish().await.expect_code(4);
    assert_eq!(told.json_error()["code"], json!("credentials_rejected"));
    assert!(!octo.home.credential("github").exists());
}

/// The first try fails, and what it says is enough for the second.
#[tokio::test]
async fn on_a_fresh_machine_a_login_says_all_that_is_needed_to_succeed() {
    let octo = Octo::fresh_machine().await;
    let told = octo.home.ccproxy(&["auth", "login", "github"]).await.expect_code(2);
    assert_eq!(told.stdout, "");
    for needed in
        ["https://github.com/settings/applications/new", "http://127.0.0.1/callback", "Enable Device Flow"]
    {
        assert!(told.stderr.contains(needed), "{needed} is not said\n{told}");
    }
    // The person registers an app, ticks the box, and types the command with the client id in it.
    let command = told.stderr.lines().find_map(|line| line.split_once("ccproxy auth login "));
    let (_, arguments) = command.unwrap_or_else(|| panic!("no command to repeat\n{told}"));
    assert_eq!(arguments, "github --client-id ID", "{told}");
    let arguments = arguments.replace("ID", "gh-oauth-app");
    // Only where GitHub is differs: this one is on loopback.
    let typed = arguments.split(' ').map(str::to_owned).chain(octo.flags());
    let words: Vec<String> = ["auth".to_owned(), "login".to_owned()].into_iter().chain(typed).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut login = octo.home.spawn_ccproxy(&words);
    let code = login.stderr_line(|line| line.starts_with("code: ")).await;
    let code = code.trim_start_matches("code: ");
    assert!(octo.sandbox.approve_device(code, "octo"), "{code} is pending");
    login.finish().await.expect_success();
    let status = github_status(&octo.home).await;
    assert_eq!(
        (&status["state"], &status["account"]["display_name"]),
        (&json!("ok"), &json!("octo")),
        "{status:#}"
    );
    let _host = octo.home.serve().await;
    assert_eq!(list_repositories(&octo, "0").await, all_repositories());
}
