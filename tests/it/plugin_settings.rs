//! Settings of plugins are read like everything else: a mistake in one is found where it was written, by
//! whatever needs the plugin.

use std::fs;

use ccproxy_tests::home::Home;
use ccproxy_tests::http_client::Call;
use ccproxy_tests::program;
use pretty_assertions::assert_eq;
use serde_json::json;

const MISSPELT: &str = "[connections.corp]\nprovider = \"oidc\"\nisuer = \"https://id.example.com\"\n";

#[tokio::test]
async fn a_misspelt_setting_of_a_plugin_ends_a_login_and_a_host() {
    let home = Home::with_config(MISSPELT);
    for command in
        [&["config", "check"][..], &["auth", "login", "corp"], &["serve", "--listen", "127.0.0.1:0"]]
    {
        let told = home.ccproxy(command).await.expect_code(2);
        let place = format!("{}:3:1", home.config_dir().join("config.toml").display());
        for word in ["unknown key `isuer`", "did you mean `issuer`?", &place] {
            assert!(told.stderr.contains(word), "{word:?} of {command:?}: {told}");
        }
    }
}

#[tokio::test]
async fn settings_of_a_plugin_that_is_missing_wait_for_it() {
    let home = Home::with_config(&MISSPELT.replace("oidc", "not-here"));
    home.ccproxy(&["config", "check"]).await.expect_success();
    let host = home.serve().await;
    let answer = Call::get(&host.url("/corp/")).send().await;
    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (503, &json!("plugin_missing")));
    host.stop().await.expect_success();
}

#[tokio::test]
async fn a_host_that_finds_no_plugin_lists_where_it_looked() {
    let mut home = Home::new();
    let alone = home.user_dir().join("ccproxy");
    fs::copy(program::ccproxy(), &alone).unwrap();
    let empty = home.user_dir().join("empty");
    fs::create_dir(&empty).unwrap();
    home.set_env("CCPROXY_PLUGIN_DIR", &empty.display().to_string());
    let mut host = program::Program::spawn({
        let mut command = home.command(&alone);
        command.args(["serve", "--listen", "127.0.0.1:0"]);
        command
    });
    host.stderr_line(|line| line == "ready").await;
    let told = host.stop().await.expect_success();
    let said = told.stderr.lines().find(|line| line.contains("no plugin found")).unwrap_or_default();
    for directory in [&empty, &home.data_dir().join("plugins"), &home.user_dir()] {
        assert!(said.contains(&directory.display().to_string()), "{}: {told}", directory.display());
    }
}
