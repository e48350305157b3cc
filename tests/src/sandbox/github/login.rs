//! Logging in at GitHub: `/login/oauth/authorize`, `/login/oauth/access_token`, `/login/device/code`.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::apps::{App, Kind, app};
use crate::sandbox::authority::State;
use crate::sandbox::authorize::{self, AuthorizationRequest, Personality};
use crate::sandbox::clients::is_loopback_redirect;
use crate::sandbox::device::{self, Poll};
use crate::sandbox::endpoint::Context;
use crate::sandbox::page;
use crate::sandbox::reply::Reply;
use crate::sandbox::store::{Family, Fingerprint, Grant, RefreshState, random};
use crate::sandbox::token::{DEVICE_GRANT, check_verifier};

const ACCESS_TTL: Duration = Duration::from_secs(28_800);
/// Six months.
const REFRESH_TTL: Duration = Duration::from_secs(15_811_200);

pub(crate) fn authorize(state: &mut State, context: Context<'_>) -> Reply {
    let query = &context.call.query;
    let Some(app) = app(query.get("client_id")) else {
        return page::refusal("not_found", "no such application");
    };
    // The port may differ from the registered callback, the path must match; absent, the callback is meant.
    let redirect_uri = query.get("redirect_uri").unwrap_or("http://127.0.0.1/callback");
    if !is_loopback_redirect(redirect_uri, &["/callback", "/_ccproxy/callback"]) {
        return page::refusal(
            "redirect_uri_mismatch",
            "the redirect URI is not associated with this application",
        );
    }
    let request = AuthorizationRequest {
        client: app.client_id.to_owned(),
        redirect_uri: redirect_uri.to_owned(),
        state: query.get("state").map(str::to_owned),
        scope: scopes(app, query.get("scope")),
        challenge: query.get("code_challenge").map(str::to_owned),
        nonce: None,
        audience: None,
        personality: Personality::GitHub,
    };
    if request.challenge.is_some() && query.get("code_challenge_method") != Some("S256") {
        return request.redirect_error("", "invalid_request", "code_challenge_method must be S256");
    }
    authorize::ask(state, context, request)
}

pub(crate) fn device_code(state: &mut State, context: Context<'_>) -> Reply {
    let form = &context.call.form;
    let Some(app) = app(form.get("client_id")) else {
        return Reply::error(StatusCode::NOT_FOUND, "Not Found");
    };
    if !app.device_flow {
        return Problem::DEVICE_FLOW_DISABLED.into_reply();
    }
    let login = device::begin(state, app.client_id, scopes(app, form.get("scope")), random(""));
    Reply::negotiated(object(json!({
        "device_code": login.device_code,
        "user_code": login.user_code,
        "verification_uri": format!("{}/github/login/device", context.issuer),
        "expires_in": state.settings.device_code_ttl.as_secs(),
        "interval": state.settings.device_interval.as_secs(),
    })))
}

pub(crate) fn access_token(state: &mut State, mut context: Context<'_>) -> Reply {
    match exchange(state, &mut context) {
        Ok(answer) => Reply::negotiated(answer),
        Err(problem) => problem.into_reply(),
    }
}

fn exchange(state: &mut State, context: &mut Context<'_>) -> Result<Map<String, Value>, Problem> {
    let form = &context.call.form;
    // Only the body counts: what Basic says is not looked at.
    let app = app(form.get("client_id")).ok_or(Problem::BAD_CLIENT)?;
    let authenticated = form.get("client_secret") == Some(app.secret);
    context.entry.client_auth = Some(if authenticated { "post" } else { "none" }.to_owned());
    match form.get("grant_type") {
        None | Some("authorization_code") if !authenticated => Err(Problem::BAD_CLIENT),
        None | Some("authorization_code") => by_code(state, context, app),
        Some(DEVICE_GRANT) => by_device_code(state, context, app),
        Some("refresh_token") => by_refresh_token(state, context, app, authenticated),
        Some(_) => Err(Problem::UNSUPPORTED_GRANT_TYPE),
    }
}

fn by_code(state: &mut State, context: &mut Context<'_>, app: App) -> Result<Map<String, Value>, Problem> {
    let form = &context.call.form;
    let given = form.get("code").ok_or(Problem::BAD_CODE)?;
    let code = state.store.codes.get(given).cloned().ok_or(Problem::BAD_CODE)?;
    let is_its_own = code.request.personality == Personality::GitHub && code.request.client == app.client_id;
    if !is_its_own || code.redeemed.is_some() || code.expires_at <= SystemTime::now() {
        return Err(Problem::BAD_CODE);
    }
    if form.get("redirect_uri").is_some_and(|uri| uri != code.request.redirect_uri) {
        return Err(Problem::REDIRECT_URI_MISMATCH);
    }
    check_verifier(code.request.challenge.as_deref(), form.get("code_verifier"))
        .map_err(|_| Problem::BAD_CODE)?;
    if code.subject == UNVERIFIED_USER {
        return Err(Problem::UNVERIFIED_USER_EMAIL);
    }
    let family = grant(state, app, code.subject, code.request.scope, false);
    if let Some(code) = state.store.codes.get_mut(given) {
        code.redeemed = Some(family);
    }
    Ok(issue(state, context, app, family))
}

fn by_device_code(
    state: &mut State,
    context: &mut Context<'_>,
    app: App,
) -> Result<Map<String, Value>, Problem> {
    if !app.device_flow {
        return Err(Problem::DEVICE_FLOW_DISABLED);
    }
    let device_code = context.call.form.get("device_code").ok_or(Problem::INCORRECT_DEVICE_CODE)?;
    match device::poll(state, app.client_id, device_code) {
        Poll::Unknown => Err(Problem::INCORRECT_DEVICE_CODE),
        Poll::Pending => Err(Problem::PENDING),
        Poll::TooFast { interval } => Err(Problem { interval: Some(interval), ..Problem::SLOW_DOWN }),
        Poll::Denied => Err(Problem::DENIED),
        Poll::Expired => Err(Problem::EXPIRED),
        Poll::Approved { subject, scope } => {
            let family = grant(state, app, subject, scope, true);
            Ok(issue(state, context, app, family))
        }
    }
}

/// Single use, and the access token before it dies at once.
fn by_refresh_token(
    state: &mut State,
    context: &mut Context<'_>,
    app: App,
    authenticated: bool,
) -> Result<Map<String, Value>, Problem> {
    let given = context.call.form.get("refresh_token").ok_or(Problem::BAD_REFRESH_TOKEN)?;
    let family = match state.store.refresh_state(given) {
        RefreshState::Live(family) => family,
        RefreshState::Spent(family) => {
            context.entry.on_family(family);
            context.entry.reuse_detected = true;
            return Err(Problem::BAD_REFRESH_TOKEN);
        }
        RefreshState::Dead(_) | RefreshState::Unknown => return Err(Problem::BAD_REFRESH_TOKEN),
    };
    let grant = state.store.grant(family);
    if grant.client != app.client_id {
        return Err(Problem::BAD_REFRESH_TOKEN);
    }
    // What a device login yielded is refreshed without the client secret.
    if !authenticated && !grant.by_device {
        return Err(Problem::BAD_CLIENT);
    }
    state.store.spend_refresh(given);
    state.store.revoke_access_of(family);
    Ok(issue(state, context, app, family))
}

fn grant(state: &mut State, app: App, subject: String, scope: String, by_device: bool) -> Family {
    state.store.add_grant(Grant {
        client: app.client_id.to_owned(),
        subject,
        scope,
        nonce: None,
        auth_time: SystemTime::now(),
        by_device,
        revoked: false,
    })
}

fn issue(state: &mut State, context: &mut Context<'_>, app: App, family: Family) -> Map<String, Value> {
    let grant = state.store.grant(family).clone();
    let own_ttl = state.settings.own_access_ttl(app.client_id);
    let (prefix, ttl) = match app.kind {
        Kind::OAuth => ("gho_", own_ttl),
        Kind::GitHubApp => ("ghu_", Some(own_ttl.unwrap_or(ACCESS_TTL))),
    };
    let token = state.store.add_access(prefix, family, grant.scope.clone(), None, ttl);
    let entry = &mut *context.entry;
    entry.on_family(family);
    entry.subject = Some(grant.subject);
    entry.issued_access_token = Some(Fingerprint::of(&token));
    let mut answer = object(json!({ "access_token": token, "token_type": "bearer", "scope": grant.scope }));
    if app.kind == Kind::GitHubApp {
        let refresh_ttl = state.settings.own_refresh_ttl(app.client_id).unwrap_or(REFRESH_TTL);
        let refresh_token = state.store.add_refresh("ghr_", family, refresh_ttl);
        entry.issued_refresh_token = Some(Fingerprint::of(&refresh_token));
        answer.extend(object(json!({
            "expires_in": ttl.unwrap_or(ACCESS_TTL).as_secs(),
            "refresh_token": refresh_token,
            "refresh_token_expires_in": refresh_ttl.as_secs(),
        })));
    }
    answer
}

/// Asked for with spaces (or commas), answered with commas. A GitHub App has permissions, no scopes.
fn scopes(app: App, asked: Option<&str>) -> String {
    match app.kind {
        Kind::GitHubApp => String::new(),
        Kind::OAuth => {
            let asked = asked.unwrap_or_default().split([' ', ',']).filter(|scope| !scope.is_empty());
            asked.collect::<Vec<_>>().join(",")
        }
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// The person whose email address GitHub has not verified.
const UNVERIFIED_USER: &str = "unverified";

/// An error, which GitHub sends with status 200.
struct Problem {
    error: &'static str,
    description: &'static str,
    interval: Option<Duration>,
}

impl Problem {
    const BAD_CLIENT: Self =
        Self::new("incorrect_client_credentials", "The client_id and/or client_secret passed are incorrect.");
    const BAD_CODE: Self = Self::new("bad_verification_code", "The code passed is incorrect or expired.");
    const REDIRECT_URI_MISMATCH: Self = Self::new(
        "redirect_uri_mismatch",
        "The redirect_uri MUST match the registered callback URL for this application.",
    );
    const UNVERIFIED_USER_EMAIL: Self =
        Self::new("unverified_user_email", "The user must have a verified primary email.");
    const BAD_REFRESH_TOKEN: Self =
        Self::new("bad_refresh_token", "The refresh token passed is incorrect or expired.");
    const UNSUPPORTED_GRANT_TYPE: Self =
        Self::new("unsupported_grant_type", "The grant type is not supported.");
    const DEVICE_FLOW_DISABLED: Self =
        Self::new("device_flow_disabled", "Device Flow must be explicitly enabled for this App");
    const INCORRECT_DEVICE_CODE: Self =
        Self::new("incorrect_device_code", "The device_code provided is not valid.");
    const PENDING: Self = Self::new("authorization_pending", "The authorization request is still pending.");
    const SLOW_DOWN: Self = Self::new("slow_down", "Too many requests have been made in the same timeframe.");
    const DENIED: Self = Self::new("access_denied", "The authorization request was denied.");
    const EXPIRED: Self = Self::new("expired_token", "The device_code has expired.");

    const fn new(error: &'static str, description: &'static str) -> Self {
        Self { error, description, interval: None }
    }

    fn into_reply(self) -> Reply {
        let mut members = object(json!({
            "error": self.error,
            "error_description": self.description,
            "error_uri": "https://docs.github.com/developers/apps/authorizing-oauth-apps",
        }));
        // Unlike RFC 8628, slow_down names the new interval.
        if let Some(interval) = self.interval {
            members.insert("interval".to_owned(), json!(interval.as_secs()));
        }
        Reply::negotiated(members).with_outcome(self.error)
    }
}
