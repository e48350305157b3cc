//! What Google says no with, and what helps.

use ccproxy_plugin_oauth::Refusal;
use ccproxy_plugin_sdk::{Error, ErrorCode};

/// Refusals that only Google has, or that need a remedy of its own. They come with any status, or in
/// the redirect; those that a page shows instead are the same.
pub(crate) fn read(refusal: &Refusal) -> Option<Error> {
    let says = |part: &str| refusal.description().is_some_and(|text| text.contains(part));
    let (code, hint) = match refusal.error.as_str() {
        "invalid_client" if says("TVs and Limited Input") => (
            ErrorCode::InvalidConfig,
            "a device login needs an OAuth client of the type \"TVs and Limited Input devices\"; \
             with this one: --flow browser, or --flow paste where there is no browser",
        ),
        "invalid_client" | "deleted_client" | "disabled_client" | "unauthorized_client" => (
            ErrorCode::CredentialsRejected,
            "check `client_id` and `client_secret` at https://console.cloud.google.com/auth/clients",
        ),
        "invalid_request" if says("client_secret") => (
            ErrorCode::InvalidConfig,
            "Google wants the client secret of a desktop app, too: set `client_secret`",
        ),
        "invalid_scope" if says("device flow") => (
            ErrorCode::InvalidConfig,
            "a device login may ask for few scopes (openid, email, profile, drive.file, youtube ...): \
             change `scopes`, or log in with --flow browser",
        ),
        "org_internal" => (
            ErrorCode::AccessDenied,
            "the app is for accounts of its own organisation: log in with one of them, or make its audience \
             External at https://console.cloud.google.com/auth/audience",
        ),
        "admin_policy_enforced" => (
            ErrorCode::AccessDenied,
            "the account's Workspace administrator must trust the client id: \
             https://admin.google.com, Security, API controls, App access control",
        ),
        "access_denied" => (
            ErrorCode::AccessDenied,
            "agree when asked; an app in testing lets in nobody but its test users: \
             add the account at https://console.cloud.google.com/auth/audience",
        ),
        "disallowed_useragent" => {
            (ErrorCode::AccessDenied, "open the link in a browser, not in a window of another program")
        }
        "redirect_uri_mismatch" => (
            ErrorCode::InvalidConfig,
            "use an OAuth client of the type \"Desktop app\", or set `redirect_uri` to one that is entered \
             at the client",
        ),
        "rate_limit_exceeded" => {
            (ErrorCode::RateLimited, "the client has asked for too many codes: try again in a while")
        }
        _ => return None,
    };
    Some(error(code, refusal).with_hint(hint).with_retry_after(refusal.retry_after))
}

/// The same for a refresh, where Google ends a login without saying why: the likely causes are told.
pub(crate) fn of_refresh(refusal: &Refusal, connection: &str) -> Option<Error> {
    if refusal.error != "invalid_grant" {
        return read(refusal);
    }
    // Workspace session control (RAPT) is the one cause that it does say.
    let is_session_control = refusal.text("error_subtype").is_some_and(|kind| kind.contains("rapt"));
    let cause = if is_session_control { SESSION_CONTROL } else { LIKELY_CAUSES };
    let hint = format!("ccproxy auth login {connection}\n{cause}");
    Some(error(ErrorCode::ReauthRequired, refusal).with_hint(hint))
}

const SESSION_CONTROL: &str = "the organisation ends sessions after a while (Google Cloud session control), \
    unless its administrator exempts the app";

const LIKELY_CAUSES: &str = "Google ends a login when access is withdrawn at \
    https://myaccount.google.com/connections, 7 days after it while the app's publishing status is \"Testing\" \
    (publish it at https://console.cloud.google.com/auth/audience), when it was not used for 6 months, when the \
    password changes (Gmail scopes), and when the account logs in to the client more than 100 times";

fn error(code: ErrorCode, refusal: &Refusal) -> Error {
    Error::new(code, format!("Google answered {}", refusal.summary()))
}
