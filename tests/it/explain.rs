//! Before a request is sent, or after one was refused: `ccproxy explain` says what the proxy does with it. What
//! it says is held against what the proxy then does.

use ccproxy_tests::corp::Corp;
use ccproxy_tests::home::Home;
use ccproxy_tests::http_client::{Answer, Call};
use ccproxy_tests::keyed::KeyedApi;
use ccproxy_tests::program::Host;
use ccproxy_tests::sandbox::Settings;
use http::Method;
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use crate::cli_json::members;

async fn explained(home: &Home, method: &str, url: &str, code: i32) -> Value {
    home.ccproxy(&["explain", method, url, "--json"]).await.expect_code(code).json()
}

async fn sent(method: &str, url: &str) -> Answer {
    Call::new(Method::from_bytes(method.as_bytes()).unwrap(), url).send().await
}

/// Sends a request that is refused, and finds the refusal in what was explained before.
async fn same_refusal(home: &Home, host: &Host, method: &str, path: &str, code: i32) -> Value {
    let url = host.url(path);
    let told = explained(home, method, &url, code).await;
    let answer = sent(method, &url).await;
    let problem = answer.json();
    assert_eq!(told["outcome"], json!("refuse"), "{url}: {told:#}");
    assert_eq!(told["problem"]["status"], json!(answer.status.as_u16()), "{url}");
    for member in ["status", "code", "title", "hint"] {
        assert_eq!(told["problem"][member], problem[member], "{member} of {method} {url}");
    }
    for member in ["route", "connection"] {
        let told = if member == "route" { &told["route"]["name"] } else { &told[member] };
        assert_eq!(told, &problem[member], "{member} of {method} {url}");
    }
    told
}

#[tokio::test]
async fn a_refusal_is_told_word_for_word() {
    let corp = Corp::with_config(Settings::default(), |sandbox| {
        format!(
            "\n[routes.read]\nconnection = \"corp\"\nmethods = [\"GET\"]\n\
             \n[connections.bare]\nprovider = \"oidc\"\nissuer = \"{}\"\nclient_id = \"native\"\n\
             \n[connections.gone]\nprovider = \"nonesuch\"\n",
            sandbox.issuer()
        )
    })
    .await;
    let host = corp.home.serve().await;
    for (method, path, code) in [
        ("GET", "/corp/me", 4),
        ("GET", "/crop/me", 3),
        ("GET", "/bare/me", 3),
        ("GET", "/gone/me", 6),
        ("POST", "/read/x", 2),
        ("GET", "/corp/a/%2e%2E/b", 2),
        ("GET", "/_ccproxy/plugins/oidc/x", 3),
        ("GET", "/_ccproxy/nothing", 3),
        ("POST", "/_ccproxy/livez", 2),
        ("DELETE", "/", 2),
    ] {
        same_refusal(&corp.home, &host, method, path, code).await;
    }
    let near = explained(&corp.home, "GET", &host.url("/crop/me"), 3).await;
    assert_eq!(near["nearest"], json!("corp"));

    // The provider takes the grant back: the first request finds out, and the next ones are told.
    corp.login().await;
    same_refusal(&corp.home, &host, "POST", "/read/x", 2).await;
    assert_eq!(explained(&corp.home, "GET", &host.url("/corp/me"), 0).await["outcome"], json!("forward"));
    corp.sandbox.revoke_refresh_tokens(None);
    corp.home.ccproxy(&["auth", "refresh", "corp"]).await.expect_code(4);
    let told = same_refusal(&corp.home, &host, "GET", "/corp/me", 4).await;
    assert_eq!(told["credential"]["usable"], json!(false));
}

#[tokio::test]
async fn a_request_goes_where_it_was_said_to_go_without_the_fields_it_was_said_to_lose() {
    let api = KeyedApi::with_config(false, |api| {
        format!(
            "[routes.deep]\nconnection = \"api\"\nupstream = \"{}/base\"\ntimeout = \"7s\"\nrewrite = [\"link\"]\n\
             rewrite_json = [\"next\"]\n\n",
            api.sandbox.upstream()
        )
    })
    .await;
    let host = api.home.serve().await;
    let url = host.url("/deep/a//b%2Fc?token=hunter2");
    let text = api.home.ccproxy(&["explain", "get", &url]).await.expect_success();
    assert!(text.stdout.starts_with("✓ GET /deep/a//b%2Fc is forwarded\n"), "{text}");
    assert!(!text.stdout.contains("hunter2"), "{text}");
    let told = explained(&api.home, "GET", &url, 0).await;
    assert!(!told.to_string().contains("hunter2"), "{told}");
    assert_eq!(api.sandbox.requests().total, 0, "explaining sends nothing");

    assert_eq!(
        members(&told),
        [
            "added",
            "answer",
            "connection",
            "credential",
            "key_required",
            "listener",
            "method",
            "nearest",
            "outcome",
            "problem",
            "provider",
            "removed",
            "rewrite",
            "rewrite_json",
            "route",
            "schema",
            "target",
            "timeout_seconds",
            "upstream"
        ]
    );
    assert_eq!(told["listener"], json!({ "url": host.listen[0], "route": null }));
    assert_eq!(members(&told["route"]), ["matched_by", "name", "path", "written_at"]);
    assert_eq!(
        (&told["route"]["name"], &told["route"]["matched_by"]),
        (&json!("deep"), &json!("path")),
        "{told:#}"
    );
    assert_eq!(
        (&told["rewrite"], &told["rewrite_json"], &told["timeout_seconds"]),
        (&json!(["link"]), &json!(["next"]), &json!(7.0))
    );
    let expected = json!({ "state": "ok", "usable": true, "refreshable": true, "expires_at": null });
    assert_eq!(told["credential"], expected);

    let removed = told["removed"].as_array().unwrap();
    assert!(removed.contains(&json!("cookie")) && removed.contains(&json!("x-forwarded-for")), "{told:#}");
    let mut call = Call::get(&url).header("x-kept", "mine");
    for name in removed {
        call = call.header(name.as_str().unwrap(), "mine");
    }
    let seen = call.send().await.json();
    let upstream = format!("{}{}", api.sandbox.upstream(), seen["path"].as_str().unwrap());
    assert_eq!(told["upstream"], json!(upstream));
    assert_eq!(seen["headers"]["x-kept"], json!("mine"));
    let added = told["added"].as_array().unwrap();
    for name in removed {
        let value = &seen["headers"][name.as_str().unwrap()];
        assert!(value.is_null() || *value != json!("mine"), "{name} went along: {seen:#}");
    }
    assert!(added.iter().any(|name| !seen["headers"][name.as_str().unwrap()].is_null()), "{seen:#}");
    api.assert_only_our_key("authorization");
}

#[tokio::test]
async fn the_listener_is_the_one_that_a_client_with_this_url_reaches() {
    let api = KeyedApi::with_config(false, |api| {
        format!(
            "[routes.sock]\nconnection = \"api\"\nlisten = \"unix:{}\"\n\n\
             [routes.port]\nconnection = \"api\"\nlisten = \"127.0.0.1:0\"\n\n",
            api.home.runtime_dir().join("r.sock").display()
        )
    })
    .await;
    let host = api.home.serve().await;
    let socket = host.own["sock"].clone();
    let port = host.own["port"].clone();
    let authority = host.authority().to_owned();
    let by_name = format!("http://api.localhost:{}/x", authority.rsplit(':').next().unwrap());
    for (url, listener, route, matched_by) in [
        (format!("{port}/x?y"), &port, "port", "listener"),
        (format!("{socket}:/x"), &socket, "sock", "listener"),
        ("http://sock.localhost/x".into(), &socket, "sock", "listener"),
        (by_name, &host.listen[0], "api", "host"),
        (format!("{authority}/api/x"), &host.listen[0], "api", "path"),
        ("/api/x".into(), &host.listen[0], "api", "path"),
    ] {
        let told = explained(&api.home, "GET", &url, 0).await;
        assert_eq!(told["listener"]["url"], json!(listener), "{url}");
        assert_eq!(told["route"]["name"], json!(route), "{url}");
        assert_eq!(told["route"]["matched_by"], json!(matched_by), "{url}");
        assert_eq!(told["upstream"], json!(format!("{}/x", api.sandbox.upstream())), "{url}");
    }
    let foreign = format!("http://evil.example:{}/api/x", authority.rsplit(':').next().unwrap());
    let told = explained(&api.home, "GET", &foreign, 2).await;
    assert_eq!(told["problem"]["code"], json!("host_not_allowed"));
    let own = explained(&api.home, "GET", "/_ccproxy/readyz", 0).await;
    assert_eq!((&own["outcome"], &own["route"]), (&json!("own"), &Value::Null));
    let slash = explained(&api.home, "GET", "/api", 0).await;
    assert!(slash["answer"].as_str().unwrap().starts_with("308"), "{slash}");
}

#[tokio::test]
async fn the_url_of_an_upstream_is_answered_with_the_routes_that_lead_there() {
    let api = KeyedApi::with_config(false, |api| {
        format!("[routes.deep]\nconnection = \"api\"\nupstream = \"{}/v1\"\n\n", api.sandbox.upstream())
    })
    .await;
    // No host runs: what is configured counts.
    let url = format!("{}/v1/me?token=hunter2", api.sandbox.upstream());
    let told = api.home.ccproxy(&["explain", "GET", &url]).await.expect_code(3);
    let expected = format!(
        "error: {} is the upstream of the route `deep`\n\
         hint: ccproxy explain GET http://127.0.0.1:8462/deep/me\n      \
         ccproxy explain GET http://127.0.0.1:8462/api/v1/me\n",
        api.sandbox.upstream()
    );
    assert_eq!(told.stderr, expected);
    let hinted = explained(&api.home, "GET", "http://127.0.0.1:8462/deep/me", 0).await;
    assert_eq!(hinted["upstream"], json!(format!("{}/v1/me", api.sandbox.upstream())));

    let nowhere =
        api.home.ccproxy(&["explain", "GET", "https://example.com/", "--json"]).await.expect_code(3);
    assert_eq!(nowhere.json_error()["message"], json!("ccproxy does not listen at https://example.com"));
    api.home.add_config("lost.toml", "[routes.lost]\nconnection = \"apo\"\n");
    let told = api.home.ccproxy(&["explain", "GET", "/lost/"]).await.expect_code(2);
    assert!(told.stderr.contains("did you mean `api`?"), "no host starts with this: {told}");
    let bad = api.home.ccproxy(&["explain", "G T", "/", "--json"]).await.expect_code(2);
    assert_eq!(bad.json_error()["schema"], json!("ccproxy.error/1"));
}
