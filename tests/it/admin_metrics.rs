//! Somebody watches by numbers: what a scrape tells after requests, refusals, refreshes and faults.

use std::collections::BTreeMap;

use ccproxy_tests::corp::Corp;
use ccproxy_tests::crowd::Regular;
use ccproxy_tests::home::Home;
use ccproxy_tests::http_client::Call;
use ccproxy_tests::sandbox::{Endpoint, Fault};
use http::Method;
use pretty_assertions::assert_eq;

/// The samples of a page by their name and labels, as written.
struct Scrape(BTreeMap<String, f64>);

impl Scrape {
    async fn of(home: &Home) -> Self {
        let answer = Regular::connect_unix(&home.admin_socket()).await.get("/metrics").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
        let page = answer.text();
        let samples = page.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let (sample, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
            (sample.to_owned(), value.parse().unwrap_or_else(|_| panic!("no number: {line}")))
        });
        let counted = samples.clone().count();
        let samples: BTreeMap<_, _> = samples.collect();
        assert_eq!(samples.len(), counted, "a series is there once\n{page}");
        Self(samples)
    }

    /// A sample; 0 where there is none.
    fn value(&self, sample: &str) -> f64 {
        self.0.get(sample).copied().unwrap_or_default()
    }

    /// A sample of which only the beginning is known.
    fn starting(&self, start: &str) -> f64 {
        let mut found = self.0.iter().filter(|(sample, _)| sample.starts_with(start));
        match (found.next(), found.next()) {
            (Some((_, value)), None) => *value,
            (one, another) => panic!("not one sample starts with {start}: {one:?} {another:?}"),
        }
    }

    fn text(&self) -> String {
        self.0.iter().map(|(sample, value)| format!("{sample} {value}\n")).collect()
    }
}

#[tokio::test]
async fn a_scrape_counts_requests_by_method_status_and_route_and_tells_nothing_else() {
    let corp = Corp::new(Corp::rotating()).await;
    corp.login().await;
    let host = corp.home.serve().await;
    let mut client = Regular::connect(host.authority()).await;
    for _ in 0..20 {
        assert_eq!(client.get("/corp/strict/secret-path?q=secret-query").await.status, 200);
    }
    assert_eq!(client.get("/corp/status/503").await.status, 503);
    assert_eq!(client.get("/nowhere/x").await.status, 404);
    let brew = Call::new(Method::from_bytes(b"BREW").unwrap(), &host.url("/corp/echo")).send().await;
    let post = Call::json(&host.url("/corp/echo"), &serde_json::json!({})).send().await;
    assert_eq!(post.status, 200);
    let foreign = Call::get(&host.url("/corp/echo")).header("origin", "https://evil.example").send().await;
    assert_eq!(foreign.status, 403);

    let scrape = Scrape::of(&corp.home).await;
    let served = |method: &str, status: &str, route: &str| {
        scrape.value(&format!(
            "http_server_request_duration_seconds_count{{http_request_method=\"{method}\",\
             http_response_status_code=\"{status}\",ccproxy_route=\"{route}\"}}"
        ))
    };
    assert_eq!(served("GET", "200", "corp"), 20.0);
    assert_eq!(served("GET", "503", "corp"), 1.0);
    assert_eq!(served("POST", "200", "corp"), 1.0);
    assert_eq!(served("_OTHER", brew.status.as_str(), "corp"), 1.0);
    assert_eq!((served("GET", "404", ""), served("GET", "403", "")), (1.0, 1.0));
    assert_eq!(
        scrape.value(
            "http_client_request_duration_seconds_count{http_request_method=\"GET\",\
             http_response_status_code=\"200\",ccproxy_route=\"corp\",server_address=\"127.0.0.1\"}"
        ),
        20.0
    );
    assert_eq!(
        scrape.value(
            "http_server_request_duration_seconds_bucket{http_request_method=\"GET\",\
             http_response_status_code=\"200\",ccproxy_route=\"corp\",le=\"+Inf\"}"
        ),
        20.0
    );
    let refused =
        |code: &str| scrape.value(&format!("ccproxy_refusals_total{{ccproxy_route=\"\",code=\"{code}\"}}"));
    assert_eq!((refused("no_such_route"), refused("origin_not_allowed")), (1.0, 1.0));
    assert_eq!(scrape.value("http_server_active_requests"), 0.0);
    assert_eq!(scrape.starting("ccproxy_build_info{"), 1.0);

    // Nobody can be told from the page, nor what he asked for.
    for word in ["secret", "alice", "BREW", "strict", "evil"] {
        assert!(!scrape.text().contains(word), "`{word}` in\n{}", scrape.text());
    }
}

#[tokio::test]
async fn a_scrape_tells_refreshes_by_result_and_how_long_tokens_live() {
    let corp = Corp::new(Corp::rotating()).await;
    corp.login().await;
    let _host = corp.home.serve().await;
    corp.home.ccproxy(&["auth", "refresh", "corp"]).await.expect_success();
    corp.sandbox.fault(Endpoint::Token, 1, Fault::Status { status: 503, retry_after: None, error: None });
    corp.home.ccproxy(&["auth", "refresh", "corp"]).await.expect_code(5);

    let scrape = Scrape::of(&corp.home).await;
    let refreshed = |result: &str| {
        scrape.value(&format!("ccproxy_token_refresh_total{{connection=\"corp\",result=\"{result}\"}}"))
    };
    assert_eq!((refreshed("ok"), refreshed("provider_unavailable")), (1.0, 1.0), "{}", scrape.text());
    let left = scrape.starting("ccproxy_token_expiry_seconds{connection=\"corp\"");
    assert!((3000.0..=3600.0).contains(&left), "{left}");
    let at = scrape.starting("ccproxy_token_expiry_timestamp_seconds{connection=\"corp\"");
    assert!(at > scrape.value("ccproxy_start_time_seconds"), "{at}");
    assert_eq!(
        scrape.value("ccproxy_connection_state{connection=\"corp\",provider=\"oidc\",state=\"ok\"}"),
        1.0
    );
    assert_eq!(scrape.starting("ccproxy_plugin_info{plugin=\"oidc\""), 1.0);
}

#[tokio::test]
async fn an_upstream_that_cannot_be_reached_is_counted_by_its_error() {
    let corp = Corp::new(Corp::rotating()).await;
    corp.login().await;
    let host = corp.home.serve().await;
    assert_eq!(Call::get(&host.url("/corp/close")).send().await.status, 502);
    let scrape = Scrape::of(&corp.home).await;
    assert_eq!(
        scrape.value(
            "http_client_request_duration_seconds_count{http_request_method=\"GET\",\
             error_type=\"upstream_protocol\",ccproxy_route=\"corp\",server_address=\"127.0.0.1\"}"
        ),
        1.0,
        "{}",
        scrape.text()
    );
    assert_eq!(
        scrape.value("ccproxy_refusals_total{ccproxy_route=\"corp\",code=\"upstream_protocol\"}"),
        1.0
    );
}

#[tokio::test]
async fn a_scrape_tells_sizes_connections_replays_refresh_times_and_reloads() {
    let corp = Corp::new(Corp::rotating()).await;
    corp.login().await;
    let host = corp.home.serve().await;
    let mut client = Regular::connect(host.authority()).await;
    let body = serde_json::json!({ "text": "x".repeat(1000) });
    let echoed = client.post("/corp/echo", &body).await;
    assert_eq!(echoed.status, 200);
    // The provider forgets the token: it is refreshed, and the request is sent once more.
    corp.sandbox.expire_access_tokens(None);
    assert_eq!(client.get("/corp/strict/x").await.status, 200);
    corp.home.add_config("good.toml", "[refresh]\nsweep = \"31m\"\n");
    corp.home.ccproxy(&["reload"]).await.expect_success();
    corp.home.add_config("bad.toml", "[refresh]\nsweeep = \"1m\"\n");
    corp.home.ccproxy(&["reload"]).await.expect_code(2);

    let scrape = Scrape::of(&corp.home).await;
    let of_route = |name: &str| scrape.value(&format!("{name}{{ccproxy_route=\"corp\"}}"));
    assert_eq!(of_route("http_server_request_body_size_bytes_count"), 2.0);
    assert_eq!(of_route("http_server_request_body_size_bytes_sum"), body.to_string().len() as f64);
    assert!(of_route("http_server_response_body_size_bytes_sum") >= echoed.body.len() as f64);
    let small = "http_server_request_body_size_bytes_bucket{ccproxy_route=\"corp\",le=\"256\"}";
    assert_eq!((scrape.value(small), scrape.value(&small.replace("256", "1024"))), (1.0, 2.0));
    assert_eq!(scrape.value("http_server_open_connections"), 1.0);
    let replays = "ccproxy_upstream_replays_total{ccproxy_route=\"corp\",reason=\"credential_rejected\"}";
    assert_eq!(scrape.value(replays), 1.0, "{}", scrape.text());
    let calls = scrape.value("ccproxy_token_refresh_total{connection=\"corp\",result=\"ok\"}");
    assert!(calls >= 1.0);
    assert_eq!(scrape.value("ccproxy_token_refresh_duration_seconds_count{connection=\"corp\"}"), calls);
    assert_eq!(scrape.value("ccproxy_reload_total{result=\"ok\"}"), 1.0);
    assert!(scrape.value("ccproxy_reload_total{result=\"invalid_config\"}") >= 1.0);

    drop(client);
    for _ in 0..100 {
        if Scrape::of(&corp.home).await.value("http_server_open_connections") == 0.0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("a client that has gone is still counted");
}
