//! Somebody logs in without a terminal: a script starts the login at the running host and polls it.

use std::time::Duration;

use ccproxy_tests::api::Script;
use ccproxy_tests::corp::Corp;
use ccproxy_tests::http_client::Call;
use ccproxy_tests::sandbox::Settings;
use pretty_assertions::assert_eq;
use serde_json::json;

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
    let page = Call::get(redirect.as_str()).send().await;
    assert_eq!(page.status, 200, "{}", page.text());
    let done = script.until(&id, "done").await;
    assert_eq!((&done["connection"], done.get("url")), (&json!("corp"), None), "{done}");
    assert_eq!(Call::get(&host.url("/corp/strict/x")).send().await.status, 200);
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
