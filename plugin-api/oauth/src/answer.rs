//! Reading answers of an authorization server: lenient in form, strict in meaning.
//!
//! An answer to a refresh may hold the only copy of a rotated refresh token, so nothing optional in
//! it may make it unreadable: an odd `expires_in` is no `expires_in`. What decides (the error code,
//! the access token, its type) must be right. After this the oauth2 crate sees RFC 6749 only.

use std::time::Duration;

use ccproxy_plugin_sdk::{Error, Response, Secret, UnixMillis};
use serde_json::{Map, Value, json};

use crate::refusal::Refusal;
use crate::text;

/// Members of an answer.
pub(crate) type Members = Map<String, Value>;

/// What an authorization server said.
pub(crate) enum Answer {
    /// An answer without an error.
    Granted(Members),
    /// A no, at whatever HTTP status.
    Refused(Refusal),
}

/// Reads an answer of the endpoint `name`.
///
/// The error shape comes first, at any status: GitHub refuses with 200, Google is pending with 428.
pub(crate) fn read(name: &str, response: &Response, now: UnixMillis) -> Result<Answer, Error> {
    let status = response.status;
    let bare = || Refusal::bare(response, now);
    let Some(members) = members(response) else {
        // Proxies and maintenance pages speak HTML; their status still says what to do.
        return match status {
            401 | 403 if is_blank(&response.body) => Ok(Answer::Refused(bare())),
            429 | 500.. => Ok(Answer::Refused(bare())),
            _ => Err(unreadable(name, response)),
        };
    };
    match error_code(&members) {
        Some(error) => Ok(Answer::Refused(Refusal { error, members, ..bare() })),
        None if (200..300).contains(&status) => Ok(Answer::Granted(members)),
        None => Ok(Answer::Refused(Refusal { members, ..bare() })),
    }
}

/// The members of a token answer as RFC 6749 section 5.1 writes them.
pub(crate) fn token(members: &Members) -> Result<Members, Error> {
    let access_token = match members.get("access_token") {
        Some(Value::String(token)) => Secret::new(token.clone()),
        _ => return Err(Error::invalid_response("the token answer has no `access_token`")),
    };
    if !access_token.is_field_value() {
        return Err(Error::invalid_response("the access token cannot stand in a header field"));
    }
    let mut canonical = Members::new();
    canonical.insert("access_token".into(), access_token.expose().into());
    canonical.insert("token_type".into(), token_type(members)?.into());
    for name in ["expires_in", "refresh_token_expires_in"] {
        if let Some(seconds) = seconds(members.get(name)) {
            canonical.insert(name.into(), seconds.as_secs().into());
        }
    }
    for name in ["refresh_token", "id_token"] {
        if let Some(Value::String(token)) = members.get(name).filter(|token| **token != json!("")) {
            canonical.insert(name.into(), token.as_str().into());
        }
    }
    if let Some(scopes) = scopes(members.get("scope")) {
        canonical.insert("scope".into(), scopes.join(" ").into());
    }
    Ok(canonical)
}

/// The members of a device authorization answer as RFC 8628 section 3.2 writes them.
pub(crate) fn device_authorization(members: &Members) -> Members {
    let mut canonical = Members::new();
    let aliases = [
        ("device_code", "device_code"),
        ("user_code", "user_code"),
        ("verification_url", "verification_uri"), // Google, from before the RFC
        ("verification_uri", "verification_uri"),
        ("verification_url_complete", "verification_uri_complete"),
        ("verification_uri_complete", "verification_uri_complete"),
    ];
    for (given, name) in aliases {
        if let Some(Value::String(text)) = members.get(given).filter(|text| **text != json!("")) {
            canonical.insert(name.into(), text.as_str().into());
        }
    }
    let lifetime = seconds(members.get("expires_in")).unwrap_or(DEFAULT_DEVICE_CODE_LIFETIME);
    canonical.insert("expires_in".into(), lifetime.as_secs().into());
    if let Some(interval) = seconds(members.get("interval")).filter(|interval| !interval.is_zero()) {
        canonical.insert("interval".into(), interval.as_secs().into());
    }
    canonical
}

/// `expires_in` of a device code is required; ten minutes are what servers without it usually give.
const DEFAULT_DEVICE_CODE_LIFETIME: Duration = Duration::from_secs(600);

/// A number of seconds, as number or text (Entra's older endpoints); anything else is none.
pub(crate) fn seconds(value: Option<&Value>) -> Option<Duration> {
    let seconds = match value? {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse::<f64>().ok().filter(|seconds| !seconds.is_nan())?,
        _ => return None,
    };
    // A century: past that it is not a lifetime, and it must fit a clock in milliseconds.
    Duration::try_from_secs_f64(seconds.min(3_155_760_000.0)).ok()
}

/// Scopes: separated by spaces (RFC 6749) or commas (GitHub), or a JSON list.
pub(crate) fn scopes(value: Option<&Value>) -> Option<Vec<String>> {
    let split = |text: &str| {
        text.split([' ', ',', '\n', '\t']).filter(|scope| !scope.is_empty()).map(str::to_owned).collect()
    };
    match value? {
        Value::String(text) => Some(split(text)),
        Value::Array(list) => {
            Some(list.iter().filter_map(Value::as_str).flat_map(|s| split(s) as Vec<_>).collect())
        }
        _ => None,
    }
}

/// Only Bearer tokens are understood (RFC 6749 section 7.1); a missing type is one.
fn token_type(members: &Members) -> Result<&'static str, Error> {
    match members.get("token_type") {
        None | Some(Value::Null) => Ok("bearer"),
        Some(Value::String(name)) if name.is_empty() || name.eq_ignore_ascii_case("bearer") => Ok("bearer"),
        Some(Value::String(name)) => {
            Err(Error::invalid_response(format!("tokens of type `{}` cannot be used", text::line(name))))
        }
        Some(_) => Err(Error::invalid_response("the token answer's `token_type` is not a text")),
    }
}

/// The error code. Google's device endpoint calls it `error_code`; its API errors are objects.
fn error_code(members: &Members) -> Option<String> {
    let code = |value: &Value| match value {
        Value::String(code) if !code.is_empty() => Some(code.clone()),
        Value::Object(object) => {
            let status = object.get("status").and_then(Value::as_str).unwrap_or("error");
            Some(status.to_ascii_lowercase())
        }
        _ => None,
    };
    members.get("error").and_then(code).or_else(|| members.get("error_code").and_then(code))
}

/// The members of a body: JSON object or form; `None` for anything else.
fn members(response: &Response) -> Option<Members> {
    let body = trimmed(&response.body);
    match body.first()? {
        // serde_json bounds the depth, so a peer cannot make us recurse.
        b'{' => serde_json::from_slice(body).ok(),
        b'<' | b'[' | b'"' => None,
        _ => form(body),
    }
}

/// A form, as GitHub answers unless told otherwise; known by one of its names, because a plain
/// text parses as a form too.
fn form(body: &[u8]) -> Option<Members> {
    const NAMES: [&str; 4] = ["access_token", "error", "device_code", "error_code"];
    let form: Members = url::form_urlencoded::parse(body)
        .map(|(name, value)| (name.into_owned(), Value::String(value.into_owned())))
        .collect();
    NAMES.iter().any(|name| form.contains_key(*name)).then_some(form)
}

/// Without a byte order mark and white space around.
fn trimmed(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii()
}

fn is_blank(body: &[u8]) -> bool {
    trimmed(body).is_empty()
}

/// Nothing of the body is quoted: it may be a token after all.
fn unreadable(name: &str, response: &Response) -> Error {
    let status = response.status;
    if is_blank(&response.body) {
        return Error::invalid_response(format!("the {name} answered {status} with an empty body"));
    }
    let kind = response.header("content-type").map(text::line).unwrap_or_default();
    let kind = if kind.is_empty() { "no content type".to_owned() } else { kind };
    Error::invalid_response(format!("the {name} answered {status} with neither JSON nor a form ({kind})"))
}

#[cfg(test)]
mod tests;
