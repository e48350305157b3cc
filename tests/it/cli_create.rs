//! A connection is made under a name of one's own, whatever the command is called.

use ccproxy_tests::keyed::{KEY, KeyedApi};
use pretty_assertions::assert_eq;

#[tokio::test]
async fn every_spelling_of_a_login_makes_the_same_connection() {
    let mut api = KeyedApi::new().await;
    api.home.set_env("API_KEY", KEY);
    let upstream = format!("upstream={}", api.sandbox.upstream());
    let settings = [
        "--preset",
        "generic",
        "--set",
        &upstream,
        "--set",
        "probe=GET /echo",
        "--set",
        r#"key={"env":"API_KEY"}"#,
    ];
    for (name, words) in [
        ("one", &["auth", "create", "one", "--provider", "api-key"][..]),
        ("two", &["auth", "login", "api-key", "--connection", "two"]),
        ("three", &["login", "api-key", "--connection", "three"]),
        ("four", &["auth", "add", "api-key", "--connection", "four"]),
    ] {
        let made = api.home.ccproxy(&[words, &settings].concat()).await.expect_success();
        assert!(made.stderr.contains(&format!("Saved as `{name}`")), "{made}");
    }
    let file = |name: &str| {
        let path = api.home.config_dir().join(format!("connections/global/{name}.toml"));
        std::fs::read_to_string(path).unwrap()
    };
    for name in ["two", "three", "four"] {
        assert_eq!(file(name), file("one"));
    }
}

#[tokio::test]
async fn a_provider_that_is_missing_or_misspelt_is_told() {
    let home = ccproxy_tests::home::Home::new();
    let told = home.ccproxy(&["auth", "create", "work"]).await.expect_code(2);
    assert!(told.stderr.contains("--provider <PROVIDER>"), "{told}");
    let told = home.ccproxy(&["auth", "create", "work", "--provider", "githb"]).await.expect_code(3);
    assert!(told.stderr.contains("did you mean `github`?"), "{told}");
    let told =
        home.ccproxy(&["auth", "create", "work", "--provider", "oidc", "--isuer", "x"]).await.expect_code(2);
    assert!(told.stderr.contains("did you mean `--issuer`?"), "{told}");
    let help =
        home.ccproxy(&["auth", "create", "work", "--provider", "oidc", "--help"]).await.expect_success();
    assert!(help.stdout.contains("Settings of oidc") && help.stdout.contains("--issuer"), "{help}");
}
