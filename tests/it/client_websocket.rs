//! Python `websockets` through the proxy.

use ccproxy_tests::clients::python;
use ccproxy_tests::keyed::KeyedApi;
use pretty_assertions::assert_eq;
use serde_json::json;

const ECHO: &str = include_str!("../parts/clients/websocket_echo.py");

#[tokio::test]
async fn a_websocket_carries_text_and_300_kb_and_its_subprotocol() {
    let api = KeyedApi::new().await;
    let host = api.home.serve().await;
    let url = format!("ws://{}/api/ws?room=1", host.authority());
    let told = python(&api.home, &["websockets"], ECHO, &[("WS_URL", url)]).await.expect_success().json();
    assert_eq!(told, json!({ "text": "hello", "binary": true, "subprotocol": "chat.v2", "closed": 1000 }));
    api.assert_only_our_key("authorization");
}
