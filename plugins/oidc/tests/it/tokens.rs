//! Stored tokens and their renewal.

use std::time::Duration;

use ccproxy_plugin_sdk::{ErrorCode, Reason, Target};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use super::issuer::{Issuer, injected};

const REFRESH: [(&str, &str); 3] =
    [("grant_type", "refresh_token"), ("refresh_token", "rt-1"), ("client_id", "cli")];
const MINUTE: Duration = Duration::from_secs(60);

fn secret(record: &Value, name: &str) -> String {
    record[name].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_dead_token_is_refreshed_and_the_rotation_is_stored_first() {
    let issuer = Issuer::start();
    let bench = issuer.logged_in(json!({})).await;
    let refresh = issuer.answer(
        "/token",
        &REFRESH,
        200,
        json!({"access_token": "at-2", "refresh_token": "rt-2", "expires_in": 60}),
    );
    let before = bench.generation();
    bench.advance(MINUTE);
    let credential = bench.acquire().await.unwrap();
    refresh.assert();
    assert_eq!(injected(&credential), "Bearer at-2");
    assert_eq!(credential.expires_at, Some(bench.now().plus(MINUTE)));
    assert_eq!((credential.generation, bench.generation()), (before + 1, before + 1));
    let record = bench.record().unwrap();
    assert_eq!(secret(&record, "refresh_token"), "rt-2");
    assert_eq!(record["tokens"]["default"]["access_token"], "at-2");
    assert_eq!(record["schema_version"], 2);

    assert_eq!(injected(&bench.acquire().await.unwrap()), "Bearer at-2", "fresh enough: no second refresh");
    refresh.assert_calls(1);
}

#[tokio::test]
async fn an_answer_without_a_refresh_token_keeps_the_old_one() {
    let issuer = Issuer::start();
    let bench = issuer.logged_in(json!({})).await;
    let refresh = issuer.answer("/token", &REFRESH, 200, json!({"access_token": "at-2", "expires_in": "60"}));
    for _ in 0..2 {
        bench.advance(MINUTE);
        bench.acquire().await.unwrap();
    }
    refresh.assert_calls(2);
    assert_eq!(secret(&bench.record().unwrap(), "refresh_token"), "rt-1");
}

#[tokio::test]
async fn a_token_without_a_lifetime_is_good_until_it_is_refused() {
    let issuer = Issuer::start();
    let bench = issuer.logged_in(json!({})).await;
    let refresh = issuer.answer("/token", &REFRESH, 200, json!({"access_token": "at-2"}));
    bench.advance(MINUTE);
    let credential = bench.acquire().await.unwrap();
    assert_eq!(credential.expires_at, None);
    bench.advance(Duration::from_secs(86_400));
    assert_eq!(injected(&bench.acquire().await.unwrap()), "Bearer at-2");
    refresh.assert_calls(1);

    let refused = Some(credential.generation);
    let renewed = bench.acquire_with(&Target::default(), Reason::Rejected, refused).await.unwrap();
    assert!(renewed.generation > credential.generation);
    refresh.assert_calls(2);
    // Another worker was refused with the same old token: the newer one is simply handed out.
    let again = bench.acquire_with(&Target::default(), Reason::Rejected, refused).await.unwrap();
    assert_eq!(again.generation, renewed.generation);
    refresh.assert_calls(2);
}

#[tokio::test]
async fn a_forced_refresh_renews_a_fresh_token() {
    let issuer = Issuer::start();
    let bench = issuer.logged_in(json!({})).await;
    issuer.answer("/token", &REFRESH, 200, json!({"access_token": "at-2", "expires_in": 60}));
    let credential = bench.acquire_with(&Target::default(), Reason::Forced, None).await.unwrap();
    assert_eq!(injected(&credential), "Bearer at-2");
}

#[tokio::test]
async fn each_target_has_its_token_and_all_share_the_grant() {
    let issuer = Issuer::start();
    let bench = issuer.logged_in(json!({})).await;
    let mut first = issuer.answer(
        "/token",
        &[("refresh_token", "rt-1"), ("scope", "api:read"), ("resource", "urn:a"), ("audience", "aud")],
        200,
        json!({"access_token": "at-a", "refresh_token": "rt-2", "expires_in": 60, "scope": "api:read"}),
    );
    let target = Target {
        scopes: vec!["api:read".into()],
        audience: "aud".into(),
        resource: "urn:a".into(),
        inject: String::new(),
    };
    assert_eq!(injected(&bench.acquire_with(&target, Reason::Missing, None).await.unwrap()), "Bearer at-a");
    first.assert();
    first.delete();
    assert_eq!(injected(&bench.acquire().await.unwrap()), "Bearer at-1", "the login's token is untouched");

    // Both expire; the second refresh spends what the first one left.
    bench.advance(MINUTE);
    let second = issuer.answer("/token", &[("refresh_token", "rt-2")], 200, json!({"access_token": "at-2"}));
    assert_eq!(injected(&bench.acquire().await.unwrap()), "Bearer at-2");
    second.assert();
    let view = bench.snapshot().unwrap();
    let targets: Vec<_> = view.tokens.iter().map(|token| token.target.as_str()).collect();
    assert_eq!(targets, ["default", "scopes=api:read audience=aud resource=urn:a"]);
}

#[tokio::test]
async fn basic_injection_carries_the_same_token() {
    let issuer = Issuer::start();
    let bench = issuer.logged_in(json!({})).await;
    let basic = Target { inject: "basic".into(), ..Target::default() };
    let credential = bench.acquire_with(&basic, Reason::Missing, None).await.unwrap();
    // base64 of "x-access-token:at-1"
    assert_eq!(injected(&credential), "Basic eC1hY2Nlc3MtdG9rZW46YXQtMQ==");
    let odd = Target { inject: "cookie".into(), ..Target::default() };
    let error = bench.acquire_with(&odd, Reason::Missing, None).await.err().unwrap();
    assert_eq!(error.code, ErrorCode::InvalidConfig);
}

#[tokio::test]
async fn a_refused_refresh_token_is_final_and_the_record_stays() {
    let issuer = Issuer::start();
    let bench = issuer.logged_in(json!({})).await;
    let before = bench.record_bytes();
    issuer.answer(
        "/token",
        &REFRESH,
        400,
        json!({"error": "invalid_grant", "error_description": "rt-1 has been\u{1b}[2J revoked\r\nTrace: 1"}),
    );
    bench.advance(MINUTE);
    let error = bench.acquire().await.err().unwrap();
    assert_eq!(error.code, ErrorCode::ReauthRequired);
    assert_eq!(error.message, "the authorization server answered `invalid_grant`: *** has been[2J revoked");
    assert_eq!(error.hint.as_deref(), Some("ccproxy auth login test"));
    assert_eq!(bench.record_bytes(), before);
}

#[tokio::test]
async fn failures_of_a_refresh_keep_their_kind_and_the_grant() {
    for (status, body, code) in [
        (400, json!({"error": "invalid_client"}), ErrorCode::CredentialsRejected),
        (400, json!({"error": "interaction_required"}), ErrorCode::ConsentRequired),
        (200, json!({"error": "invalid_grant"}), ErrorCode::ReauthRequired),
        (429, json!("<html>"), ErrorCode::RateLimited),
        (503, json!("<html>"), ErrorCode::ProviderUnavailable),
        (400, json!({"error": "temporarily_unavailable"}), ErrorCode::ProviderUnavailable),
        (200, json!("<html>hello</html>"), ErrorCode::InvalidResponse),
        (302, json!("<html>"), ErrorCode::InvalidResponse),
        (200, json!(""), ErrorCode::InvalidResponse),
        (200, json!({"token_type": "bearer"}), ErrorCode::InvalidResponse),
        (200, json!({"access_token": "a\r\nb", "refresh_token": "rt-2"}), ErrorCode::InvalidResponse),
    ] {
        let issuer = Issuer::start();
        let bench = issuer.logged_in(json!({})).await;
        let before = bench.record_bytes();
        issuer.answer("/token", &REFRESH, status, body.clone());
        bench.advance(MINUTE);
        let error = bench.acquire().await.err().unwrap();
        assert_eq!(error.code, code, "{status} {body}: {error}");
        assert_eq!(bench.record_bytes(), before);
    }
}

#[tokio::test]
async fn the_time_to_come_back_is_passed_on() {
    let issuer = Issuer::start();
    let bench = issuer.logged_in(json!({})).await;
    issuer.server.mock(|when, then| {
        when.path("/token");
        then.status(503).header("retry-after", "17");
    });
    bench.advance(MINUTE);
    let error = bench.acquire().await.err().unwrap();
    assert_eq!(
        (error.code, error.retry_after),
        (ErrorCode::ProviderUnavailable, Some(Duration::from_secs(17)))
    );
}

#[tokio::test]
async fn an_unreachable_server_is_a_network_failure() {
    let issuer = Issuer::start();
    let mut bench = issuer.logged_in(json!({})).await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut settings = issuer.settings();
    settings["token_endpoint"] = format!("http://{closed}/token").into();
    bench.set_settings(settings);
    bench.advance(MINUTE);
    assert_eq!(bench.acquire().await.err().unwrap().code, ErrorCode::Network);
}

#[tokio::test]
async fn a_rotation_that_cannot_be_stored_is_not_handed_out() {
    let issuer = Issuer::start();
    let bench = issuer.logged_in(json!({})).await;
    issuer.answer("/token", &REFRESH, 200, json!({"access_token": "at-2", "refresh_token": "rt-2"}));
    bench.fail_writes(true);
    bench.advance(MINUTE);
    assert_eq!(bench.acquire().await.err().unwrap().code, ErrorCode::Storage);
}

#[tokio::test]
async fn without_a_login_or_a_refresh_token_the_command_is_named() {
    let issuer = Issuer::start();
    let error = issuer.bench().acquire().await.err().unwrap();
    assert_eq!(error.code, ErrorCode::NotLoggedIn);
    assert_eq!(error.hint.as_deref(), Some("ccproxy auth login test"));

    let bench = issuer.bench();
    let tokens = json!({"access_token": "at-1", "expires_in": 60});
    bench.commit(&issuer.log_in(&bench, tokens, json!({})).await.unwrap());
    bench.advance(MINUTE);
    let error = bench.acquire().await.err().unwrap();
    assert_eq!(error.code, ErrorCode::TokenExpired);
    assert_eq!(error.message, "the token has expired, and there is no refresh token");
    assert_eq!(error.hint.as_deref(), Some("ccproxy auth login test"));
}

#[tokio::test]
async fn a_refreshed_id_token_of_somebody_else_is_refused() {
    let issuer = Issuer::start();
    let bench = issuer.logged_in(json!({})).await;
    let before = bench.record_bytes();
    let id_token = issuer.id_token(&bench, json!({"sub": "mallory"}));
    issuer.answer("/token", &REFRESH, 200, json!({"access_token": "at-2", "id_token": id_token}));
    bench.advance(MINUTE);
    assert_eq!(bench.acquire().await.err().unwrap().code, ErrorCode::InvalidResponse);
    assert_eq!(bench.record_bytes(), before);
}

#[tokio::test]
async fn a_grant_of_another_client_or_issuer_goes_nowhere() {
    for (name, value) in [("client_id", "web"), ("issuer", "https://other.example.com")] {
        let issuer = Issuer::start();
        let mut bench = issuer.logged_in(json!({})).await;
        let refresh =
            issuer.answer("/token", &[("grant_type", "refresh_token")], 200, json!({"access_token": "x"}));
        let mut settings = issuer.settings();
        settings[name] = value.into();
        bench.set_settings(settings);
        let error = bench.acquire().await.err().unwrap();
        assert_eq!(error.code, ErrorCode::ReauthRequired);
        assert!(error.message.contains(value), "{error}");
        refresh.assert_calls(0);
    }
}

#[tokio::test]
async fn an_override_stands_in_for_the_stored_token() {
    let issuer = Issuer::start();
    let bench = issuer.bench().with_token_override("mine");
    let credential = bench.acquire().await.unwrap();
    assert_eq!(injected(&credential), "Bearer mine");
    let refused = Some(credential.generation);
    let error = bench.acquire_with(&Target::default(), Reason::Rejected, refused).await.err().unwrap();
    assert_eq!(error.code, ErrorCode::CredentialsRejected);
    let broken = issuer.bench().with_token_override("a b").acquire().await.err().unwrap();
    assert_eq!(broken.code, ErrorCode::InvalidConfig);
}
