//! curl through the proxy: bodies up, bodies down, redirects, TLS, and the doors that stay shut.

use std::fs;
use std::time::{Duration, Instant};

use ccproxy_tests::clients::program;
use ccproxy_tests::home::Home;
use ccproxy_tests::http_client::Call;
use ccproxy_tests::keyed::KeyedApi;
use ccproxy_tests::parts::is_root;
use ccproxy_tests::program::{Finished, Host};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

async fn curl(home: &Home, args: &[&str]) -> Finished {
    program(home, "curl", &[&["-sS", "-m", "50"], args].concat(), &[]).await
}

/// The status of the last answer and the `ccproxy-error` in it: empty where the upstream spoke.
async fn status(home: &Home, args: &[&str]) -> String {
    let format = "%{http_code} %header{ccproxy-error}";
    curl(home, &[&["-o", "/dev/null", "-w", format], args].concat()).await.expect_success().stdout
}

fn file(home: &Home, name: &str, bytes: usize) -> (String, String) {
    let mut content = vec![0; bytes];
    getrandom::fill(&mut content).unwrap();
    let path = home.user_dir().join(name);
    fs::write(&path, &content).unwrap();
    let digest = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
    (path.to_str().unwrap().to_owned(), digest)
}

#[tokio::test]
async fn a_big_body_waits_for_100_continue_and_arrives_whole() {
    let api = KeyedApi::new().await;
    let host = api.home.serve().await;
    let (path, digest) = file(&api.home, "big", 2 << 20);
    let started = Instant::now();
    // Without an answer curl would wait these 40 s before it sends the body all the same.
    let patient = ["-v", "--expect100-timeout", "40", "-H", "Expect: 100-continue"];
    let url = host.url("/api/upload");
    let told = curl(&api.home, &[&patient[..], &["-T", &path, &url]].concat()).await.expect_success();
    assert!(told.stderr.contains("< HTTP/1.1 100 Continue"), "{told}");
    assert!(started.elapsed() < Duration::from_secs(30));
    assert_eq!((&told.json()["body_len"], &told.json()["body_sha256"]), (&json!(2 << 20), &json!(digest)));
}

#[tokio::test]
async fn an_upload_without_a_length_stays_chunked() {
    let api = KeyedApi::new().await;
    let host = api.home.serve().await;
    let (path, digest) = file(&api.home, "big", 1 << 20);
    let url = host.url("/api/upload");
    let told = curl(&api.home, &["-H", "Transfer-Encoding: chunked", "-T", &path, &url]).await;
    let told = told.expect_success().json();
    assert_eq!((&told["body_len"], &told["body_sha256"]), (&json!(1 << 20), &json!(digest)));
    assert_eq!((&told["transfer_encoding"], &told["content_length"]), (&json!("chunked"), &Value::Null));
}

#[tokio::test]
async fn head_has_the_length_and_no_body_and_the_connection_goes_on() {
    let api = KeyedApi::new().await;
    let host = api.home.serve().await;
    let head = curl(&api.home, &["-I", &host.url("/api/large?bytes=1000")]).await.expect_success();
    assert!(head.stdout.to_ascii_lowercase().contains("content-length: 1000\r\n"), "{head}");

    let format = "%{http_code} %{size_download} %{num_connects}\n";
    let urls = ["/api/status/204", "/api/status/304", "/api/large?bytes=7"].map(|path| host.url(path));
    let [none, unchanged, some] = urls.each_ref().map(String::as_str);
    let told = curl(
        &api.home,
        &["-w", format, "-o", "/dev/null", none, "-o", "/dev/null", unchanged, "-o", "/dev/null", some],
    )
    .await
    .expect_success();
    assert_eq!(told.stdout, "204 0 1\n304 0 0\n200 7 0\n");
}

#[tokio::test]
async fn a_redirect_of_the_api_leads_through_the_proxy_and_a_foreign_one_stays() {
    let api = KeyedApi::new().await;
    let host = api.home.serve().await;
    let own = host.url(&format!("/api/redirect?to={}/made/1?x=1", api.sandbox.upstream()));
    let told = curl(&api.home, &["-L", "-w", "\n%{url_effective}", &own]).await.expect_success();
    let (echo, last) = told.stdout.rsplit_once('\n').unwrap();
    assert_eq!(last, host.url("/api/made/1?x=1"));
    let echo: Value = serde_json::from_str(echo).unwrap();
    assert_eq!((&echo["path"], &echo["authorization_ok"]), (&json!("/made/1"), &json!(true)));

    let foreign = host.url("/api/redirect?to=https://elsewhere.invalid/x");
    let told = curl(&api.home, &["-o", "/dev/null", "-w", "%{redirect_url}", &foreign]).await;
    assert_eq!(told.expect_success().stdout, "https://elsewhere.invalid/x");
}

#[tokio::test]
async fn an_upstream_with_a_private_ca_is_trusted_by_the_connection_that_names_it() {
    let api = KeyedApi::with_config(true, |api| {
        let ca = format!("extra_ca = \"{}\"\n", api.sandbox.ca_file().display());
        let upstream = api.sandbox.upstream_tls();
        api.connection("trusting", upstream, &ca) + &api.connection("untrusting", upstream, "")
    })
    .await;
    let host = api.home.serve().await;
    let told = curl(&api.home, &[&host.url("/trusting/echo")]).await.expect_success().json();
    assert_eq!((&told["authorization_ok"], &told["version"]), (&json!(true), &json!("HTTP/2.0")));
    assert_eq!(status(&api.home, &[&host.url("/untrusting/echo")]).await, "502 upstream_tls");
    assert_eq!(api.sandbox.requests().total, 1);
}

/// `-x` writes the whole URL into the request line (RFC 9112 section 3.2.2).
#[tokio::test]
async fn as_a_forward_proxy_it_knows_itself_and_nobody_else() {
    let api = KeyedApi::new().await;
    let host = api.home.serve().await;
    let proxy = host.url("");
    let own = curl(&api.home, &["-x", &proxy, &host.url("/api/own")]).await.expect_success().json();
    assert_eq!(own["path"], json!("/own"));
    let foreign = status(&api.home, &["-x", &proxy, "http://example.test/api/foreign"]).await;
    assert_eq!(foreign, "403 host_not_allowed");
    let tunnel = curl(&api.home, &["-x", &proxy, "-w", "%{http_connect}", "https://example.test/"]).await;
    assert_eq!(tunnel.stdout, "403", "{tunnel}");
    assert_eq!(api.sandbox.requests().total, 1);
}

#[tokio::test]
async fn a_rebound_name_reaches_nothing() {
    let api = KeyedApi::new().await;
    let host = api.home.serve().await;
    let port = host.authority().rsplit_once(':').unwrap().1;
    let names = [
        "evil.test".to_owned(),
        format!("evil.test:{port}"),
        "127.0.0.1".to_owned(),
        "127.0.0.1:1".to_owned(),
        format!("127.1:{port}"),
        format!("127.0.0.2:{port}"),
        format!("0.0.0.0:{port}"),
        format!("[0::1]:{port}"),
        format!("localhost.:{port}"),
        format!("api.localhost.evil.test:{port}"),
        format!("a.api.localhost:{port}"),
    ];
    for name in names {
        let field = format!("Host: {name}");
        let refused = status(&api.home, &["-H", &field, &host.url("/api/echo")]).await;
        assert_eq!(refused, "403 host_not_allowed", "{name}");
    }
    for name in [format!("127.0.0.1:{port}x"), format!("me@127.0.0.1:{port}")] {
        let field = format!("Host: {name}");
        let refused = status(&api.home, &["-H", &field, &host.url("/api/echo")]).await;
        assert_eq!(refused, "400 malformed_request", "{name}");
    }
    assert_eq!(api.sandbox.requests().total, 0);
    let field = format!("Host: api.localhost:{port}");
    let own = curl(&api.home, &["-H", &field, &host.url("/echo")]).await.expect_success().json();
    assert_eq!(own["path"], json!("/echo"));
}

#[tokio::test]
async fn a_page_of_another_site_reaches_nothing() {
    let api = KeyedApi::new().await;
    let host = api.home.serve().await;
    let url = host.url("/api/echo");
    for field in [
        "Origin: https://evil.test",
        "Origin: null",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
    ] {
        for method in ["GET", "POST", "OPTIONS"] {
            let refused = status(&api.home, &["-X", method, "-H", field, &url]).await;
            assert_eq!(refused, "403 origin_not_allowed", "{method} {field}");
        }
    }
    assert_eq!(api.sandbox.requests().total, 0);
    let own = format!("Origin: http://{}", host.authority());
    for field in [own.as_str(), "Sec-Fetch-Site: none", "Sec-Fetch-Site: same-origin"] {
        assert_eq!(status(&api.home, &["-H", field, &url]).await, "200 ", "{field}");
    }
}

#[tokio::test]
async fn a_process_of_another_user_needs_a_key() {
    if !is_root("curl as another user") {
        return;
    }
    let api = KeyedApi::new().await;
    let host = api.home.serve().await;
    let (setpriv, url) = (["--reuid", "65534", "--regid", "65534", "--clear-groups"], host.url("/api/echo"));
    let curl = ["curl", "-sS", "-w", " %{http_code} %header{ccproxy-error}", &url];
    let mut command = api.home.command("setpriv");
    // Nothing of the home is readable to that user, the working directory included.
    command.args(setpriv).args(curl).current_dir("/");
    let told = ccproxy_tests::program::Program::spawn(command).finish().await.expect_success();
    assert!(told.stdout.ends_with(" 401 key_required"), "{told}");
    assert_eq!(api.sandbox.requests().total, 0);
}

#[tokio::test]
async fn an_answer_of_the_proxy_is_a_problem_that_says_what_to_do() {
    let api = KeyedApi::new().await;
    let host = api.home.serve().await;
    let answer = Call::get(&host.url("/nope/echo?secret=canary")).send().await;
    assert_eq!((answer.status.as_u16(), answer.header("ccproxy-error")), (404, "no_such_route"));
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let problem = answer.json();
    let members: Vec<&String> = problem.as_object().unwrap().keys().collect();
    assert_eq!(
        members,
        ["code", "connection", "hint", "request_id", "route", "status", "title", "type"],
        "{problem}"
    );
    assert_eq!(problem["request_id"], json!(answer.header("ccproxy-request-id")));
    assert!(problem["hint"].as_str().unwrap().contains("api"), "the routes are named: {problem}");
    assert!(!answer.text().contains("canary"));
    assert_upstream_speaks_for_itself(&api, &host).await;
}

/// No `ccproxy-error` means that the upstream spoke, whatever it sends.
async fn assert_upstream_speaks_for_itself(api: &KeyedApi, host: &Host) {
    let answer = Call::get(&host.url("/api/status/404")).send().await;
    assert_eq!((answer.status.as_u16(), answer.headers.get("ccproxy-error")), (404, None));
    assert!(!answer.header("ccproxy-request-id").is_empty());
    assert_eq!(api.sandbox.requests().total, 1);
}
