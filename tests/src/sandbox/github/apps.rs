//! The registered applications.

/// An application registered at GitHub.
#[derive(Clone, Copy, Debug)]
pub(super) struct App {
    pub(super) client_id: &'static str,
    pub(super) secret: &'static str,
    pub(super) kind: Kind,
    pub(super) device_flow: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `gho_` tokens that never expire, limited by scopes.
    OAuth,
    /// `ghu_` tokens that expire, with `ghr_` refresh tokens; limited by the app's permissions, no scopes.
    GitHubApp,
}

const APPS: [App; 3] = [
    App { client_id: "gh-oauth-app", secret: "gh-secret", kind: Kind::OAuth, device_flow: true },
    App { client_id: "gh-app", secret: "gh-app-secret", kind: Kind::GitHubApp, device_flow: true },
    App { client_id: "gh-web-only", secret: "gh-web-secret", kind: Kind::OAuth, device_flow: false },
];

pub(super) fn app(client_id: Option<&str>) -> Option<App> {
    APPS.into_iter().find(|app| Some(app.client_id) == client_id)
}
