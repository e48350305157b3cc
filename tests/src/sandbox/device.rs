//! Device logins (RFC 8628): a code is shown here, approved there, polled for in between.

use std::time::{Duration, SystemTime};

use serde_json::json;

use super::authority::State;
use super::authorize::known_scopes;
use super::clients::authenticate;
use super::endpoint::{Call, Context};
use super::page;
use super::reply::{OAuthError, Reply};
use super::store::random;

#[derive(Clone, Debug)]
pub(crate) struct DeviceLogin {
    pub(crate) device_code: String,
    pub(crate) user_code: String,
    client: String,
    scope: String,
    expires_at: SystemTime,
    interval: Duration,
    polled_at: Option<SystemTime>,
    decision: Decision,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Decision {
    Pending,
    Approved(String),
    Denied,
    Redeemed,
}

/// What a poll finds.
pub(crate) enum Poll {
    Unknown,
    Pending,
    TooFast { interval: Duration },
    Denied,
    Expired,
    Approved { subject: String, scope: String },
}

/// How much longer a client that polls too fast has to wait (RFC 8628 section 3.5).
const SLOW_DOWN: Duration = Duration::from_secs(5);

impl DeviceLogin {
    pub(crate) fn waits_for(&self, user_code: &str) -> bool {
        // RFC 8628 section 6.1: what a person types is compared without case and punctuation.
        let typed =
            |code: &str| code.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_uppercase();
        self.decision == Decision::Pending
            && self.expires_at > SystemTime::now()
            && typed(&self.user_code) == typed(user_code)
    }

    pub(crate) fn decide(&mut self, user: Option<&str>) {
        self.decision = user.map_or(Decision::Denied, |user| Decision::Approved(user.to_owned()));
    }
}

/// Begins a device login; both servers answer it in their own words.
pub(crate) fn begin(state: &mut State, client: &str, scope: String, device_code: String) -> DeviceLogin {
    let login = DeviceLogin {
        device_code,
        user_code: user_code(),
        client: client.to_owned(),
        scope,
        expires_at: SystemTime::now() + state.settings.device_code_ttl,
        interval: state.settings.device_interval,
        polled_at: None,
        decision: Decision::Pending,
    };
    state.store.devices.push(login.clone());
    login
}

pub(crate) fn poll(state: &mut State, client: &str, device_code: &str) -> Poll {
    let mut logins = state.store.devices.iter_mut();
    let found = logins.find(|login| login.device_code == device_code && login.client == client);
    let Some(login) = found else { return Poll::Unknown };
    let now = SystemTime::now();
    // A client measures the interval from the answer, the server from the request: allow for the way between.
    let earliest = login.polled_at.map(|at| at + login.interval.mul_f32(0.9));
    login.polled_at = Some(now);
    if login.expires_at <= now {
        return Poll::Expired;
    }
    if earliest.is_some_and(|earliest| now < earliest) {
        login.interval += SLOW_DOWN;
        return Poll::TooFast { interval: login.interval };
    }
    match std::mem::replace(&mut login.decision, Decision::Redeemed) {
        Decision::Approved(subject) => Poll::Approved { subject, scope: login.scope.clone() },
        Decision::Redeemed => Poll::Unknown,
        Decision::Pending => {
            login.decision = Decision::Pending;
            Poll::Pending
        }
        Decision::Denied => {
            login.decision = Decision::Denied;
            Poll::Denied
        }
    }
}

pub(crate) fn device_authorization(state: &mut State, context: Context<'_>) -> Reply {
    let client = match authenticate(&state.clients, context.call) {
        Ok(client) if client.is_login => client.id,
        Ok(_) => {
            return OAuthError::new("unauthorized_client", "no device logins for this client").into_reply();
        }
        Err(error) => return error.into_reply(),
    };
    let scope = known_scopes(context.call.form.get("scope").unwrap_or("openid"));
    let login = begin(state, client, scope, random("sbxdc_"));
    let page = format!("{}/device", context.issuer);
    Reply::json(json!({
        "device_code": login.device_code,
        "user_code": login.user_code,
        "verification_uri": page,
        "verification_uri_complete": format!("{page}?user_code={}", login.user_code),
        "expires_in": state.settings.device_code_ttl.as_secs(),
        "interval": login.interval.as_secs(),
    }))
}

pub(crate) fn page(call: &Call, decide_at: &str) -> Reply {
    Reply::html(page::device(decide_at, call.query.get("user_code").unwrap_or_default()))
        .with_outcome("asked")
}

/// What the buttons of the device page send; a test sends the same as a query.
pub(crate) fn decision(state: &mut State, context: Context<'_>) -> Reply {
    let parameter = |name| context.call.form.get(name).or_else(|| context.call.query.get(name));
    let user = parameter("user").unwrap_or("alice");
    let approved = parameter("decision").unwrap_or("approve") == "approve";
    let user_code = parameter("user_code").unwrap_or_default();
    if !state.store.decide_device(user_code, approved.then_some(user)) {
        return page::refusal("invalid_user_code", "no login waits for this code");
    }
    context.entry.subject = Some(user.to_owned());
    let outcome = if approved { "approved" } else { "denied" };
    Reply::html(page::done(outcome)).with_outcome(outcome)
}

/// Eight letters with a hyphen; no vowels, so no words (RFC 8628 section 6.1).
fn user_code() -> String {
    const LETTERS: &[u8] = b"BCDFGHJKLMNPQRSTVWXZ";
    let mut bytes = [0u8; 8];
    getrandom::fill(&mut bytes).expect("the kernel has random bytes");
    let letters: String =
        bytes.iter().map(|b| char::from(LETTERS[usize::from(*b) % LETTERS.len()])).collect();
    format!("{}-{}", &letters[..4], &letters[4..])
}
