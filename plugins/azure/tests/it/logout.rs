//! Logging out where nothing can be revoked.

use pretty_assertions::assert_eq;
use serde_json::json;

use super::entra::{Entra, with_form};

#[tokio::test]
async fn there_is_no_revocation_and_that_is_said() {
    let entra = Entra::start();
    let bench = entra.logged_in().await;
    let outcome = bench.logout(true).await.unwrap();
    assert!(!outcome.revoked);
    assert!(outcome.message.contains("not revoked: Entra has no revocation"), "{}", outcome.message);
    assert!(outcome.message.contains("https://mysignins.microsoft.com"));
    assert_eq!(bench.record(), None);
}

#[tokio::test]
async fn who_does_not_ask_for_it_is_told_less() {
    let bench = Entra::start().logged_in().await;
    assert_eq!(bench.logout(false).await.unwrap().message, "not revoked");
    assert_eq!(bench.record(), None);
    assert_eq!(bench.logout(true).await.unwrap().message, "nothing was stored");
}

#[tokio::test]
async fn a_revocation_endpoint_written_by_hand_is_used() {
    let entra = Entra::start();
    let mut bench = entra.logged_in().await;
    let revoke = entra.answer("revoke", |when| with_form(when, &[("token", "rt-of-at-1")]), 200, json!({}));
    bench.set_settings(json!({
        "client_id": "app",
        "authority": entra.authority(),
        "revocation_endpoint": format!("{}/organizations/revoke", entra.authority()),
    }));
    assert!(bench.logout(true).await.unwrap().revoked);
    revoke.assert();
    assert_eq!(bench.record(), None);
}
