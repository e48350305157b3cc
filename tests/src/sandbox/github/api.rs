//! The API: who am I, which addresses, which repositories (in pages, with absolute links).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, LINK};
use http::{HeaderName, StatusCode};
use serde_json::{Value, json};

use crate::sandbox::authority::State;
use crate::sandbox::endpoint::{Call, Context};
use crate::sandbox::id_token::{email, name};
use crate::sandbox::reply::Reply;

const REPOSITORIES: u64 = 7;
const MOST_PER_PAGE: u64 = 100;

pub(crate) fn user(state: &mut State, context: Context<'_>) -> Reply {
    as_user(state, context, |login, _, _| {
        Ok(json!({
            "login": login,
            "id": id_of(login),
            "type": "User",
            "name": name(login),
            // Null unless the person publishes one: the reason for a look at /user/emails.
            "email": null,
        }))
    })
}

pub(crate) fn emails(state: &mut State, context: Context<'_>) -> Reply {
    as_user(state, context, |login, scopes, is_app| {
        if !is_app && !scopes.split(',').any(|scope| scope == "user" || scope == "user:email") {
            return Err(Box::new(message(StatusCode::NOT_FOUND, "Not Found")));
        }
        Ok(json!([
            { "email": format!("old-{}", email(login)), "primary": false, "verified": true, "visibility": null },
            { "email": email(login), "primary": true, "verified": true, "visibility": "private" },
            { "email": format!("new-{}", email(login)), "primary": false, "verified": false, "visibility": null },
        ]))
    })
}

pub(crate) fn repos(state: &mut State, context: Context<'_>) -> Reply {
    let query = &context.call.query;
    let per_page = query.number("per_page").unwrap_or(3).clamp(1, MOST_PER_PAGE);
    let last = REPOSITORIES.div_ceil(per_page);
    let page = query.number("page").unwrap_or(1).max(1);
    let here = format!("{}{}", context.issuer, context.call.path);
    let link = |page: u64, rel: &str| format!("<{here}?per_page={per_page}&page={page}>; rel=\"{rel}\"");
    let mut links = Vec::new();
    if page > 1 {
        links.extend([link(page - 1, "prev"), link(1, "first")]);
    }
    if page < last {
        links.extend([link(page + 1, "next"), link(last, "last")]);
    }
    let first = page.saturating_sub(1).saturating_mul(per_page);
    let reply = as_user(state, context, |login, _, _| {
        let numbers = (first..REPOSITORIES).take(usize::try_from(per_page).unwrap_or_default());
        let repository = |n: u64| {
            let name = format!("repository-{n}");
            json!({ "id": n, "name": name, "full_name": format!("{login}/{name}"), "private": n % 2 == 1 })
        };
        Ok(numbers.map(repository).collect())
    });
    if links.is_empty() || reply.status != StatusCode::OK {
        return reply;
    }
    reply.with_header(LINK, &links.join(", "))
}

/// Answers for the person behind the token: login, scopes (with commas) and whether the token is an app's.
fn as_user(
    state: &mut State,
    context: Context<'_>,
    answer: impl FnOnce(&str, &str, bool) -> Result<Value, Box<Reply>>,
) -> Reply {
    let Some(token) = presented(context.call) else {
        return message(StatusCode::UNAUTHORIZED, "Requires authentication");
    };
    let Some((access, grant)) = state.store.valid_access(&token) else {
        return message(StatusCode::UNAUTHORIZED, "Bad credentials");
    };
    context.entry.subject = Some(grant.subject.clone());
    let scopes = access.scope.replace(',', ", ");
    match answer(&grant.subject, &access.scope, token.starts_with("ghu_")) {
        Ok(value) => Reply::json(value).with_header(HeaderName::from_static("x-oauth-scopes"), &scopes),
        Err(reply) => *reply,
    }
}

/// GitHub takes `Bearer`, `token`, and Basic with the token as password.
fn presented(call: &Call) -> Option<String> {
    let value = call.headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" | "token" => Some(rest.to_owned()),
        "basic" => {
            let pair = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
            pair.split_once(':').map(|(_, password)| password.to_owned())
        }
        _ => None,
    }
}

fn message(status: StatusCode, text: &str) -> Reply {
    let body = json!({ "message": text, "documentation_url": "https://docs.github.com/rest", "status": status.as_str() });
    Reply::json(body).with_status(status).with_outcome(text)
}

/// A number that stays the same for a login.
fn id_of(login: &str) -> u64 {
    login.bytes().fold(1000, |id, byte| (id * 31 + u64::from(byte)) % 100_000_000)
}
