//! The provider on the SDK's bench: no host, no network, a clock that moves when told to.

use std::time::Duration;

use ccproxy_plugin_sdk::testing::Bench;
use ccproxy_plugin_sdk::{ErrorCode, Flow, Reason, Request, Response, Target, serde_json};
use ccproxy_provider_acme::AcmeProvider;
use serde_json::{Value, json};

fn answer(status: u16, body: Value) -> Response {
    Response {
        status,
        body: body.to_string().into_bytes(),
        ..Response::default()
    }
}

/// Acme as this plugin sees it: the first refresh token is `r1`, each is good once.
fn acme() -> Bench {
    let mut refresh_token = 0;
    let settings = json!({ "authority": "https://id.test", "client_id": "cli" });
    Bench::new::<AcmeProvider>(settings).with_http(move |request| {
        let form = String::from_utf8_lossy(&request.body).into_owned();
        let spent = format!("refresh_token=r{refresh_token}&");
        Ok(match request.url.as_str() {
            "https://id.test/device_authorization" => answer(
                200,
                json!({
                    "device_code": "d", "user_code": "WXYZ", "expires_in": 600, "interval": 5,
                    "verification_uri": "https://id.test/device",
                }),
            ),
            "https://id.test/token" if form.contains("device_code=d") || form.contains(&spent) => {
                refresh_token += 1;
                let (access, refresh) = (format!("a{refresh_token}"), format!("r{refresh_token}"));
                answer(
                    200,
                    json!({ "access_token": access, "refresh_token": refresh, "expires_in": 3600 }),
                )
            }
            "https://id.test/token" => answer(400, json!({ "error": "invalid_grant" })),
            "https://id.test/userinfo" => {
                answer(200, json!({ "sub": "17", "email": "a@acme.test" }))
            }
            "https://id.test/revoke" => answer(200, json!({})),
            // What the plugin asks as the connection.
            _ => answer(200, json!({ "asked": request.url })),
        })
    })
}

async fn logged_in() -> Bench {
    let bench = acme();
    let code = bench.login_begin(Flow::Device, "", "").await.unwrap();
    assert_eq!(
        (code.kind, &code.data["user_code"]),
        ("user_code", &json!("WXYZ"))
    );
    bench.commit(&bench.login_poll(&code).await.unwrap());
    bench
}

async fn token(bench: &Bench) -> String {
    let credential = bench.acquire().await.unwrap();
    String::from_utf8(credential.fields[0].1.clone()).unwrap()
}

#[tokio::test]
async fn a_person_enters_a_code_and_the_account_is_known() {
    let bench = logged_in().await;
    assert_eq!(token(&bench).await, "Bearer a1");
    assert_eq!(bench.probe().await.unwrap().display_name, "a@acme.test");
}

#[tokio::test]
async fn a_person_pastes_a_token() {
    let bench = acme();
    let ask = bench.login_begin(Flow::Token, "", "").await.unwrap();
    assert!(bench.login_answer(&ask, "two\nlines").await.is_err());
    bench.commit(&bench.login_answer(&ask, "pasted").await.unwrap());
    assert_eq!(token(&bench).await, "Bearer pasted");
}

#[tokio::test]
async fn a_token_near_its_end_is_renewed_and_the_rotated_refresh_token_is_stored() {
    let bench = logged_in().await;
    bench.advance(Duration::from_secs(3595));
    assert_eq!(token(&bench).await, "Bearer a2");
    assert_eq!(bench.record().unwrap()["refresh_token"], "r2");
    bench.advance(Duration::from_secs(3595));
    assert_eq!(token(&bench).await, "Bearer a3");
}

#[tokio::test]
async fn a_renewed_token_that_cannot_be_stored_is_not_used() {
    let bench = logged_in().await;
    bench.advance(Duration::from_secs(3595));
    bench.fail_writes(true);
    assert_eq!(
        bench.acquire().await.err().unwrap().code,
        ErrorCode::Storage
    );
}

#[tokio::test]
async fn a_refused_refresh_token_asks_for_a_new_login() {
    let bench = logged_in().await;
    bench.set_record(br#"{"schema_version":1,"access_token":"a","refresh_token":"spent"}"#);
    let refused = bench
        .acquire_with(&Target::default(), Reason::Forced, None)
        .await
        .err()
        .unwrap();
    assert_eq!(refused.code, ErrorCode::ReauthRequired);
}

#[tokio::test]
async fn a_logout_revokes_and_forgets() {
    let bench = logged_in().await;
    assert!(bench.logout(true).await.unwrap().revoked);
    assert!(bench.record().is_none());
}

#[tokio::test]
async fn its_own_path_command_and_event() {
    let bench = logged_in().await;
    bench
        .hear(&json!({ "event": "oauth.refresh.response", "provider": "acme" }))
        .await
        .unwrap();
    bench
        .hear(&json!({ "event": "oauth.refresh.response", "provider": "other" }))
        .await
        .unwrap();
    let heard = bench.handle(Request::get("heard?x=y")).await.unwrap();
    assert_eq!(
        (heard.status, heard.body.as_slice()),
        (200, &br#"{"oauth.refresh.response":1}"#[..])
    );

    assert_eq!(
        bench
            .handle(Request::post("webhook", "four"))
            .await
            .unwrap()
            .status,
        204
    );
    assert_eq!(
        bench.emitted(),
        [("webhook".to_owned(), json!({ "bytes": 4 }))]
    );

    // The bench has one connection, `test`.
    let got = bench.command(&["get", "/v1/me", "test"]).await.unwrap();
    assert_eq!(got.stdout, br#"{"asked":"https://api.acme.example/v1/me"}"#);
    let unknown = bench.command(&["get", "/", "nobody"]).await.err().unwrap();
    assert_eq!(unknown.hint.as_deref(), Some("known: test"));
}
