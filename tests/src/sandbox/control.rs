//! The control API under `/_sandbox/`: what [`super::Sandbox`] offers in process, for other processes, as JSON.

use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::authority::Authority;
use super::endpoint::Call;
use super::faults::FaultRule;
use super::reply::Reply;
use super::settings::Change;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfClient {
    client: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceDecision {
    user_code: String,
    /// None denies.
    user: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Holder {
    user: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ApiKey {
    key: String,
}

pub(crate) fn answer(authority: &Authority, call: &Call) -> Reply {
    match control(authority, call) {
        Ok(value) => Reply::json(value),
        Err(Refusal::NotFound) => Reply::error(StatusCode::NOT_FOUND, "not_found"),
        Err(Refusal::Malformed(why)) => Reply::json(json!({ "error": "invalid_request", "detail": why }))
            .with_status(StatusCode::BAD_REQUEST),
    }
}

enum Refusal {
    NotFound,
    Malformed(String),
}

fn control(authority: &Authority, call: &Call) -> Result<Value, Refusal> {
    let resource = call.path.strip_prefix("/_sandbox/").unwrap_or_default();
    let mut state = authority.lock();
    Ok(match (call.method.as_str(), resource) {
        ("GET", "log") => json!(state.log.entries()),
        ("GET", "counts") => json!(state.log.counts()),
        ("GET", "faults") => json!(state.faults.waiting()),
        ("POST", "faults") => {
            let rule: FaultRule = body(call)?;
            state.faults.add(rule);
            json!(state.faults.waiting())
        }
        ("DELETE", "faults") => {
            state.faults.clear();
            json!([])
        }
        ("POST", "config") => {
            let change: Change = body(call)?;
            state.settings.apply(change);
            json!({ "ok": true })
        }
        ("POST", "expire") => {
            let of: OfClient = body(call)?;
            json!({ "expired": state.store.expire_access(of.client.as_deref()) })
        }
        ("POST", "revoke-refresh") => {
            let of: OfClient = body(call)?;
            json!({ "revoked": state.store.revoke_refresh(of.client.as_deref()) })
        }
        ("POST", "rotate-keys") => {
            state.keys.rotate();
            json!({ "ok": true })
        }
        ("POST", "device") => {
            let decision: DeviceDecision = body(call)?;
            let decided = state.store.decide_device(&decision.user_code, decision.user.as_deref());
            if !decided {
                return Err(Refusal::Malformed(format!("no login waits for {:?}", decision.user_code)));
            }
            json!({ "ok": true })
        }
        ("POST", "accept-key") => {
            let accepted: ApiKey = body(call)?;
            state.store.accept_key(&accepted.key);
            json!({ "ok": true })
        }
        // A token that somebody made on a web page, to paste.
        ("POST", "token") => {
            let holder: Holder = body(call)?;
            json!({ "token": state.store.personal_token(&holder.user) })
        }
        ("GET", "secrets") => json!(state.store.secrets()),
        ("POST", "reset") => {
            drop(state);
            authority.reset();
            json!({ "ok": true })
        }
        _ => return Err(Refusal::NotFound),
    })
}

/// The body as JSON; an empty one is an empty object.
fn body<T: DeserializeOwned>(call: &Call) -> Result<T, Refusal> {
    let bytes = if call.body.is_empty() { b"{}".as_slice() } else { &call.body };
    serde_json::from_slice(bytes).map_err(|error| Refusal::Malformed(error.to_string()))
}
