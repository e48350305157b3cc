//! What a person is told to do when something only they can give is missing.

use ccproxy_plugin_oauth::login_command;
use ccproxy_plugin_sdk::Error;

use crate::schemas::Conn;

/// Where OAuth clients are made.
pub(crate) const REGISTRATION: &str = "https://console.cloud.google.com/auth/clients";

/// No client of our own is shipped, so a first login needs one. This says all that the second try
/// needs.
pub(crate) fn no_client_id(connection: &Conn) -> Error {
    let login = login(connection);
    Error::invalid_config("setting `client_id` is missing: a login needs an OAuth client of yours").with_hint(
        format!(
            "1. make an OAuth client at {REGISTRATION}\n   \
               type \"Desktop app\": its redirect URI is http://127.0.0.1, with nothing to enter\n   \
               for --flow device: type \"TVs and Limited Input devices\"\n\
             2. {login} --client-id ID --prompt-secret\n\
             or for an hour, without a client:\n   \
               gcloud auth print-access-token | {login} --with-token"
        ),
    )
}

/// Google keeps no client without a secret for people's logins, and wants it even beside PKCE.
pub(crate) fn no_client_secret(connection: &Conn) -> Error {
    Error::invalid_config(
        "setting `client_secret` is missing: Google wants it of desktop apps and devices, too",
    )
    .with_hint(format!("{} --prompt-secret", login(connection)))
}

/// The command that logs this connection in, also before it exists.
fn login(connection: &Conn) -> String {
    let settings = &connection.settings;
    let flags = [("client-id", &settings.client_id), ("hosted-domain", &settings.hosted_domain)];
    login_command("google", &connection.label(), flags)
}
