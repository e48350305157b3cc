//! Connections without a terminal: a script makes, changes and removes them at the running host.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use ccproxy_tests::api::Script;
use ccproxy_tests::corp::Corp;
use ccproxy_tests::http_client::Call;
use ccproxy_tests::keyed::{KEY, KeyedApi};
use ccproxy_tests::login::status;
use ccproxy_tests::sandbox::Settings;
use http::Method;
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

/// What a connection to the API behind the proxy is made of.
fn keyed(api: &KeyedApi, name: &str) -> Value {
    json!({
        "name": name,
        "provider": "api-key",
        "settings": {
            "preset": "generic",
            "upstream": api.sandbox.upstream(),
            "key": { "file": api.home.config_dir().join("key") },
        },
    })
}

#[tokio::test]
async fn a_connection_is_made_changed_and_removed_and_served_at_once() {
    let api = KeyedApi::new().await;
    let host = api.home.serve().await;
    let mut script = Script::at(&api.home).await;
    let made = script.send(Method::POST, "/api/v1/connections", &keyed(&api, "two")).await;
    assert_eq!((made.status.as_u16(), made.header("location")), (201, "/api/v1/connections/global/two"));
    assert_eq!(made.json(), script.get(made.header("location")).await.json());
    assert_eq!(Call::get(&host.url("/two/echo")).send().await.status, 200);
    api.assert_only_our_key("authorization");

    // The same file as the command line writes.
    let file = api.home.config_dir().join("connections/global/two.toml");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let by_api = fs::read_to_string(&file).unwrap();
    let key = format!(r#"key={{"file":"{}"}}"#, api.home.config_dir().join("key").display());
    let upstream = format!("upstream={}", api.sandbox.upstream());
    let settings = ["--preset", "generic", "--set", &upstream, "--set", &key, "--set", "probe=GET /echo"];
    let create = [&["auth", "create", "three", "--provider", "api-key"][..], &settings].concat();
    api.home.ccproxy(&create).await.expect_success();
    let by_command = fs::read_to_string(file.with_file_name("three.toml")).unwrap();
    assert_eq!(by_command.replace("probe = \"GET /echo\"\n", ""), by_api);

    let mut other = keyed(&api, "two")["settings"].take();
    other["header"] = "x-other-key".into();
    other["format"] = "{key}".into();
    let changed =
        script.send(Method::PUT, "/api/v1/connections/global/two", &json!({ "settings": other })).await;
    assert_eq!(
        (changed.status.as_u16(), &changed.json()["settings"]["header"]),
        (200, &json!("x-other-key"))
    );
    let seen = Call::get(&host.url("/two/echo")).send().await.json();
    assert_eq!(seen["headers"]["x-other-key"].as_str().map(str::len), Some(KEY.len()), "{seen}");

    let gone = script.send(Method::DELETE, "/api/v1/connections/global/two", &Value::Null).await;
    assert_eq!((gone.status.as_u16(), &gone.json()["connection"]), (200, &json!("two")));
    assert_eq!(Call::get(&host.url("/two/echo")).send().await.header("ccproxy-error"), "no_such_route");
    assert!(!file.exists());
    assert_eq!(script.get("/api/v1/connections/global/two").await.status, 404);
}

#[tokio::test]
async fn what_is_wrong_with_it_is_told_by_its_key_and_nothing_is_written() {
    let api = KeyedApi::new().await;
    let _host = api.home.serve().await;
    let mut script = Script::at(&api.home).await;
    let with = |key: &str, value: Value| {
        let mut body = keyed(&api, "two");
        body["settings"][key] = value;
        body
    };
    let mut misspelt = keyed(&api, "two");
    misspelt["provider"] = "api-kee".into();
    for (body, status, title, hint) in [
        (with("heeder", json!("x")), 400, "unknown key `heeder`", "did you mean `header`?"),
        (with("key", json!("sk-canary")), 400, "is a secret", "{ env ="),
        (with("upstream", json!("http://api.example")), 400, "in the clear", "https"),
        (with("extra_ca", json!("/nowhere.pem")), 400, "/nowhere.pem", ""),
        (with("provider", json!("oidc")), 400, "`provider` is no setting", ""),
        (misspelt, 409, "api-kee", "did you mean `api-key`?"),
        (json!({ "name": "No", "provider": "oidc" }), 400, "`No` is not a name", ""),
        (
            keyed(&api, "api"),
            409,
            "there is a connection `api` already",
            "PUT /api/v1/connections/global/api",
        ),
    ] {
        let (answered, problem) = script.post("/api/v1/connections", body).await;
        let text = problem.to_string();
        assert_eq!((answered, &problem["status"]), (status, &json!(status)), "{text}");
        assert!(problem["title"].as_str().unwrap().contains(title), "{title}: {text}");
        assert!(problem["hint"].as_str().unwrap_or_default().contains(hint), "{hint}: {text}");
        assert!(!text.contains("sk-canary"), "{text}");
    }
    assert!(!api.home.config_dir().join("connections/global/two.toml").exists());
    // The host has not taken a mistake of a request for one of its configuration.
    assert_eq!(script.get("/api/v1/status").await.json()["config"]["state"], "ok");
}

#[tokio::test]
async fn what_a_file_defines_is_changed_there() {
    let api = KeyedApi::new().await;
    let _host = api.home.serve().await;
    let mut script = Script::at(&api.home).await;
    let config = api.home.config_dir().join("config.toml");
    for (method, body) in [(Method::PUT, json!({ "settings": {} })), (Method::DELETE, Value::Null)] {
        let refused = script.send(method, "/api/v1/connections/global/api", &body).await;
        let problem = refused.json();
        let title = problem["title"].as_str().unwrap();
        assert_eq!(refused.status, 409, "{problem}");
        assert!(title.contains(&format!("is written in {}:", config.display())), "{problem}");
        assert!(title.ends_with("which wins over the store"), "{problem}");
    }
    // A route of a file that names it keeps a connection of the store, too.
    script.post("/api/v1/connections", keyed(&api, "two")).await;
    api.home
        .add_config("mail.toml", "[routes.mail]\nconnection = \"two\"\nupstream = \"http://127.0.0.1:9\"\n");
    let refused = script.send(Method::DELETE, "/api/v1/connections/global/two", &Value::Null).await;
    let problem = refused.json();
    assert_eq!((refused.status.as_u16(), problem["title"].as_str().unwrap().contains("mail")), (409, true));
    assert!(problem["hint"].as_str().unwrap().contains("mail.toml:2"), "{problem}");
}

#[tokio::test]
async fn a_connection_is_logged_in_and_its_grant_goes_with_it() {
    let corp = Corp::new(Corp::rotating()).await;
    let host = corp.home.serve().await;
    let mut script = Script::at(&corp.home).await;
    let settings = json!({
        "issuer": corp.sandbox.issuer(), "client_id": "native", "upstream": corp.sandbox.upstream(),
        "scopes": ["openid", "email", "offline_access"],
    });
    let body = json!({ "org": "global", "name": "work", "provider": "oidc", "settings": settings });
    assert_eq!(script.post("/api/v1/connections", body).await.0, 201);
    assert_eq!(status(&corp.home, "work").await["state"], "not_logged_in");

    // One login is given up, another one ends well.
    let connection = "/api/v1/connections/global/work";
    let (authorize, cancel) = (format!("{connection}/authorize"), format!("{connection}/cancel"));
    assert_eq!(script.post(&cancel, json!({})).await.0, 404);
    let id = script.start_at(&authorize, json!({ "flow": "paste" })).await;
    script.until(&id, "open_url").await;
    let (ended, login) = script.post(&cancel, json!({})).await;
    assert_eq!((ended, &login["id"], &login["step"]), (200, &json!(id), &json!("cancelled")));
    let id = script.start_at(&authorize, json!({ "flow": "paste" })).await;
    let open = script.until(&id, "open_url").await;
    let redirect = corp.sandbox.approve(open["url"].as_str().unwrap(), "alice").await;
    script.post(&format!("/api/v1/logins/{id}/paste"), json!({ "text": redirect.as_str() })).await;
    script.until(&id, "done").await;
    assert_eq!(Call::get(&host.url("/work/strict/x")).send().await.status, 200);

    // What it is called does not change who is logged in.
    let mut named = settings.clone();
    named["account_claim"] = "email".into();
    let changed =
        script.send(Method::PUT, connection, &json!({ "provider": "oidc", "settings": named })).await;
    assert_eq!(changed.json()["connection"]["account"]["subject"], "alice");
    let other = json!({ "provider": "github", "settings": {} });
    assert_eq!(script.send(Method::PUT, connection, &other).await.status, 409);

    // While another login of it waits it is removed: the login does not bring it back.
    let waiting = script.start_at(&authorize, json!({ "flow": "paste", "force": true })).await;
    script.until(&waiting, "open_url").await;
    let gone = script.send(Method::DELETE, connection, &Value::Null).await.json();
    assert_eq!((&gone["logged_out"], &gone["revoked"]), (&json!(true), &json!(true)), "{gone}");
    script.until(&waiting, "cancelled").await;
    assert!(!corp.home.credential("work").exists());
    let refused = Call::get(&host.url("/work/strict/x")).send().await;
    assert_eq!(refused.header("ccproxy-error"), "no_such_route");
}

#[tokio::test]
async fn without_its_plugin_a_connection_can_still_be_removed() {
    let api = KeyedApi::new().await;
    let stored = api.home.config_dir().join("connections/global");
    fs::create_dir_all(&stored).unwrap();
    api.home.write(&stored.join("old.toml"), "provider = \"retired\"\n");
    let _host = api.home.serve().await;
    let mut script = Script::at(&api.home).await;
    let refused = script.send(Method::DELETE, "/api/v1/connections/global/old", &Value::Null).await.json();
    assert_eq!(refused["code"], "plugin_missing", "{refused}");
    let gone = script.send(Method::DELETE, "/api/v1/connections/global/old?revoke=false", &Value::Null).await;
    assert_eq!(gone.status, 200, "{}", gone.text());
    assert!(!stored.join("old.toml").exists());
}

#[tokio::test]
async fn a_token_is_handed_out_where_the_configuration_says_so() {
    let corp = Corp::new(Settings::default()).await;
    corp.login().await;
    let _host = corp.home.serve().await;
    let mut script = Script::at(&corp.home).await;
    let path = "/api/v1/connections/global/corp/credential";
    let refused = script.get(path).await;
    let problem = refused.json();
    assert_eq!((refused.status.as_u16(), refused.header("ccproxy-error")), (403, "turned_off"));
    assert!(problem["hint"].as_str().unwrap().contains("admin.credentials"), "{problem}");

    corp.home.add_config("credentials.toml", "[admin]\ncredentials = true\n");
    assert_eq!(script.post("/api/v1/reload", json!({})).await.0, 200);
    let handed = script.get(path).await;
    assert_eq!((handed.status.as_u16(), handed.header("cache-control")), (200, "no-store"));
    let printed = corp.home.ccproxy(&["auth", "token", "corp", "--format", "json"]).await.expect_success();
    assert_eq!(handed.json(), printed.json());
    assert_eq!(script.get(&format!("{path}?min_ttl=never")).await.status, 400);
}
