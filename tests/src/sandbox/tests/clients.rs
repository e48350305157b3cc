use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use super::*;

/// The status and the error code of a client credentials request.
async fn client_credentials(
    sandbox: &Sandbox,
    basic: Option<&str>,
    fields: &[(&str, &str)],
) -> (u16, Option<String>) {
    let fields = [&[("grant_type", "client_credentials")], fields].concat();
    let mut call = Call::form(&format!("{}/token", sandbox.issuer()), &fields);
    if let Some(pair) = basic {
        call = call.header("authorization", &format!("Basic {}", STANDARD.encode(pair)));
    }
    let answer = call.send().await;
    (answer.status.as_u16(), answer.json()["error"].as_str().map(str::to_owned))
}

fn error(status: u16, code: &str) -> (u16, Option<String>) {
    (status, Some(code.to_owned()))
}

#[tokio::test]
async fn basic_must_be_form_urlencoded() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let encoded = "svc:svc%3Ase%2Bcr%2Fet+%25";
    assert_eq!(client_credentials(&sandbox, Some(encoded), &[]).await, (200, None));
    let raw = "svc:svc:se+cr/et %";
    assert_eq!(client_credentials(&sandbox, Some(raw), &[]).await, error(400, "invalid_request"));
    // Encoded in part: a plus sign that stays one means a space.
    let half = "svc:svc%3Ase+cr%2Fet+%25";
    assert_eq!(client_credentials(&sandbox, Some(half), &[]).await, error(401, "invalid_client"));
}

#[tokio::test]
async fn the_raw_client_takes_only_what_is_not_encoded() {
    let sandbox = Sandbox::start_default().await.unwrap();
    assert_eq!(client_credentials(&sandbox, Some("raw:raw:se+cret"), &[]).await, (200, None));
    let encoded = "raw:raw%3Ase%2Bcret";
    assert_eq!(client_credentials(&sandbox, Some(encoded), &[]).await, error(401, "invalid_client"));
}

#[tokio::test]
async fn each_client_proves_itself_in_its_own_way_only() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let web = [("client_id", "web"), ("client_secret", "web-secret")];
    let webpost = [("client_id", "webpost"), ("client_secret", "webpost-secret")];
    assert_eq!(client_credentials(&sandbox, Some("web:web-secret"), &[]).await, (200, None));
    assert_eq!(client_credentials(&sandbox, None, &web).await, error(401, "invalid_client"));
    assert_eq!(client_credentials(&sandbox, None, &webpost).await, (200, None));
    assert_eq!(
        client_credentials(&sandbox, Some("webpost:webpost-secret"), &[]).await,
        error(401, "invalid_client")
    );
    assert_eq!(client_credentials(&sandbox, Some("web:wrong"), &[]).await, error(401, "invalid_client"));
    assert_eq!(client_credentials(&sandbox, Some("nobody:x"), &[]).await, error(401, "invalid_client"));
    assert_eq!(
        client_credentials(&sandbox, Some("web:web-secret"), &web).await,
        error(400, "invalid_request")
    );
}

#[tokio::test]
async fn a_public_client_has_no_credentials_of_its_own() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let native = [("client_id", "native")];
    assert_eq!(client_credentials(&sandbox, None, &native).await, error(400, "unauthorized_client"));
    assert_eq!(client_credentials(&sandbox, Some("native:"), &[]).await, error(401, "invalid_client"));
}

#[tokio::test]
async fn a_refused_client_is_challenged() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let answer = token(&sandbox, &[("grant_type", "client_credentials"), ("client_id", "nobody")]).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.header("www-authenticate"), "Basic realm=\"sandbox\"");
}

#[tokio::test]
async fn client_credentials_yield_no_refresh_token() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let fields =
        [("grant_type", "client_credentials"), ("scope", "api:read"), ("resource", "https://api.test")];
    let call = Call::form(&format!("{}/token", sandbox.issuer()), &fields);
    let answer =
        call.header("authorization", &format!("Basic {}", STANDARD.encode("web:web-secret"))).send().await;
    let members: Vec<String> = answer.json().as_object().unwrap().keys().cloned().collect();
    assert_eq!(members, ["access_token", "expires_in", "scope", "token_type"]);
    assert_eq!(sandbox.log()[0].audience.as_deref(), Some("https://api.test"));
}

#[tokio::test]
async fn a_parameter_that_comes_twice_is_refused() {
    let sandbox = Sandbox::start_default().await.unwrap();
    let fields =
        [("client_id", "native"), ("grant_type", "refresh_token"), ("grant_type", "authorization_code")];
    let answer: Value = token(&sandbox, &fields).await.json();
    assert_eq!(answer["error"], json!("invalid_request"));
}
