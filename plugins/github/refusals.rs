//! What GitHub says no with: at its login endpoints and at its API.

use std::time::Duration;

use ccproxy_plugin_oauth::{Refusal, shown_line};
use ccproxy_plugin_sdk::{Error, ErrorCode, Response, UnixMillis, serde_json};

use crate::schemas::ApiProblem;

/// Refusals of the login endpoints that only GitHub has, or means something of its own with. They
/// come with status 200.
pub(crate) fn read(refusal: &Refusal) -> Option<Error> {
    let (code, hint) = match refusal.error.as_str() {
        "incorrect_client_credentials" => (
            ErrorCode::CredentialsRejected,
            "check `client_id` and `client_secret`; without a secret only the device flow works",
        ),
        "bad_verification_code" => {
            (ErrorCode::CredentialsRejected, "a code lives ten minutes and works once: log in again")
        }
        "incorrect_device_code" => (ErrorCode::CredentialsRejected, "log in again"),
        "redirect_uri_mismatch" => (
            ErrorCode::InvalidConfig,
            "enter http://127.0.0.1/callback as the app's callback URL, or set `redirect_uri` to the one it has",
        ),
        "device_flow_disabled" => (
            ErrorCode::InvalidConfig,
            "tick \"Enable Device Flow\" in the app's settings at GitHub, or log in with --flow browser",
        ),
        "unverified_user_email" => (
            ErrorCode::AccessDenied,
            "verify your primary address at GitHub's settings/emails, then log in again",
        ),
        "bad_refresh_token" => return Some(Error::new(ErrorCode::ReauthRequired, said(refusal))),
        // What the device endpoint says of a client id that it does not know; not an OAuth code.
        "Not Found" if refusal.status == 404 => {
            (ErrorCode::CredentialsRejected, "no app has this `client_id` here: check it, and `host`")
        }
        _ => return None,
    };
    Some(Error::new(code, said(refusal)).with_hint(hint))
}

fn said(refusal: &Refusal) -> String {
    format!("GitHub answered {}", refusal.summary())
}

/// What the API's answer to a look at the account means.
pub(crate) fn api(host: &str, response: &Response, now: UnixMillis) -> Error {
    let status = response.status;
    let message =
        serde_json::from_slice::<ApiProblem>(&response.body).map(|problem| shown_line(&problem.message));
    let said = match message {
        Ok(message) if !message.is_empty() => format!("`{host}` answered {status}: {message}"),
        _ => format!("`{host}` answered {status}"),
    };
    // A 403 has three meanings, told apart by its fields; only the last is about the token.
    if matches!(status, 403 | 429) && is_rate_limit(response) {
        return Error::new(ErrorCode::RateLimited, said).with_retry_after(retry_after(response, now));
    }
    if let Some(page) = single_sign_on(response) {
        return Error::new(ErrorCode::ConsentRequired, said)
            .with_hint(format!("start a single sign-on session at {page}, then log in again with --force"));
    }
    match status {
        401 => Error::new(ErrorCode::CredentialsRejected, said)
            .with_hint("check the token, or log in again with --force"),
        403 => Error::new(ErrorCode::AccessDenied, said),
        404 => Error::invalid_response(said).with_hint("check `host` and `api_url`"),
        429 => Error::new(ErrorCode::RateLimited, said),
        500.. => {
            Error::new(ErrorCode::ProviderUnavailable, said).with_retry_after(retry_after(response, now))
        }
        _ => Error::invalid_response(said),
    }
}

fn is_rate_limit(response: &Response) -> bool {
    response.header("x-ratelimit-remaining").map(str::trim) == Some("0")
        || response.header("retry-after").is_some()
}

/// `Retry-After` of a secondary limit, else the time at which the primary one starts anew.
fn retry_after(response: &Response, now: UnixMillis) -> Option<Duration> {
    /// The primary limit is per hour; nobody means more.
    const MAX: Duration = Duration::from_secs(60 * 60);
    let seconds = |field: &str| response.header(field)?.trim().parse::<u64>().ok().map(Duration::from_secs);
    seconds("retry-after")
        .or_else(|| seconds("x-ratelimit-reset").map(|reset| now.until(UnixMillis(0).plus(reset))))
        .map(|wait| wait.min(MAX))
}

/// The page where an organization's single sign-on begins: `X-GitHub-SSO: required; url=...`.
///
/// Its query is a one-time request of this token's owner, so it is not shown.
fn single_sign_on(response: &Response) -> Option<String> {
    let (kind, url) = response.header("x-github-sso")?.split_once(';')?;
    let url = url.trim().strip_prefix("url=")?;
    let page = shown_line(url.split(['?', '#']).next().unwrap_or_default());
    (kind.trim() == "required" && page.starts_with("https://")).then_some(page)
}
