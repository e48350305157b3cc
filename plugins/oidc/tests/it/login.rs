//! Browser logins, and whose they turn out to be.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ccproxy_plugin_sdk::{Account, ErrorCode, Flow, LoginRequest, TokenSnapshot, TokenView};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use super::issuer::{Issuer, REDIRECT_URI, STATE, injected, query};

fn tokens() -> Value {
    json!({"access_token": "at-1", "refresh_token": "rt-1", "expires_in": 60, "token_type": "Bearer"})
}

fn alice() -> Account {
    Account { subject: "alice".into(), display_name: "alice@example.com".into(), host: "127.0.0.1".into() }
}

#[tokio::test]
async fn a_browser_login_with_discovery_and_pkce() {
    let issuer = Issuer::start();
    let bench = issuer.bench();
    let step = bench.login_begin(Flow::Browser, REDIRECT_URI, STATE).await.unwrap();
    assert_eq!(step.kind, "open_url");
    let url = step.data["url"].as_str().unwrap();
    assert!(url.starts_with(&issuer.url("/auth?")), "{url}");
    let asked = query(url);
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "cli"),
        ("redirect_uri", REDIRECT_URI),
        ("state", STATE),
        ("scope", "openid offline_access"),
        ("code_challenge_method", "S256"),
        ("prompt", "consent"),
    ] {
        assert_eq!(asked.get(name).map(String::as_str), Some(value), "{name}");
    }

    let challenge = asked["code_challenge"].clone();
    let mut answer = tokens();
    answer["scope"] = "openid offline_access".into();
    answer["id_token"] = issuer.id_token(&bench, json!({"nonce": asked["nonce"]})).into();
    let token = issuer.answer_if(
        "/token",
        |when| {
            super::issuer::with_form(
                when,
                &[
                    ("grant_type", "authorization_code"),
                    ("code", "c-1"),
                    ("redirect_uri", REDIRECT_URI),
                    ("client_id", "cli"),
                ],
            )
            .header_missing("authorization")
            .is_true(move |request| {
                let form: Vec<_> = url::form_urlencoded::parse(request.body_ref()).into_owned().collect();
                let verifier = form.iter().find(|(name, _)| name == "code_verifier");
                verifier.is_some_and(|(_, verifier)| {
                    use sha2::Digest as _;
                    URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(verifier)) == challenge
                })
            })
        },
        200,
        answer,
    );
    let done = bench.login_redirect(&step, &format!("code=c-1&state={STATE}")).await.unwrap();
    token.assert();
    assert_eq!(done.kind, "done");
    let scopes = vec!["openid".to_owned(), "offline_access".to_owned()];
    assert_eq!(
        done.view,
        Some(TokenSnapshot {
            account: Some(alice()),
            tokens: vec![TokenView {
                target: "default".into(),
                expires_at: Some(bench.now().plus(std::time::Duration::from_secs(60))),
                fingerprint: ccproxy_plugin_sdk::fingerprint(&ccproxy_plugin_sdk::Secret::new("at-1")),
            }],
            scopes_requested: scopes.clone(),
            scopes_granted: Some(scopes),
            refreshable: true,
        })
    );

    bench.commit(&done);
    let credential = bench.acquire().await.unwrap();
    assert_eq!(injected(&credential), "Bearer at-1");
    assert_eq!(credential.generation, bench.generation());
}

#[tokio::test]
async fn the_redirect_of_another_login_is_refused_and_spends_nothing() {
    let issuer = Issuer::start();
    let bench = issuer.bench();
    let token = issuer.answer("/token", &[], 200, tokens());
    let step = bench.login_begin(Flow::Paste, REDIRECT_URI, STATE).await.unwrap();
    for foreign in ["code=c&state=other", "code=c", "error=access_denied&state=other"] {
        let error = bench.login_redirect(&step, foreign).await.err().unwrap();
        assert_eq!(error.code, ErrorCode::InvalidResponse);
    }
    token.assert_calls(0);
}

#[tokio::test]
async fn a_redirect_of_another_issuer_is_refused() {
    let issuer = Issuer::start_with(json!({"authorization_response_iss_parameter_supported": true}));
    let bench = issuer.bench();
    let token = issuer.answer("/token", &[], 200, tokens());
    let step = bench.login_begin(Flow::Browser, REDIRECT_URI, STATE).await.unwrap();
    for iss in ["&iss=https%3A%2F%2Fevil.example.com", ""] {
        let error = bench.login_redirect(&step, &format!("code=c&state={STATE}{iss}")).await.err().unwrap();
        assert_eq!(error.code, ErrorCode::InvalidResponse);
    }
    token.assert_calls(0);
}

#[tokio::test]
async fn a_person_who_says_no_is_told_so() {
    let issuer = Issuer::start();
    let bench = issuer.bench();
    let step = bench.login_begin(Flow::Browser, REDIRECT_URI, STATE).await.unwrap();
    for (query, code) in [
        ("error=access_denied&error_description=User+denied", ErrorCode::AccessDenied),
        ("error=consent_required", ErrorCode::ConsentRequired),
        ("error=temporarily_unavailable", ErrorCode::ProviderUnavailable),
    ] {
        let error = bench.login_redirect(&step, &format!("{query}&state={STATE}")).await.err().unwrap();
        assert_eq!(error.code, code, "{query}");
    }
}

#[tokio::test]
async fn pkce_can_be_turned_off_by_a_person_only() {
    let without = Issuer::start_with(json!({"code_challenge_methods_supported": ["plain"]}));
    let error = without.bench().login_begin(Flow::Browser, REDIRECT_URI, STATE).await.err().unwrap();
    assert_eq!(error.code, ErrorCode::InvalidConfig);
    assert!(error.hint.unwrap().contains("pkce = \"off\""));

    let bench = without.bench_with(json!({"pkce": "off"}));
    let step = bench.login_begin(Flow::Browser, REDIRECT_URI, STATE).await.unwrap();
    let asked = query(step.data["url"].as_str().unwrap());
    assert_eq!(asked.get("code_challenge"), None);
    // Then only the ID token binds the code to this login, so there must be one.
    let error = without.log_in(&bench, tokens(), Value::Null).await.err().unwrap();
    assert_eq!(error.code, ErrorCode::InvalidResponse);
    assert!(without.log_in(&bench, tokens(), json!({})).await.is_ok());
}

#[tokio::test]
async fn wishes_of_the_settings_are_asked_for() {
    let issuer = Issuer::start();
    let bench = issuer.bench_with(json!({
        "audience": "https://api.example.com",
        "resource": "urn:api",
        "extra_params": {"prompt": "select_account", "login_hint": "a@b"},
    }));
    let step = bench.login_begin(Flow::Browser, REDIRECT_URI, STATE).await.unwrap();
    let asked = query(step.data["url"].as_str().unwrap());
    assert_eq!(asked["audience"], "https://api.example.com");
    assert_eq!(asked["resource"], "urn:api");
    assert_eq!(asked["prompt"], "select_account", "what a person wrote wins over what we would add");
    assert_eq!(asked["login_hint"], "a@b");
    let token = issuer.answer("/token", &[("resource", "urn:api"), ("code", "c")], 200, tokens());
    issuer.serve("/userinfo", json!({"sub": "alice"}));
    bench.login_redirect(&step, &format!("code=c&state={STATE}")).await.unwrap();
    token.assert();
}

#[tokio::test]
async fn scopes_default_to_what_the_issuer_offers() {
    for (supported, scopes) in [
        (json!(["openid", "offline_access"]), "openid offline_access"),
        (json!(["openid"]), "openid"),
        (json!(null), "openid"),
    ] {
        let issuer = Issuer::start_with(json!({"scopes_supported": supported}));
        let bench = issuer.bench_with(json!({"scopes": null}));
        let step = bench.login_begin(Flow::Browser, REDIRECT_URI, STATE).await.unwrap();
        assert_eq!(query(step.data["url"].as_str().unwrap())["scope"], scopes);
    }
}

#[tokio::test]
async fn scopes_and_force_of_the_command_line_win() {
    let issuer = Issuer::start();
    let login = |scopes: &[&str]| LoginRequest {
        flow: Flow::Browser,
        redirect_uri: REDIRECT_URI.into(),
        state: STATE.into(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        force: true,
    };
    for (scopes, scope, prompt) in
        [(vec!["openid"], "openid", "login"), (vec![], "openid offline_access", "login consent")]
    {
        let step = issuer.bench().login(login(&scopes)).await.unwrap();
        let asked = query(step.data["url"].as_str().unwrap());
        assert_eq!((asked["scope"].as_str(), asked["prompt"].as_str()), (scope, prompt));
    }
}

#[tokio::test]
async fn an_id_token_of_another_login_is_refused() {
    let issuer = Issuer::start();
    for claims in
        [json!({"nonce": "other"}), json!({"aud": "web"}), json!({"iss": "https://evil.example.com"})]
    {
        let error = issuer.log_in(&issuer.bench(), tokens(), claims.clone()).await.err().unwrap();
        assert_eq!(error.code, ErrorCode::InvalidResponse, "{claims}");
    }
}

#[tokio::test]
async fn userinfo_completes_a_bare_id_token() {
    let issuer = Issuer::start();
    let bench = issuer.bench();
    issuer.serve("/userinfo", json!({"sub": "alice", "email": "alice@example.com"}));
    let done = issuer.log_in(&bench, tokens(), json!({"email": null})).await.unwrap();
    assert_eq!(done.view.unwrap().account, Some(alice()));
}

#[tokio::test]
async fn userinfo_of_another_subject_is_refused() {
    let issuer = Issuer::start();
    issuer.serve("/userinfo", json!({"sub": "mallory", "email": "alice@example.com"}));
    let error = issuer.log_in(&issuer.bench(), tokens(), json!({"email": null})).await.err().unwrap();
    assert_eq!(error.code, ErrorCode::InvalidResponse);
    assert_eq!(error.message, "the userinfo endpoint answered for another `sub`");
}

#[tokio::test]
async fn a_silent_userinfo_leaves_the_subject() {
    let issuer = Issuer::start();
    let done = issuer.log_in(&issuer.bench(), tokens(), json!({"email": null, "name": "Alice"})).await;
    let account = done.unwrap().view.unwrap().account.unwrap();
    assert_eq!((account.subject.as_str(), account.display_name.as_str()), ("alice", "Alice"));
}

#[tokio::test]
async fn another_claim_may_name_the_account() {
    let issuer = Issuer::start();
    let bench = issuer.bench_with(json!({"account_claim": "upn"}));
    let done = issuer.log_in(&bench, tokens(), json!({"upn": "alice\u{1b}[31m@corp"})).await.unwrap();
    assert_eq!(done.view.unwrap().account.unwrap().display_name, "alice[31m@corp");
}

#[tokio::test]
async fn without_an_id_token_others_are_asked_who_it_was() {
    let issuer = Issuer::start_with(json!({"userinfo_endpoint": null}));
    let introspection = issuer.answer(
        "/introspect",
        &[("token", "at-1")],
        200,
        json!({"active": true, "sub": "alice", "username": "alice"}),
    );
    let done = issuer.log_in(&issuer.bench(), tokens(), Value::Null).await.unwrap();
    introspection.assert();
    let account = done.view.unwrap().account.unwrap();
    assert_eq!((account.subject.as_str(), account.display_name.as_str()), ("alice", "alice"));

    let mute = Issuer::start_with(json!({"userinfo_endpoint": null, "introspection_endpoint": null}));
    let done = mute.log_in(&mute.bench(), tokens(), Value::Null).await.unwrap();
    assert_eq!(done.view.unwrap().account.unwrap().subject, "cli");
}

#[tokio::test]
async fn a_login_without_a_required_scope_is_refused() {
    let issuer = Issuer::start();
    let bench = issuer.bench_with(json!({"required_scopes": ["openid", "api:write"]}));
    let mut fewer = tokens();
    fewer["scope"] = "openid api:read".into();
    let error = issuer.log_in(&bench, fewer, json!({})).await.err().unwrap();
    assert_eq!(error.code, ErrorCode::ConsentRequired);
    assert_eq!(error.message, "the login was granted without the required scopes: api:write");
    let mut enough = tokens();
    enough["scope"] = "api:write openid".into();
    assert!(issuer.log_in(&bench, enough, json!({})).await.is_ok());
}

#[tokio::test]
async fn endpoints_by_hand_need_no_discovery() {
    let issuer = Issuer::start();
    let bench = ccproxy_plugin_sdk::testing::Bench::new::<crate::Oidc>(json!({
        "client_id": "cli",
        "authorization_endpoint": issuer.url("/by-hand?p=policy"),
        "token_endpoint": issuer.url("/token"),
    }));
    let step = bench.login_begin(Flow::Browser, REDIRECT_URI, STATE).await.unwrap();
    let url = step.data["url"].as_str().unwrap();
    assert!(url.starts_with(&issuer.url("/by-hand?p=policy&")), "{url}");
    let asked = query(url);
    assert_eq!((asked.get("scope"), asked.get("nonce")), (None, None));
    issuer.answer("/token", &[("code", "c")], 200, tokens());
    let done = bench.login_redirect(&step, &format!("code=c&state={STATE}")).await.unwrap();
    assert_eq!(done.view.unwrap().account.unwrap().subject, "cli");
}

#[tokio::test]
async fn one_endpoint_by_hand_wins_over_discovery() {
    let issuer = Issuer::start();
    let bench = issuer.bench_with(json!({"authorization_endpoint": issuer.url("/by-hand")}));
    let step = bench.login_begin(Flow::Browser, REDIRECT_URI, STATE).await.unwrap();
    assert!(step.data["url"].as_str().unwrap().starts_with(&issuer.url("/by-hand?")));
}

#[tokio::test]
async fn a_token_of_ones_own_is_looked_at_and_stored() {
    let issuer = Issuer::start();
    let bench = issuer.bench();
    issuer.server.mock(|when, then| {
        when.path("/userinfo").header("authorization", "Bearer my-token");
        then.status(200).json_body(json!({"sub": "alice", "email": "alice@example.com"}));
    });
    issuer.server.mock(|when, then| {
        when.path("/userinfo").header("authorization", "Bearer dead");
        then.status(401);
    });
    let ask = bench.login_begin(Flow::Token, "", "").await.unwrap();
    assert_eq!((ask.kind, &ask.data["secret"]), ("ask", &json!(true)));
    for (answer, code) in [
        ("", ErrorCode::CredentialsRejected),
        ("two words", ErrorCode::CredentialsRejected),
        ("dead", ErrorCode::ReauthRequired),
    ] {
        assert_eq!(bench.login_answer(&ask, answer).await.err().unwrap().code, code, "{answer}");
    }
    let done = bench.login_answer(&ask, " my-token\n").await.unwrap();
    assert_eq!(done.view.as_ref().unwrap().account, Some(alice()));
    bench.commit(&done);
    assert_eq!(injected(&bench.acquire().await.unwrap()), "Bearer my-token");
}

#[tokio::test]
async fn the_probe_asks_userinfo_with_the_stored_token() {
    let issuer = Issuer::start();
    let bench = issuer.logged_in(json!({})).await;
    let mut userinfo = issuer.serve("/userinfo", json!({"sub": "alice", "email": "new@example.com"}));
    assert_eq!(bench.probe().await.unwrap().display_name, "new@example.com");
    userinfo.delete();
    let mut other = issuer.serve("/userinfo", json!({"sub": "mallory"}));
    assert_eq!(bench.probe().await.err().unwrap().code, ErrorCode::InvalidResponse);
    other.delete();
    issuer.server.mock(|when, then| {
        when.path("/userinfo");
        then.status(401);
    });
    assert_eq!(bench.probe().await.err().unwrap().code, ErrorCode::ReauthRequired);
    bench.advance(std::time::Duration::from_secs(61));
    assert_eq!(bench.probe().await.unwrap(), alice(), "a dead token proves nothing; the record says who");
}
