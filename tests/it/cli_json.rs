//! What scripts rely on: the documents under `--json` member by member, and the exit code beside each.

use ccproxy_tests::corp::Corp;
use ccproxy_tests::home::Home;
use ccproxy_tests::keyed::KeyedApi;
use ccproxy_tests::octo::{DeviceLogin, Octo};
use ccproxy_tests::sandbox::Settings;
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

/// The names of an object's members, in alphabetical order.
#[track_caller]
pub(crate) fn members(value: &Value) -> Vec<&str> {
    let object = value.as_object().unwrap_or_else(|| panic!("not an object: {value}"));
    let mut names: Vec<&str> = object.keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// `2026-11-21T09:05:07Z`, with a fraction or without.
pub(crate) fn is_utc(value: &Value) -> bool {
    let Some(text) = value.as_str() else { return false };
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let (seconds, rest) = shape.split_at_checked(19).unwrap_or_default();
    let fraction = rest.strip_suffix('Z').unwrap_or("?");
    seconds == "0000-00-00T00:00:00" && fraction.trim_start_matches('.').bytes().all(|digit| digit == b'0')
}

pub(crate) async fn document(home: &Home, line: &[&str]) -> Value {
    let told = home.ccproxy(&[line, &["--json"]].concat()).await.expect_success();
    assert_eq!(told.stderr, "", "{line:?}");
    assert_eq!(told.stdout.lines().count(), 1, "one document, one line: {told}");
    told.json()
}

#[tokio::test]
async fn auth_list() {
    let api = KeyedApi::new().await;
    let told = document(&api.home, &["auth", "list"]).await;
    assert_eq!(
        (members(&told), &told["schema"]),
        (vec!["connections", "schema"], &json!("ccproxy.auth-list/1"))
    );
    let [one] = &told["connections"].as_array().unwrap()[..] else { panic!("{told}") };
    assert_eq!(members(one), ["account", "name", "org", "provider", "state", "storage"]);
}

#[tokio::test]
async fn the_steps_of_a_login() {
    let octo = Octo::new("gh-oauth-app", "").await;
    let mut login = octo.home.spawn_ccproxy(&["auth", "login", "github", "--device", "--json"]);
    let code = login.json_line().await;
    assert_eq!(
        members(&code),
        ["expires_at", "schema", "step", "user_code", "verification_uri", "verification_uri_complete"]
    );
    assert_eq!((&code["schema"], &code["step"]), (&json!("ccproxy.login/1"), &json!("user_code")));
    assert!(is_utc(&code["expires_at"]), "{code}");
    assert!(octo.sandbox.approve_device(code["user_code"].as_str().unwrap(), "octo"));
    let done = login.json_line().await;
    assert_eq!(done, json!({ "schema": "ccproxy.login/1", "step": "done", "connection": "github" }));
    assert_eq!(login.finish().await.expect_success().stderr, "");

    let again = octo.home.ccproxy(&["auth", "login", "github", "--json"]).await.expect_success().json();
    assert_eq!((&again["step"], &again["unchanged"]), (&json!("done"), &json!(true)));

    let corp = Corp::new(Settings::default()).await;
    let mut login = corp.home.spawn_ccproxy(&["auth", "login", "corp", "--web", "--no-browser", "--json"]);
    let open = login.json_line().await;
    assert_eq!(members(&open), ["schema", "step", "url"]);
    assert_eq!((&open["schema"], &open["step"]), (&json!("ccproxy.login/1"), &json!("open_url")));
}

#[tokio::test]
async fn a_login_that_is_denied_or_not_finished_has_its_exit_code() {
    let octo = Octo::new("gh-oauth-app", "").await;
    let denied = DeviceLogin::start(&octo.home, &["github"]).await;
    assert!(octo.sandbox.deny_device(&denied.user_code));
    denied.finish().await.expect_code(4);
    let waits = DeviceLogin::start(&octo.home, &["github", "--timeout", "2s"]).await;
    let told = waits.finish().await.expect_code(75);
    assert_eq!(members(&told.json_error()), ["code", "hint", "message", "schema"]);
}

#[tokio::test]
async fn what_is_done_to_a_grant() {
    let corp = Corp::new(Settings::default()).await;
    corp.login().await;
    let told = document(&corp.home, &["auth", "refresh", "corp"]).await;
    assert_eq!(members(&told), ["connection", "expires_at", "schema"]);
    assert!(told["schema"] == "ccproxy.auth-refresh/1" && is_utc(&told["expires_at"]), "{told}");
    let told = document(&corp.home, &["auth", "test", "corp"]).await;
    assert_eq!(
        (members(&told), &told["schema"]),
        (vec!["account", "connection", "schema"], &json!("ccproxy.auth-test/1"))
    );
    assert_eq!(members(&told["account"]), ["display_name", "host", "subject"]);
    let told = document(&corp.home, &["auth", "token", "corp"]).await;
    assert_eq!(members(&told), ["connection", "expires_at", "schema", "token"]);
    assert!(told["token"].as_str().unwrap().starts_with("sbxat_"), "{told}");
    let told = document(&corp.home, &["auth", "logout", "corp"]).await;
    assert_eq!(
        (members(&told), &told["schema"]),
        (vec!["connections", "schema"], &json!("ccproxy.auth-logout/1"))
    );
    assert_eq!(members(&told["connections"][0]), ["message", "name", "org", "revoked"]);
    assert!(!corp.home.credential("corp").exists());
}

#[tokio::test]
async fn the_running_host_and_its_routes() {
    let api = KeyedApi::new().await;
    let mut program = api.home.spawn_ccproxy(&["serve", "--listen", "127.0.0.1:0", "--json"]);
    let serves = program.json_line().await;
    assert_eq!(members(&serves), ["admin", "admin_listen", "listen", "pid", "route_listeners", "schema"]);
    assert_eq!((&serves["schema"], &serves["pid"]), (&json!("ccproxy.serve/1"), &json!(program.pid())));
    assert_eq!(serves["admin"], json!(api.home.admin_socket().to_str().unwrap()));
    let url = serves["listen"][0].as_str().unwrap().to_owned();
    assert!(url.starts_with("http://127.0.0.1:"), "{serves}");
    let said = program.stderr_so_far();
    let lines: Vec<&str> = said.lines().filter(|line| !line.starts_with('{')).collect();
    assert_eq!(lines, [&format!("listening on {url}"), "ready"], "beside the log");

    let routes = document(&api.home, &["routes"]).await;
    assert_eq!((members(&routes), &routes["schema"]), (vec!["routes", "schema"], &json!("ccproxy.routes/1")));
    let route = &routes["routes"][0];
    assert_eq!(members(route), ["connection", "listen", "name", "path", "provider", "upstream"]);
    assert_eq!(
        *route,
        json!({
            "name": "api", "path": "/api/", "listen": null, "connection": "api", "provider": "api-key",
            "upstream": api.sandbox.upstream(),
        })
    );
    program.stop().await.expect_success();
    assert_eq!(document(&api.home, &["routes"]).await, routes, "the same without a host");
}

#[tokio::test]
async fn the_variables_of_a_tool() {
    let vendor = KeyedApi::vendor("openai", "openai").await;
    let host = vendor.home.serve().await;
    let told = document(&vendor.home, &["env", "openai"]).await;
    let expected = json!({
        "schema": "ccproxy.env/1",
        "variables": { "OPENAI_BASE_URL": host.url("/openai/v1"), "OPENAI_API_KEY": "ccproxy-local" },
    });
    assert_eq!(told, expected);
    for (shell, line) in [
        ("bash", "export OPENAI_API_KEY='ccproxy-local'"),
        ("fish", "set -gx OPENAI_API_KEY 'ccproxy-local'"),
        ("pwsh", "$env:OPENAI_API_KEY = 'ccproxy-local'"),
        ("dotenv", "OPENAI_API_KEY=\"ccproxy-local\""),
    ] {
        let told = vendor.home.ccproxy(&["env", "openai", "--shell", shell]).await.expect_success();
        assert!(told.stdout.lines().any(|printed| printed == line), "{shell}: {told}");
    }
    let api = KeyedApi::new().await;
    let told = api.home.ccproxy(&["env", "api", "--json"]).await.expect_code(3);
    assert_eq!(told.json_error()["code"], json!("not_found"), "no variable points a tool at it");
}

const PLUGIN: [&str; 23] = [
    "abi",
    "broken_since",
    "commands",
    "description",
    "events",
    "events_dropped",
    "flows",
    "hint",
    "hosts",
    "id",
    "name",
    "path",
    "paths",
    "pinned_at",
    "presets",
    "reason",
    "rustc",
    "sha256",
    "state",
    "target",
    "tried_again_at",
    "trust",
    "version",
];

#[tokio::test]
async fn the_plugins() {
    let home = Home::new();
    let told = document(&home, &["plugin", "list"]).await;
    let shape = vec!["images", "plugins", "schema"];
    assert_eq!((members(&told), &told["schema"]), (shape, &json!("ccproxy.plugins/1")));
    assert_eq!(told["images"], json!({ "mapped": 0, "limit": 128, "alarm": false }));
    let plugins = told["plugins"].as_array().unwrap();
    for id in ["api-key", "azure", "github", "google", "oidc"] {
        let plugin = plugins.iter().find(|plugin| plugin["id"] == json!(id)).unwrap();
        assert_eq!(members(plugin), PLUGIN, "{id}");
        assert_eq!(plugin["reason"], Value::Null, "{plugin}");
    }
    let told = document(&home, &["plugin", "info", "github"]).await;
    assert_eq!((members(&told), &told["schema"]), (vec!["plugin", "schema"], &json!("ccproxy.plugin/1")));
    let plugin = &told["plugin"];
    assert!(PLUGIN.iter().all(|member| members(plugin).contains(member)), "{plugin}");
    for setting in ["client_id", "client_secret", "host", "web_url", "api_url", "inject"] {
        assert!(plugin["settings_schema"]["properties"][setting].is_object(), "{setting}");
    }
}

#[tokio::test]
async fn the_configuration() {
    let home = Home::with_config("[server]\nworkers = 2\n");
    let told = document(&home, &["config", "check"]).await;
    assert_eq!(told, json!({ "schema": "ccproxy.config-check/1", "ok": true, "unchecked": [] }));
    for line in [&["config", "show"][..], &["config", "show", "--origin"]] {
        let told = document(&home, line).await;
        assert_eq!((members(&told), &told["schema"]), (vec!["schema", "values"], &json!("ccproxy.config/1")));
        let values = told["values"].as_array().unwrap();
        assert!(values.iter().all(|value| members(value) == ["key", "origin", "value"]), "{told}");
        let workers = values.iter().find(|value| value["key"] == "server.workers").unwrap();
        assert_eq!(workers["value"], json!(2));
        assert!(workers["origin"].as_str().unwrap().ends_with("config.toml:2:1"), "{workers}");
        let access = values.iter().find(|value| value["key"] == "server.access").unwrap();
        assert_eq!((&access["value"], &access["origin"]), (&json!("same-user"), &json!("built in")));
    }
}

#[tokio::test]
async fn the_version_and_an_error() {
    let home = Home::new();
    let told = document(&home, &["version"]).await;
    assert_eq!(members(&told), ["plugin_abi", "schema", "target", "version"]);
    assert_eq!(
        (&told["schema"], &told["version"]),
        (&json!("ccproxy.version/1"), &json!(env!("CARGO_PKG_VERSION")))
    );

    for line in [&["auth", "status", "nope", "--json"][..], &["nope", "--json"], &["--json", "auth", "login"]]
    {
        let told = home.ccproxy(line).await;
        assert_eq!(told.stdout, "", "{line:?}");
        let error = told.json_error();
        assert_eq!(members(&error), ["code", "hint", "message", "schema"], "{line:?}");
        assert_eq!(error["schema"], json!("ccproxy.error/1"));
    }
}
