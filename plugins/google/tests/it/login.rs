//! Logging in: by browser, by paste, with a token one has; and whose login it turns out to be.

use ccproxy_plugin_sdk::testing::Bench;
use ccproxy_plugin_sdk::{Account, ErrorCode, Flow, LoginRequest};
use pretty_assertions::assert_eq;
use serde_json::json;

use super::google::{DRIVE, EMAIL, Google, REDIRECT_URI, SECRET, asked, bearer, tokens};

fn login(flow: Flow, force: bool) -> LoginRequest {
    LoginRequest { flow, redirect_uri: REDIRECT_URI.into(), state: "s".into(), scopes: vec![], force }
}

#[tokio::test]
async fn a_browser_login_asks_for_offline_access_with_consent_and_binds_its_code() {
    let google = Google::start();
    for flow in [Flow::Browser, Flow::Paste] {
        let step = google.bench().login(login(flow, false)).await.unwrap();
        let url = step.data["url"].as_str().unwrap();
        assert!(url.starts_with(&format!("{}/o/oauth2/v2/auth?", google.server.base_url())), "{url}");
        let mut asked = asked(&step);
        assert_eq!(asked.remove("code_challenge").unwrap().len(), 43);
        assert_eq!(asked.remove("nonce").unwrap().len(), 43);
        let scope = format!("openid email {DRIVE}");
        let expected = [
            ("access_type", "offline"),
            ("client_id", "app.test"),
            ("code_challenge_method", "S256"),
            ("prompt", "consent"),
            ("redirect_uri", REDIRECT_URI),
            ("response_type", "code"),
            ("scope", &scope),
            ("state", "s"),
        ];
        assert_eq!(asked, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }
}

#[tokio::test]
async fn a_login_by_force_lets_another_account_be_chosen() {
    let step = Google::start().bench().login(login(Flow::Browser, true)).await.unwrap();
    assert_eq!(asked(&step)["prompt"], "select_account consent");
}

#[tokio::test]
async fn online_access_asks_for_no_consent_and_no_refresh_token() {
    let bench = Google::start().bench_with(json!({ "access_type": "online" }));
    let asked = asked(&bench.login(login(Flow::Browser, false)).await.unwrap());
    assert_eq!((asked["access_type"].as_str(), asked.get("prompt")), ("online", None));
}

#[tokio::test]
async fn the_secret_of_an_installed_app_goes_into_the_body_beside_the_verifier() {
    let google = Google::start();
    let bench = google.bench();
    let step = bench.login_begin(Flow::Browser, REDIRECT_URI, "s").await.unwrap();
    let mut answer = tokens();
    answer["id_token"] = google.id_token(&bench, json!({ "nonce": asked(&step)["nonce"] })).into();
    let exchange = google.server.mock(|when, then| {
        when.method("POST")
            .path("/token")
            .form_urlencoded_tuple("client_id", "app.test")
            .form_urlencoded_tuple("client_secret", SECRET)
            .form_urlencoded_tuple_exists("code_verifier")
            .header_missing("authorization");
        then.status(200).json_body(answer);
    });
    let done = bench.login_redirect(&step, "code=c&state=s").await.unwrap();
    exchange.assert();
    bench.commit(&done);
    assert_eq!(bench.acquire().await.unwrap().fields, bearer("ya29.1"));
}

#[tokio::test]
async fn the_account_comes_from_the_id_token() {
    let google = Google::start();
    let userinfo = google.knows("ya29.1", json!({ "sub": "x" }));
    let done = google.log_in(&google.bench(), tokens(), json!({})).await.unwrap();
    assert_eq!(
        done.view.unwrap().account,
        Some(Account {
            subject: "10769150350006150715113082367".into(),
            display_name: "ann@gmail.com".into(),
            host: "127.0.0.1".into()
        })
    );
    userinfo.assert_calls(0);
}

#[tokio::test]
async fn an_id_token_of_another_issuer_client_or_login_is_refused() {
    let google = Google::start();
    for (claims, why) in [
        (json!({ "iss": "https://accounts.example.com" }), "the ID token has another `iss`"),
        (json!({ "aud": "another" }), "the ID token is for another client (`aud`)"),
        (json!({ "nonce": "another" }), "the ID token is not of this login (`nonce`)"),
    ] {
        let error = google.log_in(&google.bench(), tokens(), claims).await.err().unwrap();
        assert_eq!((error.code, error.message.as_str()), (ErrorCode::InvalidResponse, why));
    }
}

#[tokio::test]
async fn scopes_granted_in_another_order_and_in_full_are_kept_as_they_came() {
    let google = Google::start();
    let view = google.log_in(&google.bench(), tokens(), json!({})).await.unwrap().view.unwrap();
    assert_eq!(view.scopes_requested, ["openid", "email", DRIVE]);
    assert_eq!(view.scopes_granted.unwrap(), [DRIVE, "openid", EMAIL]);
}

#[tokio::test]
async fn a_token_one_has_is_looked_at_before_it_is_kept() {
    let google = Google::start();
    google.knows("ya29.mine", json!({ "sub": "1", "email": "ann@gmail.com" }));
    let bench = google.bench_with(json!({ "client_id": null, "client_secret": null }));
    let ask = bench.login_begin(Flow::Token, "", "").await.unwrap();
    assert_eq!((ask.kind, ask.data["secret"].as_bool()), ("ask", Some(true)));
    let done = bench.login_answer(&ask, "ya29.mine\n").await.unwrap();
    bench.commit(&done);
    assert_eq!(bench.acquire().await.unwrap().fields, bearer("ya29.mine"));
    assert_eq!(bench.probe().await.unwrap().display_name, "ann@gmail.com");

    google.server.mock(|when, then| {
        when.path("/oauth2/v3/userinfo").header("authorization", "Bearer ya29.dead");
        then.status(401).json_body(json!({ "error": "invalid_request" }));
    });
    let error = bench.login_answer(&ask, "ya29.dead").await.err().unwrap();
    assert_eq!(
        (error.code, error.message.as_str()),
        (ErrorCode::CredentialsRejected, "Google refused the token")
    );
}

#[test]
fn a_route_leads_to_googles_apis_unless_told_otherwise() {
    let described = |settings| Bench::new::<crate::Google>(settings).describe().unwrap();
    let usual = described(json!({}));
    assert_eq!(usual.upstream.as_deref(), Some("https://www.googleapis.com"));
    assert_eq!(usual.flows, ["browser", "device", "paste", "token"]);
    assert!(usual.needs_login);
    let gmail = described(json!({ "upstream": "https://gmail.googleapis.com" }));
    assert_eq!(gmail.upstream.as_deref(), Some("https://gmail.googleapis.com"));
}

#[tokio::test]
async fn there_are_no_client_credentials() {
    let error = Google::start().bench().login_begin(Flow::ClientCredentials, "", "").await.err().unwrap();
    assert_eq!(error.code, ErrorCode::Unsupported);
}
