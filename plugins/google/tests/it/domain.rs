//! Accounts of one Workspace only.

use ccproxy_plugin_sdk::{Error, ErrorCode, Flow};
use pretty_assertions::assert_eq;
use serde_json::{Value, json};

use super::google::{Google, REDIRECT_URI, asked, tokens};

async fn login(hosted_domain: &str, claims: Value) -> Result<(), Error> {
    let google = Google::start();
    let bench = google.bench_with(json!({ "hosted_domain": hosted_domain }));
    google.log_in(&bench, tokens(), claims).await.map(|_| ())
}

#[tokio::test]
async fn googles_page_is_told_which_accounts_to_offer() {
    let bench = Google::start().bench_with(json!({ "hosted_domain": "corp.example" }));
    let step = bench.login_begin(Flow::Browser, REDIRECT_URI, "s").await.unwrap();
    assert_eq!(asked(&step)["hd"], "corp.example");
}

#[tokio::test]
async fn the_claim_decides_and_not_what_the_page_was_told() {
    let ann = |hd: Value| json!({ "email": "ann@elsewhere.example", "hd": hd });
    assert_eq!(login("corp.example", ann("Corp.Example".into())).await, Ok(()));
    for claims in [ann("elsewhere.example".into()), json!({ "email": "ann@corp.example" })] {
        let error = login("corp.example", claims.clone()).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::AccessDenied);
        let email = claims["email"].as_str().unwrap();
        assert_eq!(
            error.message,
            format!("`{email}` is not an account of `corp.example`, which `hosted_domain` wants")
        );
        assert_eq!(error.hint.unwrap(), "choose another account: ccproxy auth login test --force");
    }
}

#[tokio::test]
async fn a_star_is_any_workspace_and_no_private_account() {
    assert_eq!(login("*", json!({ "hd": "any.example" })).await, Ok(()));
    let error = login("*", json!({})).await.unwrap_err();
    assert!(error.message.contains("is not an account of a Workspace"), "{}", error.message);
}

#[tokio::test]
async fn a_token_one_has_is_of_the_domain_too() {
    let google = Google::start();
    google.knows("ya29.mine", json!({ "sub": "1", "email": "ann@gmail.com" }));
    let bench = google.bench_with(json!({ "hosted_domain": "corp.example" }));
    let ask = bench.login_begin(Flow::Token, "", "").await.unwrap();
    assert_eq!(bench.login_answer(&ask, "ya29.mine").await.err().unwrap().code, ErrorCode::AccessDenied);
}

#[tokio::test]
async fn a_domain_that_is_set_later_counts_for_what_is_stored() {
    let google = Google::start();
    let mut bench = google.logged_in(json!({})).await;
    assert!(bench.acquire().await.is_ok());
    bench.set_settings(json!({
        "client_id": "app.test", "authority": google.server.base_url(), "hosted_domain": "corp.example",
    }));
    let error = bench.acquire().await.err().unwrap();
    assert_eq!(
        (error.code, error.message.as_str()),
        (
            ErrorCode::AccessDenied,
            "`ann@gmail.com` is not an account of `corp.example`, which `hosted_domain` wants"
        )
    );
}
