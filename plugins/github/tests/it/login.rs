//! Logging in: by browser, by device, with a token one has.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ccproxy_plugin_sdk::testing::Bench;
use ccproxy_plugin_sdk::{Flow, Reason, Target};
use httpmock::MockServer;
use pretty_assertions::assert_eq;
use serde_json::json;

use super::{SECRET, api, app, bearer, device_app, device_endpoint, polled, token_endpoint, web_app};
use crate::GitHub;

const REDIRECT: &str = "http://127.0.0.1:41999/callback";

fn parameters(url: &str) -> BTreeMap<String, String> {
    url::Url::parse(url).unwrap().query_pairs().into_owned().collect()
}

#[tokio::test]
async fn a_browser_login_binds_its_code_by_pkce() {
    let server = MockServer::start();
    let exchange = token_endpoint(
        &server,
        |when| {
            when.form_urlencoded_tuple("code", "c0de")
                .form_urlencoded_tuple("redirect_uri", REDIRECT)
                .form_urlencoded_tuple_exists("code_verifier")
        },
        json!({ "access_token": "gho_1", "token_type": "bearer", "scope": "repo,read:org" }),
    );
    let bench = web_app(&server);
    let open = bench.login_begin(Flow::Browser, REDIRECT, "st4te").await.unwrap();
    let url = open.data["url"].as_str().unwrap();
    assert!(url.starts_with(&format!("{}/login/oauth/authorize?", server.base_url())), "{url}");
    let mut query = parameters(url);
    let challenge = query.remove("code_challenge").unwrap();
    assert_eq!(challenge.len(), 43);
    let expected = [
        ("client_id", "Iv1.test"),
        ("code_challenge_method", "S256"),
        ("redirect_uri", REDIRECT),
        ("response_type", "code"),
        ("scope", "repo read:org"),
        ("state", "st4te"),
    ];
    assert_eq!(query, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());

    let done = bench.login_redirect(&open, "code=c0de&state=st4te").await.unwrap();
    exchange.assert();
    bench.commit(&done);
    assert_eq!(bench.acquire().await.unwrap().fields, bearer("gho_1"));
}

#[tokio::test]
async fn client_credentials_go_into_the_body_and_never_into_basic() {
    let server = MockServer::start();
    let exchange = token_endpoint(
        &server,
        |when| {
            when.form_urlencoded_tuple("client_id", "Iv1.test")
                .form_urlencoded_tuple("client_secret", SECRET)
                .header_missing("authorization")
        },
        json!({ "access_token": "gho_1", "token_type": "bearer", "scope": "repo" }),
    );
    let bench = web_app(&server);
    let open = bench.login_begin(Flow::Browser, REDIRECT, "s").await.unwrap();
    bench.login_redirect(&open, "code=c&state=s").await.unwrap();
    exchange.assert();
}

#[tokio::test]
async fn a_redirect_of_another_login_spends_no_code() {
    let server = MockServer::start();
    let exchange = token_endpoint(&server, |when| when, json!({ "access_token": "gho_evil" }));
    let bench = web_app(&server);
    let open = bench.login_begin(Flow::Browser, REDIRECT, "mine").await.unwrap();
    assert!(bench.login_redirect(&open, "code=c&state=theirs").await.is_err());
    assert_eq!(exchange.calls(), 0);
}

#[tokio::test]
async fn a_device_login_shows_a_code_without_a_filled_in_link() {
    let server = MockServer::start();
    device_endpoint(&server);
    let shown = device_app(&server).login_begin(Flow::Device, "", "").await.unwrap();
    assert_eq!(shown.kind, "user_code");
    assert_eq!(
        shown.data,
        json!({
            "verification_uri": "https://github.com/login/device",
            "verification_uri_complete": null,
            "user_code": "WDJB-MJHT",
        })
    );
    assert_eq!(shown.poll_after, Duration::from_secs(5));
}

#[tokio::test]
async fn a_device_login_needs_no_client_secret() {
    let server = MockServer::start();
    device_endpoint(&server);
    let poll = token_endpoint(
        &server,
        |when| when.form_urlencoded_tuple_missing("client_secret"),
        json!({ "access_token": "gho_1", "token_type": "bearer", "scope": "repo,read:org" }),
    );
    let bench = device_app(&server);
    let shown = bench.login_begin(Flow::Device, "", "").await.unwrap();
    let done = bench.login_poll(&shown).await.unwrap();
    poll.assert();
    bench.commit(&done);
    assert_eq!(bench.acquire().await.unwrap().fields, bearer("gho_1"));
}

#[tokio::test]
async fn pending_comes_with_status_200_and_waits_on() {
    let wait = polled(json!({ "error": "authorization_pending", "error_description": "..." })).await.unwrap();
    assert_eq!((wait.kind, wait.poll_after), ("wait", Duration::from_secs(5)));
}

#[tokio::test]
async fn slow_down_says_the_new_interval() {
    let wait = polled(json!({ "error": "slow_down", "interval": 23 })).await.unwrap();
    assert_eq!((wait.kind, wait.poll_after), ("wait", Duration::from_secs(23)));
}

#[tokio::test]
async fn scopes_have_commas_in_answers_and_may_be_other_ones() {
    let done = polled(json!({ "access_token": "gho_1", "token_type": "bearer", "scope": "repo,user:email" }));
    let view = done.await.unwrap().view.unwrap();
    assert_eq!(view.scopes_requested, ["repo", "read:org"]);
    assert_eq!(view.scopes_granted, Some(vec!["repo".to_owned(), "user:email".to_owned()]));
}

#[tokio::test]
async fn a_token_of_an_oauth_app_has_no_expiry_and_no_refresh_token() {
    let done = polled(json!({ "access_token": "gho_1", "token_type": "bearer", "scope": "repo" })).await;
    let view = done.unwrap().view.unwrap();
    assert_eq!((view.tokens[0].expires_at, view.refreshable), (None, false));
}

#[tokio::test]
async fn a_token_of_a_github_app_has_both() {
    let done = polled(json!({
        "access_token": "ghu_1", "expires_in": 28800, "refresh_token": "ghr_1",
        "refresh_token_expires_in": 15_811_200, "scope": "", "token_type": "bearer",
    }));
    let view = done.await.unwrap().view.unwrap();
    // The bench's clock stands at 2026-01-01T00:00:00Z.
    let expires_at = view.tokens[0].expires_at.unwrap();
    assert_eq!((expires_at.0, view.refreshable), (1_767_225_600_000 + 28_800_000, true));
}

#[tokio::test]
async fn a_form_is_understood_where_json_was_asked_for() {
    let server = MockServer::start();
    device_endpoint(&server);
    server.mock(|when, then| {
        when.path("/login/oauth/access_token");
        then.status(200)
            .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
            .body("access_token=gho_f&scope=repo%2Cgist&token_type=bearer");
    });
    let bench = device_app(&server);
    let shown = bench.login_begin(Flow::Device, "", "").await.unwrap();
    let done = bench.login_poll(&shown).await.unwrap();
    assert_eq!(done.view.as_ref().unwrap().scopes_granted, Some(vec!["repo".to_owned(), "gist".to_owned()]));
    bench.commit(&done);
    assert_eq!(bench.acquire().await.unwrap().fields, bearer("gho_f"));
}

#[tokio::test]
async fn any_token_one_has_will_do_whatever_its_prefix() {
    let server = MockServer::start();
    for token in ["ghp_classic", "github_pat_fine", "0123456789abcdef0123456789abcdef01234567"] {
        api(&server, "/user", token, |then| {
            then.status(200).json_body(json!({ "login": "octo", "id": 1, "email": "octo@example.test" }))
        });
        let bench = device_app(&server);
        let ask = bench.login_begin(Flow::Token, "", "").await.unwrap();
        assert_eq!((ask.kind, ask.data["secret"].as_bool()), ("ask", Some(true)));
        let done = bench.login_answer(&ask, &format!("{token}\n")).await.unwrap();
        bench.commit(&done);
        assert_eq!(bench.acquire().await.unwrap().fields, bearer(token));
        assert_eq!(bench.probe().await.unwrap().subject, "octo");
    }
}

#[tokio::test]
async fn a_token_of_two_lines_is_refused() {
    let bench = Bench::new::<GitHub>(json!({}));
    let ask = bench.login_begin(Flow::Token, "", "").await.unwrap();
    for answer in ["ghp_1\r\nx-evil: 1", "", "two words"] {
        assert!(bench.login_answer(&ask, answer).await.is_err(), "{answer:?}");
    }
}

#[tokio::test]
async fn git_gets_basic_where_the_connection_or_the_route_says_so() {
    let server = MockServer::start();
    let basic = format!("Basic {}", STANDARD.encode("x-access-token:gho_1"));
    let record = super::stored(json!({ "tokens": { "default": { "access_token": "gho_1" } } }));
    let target = |inject: &str| Target { inject: inject.into(), ..Target::default() };

    let mut bench = device_app(&server);
    bench.set_record(&record);
    let sent = bench.acquire_with(&target("basic"), Reason::Missing, None).await.unwrap();
    assert_eq!(sent.fields, [("authorization".to_owned(), basic.clone().into_bytes())]);

    let mut settings = app(&server);
    settings["inject"] = json!("basic");
    bench.set_settings(settings);
    assert_eq!(bench.acquire().await.unwrap().fields, [("authorization".to_owned(), basic.into_bytes())]);
    let sent = bench.acquire_with(&target("bearer"), Reason::Missing, None).await.unwrap();
    assert_eq!(sent.fields, bearer("gho_1"));

    let error = bench.acquire_with(&target("token"), Reason::Missing, None).await.err().unwrap();
    assert_eq!(error.message, "`inject` is bearer or basic, not `token`");
}

#[test]
fn a_route_leads_to_the_api_and_tools_find_it() {
    let described = Bench::new::<GitHub>(json!({ "host": "ghe.example.com", "client_id": "x" }));
    let described = described.describe().unwrap();
    assert_eq!(described.upstream.as_deref(), Some("https://ghe.example.com/api/v3"));
    assert!(described.needs_login);
    let env = [("GITHUB_API_URL", "{base}"), ("GITHUB_TOKEN", "{key}")];
    assert_eq!(described.env, env.map(|(name, template)| (name.to_owned(), template.to_owned())));
}
