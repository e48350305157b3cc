//! GitHub's own command line. It takes no base URL, but a Unix socket: whatever name it calls, it calls there.

use std::fs;

use ccproxy_tests::clients::program;
use ccproxy_tests::octo::Octo;
use ccproxy_tests::program::Finished;
use ccproxy_tests::sandbox::Endpoint;
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

/// Octo, logged in, with a route that has a socket to itself, and a `gh` that was told of it as the manual says.
async fn octo_with_gh() -> Octo {
    let octo = Octo::new("gh-oauth-app", "scopes = [\"repo\"]").await;
    octo.login_by_device().await;
    let socket = octo.home.runtime_dir().join("gh.sock");
    let route = format!("[routes.gh]\nconnection = \"github\"\nlisten = \"unix:{}\"\n", socket.display());
    octo.home.add_config("gh.toml", &route);
    let config = octo.home.user_dir().join(".config/gh");
    fs::create_dir_all(&config).unwrap();
    octo.home.write(&config.join("config.yml"), &format!("http_unix_socket: {}\n", socket.display()));
    octo
}

/// `gh` insists on a token; the proxy takes it away and sends its own.
async fn gh(octo: &Octo, args: &[&str]) -> Finished {
    program(&octo.home, "gh", args, &[("GH_TOKEN", "dummy"), ("GH_NO_UPDATE_NOTIFIER", "1")]).await
}

#[tokio::test]
async fn gh_asks_who_it_is_through_the_socket() {
    let octo = octo_with_gh().await;
    let _host = octo.home.serve().await;
    let told = gh(&octo, &["api", "user"]).await.expect_success();
    assert_eq!(told.json()["login"], json!("octo"));
}

/// Each page names the next with the upstream's own URL, and the client goes on calling that through the socket.
#[tokio::test]
async fn gh_follows_every_page_through_the_socket() {
    let octo = octo_with_gh().await;
    let _host = octo.home.serve().await;
    let told =
        gh(&octo, &["api", "--paginate", "user/repos?per_page=1", "--jq", ".[].name"]).await.expect_success();
    let names: Vec<String> = (0..7).map(|n| format!("repository-{n}")).collect();
    assert_eq!(told.stdout.lines().collect::<Vec<_>>(), names, "{told}");
    let log = octo.sandbox.log();
    let pages: Vec<_> = log.iter().filter(|entry| entry.endpoint == Endpoint::GithubRepos).collect();
    assert_eq!(pages.iter().map(|page| page.status).collect::<Vec<_>>(), [Some(200); 7]);
}

#[tokio::test]
async fn gh_is_told_to_log_in_where_nobody_has() {
    let octo = octo_with_gh().await;
    octo.home.ccproxy(&["auth", "logout", "github", "--no-revoke"]).await.expect_success();
    let host = octo.home.serve().await;
    let told = gh(&octo, &["api", "user"]).await;
    assert_ne!(told.code(), 0);
    let problem: Value = serde_json::from_str(&told.stdout).unwrap_or_else(|e| panic!("{e}\n{told}"));
    assert_eq!((&problem["code"], &problem["route"]), (&json!("not_logged_in"), &json!("gh")), "{told}");
    host.stop().await.expect_success();
    assert!(!octo.home.runtime_dir().join("gh.sock").exists(), "the socket is gone with the host");
}
