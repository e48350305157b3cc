//! What a first login on a fresh machine says, so that the second succeeds.

use ccproxy_plugin_sdk::testing::Bench;
use ccproxy_plugin_sdk::{ErrorCode, Flow};
use pretty_assertions::assert_eq;
use serde_json::json;

use crate::GitHub;

const REDIRECT: &str = "http://127.0.0.1:41999/callback";

#[tokio::test]
async fn without_any_setting_it_tells_all_that_the_second_try_needs() {
    for flow in [Flow::Browser, Flow::Device, Flow::Paste] {
        let bench = Bench::new::<GitHub>(json!({}));
        assert!(bench.describe().unwrap().flows.contains(&flow.as_str().to_owned()));
        let error = bench.login_begin(flow, REDIRECT, "s").await.err().unwrap();
        assert_eq!(error.code, ErrorCode::InvalidConfig);
        assert_eq!(
            error.message,
            "setting `client_id` is missing: a login needs an OAuth app or GitHub App of yours"
        );
        assert_eq!(
            error.hint.unwrap(),
            "1. register an app at https://github.com/settings/applications/new\n   \
                homepage URL: anything; authorization callback URL: http://127.0.0.1/callback\n   \
                tick \"Enable Device Flow\"\n\
             2. ccproxy auth login github --connection test --client-id ID\n   \
                the device flow needs no client secret; the browser flow does: add --prompt-secret\n\
             or without an app, with a personal access token from https://github.com/settings/tokens:\n   \
                ccproxy auth login github --connection test --with-token"
        );
    }
}

#[tokio::test]
async fn it_speaks_of_the_host_that_was_asked_for() {
    let bench = Bench::new::<GitHub>(json!({ "host": "ghe.example.com" }));
    let hint = bench.login_begin(Flow::Device, "", "").await.err().unwrap().hint.unwrap();
    for part in [
        "register an app at https://ghe.example.com/settings/applications/new\n",
        "ccproxy auth login github --connection test --host ghe.example.com --client-id ID\n",
        "a personal access token from https://ghe.example.com/settings/tokens:\n",
    ] {
        assert!(hint.contains(part), "{hint}");
    }
}

#[tokio::test]
async fn without_a_secret_the_device_flow_is_offered_and_a_browser_is_told_why_not() {
    let bench = Bench::new::<GitHub>(json!({ "client_id": "Iv1.test" }));
    assert_eq!(bench.describe().unwrap().flows, ["device", "token"]);
    let error = bench.login_begin(Flow::Browser, REDIRECT, "s").await.err().unwrap();
    assert_eq!(error.code, ErrorCode::InvalidConfig);
    assert_eq!(error.message, "setting `client_secret` is missing: GitHub's browser flow needs it");
    assert_eq!(
        error.hint.unwrap(),
        "the device flow needs none: ccproxy auth login github --connection test --client-id Iv1.test --flow device\n\
         or give the secret: ccproxy auth login github --connection test --client-id Iv1.test --prompt-secret"
    );
}
