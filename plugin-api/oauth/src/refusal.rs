//! What an authorization server says no with, and what that means to us.

use std::time::Duration;

use ccproxy_plugin_sdk::{Error, ErrorCode, Response, UnixMillis};
use serde_json::{Map, Value};

use crate::retry_after;
use crate::text;

/// A refusal, whatever its HTTP status: RFC 6749 section 5.2 and its neighbours.
#[derive(Clone)]
pub struct Refusal {
    /// HTTP status; 0 for a redirect.
    pub status: u16,
    /// The `error` code; empty if the answer has none.
    pub error: String,
    /// When the server said to come back.
    pub retry_after: Option<Duration>,
    /// Every member of the answer.
    pub members: Map<String, Value>,
}

/// A provider's own reading of a refusal; `None` leaves it to [`Refusal::to_error`].
pub type RefusalMapper = dyn Fn(&Refusal) -> Option<Error> + Send + Sync;

impl Refusal {
    /// A refusal that is nothing but its status.
    pub(crate) fn bare(response: &Response, now: UnixMillis) -> Self {
        let retry_after = retry_after::of(response, now);
        Self { status: response.status, error: String::new(), retry_after, members: Map::new() }
    }

    /// A text member, such as `suberror`.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.members.get(name).and_then(Value::as_str)
    }

    /// The first line of `error_description`, fit to be shown.
    pub fn description(&self) -> Option<String> {
        self.text("error_description").map(text::line).filter(|line| !line.is_empty())
    }

    /// `error: description`, fit to be shown.
    pub fn summary(&self) -> String {
        let code = match text::line(&self.error) {
            code if code.is_empty() => format!("status {}", self.status),
            code => format!("`{code}`"),
        };
        match self.description() {
            Some(description) => format!("{code}: {description}"),
            None => code,
        }
    }

    /// The failure in our taxonomy.
    pub fn to_error(&self) -> Error {
        let code = self.code();
        let error = Error::new(code, format!("the authorization server answered {}", self.summary()))
            .with_retry_after(self.retry_after);
        match self.hint(code) {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }

    fn code(&self) -> ErrorCode {
        match self.error.as_str() {
            "invalid_grant" | "bad_verification_code" | "login_required" | "invalid_token" => {
                ErrorCode::ReauthRequired
            }
            "invalid_client" | "unauthorized_client" => ErrorCode::CredentialsRejected,
            "consent_required" | "interaction_required" | "account_selection_required" => {
                ErrorCode::ConsentRequired
            }
            "access_denied" | "authorization_declined" => ErrorCode::AccessDenied,
            // Final: polling on would not bring the code back.
            "expired_token" | "token_expired" => ErrorCode::TokenExpired,
            "slow_down" | "rate_limit_exceeded" | "too_many_requests" => ErrorCode::RateLimited,
            "temporarily_unavailable" | "server_error" => ErrorCode::ProviderUnavailable,
            "unsupported_grant_type" | "unsupported_response_type" | "unsupported_token_type" => {
                ErrorCode::Unsupported
            }
            "invalid_request" | "invalid_scope" | "invalid_target" | "redirect_uri_mismatch" => {
                ErrorCode::InvalidConfig
            }
            code => self.code_of_status(!code.is_empty()),
        }
    }

    /// For codes we do not know, and for answers without one.
    fn code_of_status(&self, has_code: bool) -> ErrorCode {
        match self.status {
            429 => ErrorCode::RateLimited,
            500.. => ErrorCode::ProviderUnavailable,
            401 => ErrorCode::CredentialsRejected,
            403 => ErrorCode::AccessDenied,
            _ if has_code => ErrorCode::AccessDenied,
            _ => ErrorCode::InvalidResponse,
        }
    }

    fn hint(&self, code: ErrorCode) -> Option<&'static str> {
        match (code, self.error.as_str()) {
            (ErrorCode::CredentialsRejected, _) => {
                Some("check client_id and client_secret, and how the secret is sent (client_auth)")
            }
            (_, "invalid_request") => Some("check the settings: client_auth, redirect_uri, extra_params"),
            (_, "invalid_scope") => Some("change `scopes`"),
            (_, "invalid_target") => Some("change `resource` or `audience`"),
            (_, "redirect_uri_mismatch") => Some("register the redirect URI http://127.0.0.1/callback"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    fn refusal(status: u16, error: &str, description: &str) -> Refusal {
        let mut members = Map::new();
        members.insert("error_description".into(), description.into());
        Refusal { status, error: error.into(), retry_after: None, members }
    }

    #[test]
    fn codes_decide_whatever_the_status() {
        use ErrorCode::*;
        for (error, code) in [
            ("invalid_grant", ReauthRequired),
            ("invalid_client", CredentialsRejected),
            ("unauthorized_client", CredentialsRejected),
            ("consent_required", ConsentRequired),
            ("interaction_required", ConsentRequired),
            ("access_denied", AccessDenied),
            ("authorization_declined", AccessDenied),
            ("slow_down", RateLimited),
            ("temporarily_unavailable", ProviderUnavailable),
            ("invalid_scope", InvalidConfig),
            ("unsupported_grant_type", Unsupported),
        ] {
            for status in [0, 200, 400, 401, 403, 428, 500] {
                assert_eq!(refusal(status, error, "").to_error().code, code, "{status} {error}");
            }
        }
    }

    #[test]
    fn without_a_known_code_the_status_decides() {
        use ErrorCode::*;
        for (status, error, code) in [
            (429, "", RateLimited),
            (503, "", ProviderUnavailable),
            (500, "kaputt", ProviderUnavailable),
            (401, "", CredentialsRejected),
            (400, "kaputt", AccessDenied),
            (200, "kaputt", AccessDenied),
            (400, "", InvalidResponse),
        ] {
            assert_eq!(refusal(status, error, "").to_error().code, code, "{status} {error}");
        }
    }

    #[test]
    fn entras_description_is_cut_at_its_first_line() {
        let entra = "AADSTS70016: pending.\r\nTrace ID: 1\r\nCorrelation ID: 2";
        assert_eq!(
            refusal(400, "invalid_grant", entra).to_error().message,
            "the authorization server answered `invalid_grant`: AADSTS70016: pending."
        );
    }
}
