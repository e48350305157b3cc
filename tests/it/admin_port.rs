//! The admin API over TCP: keys that may administer, sessions of a browser, and pages that get nowhere.

use ccproxy_tests::clients::program;
use ccproxy_tests::home::Home;
use ccproxy_tests::http_client::{Answer, Call};
use ccproxy_tests::keyed::KeyedApi;
use ccproxy_tests::parts::is_root;
use ccproxy_tests::program::{Host, Program};
use http::Method;
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use crate::cli_json::{document, is_utc, members};

/// A host whose API is also reached over TCP, and its URL there.
struct Administered {
    api: KeyedApi,
    host: Host,
    url: String,
}

impl Administered {
    async fn new() -> Self {
        let api = KeyedApi::with_config(false, |_| "[admin]\nlisten = \"127.0.0.1:0\"\n\n".into()).await;
        let host = api.home.serve().await;
        let url = admin_url(&api.home).await;
        assert!(host.log().contains(&format!("admin API on {url}\n")), "{}", host.log());
        Self { api, host, url }
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    async fn key(&self, args: &[&str]) -> String {
        let told = self.api.home.ccproxy(&[&["key", "create"], args].concat()).await.expect_success();
        told.stdout.trim_end().to_owned()
    }

    async fn get(&self, path: &str, key: &str) -> Answer {
        Call::get(&self.at(path)).bearer(key).send().await
    }

    fn post(&self, path: &str, key: &str) -> Call {
        Call::json(&self.at(path), &json!({})).bearer(key)
    }

    /// A session, as the value of `Cookie`.
    async fn session(&self, key: &str) -> String {
        let begun = self.post("/api/v1/session", key).send().await;
        assert_eq!(begun.status, 201, "{}", begun.text());
        begun.header("set-cookie").split(';').next().unwrap().to_owned()
    }

    /// What a page of our own would send.
    fn page(&self, method: Method, path: &str, cookie: &str) -> Call {
        let call = Call::new(method, &self.at(path)).header("cookie", cookie);
        call.header("content-type", "application/json").body("{}")
    }
}

async fn admin_url(home: &Home) -> String {
    document(home, &["status"]).await["admin_listen"].as_str().unwrap_or("not there").to_owned()
}

fn verdict(answer: &Answer) -> (u16, &str) {
    let code = answer.headers.get("ccproxy-error").and_then(|code| code.to_str().ok()).unwrap_or_default();
    (answer.status.as_u16(), code)
}

const OK: (u16, &str) = (200, "");
const FOREIGN: (u16, &str) = (403, "origin_not_allowed");

#[tokio::test]
async fn a_key_that_may_administer_does_and_others_do_what_they_are_for() {
    let there = Administered::new().await;
    for probe in ["/livez", "/readyz", "/readyz?verbose"] {
        assert_eq!(verdict(&Call::get(&there.at(probe)).send().await), OK, "a probe has no key");
    }
    for path in
        ["/metrics", "/api/v1/status", "/api/v1/connections", "/api/v1/openapi.json", "/api/v1/session"]
    {
        let refused = Call::get(&there.at(path)).send().await;
        assert_eq!(verdict(&refused), (401, "key_required"), "{path}: our own user is nobody here");
        assert!(refused.json()["hint"].as_str().unwrap().contains("ccproxy key create NAME --admin"));
        assert_eq!(refused.header("www-authenticate"), "Bearer realm=\"ccproxy\"");
    }
    let (ops, tool) = (there.key(&["ops", "--admin"]).await, there.key(&["tool"]).await);
    let limited = there.key(&["one", "--routes", "api"]).await;

    let status = there.get("/api/v1/status", &ops).await;
    assert_eq!(verdict(&status), OK);
    assert_eq!(status.json()["admin_listen"], json!(there.url));
    assert_eq!(verdict(&there.post("/api/v1/reload", &ops).send().await), OK);
    assert_eq!(verdict(&there.get("/metrics", &tool).await), OK, "a scraper needs not administer");
    for key in [&tool, &limited] {
        for path in ["/api/v1/status", "/api/v1/connections/global/api"] {
            assert_eq!(verdict(&there.get(path, key).await), (403, "admin_not_allowed"), "{path}");
        }
        let stop = there.post("/api/v1/stop", key).send().await;
        assert_eq!(verdict(&stop), (403, "admin_not_allowed"));
    }
    assert_eq!(verdict(&there.get("/metrics", &limited).await), (403, "admin_not_allowed"));
    // What would let somebody far away run code here, or have our tokens, is for the machine's own user.
    let trust = Call::json(&there.at("/api/v1/plugins/trust"), &json!({ "file": "/tmp/x.so" }));
    assert_eq!(verdict(&trust.bearer(&ops).send().await), (403, "turned_off"));
    let token = there.get("/api/v1/connections/global/api/credential", &ops).await;
    assert_eq!(verdict(&token), (403, "turned_off"));

    assert_eq!(verdict(&there.get("/api/v1/status", "ccp_wrong").await), (401, "key_invalid"));
    there.api.home.ccproxy(&["key", "revoke", "ops"]).await.expect_success();
    assert_eq!(verdict(&there.get("/api/v1/status", &ops).await), (401, "key_invalid"));
    assert!(!there.host.log().contains(&ops), "no key is logged");
    there.host.stop().await.expect_success();
}

#[tokio::test]
async fn another_user_gets_no_further_than_anybody_else() {
    if !is_root("curl as another user") {
        return;
    }
    let there = Administered::new().await;
    let ops = there.key(&["ops", "--admin"]).await;
    let ask = async |more: &[&str]| {
        let mut command = there.api.home.command("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "curl", "-sS", "-m", "50"]);
        command.args(["-o", "/dev/null", "-w", "%{http_code}"]).args(more).current_dir("/");
        Program::spawn(command).finish().await.expect_success().stdout
    };
    assert_eq!(ask(&[&there.at("/api/v1/status")]).await, "401");
    assert_eq!(
        ask(&["-H", &format!("Authorization: Bearer {ops}"), &there.at("/api/v1/status")]).await,
        "200"
    );
}

#[tokio::test]
async fn a_page_of_somebody_else_gets_nowhere_even_with_a_good_key() {
    let there = Administered::new().await;
    let ops = there.key(&["ops", "--admin"]).await;
    let cookie = there.session(&ops).await;
    let own = there.url.as_str();
    // DNS rebinding: the name of the page, made to point here.
    let port = own.rsplit(':').next().unwrap();
    for host in ["evil.example".to_owned(), format!("evil.example:{port}"), format!("api.localhost:{port}")] {
        let answer = Call::get(&there.at("/livez")).header("host", &host).send().await;
        assert_eq!(verdict(&answer), (403, "host_not_allowed"), "{host}");
        let answer = there.post("/api/v1/stop", &ops).header("host", &host).send().await;
        assert_eq!(verdict(&answer), (403, "host_not_allowed"), "{host}");
    }
    let proxy = there.host.url("");
    for (field, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("origin", proxy.as_str()),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        for path in ["/api/v1/status", "/metrics", "/livez"] {
            let answer = Call::get(&there.at(path)).bearer(&ops).header(field, value).send().await;
            assert_eq!(verdict(&answer), FOREIGN, "{path} {field}: {value}");
        }
        let with_key = there.post("/api/v1/stop", &ops).header(field, value).send().await;
        assert_eq!(verdict(&with_key), FOREIGN, "{field}: {value}");
        let with_cookie = there.page(Method::POST, "/api/v1/stop", &cookie).header(field, value);
        assert_eq!(verdict(&with_cookie.send().await), FOREIGN, "{field}: {value}");
        let preflight = Call::new(Method::OPTIONS, &there.at("/api/v1/stop")).header(field, value);
        let preflight = preflight.header("access-control-request-method", "POST").send().await;
        assert_eq!(verdict(&preflight), FOREIGN);
        assert_eq!(preflight.headers.get("access-control-allow-origin"), None);
    }
    // A form is no JSON, wherever it comes from.
    let form = Call::form(&there.at("/api/v1/stop"), &[("now", "true")]).bearer(&ops);
    assert_eq!(verdict(&form.send().await), (415, "unsupported_media_type"));
    let form = Call::form(&there.at("/api/v1/stop"), &[]).header("cookie", &cookie).header("origin", own);
    assert_eq!(verdict(&form.send().await), (415, "unsupported_media_type"));
    assert_eq!(verdict(&there.get("/livez", "").await), OK, "it still runs");
}

#[tokio::test]
async fn a_browser_has_a_session_until_it_is_ended_or_its_key_is() {
    let there = Administered::new().await;
    let ops = there.key(&["ops", "--admin"]).await;
    let tool = there.key(&["tool"]).await;
    let refused = there.post("/api/v1/session", &tool).send().await;
    assert_eq!(verdict(&refused), (403, "admin_not_allowed"));
    assert_eq!(refused.headers.get("set-cookie"), None);

    let begun = there.post("/api/v1/session", &ops).send().await;
    let set = begun.header("set-cookie").to_owned();
    let port = there.url.rsplit(':').next().unwrap();
    assert!(set.starts_with(&format!("ccproxy-session-{port}=")), "{set}");
    assert!(set.ends_with("; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict"), "{set}");
    assert_eq!(begun.header("cache-control"), "no-store");
    assert_eq!(members(&begun.json()), ["expires_at", "key", "schema"]);
    assert!(is_utc(&begun.json()["expires_at"]), "{}", begun.text());
    let cookie = set.split(';').next().unwrap();
    assert!(!begun.text().contains(cookie.split('=').nth(1).unwrap()), "it is in the cookie only");

    let status = there.page(Method::GET, "/api/v1/status", &format!("theme=dark; {cookie}")).send().await;
    assert_eq!(verdict(&status), OK);
    let who = there.page(Method::GET, "/api/v1/session", cookie).send().await.json();
    assert_eq!((&who["schema"], &who["key"]), (&json!("ccproxy.session/1"), &json!("ops")));
    // What changes something must come from our own page, and say so.
    let silent = there.page(Method::POST, "/api/v1/reload", cookie).send().await;
    assert_eq!(verdict(&silent), FOREIGN);
    let typed = there.page(Method::POST, "/api/v1/reload", cookie).header("sec-fetch-site", "none");
    assert_eq!(verdict(&typed.send().await), FOREIGN);
    for (field, value) in [("origin", there.url.as_str()), ("sec-fetch-site", "same-origin")] {
        let own = there.page(Method::POST, "/api/v1/reload", cookie).header(field, value);
        assert_eq!(verdict(&own.send().await), OK, "{field}");
    }

    let ended =
        there.page(Method::DELETE, "/api/v1/session", cookie).header("origin", &there.url).send().await;
    assert_eq!(verdict(&ended), OK);
    assert!(ended.header("set-cookie").contains("Max-Age=0"), "{:?}", ended.headers);
    let over = there.page(Method::GET, "/api/v1/status", cookie).send().await;
    assert_eq!(verdict(&over), (401, "key_required"));

    let cookie = there.session(&ops).await;
    assert_eq!(verdict(&there.page(Method::GET, "/api/v1/status", &cookie).send().await), OK);
    there.api.home.ccproxy(&["key", "revoke", "ops"]).await.expect_success();
    let over = there.page(Method::GET, "/api/v1/status", &cookie).send().await;
    assert_eq!(verdict(&over), (401, "key_required"), "a session does not outlive its key");
    let log = there.host.log();
    assert!(!log.contains(cookie.split('=').nth(1).unwrap()), "{log}");
}

#[tokio::test]
async fn who_tries_keys_has_to_wait() {
    let there = Administered::new().await;
    let ops = there.key(&["ops", "--admin"]).await;
    let cookie = there.session(&ops).await;
    for attempt in 0..10 {
        let wrong = there.get("/api/v1/status", &format!("ccp_{attempt:043}")).await;
        assert_eq!(verdict(&wrong), (401, "key_invalid"));
    }
    for key in ["ccp_again", ops.as_str()] {
        let waits = there.get("/api/v1/status", key).await;
        assert_eq!(verdict(&waits), (429, "too_many_attempts"), "whether it is right is not told");
        assert!((1..=60).contains(&waits.header("retry-after").parse::<u32>().unwrap()));
    }
    let log = there.host.log();
    assert_eq!(log.matches("a wrong key at admin.listen").count(), 10, "{log}");
    // The person at the machine is not shut out by somebody who tries.
    assert_eq!(verdict(&there.page(Method::GET, "/api/v1/status", &cookie).send().await), OK);
    assert_eq!(verdict(&Call::get(&there.at("/livez")).send().await), OK);
    there.api.home.ccproxy(&["status"]).await.expect_success();
    assert_eq!(verdict(&Call::get(&there.host.url("/api/echo")).send().await), OK, "nor is the proxy");
}

#[tokio::test]
async fn the_document_of_the_api_says_what_it_takes() {
    let there = Administered::new().await;
    let tool = there.key(&["tool"]).await;
    let api = there.get("/api/v1/openapi.json", &tool).await.json();
    let port = there.url.rsplit(':').next().unwrap();
    let schemes = &api["components"]["securitySchemes"];
    assert_eq!(schemes["session"]["name"], json!(format!("ccproxy-session-{port}")));
    assert_eq!((&schemes["key"]["type"], &schemes["key"]["scheme"]), (&json!("http"), &json!("bearer")));
    for (path, operations) in api["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let url = there.at(&path.replace(['{', '}'], ""));
            let call = Call::new(method.to_uppercase().parse().unwrap(), &url);
            let answer = call.header("content-type", "application/json").body("{}").send().await;
            let asks = operation["security"] != Value::Null || answer.status == 401;
            assert_eq!(answer.status == 401, asks, "{method} {path}");
            let is_probe = path == "/livez" || path == "/readyz";
            assert_eq!(asks, !is_probe, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn it_comes_goes_and_moves_with_the_configuration() {
    let there = Administered::new().await;
    let ops = there.key(&["ops", "--admin"]).await;
    let home = &there.api.home;
    let cookie = there.session(&ops).await;
    home.add_config("admin.toml", "[admin]\nlisten = \"[::1]:0\"\n");
    let reloaded = document(home, &["reload"]).await;
    assert_eq!(reloaded["needs_restart"], json!([]));
    let moved = admin_url(home).await;
    if moved.contains("[::1]") {
        assert_eq!(verdict(&Call::get(&format!("{moved}/api/v1/status")).bearer(&ops).send().await), OK);
        assert!(Call::get(&there.at("/livez")).try_send().await.is_err(), "the old one is closed");
    }
    let somebody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = somebody.local_addr().unwrap();
    home.add_config("admin.toml", &format!("[admin]\nlisten = \"{taken}\"\n"));
    let told = home.ccproxy(&["reload"]).await;
    let told = told.expect_code(2);
    assert!(told.stderr.contains("is in use") && told.stderr.contains("admin.toml:2"), "{told}");
    assert_eq!(admin_url(home).await, moved, "a bad one changes nothing");

    home.add_config("admin.toml", "[admin]\nlisten = \"off\"\n");
    document(home, &["reload"]).await;
    assert_eq!(admin_url(home).await, "not there");
    assert!(Call::get(&format!("{moved}/livez")).try_send().await.is_err());
    drop(cookie);
}

#[tokio::test]
async fn where_it_cannot_listen_the_host_does_not_start() {
    let api = KeyedApi::new().await;
    let serve = async |more: &[&str]| {
        api.home.ccproxy(&[&["serve", "--listen", "127.0.0.1:0", "--set"], more].concat()).await
    };
    let told = serve(&["admin.listen=0.0.0.0:0"]).await.expect_code(2);
    assert!(told.stderr.contains("in the clear to `0.0.0.0:0`"), "{told}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let told = serve(&[&format!("admin.listen={address}")]).await.expect_code(1);
    assert!(
        told.stderr.contains(&format!("the listener of the admin API: {address} is in use by")),
        "{told}"
    );
    assert!(told.stderr.contains("hint: use another address in `admin.listen`"), "{told}");
    // On purpose, for another machine: with a key, as everywhere.
    let more = ["--listen", "127.0.0.1:0", "--set", "admin.listen=0.0.0.0:0", "--set"];
    let host = api.home.serve_with(&[&more[..], &["server.insecure_cleartext=true"]].concat()).await;
    let url = admin_url(&api.home).await.replace("0.0.0.0", "127.0.0.1");
    assert_eq!(verdict(&Call::get(&format!("{url}/metrics")).send().await), (401, "key_required"));
    assert_eq!(verdict(&Call::get(&host.url("/api/echo")).send().await), OK, "the proxy is as it was");
    let curl = program(&api.home, "curl", &["-sS", &format!("{url}/livez")], &[]).await.expect_success();
    assert_eq!(curl.json(), json!({ "status": "live" }));
}
