//! Logging in at Google: `/o/oauth2/v2/auth`, `/token`, `/device/code`.

use std::time::SystemTime;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::apps::{self, App, Kind, app};
use super::tokens::issue;
use super::{BASE, people};
use crate::sandbox::authority::State;
use crate::sandbox::authorize::{self, AuthorizationRequest, GoogleAccess, Personality};
use crate::sandbox::clients::is_loopback_redirect;
use crate::sandbox::device::{self, Poll};
use crate::sandbox::endpoint::Context;
use crate::sandbox::page;
use crate::sandbox::reply::{OAuthError, Reply};
use crate::sandbox::store::{Grant, RefreshState, random};
use crate::sandbox::token::{DEVICE_GRANT, check_verifier};

pub(crate) fn authorize(state: &mut State, context: Context<'_>) -> Reply {
    let query = &context.call.query;
    let Some(app) = app(query.get("client_id")) else {
        return page::refusal("invalid_client", "The OAuth client was not found.");
    };
    let redirect_uri = query.get("redirect_uri").unwrap_or_default();
    if app.kind != Kind::Desktop
        || !is_loopback_redirect(redirect_uri, &["/callback", "/_ccproxy/callback", "/"])
    {
        return page::refusal("redirect_uri_mismatch", "the redirect URI is not one of this client's type");
    }
    let prompts =
        |wanted: &str| query.get("prompt").is_some_and(|text| text.split(' ').any(|word| word == wanted));
    let access = match query.get("access_type") {
        Some("offline") if prompts("consent") => GoogleAccess::OfflineWithConsent,
        Some("offline") => GoogleAccess::Offline,
        _ => GoogleAccess::Online,
    };
    let request = AuthorizationRequest {
        client: app.client_id.to_owned(),
        redirect_uri: redirect_uri.to_owned(),
        state: query.get("state").map(str::to_owned),
        scope: query.get("scope").unwrap_or_default().to_owned(),
        challenge: query.get("code_challenge").map(str::to_owned),
        nonce: query.get("nonce").map(str::to_owned),
        audience: None,
        personality: Personality::Google(access),
    };
    if request.challenge.is_some() && query.get("code_challenge_method") != Some("S256") {
        return request.redirect_error("", "invalid_request", "Invalid code_challenge_method");
    }
    if let Some((error, described)) = query.get("sandbox_approve").and_then(|user| barred(app, user)) {
        return request.redirect_error("", error, described);
    }
    authorize::ask(state, context, request)
}

/// Why an account may not use a client, whatever the person wants.
fn barred(app: App, user: &str) -> Option<(&'static str, &'static str)> {
    if user == people::UNDER_POLICY {
        return Some(("admin_policy_enforced", "This app is blocked by your administrator."));
    }
    let outsider = people::domain(user) != Some(apps::HOME_OF_INTERNAL);
    (app.client_id == "internal.apps.test" && outsider)
        .then_some(("org_internal", "This client is restricted to users within its organization."))
}

/// The only scopes that devices may ask for.
const DEVICE_SCOPES: [&str; 5] = [
    "openid",
    "email",
    "profile",
    "https://www.googleapis.com/auth/drive.file",
    "https://www.googleapis.com/auth/youtube",
];

pub(crate) fn device_code(state: &mut State, context: Context<'_>) -> Reply {
    let form = &context.call.form;
    let refused = |status, error, description: String| OAuthError { status, error, description }.into_reply();
    let Some(app) = app(form.get("client_id")) else {
        return refused(StatusCode::UNAUTHORIZED, "invalid_client", "The OAuth client was not found.".into());
    };
    if app.kind != Kind::LimitedInput {
        let only = "Only clients of type 'TVs and Limited Input devices' can use the OAuth 2.0 flow for TV and \
                    Limited-Input Device Applications. Please create and use an appropriate client.";
        return refused(StatusCode::UNAUTHORIZED, "invalid_client", only.into());
    }
    let scope = form.get("scope").unwrap_or_default();
    if let Some(other) = scope.split(' ').find(|scope| !DEVICE_SCOPES.contains(scope)) {
        return refused(
            StatusCode::BAD_REQUEST,
            "invalid_scope",
            format!("Invalid device flow scope: {other}"),
        );
    }
    let login = device::begin(state, app.client_id, scope.to_owned(), random("AH-"));
    Reply::json(json!({
        "device_code": login.device_code,
        "user_code": login.user_code,
        "verification_url": format!("{}{BASE}/device", context.issuer),
        "expires_in": state.settings.device_code_ttl.as_secs(),
        "interval": state.settings.device_interval.as_secs(),
    }))
}

pub(crate) fn token(state: &mut State, mut context: Context<'_>) -> Reply {
    match exchange(state, &mut context) {
        Ok(answer) => Reply::json(Value::Object(answer)),
        Err(error) => error.into_reply(),
    }
}

fn exchange(state: &mut State, context: &mut Context<'_>) -> Result<Map<String, Value>, OAuthError> {
    let form = &context.call.form;
    let app = apps::authenticate(form)?;
    context.entry.client_auth = Some("post".to_owned());
    match form.get("grant_type") {
        Some("authorization_code") => by_code(state, context, app),
        Some("refresh_token") => by_refresh_token(state, context, app),
        Some(DEVICE_GRANT) => by_device_code(state, context, app),
        other => Err(OAuthError::new(
            "unsupported_grant_type",
            format!("Invalid grant_type: {}", other.unwrap_or_default()),
        )),
    }
}

fn by_code(state: &mut State, context: &mut Context<'_>, app: App) -> Result<Map<String, Value>, OAuthError> {
    let form = &context.call.form;
    let bad = || OAuthError::new("invalid_grant", "Bad Request");
    let given = form.get("code").ok_or_else(bad)?;
    let code = state.store.codes.get(given).cloned().ok_or_else(bad)?;
    let Personality::Google(access) = code.request.personality else { return Err(bad()) };
    if code.request.client != app.client_id || code.redeemed.is_some() || code.expires_at <= SystemTime::now()
    {
        return Err(bad());
    }
    if form.get("redirect_uri") != Some(&code.request.redirect_uri) {
        return Err(OAuthError::new("redirect_uri_mismatch", "Bad Request"));
    }
    check_verifier(code.request.challenge.as_deref(), form.get("code_verifier"))?;
    let is_first = !state.store.has_grant(app.client_id, &code.subject);
    let with_refresh_token = match access {
        GoogleAccess::Online => false,
        GoogleAccess::Offline => is_first,
        GoogleAccess::OfflineWithConsent => true,
    };
    let family = state.store.add_grant(Grant {
        client: app.client_id.to_owned(),
        scope: granted(&code.subject, &code.request.scope),
        subject: code.subject,
        nonce: code.request.nonce,
        auth_time: code.auth_time,
        by_device: false,
        revoked: false,
    });
    if let Some(code) = state.store.codes.get_mut(given) {
        code.redeemed = Some(family);
    }
    Ok(issue(state, context, family, with_refresh_token))
}

fn by_device_code(
    state: &mut State,
    context: &mut Context<'_>,
    app: App,
) -> Result<Map<String, Value>, OAuthError> {
    let refused = |status, error, description: &str| {
        Err(OAuthError { status, error, description: description.to_owned() })
    };
    let device_code = context.call.form.get("device_code").unwrap_or_default();
    match device::poll(state, app.client_id, device_code) {
        Poll::Unknown => refused(StatusCode::BAD_REQUEST, "invalid_grant", "Malformed device code."),
        Poll::Pending => {
            refused(StatusCode::PRECONDITION_REQUIRED, "authorization_pending", "Precondition Required")
        }
        Poll::TooFast { .. } => refused(StatusCode::FORBIDDEN, "slow_down", "Rate Limit Exceeded"),
        Poll::Denied => refused(StatusCode::FORBIDDEN, "access_denied", "Forbidden"),
        Poll::Expired => {
            refused(StatusCode::BAD_REQUEST, "expired_token", "Token has been expired or revoked.")
        }
        Poll::Approved { subject, scope } => {
            let family = state.store.add_grant(Grant {
                client: app.client_id.to_owned(),
                scope: granted(&subject, &scope),
                subject,
                nonce: None,
                auth_time: SystemTime::now(),
                by_device: true,
                revoked: false,
            });
            Ok(issue(state, context, family, true))
        }
    }
}

fn by_refresh_token(
    state: &mut State,
    context: &mut Context<'_>,
    app: App,
) -> Result<Map<String, Value>, OAuthError> {
    let dead = || OAuthError::new("invalid_grant", "Token has been expired or revoked.");
    let given = context.call.form.get("refresh_token").ok_or_else(dead)?;
    let RefreshState::Live(family) = state.store.refresh_state(given) else { return Err(dead()) };
    if state.store.grant(family).client != app.client_id {
        return Err(OAuthError::new("unauthorized_client", "Unauthorized"));
    }
    // The refresh token goes on, and no answer repeats it.
    Ok(issue(state, context, family, false))
}

/// What a person lets an app have: in another order than asked, some names written in full.
fn granted(user: &str, asked: &str) -> String {
    let full = |scope: &str| match scope {
        "email" => "https://www.googleapis.com/auth/userinfo.email".to_owned(),
        "profile" => "https://www.googleapis.com/auth/userinfo.profile".to_owned(),
        other => other.to_owned(),
    };
    let is_who = |scope: &&str| matches!(*scope, "openid" | "email" | "profile");
    let mut granted: Vec<_> = asked
        .split_ascii_whitespace()
        .filter(|scope| user != people::WARY || is_who(scope))
        .map(full)
        .collect();
    granted.sort();
    granted.join(" ")
}
