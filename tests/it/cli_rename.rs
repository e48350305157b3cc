//! A connection gets another name: the login goes with it, and nothing is lost where that cannot be.

use std::fs;

use ccproxy_tests::home::Home;
use ccproxy_tests::http_client::Call;
use ccproxy_tests::keyed::KeyedApi;
use ccproxy_tests::login::{BrowserLogin, status};
use ccproxy_tests::sandbox::{Sandbox, SandboxConfig};
use pretty_assertions::assert_eq;

/// A machine on which Alice made the connection `corp` on the command line and logged in.
async fn logged_in() -> (Sandbox, Home) {
    let sandbox = Sandbox::start(SandboxConfig::default()).await.expect("loopback has free ports");
    let home = Home::new();
    let (issuer, upstream) = (sandbox.issuer().to_owned(), sandbox.upstream().to_owned());
    let args = [
        "oidc",
        "--connection",
        "corp",
        "--issuer",
        &issuer,
        "--client-id",
        "native",
        "--scopes",
        "openid email offline_access",
        "--set",
        &format!("upstream={upstream}"),
    ];
    let login = BrowserLogin::start(&home, &args).await;
    let redirect = sandbox.approve(&login.url, "alice").await;
    assert_eq!(Call::get(redirect.as_str()).send().await.status, 200);
    login.succeed().await;
    (sandbox, home)
}

#[tokio::test]
async fn the_grant_moves_with_the_name_and_a_running_host_serves_it_at_once() {
    let (_sandbox, home) = logged_in().await;
    let host = home.serve().await;
    assert_eq!(Call::get(&host.url("/corp/strict/x")).send().await.status, 200);

    let told = home.ccproxy(&["auth", "rename", "corp", "work"]).await.expect_success();
    assert_eq!((told.stdout.as_str(), told.stderr.as_str()), ("`corp` is now `work`\n", ""));
    assert_eq!(Call::get(&host.url("/work/strict/x")).send().await.status, 200);
    let gone = Call::get(&host.url("/corp/strict/x")).send().await;
    assert_eq!((gone.status.as_u16(), gone.header("ccproxy-error")), (404, "no_such_route"));
    let now = status(&home, "work").await;
    assert_eq!((&now["state"], &now["account"]["subject"]), (&"ok".into(), &"alice".into()));
    assert!(!home.credential("corp").exists() && home.credential("work").exists());
    home.ccproxy(&["auth", "refresh", "work"]).await.expect_success();
    assert_eq!(Call::get(&host.url("/work/strict/x")).send().await.status, 200);
    host.stop().await.expect_success();
}

#[tokio::test]
async fn without_a_host_and_into_another_organisation_it_moves_as_well() {
    let (_sandbox, home) = logged_in().await;
    let told = home.ccproxy(&["auth", "rename", "corp", "acme/corp", "--json"]).await.expect_success();
    let document = told.json();
    assert_eq!(
        (&document["schema"], &document["to"]),
        (&"ccproxy.auth-rename/1".into(), &"acme/corp".into())
    );
    let listed = home.ccproxy(&["auth", "status", "acme/corp"]).await.expect_success();
    assert!(listed.stdout.contains("alice"), "{listed}");
    home.ccproxy(&["auth", "status", "corp"]).await.expect_code(3);
    home.ccproxy(&["auth", "refresh", "acme/corp"]).await.expect_success();
}

#[tokio::test]
async fn a_name_that_is_taken_and_a_connection_of_a_file_are_refused() {
    let api = KeyedApi::new().await;
    let home = &api.home;
    let config = home.config_dir().join("config.toml");
    let stored = home.config_dir().join("connections/global");
    fs::create_dir_all(&stored).unwrap();
    home.write(
        &stored.join("mine.toml"),
        "provider = \"oidc\"\n# my own words\nissuer = \"http://127.0.0.1:9\"\n",
    );

    let told = home.ccproxy(&["auth", "rename", "mine", "api"]).await.expect_code(2);
    assert!(told.stderr.contains("there is a connection `api` already"), "{told}");
    let told = home.ccproxy(&["auth", "rename", "api", "other"]).await.expect_code(2);
    let place = format!("the connection `api` is written in {}:", config.display());
    assert!(told.stderr.contains(&place), "{told}");
    let told = home.ccproxy(&["auth", "rename", "mein", "other"]).await.expect_code(3);
    assert!(told.stderr.contains("did you mean `mine`?"), "{told}");
    let told = home.ccproxy(&["auth", "rename", "mine", "mine"]).await.expect_code(2);
    assert!(told.stderr.contains("already"), "{told}");

    // A grant that nobody's connection uses is not taken over.
    let left = home.credential("free");
    fs::create_dir_all(left.parent().unwrap()).unwrap();
    home.write(&left, r#"{"schema":"ccproxy.credential/1","provider":"oidc","plugin":"oidc 1","generation":1,"state":"ok","account":null,"credentials":[],"last_refresh":null,"payload":{}}"#);
    let told = home.ccproxy(&["auth", "rename", "mine", "free"]).await.expect_code(2);
    assert!(told.stderr.contains(&format!("remove {}", left.display())), "{told}");
    assert!(stored.join("mine.toml").exists() && !stored.join("free.toml").exists());

    // Nobody has logged in: only the settings move, as they were written.
    home.ccproxy(&["auth", "rename", "mine", "yours"]).await.expect_success();
    assert!(fs::read_to_string(stored.join("yours.toml")).unwrap().contains("# my own words"));
    assert!(!stored.join("mine.toml").exists());
}

#[tokio::test]
async fn routes_that_name_the_old_one_are_changed_first_so_that_no_reload_is_refused() {
    let (_sandbox, home) = logged_in().await;
    let upstream = "upstream = \"http://127.0.0.1:9\"\n";
    home.write_config(&format!("[routes.mail]\nconnection = \"corp\"\n{upstream}"));
    let host = home.serve().await;
    let told = home.ccproxy(&["auth", "rename", "corp", "work"]).await.expect_code(2);
    assert!(told.stderr.starts_with("error: routes are written for the connection `corp`: mail\n"), "{told}");
    let place = home.config_dir().join("config.toml");
    assert!(
        told.stderr.contains(&format!("write `connection = \"work\"` at {}:", place.display())),
        "{told}"
    );
    assert_eq!(status(&home, "corp").await["state"], "ok", "nothing has changed");
    home.ccproxy(&["reload"]).await.expect_success();

    // As the hint says. In between the host keeps what it has.
    home.write_config(&format!("[routes.mail]\nconnection = \"work\"\n{upstream}"));
    home.ccproxy(&["reload"]).await.expect_code(2);
    assert_eq!(Call::get(&host.url("/corp/strict/x")).send().await.status, 200);
    home.ccproxy(&["auth", "rename", "corp", "work"]).await.expect_success();
    home.ccproxy(&["reload"]).await.expect_success();
    assert_eq!(Call::get(&host.url("/work/strict/x")).send().await.status, 200);
}

#[tokio::test]
async fn a_directory_that_takes_no_file_leaves_everything_as_it_was() {
    let (_sandbox, home) = logged_in().await;
    // The new organisation's directory of grants is in the way as a file.
    home.write(&home.state_dir().join("credentials/acme"), "");
    let told = home.ccproxy(&["auth", "rename", "corp", "acme/corp"]).await;
    assert_ne!(told.code(), 0, "{told}");
    assert_eq!(status(&home, "corp").await["state"], "ok");
    assert!(!home.config_dir().join("connections/acme/corp.toml").exists());
}
