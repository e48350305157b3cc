//! Logging in: by browser, by device, with a token one has.

use std::time::Duration;

use ccproxy_plugin_sdk::{ErrorCode, Flow, LoginRequest, Reason};
use pretty_assertions::assert_eq;
use serde_json::json;

use super::entra::{
    ARM, Entra, GRAPH, OPENID, REDIRECT, STATE, TENANT, bearer, id_token, parameters, refusal, scopes,
    with_form,
};

fn forced(flow: Flow, scopes: &[&str]) -> LoginRequest {
    LoginRequest {
        flow,
        redirect_uri: REDIRECT.into(),
        state: STATE.into(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        force: true,
    }
}

#[tokio::test]
async fn a_browser_login_asks_for_the_upstreams_default_and_openids_scopes() {
    let entra = Entra::start();
    let open = entra.bench().login_begin(Flow::Browser, REDIRECT, STATE).await.unwrap();
    let url = open.data["url"].as_str().unwrap();
    assert!(url.starts_with(&format!("{}/organizations/oauth2/v2.0/authorize?", entra.authority())), "{url}");
    let mut asked = parameters(url);
    assert_eq!(asked.remove("code_challenge").unwrap().len(), 43);
    assert!(asked.remove("nonce").is_some_and(|nonce| nonce.len() >= 43));
    let expected = [
        ("client_id", "app"),
        ("code_challenge_method", "S256"),
        ("redirect_uri", REDIRECT),
        ("response_type", "code"),
        ("scope", &format!("{OPENID} {GRAPH}")),
        ("state", STATE),
    ];
    assert_eq!(asked, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
}

#[tokio::test]
async fn a_public_client_spends_its_code_without_a_secret() {
    let entra = Entra::start();
    let bench = entra.bench();
    let open = bench.login_begin(Flow::Browser, REDIRECT, STATE).await.unwrap();
    let mut claims = entra.claims(&bench);
    claims["nonce"] = parameters(open.data["url"].as_str().unwrap())["nonce"].clone().into();
    let mut answer = entra.granted("at-1");
    answer["id_token"] = id_token(&claims).into();
    let exchange = entra.answer(
        "oauth2/v2.0/token",
        |when| {
            with_form(when, &[("code", "c"), ("client_id", "app"), ("redirect_uri", REDIRECT)])
                .form_urlencoded_tuple_exists("code_verifier")
                .form_urlencoded_tuple_missing("client_secret")
                .header_missing("authorization")
        },
        200,
        answer,
    );
    let done = bench.login_redirect(&open, &format!("code=c&state={STATE}&session_state=0c")).await.unwrap();
    exchange.assert();
    bench.commit(&done);
    assert_eq!(bearer(&bench.acquire().await.unwrap()), "at-1");
}

#[tokio::test]
async fn a_lifetime_that_is_a_text_counts_and_the_extended_one_does_not() {
    let entra = Entra::start();
    let bench = entra.logged_in().await;
    let credential = bench.acquire().await.unwrap();
    assert_eq!(credential.expires_at, Some(bench.now().plus(Duration::from_secs(3599))));
}

#[tokio::test]
async fn prompt_is_passed_on_and_a_forced_login_asks_which_account() {
    let entra = Entra::start();
    let prompt = async |settings, login| {
        let open = entra.bench_with(settings).login(login).await.unwrap();
        parameters(open.data["url"].as_str().unwrap()).remove("prompt")
    };
    let plain = LoginRequest { force: false, ..forced(Flow::Browser, &[]) };
    assert_eq!(prompt(json!({}), plain.clone()).await, None);
    assert_eq!(prompt(json!({}), forced(Flow::Browser, &[])).await.as_deref(), Some("select_account"));
    assert_eq!(prompt(json!({ "prompt": "consent" }), plain).await.as_deref(), Some("consent"));
}

#[tokio::test]
async fn prompt_none_fails_in_the_redirect_and_says_to_log_in_in_person() {
    let entra = Entra::start();
    let bench = entra.bench_with(json!({ "prompt": "none" }));
    for error in ["login_required", "interaction_required"] {
        let open = bench.login_begin(Flow::Browser, REDIRECT, STATE).await.unwrap();
        let query =
            format!("error={error}&error_description=AADSTS50058%3a+No+session.%0d%0aTrace+ID&state={STATE}");
        let refused = bench.login_redirect(&open, &query).await.err().unwrap();
        assert_eq!(refused.code, ErrorCode::ReauthRequired);
        assert_eq!(refused.message, format!("Entra answered `{error}`: AADSTS50058: No session."));
    }
}

#[tokio::test]
async fn admin_consent_is_the_first_page_of_a_login_that_then_goes_on() {
    let entra = Entra::start();
    let bench = entra.bench_with(json!({ "admin_consent": true }));
    for flow in [Flow::Browser, Flow::Paste] {
        let consent = bench.login_begin(flow, REDIRECT, STATE).await.unwrap();
        let url = consent.data["url"].as_str().unwrap();
        assert!(url.starts_with(&format!("{}/organizations/v2.0/adminconsent?", entra.authority())), "{url}");
        let expected = [("client_id", "app"), ("redirect_uri", REDIRECT), ("scope", GRAPH), ("state", STATE)];
        assert_eq!(parameters(url), expected.map(|(name, value)| (name.into(), value.into())).into());

        let query = format!("admin_consent=True&tenant={TENANT}&state={STATE}");
        let open = bench.login_redirect(&consent, &query).await.unwrap();
        let url = open.data["url"].as_str().unwrap();
        assert!(url.contains("/organizations/oauth2/v2.0/authorize?"), "{url}");
        let asked = parameters(url);
        assert_eq!(
            (asked["scope"].as_str(), asked["state"].as_str()),
            (&*format!("{OPENID} {GRAPH}"), STATE)
        );
    }
    assert_eq!(bench.login_begin(Flow::Token, "", "").await.unwrap().kind, "ask");
}

#[tokio::test]
async fn an_administrator_who_says_no_ends_the_login_in_one_line() {
    let entra = Entra::start();
    let bench = entra.bench_with(json!({ "admin_consent": true }));
    let refused = async |query: &str| {
        let consent = bench.login_begin(Flow::Browser, REDIRECT, STATE).await.unwrap();
        bench.login_redirect(&consent, query).await.err().unwrap()
    };
    let declined = "error_description=AADSTS65004%3a+User+declined+to+consent.%0d%0aTrace+ID%3a+x";
    let error = refused(&format!("error=access_denied&{declined}&state={STATE}")).await;
    assert_eq!(error.code, ErrorCode::AccessDenied);
    assert_eq!(error.message, "Entra answered `access_denied`: AADSTS65004: User declined to consent.");
    assert!(error.hint.unwrap().contains("an administrator has to agree"));
    let granted = format!("admin_consent=True&tenant={TENANT}");
    for query in [
        format!("{granted}&state=other"),
        granted,
        format!("admin_consent=False&tenant={TENANT}&state={STATE}"),
        format!("code=c&state={STATE}"),
    ] {
        assert_eq!(refused(&query).await.code, ErrorCode::InvalidResponse, "{query}");
    }
    let personal = entra.bench_with(json!({ "admin_consent": true, "tenant": "consumers" }));
    let error = personal.login_begin(Flow::Browser, REDIRECT, STATE).await.err().unwrap();
    assert_eq!(error.code, ErrorCode::InvalidConfig);
}

#[tokio::test]
async fn a_consent_is_of_the_tenant_that_was_asked_and_common_asks_an_organization() {
    const OTHER_TENANT: &str = "99999999-2222-3333-4444-555555555555";
    let entra = Entra::start();
    let own = entra.bench_with(json!({ "admin_consent": true, "tenant": TENANT }));
    let consent = own.login_begin(Flow::Browser, REDIRECT, STATE).await.unwrap();
    let query = format!("admin_consent=True&tenant={OTHER_TENANT}&state={STATE}");
    let error = own.login_redirect(&consent, &query).await.err().unwrap();
    assert_eq!(error.code, ErrorCode::AccessDenied);
    assert_eq!(error.message, format!("the consent is of another tenant, `{OTHER_TENANT}`"));

    let common = entra.bench_with(json!({ "admin_consent": true, "tenant": "common" }));
    let consent = common.login_begin(Flow::Browser, REDIRECT, STATE).await.unwrap();
    assert!(consent.data["url"].as_str().unwrap().contains("/organizations/v2.0/adminconsent?"));
}

#[tokio::test]
async fn a_forced_login_asks_which_account_after_the_consent_too() {
    let entra = Entra::start();
    let bench = entra.bench_with(json!({ "admin_consent": true }));
    let consent = bench.login(forced(Flow::Browser, &[])).await.unwrap();
    let query = format!("admin_consent=True&tenant={TENANT}&state={STATE}");
    let open = bench.login_redirect(&consent, &query).await.unwrap();
    assert_eq!(parameters(open.data["url"].as_str().unwrap())["prompt"], "select_account");
}

#[tokio::test]
async fn a_device_login_has_no_filled_in_link_and_numbers_that_are_texts() {
    let entra = Entra::start();
    let device = entra.device_code();
    let shown = entra.bench().login_begin(Flow::Device, "", "").await.unwrap();
    device.assert();
    assert_eq!(
        shown.data,
        json!({
            "verification_uri": "https://www.microsoft.com/link",
            "verification_uri_complete": null,
            "user_code": "GTHK4QPD",
        })
    );
    assert_eq!(shown.poll_after, Duration::from_secs(5));
}

#[tokio::test]
async fn a_device_login_waits_while_it_is_pending() {
    let entra = Entra::start();
    entra.device_code();
    let bench = entra.bench();
    let poll = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("device_code", "GAQABAAEAAAD-long-and-secret"),
        ("client_id", "app"),
    ];
    let mut pending = entra.tokens(
        &poll,
        400,
        refusal("authorization_pending", "", "AADSTS70016: Pending end-user authorization."),
    );
    let shown = bench.login_begin(Flow::Device, "", "").await.unwrap();
    let wait = bench.login_poll(&shown).await.unwrap();
    assert_eq!((wait.kind, wait.poll_after), ("wait", Duration::from_secs(5)));
    pending.delete();

    let mut answer = entra.granted("at-1");
    answer["id_token"] = id_token(&entra.claims(&bench)).into();
    entra.tokens(&poll, 200, answer);
    let done = bench.login_poll(&wait).await.unwrap();
    assert_eq!(done.view.as_ref().unwrap().account.as_ref().unwrap().display_name, "alice@contoso.com");
    bench.commit(&done);
    assert_eq!(bearer(&bench.acquire().await.unwrap()), "at-1");
}

#[tokio::test]
async fn a_login_for_another_resource_keeps_its_token_for_that_resource() {
    let entra = Entra::start();
    let bench = entra.bench();
    let open = bench.login(forced(Flow::Browser, &[ARM])).await.unwrap();
    let asked = parameters(open.data["url"].as_str().unwrap());
    assert_eq!(asked["scope"], format!("{OPENID} {ARM}"));
    let mut claims = entra.claims(&bench);
    claims["nonce"] = asked["nonce"].clone().into();
    let mut answer = entra.granted("at-arm");
    answer["id_token"] = id_token(&claims).into();
    entra.tokens(&[("grant_type", "authorization_code")], 200, answer);
    let done = bench.login_redirect(&open, &format!("code=c&state={STATE}")).await.unwrap();
    bench.commit(&done);

    let arm = bench.acquire_with(&scopes(&[ARM]), Reason::Missing, None).await.unwrap();
    assert_eq!(bearer(&arm), "at-arm");
    // The connection's own resource is another one: its token comes by the refresh token.
    let refresh = entra.tokens(&[("refresh_token", "rt-of-at-arm")], 200, entra.granted("at-graph"));
    assert_eq!(bearer(&bench.acquire().await.unwrap()), "at-graph");
    refresh.assert();
}

#[tokio::test]
async fn a_token_one_has_will_do() {
    let bench = Entra::start().bench();
    let ask = bench.login_begin(Flow::Token, "", "").await.unwrap();
    assert_eq!((ask.kind, ask.data["secret"].as_bool()), ("ask", Some(true)));
    let done = bench.login_answer(&ask, "eyJ0.of.az\n").await.unwrap();
    bench.commit(&done);
    assert_eq!(bearer(&bench.acquire().await.unwrap()), "eyJ0.of.az");
    for wrong in ["", "two words", "a\r\nx-evil: 1"] {
        assert!(bench.login_answer(&ask, wrong).await.is_err(), "{wrong:?}");
    }
}
