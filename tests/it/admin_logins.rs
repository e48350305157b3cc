//! Somebody logs in without a terminal: a script starts the login at the running host and polls it.

use std::time::Duration;

use ccproxy_tests::api::Script;
use ccproxy_tests::browser;
use ccproxy_tests::corp::{self, Corp};
use ccproxy_tests::http_client::{Answer, Call};
use ccproxy_tests::login::status;
use ccproxy_tests::sandbox::Settings;
use http::Method;
use pretty_assertions::assert_eq;
use serde_json::json;
use url::Url;

#[tokio::test]
async fn a_browser_login_is_started_polled_and_served() {
    let corp = Corp::new(Corp::rotating()).await;
    let host = corp.home.serve().await;
    let mut script = Script::at(&corp.home).await;
    let id = script.start(json!({ "connection": "corp", "flow": "browser" })).await;
    let open = script.until(&id, "open_url").await;
    let again = script.post("/api/v1/logins", json!({ "connection": "corp" })).await;
    assert_eq!((again.0, &again.1["code"]), (409, &json!("conflict")));

    let redirect = corp.sandbox.approve(open["url"].as_str().unwrap(), "alice").await;
    assert!(redirect.as_str().starts_with(open["redirect_uri"].as_str().unwrap()), "{redirect}");
    assert_eq!(open["redirect_uri"], host.url("/_ccproxy/callback"));
    let page = come_back(&redirect, &[]).await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert!(page.text().contains("<code>corp</code> is logged in as alice"), "{}", page.text());
    let done = script.until(&id, "done").await;
    assert_eq!((&done["connection"], done.get("url")), (&json!("corp"), None), "{done}");
    assert_eq!(Call::get(&host.url("/corp/strict/x")).send().await.status, 200);
}

/// What a browser sends when the provider sent it back.
const BROWSER: [(&str, &str); 3] =
    [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];

/// Goes to the callback and to the page after it, as a browser does.
async fn come_back(redirect: &Url, fields: &[(&str, &str)]) -> Answer {
    let get = |url: &str| fields.iter().fold(Call::get(url), |call, (name, value)| call.header(name, value));
    let sent = get(redirect.as_str()).send().await;
    assert_eq!(sent.status, 303, "{}", sent.text());
    let page = redirect.join(sent.header("location")).unwrap();
    assert!(!page.as_str().contains("state=") && !page.as_str().contains("code="), "{page}");
    let shown = get(page.as_str()).send().await;
    for answer in [&sent, &shown] {
        assert_eq!(
            (answer.header("cache-control"), answer.header("referrer-policy")),
            ("no-store", "no-referrer")
        );
        let policy = answer.header("content-security-policy");
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
    }
    // It is shown once: the history of the browser leads nowhere.
    assert!(get(page.as_str()).send().await.status.is_client_error());
    shown
}

#[tokio::test]
async fn each_browser_comes_back_to_its_own_login_and_only_once() {
    let corp = Corp::with_config(Corp::rotating(), |sandbox| {
        corp::connection("work", sandbox.issuer(), sandbox.upstream(), "native")
    })
    .await;
    let host = corp.home.serve().await;
    let mut script = Script::at(&corp.home).await;
    let mut open = Vec::new();
    for (name, user) in [("corp", "alice"), ("work", "bob")] {
        let id = script.start(json!({ "connection": name, "flow": "browser" })).await;
        let url = script.until(&id, "open_url").await["url"].as_str().unwrap().to_owned();
        open.push((id, corp.sandbox.approve(&url, user).await));
    }
    // In the other order than they began.
    for (id, redirect) in open.iter().rev() {
        assert_eq!(come_back(redirect, &BROWSER).await.status, 200);
        script.until(id, "done").await;
    }
    for (name, user) in [("corp", "alice"), ("work", "bob")] {
        assert_eq!(status(&corp.home, name).await["account"]["subject"], user);
    }

    // Once more, as the history of the browser has it, and from a script.
    let (_, spent) = &open[0];
    let again =
        BROWSER.iter().fold(Call::get(spent.as_str()), |call, (name, value)| call.header(name, value));
    let again = again.send().await;
    assert_eq!((again.status.as_u16(), again.header("ccproxy-error")), (403, "origin_not_allowed"));
    let refused = Call::get(spent.as_str()).send().await;
    assert_eq!((refused.status.as_u16(), refused.header("cache-control")), (400, "no-store"));
    assert_eq!(Call::new(Method::POST, spent.as_str()).send().await.status, 405);
    assert_eq!(Call::get(&host.url("/corp/strict/x")).send().await.status, 200);
}

#[tokio::test]
async fn what_the_provider_says_no_with_is_text_on_the_page() {
    let corp = Corp::new(Corp::rotating()).await;
    let _host = corp.home.serve().await;
    let mut script = Script::at(&corp.home).await;
    let id = script.start(json!({ "connection": "corp", "flow": "browser" })).await;
    let open = script.until(&id, "open_url").await;
    let authorize = Url::parse(open["url"].as_str().unwrap()).unwrap();
    let asked = |name: &str| authorize.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
    let mut redirect = Url::parse(&asked("redirect_uri")).unwrap();
    redirect
        .query_pairs_mut()
        .append_pair("error", "access_denied")
        .append_pair("error_description", "<script>alert(1)</script>")
        .append_pair("state", &asked("state"))
        .append_pair("iss", corp.sandbox.issuer());
    let page = come_back(&redirect, &BROWSER).await;
    assert_eq!(page.status, 400);
    assert!(page.text().contains("&lt;script&gt;") && !page.text().contains("<script>"), "{}", page.text());
    let failed = script.until(&id, "failed").await;
    assert_eq!(failed["problem"]["code"], "access_denied", "{failed}");
    assert!(!corp.home.credential("corp").exists());
}

#[tokio::test]
async fn a_browser_that_comes_back_to_a_cancelled_login_is_refused() {
    let corp = Corp::new(Corp::rotating()).await;
    let _host = corp.home.serve().await;
    let mut script = Script::at(&corp.home).await;
    let id = script.start(json!({ "connection": "corp", "flow": "browser" })).await;
    let open = script.until(&id, "open_url").await;
    let redirect = corp.sandbox.approve(open["url"].as_str().unwrap(), "alice").await;
    script.post(&format!("/api/v1/logins/{id}/cancel"), json!({})).await;
    let late =
        BROWSER.iter().fold(Call::get(redirect.as_str()), |call, (name, value)| call.header(name, value));
    assert_eq!(late.send().await.header("ccproxy-error"), "origin_not_allowed");
    assert_eq!(Call::get(redirect.as_str()).send().await.status, 400);
    assert!(!corp.home.credential("corp").exists());
}

#[tokio::test]
async fn chromium_comes_back_to_the_host() {
    let corp = Corp::new(Corp::rotating()).await;
    let host = corp.home.serve().await;
    let mut script = Script::at(&corp.home).await;
    let id = script.start(json!({ "connection": "corp", "flow": "browser" })).await;
    let open = script.until(&id, "open_url").await;
    let last = browser::approve(open["url"].as_str().unwrap()).await;
    assert!(last.text.contains("corp is logged in as alice"), "{last:?}");
    assert_eq!(last.url.path(), "/_ccproxy/callback");
    assert!(last.url.query().unwrap_or_default().starts_with("page="), "{}", last.url);
    script.until(&id, "done").await;
    assert_eq!(Call::get(&host.url("/corp/strict/x")).send().await.status, 200);
}

#[tokio::test]
async fn a_listener_of_its_own_receives_the_browser_where_that_is_asked_for_or_fixed() {
    let corp = Corp::with_config(Corp::rotating(), |sandbox| {
        let fixed = corp::connection("fixed", sandbox.issuer(), sandbox.upstream(), "native");
        format!(
            "{}redirect_uri = \"http://127.0.0.1/callback\"\n",
            fixed.trim_end_matches('\n').to_owned() + "\n"
        )
    })
    .await;
    let host = corp.home.serve().await;
    let mut script = Script::at(&corp.home).await;
    for body in [
        json!({ "connection": "corp", "flow": "browser", "redirect": "listener" }),
        json!({ "connection": "fixed", "flow": "browser" }),
    ] {
        let id = script.start(body).await;
        let open = script.until(&id, "open_url").await;
        let uri = open["redirect_uri"].as_str().unwrap();
        assert!(uri.ends_with("/callback") && !uri.starts_with(&host.url("/")), "{uri}");
        let redirect = corp.sandbox.approve(open["url"].as_str().unwrap(), "alice").await;
        assert_eq!(Call::get(redirect.as_str()).send().await.status, 200);
        script.until(&id, "done").await;
    }
}

#[tokio::test]
async fn a_login_from_another_machine_is_finished_by_pasting_the_address() {
    let corp = Corp::new(Corp::rotating()).await;
    let host = corp.home.serve().await;
    let mut script = Script::at(&corp.home).await;
    let id = script.start(json!({ "connection": "corp", "flow": "paste" })).await;
    let open = script.until(&id, "open_url").await;
    let redirect = corp.sandbox.approve(open["url"].as_str().unwrap(), "alice").await;
    let paste = format!("/api/v1/logins/{id}/paste");
    assert_eq!(script.post(&paste, json!({ "text": "what?" })).await.0, 200);
    assert_eq!(script.post(&paste, json!({ "text": redirect.as_str() })).await.0, 200);
    script.until(&id, "done").await;
    assert_eq!(Call::get(&host.url("/corp/strict/x")).send().await.status, 200);
    assert_eq!(script.post(&paste, json!({ "text": "more" })).await.0, 409);
}

#[tokio::test]
async fn a_device_login_shows_its_code_and_a_cancelled_one_leaves_nothing() {
    let settings = Settings { device_interval: Duration::from_secs(1), ..Corp::rotating() };
    let corp = Corp::new(settings).await;
    let host = corp.home.serve().await;
    let mut script = Script::at(&corp.home).await;

    let id = script.start(json!({ "connection": "corp", "flow": "device" })).await;
    script.until(&id, "user_code").await;
    let (status, cancelled) = script.post(&format!("/api/v1/logins/{id}/cancel"), json!({})).await;
    assert_eq!((status, &cancelled["step"]), (200, &json!("cancelled")));
    assert!(!corp.home.credential("corp").exists());

    let id = script.start(json!({ "connection": "corp", "flow": "device" })).await;
    let code = script.until(&id, "user_code").await;
    assert!(corp.sandbox.approve_device(code["user_code"].as_str().unwrap(), "alice"));
    script.until(&id, "done").await;
    assert_eq!(Call::get(&host.url("/corp/strict/x")).send().await.status, 200);
}

#[tokio::test]
async fn what_cannot_be_meant_is_a_problem_with_its_status() {
    let corp = Corp::new(Corp::rotating()).await;
    let _host = corp.home.serve().await;
    let mut script = Script::at(&corp.home).await;
    for (body, status) in [
        (json!({}), 400),
        (json!({ "connection": "a/b/c" }), 400),
        (json!({ "connection": "corp", "flow": "magic" }), 400),
        (json!({ "conection": "corp" }), 400),
    ] {
        let (answered, problem) = script.post("/api/v1/logins", body).await;
        assert_eq!((answered, &problem["status"]), (status, &json!(status)), "{problem}");
    }
    assert_eq!(script.get("/api/v1/logins/unknown").await.status.as_u16(), 404);
    let id = script.start(json!({ "connection": "crop" })).await;
    let failed = script.until(&id, "failed").await;
    assert!(failed["problem"]["message"].as_str().unwrap().contains("crop"), "{failed}");
}
