use std::time::Duration;

use pretty_assertions::assert_eq;

use super::*;
use crate::credential::{Ahead, Policy};
use crate::model::Target;

#[test]
fn without_any_file_the_defaults_hold() {
    let resolved = Home::new().load().resolved;
    let listen: Vec<String> = resolved.server.listen.iter().map(ToString::to_string).collect();
    assert_eq!(listen, ["127.0.0.1:8462", "[::1]:8462"]);
    assert_eq!(resolved.server.access, Access::SameUser);
    assert_eq!(resolved.server.drain_timeout, Duration::from_secs(30));
    assert_eq!(resolved.admin.listen, None);
    assert_eq!(resolved.upstream.outbound_proxy, OutboundProxy::Env);
    assert_eq!(resolved.plugins.trust, Trust::Tofu);
    assert_eq!(resolved.storage.backend, Backend::Auto);
    assert_eq!(resolved.refresh, Policy::default());
    assert_eq!(resolved.logging.level, LogLevel::Info);
    assert_eq!((resolved.connections.len(), resolved.routes.len()), (0, 0));
}

/// Each layer beats the ones before it; `workers` says who spoke last.
#[test]
fn precedence_is_as_the_interface_has_it() {
    let mut home = Home::new();
    assert_eq!(home.shown("server.workers"), "0 (built in)");
    home = home.file("etc/config.toml", "[server]\nworkers = 1\n");
    assert_eq!(home.shown("server.workers"), "1 (etc/config.toml:2:1)");
    home = home.file("config/config.toml", "[server]\n\nworkers = 2\n");
    assert_eq!(home.shown("server.workers"), "2 (config/config.toml:3:1)");
    home = home.file("config/conf.d/20.toml", "server.workers = 4\n");
    home = home.file("config/conf.d/10.toml", "server.workers = 3\n");
    assert_eq!(home.shown("server.workers"), "4 (config/conf.d/20.toml:1:8)");
    home = home.var("CCPROXY_SERVER__WORKERS", "5");
    assert_eq!(home.shown("server.workers"), "5 (environment CCPROXY_SERVER__WORKERS)");
    home = home.set("server.workers=6");
    assert_eq!(home.shown("server.workers"), "6 (flag --set server.workers)");
    home = home.set("server.workers=7");
    assert_eq!(home.shown("server.workers"), "7 (flag --set server.workers)");
}

#[test]
fn a_stored_connection_lies_between_the_machine_and_the_user() {
    let key = "connections.github.client_id";
    let home = Home::new()
        .file("etc/config.toml", "[connections.github]\nprovider = \"github\"\nclient_id = \"etc\"\n")
        .file("config/connections/global/github.toml", "provider = \"github\"\nclient_id = \"stored\"\n");
    assert_eq!(home.shown(key), "\"stored\" (config/connections/global/github.toml:2:1)");
    let home = home.file("config/config.toml", "[connections.github]\nclient_id = \"user\"\n");
    assert_eq!(home.shown(key), "\"user\" (config/config.toml:2:1)");
    let connection = &home.load().resolved.connections[&id("github")];
    assert!(connection.shadowed_store && !connection.stored);
}

#[test]
fn a_connection_that_only_the_store_has_is_stored() {
    let home = Home::new()
        .file("config/connections/acme/github.toml", "provider = \"github\"\nhost = \"git.acme.example\"\n")
        .file("config/connections/acme/.1f.tmp", "half")
        .file("config/connections/README", "not a connection");
    let config = home.load();
    let connection = &config.resolved.connections[&id("acme/github")];
    assert!(connection.stored && !connection.shadowed_store);
    assert_eq!(
        serde_json::Value::from(connection.settings.clone()).to_string(),
        r#"{"host":"git.acme.example"}"#
    );
    assert_eq!(home.cut(&connection.origin.to_string()), "config/connections/acme/github.toml:1:1");
}

#[test]
fn another_provider_takes_none_of_the_old_settings() {
    let home = Home::with("[connections.x]\nprovider = \"oidc\"\nissuer = \"https://id.example\"\n")
        .file("config/connections/global/x.toml", "provider = \"github\"\nhost = \"git.example\"\n");
    let settings = home.load().resolved.connections[&id("x")].settings.clone();
    assert_eq!(settings.keys().collect::<Vec<_>>(), ["issuer"]);
}

#[test]
fn a_secret_reference_is_replaced_whole() {
    let home = Home::with("[connections.x]\nclient_secret = { env = \"SECRET\" }\n")
        .file("config/connections/global/x.toml", "provider = \"oidc\"\nclient_secret = { file = \"/s\" }\n");
    assert_eq!(home.shown("connections.x.client_secret"), r#"{"env":"SECRET"} (config/config.toml:2:1)"#);
}

#[test]
fn a_generation_changes_with_the_settings_alone() {
    let generation = |text: &str| Home::with(text).load().resolved.connections[&id("x")].generation;
    let first = generation("[connections.x]\nprovider = \"oidc\"\nclient_id = \"a\"\n");
    assert_eq!(first, generation("# moved\n[connections.x]\nclient_id = \"a\"\nprovider = \"oidc\"\n"));
    assert_ne!(first, generation("[connections.x]\nprovider = \"oidc\"\nclient_id = \"b\"\n"));
    assert_ne!(first, generation("[connections.x]\nprovider = \"oauth\"\nclient_id = \"a\"\n"));
}

#[test]
fn the_environment_is_typed_by_the_schema() {
    let resolved = Home::with("[connections.azure-prod]\nprovider = \"azure\"\n[connections.\"acme/git-hub\"]\nprovider = \"github\"\n")
        .var("CCPROXY_SERVER__LISTEN", "127.0.0.1:0, [::1]:0")
        .var("CCPROXY_SERVER__ALLOWED_HOSTS", "[\"a.example\", \"b.example\"]")
        .var("CCPROXY_SERVER__HTTP2", "true")
        .var("CCPROXY_REFRESH__AHEAD", "4h")
        .var("CCPROXY_CONNECTIONS__AZURE_PROD__CLIENT_ID", "1111")
        .var("CCPROXY_CONNECTIONS__AZURE_PROD__SCOPES", "openid,profile")
        .var("CCPROXY_CONNECTIONS__AZURE_PROD__TENANT", "contoso")
        .var("CCPROXY_CONNECTIONS__ACME_GIT_HUB__HOST", "git.acme.example")
        .var("CCPROXY_ROUTES__MY_API__CONNECTION", "azure-prod")
        .var("CCPROXY_CONFIG_DIR", "not configuration")
        .var("CCPROXY_TOKEN__GITHUB", "not configuration either")
        .load()
        .resolved;
    assert_eq!(resolved.server.listen.len(), 2);
    assert_eq!(resolved.server.allowed_hosts, ["a.example", "b.example"]);
    assert!(resolved.server.http2);
    assert_eq!(resolved.refresh.ahead, Ahead::Fixed(Duration::from_secs(4 * 3600)));
    let azure = serde_json::Value::from(resolved.connections[&id("azure-prod")].settings.clone());
    assert_eq!(azure.to_string(), r#"{"client_id":"1111","scopes":["openid","profile"],"tenant":"contoso"}"#);
    assert_eq!(resolved.connections[&id("acme/git-hub")].settings["host"], "git.acme.example");
    assert_eq!(resolved.routes.keys().map(ToString::to_string).collect::<Vec<_>>(), ["my-api"]);
}

#[test]
fn flags_reach_quoted_names_and_whole_tables() {
    let home = Home::with("[connections.\"acme/github\"]\nprovider = \"github\"\n")
        .set("connections.\"acme/github\".host=git.example")
        .set("routes.r={ connection = \"acme/github\", methods = [\"GET\"] }");
    let resolved = home.load().resolved;
    assert_eq!(resolved.connections[&id("acme/github")].settings["host"], "git.example");
    assert_eq!(resolved.routes[&"r".parse().unwrap()].methods, [http::Method::GET]);
}

#[test]
fn listen_on_the_command_line_replaces_the_list() {
    let mut home = Home::with("[server]\nlisten = [\"127.0.0.1:1\", \"127.0.0.1:2\"]\n")
        .set("server.listen=127.0.0.1:3");
    home.listen = vec!["127.0.0.1:4".into()];
    assert_eq!(home.shown("server.listen"), "[\"127.0.0.1:4\"] (flag --listen)");
}

#[test]
fn the_alias_for_the_log_level_is_the_weaker_spelling() {
    let home = Home::new().var("LOGGING__LEVEL", "DEBUG");
    assert_eq!(home.shown("logging.level"), "\"debug\" (environment LOGGING__LEVEL)");
    let home = home.var("CCPROXY_LOGGING__LEVEL", "warn");
    assert_eq!(home.shown("logging.level"), "\"warn\" (environment CCPROXY_LOGGING__LEVEL)");
}

#[test]
fn config_names_the_file_instead_of_the_users() {
    let mut home = Home::with("[server]\nworkers = 2\n").file("other.toml", "[server]\nworkers = 9\n");
    home.config_flag = Some(home.path("other.toml"));
    assert_eq!(home.shown("server.workers"), "9 (other.toml:2:1)");
    home.config_flag = Some(home.path("none.toml"));
    assert!(home.mistakes().starts_with("error: there is no file none.toml\n"), "{}", home.mistakes());
}

#[test]
fn a_route_has_a_target_and_defaults() {
    let home = Home::with(
        r#"
[connections.azure-prod]
provider = "azure"
upstream = "https://graph.example/v1.0"
timeout = "5s"

[routes.graph]
path = "ms-graph"
upstream = "https://graph.example/v2.0"
connection = "azure-prod"
scopes = ["https://graph.example/.default"]
inject = "bearer"
cookies = "pass"
"#,
    );
    let resolved = home.load().resolved;
    let route = &resolved.routes[&"graph".parse().unwrap()];
    assert_eq!(route.path, "ms-graph");
    assert_eq!(route.upstream.as_ref().unwrap().as_str(), "https://graph.example/v2.0");
    assert_eq!(route.connection, id("azure-prod"));
    let target = Target {
        scopes: vec!["https://graph.example/.default".into()],
        inject: Some("bearer".into()),
        ..Target::default()
    };
    assert_eq!(route.target, target);
    assert_eq!((route.timeout, route.cookies), (Duration::from_secs(60), Cookies::Pass));
    assert_eq!(route.rewrite, ["location", "link"]);
    let connection = &resolved.connections[&id("azure-prod")];
    assert_eq!(connection.timeout, Some(Duration::from_secs(5)));
    assert_eq!(connection.upstream.as_ref().unwrap().as_str(), "https://graph.example/v1.0");
    assert_eq!(home.shown("routes.graph.timeout"), "\"60s\" (built in)");
}

#[test]
fn relative_paths_hang_below_the_file_that_says_them() {
    let home = Home::with(
        r#"
[upstream]
extra_ca = "ca.pem"
[plugins]
dirs = ["mine", "~/plugins", "/opt/plugins"]
[connections.x]
provider = "api-key"
key = { file = "key.txt" }
extra_ca = "x.pem"
"#,
    );
    let resolved = home.load().resolved;
    assert_eq!(resolved.upstream.extra_ca, Some(home.path("config/ca.pem")));
    assert_eq!(
        resolved.plugins.dirs,
        [home.path("config/mine"), home.path("plugins"), "/opt/plugins".into()]
    );
    let connection = &resolved.connections[&id("x")];
    assert_eq!(connection.extra_ca, Some(home.path("config/x.pem")));
    assert_eq!(connection.settings["key"]["file"], home.path("config/key.txt").to_str().unwrap());
}

#[test]
fn plugins_are_looked_for_in_the_order_of_the_interface() {
    let home = Home::with("[plugins]\ndirs = [\"/conf\"]\n").var("CCPROXY_PLUGIN_DIR", "/env1:/env2");
    let sources = Sources { plugin_dirs: vec!["/flag".into()], ..home.sources() };
    let dirs = Config::load(&sources).unwrap_or_else(|error| panic!("{error}")).plugin_dirs();
    let dirs: Vec<String> = dirs.iter().map(|dir| home.cut(&dir.display().to_string())).collect();
    let expected = ["/flag", "/env1", "/env2", "/conf", "data/plugins"];
    assert_eq!(dirs, expected);
}

#[test]
fn token_overrides_name_their_connections() {
    let config = Home::new()
        .var("CCPROXY_TOKEN__GITHUB_WORK", "t1")
        .var("CCPROXY_TOKEN__ACME__GITHUB", "t2")
        .var("CCPROXY_TOKEN__EMPTY", "")
        .load();
    let tokens: Vec<(String, &[u8])> =
        config.token_overrides().iter().map(|(id, token)| (id.to_string(), token.expose())).collect();
    assert_eq!(tokens, [("acme/github".to_owned(), &b"t2"[..]), ("github-work".to_owned(), &b"t1"[..])]);
}

#[test]
fn show_prints_keys_values_and_origins() {
    let home = Home::with("[connections.\"acme/x\"]\nprovider = \"oidc\"\nclient_secret = { env = \"S\" }\n");
    let shown = home.cut(&home.load().show(true, &Schemas::new()));
    assert!(shown.contains("server.workers = 0  # built in\n"), "{shown}");
    let line = "connections.\"acme/x\".client_secret = { env = \"S\" }  # config/config.toml:3:1\n";
    assert!(shown.contains(line), "{shown}");
    let json = home.load().show_json(&Schemas::new());
    assert_eq!(json["schema"], "ccproxy.config/1");
    let first = &json["values"][0];
    assert_eq!(
        (&first["key"], &first["value"], &first["origin"]),
        (&"admin.credentials".into(), &false.into(), &"built in".into())
    );
}

/// `auth status` of 100 connections answers in 100 ms; this is its first step, and the bound is wide because
/// the machine that runs the tests is busy.
#[test]
fn a_hundred_connections_load_quickly() {
    let mut home = Home::new();
    for number in 0..100 {
        let path = format!("config/connections/global/c{number}.toml");
        home = home.file(&path, "provider = \"oidc\"\nissuer = \"https://id.example\"\nclient_id = \"cli\"\nscopes = [\"openid\"]\n");
    }
    let started = std::time::Instant::now();
    assert_eq!(home.load().resolved.connections.len(), 100);
    assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
}
