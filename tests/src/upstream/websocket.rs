//! A WebSocket that sends back what it gets (RFC 6455).

use futures_util::{SinkExt, StreamExt};
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::{json_answer, with_status};
use crate::server::{Body, Cut, full};

pub(super) fn echo(mut request: Request<Incoming>) -> Result<Response<Body>, Cut> {
    let Some(key) = upgrade_key(request.headers()) else {
        let refusal = json_answer(&json!({ "error": "not a WebSocket upgrade" }));
        return Ok(with_status(StatusCode::BAD_REQUEST, refusal));
    };
    let mut response = with_status(StatusCode::SWITCHING_PROTOCOLS, Response::new(full("")));
    let fields = response.headers_mut();
    fields.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    fields.insert(UPGRADE, HeaderValue::from_static("websocket"));
    fields.insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::try_from(key).map_err(|_| Cut)?);
    // The first subprotocol on offer is as good as any.
    let offered = request.headers().get(SEC_WEBSOCKET_PROTOCOL).and_then(|value| value.to_str().ok());
    let chosen = offered.and_then(|offered| HeaderValue::from_str(offered.split(',').next()?.trim()).ok());
    if let Some(protocol) = chosen {
        fields.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    tokio::spawn(echo_messages(hyper::upgrade::on(&mut request)));
    Ok(response)
}

/// The accept key of a well-formed handshake.
fn upgrade_key(headers: &HeaderMap) -> Option<String> {
    let has = |name: HeaderName, token: &str| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(token))
    };
    let complete =
        has(UPGRADE, "websocket") && has(CONNECTION, "upgrade") && has(SEC_WEBSOCKET_VERSION, "13");
    let key = headers.get(SEC_WEBSOCKET_KEY)?;
    complete.then(|| derive_accept_key(key.as_bytes()))
}

/// Ends with the connection, whichever side closes it.
async fn echo_messages(upgrade: OnUpgrade) {
    let Ok(upgraded) = upgrade.await else { return };
    let stream: TokioIo<Upgraded> = TokioIo::new(upgraded);
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
    while let Some(Ok(message)) = socket.next().await {
        let is_data = message.is_text() || message.is_binary();
        if is_data && socket.send(message).await.is_err() {
            return;
        }
    }
}
