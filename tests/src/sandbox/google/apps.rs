//! The OAuth clients, each of one type.

use http::StatusCode;

use crate::params::Params;
use crate::sandbox::reply::OAuthError;

#[derive(Clone, Copy, Debug)]
pub(super) struct App {
    pub(super) client_id: &'static str,
    secret: &'static str,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Any loopback port and path; no device logins.
    Desktop,
    /// Device logins only.
    LimitedInput,
}

const APPS: [App; 3] = [
    App { client_id: "desktop.apps.test", secret: "GOCSPX-desktop", kind: Kind::Desktop },
    App { client_id: "tv.apps.test", secret: "GOCSPX-tv", kind: Kind::LimitedInput },
    // Made in a Workspace, for the accounts of it.
    App { client_id: "internal.apps.test", secret: "GOCSPX-internal", kind: Kind::Desktop },
];

/// The Workspace that `internal.apps.test` belongs to.
pub(super) const HOME_OF_INTERNAL: &str = "corp.test";

pub(super) fn app(client_id: Option<&str>) -> Option<App> {
    APPS.into_iter().find(|app| Some(app.client_id) == client_id)
}

/// The client of a request to a token endpoint. The secret of an installed app is none, and wanted all the same.
pub(super) fn authenticate(form: &Params) -> Result<App, OAuthError> {
    let unknown = OAuthError {
        status: StatusCode::UNAUTHORIZED,
        ..OAuthError::new("invalid_client", "The OAuth client was not found.")
    };
    let app = app(form.get("client_id")).ok_or(unknown)?;
    match form.get("client_secret") {
        Some(secret) if secret == app.secret => Ok(app),
        Some(_) => Err(OAuthError {
            status: StatusCode::UNAUTHORIZED,
            ..OAuthError::new("invalid_client", "The provided client secret is invalid.")
        }),
        None => Err(OAuthError::new("invalid_request", "client_secret is missing.")),
    }
}
