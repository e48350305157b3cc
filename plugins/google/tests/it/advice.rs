//! What a first login on a fresh machine says, so that the second succeeds.

use ccproxy_plugin_sdk::testing::Bench;
use ccproxy_plugin_sdk::{ErrorCode, Flow};
use pretty_assertions::assert_eq;
use serde_json::json;

use super::google::REDIRECT_URI;
use crate::Google;

#[tokio::test]
async fn without_any_setting_it_tells_all_that_the_second_try_needs() {
    for flow in [Flow::Browser, Flow::Device, Flow::Paste] {
        let error = Bench::new::<Google>(json!({})).login_begin(flow, REDIRECT_URI, "s").await.err().unwrap();
        assert_eq!(error.code, ErrorCode::InvalidConfig);
        assert_eq!(error.message, "setting `client_id` is missing: a login needs an OAuth client of yours");
        assert_eq!(
            error.hint.unwrap(),
            "1. make an OAuth client at https://console.cloud.google.com/auth/clients\n   \
                type \"Desktop app\": its redirect URI is http://127.0.0.1, with nothing to enter\n   \
                for --flow device: type \"TVs and Limited Input devices\"\n\
             2. ccproxy auth login google --connection test --client-id ID --prompt-secret\n\
             or for an hour, without a client:\n   \
                gcloud auth print-access-token | ccproxy auth login google --connection test --with-token"
        );
    }
}

#[tokio::test]
async fn without_a_secret_the_command_that_gives_it_is_told() {
    for flow in [Flow::Browser, Flow::Device] {
        let bench = Bench::new::<Google>(json!({ "client_id": "app.test", "hosted_domain": "corp.example" }));
        let error = bench.login_begin(flow, REDIRECT_URI, "s").await.err().unwrap();
        assert_eq!(
            error.message,
            "setting `client_secret` is missing: Google wants it of desktop apps and devices, too"
        );
        assert_eq!(
            error.hint.unwrap(),
            "ccproxy auth login google --connection test --client-id app.test --hosted-domain corp.example \
             --prompt-secret"
        );
    }
}
