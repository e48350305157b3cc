//! The token endpoint (RFC 6749 sections 4.1.3, 4.4.2 and 6, RFC 7636, RFC 8628 section 3.4).

use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::authority::State;
use super::authorize::{Personality, known_scopes};
use super::clients::{Client, authenticate};
use super::device::{self, Poll};
use super::endpoint::Context;
use super::id_token;
use super::log::Entry;
use super::reply::{OAuthError, Reply};
use super::store::{Family, Fingerprint, Grant, RefreshState};

pub(crate) const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

pub(crate) fn token(state: &mut State, mut context: Context<'_>) -> Reply {
    match exchange(state, &mut context) {
        Ok(answer) => Reply::json(Value::Object(answer)),
        Err(error) => error.into_reply(),
    }
}

fn exchange(state: &mut State, context: &mut Context<'_>) -> Result<Map<String, Value>, OAuthError> {
    let form = &context.call.form;
    if let Some(name) = form.repeated() {
        return Err(OAuthError::new("invalid_request", format!("{name} comes twice")));
    }
    let client = authenticate(&state.clients, context.call)?.clone();
    context.entry.client = Some(client.id.to_owned());
    context.entry.client_auth = Some(client.auth.name().to_owned());
    let grant_type =
        form.get("grant_type").ok_or_else(|| OAuthError::new("invalid_request", "no grant_type"))?;
    let allowed = match grant_type {
        "client_credentials" => client.is_service,
        _ => client.is_login,
    };
    if !allowed {
        return Err(OAuthError::new("unauthorized_client", format!("{grant_type} is not for this client")));
    }
    match grant_type {
        "authorization_code" => by_code(state, context, &client),
        "refresh_token" => by_refresh_token(state, context, &client),
        DEVICE_GRANT => by_device_code(state, context, &client),
        "client_credentials" => Ok(by_client_credentials(state, context, &client)),
        other => Err(OAuthError::new("unsupported_grant_type", other)),
    }
}

fn by_code(
    state: &mut State,
    context: &mut Context<'_>,
    client: &Client,
) -> Result<Map<String, Value>, OAuthError> {
    let form = &context.call.form;
    let invalid = |why: &str| OAuthError::new("invalid_grant", why);
    let given = form.get("code").ok_or_else(|| OAuthError::new("invalid_request", "no code"))?;
    let code = state.store.codes.get(given).ok_or_else(|| invalid("no such code"))?.clone();
    if let Some(family) = code.redeemed {
        state.store.revoke_family(family);
        return Err(invalid("the code was redeemed before; its grant is revoked"));
    }
    if code.request.personality != Personality::OpenId || code.request.client != client.id {
        return Err(invalid("the code is another client's"));
    }
    if code.expires_at <= SystemTime::now() {
        return Err(invalid("the code has expired"));
    }
    if form.get("redirect_uri") != Some(&code.request.redirect_uri) {
        return Err(invalid("redirect_uri differs from the authorization request's"));
    }
    check_verifier(code.request.challenge.as_deref(), form.get("code_verifier"))?;
    let family = state.store.add_grant(Grant {
        client: client.id.to_owned(),
        subject: code.subject,
        scope: code.request.scope.clone(),
        nonce: code.request.nonce,
        auth_time: code.auth_time,
        by_device: false,
        revoked: false,
    });
    if let Some(code) = state.store.codes.get_mut(given) {
        code.redeemed = Some(family);
    }
    context.entry.audience = code.request.audience.or(context.entry.audience.take());
    Ok(issue(state, context, client, family, &code.request.scope, Refresh::New))
}

/// RFC 7636 section 4.6. A verifier without a challenge is refused: one side of the client is broken.
pub(crate) fn check_verifier(challenge: Option<&str>, verifier: Option<&str>) -> Result<(), OAuthError> {
    let fits = match (challenge, verifier) {
        (None, None) => true,
        (Some(challenge), Some(verifier)) => challenge == URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)),
        _ => false,
    };
    if fits { Ok(()) } else { Err(OAuthError::new("invalid_grant", "the code verifier does not fit")) }
}

fn by_refresh_token(
    state: &mut State,
    context: &mut Context<'_>,
    client: &Client,
) -> Result<Map<String, Value>, OAuthError> {
    let form = &context.call.form;
    let invalid = |why: &str| OAuthError::new("invalid_grant", why);
    let given =
        form.get("refresh_token").ok_or_else(|| OAuthError::new("invalid_request", "no refresh_token"))?;
    let family = live_family(state, context.entry, given)?;
    let granted = state.store.grant(family).clone();
    if granted.client != client.id {
        return Err(invalid("the refresh token is another client's"));
    }
    let scope = form.get("scope").map_or_else(|| granted.scope.clone(), known_scopes);
    if scope.split(' ').any(|scope| !granted.scope.split(' ').any(|has| has == scope)) {
        return Err(OAuthError::new("invalid_scope", "more than was granted"));
    }
    let refresh = if state.settings.rotate { Refresh::New } else { Refresh::Keep };
    if state.settings.rotate {
        state.store.spend_refresh(given);
    }
    Ok(issue(state, context, client, family, &scope, refresh))
}

/// The family of a refresh token that may be used. A spent one that comes back is counted, and with reuse
/// detection it takes its family along.
fn live_family(state: &mut State, entry: &mut Entry, token: &str) -> Result<Family, OAuthError> {
    let invalid = |why: &str| Err(OAuthError::new("invalid_grant", why));
    let of = state.store.refresh_state(token);
    if let RefreshState::Live(family) | RefreshState::Spent(family) | RefreshState::Dead(family) = of {
        entry.on_family(family);
    }
    match of {
        RefreshState::Live(family) => Ok(family),
        RefreshState::Spent(family) => {
            entry.reuse_detected = true;
            if state.settings.reuse_detection {
                state.store.revoke_family(family);
                return invalid("the refresh token was used before; its grant is revoked");
            }
            if state.store.grant(family).revoked {
                return invalid("the grant is revoked");
            }
            Ok(family)
        }
        RefreshState::Dead(_) => invalid("the refresh token is expired or revoked"),
        RefreshState::Unknown => invalid("no such refresh token"),
    }
}

fn by_device_code(
    state: &mut State,
    context: &mut Context<'_>,
    client: &Client,
) -> Result<Map<String, Value>, OAuthError> {
    let given = context
        .call
        .form
        .get("device_code")
        .ok_or_else(|| OAuthError::new("invalid_request", "no device_code"))?;
    let error = |code: &'static str| Err(OAuthError::new(code, ""));
    match device::poll(state, client.id, given) {
        Poll::Unknown => error("invalid_grant"),
        Poll::Pending => error("authorization_pending"),
        // RFC 8628 section 3.5: the interval grows by 5 seconds; no member says so.
        Poll::TooFast { .. } => error("slow_down"),
        Poll::Denied => error("access_denied"),
        Poll::Expired => error("expired_token"),
        Poll::Approved { subject, scope } => {
            let family = state.store.add_grant(Grant {
                client: client.id.to_owned(),
                subject,
                scope: scope.clone(),
                nonce: None,
                auth_time: SystemTime::now(),
                by_device: true,
                revoked: false,
            });
            Ok(issue(state, context, client, family, &scope, Refresh::New))
        }
    }
}

fn by_client_credentials(
    state: &mut State,
    context: &mut Context<'_>,
    client: &Client,
) -> Map<String, Value> {
    let scope = known_scopes(context.call.form.get("scope").unwrap_or("api:read api:write"));
    let family = state.store.add_grant(Grant {
        client: client.id.to_owned(),
        subject: client.id.to_owned(),
        scope: scope.clone(),
        nonce: None,
        auth_time: SystemTime::now(),
        by_device: false,
        revoked: false,
    });
    issue(state, context, client, family, &scope, Refresh::None)
}

/// Whether an answer carries a refresh token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Refresh {
    New,
    /// The client has one that goes on.
    Keep,
    None,
}

fn issue(
    state: &mut State,
    context: &mut Context<'_>,
    client: &Client,
    family: Family,
    scope: &str,
    refresh: Refresh,
) -> Map<String, Value> {
    let ttl = state.settings.access_ttl(client.id);
    let audience = context.entry.audience.clone();
    let access_token = state.store.add_access("sbxat_", family, scope.to_owned(), audience, Some(ttl));
    let grant = state.store.grant(family).clone();
    let entry = &mut *context.entry;
    entry.on_family(family);
    entry.subject = Some(grant.subject.clone());
    entry.issued_access_token = Some(Fingerprint::of(&access_token));
    let mut answer = Map::new();
    let has = |wanted: &str| grant.scope.split(' ').any(|scope| scope == wanted);
    // OpenID Connect Core section 11: a client that speaks OpenID asks for offline access; plain OAuth cannot.
    if refresh == Refresh::New && (has("offline_access") || !has("openid")) {
        let refresh_token = state.store.add_refresh("sbxrt_", family, state.settings.refresh_ttl(client.id));
        entry.issued_refresh_token = Some(Fingerprint::of(&refresh_token));
        answer.insert("refresh_token".to_owned(), json!(refresh_token));
    }
    if refresh != Refresh::None && has("openid") {
        let algorithm = client.id_token_algorithm;
        let token = id_token::sign(
            &state.keys,
            algorithm,
            context.issuer,
            &grant,
            &access_token,
            context.late.mutation,
        );
        answer.insert("id_token".to_owned(), json!(token));
    }
    answer.insert("access_token".to_owned(), json!(access_token));
    answer.insert("token_type".to_owned(), json!("Bearer"));
    answer.insert("expires_in".to_owned(), json!(ttl.as_secs()));
    answer.insert("scope".to_owned(), json!(scope));
    answer
}
