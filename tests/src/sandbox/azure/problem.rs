//! Errors as Entra writes them: an AADSTS line, then lines that nobody should be shown.

use http::StatusCode;
use serde_json::json;

use crate::sandbox::page;
use crate::sandbox::reply::Reply;

#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    error: &'static str,
    suberror: Option<&'static str>,
    number: u32,
    text: String,
}

impl Problem {
    fn new(error: &'static str, number: u32, text: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, error, suberror: None, number, text: text.into() }
    }

    fn unauthorized(number: u32, text: impl Into<String>) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, ..Self::new("invalid_client", number, text) }
    }

    pub(super) fn no_such_tenant(named: &str) -> Self {
        let text = format!("Tenant '{named}' not found. Check to make sure you have the correct tenant ID.");
        Self::new("invalid_request", 90_002, text)
    }

    pub(super) fn not_in_tenant(user: &str, named: &str) -> Self {
        Self::new(
            "invalid_grant",
            50_020,
            format!("User account '{user}' does not exist in tenant '{named}'."),
        )
    }

    pub(super) fn no_such_app(client_id: &str) -> Self {
        let text = format!("Application with identifier '{client_id}' was not found in the directory.");
        Self::new("unauthorized_client", 700_016, text)
    }

    pub(super) fn wrong_secret(client_id: &str) -> Self {
        let text = format!(
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{client_id}'."
        );
        Self::unauthorized(7_000_215, text)
    }

    pub(super) fn secret_missing() -> Self {
        let text =
            "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.";
        Self::unauthorized(7_000_218, text)
    }

    pub(super) fn secret_of_public_client() -> Self {
        let text = "Client is public so neither 'client_assertion' nor 'client_secret' should be presented.";
        Self::unauthorized(700_025, text)
    }

    pub(super) fn redirect_mismatch(uri: &str) -> Self {
        let text = format!(
            "The redirect URI '{uri}' specified in the request does not match the redirect URIs configured for the application."
        );
        Self::new("invalid_request", 50_011, text)
    }

    pub(super) fn no_such_resource(uri: &str) -> Self {
        let text = format!("The resource principal named {uri} was not found in the tenant.");
        Self::new("invalid_resource", 500_011, text)
    }

    pub(super) fn several_resources() -> Self {
        let text = "Provided value for the input parameter scope is not valid because it contains more than one resource.";
        Self::new("invalid_request", 28_000, text)
    }

    pub(super) fn resource_parameter() -> Self {
        Self::new("invalid_request", 901_002, "The 'resource' request parameter is not supported.")
    }

    pub(super) fn not_default(scope: &str) -> Self {
        let text = format!(
            "The provided value for scope {scope} is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier."
        );
        Self::new("invalid_scope", 1_002_012, text)
    }

    pub(super) fn consent_required() -> Self {
        let text = "The user or administrator has not consented to use the application. Send an interactive authorization request for this user and resource.";
        Self { suberror: Some("consent_required"), ..Self::new("invalid_grant", 65_001, text) }
    }

    pub(super) fn bad_code() -> Self {
        Self::new("invalid_grant", 70_008, "The provided authorization code or refresh token has expired.")
    }

    pub(super) fn dead_refresh_token() -> Self {
        Self::new("invalid_grant", 700_082, "The refresh token has expired due to inactivity.")
    }

    pub(super) fn bad_refresh_token() -> Self {
        let text = "The provided refresh token is not one that this application was given.";
        Self { suberror: Some("bad_token"), ..Self::new("invalid_grant", 9_002_313, text) }
    }

    pub(super) fn pending() -> Self {
        Self::new(
            "authorization_pending",
            70_016,
            "OAuth 2.0 device flow error. Authorization is pending. Continue polling.",
        )
    }

    pub(super) fn slow_down() -> Self {
        Self::new("slow_down", 70_021, "OAuth 2.0 device flow error. Polling too fast.")
    }

    pub(super) fn declined() -> Self {
        Self::new("authorization_declined", 70_019, "The end user denied the authorization request.")
    }

    pub(super) fn bad_device_code() -> Self {
        Self::new(
            "bad_verification_code",
            70_020,
            "The device_code sent to the token endpoint was not recognized.",
        )
    }

    pub(super) fn device_code_expired() -> Self {
        Self::new("expired_token", 70_020, "The device_code is expired.")
    }

    pub(super) fn unsupported_grant_type() -> Self {
        Self::new("unsupported_grant_type", 70_003, "The app requested an unsupported grant type.")
    }

    pub(super) fn missing(parameter: &str) -> Self {
        let text = format!("The request body must contain the following parameter: '{parameter}'.");
        Self::new("invalid_request", 900_144, text)
    }

    pub(super) fn into_reply(self) -> Reply {
        let mut body = json!({
            "error": self.error,
            "error_description": self.description(),
            "error_codes": [self.number],
            "timestamp": "2026-01-01 00:00:00Z",
            "trace_id": TRACE_ID,
            "correlation_id": CORRELATION_ID,
            "error_uri": format!("https://login.microsoftonline.com/error?code={}", self.number),
        });
        if let Some(suberror) = self.suberror {
            body["suberror"] = json!(suberror);
        }
        Reply::json(body).with_status(self.status).with_outcome(self.error)
    }

    /// What is told the person because it cannot be told the client.
    pub(super) fn into_page(self) -> Reply {
        page::refusal(self.error, &self.description())
    }

    fn description(&self) -> String {
        format!(
            "AADSTS{}: {}\r\nTrace ID: {TRACE_ID}\r\nCorrelation ID: {CORRELATION_ID}\r\nTimestamp: 2026-01-01 00:00:00Z",
            self.number, self.text
        )
    }
}

const TRACE_ID: &str = "7race1d0-0000-0000-0000-000000000000";
const CORRELATION_ID: &str = "c0441a71-0000-0000-0000-000000000000";
