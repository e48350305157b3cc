//! Whose login it is: claims that count, and ID tokens that do not.

use ccproxy_plugin_sdk::{Account, ErrorCode};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use super::entra::{Entra, OBJECT_ID, TENANT};

/// The tenant of all personal Microsoft accounts.
const PERSONAL: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

/// Claims with members changed; null removes one.
fn changed(mut claims: Value, changes: Value) -> Value {
    claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

#[tokio::test]
async fn the_object_id_names_the_account_and_its_name_is_shown() {
    let entra = Entra::start();
    let bench = entra.logged_in().await;
    let account =
        Account { subject: OBJECT_ID.into(), display_name: "alice@contoso.com".into(), host: TENANT.into() };
    assert_eq!(bench.probe().await.unwrap(), account);
    assert_eq!(bench.snapshot().unwrap().account, Some(account));
}

#[tokio::test]
async fn email_comes_before_the_sign_in_name_and_without_an_object_id_the_subject_will_do() {
    let entra = Entra::of("contoso.com");
    let bench = entra.bench();
    let claims = changed(entra.claims(&bench), json!({ "email": "alice@example.com", "oid": null }));
    bench.commit(&entra.log_in(&bench, claims).await.unwrap());
    assert_eq!(
        bench.probe().await.unwrap(),
        Account {
            subject: "pairwise".into(),
            display_name: "alice@example.com".into(),
            host: "contoso.com".into()
        }
    );
}

#[tokio::test]
async fn roles_are_kept() {
    let entra = Entra::start();
    let bench = entra.bench();
    let claims = changed(entra.claims(&bench), json!({ "roles": ["Reader", "Task.Write", 7] }));
    bench.commit(&entra.log_in(&bench, claims).await.unwrap());
    let record = bench.record().unwrap();
    assert_eq!(record["roles"], json!(["Reader", "Task.Write"]));
    assert_eq!(record["tenant_id"], TENANT);
}

#[tokio::test]
async fn the_issuer_is_that_of_the_tenant_that_the_token_names() {
    let entra = Entra::of("common");
    let bench = entra.bench();
    let issuer = |tenant: &str| format!("{}/{tenant}/v2.0", entra.authority());
    let right = json!({ "iss": issuer(PERSONAL), "tid": PERSONAL });
    assert!(entra.log_in(&bench, changed(entra.claims(&bench), right)).await.is_ok());
    for wrong in [
        json!({ "iss": issuer("{tenantid}") }),
        json!({ "iss": issuer("common") }),
        json!({ "tid": PERSONAL }),
        json!({ "tid": null }),
        json!({ "iss": format!("https://evil.example/{TENANT}/v2.0") }),
    ] {
        let error = entra.log_in(&bench, changed(entra.claims(&bench), wrong.clone())).await.err();
        assert_eq!(error.map(|error| error.code), Some(ErrorCode::InvalidResponse), "{wrong}");
    }
}

#[tokio::test]
async fn a_login_of_another_tenant_than_the_settings_mean_is_refused() {
    let issuer = |entra: &Entra, tenant: &str| format!("{}/{tenant}/v2.0", entra.authority());
    for (tenant, found) in
        [("organizations", PERSONAL), ("consumers", TENANT), ("99999999-2222-3333-4444-555555555555", TENANT)]
    {
        let entra = Entra::of(tenant);
        let bench = entra.bench();
        let claims = json!({ "iss": issuer(&entra, found), "tid": found });
        let error = entra.log_in(&bench, changed(entra.claims(&bench), claims)).await.err().unwrap();
        assert_eq!(error.code, ErrorCode::AccessDenied);
        assert_eq!(error.message, format!("the login is of the tenant {found}, and `tenant` says {tenant}"));
    }
}

#[tokio::test]
async fn no_id_token_or_one_of_another_login_is_refused() {
    let entra = Entra::start();
    let bench = entra.bench();
    let error = entra.log_in(&bench, Value::Null).await.err().unwrap();
    assert_eq!(error.message, "there is no ID token, though `openid` was asked for");
    for wrong in [json!({ "nonce": "theirs" }), json!({ "aud": "other" }), json!({ "exp": 0 })] {
        assert!(entra.log_in(&bench, changed(entra.claims(&bench), wrong.clone())).await.is_err(), "{wrong}");
    }
}
