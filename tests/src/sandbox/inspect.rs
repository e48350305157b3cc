//! What happens to tokens after they are issued: revocation (RFC 7009), introspection (RFC 7662), userinfo.

use http::StatusCode;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use serde_json::{Value, json};

use super::authority::State;
use super::clients::authenticate;
use super::endpoint::Context;
use super::id_token::{email, name, seconds};
use super::reply::{OAuthError, Reply};
use super::store::RefreshState;

/// Answers 200 for a token it does not know, too (RFC 7009 section 2.2).
pub(crate) fn revoke(state: &mut State, context: Context<'_>) -> Reply {
    let client = match authenticate(&state.clients, context.call) {
        Ok(client) => client.id,
        Err(error) => return error.into_reply(),
    };
    let Some(token) = context.call.form.get("token") else {
        return OAuthError::new("invalid_request", "no token").into_reply();
    };
    match state.store.revoke(token, client) {
        Some(family) => {
            context.entry.on_family(family);
            Reply::empty()
        }
        None => Reply::empty().with_outcome("unknown_token"),
    }
}

pub(crate) fn introspect(state: &mut State, context: Context<'_>) -> Reply {
    if let Err(error) = authenticate(&state.clients, context.call) {
        return error.into_reply();
    }
    let Some(token) = context.call.form.get("token") else {
        return OAuthError::new("invalid_request", "no token").into_reply();
    };
    if let Some((access, grant)) = state.store.valid_access(token) {
        return Reply::json(json!({
            "active": true,
            "token_type": "Bearer",
            "iss": context.issuer,
            "client_id": grant.client,
            "sub": grant.subject,
            "username": name(&grant.subject),
            "scope": access.scope,
            "aud": access.audience,
            "iat": seconds(access.issued_at),
            "exp": access.expires_at.map(seconds),
        }));
    }
    Reply::json(match state.store.refresh_state(token) {
        RefreshState::Live(family) => {
            let grant = state.store.grant(family);
            json!({ "active": true, "client_id": grant.client, "sub": grant.subject, "scope": grant.scope })
        }
        _ => json!({ "active": false }),
    })
}

pub(crate) fn userinfo(state: &mut State, context: Context<'_>) -> Reply {
    let field = context.call.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(token) = field.and_then(|value| value.strip_prefix("Bearer ")) else {
        return Reply::error(StatusCode::UNAUTHORIZED, "no_token").with_header(WWW_AUTHENTICATE, "Bearer");
    };
    match state.store.valid_access(token) {
        None => invalid_token(),
        Some((access, _)) if !access.scope.split(' ').any(|scope| scope == "openid") => {
            Reply::error(StatusCode::FORBIDDEN, "insufficient_scope")
                .with_header(WWW_AUTHENTICATE, "Bearer error=\"insufficient_scope\", scope=\"openid\"")
        }
        Some((_, grant)) => {
            context.entry.subject = Some(grant.subject.clone());
            Reply::json(claims(&grant.subject))
        }
    }
}

fn invalid_token() -> Reply {
    Reply::error(StatusCode::UNAUTHORIZED, "invalid_token")
        .with_header(WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"")
}

fn claims(subject: &str) -> Value {
    json!({ "sub": subject, "email": email(subject), "email_verified": true, "name": name(subject) })
}
