//! One login, many resources: one refresh token yields a token for each.

use std::time::Duration;

use ccproxy_plugin_sdk::{ErrorCode, Reason, Target};
use pretty_assertions::assert_eq;
use serde_json::json;

use super::entra::{ARM, Entra, GRAPH, OPENID, bearer, id_token, refusal, scopes};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn every_target_is_asked_for_by_the_newest_refresh_token_and_kept_beside_the_others() {
    let entra = Entra::start();
    let bench = entra.logged_in().await;
    let of_arm = format!("{OPENID} {ARM}");
    let arm =
        entra.tokens(&[("refresh_token", "rt-of-at-1"), ("scope", &of_arm)], 200, entra.granted("at-arm"));
    let crm = "https://contoso.crm4.dynamics.com/.default";
    let of_crm = format!("{OPENID} {crm}");
    let dataverse =
        entra.tokens(&[("refresh_token", "rt-of-at-arm"), ("scope", &of_crm)], 200, entra.granted("at-crm"));
    for _ in 0..2 {
        // The connection's own scopes are its own token, whoever writes them.
        let credential = bench.acquire_with(&scopes(&[GRAPH]), Reason::Missing, None).await.unwrap();
        assert_eq!(bearer(&credential), "at-1");
        let credential = bench.acquire_with(&scopes(&[ARM]), Reason::Missing, None).await.unwrap();
        assert_eq!(bearer(&credential), "at-arm");
        let credential = bench.acquire_with(&scopes(&[crm]), Reason::Missing, None).await.unwrap();
        assert_eq!(bearer(&credential), "at-crm");
        assert_eq!(bearer(&bench.acquire().await.unwrap()), "at-1");
    }
    arm.assert_calls(1);
    dataverse.assert_calls(1);
    assert_eq!(bench.record().unwrap()["refresh_token"], "rt-of-at-crm");
}

#[tokio::test]
async fn an_answer_without_a_refresh_token_keeps_the_one_there_is() {
    let entra = Entra::start();
    let bench = entra.logged_in().await;
    let mut answer = entra.granted("at-2");
    answer.as_object_mut().unwrap().remove("refresh_token");
    entra.tokens(&[("refresh_token", "rt-of-at-1")], 200, answer);
    bench.advance(HOUR);
    assert_eq!(bearer(&bench.acquire().await.unwrap()), "at-2");
    assert_eq!(bench.record().unwrap()["refresh_token"], "rt-of-at-1");
}

#[tokio::test]
async fn a_resource_is_written_as_a_scope_because_its_parameter_is_refused() {
    let entra = Entra::start();
    let bench = entra.logged_in().await;
    let of_arm = format!("{OPENID} {ARM}");
    let refresh = entra.answer(
        "oauth2/v2.0/token",
        |when| when.form_urlencoded_tuple("scope", &of_arm).form_urlencoded_tuple_missing("resource"),
        200,
        entra.granted("at-arm"),
    );
    let target = Target { resource: "https://management.azure.com".into(), ..Target::default() };
    let credential = bench.acquire_with(&target, Reason::Missing, None).await.unwrap();
    refresh.assert();
    assert_eq!(bearer(&credential), "at-arm");
}

#[tokio::test]
async fn two_resources_in_one_token_are_refused_before_anything_is_sent() {
    let entra = Entra::start();
    let bench = entra.logged_in().await;
    let target = scopes(&["User.Read", ARM]);
    let error = bench.acquire_with(&target, Reason::Missing, None).await.err().unwrap();
    assert_eq!(error.code, ErrorCode::InvalidConfig);
    assert!(error.hint.unwrap().contains("a route of its own"));
}

#[tokio::test]
async fn consent_that_is_missing_for_one_resource_names_the_login_that_asks_for_it() {
    let entra = Entra::start();
    let bench = entra.logged_in().await;
    let body = refusal(
        "invalid_grant",
        "consent_required",
        "AADSTS65001: The user or administrator has not consented to use the application with ID 'app'.",
    );
    entra.tokens(&[("grant_type", "refresh_token")], 400, body);
    let error = bench.acquire_with(&scopes(&[ARM]), Reason::Missing, None).await.err().unwrap();
    assert_eq!(error.code, ErrorCode::ConsentRequired);
    assert_eq!(
        error.hint.unwrap(),
        format!(
            "agree when asked: ccproxy auth login test --force --scopes {ARM}\n\
             or an administrator agrees for everybody: {}/organizations/adminconsent?client_id=app",
            entra.authority()
        )
    );
    // The other resource goes on being served.
    assert_eq!(bearer(&bench.acquire().await.unwrap()), "at-1");
}

#[tokio::test]
async fn an_id_token_of_a_refresh_must_be_of_the_same_person_and_tenant() {
    let entra = Entra::start();
    let bench = entra.logged_in().await;
    let refreshed = |changes: serde_json::Value| {
        let mut claims = entra.claims(&bench);
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let mut answer = entra.granted("at-2");
        answer["id_token"] = id_token(&claims).into();
        answer
    };
    let other = format!("{}/99999999-2222-3333-4444-555555555555/v2.0", entra.authority());
    for (changes, why) in [(json!({ "sub": "bob" }), "`sub`"), (json!({ "iss": other }), "`iss`")] {
        let mut mock = entra.tokens(&[("grant_type", "refresh_token")], 200, refreshed(changes));
        let error = bench.acquire_with(&scopes(&[ARM]), Reason::Missing, None).await.err().unwrap();
        assert!(error.message.contains(why), "{}", error.message);
        mock.delete();
    }
    entra.tokens(&[("grant_type", "refresh_token")], 200, refreshed(json!({})));
    assert!(bench.acquire_with(&scopes(&[ARM]), Reason::Missing, None).await.is_ok());
}

#[tokio::test]
async fn a_grant_of_another_tenant_or_app_than_the_settings_name_is_not_used() {
    let entra = Entra::start();
    let mut bench = entra.logged_in().await;
    for (key, value, said) in [("tenant", "contoso.com", "issuer"), ("client_id", "other", "client")] {
        let mut settings =
            json!({ "client_id": "app", "authority": entra.authority(), "tenant": "organizations" });
        settings[key] = value.into();
        bench.set_settings(settings);
        let error = bench.acquire().await.err().unwrap();
        assert_eq!(error.code, ErrorCode::ReauthRequired);
        assert!(error.message.contains(said), "{}", error.message);
    }
}
