//! Tokens once they are granted: issued, looked at, given back.

use http::StatusCode;
use http::header::AUTHORIZATION;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value, json};

use super::{BASE, people};
use crate::sandbox::authority::State;
use crate::sandbox::endpoint::Context;
use crate::sandbox::id_token;
use crate::sandbox::reply::{OAuthError, Reply};
use crate::sandbox::store::{Family, Fingerprint, RefreshState};

pub(super) fn issue(
    state: &mut State,
    context: &mut Context<'_>,
    family: Family,
    with_refresh_token: bool,
) -> Map<String, Value> {
    let grant = state.store.grant(family).clone();
    let ttl = state.settings.access_ttl(&grant.client);
    let access_token = state.store.add_access("ya29.", family, grant.scope.clone(), None, Some(ttl));
    let entry = &mut *context.entry;
    entry.on_family(family);
    entry.subject = Some(grant.subject.clone());
    entry.issued_access_token = Some(Fingerprint::of(&access_token));
    let mut answer = Map::new();
    answer.insert("access_token".into(), json!(access_token));
    answer.insert("expires_in".into(), json!(ttl.as_secs()));
    answer.insert("scope".into(), json!(grant.scope));
    answer.insert("token_type".into(), json!("Bearer"));
    if with_refresh_token {
        let refresh_token = state.store.add_refresh("1//", family, state.settings.refresh_ttl(&grant.client));
        entry.issued_refresh_token = Some(Fingerprint::of(&refresh_token));
        answer.insert("refresh_token".into(), json!(refresh_token));
    }
    if grant.scope.split(' ').any(|scope| scope == "openid") {
        let issuer = format!("{}{BASE}", context.issuer);
        let mut claims = id_token::claims(&issuer, &grant, &access_token);
        for (name, value) in people::claims(&grant.subject).as_object().into_iter().flatten() {
            claims[name] = value.clone();
        }
        claims["azp"] = json!(grant.client);
        let token = id_token::sign_claims(&state.keys, Algorithm::RS256, claims, context.late.mutation);
        answer.insert("id_token".into(), json!(token));
    }
    answer
}

/// Takes either token of a grant, and both with it. Wants no client; unlike RFC 7009 it tells of a token that is
/// gone already.
pub(crate) fn revoke(state: &mut State, context: Context<'_>) -> Reply {
    let token =
        context.call.form.get("token").or_else(|| context.call.query.get("token")).unwrap_or_default();
    let is_live = state.store.valid_access(token).is_some()
        || matches!(state.store.refresh_state(token), RefreshState::Live(_));
    match state.store.family_of(token).filter(|_| is_live) {
        Some(family) => {
            context.entry.on_family(family);
            state.store.revoke_family(family);
            Reply::json(json!({}))
        }
        None => OAuthError::new("invalid_token", "Token expired or revoked").into_reply(),
    }
}

pub(crate) fn userinfo(state: &mut State, context: Context<'_>) -> Reply {
    let field = context.call.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = field.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    match state.store.valid_access(token) {
        Some((access, grant)) if access.scope.contains("openid") || access.scope.contains("userinfo.") => {
            context.entry.subject = Some(grant.subject.clone());
            Reply::json(people::claims(&grant.subject))
        }
        _ => {
            let body = json!({ "error": "invalid_request", "error_description": "Invalid Credentials" });
            Reply::json(body).with_status(StatusCode::UNAUTHORIZED).with_outcome("invalid_request")
        }
    }
}
