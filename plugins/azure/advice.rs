//! What a person is told to do when something only they can give is missing.

use ccproxy_plugin_sdk::{Error, ErrorCode, Flow};

use crate::routes::Directory;
use crate::schemas::{Conn, Settings};

/// Where a person registers an application.
pub(crate) const REGISTRATION: &str =
    "https://entra.microsoft.com/#view/Microsoft_AAD_RegisteredApps/ApplicationsListBlade";

/// What to type and open, for hints.
#[derive(Clone)]
pub(crate) struct Advice {
    /// The command that logs in.
    pub(crate) login: String,
    /// The page on which an administrator consents for everybody.
    pub(crate) admin_consent: String,
    /// Whether the request proved who the application is.
    pub(crate) has_secret: bool,
}

impl Advice {
    /// For a login, which repeats what was typed: a login that failed stored nothing.
    pub(crate) fn of_login(connection: &Conn, directory: &Directory) -> Self {
        Self::new(login_command(&connection.label(), &connection.settings), connection, directory)
    }

    /// For a token of a connection that exists. A login that asks for the scopes of that token is one
    /// that can be agreed to.
    pub(crate) fn of_use(connection: &Conn, directory: &Directory, scopes: &[String]) -> Self {
        let mut login = format!("ccproxy auth login {} --force", connection.label());
        for scope in scopes {
            login.push_str(&format!(" --scopes {scope}"));
        }
        Self::new(login, connection, directory)
    }

    fn new(login: String, connection: &Conn, directory: &Directory) -> Self {
        let client_id = connection.settings.client_id.as_deref().unwrap_or_default();
        let page = directory.admin_consent(client_id).map(String::from).unwrap_or_default();
        Self { login, admin_consent: page, has_secret: connection.settings.client_secret.is_some() }
    }
}

/// No application of our own is shipped, so a first login needs one. This says all that the second
/// try needs.
pub(crate) fn no_client_id(connection: &Conn) -> Error {
    let login = login_command(&connection.label(), &connection.settings);
    Error::invalid_config("setting `client_id` is missing: a login needs an app registration of yours")
        .with_hint(format!(
            "1. register an app at {REGISTRATION}\n   \
               platform: Mobile and desktop applications; redirect URI: http://localhost\n   \
               for the device flow: Authentication, Allow public client flows\n\
             2. {login} --client-id ID\n   \
               with --tenant-id TENANT if the app is of one tenant"
        ))
}

/// An application cannot act for itself in a tenant that is none.
pub(crate) fn no_single_tenant(connection: &Conn, directory: &Directory) -> Error {
    let tenant = directory.tenant.as_str();
    Error::invalid_config(format!("client credentials need one tenant, and `tenant` is `{tenant}`"))
        .with_hint(format!(
            "set `tenant` of `{}` to the tenant's id or to a domain of it (--tenant-id on the command line)",
            connection.label()
        ))
}

/// Client credentials without a secret.
pub(crate) fn no_client_secret(connection: &Conn) -> Error {
    Error::invalid_config("setting `client_secret` is missing: client credentials need it").with_hint(
        format!(
            "{} --flow client-credentials --client-secret-env VAR",
            login_command(&connection.label(), &connection.settings)
        ),
    )
}

/// What a tenant that blocks one way to log in may allow: the other one.
pub(crate) fn try_another_flow(error: Error, flow: Flow) -> Error {
    let other = match flow {
        Flow::Device => "if the tenant blocks the device flow, log in with --flow browser",
        Flow::Browser | Flow::Paste => "if no browser here is let in, log in with --flow device",
        Flow::ClientCredentials | Flow::Token => return error,
    };
    if !matches!(error.code, ErrorCode::AccessDenied) {
        return error;
    }
    let hint = match &error.hint {
        Some(hint) => format!("{hint}\n{other}"),
        None => other.to_owned(),
    };
    error.with_hint(hint)
}

/// The command that logs this connection in, also before it exists.
fn login_command(label: &str, settings: &Settings) -> String {
    let mut command = "ccproxy auth login azure".to_owned();
    if label != "azure" {
        command.push_str(&format!(" --connection {label}"));
    }
    for (flag, value) in [
        ("tenant-id", &settings.tenant),
        ("authority", &settings.authority),
        ("upstream", &settings.upstream),
        ("client-id", &settings.client_id),
    ] {
        if let Some(value) = value {
            command.push_str(&format!(" --{flag} {value}"));
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use ccproxy_plugin_sdk::serde_json::{from_value, json};
    use pretty_assertions::assert_eq;

    #[test]
    fn the_command_says_again_what_was_said_and_no_more() {
        let command = |label, settings| login_command(label, &from_value(settings).unwrap());
        assert_eq!(command("azure", json!({})), "ccproxy auth login azure");
        assert_eq!(
            command("acme/work", json!({ "tenant": "contoso.com", "client_id": "1111" })),
            "ccproxy auth login azure --connection acme/work --tenant-id contoso.com --client-id 1111"
        );
    }

    #[test]
    fn another_flow_is_for_those_who_were_refused() {
        let advised = |code, flow| try_another_flow(Error::new(code, "no"), flow).hint;
        let device = advised(ErrorCode::AccessDenied, Flow::Device).unwrap();
        assert!(device.contains("--flow browser"), "{device}");
        let browser = advised(ErrorCode::AccessDenied, Flow::Browser).unwrap();
        assert!(browser.contains("--flow device"), "{browser}");
        assert_eq!(advised(ErrorCode::Network, Flow::Device), None);
        assert_eq!(advised(ErrorCode::AccessDenied, Flow::ClientCredentials), None);
    }
}
