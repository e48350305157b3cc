//! What a first login on a fresh machine says, so that the second succeeds.

use ccproxy_plugin_sdk::testing::Bench;
use ccproxy_plugin_sdk::{ErrorCode, Flow};
use pretty_assertions::assert_eq;
use serde_json::json;

use super::entra::{REDIRECT, STATE};
use crate::Azure;

#[tokio::test]
async fn without_a_client_id_it_tells_where_to_register_and_what_to_enter() {
    for flow in [Flow::Browser, Flow::Device, Flow::Paste] {
        let bench = Bench::new::<Azure>(json!({ "tenant": "contoso.com" }));
        assert!(bench.describe().unwrap().flows.contains(&flow.as_str().to_owned()));
        let error = bench.login_begin(flow, REDIRECT, STATE).await.err().unwrap();
        assert_eq!(error.code, ErrorCode::InvalidConfig);
        assert_eq!(
            error.message,
            "setting `client_id` is missing: a login needs an app registration of yours"
        );
        let hint = error.hint.unwrap();
        for part in [
            "https://entra.microsoft.com/",
            "redirect URI: http://localhost",
            "Allow public client flows",
            "ccproxy auth login azure --connection test --tenant-id contoso.com --client-id ID",
        ] {
            assert!(hint.contains(part), "{hint}");
        }
    }
}

#[test]
fn a_route_leads_to_graph_unless_the_settings_say_otherwise() {
    let described = Bench::new::<Azure>(json!({ "client_id": "app" })).describe().unwrap();
    assert_eq!(described.upstream.as_deref(), Some("https://graph.microsoft.com/v1.0"));
    assert!(described.needs_login);
    assert_eq!(described.flows, ["browser", "device", "paste", "token"]);
    let service = json!({ "client_id": "app", "client_secret": { "env": "S" }, "tenant": "contoso.com" });
    let described = Bench::new::<Azure>(service).describe().unwrap();
    assert_eq!(described.flows, ["browser", "device", "paste", "client-credentials", "token"]);
}

#[test]
fn a_tenant_that_is_none_is_told_before_anything_is_sent() {
    let error = Bench::new::<Azure>(json!({ "tenant": "organisations" })).describe().unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidConfig);
    assert_eq!(error.message, "setting `tenant` = `organisations` is no tenant");
}
